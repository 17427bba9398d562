import { apiRoute } from '@/lib/server/api-route';
import { readEnrolment } from '@/lib/server/enrolments';
import { refused } from '@/lib/server/refused';
import { json } from '@/lib/server/respond';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** The enrolment with its timeline. 404. */
export const GET = apiRoute<{ id: string }>(
  async ({ container: { rpc }, params }) => {
    const read = await readEnrolment(rpc, params.id);
    return 'enrolment' in read ? json(200, read.enrolment) : refused(read);
  },
  { dashboard: true },
);
