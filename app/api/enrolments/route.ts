import { apiRoute } from '@/lib/http/api-route';
import { answerPage } from '@/lib/http/page';
import { enrolmentsQuery, listEnrolments } from '@/lib/queues/sequences/enrolments';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** `{ enrolments, next }`, the newest first: `?sequence=1&phase=failed&limit=50&cursor=…`. 400 with `{ errors: [{ field, message }] }`. */
export const GET = apiRoute(
  async ({ container: { rpc }, query }) => answerPage('enrolments', await listEnrolments(rpc, query)),
  { dashboard: true, query: enrolmentsQuery },
);
