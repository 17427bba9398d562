import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { GET as tickByGet, POST as tickByPost } from '../../app/api/cron/dm-queue/route.ts';
import { GET as pruneByGet } from '../../app/api/cron/prune/route.ts';
import { POST as postDms } from '../../app/api/dms/route.ts';
import { cronRoute } from '../../lib/cron/cron-route.ts';
import { tickHandler } from '../../lib/cron/handlers/tick-partition.ts';
import { done } from '../../lib/engine/outcome.ts';
import type { Log } from '../../lib/engine/ports/log.ts';
import { StoreError } from '../../lib/engine/ports/store-error.ts';
import { defineQueue } from '../../lib/engine/queue.ts';
import { serverEnv } from '../../lib/services/env.ts';
import { makeServices } from '../../lib/services/services.ts';
import { queueStore } from '../../lib/store/queue-store.ts';
import type { Rpc } from '../../lib/store/rpc.ts';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../sandbox/shapes/unipile-shape.ts';
import { SANDBOX_ACCESS_TOKEN } from '../../sandbox/shapes/whatsapp-shape.ts';
import { provideServices } from '../support/api-server.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

const SECRET = 'cron-secret-of-this-month';
const PREVIOUS = 'cron-secret-of-last-month';
const API_KEY = 'api-key-of-this-server';
const SERVICE_ROLE_KEY = 'service-role-key-of-this-project';
const WRONG_UNIPILE_KEY = 'unipile-key-that-was-revoked';
const SECRETS = [
  SECRET,
  PREVIOUS,
  API_KEY,
  SERVICE_ROLE_KEY,
  SANDBOX_API_KEY,
  SANDBOX_ACCESS_TOKEN,
  WRONG_UNIPILE_KEY,
];

let database: TestDatabase;
let sandbox: Sandbox;
/** No server listens here. */
let deadUrl: string;
const logged: string[] = [];

/** Sets the services that `variables` describe, over `rpc`. Without `rpc` they call a Supabase that does not exist. */
async function startServer(variables: Record<string, string> = {}, rpc?: Rpc): Promise<void> {
  const env = serverEnv({ SUPABASE_URL: deadUrl, SUPABASE_SERVICE_ROLE_KEY: SERVICE_ROLE_KEY, ...variables });
  const made = await makeServices(env);
  const write = (fields: object, message: string) => void logged.push(`${JSON.stringify(fields)} ${message}`);
  const log: Log = { info: write, warn: write, error: write };
  const store = rpc ? queueStore(rpc) : made.ports.store;
  provideServices({
    ...made,
    log,
    rpc: rpc ?? made.rpc,
    ports: { ...made.ports, log, store },
  });
}

const bothProviders = () => ({
  UNIPILE_DSN: sandbox.url,
  UNIPILE_API_KEY: SANDBOX_API_KEY,
  WHATSAPP_ACCESS_TOKEN: SANDBOX_ACCESS_TOKEN,
  WHATSAPP_BASE_URL: sandbox.url,
});

beforeAll(async () => {
  database = await openTestDatabase({ own: true });
  sandbox = await startSandbox();
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  deadUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await new Promise((resolve) => server.close(resolve));
});
afterAll(async () => {
  await sandbox.close();
  await database.close();
});
beforeEach(async () => {
  await database.reset();
  vi.stubEnv('CRON_SECRET', SECRET);
  vi.stubEnv('CRON_SECRET_PREVIOUS', '');
  vi.stubEnv('API_KEY', API_KEY);
  vi.stubEnv('DASHBOARD_PASSWORD', '');
  await startServer(bothProviders(), database.rpc);
});
afterEach(() => {
  vi.unstubAllEnvs();
  provideServices(null);
});

type Headers = Record<string, string>;
const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });

function tick(method: 'GET' | 'POST' = 'GET', headers: Headers = bearer(SECRET)): Promise<Response> {
  const route = method === 'GET' ? tickByGet : tickByPost;
  return route(
    new Request('http://app.test/api/cron/dm-queue', { method, headers: { host: 'app.test', ...headers } }),
  );
}

function prune(headers: Headers): Promise<Response> {
  return pruneByGet(new Request('http://app.test/api/cron/prune', { headers }));
}

async function addAccount(provider: string, providerAccountId: string): Promise<string> {
  const [account] = await database.sql(
    `insert into punctual.accounts (provider, provider_account_id, name) values ($1, $2, $2) returning id`,
    [provider, providerAccountId],
  );
  return account.id;
}

