import { describe, expect, it } from 'vitest';
import { overviewLines } from '../../../app/(dashboard)/overview/overview-lines.ts';
import { ago, ledgerTick, now, nowMs, partition, queueStats } from '../queue-stats.ts';

const posts = queueStats({ name: 'posts' });

describe('overviewLines', () => {
  it('returns a line for each queue, followed by a line for each of its named partitions', () => {
    const jobs = queueStats({ name: 'jobs', partitions: [partition('blocking'), partition('default')] });
    const lines = overviewLines([queueStats(), jobs, posts], now);
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
    const throughput = [minute, { ...minute, minute: ago(0) }];
    const settled = [
      { kind: 'done', label: 'sent', count: 6 },
      { kind: 'dead', label: 'failed', count: 2 },
    ];
    expect(overviewLines([queueStats({ throughput })], now)).toMatchObject([{ settled }]);
  });

  it('gives the time since which the oldest row has been due', () => {
    const lines = overviewLines([queueStats({ oldest_due_seconds: 90 }), posts], now);
    expect(lines.map(({ oldestDueAtMs }) => oldestDueAtMs)).toEqual([nowMs - 90_000, null]);
  });

  it('gives the last tick of a queue, and that of a partition only if the ledger lists it', () => {
    const running = { started_at: ago(4), closed_at: null, outcome: 'running' as const };
    const tick = ledgerTick({ partition: 'default', ...running });
    const earlier = ledgerTick({ partition: 'blocking', started_at: ago(60), closed_at: ago(50) });
    const partitions = [
      partition('default', { last_tick_at: ago(4) }),
      // Its last tick was idle, and idle ticks are not listed.
      partition('blocking', { last_tick_at: ago(10) }),
      partition('failed', { last_tick_at: null }),
    ];
    const lines = overviewLines([queueStats({ ticks: [tick, earlier], partitions })], now);
    const last = { at: ago(4), tick };
    expect(lines.map(({ lastTick }) => lastTick)).toEqual([last, last, { at: ago(10), tick: null }, null]);
  });

  it('calls a queue healthy only if all of its partitions are', () => {
    const paused = queueStats({ partitions: [partition('mail', { paused_at: ago(9) })] });
    const queues = overviewLines([paused, posts], now).filter(({ partOf }) => partOf === null);
    expect(queues).toMatchObject([{ isHealthy: false, troubles: [] }, { isHealthy: true }]);
  });
});
