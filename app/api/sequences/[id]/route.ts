import { apiJsonRoute, apiRoute } from '@/lib/http/api-route';
import { editSequence, readSequence } from '@/lib/queues/sequences/sequences';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** The sequence with its funnel. 404. */
export const GET = apiRoute<{ id: string }>(({ services: { rpc }, params }) => readSequence(rpc, params.id), {
  dashboard: true,
});

/**
 * Changes what is named of `{ name, time_zone, steps }`: 200 with the sequence. New steps are for those who are enrolled from now on. 404;
 * 422.
 */
export const PATCH = apiJsonRoute<{ id: string }>(
  ({ services: { rpc }, params, body }) => editSequence(rpc, params.id, body),
  { whenInvalid: 'nothing was changed' },
);