/** Adds due messages, each with an account of its own. Their bodies begin with `text`. */
async function addDms(count: number, text: string): Promise<void> {
  for (let n = 1; n <= count; n++) {
    const account = await addAccount('unipile', `${text} ${n}`);
    await database.sql(
      `insert into punctual.dm_queue (account_id, channel, recipient, body) values ($1, 'linkedin', 'person', $2)`,
      [account, `${text} ${n}`],
    );
  }
}

const ledger = () => database.sql('select * from punctual.ticks order by started_at');
const messages = () => database.sql('select * from punctual.dm_queue order by id');
const delivered = (text: string) => sandbox.deliveries().filter((delivery) => delivery.text.startsWith(text));

const noCounts = {
  claimed: 0,
  done: 0,
  retried: 0,
  again: 0,
  dead: 0,
  unknown: 0,
  released: 0,
  lost: 0,
  swept: 0,
};

describe('a call with the secret', () => {
  it.each(['GET', 'POST'] as const)('by %s returns the full report of its tick', async (method) => {
    const response = await tick(method);
    expect(response.status).toBe(200);
    const report = await response.json();
    expect(report).toEqual({
      queue: 'dm_queue',
      partition: 'main',
      tick: expect.stringMatching(/^[0-9a-f-]{36}$/),
      scheduler: 'http',
      slot: null,
      continuation: 0,
      runId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      outcome: 'idle',
      ended: 'drained',
      counts: noCounts,
      budgetMs: 45_000,
      batchLimit: 30,
      concurrency: 5,
      maxContinuations: 10,
      usedMs: expect.any(Number),
      lock: 'none',
      backlogDue: 0,
      nextDueInMs: null,
      performMs: { p50: null, p95: null },
      exchanges: 1,
      duplicate: false,
    });
    const [entry] = await ledger();
    expect(entry).toMatchObject({ id: report.tick, admitted: true, outcome: 'idle' });
  });

  it('sends the messages that POST /api/dms queued, and settles each row with the provider’s id', async () => {
    const linkedin = await addAccount('unipile', 'linkedin-of-ann');
    const whatsapp = await addAccount('whatsapp_cloud', '100200300');
    const bodies = [
      { account_id: linkedin, channel: 'linkedin', recipient: 'bob', body: 'e2e: hello\nBob 👋' },
      { account_id: whatsapp, channel: 'whatsapp', recipient: '+4915112345678', body: 'e2e: hello by phone' },
      {
        account_id: linkedin,
        channel: 'linkedin',
        chat_id: 'linkedin-of-ann__carol',
        body: 'e2e: hello Carol',
      },
    ];
    const created = await postDms(
      new Request('http://app.test/api/dms', {
        method: 'POST',
        headers: bearer(API_KEY),
        body: JSON.stringify(bodies),
      }),
    );
    expect(created.status).toBe(201);

    const report = await (await tick()).json();
    expect(report).toMatchObject({
      outcome: 'ran',
      counts: { ...noCounts, claimed: 3, done: 3 },
      backlogDue: 0,
    });

    const deliveries = delivered('e2e:');
    expect(deliveries.map(({ account, recipient, text }) => ({ account, recipient, text }))).toEqual(
      expect.arrayContaining([
        { account: 'linkedin-of-ann', recipient: 'bob', text: bodies[0]?.body },
        { account: '100200300', recipient: '+4915112345678', text: bodies[1]?.body },
        { account: 'linkedin-of-ann', recipient: 'carol', text: bodies[2]?.body },
      ]),
    );
    for (const row of await messages()) {
      expect(row).toMatchObject({ status: 'sent', attempts: 1, last_error: null, lease_expires_at: null });
      const delivery = deliveries.find(({ id }) => id === row.provider_message_id);
      expect(delivery?.text).toBe(row.body);
      // The provider accepted the message less than 10 s before the database settled it.
      expect(Date.parse(row.sent_at) - Date.parse(delivery?.at ?? '')).toBeGreaterThanOrEqual(-50);
      expect(Date.parse(row.sent_at) - Date.parse(delivery?.at ?? '')).toBeLessThan(10_000);
    }

    expect(await (await tick()).json()).toMatchObject({ outcome: 'idle', counts: noCounts });
    expect(delivered('e2e:')).toHaveLength(3);
  });

  it('sends each message once and never fails when it is made 100 times at once', async () => {
    await addDms(20, 'hundred');
    const calls = await Promise.all(Array.from({ length: 100 }, (_, n) => tick(n % 2 ? 'GET' : 'POST')));
    expect(new Set(calls.map((call) => call.status))).toEqual(new Set([200]));
    const reports = await Promise.all(calls.map((call) => call.json()));
    expect(reports.filter(({ outcome }) => outcome === 'skipped').length).toBeGreaterThan(0);
    expect(reports.reduce((sum, { counts }) => sum + counts.done, 0)).toBe(20);
    expect(new Set((await messages()).map(({ status }) => status))).toEqual(new Set(['sent']));
    expect(delivered('hundred')).toHaveLength(20);
  });

  it('is skipped and claims nothing while another tick is running', async () => {
    await addDms(1, 'overlapped');
    await database.sql(`insert into punctual.ticks (id, queue, partition, scheduler, admitted, started_at, deadline_at)
      values (gen_random_uuid(), 'dm_queue', 'main', 'vercel', true, now(), now() + interval '1 minute')`);
    const response = await tick();
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ outcome: 'skipped', ended: null, counts: noCounts });
    expect(await messages()).toMatchObject([{ status: 'pending', attempts: 0, claim_id: null }]);
    expect(delivered('overlapped')).toEqual([]);
  });

  it('runs once the limit of a tick that died has passed', async () => {
    await addDms(1, 'after a death');
    await database.sql(`insert into punctual.ticks (id, queue, partition, scheduler, admitted, started_at, deadline_at)
      values (gen_random_uuid(), 'dm_queue', 'main', 'vercel', true, now() - interval '2 minutes', now() - interval '1 minute')`);
    expect(await (await tick()).json()).toMatchObject({ outcome: 'ran', counts: { done: 1 } });
  });

  it('may write the scheme of its header in any case', async () => {
    expect((await tick('GET', { authorization: `bearer ${SECRET}` })).status).toBe(200);
  });

  it('is accepted with the previous secret while CRON_SECRET_PREVIOUS is set', async () => {
    vi.stubEnv('CRON_SECRET_PREVIOUS', PREVIOUS);
    expect((await tick('GET', bearer(PREVIOUS))).status).toBe(200);
    expect((await tick('GET', bearer(SECRET))).status).toBe(200);
    vi.stubEnv('CRON_SECRET_PREVIOUS', '');
    expect((await tick('GET', bearer(PREVIOUS))).status).toBe(401);
    expect(await ledger()).toHaveLength(2);
  });
});

