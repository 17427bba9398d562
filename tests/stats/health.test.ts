import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { silentLog } from '../../lib/engine/ports/log.ts';
import { StoreError } from '../../lib/engine/ports/store-error.ts';
import { serverEnv } from '../../lib/services/env.ts';
import { makeServices, type Services } from '../../lib/services/services.ts';
import { MigrationError } from '../../lib/store/migrate/migrations.ts';
import { schemaVersion } from '../../lib/store/migrate/schema-version.ts';
import type { Rpc } from '../../lib/store/rpc.ts';
import { currentServices, provideServices } from '../support/api-server.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

const SECRETS = ['service-role-key-of-this-project', 'token-of-redis'] as const;

let database: TestDatabase;
/** Redis over REST, for SET only. The client sends its commands as a pipeline. */
let redis: Server;
let redisUrl: string;
let redisResponse: { status: number; body: unknown };
let redisCommands = 0;
/** No server listens here. */
let deadUrl: string;

const addressOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const listen = (server: Server) =>
  new Promise<Server>((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));

beforeAll(async () => {
  database = await openTestDatabase();
  redis = await listen(
    createServer((_request, response) => {
      redisCommands++;
      response.writeHead(redisResponse.status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(redisResponse.body));
    }),
  );
  redisUrl = addressOf(redis);
  const closed = await listen(createServer());
  deadUrl = addressOf(closed);
  await new Promise((resolve) => closed.close(resolve));
});
afterAll(async () => {
  redis.closeAllConnections();
  await new Promise((resolve) => redis.close(resolve));
  await database.close();
});
beforeEach(async () => {
  await database.reset();
  redisResponse = { status: 200, body: [{ result: 'OK' }] };
  redisCommands = 0;
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.useRealTimers();
  provideServices(null);
});

async function startServer({ rpc, lockUrl }: { rpc?: Rpc; lockUrl?: string }): Promise<void> {
  const made = await makeServices(
    serverEnv({
      SUPABASE_URL: deadUrl,
      SUPABASE_SERVICE_ROLE_KEY: SECRETS[0],
      LOG_LEVEL: 'fatal',
      ...(lockUrl && { UPSTASH_REDIS_REST_URL: lockUrl, UPSTASH_REDIS_REST_TOKEN: SECRETS[1] }),
    }),
  );
  provideServices({ ...made, rpc: rpc ?? made.rpc });
}

/** Imports the route anew, because it caches its response. */
async function freshRoute(): Promise<() => Promise<Response>> {
  vi.resetModules();
  return (await import('../../app/api/health/route.ts')).GET;
}

async function getHealth(get?: () => Promise<Response>) {
  const response = await (get ?? (await freshRoute()))();
  expect(response.headers.get('cache-control')).toBe('no-store');
  const text = await response.text();
  for (const secret of SECRETS) expect(text).not.toContain(secret);
  return { status: response.status, body: JSON.parse(text) };
}

const tickedAgo = (seconds: number) =>
  database.sql(
    'update punctual.partitions set last_tick_at = clock_timestamp() - make_interval(secs => $1)',
    [seconds],
  );

