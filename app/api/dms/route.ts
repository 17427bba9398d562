import { apiAccess } from '@/lib/server/access';
import { container } from '@/lib/server/container';
import { accessEnv } from '@/lib/server/env';
import { failed } from '@/lib/server/failure';
import { listDms } from '@/lib/server/list-dms';
import { enqueueDms } from '@/lib/server/new-dms';
import { readJson } from '@/lib/server/read-json';
import { json, problem } from '@/lib/server/respond';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** `{ rows }`: the messages of `?status=`, oldest first, `&limit=` of them (1 to 200; 50). 400 with `{ errors: [{ field, message }] }`. */
export async function GET(request: Request): Promise<Response> {
  const access = apiAccess(request, accessEnv(), Date.now(), { dashboard: true });
  if (!access.allowed) return problem(access.status, access.kind, access.message);
  try {
    const { rpc } = await container();
    const listed = await listDms(rpc, new URL(request.url).searchParams);
    if ('errors' in listed)
      return problem(400, 'invalid', 'ask as in ?status=unknown&limit=50', { errors: listed.errors });
    return json(200, listed);
  } catch (error) {
    return failed(error);
  }
}

/**
 * Takes in one message or up to 1,000, all or none. 201 with `{ rows: [{ id, status, created }] }`, 200 where every key was there
 * already; 422 with `{ errors: [{ index, field, message }] }`.
 */
export async function POST(request: Request): Promise<Response> {
  const access = apiAccess(request, accessEnv(), Date.now());
  if (!access.allowed) return problem(access.status, access.kind, access.message);
  const body = await readJson(request);
  if ('refused' in body) return body.refused;
  try {
    const { rpc } = await container();
    const taken = await enqueueDms(rpc, body.value);
    if ('errors' in taken) {
      return problem(422, 'invalid', 'nothing was taken in; mend these and send all of it again', {
        errors: taken.errors,
      });
    }
    return json(taken.rows.some((row) => row.created) ? 201 : 200, taken);
  } catch (error) {
    return failed(error);
  }
}
