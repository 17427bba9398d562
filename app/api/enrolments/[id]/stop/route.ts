import { enrolmentRoute } from '@/lib/queues/sequences/enrolment-route';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Unenrols, with `{ reason }` if there is one to tell: 200 with the enrolment. 409 where it is over otherwise; 404. */
export const POST = enrolmentRoute('stop');
