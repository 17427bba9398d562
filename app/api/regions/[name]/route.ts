import { apiRoute } from '@/lib/http/api-route';
import { refused } from '@/lib/http/refused';
import { json } from '@/lib/http/respond';
import { removeRegion } from '@/lib/queues/monitors/regions';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Removes it: 200 with `{ name, moved }`, how many monitors went elsewhere. 404; 409 for the default region. */
export const DELETE = apiRoute<{ name: string }>(async ({ container: { rpc }, params }) => {
  const gone = await removeRegion(rpc, params.name);
  return 'removed' in gone ? json(200, gone.removed) : refused(gone);
});
