import { apiJsonRoute } from '@/lib/http/api-route.ts';
import { listRoute } from '@/lib/http/page.ts';
import { listAccounts, saveAccount } from '@/lib/operate/accounts.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Lists the accounts that send messages, by name: `{ accounts, next }`. 400. */
export const GET = listRoute({ name: 'accounts', list: listAccounts, dashboard: true });

/** Adds an account, or changes the one with the same provider_account_id. 200 with `{ account }`; 422 with `{ errors }`. */
export const POST = apiJsonRoute(({ services: { rpc }, body, by }) => saveAccount(rpc, body, by), {
  whenInvalid: 'the account was not saved',
});
