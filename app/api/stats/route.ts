import { apiRoute } from '@/lib/http/api-route.ts';
import { readStats } from '@/lib/stats/stats.ts';

/** Returns the dashboard's figures as JSON, at most one second old. 503 with the reason while the database does not respond. */
export const GET = apiRoute(() => readStats(), { dashboard: true });
