import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { allEndpoints } from '../../lib/api/all-endpoints.ts';
import { cronEndpoints } from '../../lib/cron/handlers/find-endpoint.ts';
import { StoreError } from '../../lib/engine/ports/store-error.ts';
import type { RunSql } from '../../lib/store/embedded/pglite-sql.ts';
import { punctual } from '../../punctual.ts';
import { bearer, PASSWORD, withKey } from '../support/api-server.ts';
import { perTestExchanges, servedDatabase } from '../support/fixtures.ts';
import { openApiContract } from '../support/openapi-contract.ts';
import { replaceRpc } from '../support/replace-services.ts';
import { signedByMeta, signedByUnipile } from './webhooks/webhook-bench.ts';

const providers = {
  UNIPILE_DSN: 'http://127.0.0.1:2',
  UNIPILE_API_KEY: 'y',
  WHATSAPP_ACCESS_TOKEN: 'z',
  JOB_SIGNING_SECRET: 'a-long-secret-of-at-least-32-characters',
};
const database = servedDatabase(providers, { own: true });
const sql = perTestExchanges(database);
let api: Awaited<ReturnType<typeof openApiContract>>;

beforeAll(async () => {
  api = await openApiContract();
});
beforeEach(() => sql.setNow(new Date().toISOString()));

/** Calls an operation, and expects its success. */
async function succeed(...call: Parameters<typeof api.call>) {
  const { status, body } = await api.call(...call);
  expect([call[0], status, body?.error?.message]).toEqual([call[0], expect.any(Number), undefined]);
  return body;
}

async function addAccount(providerId = 'Xy12'): Promise<string> {
  const body = {
    ...{ provider: 'unipile', provider_account_id: providerId, name: 'Ada', time_zone: 'Europe/Berlin' },
    ...{ daily_limit: 30, hours: { mon: ['09:00-24:00'] }, ramp_started_on: '2026-03-02' },
    queues: { posts: { daily_limit: 2 } },
  };
  return (await succeed('POST /accounts', {}, { body })).account.id;
}

const rejected = {
  error: 'unipile answered 422 (e): nobody 7',
  kind: 'rejected',
  code: 'e',
  answer: '{}',
  ms: 9,
};
const refused = { rate_limited: true, refused: 'account', error: 'restricted' };

/** Adds a message of an account of its own and settles its attempt. */
async function addSettledDm(outcome: 'dead' | 'unknown' | 'retry', failure: object = rejected) {
  const account = await sql.addAccount({ name: 'Bob' });
  const id = await sql.addDm(account, { recipient: 'bob', chat_id: null });
  const tick = sql.tick();
  const { claimId: claim_id } = await tick.claim(1);
  await tick.settle([{ id, claim_id, outcome, account_id: account, ...failure }], { close: true });
  return { id, account };
}

describe('the OpenAPI document', () => {
  it('has every endpoint and every cron path, and nothing else', async () => {
    const endpoints = Object.keys(await allEndpoints()).map((name) => name.replace(/:(\w+)/g, '{$1}'));
    const cron = Object.keys(cronEndpoints(punctual.queues)).flatMap((name) => [
      `GET /cron/${name}`,
      `POST /cron/${name}`,
    ]);
    expect(api.operations.map(({ name }) => name).sort()).toEqual([...endpoints, ...cron].sort());
  });

  it('is served to everybody, for the path that the API is mounted at', async () => {
    const document = await succeed('GET /openapi.json', {}, { headers: {} });
    expect(document).toMatchObject({ openapi: '3.1.0', servers: [{ url: '/api' }] });
    expect(JSON.stringify(document)).not.toMatch(/\]\(\w+\.md/);
  });

  it('says what a list of limited length holds', () => {
    const body = api.document.paths['/posts']?.post?.requestBody?.content['application/json']?.schema;
    const [post] = (body?.anyOf ?? []) as { properties: Record<string, object> }[];
    expect(post?.properties.media_urls).toMatchObject({ type: 'array', items: { type: 'string' } });
  });

  it('gives each operation an id of its own, and describes each parameter of its path', () => {
    const ids = api.operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { name, operation } of api.operations) {
      const named = operation.parameters.filter(({ in: place }) => place === 'path').map((one) => one.name);
      expect(named).toEqual([...name.matchAll(/\{(\w+)\}/g)].map(([, param]) => param));
    }
  });
});

