import { apiJsonRoute, apiRoute } from '../http/api-route.ts';
import { listRoute, pageOnly } from '../http/page.ts';
import {
  accountPauseInput,
  accountWithPace,
  noInput,
  pauseAccount,
  readAccount,
  resumeAccount,
} from '../operate/account-pace.ts';
import { accountInput, accountSchema, listAccounts, saveAccount, savedAccount } from '../operate/accounts.ts';
import { endedRefusal, endRefusal, refusalInput } from '../operate/end-refusal.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = {
  'GET /accounts': listRoute({
    summary: 'Lists the accounts that rows are sent as, by name.',
    name: 'accounts',
    item: accountSchema,
    query: pageOnly,
    list: listAccounts,
    dashboard: true,
  }),
  'POST /accounts': apiJsonRoute({
    summary:
      'Adds an account, or changes the one with the same `provider_account_id`: fields that you leave out keep their values.',
    example: {
      provider: 'unipile',
      provider_account_id: 'Xy12…',
      name: 'Ada',
      time_zone: 'Europe/Berlin',
      daily_limit: 30,
    },
    body: accountInput,
    response: savedAccount,
    whenInvalid: 'the account was not saved',
    handle: ({ services: { rpc }, body, by }) => saveAccount(rpc, body, by),
  }),
  'GET /accounts/:id': apiRoute({
    summary: 'Returns the account with what it may still send today, and when, in each queue.',
    response: accountWithPace,
    errors: [404],
    dashboard: true,
    handle: ({ services: { rpc }, params }) => readAccount(rpc, params.id),
  }),
  'POST /accounts/:id/pause': apiJsonRoute({
    summary:
      'Pauses the account. Without `until` the pause lasts until you resume, and `paused_until` is `infinity`.',
    body: accountPauseInput,
    response: accountWithPace,
    errors: [404],
    whenInvalid: 'the account was not paused',
    handle: ({ services: { rpc }, params, body, by }) => pauseAccount(rpc, params.id, body, by),
  }),
  'POST /accounts/:id/resume': apiJsonRoute({
    summary: 'Ends the account’s pause.',
    body: noInput,
    bodyIsOptional: true,
    response: accountWithPace,
    errors: [404],
    whenInvalid: 'the account was not resumed',
    handle: ({ services: { rpc }, params, body, by }) => resumeAccount(rpc, params.id, body, by),
  }),
  'POST /refusals/end': apiJsonRoute({
    summary:
      '[Tries again](delivery.md#refusals) an account that a provider refused, or the whole provider without `account`.',
    body: refusalInput,
    response: endedRefusal,
    errors: [404],
    whenInvalid: 'no pause was ended',
    handle: ({ services: { rpc }, body, by }) => endRefusal(rpc, body, by),
  }),
} satisfies Endpoints;
