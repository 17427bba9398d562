import { apiRoute } from '@/lib/http/api-route.ts';
import { readPulse } from '@/lib/stats/pulse.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Returns a value of a few bytes that changes when a page of the dashboard should be rendered anew. The format is in `lib/stats/pulse.ts`. */
export const GET = apiRoute(({ services: { rpc } }) => readPulse(rpc), { dashboard: true });
