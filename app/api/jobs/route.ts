import { apiJsonRoute } from '@/lib/http/api-route';
import { json, problem } from '@/lib/http/respond';
import { enqueueJobs } from '@/lib/queues/jobs/new-jobs';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/**
 * Creates one job or up to 1,000, all or none. 201 with `{ rows: [{ id, status, created }] }`, 200 where every unique key was taken
 * already; 422 with `{ errors: [{ index, field, message }] }`.
 */
export const POST = apiJsonRoute(async ({ container: { rpc }, body }) => {
  const taken = await enqueueJobs({ rpc }, body);
  if ('errors' in taken) {
    return problem(422, 'invalid', 'nothing was created; mend these and send all of it again', {
      errors: taken.errors,
    });
  }
  return json(taken.rows.some((row) => row.created) ? 201 : 200, taken);
});
