import { enrolmentRoute } from '@/lib/queues/sequences/enrolment-route';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Goes on where it was paused, or, where it failed, with the step that failed: 200 with the enrolment. 409 where it is over; 404. */
export const POST = enrolmentRoute('resume');
