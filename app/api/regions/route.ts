import { apiJsonRoute, apiRoute } from '@/lib/http/api-route.ts';
import { listRegions, saveRegion } from '@/lib/queues/monitors/regions.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Lists the regions that check monitors, each with its state: `{ regions }`. */
export const GET = apiRoute(async ({ services: { rpc } }) => ({ regions: await listRegions(rpc) }));

/** Creates a region, or changes the one with that name. 200 with `{ region }`; 409; 422. */
export const POST = apiJsonRoute(({ services: { rpc }, body, by }) => saveRegion(rpc, body, by), {
  whenInvalid: 'the region was not saved',
});
