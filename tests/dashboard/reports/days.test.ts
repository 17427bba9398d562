import { expect, it } from 'vitest';
import { dayName, queueDays } from '../../../app/(dashboard)/reports/queue-days.ts';
import { uptimeDays } from '../../../app/(dashboard)/reports/uptime-days.ts';
import type { Analytics } from '../../../lib/store/analytics.ts';

const measured = { p50_seconds: 2, p95_seconds: 9, p99_seconds: 12 };
const unmeasured = { p50_seconds: null, p95_seconds: null, p99_seconds: null };
const today = { day: '2026-03-02', partial: true };
const yesterday = { day: '2026-03-01', partial: false };
const dms = { ...today, ...measured, queue: 'dm_queue', outcome: 'done', rows: 178 } as const;
const monitors = { ...dms, queue: 'monitors', outcome: 'up', rows: 400 } as const;

const rolled = { time_zone: 'UTC', rolled_until: '2026-03-02', rolled_at: '2026-03-02T12:00:00Z' };
const linesOf = (changes: Pick<Analytics, 'totals'> & Partial<Analytics>) =>
  queueDays({ ...rolled, problems: [], days: [], monitors: [], ...changes });

it('queueDays returns one line for each day and queue, the newest day first, with the outcomes that occurred', () => {
  const totals = [
    { ...dms, ...yesterday, rows: 90 },
    { ...dms, ...unmeasured, outcome: 'dead' as const, rows: 3 },
    { ...monitors, outcome: 'down' as const, rows: 60, p50_seconds: 5 },
    monitors,
    dms,
  ];
  const lines = linesOf({ totals }).map(({ day, partial, queue, outcomes, p50, p95 }) => {
    const counts = outcomes.map(({ outcome, rows }) => `${rows} ${outcome}`).join(', ');
    return `${day}${partial ? ' so far' : ''} ${queue}: ${counts} in ${p50} to ${p95} s`;
  });
  expect(lines).toEqual([
    '2026-03-02 so far dm_queue: 178 done, 3 dead in 2 to 9 s',
    '2026-03-02 so far monitors: 400 up, 60 down in 2 to 9 s',
    '2026-03-01 dm_queue: 90 done in 2 to 9 s',
  ]);
});

it('queueDays lists the accounts of a day, the busiest first, and sums the rest at the end', () => {
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
  const [line] = linesOf({ totals: [dms], days });
  const accounts = line?.accounts.map(({ name, outcomes, p50 }) => `${name}: ${outcomes[0]?.rows} in ${p50}`);
  const known = ['Bob: 50 in 2', 'Ann: 20 in 2', 'Eve (deleted): 5 in 2', 'no account: 1 in 2'];
  expect(accounts).toEqual([...known, 'all others: 99 in null']);
});

it('uptimeDays returns a column for each day, with a gap if a monitor was not checked', () => {
  const checks = { checks: 10, up: 10, degraded: 0, down: 0, p50_ms: 80, p95_ms: 120, p99_ms: 140 };
  const day = (monitor: string, uptime = 1) => ({
    ...today,
    monitor_id: monitor,
    monitor,
    ...checks,
    uptime,
  });
  const { days, monitors } = uptimeDays([day('Fax', 0.4), day('Shop'), { ...day('Shop'), ...yesterday }]);
  expect(days).toEqual([today, yesterday]);
  const lines = monitors.map(({ name, alwaysUp, byDay }) => [
    name,
    alwaysUp,
    ...byDay.map((one) => one?.uptime),
  ]);
  expect(lines).toEqual([
    ['Fax', false, 0.4, undefined],
    ['Shop', true, 1, 1],
  ]);
});

it('dayName names a day the same in every time zone', () => {
  expect(dayName('2026-11-22')).toBe('Sun 22 Nov');
});
