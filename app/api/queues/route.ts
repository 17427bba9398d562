import { apiRoute } from '@/lib/http/api-route.ts';
import { listQueues } from '@/lib/operate/queue-settings.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Lists the queues with their settings and pauses: `{ queues }`. */
export const GET = apiRoute(async ({ services: { rpc } }) => ({ queues: await listQueues(rpc) }), {
  dashboard: true,
});
