import { apiJsonRoute, apiRoute } from '../http/api-route.ts';
import { listRoute } from '../http/page.ts';
import { pauseAccount, readAccount, resumeAccount } from '../operate/account-pace.ts';
import { listAccounts, saveAccount } from '../operate/accounts.ts';
import { endRefusal } from '../operate/end-refusal.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = {
  /** Lists the accounts that send messages, by name: `{ accounts, next }`. 400. */
  'GET /accounts': listRoute({ name: 'accounts', list: listAccounts, dashboard: true }),
  /** Adds an account, or changes the one with the same provider_account_id. 200 with `{ account }`; 422 with `{ errors }`. */
  'POST /accounts': apiJsonRoute(({ services: { rpc }, body, by }) => saveAccount(rpc, body, by), {
    whenInvalid: 'the account was not saved',
  }),
  /** Returns the account with what it may still send today, and when, in each queue. 404. */
  'GET /accounts/:id': apiRoute<{ id: string }>(
    ({ services: { rpc }, params }) => readAccount(rpc, params.id),
    {
      dashboard: true,
    },
  ),
  /** Pauses the account: `{ reason, until? }`. 200 with the account; 404; 422. */
  'POST /accounts/:id/pause': apiJsonRoute<{ id: string }>(
    ({ services: { rpc }, params, body, by }) => pauseAccount(rpc, params.id, body, by),
    { whenInvalid: 'the account was not paused' },
  ),
  /** Ends the account's pause. 200 with the account; 404; 422. */
  'POST /accounts/:id/resume': apiJsonRoute<{ id: string }>(
    ({ services: { rpc }, params, body, by }) => resumeAccount(rpc, params.id, body, by),
    { optional: true, whenInvalid: 'the account was not resumed' },
  ),
  /**
   * Ends the pause of an account that a provider refused, or of the whole provider without `account`: `{ "provider", "account"? }`. 200 with the same;
   * 404; 422.
   */
  'POST /refusals/end': apiJsonRoute(({ services: { rpc }, body, by }) => endRefusal(rpc, body, by), {
    whenInvalid: 'no pause was ended',
  }),
} satisfies Endpoints;
