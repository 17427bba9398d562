import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { GET as sendByGet } from '../../../app/api/cron/dm-queue/route.ts';
import { GET, POST } from '../../../app/api/cron/reconcile/route.ts';
import { cronRoute } from '../../../lib/cron/cron-route.ts';
import { reconcileHandler } from '../../../lib/cron/handlers/reconcile-handler.ts';
import { silentLog } from '../../../lib/engine/ports/log.ts';
import { StoreError } from '../../../lib/engine/ports/store-error.ts';
import { defineQueue } from '../../../lib/engine/queue.ts';
import { dmQueue } from '../../../lib/queues/dm-queue/queue.ts';
import { posts } from '../../../lib/queues/posts/queue.ts';
import { serverEnv } from '../../../lib/services/env.ts';
import { makeServices } from '../../../lib/services/services.ts';
import { queueStore } from '../../../lib/store/queue-store.ts';
import { type Sandbox, startSandbox } from '../../../sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../../sandbox/shapes/unipile-shape.ts';
import { provideServices } from '../../support/api-server.ts';
import { openTestDatabase, type TestDatabase } from '../../support/test-database.ts';

const SECRET = 'cron-secret-of-this-month';
let database: TestDatabase;
let sandbox: Sandbox;
let rpc: TestDatabase['rpc'];

async function startServer(variables: Record<string, string>): Promise<void> {
  const env = serverEnv({ SUPABASE_URL: 'http://127.0.0.1', SUPABASE_SERVICE_ROLE_KEY: 'key', ...variables });
  const made = await makeServices(env);
  const store = queueStore((fn, args) => rpc(fn, args));
  provideServices({
    ...made,
    rpc,
    log: silentLog,
    ports: { ...made.ports, log: silentLog, store },
  });
}

beforeAll(async () => {
  database = await openTestDatabase();
  sandbox = await startSandbox();
});
afterAll(async () => {
  await sandbox.close();
  await database.close();
});
beforeEach(async () => {
  await database.reset();
  rpc = database.rpc;
  vi.stubEnv('CRON_SECRET', SECRET);
  vi.stubEnv('CRON_SECRET_PREVIOUS', '');
  await startServer({ UNIPILE_DSN: sandbox.url, UNIPILE_API_KEY: SANDBOX_API_KEY });
});
afterEach(() => {
  vi.unstubAllEnvs();
  provideServices(null);
});

const withSecret = { authorization: `Bearer ${SECRET}` };
function call(handler: typeof GET, headers: Record<string, string> = withSecret): Promise<Response> {
  return handler(
    new Request('http://app.test/api/cron/reconcile', { headers: { host: 'app.test', ...headers } }),
  );
}
async function report(handler = GET) {
  const response = await call(handler);
  expect(response.status).toBe(200);
  const { reports, ...rest } = await response.json();
  expect(rest).toEqual({ notConfigured: [] });
  expect(reports.map((one: { queue: string }) => one.queue)).toEqual(['dm_queue', 'posts']);
  return reports[0];
}
const messages = () =>
  database.sql(
    'select body, status, provider_message_id, reconcile, last_error from punctual.dm_queue order by id',
  );

/** Sends a message from a new account, whose name it returns. The text may request a fault of the sandbox. */
async function send(text: string, chat = true): Promise<string> {
  const name = crypto.randomUUID();
  const [account] = await database.sql(
    `insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', $1, $1) returning id`,
    [name],
  );
  await database.sql(
    `insert into punctual.dm_queue (account_id, channel, chat_id, recipient, body) values ($1, 'linkedin', $2, $3, $4)`,
    [account.id, chat ? `${name}__bob` : null, chat ? null : 'bob', text],
  );
  await call(sendByGet);
  return name;
}
/** Makes the unknown attempts end `minutes` ago, and their checks due. */
const letPass = (minutes: number) =>
  database.sql(
    `update punctual.dm_queue set reconcile_at = now() - interval '1 second',
       reconcile = reconcile || jsonb_build_object('over_at', now() - make_interval(mins => $1::integer)) where status = 'unknown'`,
    [minutes],
  );

