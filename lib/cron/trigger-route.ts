import { systemClock } from '../engine/ports/clock';
import { refuseCron } from '../http/auth/refuse-cron';
import { failed } from '../http/failure';
import { readQuery } from '../http/query';
import { json, problem } from '../http/respond';
import { findQueue, type ScheduledQueue } from '../queues/scheduled-queue';
import { container } from '../services/container';
import { goOn } from './continuation';
import { readCall } from './cron-call';
import { type CronRouteOptions, partQuery } from './cron-route';
import { handOver } from './hand-over';
import { queueWork } from './handlers/find-work';

/**
 * The handler of `/api/trigger/:queue`: hands the queue's tick to a worker, and does it itself where the worker does not say within 3 s
 * that it has begun. Where it had begun all the same both tick, which harms nothing.
 *
 * 202 `{ queue, worker: 'started' | 'running' }` where the worker has it; 200 with what the queue's own endpoint answers and `worker`, why it
 * was done here; 404 for a queue that there is not; otherwise as `cronRoute`.
 */
export function triggerRoute(queues: readonly ScheduledQueue[], { maxDuration, after }: CronRouteOptions) {
  return async (request: Request, context: { params: Promise<{ queue: string }> }): Promise<Response> => {
    const startedAt = systemClock.now();
    const refused = refuseCron(request);
    if (refused) return refused;
    const read = readQuery(new URL(request.url), partQuery);
    if ('refused' in read) return read.refused;
    try {
      const { queue: name } = await context.params;
      const found = findQueue(name, queues);
      if (!found) {
        const names = queues.map(({ queue }) => queue.name).join(', ');
        return problem(404, 'not_found', `there is no such queue; there are ${names}`);
      }
      const shared = await container();
      const call = readCall(request, { maxDuration, startedAt });
      const handed = await handOver(found.queue.name, call, shared.env.worker);
      if ('state' in handed) return json(202, { queue: found.queue.name, worker: handed.state });
      if (handed.isFault) {
        shared.log.warn({ queue: found.queue.name, worker: handed.refused }, 'the worker does not tick');
      }
      const { reports, body, fault } = await queueWork(found)(shared, call);
      goOn(shared, call, reports, after);
      return fault === undefined ? json(200, { ...body, worker: handed.refused }) : failed(fault);
    } catch (error) {
      return failed(error);
    }
  };
}
