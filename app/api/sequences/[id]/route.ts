import { apiJsonRoute, apiRoute } from '@/lib/http/api-route.ts';
import { editSequence, readSequence } from '@/lib/queues/sequences/sequences.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Returns the sequence with its funnel. 404. */
export const GET = apiRoute<{ id: string }>(({ services: { rpc }, params }) => readSequence(rpc, params.id), {
  dashboard: true,
});

/**
 * Changes the given fields of `{ name, time_zone, steps }`. New steps apply to people who are enrolled from now on. 200 with the sequence; 404; 422.
 */
export const PATCH = apiJsonRoute<{ id: string }>(
  ({ services: { rpc }, params, body, by }) => editSequence(rpc, params.id, body, by),
  { whenInvalid: 'nothing was changed' },
);
