import { apiRoute } from '@/lib/http/api-route.ts';
import { readMonitoring } from '@/lib/stats/stats.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Returns the dashboard's figures of monitors. */
export const GET = apiRoute(({ services: { rpc } }) => readMonitoring(rpc), { dashboard: true });
