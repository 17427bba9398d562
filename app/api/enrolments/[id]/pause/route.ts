import { enrolmentRoute } from '@/lib/queues/sequences/enrolment-route.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Pauses an enrolment: messages that are not being sent wait until it is resumed. 200 with the enrolment; 404; 409 if it is over. */
export const POST = enrolmentRoute('pause');
