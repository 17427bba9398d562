import { apiRoute } from '@/lib/server/api-route';
import { listEnrolments } from '@/lib/server/enrolments';
import { refused } from '@/lib/server/refused';
import { json } from '@/lib/server/respond';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** `{ enrolments }`, the newest first: see `listEnrolments`. 400 with `{ errors: [{ field, message }] }`. */
export const GET = apiRoute(
  async ({ container: { rpc }, url }) => {
    const listed = await listEnrolments(rpc, url.searchParams);
    return 'enrolments' in listed
      ? json(200, listed)
      : refused(listed, 400, 'ask as in ?sequence=1&phase=failed&before=42&limit=50');
  },
  { dashboard: true },
);
