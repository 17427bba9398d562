import { enrolmentRoute } from '@/lib/queues/sequences/enrolment-route';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Keeps back what is not yet on its way, until it is resumed: 200 with the enrolment. 409 where it is over; 404. */
export const POST = enrolmentRoute('pause');
