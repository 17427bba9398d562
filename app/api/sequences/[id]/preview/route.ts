import { apiJsonRoute } from '@/lib/http/api-route';
import { refused } from '@/lib/http/refused';
import { json } from '@/lib/http/respond';
import { previewSequence } from '@/lib/queues/sequences/sequences';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** What a person, `{ account_id, variables, time_zone, start_at }`, would get, and about when: 200 with `{ steps }`. Enrols nobody. 404; 422. */
export const POST = apiJsonRoute<{ id: string }>(async ({ container: { rpc }, params, body }) => {
  const seen = await previewSequence(rpc, params.id, body);
  return 'preview' in seen ? json(200, seen.preview) : refused(seen, 422, 'this person cannot be enrolled');
});
