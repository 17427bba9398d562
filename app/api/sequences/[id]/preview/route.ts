import { apiJsonRoute } from '@/lib/http/api-route.ts';
import { previewSequence } from '@/lib/queues/sequences/sequences.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/**
 * Previews the steps that a person, `{ account_id, variables, time_zone, start_at }`, would get and when. Enrols nobody. 200 with `{ steps }`; 404;
 * 422.
 */
export const POST = apiJsonRoute<{ id: string }>(
  ({ services: { rpc }, params, body }) => previewSequence(rpc, params.id, body),
  { whenInvalid: 'this person cannot be enrolled' },
);
