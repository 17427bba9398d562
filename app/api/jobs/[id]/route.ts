import { apiRoute } from '@/lib/http/api-route.ts';
import { NotFoundError } from '@/lib/http/http-error.ts';
import { cancelJob } from '@/lib/queues/jobs/cancel-job.ts';
import { getJob } from '@/lib/queues/jobs/get-job.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Returns the job. 404 if it does not exist or retention has deleted it. */
export const GET = apiRoute<{ id: string }>(async ({ services, params: { id } }) => {
  const job = await getJob(id, services);
  if (!job) throw new NotFoundError(`there is no job ${id}, or retention has deleted it`);
  return job;
});

/** Cancels a pending job. 200 with `{ id, status }`; 404; 409 with its state if it is no longer pending. */
export const DELETE = apiRoute<{ id: string }>(({ services, params: { id }, by }) =>
  cancelJob(services, id, by),
);
