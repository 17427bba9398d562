import { expect, it } from 'vitest';
import { storeErrorKind } from '../../lib/store/store-error-kind.ts';

it.each([
  ['unavailable: no response or no code', [null, '']],
  ['unavailable: PostgREST has no connection or no schema cache yet', ['PGRST000', 'PGRST002', 'PGRST003']],
  ['unavailable: the connection broke, or there are too many', ['08000', '08006', '53300']],
  ['unavailable: the disk is full, or an I/O error', ['53100', '58030']],
  ['unavailable: the statement timed out', ['57014']],
  ['unavailable: the server stops, starts or is a standby', ['57P01', '57P03', '25006']],
  ['unavailable: a serialization failure, a deadlock or a lock timeout', ['40001', '40P01', '55P03']],
  ['unavailable: an internal error, which poolers return', ['XX000']],
  [
    'misconfigured: the schema is not exposed, or its cache stale',
    ['PGRST106', 'PGRST200', 'PGRST202', 'PGRST203'],
  ],
  ['misconfigured: the key is missing, wrong or expired', ['PGRST300', 'PGRST301', 'PGRST302', 'PGRST303']],
  ['misconfigured: the function, table or schema does not exist', ['42883', '42P01', '3F000']],
  ['misconfigured: we lack a right or the password', ['42501', '28P01', '28000']],
  ['misconfigured: the queue does not exist, or the schema is behind', ['PT404', 'PT412']],
  ['refused: an exception of Punctual’s', ['PT409', 'P0001']],
  ['refused: a value that does not fit', ['22P02', '22P05', '22008', '22023']],
  ['refused: a constraint', ['23505', '23514', '23503']],
  ['refused: the statement is wrong', ['42601', '42703', '54000', 'PGRST100', 'PGRST116']],
  ['refused: only whole codes match', ['x42883', '428830', '4000']],
])('an error is %s: %j', (label, codes) => {
  for (const code of codes) expect(storeErrorKind(code), `${code}`).toBe(label.split(':')[0]);
});
