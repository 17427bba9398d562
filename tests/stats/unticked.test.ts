import { describe, expect, it } from 'vitest';
import { whyUnticked } from '../../lib/stats/unticked.ts';
import { ago, lastTick, nowMs, partition, queueStats } from '../dashboard/queue-stats.ts';

describe('a queue without ticks', () => {
  const due = { count: 3, approximate: false };
  const reasonFor = (changes: Parameters<typeof queueStats>[0]) => whyUnticked(queueStats(changes), nowMs);
  const late = lastTick({ started_at: ago(720), closed_at: ago(719) });

  it('is reported once rows have been due for a while', () => {
    expect(reasonFor({ due_now: due, oldest_due_seconds: 700, last_tick: late })).toBe('no tick for 12 min');
    expect(reasonFor({ due_now: due, oldest_due_seconds: 700, last_tick: null })).toBe(
      'nothing ticks it: 3 rows are due. Have a scheduler call /api/cron/dm-queue (docs/schedulers.md).',
    );
    expect(reasonFor({ due_now: due, oldest_due_seconds: 20, last_tick: null })).toBeNull();
    expect(reasonFor({ due_now: due })).toBeNull();
    expect(reasonFor({ last_tick: late })).toBeNull();
    expect(reasonFor({ due_now: due, last_tick: late, paused_at: ago(600) })).toBeNull();
  });

  it('is reported at once if the code does not know it', () => {
    expect(reasonFor({ name: 'trials', due_now: due, oldest_due_seconds: 1, last_tick: null })).toMatch(
      /^nothing ticks it: 3 rows are due\. Give it a route/,
    );
    expect(reasonFor({ name: 'trials', last_tick: null })).toBeNull();
    expect(reasonFor({ name: 'trials', due_now: due })).toBeNull();
  });

  it('is not reported if all due rows are held or paused', () => {
    const blocked = partition('blocking', {
      due: 3,
      waiting: 'row 4 failed, will be retried, and goes first',
    });
    const paused = partition('mail', { due: 3, paused_at: ago(900) });
    const stale = { due_now: due, last_tick: late };
    expect(reasonFor({ ...stale, partitions: [blocked, paused] })).toBeNull();
    expect(reasonFor({ ...stale, partitions: [blocked, partition('default', { due: 1 })] })).toBe(
      'no tick for 12 min',
    );
  });
});
