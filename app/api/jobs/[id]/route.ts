import { apiRoute } from '@/lib/http/api-route';
import { json, problem } from '@/lib/http/respond';
import { cancelJob } from '@/lib/queues/jobs/cancel-job';
import { getJob } from '@/lib/queues/jobs/get-job';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** The job as it stands; 404 where there is none of that id, or none any more. */
export const GET = apiRoute<{ id: string }>(async ({ container, params: { id } }) => {
  const job = await getJob(id, container);
  return job ? json(200, job) : problem(404, 'not_found', `there is no job ${id}, or it was pruned since`);
});

/** Cancels it. 200 with `{ id, status }`; 404; 409 with what it is, once it is not pending any more. */
export const DELETE = apiRoute<{ id: string }>(async ({ container, params: { id }, by }) => {
  const cancelled = await cancelJob(container, id, by === 'api-key' ? 'api' : 'dashboard');
  if ('row' in cancelled) return json(200, cancelled.row);
  if ('missing' in cancelled) return problem(404, 'not_found', cancelled.missing);
  if ('conflict' in cancelled) return problem(409, 'conflict', cancelled.conflict);
  return problem(422, 'invalid', 'the job was not cancelled', { errors: cancelled.errors });
});
