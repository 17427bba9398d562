import { apiRoute } from '@/lib/server/api-route';
import { readMonitoring } from '@/lib/server/monitoring';
import { json } from '@/lib/server/respond';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** What the dashboard shows of monitors. */
export const GET = apiRoute(async ({ container: { rpc } }) => json(200, await readMonitoring(rpc)), {
  dashboard: true,
});
