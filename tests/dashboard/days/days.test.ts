import { describe, expect, it } from 'vitest';
import { dayName, queueDays } from '../../../app/(dashboard)/days/queue-days.ts';
import { uptimeDays } from '../../../app/(dashboard)/days/uptime-days.ts';
import type { Analytics } from '../../../lib/store/analytics.ts';

const seconds = { p50_seconds: 2, p95_seconds: 9, p99_seconds: 12 };
const unmeasured = { p50_seconds: null, p95_seconds: null, p99_seconds: null };
const [today, yesterday] = [
  { day: '2026-03-02', partial: true },
  { day: '2026-03-01', partial: false },
];
const dms = { ...today, ...seconds, queue: 'dm_queue', outcome: 'done', rows: 178 } as const;

function analytics(changes: Partial<Analytics>): Analytics {
  return {
    time_zone: 'UTC',
    rolled_until: '2026-03-02',
    rolled_at: '2026-03-02T12:00:00Z',
    problems: [],
    totals: [],
    days: [],
    monitors: [],
    ...changes,
  };
}

describe('queueDays', () => {
  it('returns one line for each day and queue, the newest day first, with the outcomes that occurred', () => {
    const lines = queueDays(
      analytics({
        totals: [
          { ...dms, ...yesterday, rows: 90 },
          { ...dms, ...unmeasured, outcome: 'dead', rows: 3 },
          { ...dms, queue: 'monitors', outcome: 'down', rows: 60, p50_seconds: 5 },
          { ...dms, queue: 'monitors', outcome: 'up', rows: 400 },
          dms,
        ],
      }),
    );
    const summaries = lines.map(({ day, partial, queue, outcomes, p50, p95 }) => [
      `${day}${partial ? ' so far' : ''} ${queue}`,
      outcomes.map(({ outcome, rows }) => `${rows} ${outcome}`).join(', '),
      p50,
      p95,
    ]);
    expect(summaries).toEqual([
      ['2026-03-02 so far dm_queue', '178 done, 3 dead', 2, 9],
      ['2026-03-02 so far monitors', '400 up, 60 down', 2, 9],
      ['2026-03-01 dm_queue', '90 done', 2, 9],
    ]);
  });

  it('lists the accounts of a day, the busiest first, and sums the rest at the end', () => {
    const entry = (account: string | null, rows: number) =>
      ({ ...dms, account_id: account, account, others: false, rows }) as const;
    const days = [
      { ...entry(null, 99), ...unmeasured, others: true },
      entry('Ann', 20),
      { ...entry('Ann', 4), outcome: 'dead' as const },
      entry('Bob', 50),
      { ...entry('Eve', 5), account: null },
      entry(null, 1),
      { ...entry('Bob', 7), ...yesterday },
    ];
    const [line] = queueDays(analytics({ totals: [dms], days }));
    const accounts = line?.accounts.map(({ name, outcomes, p50 }) => [name, outcomes[0]?.rows, p50]);
    expect(accounts).toEqual([
      ['Bob', 50, 2],
      ['Ann', 20, 2],
      ['Eve (deleted)', 5, 2],
      ['no account', 1, 2],
      ['all others', 99, null],
    ]);
  });
});

describe('uptimeDays', () => {
  const day = (monitor: string, changes: Partial<Analytics['monitors'][number]> = {}) => ({
    ...today,
    monitor_id: monitor,
    monitor,
    checks: 10,
    up: 10,
    degraded: 0,
    down: 0,
    uptime: 1,
    p50_ms: 80,
    p95_ms: 120,
    p99_ms: 140,
    ...changes,
  });

  it('returns a column for each day, with a gap if a monitor was not checked', () => {
    const entries = [day('Fax', { uptime: 0.4 }), day('Shop'), day('Shop', yesterday)];
    const { days, monitors } = uptimeDays(entries);
    expect(days).toEqual([today, yesterday]);
    expect(monitors.map(({ name, byDay }) => [name, ...byDay.map((one) => one?.uptime ?? null)])).toEqual([
      ['Fax', 0.4, null],
      ['Shop', 1, 1],
    ]);
    expect(monitors.map(({ alwaysUp }) => alwaysUp)).toEqual([false, true]);
  });
});

it('dayName names a day the same in every time zone', () => {
  expect(dayName('2026-11-22')).toBe('Sun 22 Nov');
});
