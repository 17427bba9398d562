import { pathName, type ScheduledQueue } from '../../queues/scheduled-queue';
import type { CronWork } from '../cron-work';
import { pruneWork } from './prune-work';
import { queueWork } from './queue-work';
import { reconcileWork } from './reconcile-work';
import { rollUpWork } from './roll-up-work';
import { scheduledWork } from './scheduled-work';

/** What the endpoint of that path does, for whoever has no HTTP between; null where there is none. */
export function findWork(path: string, queues: readonly ScheduledQueue[]): CronWork | null {
  const { pathname } = new URL(path, 'http://punctual.invalid');
  const [, name = '', partition] = /^\/api\/cron\/([\w-]+)(?:\/([\w-]+))?$/.exec(pathname) ?? [];
  if (partition === undefined) {
    if (name === 'reconcile') return reconcileWork(queues);
    if (name === 'analytics') return rollUpWork;
    if (name === 'prune') return pruneWork;
    if (name === 'process-scheduled') return scheduledWork(queues);
  }
  const found = queues.find(({ queue }) => pathName(queue.name) === name);
  if (!found || (partition !== undefined && found.parts !== 'named')) return null;
  return queueWork(found, partition);
}
