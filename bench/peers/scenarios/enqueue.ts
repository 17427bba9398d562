import type { Entries } from '../contenders/all-contenders.ts';
import type { Scenario } from './scenario.ts';

/** Jobs that are added by each contender's own bulk calls. */
export function enqueue(entries: Entries, { rows }: { rows: number }): Scenario {
  return {
    name: 'enqueue',
    title: `Enqueue: ${rows.toLocaleString('en')} jobs`,
    unit: 'jobs/s',
    isRate: true,
    entries: [
      entries.punctualApi('jobs', 'Punctual, enqueueJobs, PostgREST'),
      entries.punctualApi('messages', 'Punctual, enqueueDms, PostgREST'),
      entries.graphileWorker('graphile-worker, addJobs', { concurrentJobs: 1 }),
      entries.pgBoss('pg-boss, insert', 1, 1),
      entries.bullmq('BullMQ, addBulk', 1),
    ],
    async measure(contender) {
      const startedAt = performance.now();
      await contender.enqueue(rows);
      return (rows * 1_000) / (performance.now() - startedAt);
    },
  };
}
