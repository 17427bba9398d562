import { expect, it } from 'vitest';
import { explanationHeadline } from '../../../../../app/(dashboard)/queues/[queue]/rows/[id]/explanation-headline.ts';
import { clockTime } from '../../../../../components/time/clock-time.ts';
import type { Explanation } from '../../../../../lib/store/explanation.ts';

/** An instant in the local time zone, in which the page shows times. */
const at = (day: number, hour: number, minute = 0) => new Date(2026, 2, day, hour, minute).toISOString();
const nowMs = Date.parse(at(10, 15));

const pending: Explanation = {
  queue: 'dm_queue',
  id: '12',
  status: 'pending',
  state: 'pending',
  due_at: at(10, 14),
  attempts: 0,
  max_attempts: 5,
  last_error: null,
  finished_at: null,
  waits: [],
  ahead: null,
  expected_at: null,
  tick: null,
  lease_expires_at: null,
  reconcile: null,
  history: [],
};

const wait = (kind: string, text: string, until: string | null) => ({ kind, text, until });
const gap = wait('gap', 'keeps the gap between two messages', at(10, 15, 5));
const limit = wait('daily_limit', 'daily limit reached', at(11, 0));
const due = wait('due', 'not due yet', at(10, 18));
const noAccount = wait('no_account', 'it has no account', null);
const tick = wait('tick', 'the next tick takes it', null);
// Postgres' infinity is no time.
const paused = wait('paused', 'paused: asked to', 'infinity');

const check = { checks: 1, checked_at: at(10, 14, 59), next_check_at: at(10, 15, 2), found: 'nothing yet' };
const unknown = { state: 'unknown', status: 'unknown' } as const;
const undecided = { ...check, next_check_at: null, waits_for_operator: true };

it.each<[changes: Partial<Explanation>, headline: string]>([
  // The wait that ends last.
  [
    { waits: [gap, limit, tick], expected_at: at(11, 9) },
    'Waits: daily limit reached until 00:00 tomorrow. Expected about 09:00 tomorrow.',
  ],
  [{ waits: [due], expected_at: at(10, 18) }, 'Waits: not due yet until 18:00. Expected then.'],
  // The wait that no time ends.
  [{ waits: [due, noAccount, tick] }, 'Waits: it has no account.'],
  [{ waits: [paused] }, 'Waits: paused: asked to.'],
  [{ waits: [tick], expected_at: at(10, 15, 1) }, 'Waits for the next tick. Expected about 15:01.'],
  [{}, 'Nothing holds it.'],
  [{ state: 'done', status: 'sent', finished_at: at(9, 8, 30) }, 'Sent at 08:30 yesterday.'],
  [
    { state: 'dead', status: 'failed', finished_at: at(10, 8), last_error: 'no such person' },
    'Failed at 08:00: no such person',
  ],
  [{ state: 'cancelled', status: 'cancelled' }, 'Cancelled.'],
  [
    { ...unknown, reconcile: { ...check, waits_for_operator: false } },
    'Unknown: it may or may not have worked. Next check at 15:02.',
  ],
  [
    { ...unknown, reconcile: undecided },
    'Unknown: it may or may not have worked. It waits for your decision.',
  ],
])('explanationHeadline says of %j: %s', (changes, headline) => {
  expect(explanationHeadline({ ...pending, ...changes }, nowMs)).toBe(headline);
});

it.each([
  ['today', at(10, 9, 5), '09:05'],
  ['tomorrow', at(11, 23, 59), '23:59 tomorrow'],
  ['yesterday', at(9, 0), '00:00 yesterday'],
  ['on another day', at(14, 9), '09:00 on Sat 14 Mar'],
  ['in another year', new Date(2027, 0, 1, 9).toISOString(), '09:00 on Fri 1 Jan 2027'],
])('clockTime shows a time %s with only as much of the date as it needs', (_day, instant, expected) => {
  expect(clockTime(instant, nowMs)).toBe(expected);
});
