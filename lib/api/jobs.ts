import { runJobsRoute } from '../cron/run-jobs-route.ts';
import { apiRoute } from '../http/api-route.ts';
import { bulkRoute } from '../http/bulk-route.ts';
import { NotFoundError } from '../http/http-error.ts';
import { cancelJob } from '../queues/jobs/cancel-job.ts';
import { getJob } from '../queues/jobs/get-job.ts';
import { enqueueJobs } from '../queues/jobs/new-jobs.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = {
  /** Creates jobs: see `bulkRoute`. */
  'POST /jobs': bulkRoute('nothing was created', ({ services: { rpc, env }, body }) =>
    enqueueJobs({ rpc, env }, body),
  ),
  /** Returns the job. 404 if it does not exist or retention has deleted it. */
  'GET /jobs/:id': apiRoute<{ id: string }>(async ({ services, params: { id } }) => {
    const job = await getJob(id, services);
    if (!job) throw new NotFoundError(`there is no job ${id}, or retention has deleted it`);
    return job;
  }),
  /** Cancels a pending job. 200 with `{ id, status }`; 404; 409 with its state if it is no longer pending. */
  'DELETE /jobs/:id': apiRoute<{ id: string }>(({ services, params: { id }, by }) =>
    cancelJob(services, id, by),
  ),
  'POST /jobs/run': runJobsRoute,
} satisfies Endpoints;