describe.each(['v1', 'v2'])('over Unipile %s, a call of /api/cron/reconcile', (version) => {
  beforeEach(() =>
    startServer({ UNIPILE_DSN: sandbox.url, UNIPILE_API_KEY: SANDBOX_API_KEY, UNIPILE_API_VERSION: version }),
  );

  it.each([
    ['GET', GET],
    ['POST', POST],
  ])('by %s finds in its chat a message whose response was lost', async (_method, handler) => {
    const account = await send('hello [[drop-after]]');
    expect(await messages()).toMatchObject([{ status: 'unknown' }]);
    await letPass(0);
    expect(await report(handler)).toMatchObject({
      queue: 'dm_queue',
      ended: 'drained',
      checked: 1,
      resolved: 1,
    });
    const delivered = sandbox.deliveries().filter((delivery) => delivery.account === account);
    expect(await messages()).toMatchObject([
      { status: 'sent', provider_message_id: delivered[0]?.id, last_error: null },
    ]);
    expect(delivered).toHaveLength(1);
  });

  it('finds a message in a chat that the attempt itself opened', async () => {
    await send('first words [[drop-after]]', false);
    await letPass(0);
    expect(await report()).toMatchObject({ checked: 1, resolved: 1 });
    expect(await messages()).toMatchObject([{ status: 'sent' }]);
  });

  it('returns a missing message to pending, but only once it can no longer appear in its chat', async () => {
    await send('hello [[drop-before]]');
    await letPass(9);
    expect(await report()).toMatchObject({ checked: 1, resolved: 0 });
    expect(await messages()).toMatchObject([
      { status: 'unknown', reconcile: { found: 'the message is not in the chat' } },
    ]);
    await letPass(11);
    expect(await report()).toMatchObject({ checked: 1, resolved: 1 });
    expect(await messages()).toMatchObject([{ status: 'pending' }]);
  });

  it('waits UNIPILE_MAX_LATE_SECONDS before it returns a missing message to pending', async () => {
    await startServer({
      UNIPILE_DSN: sandbox.url,
      UNIPILE_API_KEY: SANDBOX_API_KEY,
      UNIPILE_MAX_LATE_SECONDS: '3600',
    });
    await send('hello [[drop-before]]');
    await letPass(59);
    expect(await report()).toMatchObject({ checked: 1, resolved: 0 });
    await letPass(61);
    expect(await report()).toMatchObject({ checked: 1, resolved: 1 });
  });

  it('sends no due message', async () => {
    await send('hello [[drop-after]]');
    await database.sql('update punctual.queues set paused_at = now()');
    await send('due');
    await database.sql('update punctual.queues set paused_at = null');
    await letPass(0);
    const before = sandbox.deliveries().length;
    expect(await report()).toMatchObject({ checked: 1 });
    expect(sandbox.deliveries()).toHaveLength(before);
    expect(await messages()).toMatchObject([{ status: 'sent' }, { status: 'pending' }]);
  });

  it('makes one database call per queue if no check is due', async () => {
    let calls = 0;
    rpc = (fn, args) => {
      calls++;
      return database.rpc(fn, args);
    };
    expect(await report()).toMatchObject({ checked: 0, ended: 'drained' });
    expect(calls).toBe(2);
  });

  it('checks again later if the provider answers with an error', async () => {
    await send('hello [[drop-after]]');
    await letPass(0);
    await startServer({ UNIPILE_DSN: sandbox.url, UNIPILE_API_KEY: 'a key that was revoked' });
    expect(await report()).toMatchObject({ checked: 1, resolved: 0 });
    const [row] = await messages();
    expect(row).toMatchObject({ status: 'unknown', reconcile: { waits_for_operator: false } });
    expect(row.reconcile.found).toMatch(/^the check failed: /);
    expect(row.reconcile.found).not.toContain('a key that was revoked');
    await startServer({ UNIPILE_DSN: sandbox.url, UNIPILE_API_KEY: SANDBOX_API_KEY });
    await letPass(0);
    expect(await report()).toMatchObject({ checked: 1, resolved: 1 });
  });
});

describe('access to /api/cron/reconcile', () => {
  it('is refused while CRON_SECRET is not set', async () => {
    vi.stubEnv('CRON_SECRET', '');
    const response = await call(GET);
    expect(response.status).toBe(503);
    expect((await response.json()).error).toMatchObject({
      kind: 'not_configured',
      variables: ['CRON_SECRET'],
    });
  });
});

describe('a call of /api/cron/reconcile', () => {
  it('answers 200 and names the variables to set if no provider is configured', async () => {
    await startServer({});
    const response = await call(GET);
    expect([response.status, await response.json()]).toEqual([
      200,
      {
        reports: [],
        notConfigured: [expect.stringContaining('UNIPILE_DSN'), expect.stringContaining('UNIPILE_DSN')],
      },
    ]);
  });

  it('answers 503 if the connect of a queue throws, and checks the other queues', async () => {
    const checkedQueues: unknown[] = [];
    const realRpc = rpc;
    rpc = (fn, args) => {
      if (fn === 'take_unknown') checkedQueues.push(args.p_queue);
      return realRpc(fn, args);
    };
    const broken = defineQueue({
      ...dmQueue,
      connect() {
        throw new TypeError('undefined is not a function');
      },
    });
    const both = [broken, posts].map((queue) => ({ queue, partitions: 'main' as const }));
    const response = await call(cronRoute(reconcileHandler(both), { maxDuration: 60 }));
    expect(response.status).toBe(503);
    expect((await response.json()).error).toMatchObject({
      kind: 'not_configured',
      message: expect.stringContaining('dm_queue: connect threw an error'),
    });
    expect(checkedQueues).toEqual(['posts']);
  });

  it('answers 503 with Retry-After if the database cannot be reached', async () => {
    rpc = () => Promise.reject(new StoreError('unavailable', 'connection lost'));
    const response = await call(GET);
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('5');
    expect((await response.json()).error).toMatchObject({ kind: 'database_unavailable' });
  });
});
