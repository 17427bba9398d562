import type { Entries } from '../contenders/all-contenders.ts';
import { drainRate } from './drain.ts';
import type { Scenario } from './scenario.ts';

/** A backlog that several ticks of one queue drain side by side. A tick that fails fails the run. */
export function manyTicks(entries: Entries, { rows }: { rows: number }): Scenario {
  const delivery = 'at-least-once' as const;
  return {
    name: 'ticks',
    title: `Many ticks: ${rows.toLocaleString('en')} jobs, a handler that does nothing`,
    unit: 'jobs/s',
    isRate: true,
    entries: [2, 1, 4, 8, 16].map((ticks) =>
      entries.punctual('rest', {
        name: `Punctual, PostgREST, ticks: ${ticks}`,
        delivery,
        concurrency: 500,
        ticks,
      }),
    ),
    measure: (contender) => drainRate(contender, rows),
  };
}
