import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { silentLog } from '../../lib/engine/ports/log.ts';
import { StoreError } from '../../lib/engine/ports/store-error.ts';
import { MigrationError } from '../../lib/store/migrate/migrations.ts';
import { schemaVersion } from '../../lib/store/migrate/schema-version.ts';
import type { Rpc } from '../../lib/store/rpc.ts';
import { currentServices } from '../support/api-server.ts';
import { servedDatabase } from '../support/fixtures.ts';
import { deadUrl, replaceEnv, replaceRpc, replaceServices } from '../support/replace-services.ts';
import { serveHandler } from '../support/serve-handler.ts';

const SECRETS = ['service-role-key-of-this-project', 'token-of-redis'] as const;

/** Redis over REST, for SET only. The client sends its commands as a pipeline. */
let redisResponse: () => Response;
let redisCommands: number;
const redis = await serveHandler(async () => {
  redisCommands++;
  return redisResponse();
});
afterAll(() => redis.close());
const database = servedDatabase();
beforeEach(() => {
  redisResponse = () => Response.json([{ result: 'OK' }]);
  redisCommands = 0;
});
afterEach(() => {
  vi.useRealTimers();
});

/** Without `rpc`, the database cannot be reached. */
const startServer = (rpc?: Rpc, lockUrl?: string) =>
  replaceEnv(
    {
      SUPABASE_SERVICE_ROLE_KEY: SECRETS[0],
      ...(lockUrl && { UPSTASH_REDIS_REST_URL: lockUrl, UPSTASH_REDIS_REST_TOKEN: SECRETS[1] }),
    },
    rpc,
  );

/** Imports the route anew, because it caches its response. */
async function freshRoute(): Promise<() => Promise<Response>> {
  vi.resetModules();
  return (await import('../../lib/api/stats.ts')).endpoints['GET /health'];
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
    `update punctual.partitions set last_tick_at = clock_timestamp() - make_interval(secs => $1) where queue = 'dm_queue'`,
    [seconds],
  );
const failing = { status: 'failing', database: 'failing', schema: 'unknown', lastTickSeconds: {} };

describe('GET /api/health', () => {
  it('is ok with a database, and reports how long ago each queue had its last tick', async () => {
    await tickedAgo(90);
    const { status, body } = await getHealth();
    const { dm_queue, ...others } = body.lastTickSeconds;
    expect([status, { ...body, lastTickSeconds: others }]).toEqual([
      200,
      {
        status: 'ok',
        database: 'ok',
        schema: 'ok',
        lock: 'none',
        lastTickSeconds: { enrolments: null, jobs: null, monitors: null, posts: null },
      },
    ]);
    expect(dm_queue).toBeGreaterThanOrEqual(90);
    expect(dm_queue).toBeLessThan(100);
  });

  it('answers 503 while the schema is behind the code, and is ok if it is ahead', async () => {
    await database.sql('delete from punctual.schema_migrations where version = $1', [schemaVersion]);
    const body = { status: 'failing', database: 'ok', schema: 'behind' };
    expect(await getHealth()).toMatchObject({ status: 503, body });
    await database.sql(
      `insert into punctual.schema_migrations (version, name, engine) values ('29990101000000', 'later', true)`,
    );
    expect(await getHealth()).toMatchObject({ status: 200, body: { status: 'ok', schema: 'ahead' } });
  });

  it.each<[state: string, url: string, response: () => Response, lock: string]>([
    ['is free', redis.url, () => Response.json([{ result: 'OK' }]), 'ok'],
    ['is held', redis.url, () => Response.json([{ result: null }]), 'ok'],
    ['refuses us', redis.url, () => Response.json({ error: 'Unauthorized' }, { status: 401 }), 'failing'],
    ['cannot be reached', deadUrl, () => Response.error(), 'failing'],
  ])('stays ok while the lock %s, because ticks go on without it', async (_state, url, response, lock) => {
    redisResponse = response;
    await startServer(database.rpc, url);
    expect(await getHealth()).toMatchObject({ status: 200, body: { status: 'ok', lock } });
  });

  it('answers 503 and hides the reason while the database is down', async () => {
    await startServer(undefined, redis.url);
    expect(await getHealth()).toEqual({ status: 503, body: { ...failing, lock: 'ok' } });
  });

  it('answers 503 on a misconfigured server, and hides which variables are missing', async () => {
    replaceServices(null);
    for (const name of ['SUPABASE_URL', 'SUPABASE_SERVICE_ROLE_KEY', 'STORE']) vi.stubEnv(name, '');
    vi.stubEnv('VERCEL', '1');
    expect(await getHealth()).toEqual({ status: 503, body: { ...failing, lock: 'none' } });
  });

  it('says only in development why the embedded database cannot be opened', async () => {
    const error = new MigrationError('20261201000000_trials.sql, line 2: there is no table public.trials');
    const refused = Promise.reject(error);
    refused.catch(() => {});
    replaceServices(refused);
    const reasonOn = async (env: Record<string, string>) => {
      for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
      return (await getHealth()).body.reason;
    };
    expect(await reasonOn({})).toBe(error.message);
    expect(await reasonOn({ NODE_ENV: 'production' })).toBeUndefined();
    expect(await reasonOn({ NODE_ENV: 'test', VERCEL: '1' })).toBeUndefined();
  });

  it('says in development why the embedded database fails, and logs it once', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const logged: object[] = [];
    let code: string | null = '53100';
    const services = await currentServices();
    if (!services) throw new Error('no services');
    await replaceRpc(
      (rpc) => (fn, args) =>
        code ? Promise.reject(new StoreError('unavailable', 'no room', code)) : rpc(fn, args),
      {
        env: { ...services.env, store: { kind: 'embedded', directory: 'd' } },
        log: { ...silentLog, warn: (fields: object) => void logged.push(fields) },
      },
    );
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
    await startServer(database.rpc, redis.url);
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
    await startServer();
    const get = await freshRoute();
    expect((await getHealth(get)).status).toBe(503);
    await startServer(database.rpc);
    vi.advanceTimersByTime(5_100);
    expect((await getHealth(get)).status).toBe(200);
  });
});
