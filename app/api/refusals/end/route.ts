import { apiJsonRoute } from '@/lib/http/api-route';
import { endRefusal } from '@/lib/operate/end-refusal';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Tries again at once what a provider refused: `{ "provider", "account"? }`, all of it without an account. 200 with the same; 404, 422. */
export const POST = apiJsonRoute(({ services: { rpc }, body }) => endRefusal(rpc, body), {
  whenInvalid: 'nothing is tried again',
});
