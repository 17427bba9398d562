import { z } from 'zod';
import { noQuery, type QuerySchema } from '../../http/query.ts';
import { type AnyQueue, findQueue } from '../../queues/find-queue.ts';
import type { CronHandler } from '../cron-handler.ts';
import { pruneHandler } from './prune-handler.ts';
import { queueHandler } from './queue-handler.ts';
import { reconcileHandler } from './reconcile-handler.ts';
import { rollUpHandler } from './roll-up-handler.ts';
import { scheduledHandler } from './scheduled-handler.ts';

/** What a cron path does, and the query that it takes. */
export interface CronEndpoint {
  handler: CronHandler;
  query: QuerySchema;
}

/** The query of an endpoint that ticks all partitions with due rows: `partition` names one of them. */
export const partitionQuery = z.strictObject({ partition: z.string().optional() });
const dayQuery = z.strictObject({ day: z.string().optional() });

/** Returns the endpoint of a queue, or of its `partition` if each partition has its own. */
export function queueEndpoint(queue: AnyQueue, partition?: string): CronEndpoint {
  return {
    handler: queueHandler(queue, partition),
    query: queue.partitions === 'due' ? partitionQuery : noQuery,
  };
}

/** Returns the endpoint of a cron path, `…/cron/<name>` or `…/cron/<queue>/<partition>`, perhaps with a slash at its end; null if there is none. */
export function findEndpoint(path: string, queues: readonly AnyQueue[]): CronEndpoint | null {
  const { pathname } = new URL(path, 'http://punctual.invalid');
  const [, name = '', partition] = /\/cron\/([\w-]+)(?:\/([\w-]+))?\/?$/.exec(pathname) ?? [];
  if (partition === undefined) {
    if (name === 'reconcile') return { handler: reconcileHandler(queues), query: noQuery };
    if (name === 'analytics') return { handler: rollUpHandler, query: dayQuery };
    if (name === 'prune') return { handler: pruneHandler, query: noQuery };
    if (name === 'process-scheduled') return { handler: scheduledHandler(queues), query: noQuery };
  }
  const queue = name.includes('_') ? null : findQueue(name, queues);
  if (!queue || (partition !== undefined && queue.partitions !== 'named')) return null;
  return queueEndpoint(queue, partition);
}