describe('a call without the secret', () => {
  const cases: [label: string, headers: Headers][] = [
    ['sends nothing', {}],
    ['sends another secret', bearer('guess')],
    ['sends only the beginning of the secret', bearer(SECRET.slice(0, -1))],
    ['sends the secret and one more character', bearer(`${SECRET}x`)],
    ['sends the secret in capitals', bearer(SECRET.toUpperCase())],
    ['sends the secret twice', bearer(`${SECRET} ${SECRET}`)],
    ['sends the secret under another scheme', { authorization: `Basic ${btoa(`cron:${SECRET}`)}` }],
    ['sends the secret under no scheme', { authorization: SECRET }],
    ['sends the secret with no space after the scheme', { authorization: `Bearer${SECRET}` }],
    ['sends only the scheme', { authorization: 'Bearer ' }],
    ['sends the secret in another header', { 'x-api-key': SECRET, cookie: `punctual_session=${SECRET}` }],
    ['sends the API key', bearer(API_KEY)],
    ['claims to be Vercel', { 'user-agent': 'vercel-cron/1.0', 'x-vercel-cron-schedule': '* * * * *' }],
  ];
  it.each(cases)('that %s is refused and changes nothing', async (_label, headers) => {
    await addDms(1, 'refused');
    for (const method of ['GET', 'POST'] as const) {
      const response = await tick(method, headers);
      expect(response.status).toBe(401);
      expect(response.headers.get('www-authenticate')).toBe('Bearer');
      const message =
        'the secret is missing or wrong: send "Authorization: Bearer $CRON_SECRET" with the CRON_SECRET of this server';
      expect(await response.json()).toEqual({ error: { kind: 'unauthorised', message } });
    }
    expect(await ledger()).toEqual([]);
    expect(await database.sql('select distinct last_tick_at from punctual.partitions')).toEqual([
      { last_tick_at: null },
    ]);
    expect(await messages()).toMatchObject([{ status: 'pending', attempts: 0, claim_id: null }]);
    expect(delivered('refused')).toEqual([]);
  });

  it('is refused even if the secret is in the URL', async () => {
    const request = new Request(`http://app.test/api/cron/dm-queue?secret=${SECRET}&token=${SECRET}`);
    expect((await tickByGet(request)).status).toBe(401);
  });

  it('is refused before the environment is read, so a misconfigured server reveals nothing', async () => {
    provideServices(null);
    vi.stubEnv('VERCEL', '1');
    expect((await tick('GET', bearer('guess'))).status).toBe(401);
  });
});

