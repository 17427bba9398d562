import { z } from 'zod';
import { tickReport } from '../engine/tick-report.ts';
import { apiRoute } from '../http/api-route.ts';
import { NotFoundError } from '../http/http-error.ts';
import { wholeNumber } from '../http/query.ts';
import { findQueue } from '../queues/find-queue.ts';
import { registeredApp } from '../queues/registered-app.ts';
import { type JobSelection, runJobs } from './handlers/run-jobs.ts';

const runJobsQuery = z
  .strictObject({
    queue: z
      .string()
      .min(1, 'is empty')
      .optional()
      .describe('A queue of jobs; all by default. `failed` stands for the failed jobs of all queues.'),
    status: z
      .enum(['pending', 'failed'])
      .optional()
      .describe('`pending`, the default, runs due jobs. `failed` retries each failed job once.'),
    limit: wholeNumber(1, 1_000, 'must be a whole number from 1 to 1000')
      .default(1)
      .describe('The most jobs to run, 1 to 1,000; default 1.'),
  })
  .refine(({ queue, status }) => queue !== 'failed' || status !== 'pending', {
    path: ['status'],
    message: 'must be failed if the queue is failed, which stands for the failed jobs of all queues',
  });

const jobReports = z.object({ reports: z.array(tickReport), left: z.array(z.string()) });

function toSelection({ queue, status, limit }: z.output<typeof runJobsQuery>): JobSelection {
  if (queue === 'failed') return { queue: null, state: 'dead', limit };
  return { queue: queue ?? null, state: status === 'failed' ? 'dead' : 'pending', limit };
}

/**
 * The route that runs jobs now: `?queue=` (default: all), `?status=` `pending` for due jobs (default) or `failed` to retry each failed job once,
 * `?limit=` 1 to 1,000 (default: 1). Accepts CRON_SECRET as well as API_KEY.
 *
 * 200 with `{ reports: [TickReport], left }`; 400 with `{ errors: [{ field, message }] }`; 404 for an unknown queue.
 */
export const runJobsRoute = apiRoute({
  summary:
    'Runs jobs now, in this request. `left` names the queues for which no time remained. Schedulers may call it with CRON_SECRET.',
  response: jobReports,
  errors: [404],
  cron: true,
  query: runJobsQuery,
  async handle({ services, query, maxDuration, startedAt }) {
    const queue = findQueue('jobs', registeredApp().queues);
    if (!queue) throw new NotFoundError('this app has no jobs: give definePunctual some');
    return runJobs(services, toSelection(query), queue, { maxDuration, startedAt, scheduler: 'api' });
  },
});
