import { listRoute } from '@/lib/http/page.ts';
import { enrolmentsQuery, listEnrolments } from '@/lib/queues/sequences/enrolments.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/**
 * Lists enrolments, the newest first: `?sequence=1&phase=failed&limit=50&cursor=…`. 200 with `{ enrolments, next }`;
 * 400 with `{ errors: [{ field, message }] }`.
 */
export const GET = listRoute({
  name: 'enrolments',
  query: enrolmentsQuery,
  list: listEnrolments,
  dashboard: true,
});
