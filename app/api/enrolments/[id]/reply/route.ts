import { apiJsonRoute } from '@/lib/http/api-route';
import { refused } from '@/lib/http/refused';
import { json } from '@/lib/http/respond';
import { takeReply } from '@/lib/queues/sequences/enrolments';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/**
 * What the person answered, `{ body, message_id, said_at }`, or `{ receipt_id }` of one that `/api/replies` lists: 200 with
 * `{ enrolment, applied }`. 404; 409 where it cannot be this person's; 422.
 */
export const POST = apiJsonRoute<{ id: string }>(async ({ container: { rpc }, params, body }) => {
  const taken = await takeReply(rpc, params.id, body);
  return 'applied' in taken ? json(200, taken) : refused(taken, 422, 'nothing was heard');
});
