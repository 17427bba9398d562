import { NotFoundError } from '../http/http-error';
import { json } from '../http/respond';
import { findQueue, type ScheduledQueue } from '../queues/scheduled-queue';
import { getServices } from '../services/services';
import { answerCron, type CronRouteOptions, partitionQuery, runHandler } from './cron-route';
import { handOver } from './hand-over';
import { queueHandler } from './handlers/queue-handler';

/**
 * The handler of `/api/trigger/:queue`: hands the queue's tick to a worker, and does it itself where the worker does not say within 3 s
 * that it has begun. Where it had begun all the same both tick, which harms nothing.
 *
 * 202 `{ queue, worker: 'started' | 'running' }` where the worker has it; 200 with what the queue's own endpoint answers and `worker`, why it
 * was done here; 404 for a queue that there is not; otherwise as `cronRoute`.
 */
export function triggerRoute(queues: readonly ScheduledQueue[], options: CronRouteOptions) {
  return (request: Request, context: { params: Promise<{ queue: string }> }): Promise<Response> =>
    answerCron(request, { ...options, query: partitionQuery }, async (call) => {
      const { queue: name } = await context.params;
      const found = findQueue(name, queues);
      if (!found) {
        const names = queues.map(({ queue }) => queue.name).join(', ');
        throw new NotFoundError(`there is no such queue; there are ${names}`);
      }
      const services = await getServices();
      const queue = found.queue.name;
      const handed = await handOver(queue, call, services.env.worker);
      if ('state' in handed) return json(202, { queue, worker: handed.state });
      if (handed.isFault) services.log.warn({ queue, worker: handed.refused }, 'the worker does not tick');
      const body = await runHandler(queueHandler(found), services, call, options.after);
      return { ...body, worker: handed.refused };
    });
}
