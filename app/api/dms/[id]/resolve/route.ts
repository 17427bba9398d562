import { apiWrite } from '@/lib/server/api-route';
import { dmId } from '@/lib/server/dm-id';
import { resolveDm } from '@/lib/server/resolve-dm';
import { json, problem } from '@/lib/server/respond';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/**
 * Decides on a message that stands as unknown: `{ "decision": "sent" | "pending" | "failed" | "cancelled", "attempt"?, "note"? }`. 200 with `{ id,
 * status }`; 409 with what it is, where there is nothing to decide (any more); 400, 404, 422.
 */
export const POST = apiWrite<{ id: string }>(async ({ container: { rpc }, params, by, body }) => {
  const id = dmId(params.id);
  if (id === null) return problem(400, 'invalid', 'that is no id of a message: ids are whole numbers');
  const resolved = await resolveDm(rpc, id, by === 'api-key' ? 'api' : 'dashboard', body);
  if ('errors' in resolved)
    return problem(422, 'invalid', 'nothing was decided', { errors: resolved.errors });
  if ('missing' in resolved) return problem(404, 'not_found', resolved.missing);
  if ('conflict' in resolved) return problem(409, 'conflict', resolved.conflict);
  return json(200, resolved.row);
});
