import { z } from 'zod';
import { reconcileReport } from '../../engine/reconcile.ts';
import { tickReport } from '../../engine/tick-report.ts';
import { noQuery, type QuerySchema } from '../../http/query.ts';
import { type AnyQueue, findQueue, pathName } from '../../queues/find-queue.ts';
import type { CronHandler } from '../cron-handler.ts';
import { pruneHandler, pruneReport } from './prune-handler.ts';
import { queueHandler } from './queue-handler.ts';
import { reconcileHandler } from './reconcile-handler.ts';
import { rollUpHandler, rollUpReport } from './roll-up-handler.ts';
import { scheduledHandler, scheduledReport } from './scheduled-handler.ts';

/** What a cron path does, the query that it takes, and what the API's document says of it. */
export interface CronEndpoint {
  handler: CronHandler;
  query: QuerySchema;
  summary: string;
  response: z.ZodType;
  errors?: readonly number[];
}

/** The query of an endpoint that ticks all partitions with due rows. */
export const partitionQuery = z.strictObject({
  partition: z.string().optional().describe('Ticks only this partition.'),
});
const dayQuery = z.strictObject({
  day: z.string().optional().describe('Rolls up this day again, for example 2026-11-20.'),
});

/** The body of an endpoint that ticks all partitions with due rows. */
export const partitionReports = z.object({
  reports: z.array(tickReport),
  left: z
    .array(z.string())
    .describe('The partitions for which no time remained. The next call begins with them.'),
  note: z.string().optional().describe('Why the queue has no partitions yet.'),
});

/** The body of a queue's own endpoint. */
export const queueReport = z.union([tickReport, partitionReports]);
export type QueueReport = z.infer<typeof queueReport>;

/** Returns the endpoint of a queue, or of its `partition` if each partition has its own. */
export function queueEndpoint(queue: AnyQueue, partition?: string): CronEndpoint {
  const handler = queueHandler(queue, partition);
  if (queue.partitions !== 'due') {
    const which = partition === undefined ? '' : `, partition \`${partition}\``;
    return {
      handler,
      query: noQuery,
      summary: `Runs one tick of the queue \`${queue.name}\`${which}.`,
      response: tickReport,
    };
  }
  return {
    handler,
    query: partitionQuery,
    summary: `Runs one tick of each partition of the queue \`${queue.name}\` that has due rows.`,
    response: partitionReports,
    errors: [404],
  };
}

/** The cron paths that belong to no queue, by name. */
const maintenance: Record<string, (queues: readonly AnyQueue[]) => CronEndpoint> = {
  reconcile: (queues) => ({
    handler: reconcileHandler(queues),
    query: noQuery,
    summary: 'Checks unknown rows, and claims nothing.',
    response: z.object({
      reports: z.array(reconcileReport),
      notConfigured: z.array(z.string()).describe('Why a queue was left out.'),
    }),
  }),
  analytics: () => ({
    handler: rollUpHandler,
    query: dayQuery,
    summary: 'Computes the daily figures.',
    response: rollUpReport,
    errors: [409, 422],
  }),
  prune: () => ({
    handler: pruneHandler,
    query: noQuery,
    summary: 'Deletes rows older than their retention.',
    response: pruneReport,
  }),
  'process-scheduled': (queues) => ({
    handler: scheduledHandler(queues),
    query: noQuery,
    summary: 'Ticks every queue in one call.',
    response: scheduledReport,
  }),
};

/** Returns the endpoint of a cron path, `…/cron/<name>` or `…/cron/<queue>/<partition>`, perhaps with a slash at its end; null if there is none. */
export function findEndpoint(path: string, queues: readonly AnyQueue[]): CronEndpoint | null {
  const { pathname } = new URL(path, 'http://punctual.invalid');
  const [, name = '', partition] = /\/cron\/([\w-]+)(?:\/([\w-]+))?\/?$/.exec(pathname) ?? [];
  const own = Object.hasOwn(maintenance, name) ? maintenance[name] : undefined;
  if (own && partition === undefined) return own(queues);
  const queue = name.includes('_') ? null : findQueue(name, queues);
  if (!queue || (partition !== undefined && queue.partitions !== 'named')) return null;
  return queueEndpoint(queue, partition);
}

/** Returns the endpoints of all cron paths by name. Partitions with paths of their own are left out. */
export function cronEndpoints(queues: readonly AnyQueue[]): Record<string, CronEndpoint> {
  return Object.fromEntries([
    ...queues.map((queue) => [pathName(queue.name), queueEndpoint(queue)]),
    ...Object.entries(maintenance).map(([name, endpoint]) => [name, endpoint(queues)]),
  ]);
}
