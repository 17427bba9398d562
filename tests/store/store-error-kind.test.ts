import { describe, expect, it } from 'vitest';
import type { StoreErrorKind } from '../../lib/engine/ports/store-error.ts';
import { storeErrorKind } from '../../lib/store/store-error-kind.ts';

describe('the code of an error', () => {
  it.each<[code: string | null, kind: StoreErrorKind, what: string]>([
    [null, 'unavailable', 'no answer at all'],
    ['', 'unavailable', 'an answer without a code'],

    ['PGRST000', 'unavailable', 'PostgREST has no connection'],
    ['PGRST001', 'unavailable', 'PostgREST has an internal error of its connection'],
    ['PGRST002', 'unavailable', 'PostgREST has no schema cache yet'],
    ['PGRST003', 'unavailable', 'PostgREST waited too long for a connection'],
    ['08000', 'unavailable', 'a connection exception'],
    ['08006', 'unavailable', 'the connection broke'],
    ['53300', 'unavailable', 'too many connections'],
    ['53100', 'unavailable', 'the disk is full'],
    ['57014', 'unavailable', 'the statement took too long'],
    ['57P01', 'unavailable', 'the server is being shut down'],
    ['57P03', 'unavailable', 'the server is starting'],
    ['58030', 'unavailable', 'an I/O error'],
    ['40001', 'unavailable', 'a serialization failure'],
    ['40P01', 'unavailable', 'a deadlock'],
    ['55P03', 'unavailable', 'the lock was not to be had in time'],
    ['25006', 'unavailable', 'the server is a standby'],
    ['XX000', 'unavailable', 'an internal error, as poolers answer'],

    ['PGRST106', 'misconfigured', 'the schema is not exposed'],
    ['PGRST200', 'misconfigured', 'a stale schema cache'],
    ['PGRST202', 'misconfigured', 'PostgREST knows no such function'],
    ['PGRST203', 'misconfigured', 'the function is overloaded'],
    ['PGRST300', 'misconfigured', 'no JWT secret'],
    ['PGRST301', 'misconfigured', 'the key is wrong'],
    ['PGRST302', 'misconfigured', 'no key'],
    ['PGRST303', 'misconfigured', 'the key has expired'],
    ['42883', 'misconfigured', 'there is no such function'],
    ['42P01', 'misconfigured', 'there is no such table'],
    ['3F000', 'misconfigured', 'there is no such schema'],
    ['42501', 'misconfigured', 'we may not'],
    ['28P01', 'misconfigured', 'the password is wrong'],
    ['28000', 'misconfigured', 'the role may not come in'],
    ['PT404', 'misconfigured', 'there is no such queue'],
    ['PT412', 'misconfigured', 'the schema is behind the code'],

    ['PT409', 'refused', 'a conflict of ours'],
    ['P0001', 'refused', 'an exception that a function raised'],
    ['22P02', 'refused', 'a text that is no UUID'],
    ['22P05', 'refused', 'a character that cannot be kept'],
    ['22008', 'refused', 'a time out of range'],
    ['22023', 'refused', 'an argument that is not allowed'],
    ['23505', 'refused', 'a row that is there already'],
    ['23514', 'refused', 'a check that failed'],
    ['23503', 'refused', 'a row that something else needs'],
    ['42601', 'refused', 'a syntax error'],
    ['42703', 'refused', 'a column that is not there'],
    ['54000', 'refused', 'a limit of the program'],
    ['PGRST100', 'refused', 'a query that PostgREST cannot read'],
    ['PGRST116', 'refused', 'no single row'],

    // Only whole codes count.
    ['x42883', 'refused', 'a code that contains another'],
    ['428830', 'refused', 'a code that begins with another'],
    ['4000', 'refused', 'half a code'],
  ])('%j is %s: %s', (code, kind) => {
    expect(storeErrorKind(code)).toBe(kind);
  });
});