describe('a misconfigured server', () => {
  it.each([undefined, '', '   '])(
    'with CRON_SECRET %j names the variable and runs nothing',
    async (value) => {
      vi.stubEnv('CRON_SECRET', value);
      for (const headers of [
        {},
        bearer(''),
        bearer('undefined'),
        bearer(SECRET),
        { authorization: 'Bearer    ' },
      ]) {
        const response = await tick('GET', headers);
        expect(response.status).toBe(503);
        const { error } = await response.json();
        expect(error).toMatchObject({ kind: 'not_configured', variables: ['CRON_SECRET'] });
        expect(error.message).toContain('CRON_SECRET');
      }
      expect(await ledger()).toEqual([]);
    },
  );

  it('with no provider names the variables to set and claims nothing', async () => {
    await addDms(1, 'no provider');
    await startServer({}, database.rpc);
    const response = await tick();
    expect(response.status).toBe(503);
    const { error } = await response.json();
    expect(error).toMatchObject({
      kind: 'not_configured',
      variables: ['UNIPILE_DSN', 'UNIPILE_API_KEY', 'WHATSAPP_ACCESS_TOKEN'],
    });
    for (const variable of error.variables) expect(error.message).toContain(variable);
    expect(await ledger()).toEqual([]);
    expect(await messages()).toMatchObject([{ status: 'pending', attempts: 0 }]);
  });

  it('leaves the rows of an unconfigured provider pending and sends the others', async () => {
    const whatsapp = await addAccount('whatsapp_cloud', '100200300');
    await database.sql(
      `insert into punctual.dm_queue (account_id, channel, recipient, body) values ($1, 'whatsapp', '+49151', 'one provider: waits')`,
      [whatsapp],
    );
    await addDms(1, 'one provider');
    await startServer({ UNIPILE_DSN: sandbox.url, UNIPILE_API_KEY: SANDBOX_API_KEY }, database.rpc);
    expect(await (await tick()).json()).toMatchObject({ counts: { claimed: 1, done: 1 } });
    expect((await messages()).map(({ status }) => status)).toEqual(['pending', 'sent']);
  });

  it.each([
    ['on Vercel without a database', { VERCEL: '1' }, ['SUPABASE_URL', 'SUPABASE_SECRET_KEY']],
    ['in production without a database', { NODE_ENV: 'production' }, ['SUPABASE_URL', 'SUPABASE_SECRET_KEY']],
    [
      'with half of a pair of variables',
      { STORE: 'embedded', UNIPILE_DSN: 'api1.unipile.com' },
      ['UNIPILE_API_KEY'],
    ],
    ['with an unknown STORE', { STORE: 'mysql' }, ['STORE']],
  ])('%s names the variables to set', async (_label, variables, named) => {
    provideServices(null);
    for (const name of ['SUPABASE_URL', 'SUPABASE_SERVICE_ROLE_KEY', 'VERCEL', 'STORE', 'UNIPILE_DSN'])
      vi.stubEnv(name, '');
    for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
    const response = await tick();
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: { kind: 'not_configured', variables: named } });
  });

  it('reads the environment again at the next call, so that you only set the variables', async () => {
    provideServices(null);
    vi.stubEnv('SUPABASE_URL', '');
    vi.stubEnv('SUPABASE_SERVICE_ROLE_KEY', '');
    vi.stubEnv('VERCEL', '1');
    expect(await (await tick()).json()).toMatchObject({ error: { kind: 'not_configured' } });
    vi.stubEnv('LOG_LEVEL', 'fatal');
    vi.stubEnv('SUPABASE_URL', deadUrl);
    vi.stubEnv('SUPABASE_SERVICE_ROLE_KEY', SERVICE_ROLE_KEY);
    expect(await (await prune(bearer(SECRET))).json()).toMatchObject({
      error: { kind: 'database_unavailable' },
    });
  });

  describe('with a queue that has', () => {
    const call = (changes: object) => {
      const queue = defineQueue({
        name: 'dm_queue',
        row: z.object({}),
        delivery: 'at-most-once',
        timeoutMs: 1_000,
        connect: () => null,
        perform: () => done(),
        ...changes,
      });
      const request = new Request('http://app.test/api/cron/x', { headers: bearer(SECRET) });
      return cronRoute(tickHandler(queue), { maxDuration: 60 })(request);
    };

    it.each([
      ['too long a timeout', { timeoutMs: 60_000 }, /Set timeoutMs in .* to 43000 ms at most/],
      [
        'a connect that throws',
        {
          connect: () => {
            throw new Error(`no client for ${SANDBOX_API_KEY}`);
          },
        },
        /^dm_queue: connect threw an error, which is in the log\..* names the variables to set\.$/,
      ],
    ])('%s says what to change, reveals no secret and claims nothing', async (_label, changes, message) => {
      await addDms(1, 'odd');
      const response = await call(changes);
      expect(response.status).toBe(503);
      const { error } = await response.json();
      expect(error).toEqual({
        kind: 'not_configured',
        message: expect.stringMatching(message),
        variables: [],
      });
      expect(error.message).not.toContain(SANDBOX_API_KEY);
      expect(await messages()).toMatchObject([{ status: 'pending', attempts: 0 }]);
    });
  });

  it('with a setting that does not fit its limit says what to change and where, and releases its rows', async () => {
    await addDms(2, 'too long');
    await database.sql('update punctual.queues set timeout_seconds = 46');
    const response = await tick();
    expect(response.status).toBe(503);
    const { error } = await response.json();
    expect(error.kind).toBe('registry');
    expect(error.message).toMatch(
      /timeout of 46 s does not fit into a tick of 60 s: change it in punctual\.queues$/,
    );
    expect(await messages()).toMatchObject([
      { status: 'pending', attempts: 0 },
      { status: 'pending', attempts: 0 },
    ]);
  });

  it('answers an error and does not throw if its embedded database cannot be opened', async () => {
    provideServices(null);
    vi.stubEnv('STORE', 'embedded');
    // No directory can be created below a file.
    vi.stubEnv('PUNCTUAL_DATA', 'package.json/data');
    vi.stubEnv('LOG_LEVEL', 'fatal');
    const response = await tick();
    expect(response.status).toBeGreaterThanOrEqual(500);
    const { error } = await response.json();
    expect(error).toEqual({ kind: expect.any(String), message: expect.any(String) });
  });
});

