import { apiRoute } from '@/lib/http/api-route.ts';
import { readForecast } from '@/lib/stats/forecast.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Returns what falls due in the next six hours, and what the accounts may send, as `{ queues }`. */
export const GET = apiRoute(async ({ services: { rpc } }) => ({ queues: await readForecast(rpc) }), {
  dashboard: true,
});
