import { runJobsRoute } from '../cron/run-jobs-route.ts';
import { apiRoute } from '../http/api-route.ts';
import { bulkRoute } from '../http/bulk-route.ts';
import { NotFoundError } from '../http/http-error.ts';
import { resolvedRow } from '../operate/rows/resolve-row.ts';
import { cancelJob } from '../queues/jobs/cancel-job.ts';
import { getJob, storedJob } from '../queues/jobs/get-job.ts';
import { enqueueJobs, jobInput } from '../queues/jobs/new-jobs.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = {
  'POST /jobs': bulkRoute({
    summary: 'Creates [jobs](jobs.md#create-jobs).',
    example: { name: 'send-invoice', payload: { invoice: 42 }, unique_key: 'invoice-42' },
    row: jobInput,
    nothing: 'nothing was created',
    create: ({ services: { rpc, env }, body }) => enqueueJobs({ rpc, env }, body),
  }),
  'GET /jobs/:id': apiRoute({
    summary: 'Returns the job. 404 also once retention has deleted it.',
    response: storedJob,
    errors: [404],
    async handle({ services, params: { id } }) {
      const job = await getJob(id, services);
      if (!job) throw new NotFoundError(`there is no job ${id}, or retention has deleted it`);
      return job;
    },
  }),
  'DELETE /jobs/:id': apiRoute({
    summary: 'Cancels a job while it is pending; else 409, which names its state.',
    response: resolvedRow,
    errors: [404, 409, 422],
    handle: ({ services, params: { id }, by }) => cancelJob(services, id, by),
  }),
  'POST /jobs/run': runJobsRoute,
} satisfies Endpoints;
