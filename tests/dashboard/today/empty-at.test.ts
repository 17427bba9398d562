import { expect, it } from 'vitest';
import { emptyAt } from '../../../app/(dashboard)/today/empty-at.ts';
import { ago, now, nowMs, queueStats } from '../queue-stats.ts';

const settled = { done: 60, retried: 9, dead: 0, unknown: 0 };
const due = (count: number) => ({ due_now: { count, approximate: false } });
const at = (changes: Parameters<typeof queueStats>[0]) => emptyAt(queueStats(changes), now);

it('a queue is empty when its due rows are done at the pace of the last hour', () => {
  const throughput = [{ at: ago(3_600), ...settled }];
  expect(at({ ...due(0), throughput })).toBe('empty');
  expect(at({ ...due(30), throughput })).toBe(new Date(nowMs + 1_800_000).toISOString());
  expect(at({ ...due(30), throughput, paused_at: now })).toBe('unknown');
  expect(at(due(30))).toBe('unknown');
});
