import { apiJsonRoute, apiRoute } from '@/lib/http/api-route';
import { listRegions, saveRegion } from '@/lib/queues/monitors/regions';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** `{ regions }`: where monitors are checked from, and how each stands. */
export const GET = apiRoute(async ({ services: { rpc } }) => ({ regions: await listRegions(rpc) }));

/** Makes a region, or changes the one of that name. 200 with `{ region }`; 409; 422. */
export const POST = apiJsonRoute(({ services: { rpc }, body }) => saveRegion(rpc, body), {
  whenInvalid: 'the region was not saved',
});
