import { enrolmentRoute } from '@/lib/queues/sequences/enrolment-route.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Stops an enrolment, with an optional `{ reason }`. 200 with the enrolment; 404; 409 if it has ended in another way. */
export const POST = enrolmentRoute('stop');
