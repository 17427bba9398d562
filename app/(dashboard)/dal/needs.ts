import { cache } from 'react';
import { readNeeds as readAllNeeds } from '@/lib/stats/needs/read-needs.ts';
import type { ListedNeed } from '@/lib/stats/needs/snoozes.ts';
import { readLatestErrorGroups } from './errors.ts';
import { readMonitors, readSchedules } from './figures.ts';
import { readQueues } from './queues.ts';
import { visitedServices } from './visited.ts';

/** Reads what waits for a person, the worst first, from what the page reads anyhow. Throws if the queues cannot be read. */
export const readNeeds = cache(async (): Promise<ListedNeed[]> => {
  const { rpc } = await visitedServices();
  return readAllNeeds(rpc, {
    stats: readQueues,
    monitoring: readMonitors,
    schedules: readSchedules,
    errors: readLatestErrorGroups,
  });
});

/** Reads the lines that nobody put off. */
export async function readOpenNeeds(): Promise<ListedNeed[]> {
  return (await readNeeds()).filter(({ snoozed }) => snoozed === null);
}
