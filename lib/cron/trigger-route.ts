import { z } from 'zod';
import { tickReport } from '../engine/tick-report.ts';
import type { RouteContext } from '../http/api-route.ts';
import { describeEndpoint } from '../http/describe-endpoint.ts';
import { NotFoundError } from '../http/http-error.ts';
import { json } from '../http/respond.ts';
import { findQueue } from '../queues/find-queue.ts';
import { registeredApp } from '../queues/registered-app.ts';
import { getServices } from '../services/services.ts';
import { answerCron, runHandler } from './cron-route.ts';
import { handOver } from './hand-over.ts';
import { partitionQuery, partitionReports } from './handlers/find-endpoint.ts';
import { queueHandler } from './handlers/queue-handler.ts';

/**
 * The route `/api/trigger/:queue`: asks the worker to tick the queue. If the worker does not confirm within 3 s, the tick runs here. The worker may
 * have started all the same; then both tick, which does no harm.
 *
 * 202 with `{ queue, worker: 'started' | 'running' }` if the worker ticks. 200 with the report of the queue's own endpoint and `worker`, the reason
 * why the tick ran here. 404 for an unknown queue. Otherwise as `cronRoute`.
 */
function trigger(request: Request, context: RouteContext): Promise<Response> {
  const { maxDuration = 60, after } = context;
  return answerCron(request, partitionQuery, maxDuration, async (call) => {
    const { queue: name = '' } = (await context.params) ?? {};
    const { queues } = registeredApp();
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
    const body = await runHandler(queueHandler(found), services, call, after);
    return { ...body, worker: result.refused };
  });
}

const refused = z.string().describe('Why the tick ran here.');
const response = z.union([
  z.object({ queue: z.string(), worker: z.enum(['started', 'running']) }),
  tickReport.extend({ worker: refused }),
  partitionReports.extend({ worker: refused }),
]);

export const triggerRoute = describeEndpoint(trigger, {
  summary:
    '[Hands the tick to a worker](schedulers.md#wake-a-worker). Returns 202 if the worker ticks, or 200 with the report of the tick that ran here.',
  access: 'cron',
  query: partitionQuery,
  response,
  statuses: [202, 200],
  errors: [404],
});
