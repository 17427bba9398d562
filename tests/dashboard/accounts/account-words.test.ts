import { describe, expect, it } from 'vitest';
import { accountState, nextSend, openDays } from '../../../app/(dashboard)/accounts/account-words.ts';
import type { AccountWithPace } from '../../../lib/operate/account-pace.ts';
import { ago, nowMs } from '../queue-stats.ts';

const pace = {
  queue: 'dm_queue',
  used: 5,
  limit: 30,
  left: 25,
  opens_at: ago(0),
  waits: [],
  due: 0,
  next_due_at: null,
};
const account = (changes: Partial<AccountWithPace> = {}) =>
  ({
    ...{ paused_until: null, paused_reason: null, refused: null, hours: null },
    pace: [{ ...pace, next_send_at: null }],
    ...changes,
  }) as AccountWithPace;
const state = (changes?: Partial<AccountWithPace>) => accountState(account(changes), nowMs);

describe('the state of an account', () => {
  it('is that it may send if nothing holds it in one of its queues', () => {
    const limited = {
      ...pace,
      waits: [{ kind: 'daily_limit', until: ago(-60), text: 'daily limit reached' }],
    };
    expect(state().word).toBe('may send');
    expect(state({ pace: [] }).word).toBe('may send');
    expect(state({ pace: [limited, pace] as AccountWithPace['pace'] }).word).toBe('may send');
    expect(state({ pace: [limited] as AccountWithPace['pace'] })).toEqual({
      ...{ tone: 'muted', word: 'waits', reason: 'daily limit reached', until: ago(-60) },
    });
  });

  it('is what the rows wait for if only queues without rows may send', () => {
    const waits = [{ kind: 'daily_limit', until: ago(-60), text: 'daily limit reached' }];
    const queues = [{ ...pace, due: 5, waits }, pace] as AccountWithPace['pace'];
    expect(state({ pace: queues }).word).toBe('waits');
  });

  it('is a pause until it ends', () => {
    expect(state({ paused_until: 'infinity', paused_reason: 'asked to' })).toEqual({
      ...{ tone: 'warn', word: 'paused', reason: 'asked to', until: null },
    });
    expect(state({ paused_until: ago(-60) }).until).toBe(ago(-60));
    expect(state({ paused_until: ago(60), paused_reason: 'asked to' }).word).toBe('may send');
  });

  it('is a refusal before a pause', () => {
    expect(state({ refused: 'locked', paused_until: ago(-60) })).toMatchObject({
      word: 'refused',
      reason: 'locked',
    });
  });
});

it('the next sending time is the earliest of all queues', () => {
  const at = (next_send_at: string | null) => ({ ...pace, next_send_at });
  expect(nextSend([at(null), at(ago(-120)), at(ago(-60))])).toBe(ago(-60));
  expect(nextSend([at(null)])).toBeNull();
});

it('the hours of a week are spans of a day, and a day that is left out is closed', () => {
  const [monday, tuesday] = openDays({ mon: ['13:30-18:00', '09:00-12:30'] });
  expect(monday).toEqual({
    day: 'Monday',
    spans: [
      { from: 9, to: 12.5 },
      { from: 13.5, to: 18 },
    ],
    text: '09:00–12:30, 13:30–18:00',
  });
  expect(tuesday?.text).toBe('closed');
  expect(openDays(null).every(({ text }) => text === 'all day')).toBe(true);
});
