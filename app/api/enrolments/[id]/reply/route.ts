import { apiJsonRoute } from '@/lib/http/api-route.ts';
import { takeReply } from '@/lib/queues/sequences/enrolments.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/**
 * Records a person's reply: `{ body, message_id, said_at }`, or the `{ receipt_id }` of a reply that `/api/replies` lists. 200 with
 * `{ enrolment, applied }`; 404; 409 if the reply cannot be this person's; 422.
 */
export const POST = apiJsonRoute<{ id: string }>(
  ({ services: { rpc }, params, body }) => takeReply(rpc, params.id, body),
  { whenInvalid: 'the reply was not recorded' },
);
