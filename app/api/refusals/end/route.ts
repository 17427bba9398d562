import { apiJsonRoute } from '@/lib/http/api-route';
import { refused } from '@/lib/http/refused';
import { json } from '@/lib/http/respond';
import { endRefusal } from '@/lib/operate/end-refusal';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Tries again at once what a provider refused: `{ "provider", "account"? }`, all of it without an account. 200 with the same; 404, 422. */
export const POST = apiJsonRoute(async ({ container: { rpc }, body }) => {
  const ended = await endRefusal(rpc, body);
  return 'ended' in ended ? json(200, ended.ended) : refused(ended, 422, 'nothing is tried again');
});
