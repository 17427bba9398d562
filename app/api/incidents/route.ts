import { apiRoute } from '@/lib/server/api-route';
import { incidentsQuery, listIncidents } from '@/lib/server/list-monitors';
import { answerPage } from '@/lib/server/page';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** `{ incidents, next }`, the newest first: `?open=true&monitor=42&limit=50&cursor=…`. 400 with `{ errors: [{ field, message }] }`. */
export const GET = apiRoute(
  async ({ container: { rpc }, query }) => answerPage('incidents', await listIncidents(rpc, query)),
  { query: incidentsQuery },
);