describe('a call of /api/cron/dm-queue', () => {
  it('answers 503 with an error kind and Retry-After if the database is down', async () => {
    await startServer(bothProviders());
    const response = await tick();
    expect(response.status).toBe(503);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    const { error } = await response.json();
    expect(error).toMatchObject({ kind: 'database_unavailable', counts: noCounts });
    expect(error.message).toContain('cannot be reached');
  });

  it('answers 503 and says what to do if the database is not migrated', async () => {
    await database.sql('alter schema punctual rename to somewhere_else');
    try {
      const response = await tick();
      expect(response.status).toBe(503);
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
      const { error } = await response.json();
      expect(error.kind).toBe('database_misconfigured');
      expect(error.message).toContain('npm run migrate');
    } finally {
      await database.sql('alter schema somewhere_else rename to punctual');
    }
  });
});

describe('the ledger', () => {
  const thisYear = new Date(Date.UTC(new Date().getUTCFullYear(), 0, 1)).toISOString();
  it.each<[label: string, headers: Headers, scheduler: string, slot: string | null]>([
    ['an HTTP cron', { 'user-agent': 'curl/8.0' }, 'http', null],
    [
      'Vercel',
      { 'user-agent': 'vercel-cron/1.0', 'x-vercel-cron-schedule': '0 0 1 1 *' },
      'vercel',
      thisYear,
    ],
    [
      'a scheduler of ours',
      { 'x-punctual-scheduler': 'pg-cron', 'x-punctual-slot': '2026-03-02T13:00:00+01:00' },
      'pg-cron',
      '2026-03-02T12:00:00.000Z',
    ],
    [
      'a scheduler of ours behind Vercel, whose own headers win',
      {
        'user-agent': 'vercel-cron/1.0',
        'x-vercel-cron-schedule': '0 0 1 1 *',
        'x-punctual-scheduler': 'local',
        'x-punctual-slot': '2026-03-02T12:00:00Z',
      },
      'local',
      '2026-03-02T12:00:00.000Z',
    ],
    [
      'a scheduler with invalid headers',
      { 'x-punctual-scheduler': '<b>', 'x-punctual-slot': 'noon' },
      'http',
      null,
    ],
  ])('records the scheduler and the slot of a call by %s', async (_label, headers, scheduler, slot) => {
    const report = await (await tick('GET', { ...bearer(SECRET), ...headers })).json();
    expect(report).toMatchObject({ scheduler, slot });
    const [entry] = await ledger();
    expect(entry.scheduler).toBe(scheduler);
    expect(entry.slot === null ? null : new Date(entry.slot).toISOString()).toBe(slot);
  });

  it('marks the second delivery of a slot as a duplicate and still runs it', async () => {
    const headers = { ...bearer(SECRET), 'x-punctual-slot': '2026-03-02T12:00:00Z' };
    await addDms(1, 'first delivery');
    expect(await (await tick('GET', headers)).json()).toMatchObject({
      duplicate: false,
      counts: { done: 1 },
    });
    await addDms(1, 'second delivery');
    expect(await (await tick('GET', headers)).json()).toMatchObject({ duplicate: true, counts: { done: 1 } });
  });
});

