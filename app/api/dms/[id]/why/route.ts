import { apiRead } from '@/lib/server/api-route';
import { dmId } from '@/lib/server/dm-id';
import { explainRow } from '@/lib/server/explain-row';
import { json, problem } from '@/lib/server/respond';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Why a message stands where it stands: what it waits for, what goes before it, what it has been through. 400, 404. */
export const GET = apiRead<{ id: string }>(
  async ({ container, params }) => {
    const id = dmId(params.id);
    if (id === null) return problem(400, 'invalid', 'that is no id of a message: ids are whole numbers');
    const explanation = await explainRow(container, 'dm_queue', id);
    if (explanation) return json(200, explanation);
    return problem(404, 'not_found', `there is no message ${id}, or it was pruned since`);
  },
  { dashboard: true },
);
