import type { Mutant } from './mutant.ts';

/** Each lets exchanges of one tick that run at the same time disturb each other, and a test must fail. */
export const laneMutants: Mutant[] = [
  {
    name: 'lanes: the lock of an exchange',
    guarantee: 'a copy of an exchange that still runs claims nothing',
    file: 'supabase/schemas/exchange/open-call.sql',
    find: "perform pg_advisory_xact_lock(hashtext(p_tick->>'id'), p_seq);",
    replace: '',
    seenBy: 'real/lanes.real.test.ts',
  },
  {
    name: 'lanes: the wait of an exchange that closes the tick',
    guarantee: 'a tick is closed after all of its exchanges',
    file: 'supabase/schemas/exchange/open-call.sql',
    find: 'p_seq > 1 and not p_closes and',
    replace: 'p_seq > 1 and',
    seenBy: 'real/lanes.real.test.ts',
  },
  {
    name: 'lanes: one at a time under a batch limit',
    guarantee: 'a tick claims no more than its batch limit',
    file: 'supabase/schemas/exchange/open-call.sql',
    find: 'and coalesce(v_partition.batch_limit, q.batch_limit) is null and',
    replace: 'and',
    seenBy: 'real/lanes.real.test.ts',
  },
  {
    name: 'lanes: the sum of their counts',
    guarantee: 'the ledger counts every exchange',
    file: 'supabase/schemas/exchange/steps.sql',
    find: 'claimed = x.claimed + v_new,',
    replace: 'claimed = t.claimed,',
    seenBy: 'real/lanes.real.test.ts',
  },
];
