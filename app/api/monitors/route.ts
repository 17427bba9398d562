import { addressCheck } from '@/lib/server/address-check';
import { apiJsonRoute, apiRoute } from '@/lib/server/api-route';
import { listMonitors } from '@/lib/server/list-monitors';
import { createMonitors } from '@/lib/server/new-monitors';
import { refused } from '@/lib/server/refused';
import { json, problem } from '@/lib/server/respond';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** `{ monitors, next }`, by id: see `listMonitors`. 400 with `{ errors: [{ field, message }] }`. */
export const GET = apiRoute(async ({ container: { rpc }, url }) => {
  const listed = await listMonitors(rpc, url.searchParams);
  return 'monitors' in listed
    ? json(200, listed)
    : refused(listed, 400, 'ask as in ?state=down&after=42&limit=50');
});

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
