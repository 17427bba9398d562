import { apiAccess } from '@/lib/server/access';
import { container } from '@/lib/server/container';
import { dmId } from '@/lib/server/dm-id';
import { accessEnv } from '@/lib/server/env';
import { failed } from '@/lib/server/failure';
import { readJson } from '@/lib/server/read-json';
import { resolveDm } from '@/lib/server/resolve-dm';
import { json, problem } from '@/lib/server/respond';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

interface Context {
  params: Promise<{ id: string }>;
}

/**
 * Decides on a message that stands as unknown: `{ "decision": "sent" | "pending" | "failed" | "cancelled", "note"? }`. 200 with `{ id,
 * status }`; 409 with what it is, where there is nothing to decide (any more); 400, 404, 422.
 */
export async function POST(request: Request, { params }: Context): Promise<Response> {
  const access = apiAccess(request, accessEnv(), Date.now());
  if (!access.allowed) return problem(access.status, access.kind, access.message);
  const id = dmId((await params).id);
  if (id === null) return problem(400, 'invalid', 'that is no id of a message: ids are whole numbers');
  const body = await readJson(request);
  if ('refused' in body) return body.refused;
  try {
    const { rpc } = await container();
    const resolved = await resolveDm(rpc, id, access.by === 'api-key' ? 'api' : 'dashboard', body.value);
    if ('errors' in resolved)
      return problem(422, 'invalid', 'nothing was decided', { errors: resolved.errors });
    if ('missing' in resolved) return problem(404, 'not_found', resolved.missing);
    if ('conflict' in resolved) return problem(409, 'conflict', resolved.conflict);
    return json(200, resolved.row);
  } catch (error) {
    return failed(error);
  }
}
