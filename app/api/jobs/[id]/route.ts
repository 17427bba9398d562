import { apiRoute } from '@/lib/http/api-route';
import { NotFoundError } from '@/lib/http/http-error';
import { cancelJob } from '@/lib/queues/jobs/cancel-job';
import { getJob } from '@/lib/queues/jobs/get-job';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** The job as it stands; 404 where there is none of that id, or none any more. */
export const GET = apiRoute<{ id: string }>(async ({ services, params: { id } }) => {
  const job = await getJob(id, services);
  if (!job) throw new NotFoundError(`there is no job ${id}, or it was pruned since`);
  return job;
});

/** Cancels it. 200 with `{ id, status }`; 404; 409 with what it is, once it is not pending any more. */
export const DELETE = apiRoute<{ id: string }>(({ services, params: { id }, by }) =>
  cancelJob(services, id, by),
);
