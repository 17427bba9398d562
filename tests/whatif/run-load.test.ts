import { describe, expect, it } from 'vitest';
import type { QueueStats } from '../../lib/store/stats.ts';
import type { LedgerTick } from '../../lib/store/ticks.ts';
import { loadOfHistory } from '../../scripts/whatif/load-of-history.ts';
import { defaultLoad, runLoad } from '../../scripts/whatif/run-load.ts';
import { tableOfResults } from '../../scripts/whatif/tables.ts';
import { testDatabase } from '../support/fixtures.ts';

const database = testDatabase({ own: true });
const setting = { batchLimit: 30, concurrency: 5 };

describe('a load', () => {
  it('without due rows is one call, and none of it waits', async () => {
    const result = await runLoad(database, { ...defaultLoad, backlog: 0 }, setting);
    expect(result).toMatchObject({ drainMs: [], drainedAfterMs: 0, done: 0, lateMs: null, calls: 1 });
  });

  it('of rows that fall due evenly is done by a tick at each slot', async () => {
    const load = {
      ...defaultLoad,
      delivery: 'at-least-once' as const,
      backlog: 0,
      perHour: 60,
      rowMs: [100, 200] as [number, number],
    };
    const result = await runLoad(database, load, setting);
    expect(result).toMatchObject({ done: 60, throttled: 0, outOfTime: 0 });
    // A row waits for a slot, five minutes at most, and for the rows before it.
    expect(result.lateMs).toBeGreaterThan(240_000);
    expect(result.lateMs).toBeLessThan(301_000);
  });

  it('that a provider limits is throttled, and done in the end', async () => {
    const load = { ...defaultLoad, backlog: 20, perMinute: 5, everySeconds: 60 };
    const result = await runLoad(database, load, setting);
    expect(result.done).toBe(20);
    expect(result.throttled).toBeGreaterThan(0);
    expect(result.drainedAfterMs).toBeGreaterThanOrEqual(120_000);
  });

  it('that does not fit into a tick runs out of time, and goes on at the next slot', async () => {
    const load = { ...defaultLoad, backlog: 40, rowMs: [10_000, 10_000] as [number, number] };
    const result = await runLoad(database, load, { batchLimit: 100, concurrency: 2 });
    expect(result.done).toBe(40);
    expect(result.outOfTime).toBeGreaterThan(1);
  });

  it('of rows that take longer than a queue’s timeout runs all the same', async () => {
    const load = { ...defaultLoad, backlog: 2, rowMs: [20_000, 30_000] as [number, number] };
    expect(await runLoad(database, load, setting)).toMatchObject({ done: 2, throttled: 0 });
  });

  it('obeys the accounts’ limits: what they hold back is not drained', async () => {
    const load = { ...defaultLoad, backlog: 20, accounts: 2, dailyLimit: 5 };
    const result = await runLoad(database, load, setting);
    expect(result.done).toBe(10);
    expect(tableOfResults([{ load, setting, result }]).at(-1)).toContain('| 20 | 10 | not drained |');
  });
});

describe('a load from the ledger', () => {
  // A person's tick, and ticks with idle ones between them.
  const ticks = [0, 300, 1_500].map((seconds) => ({
    claimed: 5,
    schedule: seconds === 0 ? null : '*/5 * * * *',
    started_at: new Date(Date.parse('2026-03-02T12:10:00Z') - seconds * 1_000).toISOString(),
    report: { performMs: { p50: 400, p95: 600 }, budgetMs: 45_000 },
  })) as unknown as LedgerTick[];
  const queue = {
    name: 'posts',
    delivery: 'at-least-once',
    due_now: { count: 7 },
    throughput: [{ done: 30 }, { done: 12 }],
    settings: { batch_limit: 40, concurrency: 7 },
  } as unknown as QueueStats;

  it('has its due rows, its rate, the times of its rows, its schedule and its settings', () => {
    expect(loadOfHistory(queue, ticks)).toEqual({
      load: {
        delivery: 'at-least-once',
        backlog: 7,
        perHour: 42,
        rowMs: [200, 600],
        everySeconds: 300,
        limitSeconds: 60,
      },
      setting: { batchLimit: 40, concurrency: 7 },
    });
  });

  it('is refused for a queue that has run nothing', () => {
    expect(() => loadOfHistory(queue, [])).toThrow(
      'posts has run no rows yet. Leave out --history, and give --row and --backlog',
    );
  });
});
