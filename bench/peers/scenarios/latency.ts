import type { Entries } from '../contenders/all-contenders.ts';
import type { Scenario } from './scenario.ts';

/** One job after the other, each due at once: from the insert to its start. Punctual's figure is up to its end, by the clock of the database. */
export function latency(entries: Entries, { rows }: { rows: number }): Scenario {
  return {
    name: 'latency',
    title: `Latency: ${rows} jobs, one after the other, from due to started (median)`,
    unit: 'ms',
    isRate: false,
    entries: [
      entries.punctualWorker('direct', 'Punctual, worker --every 1, direct'),
      entries.punctualWorker('rest', 'Punctual, worker --every 1, PostgREST'),
      entries.graphileWorker('graphile-worker, listening', { concurrentJobs: 5 }),
      entries.bullmq('BullMQ, listening', 5),
    ],
    async measure(contender) {
      // A prime, so that no polling interval falls into step with it.
      const times = (await contender.startTimes?.(rows, 97)) ?? [];
      times.sort((a, b) => a - b);
      return times[times.length >> 1] ?? Number.NaN;
    },
  };
}
