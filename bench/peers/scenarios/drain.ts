import type { Entries } from '../contenders/all-contenders.ts';
import type { Contender } from '../contenders/contender.ts';
import type { Scenario } from './scenario.ts';

/** Jobs whose handler does nothing: what a queue costs a job. */
export function drain(entries: Entries, { rows }: { rows: number }): Scenario {
  const delivery = 'at-least-once' as const;
  // The loop takes minutes for what the others do in a second.
  const rowsOf = (name: string) => (name.startsWith('tutorial') ? Math.min(rows, 1_000) : rows);
  return {
    name: 'drain',
    title: `Drain: ${rows.toLocaleString('en')} jobs, a handler that does nothing`,
    unit: 'jobs/s',
    isRate: true,
    entries: [
      entries.punctual('rest', {
        name: 'Punctual, PostgREST, one tick',
        delivery,
        concurrency: 500,
        ticks: 1,
      }),
      entries.punctual('rest', {
        name: 'Punctual, PostgREST, two ticks',
        delivery,
        concurrency: 500,
        ticks: 2,
      }),
      entries.punctual('direct', {
        name: 'Punctual, direct, one tick',
        delivery,
        concurrency: 500,
        ticks: 1,
      }),
      entries.punctual('direct', {
        name: 'Punctual, direct, two ticks',
        delivery,
        concurrency: 500,
        ticks: 2,
      }),
      entries.punctual('rest', { name: 'Punctual, PostgREST, defaults', delivery, concurrency: 5, ticks: 1 }),
      entries.punctual('pglite', { name: 'Punctual, PGlite', delivery, concurrency: 500, ticks: 1 }),
      entries.graphileWorker('graphile-worker, best', {
        concurrentJobs: 50,
        localQueue: 2_000,
        batchDelayMs: 50,
      }),
      entries.graphileWorker('graphile-worker, defaults', { concurrentJobs: 1 }),
      entries.pgBoss('pg-boss, best', 1_000, 2),
      entries.bullmq('BullMQ, best', 100),
      entries.tutorialLoop(),
    ],
    measure: (contender) => drainRate(contender, rowsOf(contender.name)),
  };
}

/** Adds jobs and drains them. Returns the jobs a second. */
export async function drainRate(contender: Contender, count: number): Promise<number> {
  await contender.enqueue(count);
  const startedAt = performance.now();
  await contender.drain(count, () => {});
  return (count * 1_000) / (performance.now() - startedAt);
}
