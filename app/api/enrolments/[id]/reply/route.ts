import { apiJsonRoute } from '@/lib/http/api-route';
import { takeReply } from '@/lib/queues/sequences/enrolments';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/**
 * What the person answered, `{ body, message_id, said_at }`, or `{ receipt_id }` of one that `/api/replies` lists: 200 with
 * `{ enrolment, applied }`. 404; 409 where it cannot be this person's; 422.
 */
export const POST = apiJsonRoute<{ id: string }>(
  ({ services: { rpc }, params, body }) => takeReply(rpc, params.id, body),
  { whenInvalid: 'nothing was heard' },
);
