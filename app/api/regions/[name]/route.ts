import { apiRoute } from '@/lib/http/api-route.ts';
import { removeRegion } from '@/lib/queues/monitors/regions.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Removes the region. 200 with `{ name, moved }`: the number of monitors that moved to another region. 404; 409 for the default region. */
export const DELETE = apiRoute<{ name: string }>(({ services: { rpc }, params, by }) =>
  removeRegion(rpc, params.name, by),
);
