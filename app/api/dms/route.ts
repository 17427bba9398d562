import { apiRead, apiWrite } from '@/lib/server/api-route';
import { listDms } from '@/lib/server/list-dms';
import { enqueueDms } from '@/lib/server/new-dms';
import { json, problem } from '@/lib/server/respond';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** `{ rows }`: the messages of `?status=`, oldest first, `&limit=` of them (1 to 200; 50). 400 with `{ errors: [{ field, message }] }`. */
export const GET = apiRead(
  async ({ container: { rpc }, url }) => {
    const listed = await listDms(rpc, url.searchParams);
    if ('errors' in listed)
      return problem(400, 'invalid', 'ask as in ?status=unknown&limit=50', { errors: listed.errors });
    return json(200, listed);
  },
  { dashboard: true },
);

/**
 * Takes in one message or up to 1,000, all or none. 201 with `{ rows: [{ id, status, created }] }`, 200 where every key was there
 * already; 422 with `{ errors: [{ index, field, message }] }`.
 */
export const POST = apiWrite(async ({ container: { rpc }, body }) => {
  const taken = await enqueueDms(rpc, body);
  if ('errors' in taken) {
    return problem(422, 'invalid', 'nothing was taken in; mend these and send all of it again', {
      errors: taken.errors,
    });
  }
  return json(taken.rows.some((row) => row.created) ? 201 : 200, taken);
});
