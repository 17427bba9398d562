import { cache } from 'react';
import { listNeeds, type Need } from '../needs/list-needs.ts';
import { readLatestErrorGroups } from './errors.ts';
import { readMonitors, readSchedules } from './figures.ts';
import { readQueues } from './queues.ts';

/** Reads what waits for a person, the worst first. Throws if the queues cannot be read; leaves out monitors or schedules that cannot. A
 * queue with failed rows costs one call more, for their errors. */
export const readNeeds = cache(async (): Promise<Need[]> => {
  const none = () => null;
  const [stats, monitoring, coverage] = await Promise.all([
    readQueues(),
    readMonitors().catch(none),
    readSchedules().catch(none),
  ]);
  const failed = stats.queues.filter(({ failed }) => failed.rows > 0).map(({ name }) => name);
  const groups = await Promise.all(
    failed.map(async (name) => [name, await readLatestErrorGroups(name)] as const),
  );
  return listNeeds(stats, monitoring, coverage, new Map(groups));
});
