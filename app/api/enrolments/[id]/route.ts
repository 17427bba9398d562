import { apiRoute } from '@/lib/http/api-route';
import { refused } from '@/lib/http/refused';
import { json } from '@/lib/http/respond';
import { readEnrolment } from '@/lib/queues/sequences/enrolments';

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
