import { listRoute } from '@/lib/http/page.ts';
import { incidentsQuery, listIncidents } from '@/lib/queues/monitors/list-monitors.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/**
 * Lists incidents, the newest first: `?open=true&monitor=42&limit=50&cursor=…`. `{ incidents, next }`; 400 with `{ errors: [{ field, message }] }`.
 */
export const GET = listRoute({ name: 'incidents', query: incidentsQuery, list: listIncidents });
