import { NotFoundError } from '../http/http-error.ts';
import { json } from '../http/respond.ts';
import { type AnyQueue, findQueue } from '../queues/find-queue.ts';
import { getServices } from '../services/services.ts';
import { answerCron, type CronRouteOptions, partitionQuery, runHandler } from './cron-route.ts';
import { handOver } from './hand-over.ts';
import { queueHandler } from './handlers/queue-handler.ts';

/**
 * The route `/api/trigger/:queue`: asks the worker to tick the queue. If the worker does not confirm within 3 s, the tick runs here. The worker may
 * have started all the same; then both tick, which does no harm.
 *
 * 202 with `{ queue, worker: 'started' | 'running' }` if the worker ticks. 200 with the report of the queue's own endpoint and `worker`, the reason
 * why the tick ran here. 404 for an unknown queue. Otherwise as `cronRoute`.
 */
export function triggerRoute(queues: readonly AnyQueue[], options: CronRouteOptions) {
  return (request: Request, context: { params: Promise<{ queue: string }> }): Promise<Response> =>
    answerCron(request, { ...options, query: partitionQuery }, async (call) => {
      const { queue: name } = await context.params;
      const found = findQueue(name, queues);
      if (!found) {
        const names = queues.map((one) => one.name).join(', ');
        throw new NotFoundError(`there is no such queue. The queues are ${names}`);
      }
      const queue = found.name;
      if (call.params.has('partition') && found.partitions !== 'due')
        throw new NotFoundError(`${queue} has no partitions to name. Call it without ?partition=`);
      const services = await getServices();
      const result = await handOver(queue, call, services.env.worker);
      if ('state' in result) return json(202, { queue, worker: result.state });
      if (result.isFault)
        services.log.warn({ queue, worker: result.refused }, 'the worker did not take a tick; it runs here');
      const body = await runHandler(queueHandler(found), services, call, options.after);
      return { ...body, worker: result.refused };
    });
}
