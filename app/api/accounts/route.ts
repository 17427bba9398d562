import { apiAccess } from '@/lib/server/access';
import { listAccounts, saveAccount } from '@/lib/server/accounts';
import { container } from '@/lib/server/container';
import { accessEnv } from '@/lib/server/env';
import { failed } from '@/lib/server/failure';
import { readJson } from '@/lib/server/read-json';
import { json, problem } from '@/lib/server/respond';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** `{ accounts }`: who messages can be sent as. */
export async function GET(request: Request): Promise<Response> {
  const access = apiAccess(request, accessEnv(), Date.now());
  if (!access.allowed) return problem(access.status, access.kind, access.message);
  try {
    const { rpc } = await container();
    return json(200, { accounts: await listAccounts(rpc) });
  } catch (error) {
    return failed(error);
  }
}

/** Adds an account, or changes the one with the same provider_account_id. 200 with `{ account }`, 422 with `{ errors }`. */
export async function POST(request: Request): Promise<Response> {
  const access = apiAccess(request, accessEnv(), Date.now());
  if (!access.allowed) return problem(access.status, access.kind, access.message);
  const body = await readJson(request);
  if ('refused' in body) return body.refused;
  try {
    const { rpc } = await container();
    const saved = await saveAccount(rpc, body.value);
    if ('errors' in saved)
      return problem(422, 'invalid', 'the account was not saved', { errors: saved.errors });
    return json(200, saved);
  } catch (error) {
    return failed(error);
  }
}
