import { z } from 'zod';
import { apiJsonRoute, apiRoute } from '@/lib/http/api-route';
import { answerPage, pageQuery } from '@/lib/http/page';
import { json, problem } from '@/lib/http/respond';
import { listAccounts, saveAccount } from '@/lib/operate/accounts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** `{ accounts, next }`, by name: who messages can be sent as. 400. */
export const GET = apiRoute(
  async ({ container: { rpc }, query }) => answerPage('accounts', await listAccounts(rpc, query)),
  { query: z.strictObject(pageQuery) },
);

/** Adds an account, or changes the one with the same provider_account_id. 200 with `{ account }`, 422 with `{ errors }`. */
export const POST = apiJsonRoute(async ({ container: { rpc }, body }) => {
  const saved = await saveAccount(rpc, body);
  if ('errors' in saved)
    return problem(422, 'invalid', 'the account was not saved', { errors: saved.errors });
  return json(200, saved);
});