describe('each success fits the document:', () => {
  it('accounts', async () => {
    const id = await addAccount();
    await succeed('GET /accounts');
    await succeed('GET /accounts/{id}', { id });
    await succeed(
      'POST /accounts/{id}/pause',
      { id },
      { body: { reason: 'holiday', until: '2099-01-01T00:00:00Z' } },
    );
    await succeed('POST /accounts/{id}/resume', { id });
  });

  it('messages, rows, errors and actions', async () => {
    const { id: dead } = await addSettledDm('dead');
    const { id: unknown } = await addSettledDm('unknown');
    const dm = {
      ...{ account_id: await addAccount(), channel: 'linkedin', chat_id: 'c', body: 'Hello' },
      ...{ send_at: '2026-03-02T09:00:00+01:00', priority: 0, idempotency_key: 'k' },
    };
    const [{ id }] = (await succeed('POST /dms', {}, { body: dm })).rows;
    expect((await api.call('POST /dms', {}, { body: [dm] })).status).toBe(200);
    await succeed('GET /dms', {}, { query: 'count=true&limit=2' });
    await succeed('GET /dms/{id}/why', { id });
    await succeed('POST /dms/{id}/resolve', { id: unknown }, { body: { decision: 'failed', note: 'asked' } });
    const queue = 'dm_queue';
    await succeed('GET /queues/{queue}/rows', { queue }, { query: 'status=failed,pending' });
    for (const row of [id, dead, unknown]) {
      await succeed('GET /queues/{queue}/rows/{id}', { queue, id: row });
      await succeed('GET /queues/{queue}/rows/{id}/why', { queue, id: row });
    }
    await succeed(
      'POST /queues/{queue}/rows/{id}/resolve',
      { queue, id },
      { body: { decision: 'cancelled' } },
    );
    await succeed('GET /find', {}, { query: 'q=k' });
    const { errors } = await succeed('GET /queues/{queue}/errors', { queue });
    const group = { queue, id: errors[0].id };
    await succeed('GET /queues/{queue}/errors/{id}', group);
    await succeed('POST /queues/{queue}/errors/{id}/known', group, {
      body: { known: true, note: 'ticket 7' },
    });

    const retry = { action: 'retry', filter: { status: 'failed' } };
    await succeed('POST /queues/{queue}/actions', { queue }, { body: { ...retry, dry_run: true } });
    const action = await succeed(
      'POST /queues/{queue}/actions',
      { queue },
      { body: { ...retry, note: 'n' } },
    );
    await succeed('GET /actions', {}, { query: 'queue=dm_queue' });
    await succeed('POST /actions/{id}/stop', { id: action.id });
    await succeed('POST /actions/{id}/continue', { id: action.id });
    await succeed('GET /actions/{id}', { id: action.id });
    await succeed('GET /actions/{id}/proof', { id: action.id });
    await succeed('GET /audit', {}, { query: 'queue=dm_queue' });
  });

  it('refusals', async () => {
    const { account } = await addSettledDm('retry', refused);
    await succeed('GET /accounts/{id}', { id: account });
    await succeed('GET /stats');
    await succeed('POST /refusals/end', {}, { body: { provider: 'unipile', account } });
  });

  it('posts', async () => {
    const body = {
      account_id: await addAccount(),
      body: 'We are hiring',
      scheduled_for: '2099-01-01T00:00:00Z',
    };
    const [{ id }] = (await succeed('POST /posts', {}, { body })).rows;
    await succeed('GET /posts');
    await succeed('GET /posts/{id}', { id });
    await succeed('PATCH /posts/{id}', { id }, { body: { priority: 0, expires_at: null } });
    await succeed('DELETE /posts/{id}', { id });
  });

  it('jobs', async () => {
    const body = [
      { name: 'count-words', payload: { text: 'a b' }, unique_key: 'k', unique_seconds: 60 },
      { name: 'count-words', payload: { text: 'a' }, run_at: '2099-01-01T00:00:00Z', queue: 'reports' },
    ];
    const [{ id }, later] = (await succeed('POST /jobs', {}, { body })).rows;
    const call = {
      url: 'https://1.1.1.1/hook?x=1',
      method: 'PUT',
      headers: { accept: 'x' },
      payload: { a: 1 },
    };
    const [hook] = (await succeed('POST /jobs', {}, { body: { ...call, run_at: '2099-01-01T00:00:00Z' } }))
      .rows;
    await succeed('GET /jobs/{id}', { id: hook.id });
    await succeed('POST /jobs/run');
    await succeed('GET /jobs/{id}', { id });
    await succeed('DELETE /jobs/{id}', { id: later.id });
  });

  it('monitors, incidents and regions', async () => {
    await succeed('POST /regions', {}, { body: { name: 'fra1', unseen_seconds: 600 } });
    const body = {
      name: 'Website',
      url: 'https://1.1.1.1/',
      headers: { accept: 'x' },
      only_regions: ['fra1'],
    };
    const [{ id }] = (await succeed('POST /monitors', {}, { body })).rows;
    await database.sql(
      `insert into punctual.incidents (monitor_id, started_at, opened_at, regions, cause) values ($1, now(), now(), '{fra1}', 'down')`,
      [id],
    );
    await succeed('GET /monitors');
    await succeed('GET /monitors/{id}', { id });
    await succeed('PATCH /monitors/{id}', { id }, { body: { criticality: 'low', only_regions: null } });
    await succeed('GET /incidents', {}, { query: 'open=true' });
    await succeed('GET /monitoring');
    await succeed('GET /regions');
    await succeed('DELETE /monitors/{id}', { id });
    await succeed('DELETE /regions/{name}', { name: 'fra1' });
  });

  it('sequences, enrolments, replies and people', async () => {
    const account = await addAccount();
    const hours = { mon: ['09:00-12:00'] };
    const steps = [
      { kind: 'question', body: 'Hi {{first_name}}', reminder: { after_seconds: 60, body: 'Well?' } },
      { kind: 'message', body: 'bye', delay_seconds: 60, hours },
    ];
    const { id: sequence } = await succeed(
      'POST /sequences',
      {},
      { body: { name: 's', channel: 'linkedin', steps } },
    );
    await succeed('GET /sequences');
    await succeed('GET /sequences/{id}', { id: sequence });
    await succeed('PATCH /sequences/{id}', { id: sequence }, { body: { name: 't' } });
    const person = { account_id: account, recipient: 'ann', variables: { first_name: 'Ann', age: 7 } };
    const preview = { account_id: account, variables: { first_name: 'Ann' } };
    await succeed('POST /sequences/{id}/preview', { id: sequence }, { body: preview });
    const path = { id: sequence };
    const [{ id }] = (await succeed('POST /sequences/{id}/enrolments', path, { body: person })).rows;
    await succeed('GET /enrolments', {}, { query: `sequence=${sequence}` });
    await succeed('GET /enrolments/{id}', { id });
    await succeed('POST /enrolments/{id}/pause', { id });
    await succeed('POST /enrolments/{id}/resume', { id }, { body: {} });
    await succeed('POST /enrolments/{id}/reply', { id }, { body: { body: 'yes', message_id: 'm1' } });
    await succeed('POST /enrolments/{id}/stop', { id }, { body: { reason: 'bought' } });
    await sql.receive([
      { kind: 'message', status: 'received', message_id: 'm2', said_at: '2026-03-02T12:00:00Z' },
    ]);
    expect((await succeed('GET /replies')).replies).toHaveLength(1);
    await succeed('POST /people/forget', {}, { body: { recipient: 'ann' } });
  });

  it('queues and ticks', async () => {
    const queue = 'jobs';
    await succeed(
      'POST /jobs',
      {},
      { body: { name: 'count-words', payload: { text: 'a' }, queue: 'reports' } },
    );
    const { tick } = (await succeed('POST /queues/{queue}/run', { queue })).reports[0];
    await succeed('POST /queues/{queue}/run', { queue: 'dm_queue' });
    await succeed('GET /queues');
    await succeed('PATCH /queues/{queue}', { queue }, { body: { concurrency: 8, note: 'backlog' } });
    await succeed(
      'PATCH /queues/{queue}',
      { queue },
      { query: 'partition=reports', body: { max_running: 1 } },
    );
    await succeed('POST /queues/{queue}/pause', { queue }, { body: { reason: 'r', partition: 'reports' } });
    await succeed('POST /queues/{queue}/resume', { queue });
    await succeed('GET /queues/{queue}', { queue });
    await succeed('GET /queues/{queue}/ticks', { queue }, { query: 'idle=true' });
    await succeed('GET /ticks/{id}', { id: tick });
    for (const method of ['GET', 'POST']) {
      await succeed(`${method} /trigger/{queue}`, { queue });
      await succeed(`${method} /trigger/{queue}`, { queue: 'dm_queue' });
    }
  });

  it('figures', async () => {
    await addSettledDm('dead');
    await addSettledDm('unknown');
    await sql.addDm(await addAccount(), { recipient: 'bob', chat_id: null });
    await succeed('GET /cron/analytics');
    for (const name of ['health', 'analytics', 'forecast', 'pulse', 'schedulers', 'stats'])
      await succeed(`GET /${name}`);
    const { needs } = await succeed('GET /needs');
    const until = new Date(Date.now() + 3_600_000).toISOString();
    await succeed('POST /needs/{key}/snooze', { key: needs[0].key }, { body: { until } });
    await succeed('GET /needs');
    await succeed('DELETE /needs/{key}/snooze', { key: needs[0].key });
  });

  it('cron paths', async () => {
    await succeed('POST /jobs', {}, { body: { name: 'count-words', payload: { text: 'a' } } });
    for (const name of Object.keys(cronEndpoints(punctual.queues)))
      for (const method of ['GET', 'POST']) await succeed(`${method} /cron/${name}`);
  });

  it('sessions and webhooks', async () => {
    const headers = { 'content-type': 'application/json' };
    await succeed('POST /session', {}, { headers, body: { password: PASSWORD, name: 'Mira' } });
    await succeed('DELETE /session');
    expect((await api.call('POST /session/end')).status).toBe(303);
    vi.stubEnv('UNIPILE_WEBHOOK_SECRET', 'hook-secret');
    vi.stubEnv('WHATSAPP_APP_SECRET', 'app-secret');
    vi.stubEnv('WHATSAPP_VERIFY_TOKEN', 'token');
    const body = '{}';
    await succeed('POST /webhooks/unipile', {}, { body, headers: signedByUnipile(body, 'hook-secret') });
    await succeed('POST /webhooks/whatsapp', {}, { body, headers: signedByMeta(body, 'app-secret') });
    const query = 'hub.mode=subscribe&hub.verify_token=token&hub.challenge=1';
    expect((await succeed('GET /webhooks/whatsapp', {}, { query })).toString()).toBe('1');
  });

  it('SQL on the embedded database', async () => {
    const directory = realpathSync(mkdtempSync(path.join(tmpdir(), 'punctual-sql-')));
    for (const name of [
      'SUPABASE_URL',
      'SUPABASE_SECRET_KEY',
      'SUPABASE_SERVICE_ROLE_KEY',
      'STORE',
      'VERCEL',
    ])
      vi.stubEnv(name, '');
    vi.stubEnv('PUNCTUAL_DATA', directory);
    const run: RunSql = async () => [{ command: 'SELECT', rowCount: 1, columns: ['a'], rows: [['1']] }];
    await replaceRpc((rpc) => rpc, { sql: run });
    await succeed('POST /sql', {}, { body: { sql: 'select 1', directory } });
    rmSync(directory, { recursive: true });
  });

  it('of every operation', () => {
    const never = api.operations.filter(({ name, operation }) => {
      const successes = Object.keys(operation.responses).filter((status) => Number(status) < 400);
      return !successes.some((status) => api.seen.get(name)?.has(Number(status)));
    });
    expect(never.map(({ name }) => name)).toEqual([]);
  });
});

