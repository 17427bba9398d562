import { z } from 'zod';
import { systemClock } from '../engine/ports/clock';
import { apiRoute } from '../http/api-route';
import { wholeNumber } from '../http/query';
import { type AskedJobs, runJobs } from './handlers/run-jobs';

const asked = z
  .strictObject({
    queue: z.string().min(1, 'is empty').optional(),
    status: z.enum(['pending', 'failed']).optional(),
    limit: wholeNumber(1, 1_000, 'is no number from 1 to 1000').default(1),
  })
  .refine(({ queue, status }) => queue !== 'failed' || status !== 'pending', {
    path: ['status'],
    message: 'is failed in the queue failed, which names the failed jobs of all queues',
  });

function askedJobs({ queue, status, limit }: z.output<typeof asked>): AskedJobs {
  if (queue === 'failed') return { queue: null, state: 'dead', limit };
  return { queue: queue ?? null, state: status === 'failed' ? 'dead' : 'pending', limit };
}

/**
 * Runs jobs now: `?queue=` (any), `?status=` `pending` (those that are due) or `failed` (each once more), `?limit=` 1 to 1,000 (1).
 * Takes CRON_SECRET as well as API_KEY. `maxDuration` is the route's, in seconds. 200 with `{ reports: [TickReport], left }`; 400 with `{ errors: [{ field, message }] }`, 404.
 */
export function runJobsRoute({ maxDuration }: { maxDuration: number }) {
  return (request: Request): Promise<Response> => {
    const startedAt = systemClock.now();
    const route = apiRoute(
      ({ services, query }) =>
        runJobs(services, askedJobs(query), { maxDuration, startedAt, scheduler: 'api' }),
      { cron: true, query: asked },
    );
    return route(request);
  };
}