describe('/api/cron/prune', () => {
  it('takes the same secret and deletes rows older than their retention', async () => {
    await addDms(2, 'old');
    await tick();
    await database.sql(
      `update punctual.dm_queue set finished_at = now() - interval '38 days' where body = 'old 1'`,
    );
    expect((await prune(bearer('guess'))).status).toBe(401);
    expect(await messages()).toHaveLength(2);
    const response = await prune(bearer(SECRET));
    expect(response.status).toBe(200);
    const nothing = {
      ticks: 0,
      receipts: 0,
      enrolments: 0,
      checks: 0,
      hours: 0,
      incidents: 0,
      days: 0,
      problems: [],
      more: false,
    };
    expect(await response.json()).toEqual({ rows: 1, history: 0, ...nothing });
    expect(await messages()).toMatchObject([{ body: 'old 2' }]);
  });

  it('deletes in smaller batches if 1,000 rows take too long', async () => {
    const limits: unknown[] = [];
    const slow: Rpc = async (name, params) => {
      if (name !== 'prune') return database.rpc(name, params);
      limits.push(params.p_limit);
      if (Number(params.p_limit) > 10) throw new StoreError('unavailable', 'canceling statement', '57014');
      return database.rpc(name, params);
    };
    await startServer(bothProviders(), slow);
    expect(await (await prune(bearer(SECRET))).json()).toMatchObject({ more: false });
    expect(limits).toEqual([1_000, 100, 10]);
  });

  it('answers 503 with an error kind and Retry-After if the database is down', async () => {
    await startServer(bothProviders());
    const response = await prune(bearer(SECRET));
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).not.toBeNull();
    expect(await response.json()).toMatchObject({ error: { kind: 'database_unavailable' } });
  });
});

describe('every response', () => {
  const situations: [label: string, status: number, call: () => Promise<Response>][] = [
    ['a tick that sends a message', 200, () => addDms(1, 'answer').then(() => tick())],
    ['an idle tick', 200, () => tick('POST')],
    ['a refused call', 401, () => tick('GET', bearer(PREVIOUS))],
    [
      'a call while CRON_SECRET is not set',
      503,
      () => {
        vi.stubEnv('CRON_SECRET', '');
        return tick();
      },
    ],
    ['a call while no provider is configured', 503, () => startServer({}, database.rpc).then(() => tick())],
    ['a call while the database is down', 503, () => startServer(bothProviders()).then(() => tick())],
    [
      'a tick whose provider refuses our key',
      200,
      async () => {
        await addDms(1, 'revoked');
        await startServer({ UNIPILE_DSN: sandbox.url, UNIPILE_API_KEY: WRONG_UNIPILE_KEY }, database.rpc);
        return tick();
      },
    ],
    [
      'a tick whose provider cannot be reached',
      200,
      async () => {
        await addDms(1, 'gone');
        await startServer({ UNIPILE_DSN: deadUrl, UNIPILE_API_KEY: SANDBOX_API_KEY }, database.rpc);
        return tick();
      },
    ],
  ];
  it.each(situations)('to %s forbids caching and contains no secret', async (_label, status, call) => {
    logged.length = 0;
    const response = await call();
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    const received = JSON.stringify([await response.text(), [...response.headers]]);
    const stored = JSON.stringify([
      await ledger(),
      await messages(),
      await database.sql('table punctual.providers'),
    ]);
    for (const secret of SECRETS) {
      expect(received).not.toContain(secret);
      expect(stored).not.toContain(secret);
      expect(logged.join('\n')).not.toContain(secret);
    }
  });
});
