import { apiRoute } from '../http/api-route.ts';
import { NotFoundError } from '../http/http-error.ts';
import { findQueue } from '../queues/find-queue.ts';
import { registeredApp } from '../queues/registered-app.ts';
import { isError } from '../services/is-error.ts';
import type { Services } from '../services/services.ts';
import { runHandler } from './cron-route.ts';
import { partitionQuery, type QueueReport, queueReport } from './handlers/find-endpoint.ts';
import { queueHandler } from './handlers/queue-handler.ts';

interface RunQueue {
  queue: string;
  partition: string | undefined;
  /** Who asks for it. */
  by: string;
  /** The path that the ledger records. */
  path: string;
  /** The limit of the request in seconds, and when it began, in milliseconds since the epoch. */
  maxDuration: number;
  startedAt: number;
}

/**
 * Ticks a queue now, in this request, because a person asks for it. The tick obeys pauses, limits and the overlap lock as any other, and no
 * continuation follows. `partition` names a partition of a queue that has some. The audit records `by`. Returns the report of the queue's own
 * endpoint. Throws an `HttpError` for an unknown queue or partition, and as `cronRoute` does.
 */
export async function runQueue(
  services: Services,
  { queue, partition, by, path, maxDuration, startedAt }: RunQueue,
): Promise<QueueReport> {
  const found = findQueue(queue, registeredApp().queues);
  if (!found) throw new NotFoundError(`there is no queue "${queue}" in this deployment`);
  const { name } = found;
  if (partition !== undefined && (found.partitions ?? 'main') === 'main')
    throw new NotFoundError(`${name} has no partitions to name. Call it without ?partition=`);
  await services.rpc('note_act', {
    ...{ p_by: by, p_act: 'run_queue', p_queue: name, p_target: partition ?? null },
    ...{ p_details: null, p_note: null, p_now: null },
  });
  const call = {
    path,
    params: new URLSearchParams(partition === undefined ? {} : { partition }),
    ...{ scheduler: 'api', slot: null, schedule: null, continuation: 0 },
    ...{ runId: crypto.randomUUID(), startedAt, maxDuration },
  };
  try {
    return (await runHandler(queueHandler(found, partition), services, call, undefined)) as QueueReport;
  } catch (error) {
    if (isError(error, 'StoreError') && error.code === 'PT404') throw new NotFoundError(error.message);
    throw error;
  }
}

export const runQueueRoute = apiRoute({
  summary:
    'Runs one tick in this request and returns [its report](#the-report-of-a-tick). Without `partition`, each partition with due rows is ticked.',
  query: partitionQuery,
  response: queueReport,
  errors: [404],
  handle: ({ services, params: { queue }, query: { partition }, by, path, maxDuration, startedAt }) =>
    runQueue(services, { queue, partition, by, path, maxDuration, startedAt }),
});
