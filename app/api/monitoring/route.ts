import { apiRoute } from '@/lib/http/api-route';
import { json } from '@/lib/http/respond';
import { readMonitoring } from '@/lib/queues/monitors/monitoring';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** What the dashboard shows of monitors. */
export const GET = apiRoute(async ({ container: { rpc } }) => json(200, await readMonitoring(rpc)), {
  dashboard: true,
});
