import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { GET } from '../../app/api/cron/jobs/route.ts';
import { startRestGateway } from '../stack/rest-gateway.ts';
import { signJwt } from '../stack/sign-jwt.ts';
import { answered, apiRequest, bearer, CRON_SECRET } from '../support/api-server.ts';
import { servedDatabase } from '../support/fixtures.ts';
import { replaceServices } from '../support/replace-services.ts';
import { serveHandler } from '../support/serve-handler.ts';

const SECRET_KEY = 'sb_secret_of-this-project';
const PUBLISHABLE_KEY = 'sb_publishable_of-this-project';
const LEGACY_KEY = signJwt('secret', 'service_role');

const database = servedDatabase();
const postgrest = await serveHandler(async (request) => {
  if (request.headers.get('authorization') !== `Bearer ${LEGACY_KEY}`) {
    const refusal = { code: '42501', message: 'permission denied for schema punctual' };
    return Response.json(refusal, { status: 401 });
  }
  const { pathname } = new URL(request.url);
  return Response.json(await database.rpc(pathname.replace('/rpc/', ''), await request.json()));
});
const gateway = await startRestGateway(postgrest.url, {
  [SECRET_KEY]: LEGACY_KEY,
  [PUBLISHABLE_KEY]: signJwt('secret', 'anon'),
});
afterAll(async () => {
  await gateway.stop();
  await postgrest.close();
});
beforeEach(() => {
  replaceServices(null);
  for (const [name, value] of Object.entries({ SUPABASE_URL: gateway.url, STORE: '', LOG_LEVEL: 'fatal' }))
    vi.stubEnv(name, value);
});

function tick(variables: Record<string, string>) {
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
  return answered(GET(apiRequest('GET', '/api/cron/jobs?partition=default', bearer(CRON_SECRET))));
}

it('a secret key runs a tick, even if the disabled legacy key is set too', async () => {
  await database.sql(`insert into punctual.jobs (name, payload) values ('count-words', '{"text": "a b"}')`);
  const keys = { SUPABASE_SECRET_KEY: SECRET_KEY, SUPABASE_SERVICE_ROLE_KEY: LEGACY_KEY };
  expect((await tick(keys)).status).toBe(200);
  expect(await database.sql('select status from punctual.jobs')).toEqual([{ status: 'done' }]);
});

describe('the error says what to do and hides the key if Supabase refuses', () => {
  it.each<[label: string, variables: Record<string, string>, reason: string]>([
    ['a key of another project', { SUPABASE_SECRET_KEY: 'sb_secret_of-another' }, 'Invalid API key'],
    ['a disabled legacy key', { SUPABASE_SERVICE_ROLE_KEY: LEGACY_KEY }, 'Legacy API keys are disabled'],
    ['a publishable key', { SUPABASE_SECRET_KEY: PUBLISHABLE_KEY }, 'permission denied for schema punctual'],
  ])('%s', async (_label, variables, reason) => {
    const { status, body } = await tick(variables);
    expect(status).toBe(503);
    expect(body.error).toMatchObject({
      kind: 'database_misconfigured',
      message:
        `Supabase refused the API key (${reason}). Set SUPABASE_SECRET_KEY to a secret key, sb_secret_…, of the project at SUPABASE_URL ` +
        "and redeploy. You find it in Supabase's dashboard under Settings → API Keys",
    });
    for (const key of Object.values(variables)) expect(JSON.stringify(body)).not.toContain(key);
  });
});

describe('the gateway, like Supabase’s,', () => {
  const statusOf = async (headers: Record<string, string>) =>
    (await fetch(`${gateway.url}/rest/v1/rpc/read_health`, { method: 'POST', headers, body: '{}' })).status;

  it.each<[label: string, headers: Record<string, string>, status: number]>([
    ['accepts the key as apikey alone', { apikey: SECRET_KEY }, 200],
    ['accepts the key in both headers', { apikey: SECRET_KEY, authorization: `Bearer ${SECRET_KEY}` }, 200],
    ['refuses the key as Bearer alone', { authorization: `Bearer ${SECRET_KEY}` }, 401],
    ['refuses another key as Bearer', { apikey: SECRET_KEY, authorization: `Bearer ${LEGACY_KEY}` }, 401],
    ['refuses an unknown key', { apikey: 'sb_secret_of-another' }, 401],
  ])('%s', async (_label, headers, status) => {
    expect(await statusOf(headers)).toBe(status);
  });
});
