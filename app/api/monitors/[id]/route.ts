import { apiJsonRoute, apiRoute } from '@/lib/http/api-route';
import { refused } from '@/lib/http/refused';
import { json } from '@/lib/http/respond';
import { addressCheck } from '@/lib/queues/monitors/address-check';
import { deleteMonitor, editMonitor, readMonitor } from '@/lib/queues/monitors/edit-monitor';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** The monitor with its latest checks and incidents. 404. */
export const GET = apiRoute<{ id: string }>(async ({ container: { rpc }, params }) => {
  const found = await readMonitor(rpc, params.id);
  return 'monitor' in found ? json(200, found.monitor) : refused(found);
});

/** Changes what is named: 200 with the monitor. 404; 422. */
export const PATCH = apiJsonRoute<{ id: string }>(async ({ container: { rpc, env }, params, body }) => {
  const edited = await editMonitor(rpc, addressCheck(env), params.id, body);
  return 'monitor' in edited ? json(200, edited.monitor) : refused(edited, 422, 'nothing was changed');
});

/** Deletes it with its checks and incidents: 200 with `{ id }`. 404. */
export const DELETE = apiRoute<{ id: string }>(async ({ container: { rpc }, params }) => {
  const deleted = await deleteMonitor(rpc, params.id);
  return 'monitor' in deleted ? json(200, deleted.monitor) : refused(deleted);
});
