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

/** Sends a message in a chat of an account of its own. What it says may ask the sandbox for a fault. */
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
/** As if the attempts had been over for so long, and their looks were due. */
const letPass = (minutes: number) =>
  database.sql(
    `update punctual.dm_queue set reconcile_at = now() - interval '1 second',
       reconcile = reconcile || jsonb_build_object('over_at', now() - make_interval(mins => $1::integer)) where status = 'unknown'`,
    [minutes],
  );

describe.each(['v1', 'v2'])('over Unipile %s a call of /api/cron/reconcile', (version) => {
  beforeEach(() =>
    startServer({ UNIPILE_DSN: sandbox.url, UNIPILE_API_KEY: SANDBOX_API_KEY, UNIPILE_API_VERSION: version }),
  );

  it.each([
    ['GET', GET],
    ['POST', POST],
  ])('by %s finds the message whose answer was lost, in the chat where it is', async (_method, handler) => {
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

  it('finds it as well in a chat that the attempt opened itself', async () => {
    await send('first words [[drop-after]]', false);
    await letPass(0);
    expect(await report()).toMatchObject({ checked: 1, resolved: 1 });
    expect(await messages()).toMatchObject([{ status: 'sent' }]);
  });

  it('gives back a message that is not in its chat, and no sooner than it may still turn up', async () => {
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

  it('waits for as long as UNIPILE_MAX_LATE_SECONDS says', async () => {
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

  it('sends nothing, whatever is due', async () => {
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

  it('is idle where there is nothing to ask, by one call of the database for each queue', async () => {
    let calls = 0;
    rpc = (fn, args) => {
      calls++;
      return database.rpc(fn, args);
    };
    expect(await report()).toMatchObject({ checked: 0, ended: 'drained' });
    expect(calls).toBe(2);
  });

  it('asks again later where the provider does not answer as it should', async () => {
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

describe('who may call it', () => {
  it('is nobody at all while there is no secret', async () => {
    vi.stubEnv('CRON_SECRET', '');
    const response = await call(GET);
    expect(response.status).toBe(503);
    expect((await response.json()).error).toMatchObject({
      kind: 'not_configured',
      variables: ['CRON_SECRET'],
    });
  });
});

describe('what is wrong is said', () => {
  it('when no provider is configured: that is no error, since there is nobody to ask', async () => {
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

  it('when a queue’s own connect fails: that is an error, and the others are checked', async () => {
    const asked: unknown[] = [];
    const serve = rpc;
    rpc = (fn, args) => {
      if (fn === 'take_unknown') asked.push(args.p_queue);
      return serve(fn, args);
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
    expect(asked).toEqual(['posts']);
  });

  it('when the database cannot be reached: with when to come again', async () => {
    rpc = () => Promise.reject(new StoreError('unavailable', 'connection lost'));
    const response = await call(GET);
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('5');
    expect((await response.json()).error).toMatchObject({ kind: 'database_unavailable' });
  });
});
