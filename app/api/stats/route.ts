import { apiRoute } from '@/lib/http/api-route';
import { json } from '@/lib/http/respond';
import { readStats } from '@/lib/stats/stats';

/** What the dashboard shows, as JSON, a second old at most; 503 with the reason while the database does not answer. */
export const GET = apiRoute(async () => json(200, await readStats()), { dashboard: true });
