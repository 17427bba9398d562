import { apiRoute } from '@/lib/http/api-route.ts';
import { readEnrolment } from '@/lib/queues/sequences/enrolments.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Returns the enrolment with its timeline. 404. */
export const GET = apiRoute<{ id: string }>(
  ({ services: { rpc }, params }) => readEnrolment(rpc, params.id),
  { dashboard: true },
);
