import { apiJsonRoute, apiRoute } from '@/lib/http/api-route.ts';
import { addressCheck } from '@/lib/queues/monitors/address-check.ts';
import { deleteMonitor, editMonitor, readMonitor } from '@/lib/queues/monitors/edit-monitor.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Returns the monitor with its latest checks and incidents. 404. */
export const GET = apiRoute<{ id: string }>(({ services: { rpc }, params }) => readMonitor(rpc, params.id));

/** Changes the given fields. 200 with the monitor; 404; 422. */
export const PATCH = apiJsonRoute<{ id: string }>(
  ({ services: { rpc, env }, params, body, by }) => editMonitor(rpc, addressCheck(env), params.id, body, by),
  { whenInvalid: 'nothing was changed' },
);

/** Deletes the monitor with its checks and incidents. 200 with `{ id }`; 404. */
export const DELETE = apiRoute<{ id: string }>(({ services: { rpc }, params, by }) =>
  deleteMonitor(rpc, params.id, by),
);
