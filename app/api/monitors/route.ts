import { apiJsonRoute, apiRoute } from '@/lib/http/api-route';
import { answerPage } from '@/lib/http/page';
import { json, problem } from '@/lib/http/respond';
import { addressCheck } from '@/lib/queues/monitors/address-check';
import { listMonitors, monitorsQuery } from '@/lib/queues/monitors/list-monitors';
import { createMonitors } from '@/lib/queues/monitors/new-monitors';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** `{ monitors, next }`, by id: `?state=down&limit=50&cursor=…`. 400 with `{ errors: [{ field, message }] }`. */
export const GET = apiRoute(
  async ({ container: { rpc }, query }) => answerPage('monitors', await listMonitors(rpc, query)),
  { query: monitorsQuery },
);

/**
 * Creates one monitor or up to 1,000, all or none. 201 with `{ rows: [{ id, status, created }] }`, 200 where every key was there already;
 * 422 with `{ errors: [{ index, field, message }] }`.
 */
export const POST = apiJsonRoute(async ({ container: { rpc, env }, body }) => {
  const taken = await createMonitors(rpc, addressCheck(env), body);
  if ('errors' in taken) {
    return problem(422, 'invalid', 'nothing was created; mend these and send all of it again', {
      errors: taken.errors,
    });
  }
  return json(taken.rows.some((row) => row.created) ? 201 : 200, taken);
});
