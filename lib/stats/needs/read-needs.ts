import { listErrorGroups } from '../../operate/rows/error-groups.ts';
import type { Monitoring } from '../../store/monitoring.ts';
import type { Rpc } from '../../store/rpc.ts';
import type { Stats } from '../../store/stats.ts';
import type { ErrorGroup } from '../../store/story/error-group.ts';
import { readMonitoring, readStats } from '../stats.ts';
import { type ListedSchedule, listNeeds } from './list-needs.ts';
import { applySnoozes, endSnoozes, type ListedNeed, listSnoozes } from './snoozes.ts';

/** The error groups of a queue that are looked at: those that were seen last. */
const groupsOfQueue = 25;

/** What the lines are made from. */
export interface NeedSources {
  stats(): Promise<Stats>;
  monitoring(): Promise<Monitoring>;
  schedules(): Promise<{ schedulers: ListedSchedule[] }>;
  /** The latest error groups of a queue; null if they cannot be read. */
  errors(queue: string): Promise<ErrorGroup[] | null>;
}

/** Returns the sources of a call of the API. `schedules`: reads them. */
export function needSources(rpc: Rpc, schedules: NeedSources['schedules']): NeedSources {
  return {
    stats: readStats,
    monitoring: () => readMonitoring(rpc),
    schedules,
    errors: (queue) =>
      listErrorGroups(rpc, queue, { limit: groupsOfQueue }).then(
        ({ items }) => items,
        () => null,
      ),
  };
}

/**
 * Reads what waits for a person, the worst first, with what was put off. Ends the snoozes of lines that are worse. Throws if the queues cannot be
 * read; leaves out monitors, schedules or snoozes that cannot. A queue with failed rows costs one call more, for its errors.
 */
export async function readNeeds(rpc: Rpc, sources: NeedSources): Promise<ListedNeed[]> {
  const none = () => null;
  const [stats, monitoring, coverage, snoozes] = await Promise.all([
    sources.stats(),
    sources.monitoring().catch(none),
    sources.schedules().catch(none),
    listSnoozes(rpc).catch(() => []),
  ]);
  const failed = stats.queues.filter(({ failed }) => failed.rows > 0).map(({ name }) => name);
  const groups = await Promise.all(failed.map(async (name) => [name, await sources.errors(name)] as const));
  const listed = listNeeds(stats, monitoring, coverage?.schedulers ?? null, new Map(groups));
  const { needs, worse } = applySnoozes(listed, snoozes);
  // The lines are shown either way, and the next read tries again.
  await endSnoozes(rpc, worse).catch(none);
  return needs;
}
