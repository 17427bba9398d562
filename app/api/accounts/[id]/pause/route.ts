import { apiJsonRoute } from '@/lib/http/api-route.ts';
import { pauseAccount } from '@/lib/operate/account-pace.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Pauses the account: `{ reason, until? }`. 200 with the account; 404; 422. */
export const POST = apiJsonRoute<{ id: string }>(
  ({ services: { rpc }, params, body, by }) => pauseAccount(rpc, params.id, body, by),
  { whenInvalid: 'the account was not paused' },
);
