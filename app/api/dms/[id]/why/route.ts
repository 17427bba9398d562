import { apiAccess } from '@/lib/server/access';
import { container } from '@/lib/server/container';
import { dmId } from '@/lib/server/dm-id';
import { accessEnv } from '@/lib/server/env';
import { explainRow } from '@/lib/server/explain-row';
import { failed } from '@/lib/server/failure';
import { json, problem } from '@/lib/server/respond';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

interface Context {
  params: Promise<{ id: string }>;
}

/** Why a message stands where it stands: what it waits for, what goes before it, what it has been through. 400, 404. */
export async function GET(request: Request, { params }: Context): Promise<Response> {
  const access = apiAccess(request, accessEnv(), Date.now(), { dashboard: true });
  if (!access.allowed) return problem(access.status, access.kind, access.message);
  const id = dmId((await params).id);
  if (id === null) return problem(400, 'invalid', 'that is no id of a message: ids are whole numbers');
  try {
    const explanation = await explainRow(await container(), 'dm_queue', id);
    if (explanation) return json(200, explanation);
    return problem(404, 'not_found', `there is no message ${id}, or it was pruned since`);
  } catch (error) {
    return failed(error);
  }
}
