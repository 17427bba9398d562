import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { GET } from '../../app/api/cron/jobs/route.ts';
import { type RestGateway, startRestGateway } from '../stack/rest-gateway.ts';
import { signJwt } from '../stack/sign-jwt.ts';
import { apiRequest, bearer, CRON_SECRET, provideServices, stubSecrets } from '../support/api-server.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

const SECRET_KEY = 'sb_secret_of-this-project';
const PUBLISHABLE_KEY = 'sb_publishable_of-this-project';
const LEGACY_KEY = signJwt('secret', 'service_role');

let database: TestDatabase;
let postgrest: Server;
let gateway: RestGateway;

beforeAll(async () => {
  database = await openTestDatabase();
  postgrest = createServer(async (request, response) => {
    const respond = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (request.headers.authorization !== `Bearer ${LEGACY_KEY}`) {
      respond(401, { code: '42501', message: 'permission denied for schema punctual' });
      return;
    }
    const args = (await json(request)) as Record<string, unknown>;
    respond(200, await database.rpc((request.url ?? '').replace('/rpc/', ''), args));
  });
  await new Promise<void>((resolve) => postgrest.listen(0, '127.0.0.1', resolve));
  gateway = await startRestGateway(`http://127.0.0.1:${(postgrest.address() as AddressInfo).port}`, {
    [SECRET_KEY]: LEGACY_KEY,
    [PUBLISHABLE_KEY]: signJwt('secret', 'anon'),
  });
});
afterAll(async () => {
  await gateway.stop();
  postgrest.closeAllConnections();
  postgrest.close();
  await database.close();
});
beforeEach(async () => {
  await database.reset();
  provideServices(null);
  stubSecrets();
  for (const [name, value] of Object.entries({ SUPABASE_URL: gateway.url, STORE: '', LOG_LEVEL: 'fatal' }))
    vi.stubEnv(name, value);
});
afterEach(() => {
  provideServices(null);
  vi.unstubAllEnvs();
});

async function tick(variables: Record<string, string>) {
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
  const response = await GET(apiRequest('GET', '/api/cron/jobs?partition=default', bearer(CRON_SECRET)));
  return { status: response.status, body: await response.json() };
}

describe('a secret key', () => {
  it('runs a tick, even if the disabled legacy key is set too', async () => {
    const [job] = await database.sql(
      `insert into punctual.jobs (name, payload) values ('count-words', '{"text": "a b"}') returning id`,
    );
    const { status } = await tick({ SUPABASE_SECRET_KEY: SECRET_KEY, SUPABASE_SERVICE_ROLE_KEY: LEGACY_KEY });
    expect(status).toBe(200);
    expect(await database.sql('select status from punctual.jobs where id = $1', [job.id])).toEqual([
      { status: 'done' },
    ]);
  });
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
