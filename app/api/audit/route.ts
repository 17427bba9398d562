import { listRoute } from '@/lib/http/page.ts';
import { auditQuery, listAudit } from '@/lib/operate/audit.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/**
 * Lists acts of people, the latest first: `?queue=posts&by=Mira&limit=50&cursor=…`. 200 with `{ acts, next }`; 400 with
 * `{ errors: [{ field, message }] }`.
 */
export const GET = listRoute({ name: 'acts', query: auditQuery, list: listAudit, dashboard: true });
