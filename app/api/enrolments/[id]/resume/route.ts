import { enrolmentRoute } from '@/lib/queues/sequences/enrolment-route.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Resumes a paused enrolment, or a failed one with the step that failed. 200 with the enrolment; 404; 409 if it is over. */
export const POST = enrolmentRoute('resume');
