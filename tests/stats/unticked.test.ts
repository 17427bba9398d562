import { describe, expect, it } from 'vitest';
import { whyUnticked } from '../../lib/stats/unticked.ts';
import { ago, ledgerTick, nowMs, partition, queueStats } from '../dashboard/queue-stats.ts';

describe('a queue that no tick comes to', () => {
  const due = { count: 3, approximate: false };
  const why = (changes: Parameters<typeof queueStats>[0]) => whyUnticked(queueStats(changes), nowMs);
  const late = [ledgerTick({ started_at: ago(720), closed_at: ago(719) })];

  it('is told of once rows have been due for a while', () => {
    expect(why({ due_now: due, oldest_due_seconds: 700, ticks: late })).toBe('no tick for 12 min');
    expect(why({ due_now: due, oldest_due_seconds: 700, ticks: [] })).toBe(
      'nothing ticks it: 3 rows are due. Have a scheduler call /api/cron/dm-queue (docs/schedulers.md).',
    );
    expect(why({ due_now: due, oldest_due_seconds: 20, ticks: [] })).toBeNull();
    expect(why({ due_now: due })).toBeNull();
    expect(why({ ticks: late })).toBeNull();
    expect(why({ due_now: due, ticks: late, paused_at: ago(600) })).toBeNull();
  });

  it('is told of at once where the code does not know it', () => {
    expect(why({ name: 'trials', due_now: due, oldest_due_seconds: 1, ticks: [] })).toMatch(
      /^nothing ticks it: 3 rows are due\. Give it a route/,
    );
    expect(why({ name: 'trials', ticks: [] })).toBeNull();
    expect(why({ name: 'trials', due_now: due })).toBeNull();
  });

  it('is not told of where all that is due is held back', () => {
    const blocked = partition('blocking', {
      due: 3,
      waiting: 'row 4 failed, is tried again, and goes first',
    });
    const paused = partition('mail', { due: 3, paused_at: ago(900) });
    const stale = { due_now: due, ticks: late };
    expect(why({ ...stale, partitions: [blocked, paused] })).toBeNull();
    expect(why({ ...stale, partitions: [blocked, partition('default', { due: 1 })] })).toBe(
      'no tick for 12 min',
    );
  });
});
