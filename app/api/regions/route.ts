import { apiJsonRoute, apiRoute } from '@/lib/http/api-route';
import { refused } from '@/lib/http/refused';
import { json } from '@/lib/http/respond';
import { listRegions, saveRegion } from '@/lib/queues/monitors/regions';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** `{ regions }`: where monitors are checked from, and how each stands. */
export const GET = apiRoute(async ({ container: { rpc } }) => json(200, { regions: await listRegions(rpc) }));

/** Makes a region, or changes the one of that name. 200 with `{ region }`; 409; 422. */
export const POST = apiJsonRoute(async ({ container: { rpc }, body }) => {
  const saved = await saveRegion(rpc, body);
  return 'region' in saved ? json(200, saved) : refused(saved, 422, 'the region was not saved');
});
