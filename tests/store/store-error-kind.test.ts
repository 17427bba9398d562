import { describe, expect, it } from 'vitest';
import type { StoreErrorKind } from '../../lib/engine/ports/store-error.ts';
import { storeErrorKind } from '../../lib/store/store-error-kind.ts';

describe('the kind of an error code', () => {
  it.each<[code: string | null, kind: StoreErrorKind, cause: string]>([
    [null, 'unavailable', 'no response'],
    ['', 'unavailable', 'a response without a code'],

    ['PGRST000', 'unavailable', 'PostgREST has no connection'],
    ['PGRST001', 'unavailable', 'PostgREST has an internal connection error'],
    ['PGRST002', 'unavailable', 'PostgREST has no schema cache yet'],
    ['PGRST003', 'unavailable', 'PostgREST timed out waiting for a connection'],
    ['08000', 'unavailable', 'a connection exception'],
    ['08006', 'unavailable', 'the connection broke'],
    ['53300', 'unavailable', 'too many connections'],
    ['53100', 'unavailable', 'the disk is full'],
    ['57014', 'unavailable', 'the statement timed out'],
    ['57P01', 'unavailable', 'the server is being shut down'],
    ['57P03', 'unavailable', 'the server is starting'],
    ['58030', 'unavailable', 'an I/O error'],
    ['40001', 'unavailable', 'a serialization failure'],
    ['40P01', 'unavailable', 'a deadlock'],
    ['55P03', 'unavailable', 'waiting for the lock timed out'],
    ['25006', 'unavailable', 'the server is a standby'],
    ['XX000', 'unavailable', 'an internal error, which poolers return'],

    ['PGRST106', 'misconfigured', 'the schema is not exposed'],
    ['PGRST200', 'misconfigured', 'a stale schema cache'],
    ['PGRST202', 'misconfigured', 'PostgREST does not find the function'],
    ['PGRST203', 'misconfigured', 'the function is overloaded'],
    ['PGRST300', 'misconfigured', 'no JWT secret'],
    ['PGRST301', 'misconfigured', 'the key is wrong'],
    ['PGRST302', 'misconfigured', 'no key'],
    ['PGRST303', 'misconfigured', 'the key has expired'],
    ['42883', 'misconfigured', 'the function does not exist'],
    ['42P01', 'misconfigured', 'the table does not exist'],
    ['3F000', 'misconfigured', 'the schema does not exist'],
    ['42501', 'misconfigured', 'permission denied'],
    ['28P01', 'misconfigured', 'the password is wrong'],
    ['28000', 'misconfigured', 'the role may not log in'],
    ['PT404', 'misconfigured', 'the queue does not exist'],
    ['PT412', 'misconfigured', 'the schema is behind the code'],

    ['PT409', 'refused', 'a conflict raised by Punctual'],
    ['P0001', 'refused', 'an exception that a function raised'],
    ['22P02', 'refused', 'a text that is not a UUID'],
    ['22P05', 'refused', 'a character that cannot be stored'],
    ['22008', 'refused', 'a time out of range'],
    ['22023', 'refused', 'an invalid argument'],
    ['23505', 'refused', 'a duplicate key'],
    ['23514', 'refused', 'a check that failed'],
    ['23503', 'refused', 'a foreign key that failed'],
    ['42601', 'refused', 'a syntax error'],
    ['42703', 'refused', 'the column does not exist'],
    ['54000', 'refused', 'a program limit was exceeded'],
    ['PGRST100', 'refused', 'a query that PostgREST cannot parse'],
    ['PGRST116', 'refused', 'not exactly one row'],

    // Only whole codes match.
    ['x42883', 'refused', 'a code that contains another'],
    ['428830', 'refused', 'a code that begins with another'],
    ['4000', 'refused', 'half a code'],
  ])('%j is %s: %s', (code, kind) => {
    expect(storeErrorKind(code)).toBe(kind);
  });
});