describe('GET /api/health', () => {
  it('is ok with a database, also before the first tick', async () => {
    await startServer({ rpc: database.rpc });
    expect(await getHealth()).toEqual({
      status: 200,
      body: {
        status: 'ok',
        database: 'ok',
        schema: 'ok',
        lock: 'none',
        lastTickSeconds: { dm_queue: null, enrolments: null, jobs: null, monitors: null, posts: null },
      },
    });
  });

  it('reports how long ago each queue had its last tick', async () => {
    await tickedAgo(90);
    await startServer({ rpc: database.rpc });
    const { body } = await getHealth();
    expect(body.lastTickSeconds.dm_queue).toBeGreaterThanOrEqual(90);
    expect(body.lastTickSeconds.dm_queue).toBeLessThan(100);
  });

  it('answers 503 while the schema is behind the code, and is ok if it is ahead', async () => {
    await database.sql('delete from punctual.schema_migrations where version = $1', [schemaVersion]);
    await startServer({ rpc: database.rpc });
    expect(await getHealth()).toMatchObject({
      status: 503,
      body: { status: 'failing', database: 'ok', schema: 'behind' },
    });
    await database.sql(
      `insert into punctual.schema_migrations (version, name, engine) values ('29990101000000', 'later', true)`,
    );
    expect(await getHealth()).toMatchObject({ status: 200, body: { status: 'ok', schema: 'ahead' } });
  });

  it.each([
    ['free', [{ result: 'OK' }]],
    ['held', [{ result: null }]],
  ])('reports the lock as ok while it is %s', async (_state, body) => {
    redisResponse.body = body;
    await startServer({ rpc: database.rpc, lockUrl: redisUrl });
    expect(await getHealth()).toMatchObject({ status: 200, body: { lock: 'ok' } });
  });

  it('stays ok and reports the fault while the lock fails, because ticks go on without it', async () => {
    await startServer({ rpc: database.rpc, lockUrl: deadUrl });
    expect(await getHealth()).toMatchObject({ status: 200, body: { status: 'ok', lock: 'failing' } });
    redisResponse = { status: 401, body: { error: 'Unauthorized' } };
    await startServer({ rpc: database.rpc, lockUrl: redisUrl });
    expect(await getHealth()).toMatchObject({ status: 200, body: { status: 'ok', lock: 'failing' } });
  });

  it('answers 503 and hides the reason while the database is down', async () => {
    await startServer({ lockUrl: redisUrl });
    expect(await getHealth()).toEqual({
      status: 503,
      body: { status: 'failing', database: 'failing', schema: 'unknown', lock: 'ok', lastTickSeconds: {} },
    });
  });

  it('answers 503 on a misconfigured server, and hides which variables are missing', async () => {
    for (const name of ['SUPABASE_URL', 'SUPABASE_SERVICE_ROLE_KEY', 'STORE']) vi.stubEnv(name, '');
    vi.stubEnv('VERCEL', '1');
    expect(await getHealth()).toEqual({
      status: 503,
      body: { status: 'failing', database: 'failing', schema: 'unknown', lock: 'none', lastTickSeconds: {} },
    });
  });

  it('says only in development why the embedded database cannot be opened', async () => {
    const error = new MigrationError('20261201000000_trials.sql, line 2: there is no table public.trials');
    const refused = Promise.reject(error);
    refused.catch(() => {});
    provideServices(refused);
    const reasons = async () => (await getHealth()).body.reason;
    expect(await reasons()).toBe(error.message);
    vi.stubEnv('NODE_ENV', 'production');
    expect(await reasons()).toBeUndefined();
    vi.stubEnv('NODE_ENV', 'test');
    vi.stubEnv('VERCEL', '1');
    expect(await reasons()).toBeUndefined();
  });

  it('says in development why the embedded database fails, and logs it once', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const logged: object[] = [];
    let code: string | null = '53100';
    await startServer({
      rpc: (fn, args) =>
        code ? Promise.reject(new StoreError('unavailable', 'no room', code)) : database.rpc(fn, args),
    });
    const { env, ...rest } = (await currentServices()) as Services;
    const store = { kind: 'embedded', directory: 'd' } as const;
    const log = { ...silentLog, warn: (fields: object) => void logged.push(fields) };
    provideServices({ ...rest, env: { ...env, store }, log });
    const get = await freshRoute();
    const readReason = async () => {
      vi.advanceTimersByTime(5_100);
      return (await getHealth(get)).body.reason;
    };
    const reason = "the database's disk is full: free space on it and try again (no room)";
    expect([await readReason(), await readReason()]).toEqual([reason, reason]);
    expect(logged).toHaveLength(1);
    code = null;
    expect(await readReason()).toBeUndefined();
    code = '53100';
    await readReason();
    expect(logged).toHaveLength(2);
  });

  it('reads the database and the lock once in 5 s, however many callers there are', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    await startServer({ rpc: database.rpc, lockUrl: redisUrl });
    const get = await freshRoute();
    await Promise.all(Array.from({ length: 20 }, () => getHealth(get)));
    await tickedAgo(10);
    vi.advanceTimersByTime(4_900);
    expect((await getHealth(get)).body.lastTickSeconds).toMatchObject({ dm_queue: null });
    expect(redisCommands).toBe(1);
    vi.advanceTimersByTime(200);
    expect((await getHealth(get)).body.lastTickSeconds.dm_queue).toBeGreaterThanOrEqual(10);
    expect(redisCommands).toBe(2);
  });

  it('is ok again soon after the database recovers', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    await startServer({});
    const get = await freshRoute();
    expect((await getHealth(get)).status).toBe(503);
    await startServer({ rpc: database.rpc });
    vi.advanceTimersByTime(5_100);
    expect((await getHealth(get)).status).toBe(200);
  });
});
