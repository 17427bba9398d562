import { describe, expect, it } from 'vitest';
import { explanationHeadline } from '../../../../app/(dashboard)/queue/why/explanation-headline.ts';
import { clockTime } from '../../../../components/time/clock-time.ts';
import type { Explanation } from '../../../../lib/store/explanation.ts';

/** An instant in the local time zone, in which the page shows times. */
const at = (day: number, hour: number, minute = 0) => new Date(2026, 2, day, hour, minute).toISOString();
const nowMs = Date.parse(at(10, 15));

function headline(changes: Partial<Explanation>): string {
  const row: Explanation = {
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
  return explanationHeadline({ ...row, ...changes }, nowMs);
}

const wait = (kind: string, text: string, until: string | null) => ({ kind, text, until });

describe('explanationHeadline', () => {
  it('names the wait that ends last and the time at which the row is expected', () => {
    const waits = [
      wait('gap', 'keeps the gap between two messages', at(10, 15, 5)),
      wait('daily_limit', 'daily limit reached', at(11, 0)),
      wait('tick', 'the next tick takes it', null),
    ];
    expect(headline({ waits, expected_at: at(11, 9) })).toBe(
      'Waits: daily limit reached until 00:00 tomorrow. Expected about 09:00 tomorrow.',
    );
  });

  it('gives the time only once if the row is expected when the wait ends', () => {
    const waits = [wait('due', 'not due yet', at(10, 18))];
    expect(headline({ waits, expected_at: at(10, 18) })).toBe(
      'Waits: not due yet until 18:00. Expected then.',
    );
  });

  it('names the wait that no time ends if the row has no expected time', () => {
    const waits = [
      wait('due', 'not due yet', at(10, 18)),
      wait('no_account', 'it has no account', null),
      wait('tick', 'the next tick takes it', null),
    ];
    expect(headline({ waits })).toBe('Waits: it has no account.');
  });

  it('treats Postgres’ infinity as no time', () => {
    expect(headline({ waits: [wait('paused', 'paused: asked to', 'infinity')] })).toBe(
      'Waits: paused: asked to.',
    );
  });

  it('says that the row waits for the next tick if it waits for nothing else', () => {
    const waits = [wait('tick', 'the next tick takes it', null)];
    expect(headline({ waits, expected_at: at(10, 15, 1) })).toBe(
      'Waits for the next tick. Expected about 15:01.',
    );
    expect(headline({})).toBe('Nothing holds it.');
  });

  it('gives the outcome of a settled row', () => {
    expect(headline({ state: 'done', status: 'sent', finished_at: at(9, 8, 30) })).toBe(
      'Sent at 08:30 yesterday.',
    );
    expect(
      headline({ state: 'dead', status: 'failed', finished_at: at(10, 8), last_error: 'no such person' }),
    ).toBe('Failed at 08:00: no such person');
    expect(headline({ state: 'cancelled', status: 'cancelled' })).toBe('Cancelled.');
  });

  it('says of an unknown row when the next check is, or that it waits for your decision', () => {
    const reconcile = {
      checks: 1,
      checked_at: at(10, 14, 59),
      next_check_at: at(10, 15, 2),
      found: 'nothing yet',
      waits_for_operator: false,
    };
    const unknown = { state: 'unknown', status: 'unknown' } as const;
    expect(headline({ ...unknown, reconcile })).toBe(
      'Unknown: it may or may not have worked. Next check at 15:02.',
    );
    expect(
      headline({ ...unknown, reconcile: { ...reconcile, next_check_at: null, waits_for_operator: true } }),
    ).toBe('Unknown: it may or may not have worked. It waits for your decision.');
  });
});

describe('clockTime', () => {
  it.each([
    ['today', at(10, 9, 5), '09:05'],
    ['tomorrow', at(11, 23, 59), '23:59 tomorrow'],
    ['yesterday', at(9, 0), '00:00 yesterday'],
    ['on another day', at(14, 9), '09:00 on Sat 14 Mar'],
    ['in another year', new Date(2027, 0, 1, 9).toISOString(), '09:00 on Fri 1 Jan 2027'],
  ])('shows a time %s with only as much of the date as it needs', (_day, instant, expected) => {
    expect(clockTime(instant, nowMs)).toBe(expected);
  });
});
