import { apiJsonRoute } from '@/lib/http/api-route.ts';
import { endRefusal } from '@/lib/operate/end-refusal.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/**
 * Ends the pause of an account that a provider refused, or of the whole provider without `account`: `{ "provider", "account"? }`. 200 with the same;
 * 404; 422.
 */
export const POST = apiJsonRoute(({ services: { rpc }, body, by }) => endRefusal(rpc, body, by), {
  whenInvalid: 'no pause was ended',
});
