import { type AnyQueue, pathName } from '../../queues/find-queue.ts';
import type { CronHandler } from '../cron-handler.ts';
import { pruneHandler } from './prune-handler.ts';
import { queueHandler } from './queue-handler.ts';
import { reconcileHandler } from './reconcile-handler.ts';
import { rollUpHandler } from './roll-up-handler.ts';
import { scheduledHandler } from './scheduled-handler.ts';

/** Returns the handler of a cron path, or null if there is none. The worker runs it without HTTP. */
export function findHandler(path: string, queues: readonly AnyQueue[]): CronHandler | null {
  const { pathname } = new URL(path, 'http://punctual.invalid');
  const [, name = '', partition] = /^\/api\/cron\/([\w-]+)(?:\/([\w-]+))?$/.exec(pathname) ?? [];
  if (partition === undefined) {
    if (name === 'reconcile') return reconcileHandler(queues);
    if (name === 'analytics') return rollUpHandler;
    if (name === 'prune') return pruneHandler;
    if (name === 'process-scheduled') return scheduledHandler(queues);
  }
  const found = queues.find((queue) => pathName(queue.name) === name);
  if (!found || (partition !== undefined && found.partitions !== 'named')) return null;
  return queueHandler(found, partition);
}
