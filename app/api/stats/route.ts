import { apiRoute } from '@/lib/http/api-route';
import { readStats } from '@/lib/stats/stats';

/** What the dashboard shows, as JSON, a second old at most; 503 with the reason while the database does not answer. */
export const GET = apiRoute(() => readStats(), { dashboard: true });