describe('each error fits the document:', () => {
  const guarded = () => api.operations.filter(({ operation }) => operation.security.length > 0);
  const bodyOf = (name: string) => (/^(POST|PATCH)/.test(name) ? '{}' : undefined);
  const missing = { queue: 'nothing', id: '999', name: 'nothing', key: 'nothing!' };

  it('a wrong secret and a wrong query', async () => {
    for (const { name } of guarded()) {
      const { status } = await api.call(name, missing, { headers: bearer('guess') });
      expect([name, status]).toEqual([name, expect.toBeOneOf([401, 503])]);
      if (name.includes('/webhooks/')) continue;
      const wrongQuery = await api.call(name, missing, { query: 'nonsense=1', body: bodyOf(name) });
      expect([name, wrongQuery.status]).toEqual([name, 400]);
    }
  });

  it('what does not exist', async () => {
    for (const { name } of guarded().filter((one) => one.name.includes('{'))) {
      const { status } = await api.call(name, missing, { body: bodyOf(name) });
      expect([name, status]).toEqual([name, expect.toBeOneOf([404, 422])]);
    }
  });

  it('a body with a field that the document does not have', async () => {
    const account = await addAccount();
    const ids = { queue: 'dm_queue', id: account, name: 'main', key: 'nothing' };
    for (const { name, operation } of guarded()) {
      const schema = operation.requestBody?.content['application/json']?.schema;
      if (!schema || Object.keys(schema).length === 0 || name === 'POST /sql') continue;
      const { status, body } = await api.call(name, ids, { body: '{"nonsense":1}', headers: withKey });
      expect([name, status]).toEqual([name, expect.toBeOneOf([404, 422])]);
      if (status === 422) expect(JSON.stringify(body)).toContain('nonsense');
    }
  });

  it('a database that does not respond', async () => {
    // The coverage of schedulers is shared for ten seconds.
    await replaceRpc(() => async () => {
      throw new StoreError('unavailable', 'gone');
    });
    for (const { name } of guarded()) {
      const { status } = await api.call(name, missing, { body: bodyOf(name) });
      expect([name, status]).toEqual([
        name,
        expect.toBeOneOf(name === 'GET /schedulers' ? [200, 503] : [404, 422, 503]),
      ]);
    }
  });
});
