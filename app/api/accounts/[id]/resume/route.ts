import { apiJsonRoute } from '@/lib/http/api-route.ts';
import { resumeAccount } from '@/lib/operate/account-pace.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Ends the account's pause. 200 with the account; 404; 422. */
export const POST = apiJsonRoute<{ id: string }>(
  ({ services: { rpc }, params, body, by }) => resumeAccount(rpc, params.id, body, by),
  { optional: true, whenInvalid: 'the account was not resumed' },
);
