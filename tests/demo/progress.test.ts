import { expect, it } from 'vitest';
import { progressLine } from '@/scripts/demo/progress.ts';
import { checksIn, countIncidents, watchLine } from '@/scripts/demo/watch-line.ts';
import { queueStats } from '../dashboard/queue-stats.ts';

function queues(counts: Record<string, { done: number; dead?: number; pending?: number }>) {
  return Object.entries(counts).map(([name, { done, dead = 0, pending = 0 }]) => {
    const queue = queueStats({ name });
    const exactly = (count: number) => ({ count, approximate: false });
    queue.states = { ...queue.states, done: exactly(done), dead: exactly(dead), pending: exactly(pending) };
    return queue;
  });
}

it('the progress line counts the outcomes of each queue since the demo started', () => {
  const before = queues({ dm_queue: { done: 1_000 }, posts: { done: 7 }, jobs: { done: 0, dead: 2 } });
  const now = queues({
    dm_queue: { done: 1_178, dead: 4, pending: 18 },
    posts: { done: 25, pending: 6 },
    jobs: { done: 38, dead: 3 },
    // Monitors are always pending until their next check.
    monitors: { done: 0, pending: 40 },
  });
  const line = progressLine(before, now, 0);
  expect(line).toBe('178 sent, 18 published, 38 jobs · 0 unknown, 5 failed · 0 sent twice · 24 wait');
  // With the seconds in front, the important part fits a terminal of 80 columns.
  expect(`  90 s  ${line}`.indexOf(' · 24 wait')).toBeLessThan(80);
});

it('the progress line adds the reasons why due rows wait, each once', () => {
  const now = queues({ dm_queue: { done: 1 }, posts: { done: 0 } }).map((queue) => ({
    ...queue,
    waiting: [{ reason: 'daily limit reached', accounts: 1, until: '2026-03-03T00:00:00Z' }],
  }));
  expect(progressLine([], now, 1)).toBe(
    '1 sent, 0 published, 0 jobs · 0 unknown, 0 failed · 1 sent twice · 0 wait · daily limit reached',
  );
});

it('the monitors’ line fits 80 columns', () => {
  const line = watchLine({ checks: 1_402, opened: 12, closed: 10, open: 8 });
  expect(line).toBe('1402 checks · 12 incidents opened, 10 closed, 8 open');
  expect(`       ${line}`.length).toBeLessThan(80);
});

it('checks are counted only from reports of monitors’ ticks', () => {
  const body = { queue: 'monitors', counts: { again: 14, done: 0 } };
  expect([body, { ...body, queue: 'jobs' }, null].map((one) => checksIn({ body: one }))).toEqual([14, 0, 0]);
});

it('opened and closed incidents are counted since the demo started, open ones regardless of age', () => {
  const [before, since] = ['2026-03-02T11:00:00Z', '2026-03-02T12:00:01Z'];
  const incidents = [
    { opened_at: before, closed_at: before },
    { opened_at: before, closed_at: null },
    { opened_at: before, closed_at: since },
    { opened_at: since, closed_at: since },
    { opened_at: since, closed_at: null },
  ];
  const counts = countIncidents(incidents, Date.parse('2026-03-02T12:00:00Z'));
  expect(counts).toEqual({ opened: 2, closed: 2, open: 2 });
});
