import { describe, expect, it } from 'vitest';
import { overviewLines } from '../../../app/(dashboard)/overview/overview-lines.ts';
import { ago, ledgerTick, now, nowMs, partition, queueStats } from '../queue-stats.ts';

describe('overviewLines', () => {
  it('returns a line for each queue, followed by a line for each of its named partitions', () => {
    const jobs = queueStats({ name: 'jobs', partitions: [partition('blocking'), partition('default')] });
    const lines = overviewLines([queueStats(), jobs, queueStats({ name: 'posts' })], now);
    expect(lines.map(({ name, partOf, href }) => [name, partOf, href])).toEqual([
      ['dm_queue', null, '#queue-dm_queue'],
      ['jobs', null, '#queue-jobs'],
      ['blocking', 'jobs', '#queue-jobs'],
      ['default', 'jobs', '#queue-jobs'],
      ['posts', null, '#queue-posts'],
    ]);
  });

  it('sums the last hour in the queue’s own words and omits zero counts', () => {
    const minute = { minute: ago(60), done: 3, retried: 0, dead: 1, unknown: 0 };
    const [line] = overviewLines([queueStats({ throughput: [minute, { ...minute, minute: ago(0) }] })], now);
    expect(line?.settled).toEqual([
      { kind: 'done', label: 'sent', count: 6 },
      { kind: 'dead', label: 'failed', count: 2 },
    ]);
  });

  it('gives the time since which the oldest row has been due', () => {
    const [waiting, idle] = overviewLines(
      [queueStats({ oldest_due_seconds: 90 }), queueStats({ name: 'posts' })],
      now,
    );
    expect(waiting?.oldestDueAtMs).toBe(nowMs - 90_000);
    expect(idle?.oldestDueAtMs).toBeNull();
  });

  it('gives the last tick of a queue, and that of a partition only if the ledger lists it', () => {
    const ticks = [
      ledgerTick({ partition: 'default', started_at: ago(4), closed_at: null, outcome: 'running' }),
      ledgerTick({ partition: 'blocking', started_at: ago(60), closed_at: ago(50) }),
    ];
    const partitions = [
      partition('default', { last_tick_at: ago(4) }),
      // Its last tick was idle, and idle ticks are not listed.
      partition('blocking', { last_tick_at: ago(10) }),
      partition('failed', { last_tick_at: null }),
    ];
    const [queue, ...parts] = overviewLines([queueStats({ ticks, partitions })], now);
    expect(queue?.lastTick).toEqual({ at: ago(4), tick: ticks[0] });
    expect(parts.map(({ lastTick }) => lastTick)).toEqual([
      { at: ago(4), tick: ticks[0] },
      { at: ago(10), tick: null },
      null,
    ]);
  });

  it('calls a queue healthy only if all of its partitions are', () => {
    const paused = partition('mail', { paused_at: ago(9) });
    const [one, other] = overviewLines(
      [queueStats({ partitions: [paused] }), queueStats({ name: 'posts' })],
      now,
    ).filter(({ partOf }) => partOf === null);
    expect([one?.isHealthy, one?.troubles]).toEqual([false, []]);
    expect(other?.isHealthy).toBe(true);
  });
});
