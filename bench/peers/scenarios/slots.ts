import { setTimeout as sleep } from 'node:timers/promises';
import type { Entries } from '../contenders/all-contenders.ts';
import type { Scenario } from './scenario.ts';

const concurrency = 10;

/** Jobs that take from `leastMs` to `mostMs`, ten at once: the time taken, as a multiple of what ten slots that are never empty would take. */
export function slots(
  entries: Entries,
  { rows, leastMs, mostMs }: { rows: number; leastMs: number; mostMs: number },
): Scenario {
  const range = leastMs === mostMs ? `${leastMs}` : `${leastMs} to ${mostMs}`;
  return {
    name: `slots-${mostMs}`,
    title: `Slots: ${rows.toLocaleString('en')} jobs of ${range} ms, ten at once`,
    unit: '× ideal',
    isRate: false,
    entries: [
      entries.barePLimit(concurrency),
      entries.punctual('rest', {
        name: `Punctual, at least once, ${range}`,
        delivery: 'at-least-once',
        concurrency,
        ticks: 1,
      }),
      entries.punctual('rest', {
        name: `Punctual, at most once, ${range}`,
        delivery: 'at-most-once',
        concurrency,
        ticks: 1,
      }),
      entries.punctualDms({
        name: `Punctual, dm_queue, 1,000 accounts, ${range}`,
        accounts: 1_000,
        concurrency,
      }),
      entries.graphileWorker(`graphile-worker, ${range}`, {
        concurrentJobs: concurrency,
        localQueue: 30,
        batchDelayMs: 20,
      }),
      entries.bullmq(`BullMQ, ${range}`, concurrency),
    ],
    async measure(contender) {
      await contender.enqueue(rows);
      // The same durations for each contender and round.
      const durations = Array.from(
        { length: rows },
        (_, n) => leastMs + ((n * 7_919) % (mostMs - leastMs + 1)),
      );
      const idealMs = durations.reduce((sum, ms) => sum + ms, 0) / concurrency;
      let next = 0;
      const startedAt = performance.now();
      await contender.drain(rows, async () => {
        await sleep(durations[next++ % rows]);
      });
      return (performance.now() - startedAt) / idealMs;
    },
  };
}
