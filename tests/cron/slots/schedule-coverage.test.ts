import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { GET as tickDms } from '../../../app/api/cron/dm-queue/route.ts';
import { GET as tickJobs } from '../../../app/api/cron/jobs/route.ts';
import type { Coverage } from '../../../lib/cron/slots/schedule-coverage.ts';
import { StoreError } from '../../../lib/engine/ports/store-error.ts';
import { serverEnv } from '../../../lib/services/env.ts';
import { makeServices } from '../../../lib/services/services.ts';
import type { Rpc } from '../../../lib/store/rpc.ts';
import {
  apiRequest,
  bearer,
  CRON_SECRET,
  cookie,
  currentServices,
  openServedDatabase,
  provideServices,
  type RequestHeaders,
  stubSecrets,
  withKey,
} from '../../support/api-server.ts';
import type { TestDatabase } from '../../support/test-database.ts';

let database: TestDatabase;
let minute: number;

beforeAll(async () => {
  database = await openServedDatabase({ UNIPILE_DSN: 'http://127.0.0.1:9', UNIPILE_API_KEY: 'key' });
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.reset();
  stubSecrets();
  minute = Math.floor(Date.now() / 60_000);
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.useRealTimers();
});

/** The route of a process that just started: the answer is kept for a while in between. */
async function freshRoute() {
  vi.resetModules();
  return (await import('../../../app/api/schedulers/route.ts')).GET;
}

async function ask(
  query = '',
  headers: RequestHeaders = withKey,
  get?: Awaited<ReturnType<typeof freshRoute>>,
) {
  const response = await (get ?? (await freshRoute()))(apiRequest('GET', `/api/schedulers${query}`, headers));
  return { status: response.status, body: await response.json() };
}
const coverageOf = async (query = ''): Promise<Coverage['schedulers']> => (await ask(query)).body.schedulers;

/** The start of the minute so many minutes before the test's own. */
const slotAgo = (minutes: number) => new Date((minute - minutes) * 60_000).toISOString();
const call = (tick: typeof tickDms, path: string, headers: RequestHeaders) =>
  tick(apiRequest('GET', path, { ...bearer(CRON_SECRET), ...headers }));
const named = (slot: string, scheduler = 'pg-cron') => ({
  'x-punctual-scheduler': scheduler,
  'x-punctual-schedule': '* * * * *',
  'x-punctual-slot': slot,
});

describe('GET /api/schedulers', () => {
  it('tells of the calls of schedulers which slots they delivered, and which not', async () => {
    await call(tickDms, '/api/cron/dm-queue', named(slotAgo(4)));
    await call(tickDms, '/api/cron/dm-queue', named(slotAgo(2)));
    await call(tickDms, '/api/cron/dm-queue', named(slotAgo(0)));
    await call(tickDms, '/api/cron/dm-queue', named(slotAgo(0)));
    await call(tickJobs, '/api/cron/jobs', named(slotAgo(0), 'crontab'));
    const { status, body } = await ask();
    expect([status, body.hours]).toEqual([200, 24]);
    expect(body.schedulers).toMatchObject([
      {
        scheduler: 'pg-cron',
        path: '/api/cron/dm-queue',
        schedule: '* * * * *',
        queues: ['dm_queue'],
        since: slotAgo(4),
        lastSlot: slotAgo(0),
        guessed: false,
        duplicate: 1,
        overlapped: 0,
        exceptions: expect.arrayContaining([expect.objectContaining({ slot: slotAgo(3), what: 'missed' })]),
      },
      { scheduler: 'crontab', path: '/api/cron/jobs', queues: ['jobs'], expected: 1, ran: 1, missed: 0 },
    ]);
  });

  it('takes Vercel’s calls by their schedule, and says that their slots are guessed', async () => {
    const headers = { 'user-agent': 'vercel-cron/1.0', 'x-vercel-cron-schedule': '* * * * *' };
    await call(tickDms, '/api/cron/dm-queue', headers);
    expect(await coverageOf()).toMatchObject([
      { scheduler: 'vercel', schedule: '* * * * *', guessed: true, ran: 1 },
    ]);
  });

  it('knows nothing of calls without a schedule, nor of the continuations after a call', async () => {
    await call(tickDms, '/api/cron/dm-queue', { 'x-punctual-slot': slotAgo(0) });
    const continuation = { 'x-punctual-continuation': '1', 'x-punctual-run-id': crypto.randomUUID() };
    await call(tickDms, '/api/cron/dm-queue', { ...named(slotAgo(0)), ...continuation });
    expect(await coverageOf()).toEqual([]);
  });

  it('tells of the hours and of the queue that are asked for', async () => {
    await call(tickDms, '/api/cron/dm-queue', named(slotAgo(90)));
    await call(tickDms, '/api/cron/dm-queue', named(slotAgo(0)));
    await call(tickJobs, '/api/cron/jobs', named(slotAgo(0)));
    const [hour, , ...more] = await coverageOf('?hours=1');
    expect(more).toEqual([]);
    // The slot of 90 minutes ago is older; those after it are expected since.
    expect(hour?.expected).toBeGreaterThanOrEqual(59);
    expect(hour?.expected).toBeLessThanOrEqual(61);
    const [two] = await coverageOf('?hours=2&queue=dm_queue');
    expect(two).toMatchObject({ since: slotAgo(90), late: 1 });
    for (const query of ['?queue=dm_queue', '?queue=dm-queue'])
      expect((await coverageOf(query)).map(({ path }) => path)).toEqual(['/api/cron/dm-queue']);
    expect(await coverageOf('?queue=posts')).toEqual([]);
  });

  it.each([
    ['?hours=0', /1 to 48/],
    ['?hours=49', /1 to 48/],
    ['?hours=1.5', /1 to 48/],
    ['?hours=', /1 to 48/],
    ['?hours=all', /1 to 48/],
    ['?queue=dms', /The queues are enrolments, dm_queue, posts, jobs/],
    ['?queue=', /is not a queue/],
  ])('refuses %s, and says what can be asked', async (query, message) => {
    const { status, body } = await ask(query);
    expect([status, body.error.kind]).toEqual([400, 'invalid']);
    expect(body.error.errors[0].message).toMatch(message);
  });

  it('is for the key and for who is signed in, and open where the dashboard is', async () => {
    expect((await ask('', withKey)).status).toBe(200);
    expect((await ask('', cookie())).status).toBe(200);
    expect((await ask('', bearer(CRON_SECRET))).status).toBe(401);
    expect((await ask('', {})).status).toBe(401);
    stubSecrets({ password: '' });
    vi.stubEnv('NODE_ENV', 'development');
    expect((await ask('', {})).status).toBe(200);
  });

  it('costs one look at the ledger in ten seconds for the same hours, however many ask', async () => {
    let looks = 0;
    await provideRpc((fn, args) => {
      if (fn === 'read_slots') looks++;
      return database.rpc(fn, args);
    });
    vi.useFakeTimers({ toFake: ['Date'] });
    const get = await freshRoute();
    await Promise.all(Array.from({ length: 5 }, () => ask('', withKey, get)));
    vi.advanceTimersByTime(9_900);
    await ask('?queue=jobs', withKey, get);
    expect(looks).toBe(1);
    await ask('?hours=2', withKey, get);
    expect(looks).toBe(2);
    vi.advanceTimersByTime(200);
    await ask('', withKey, get);
    expect(looks).toBe(3);
  });

  it('says so when the database does not answer, and asks again at once', async () => {
    let down = true;
    await provideRpc((fn, args) =>
      down ? Promise.reject(new StoreError('unavailable', 'connection lost')) : database.rpc(fn, args),
    );
    const get = await freshRoute();
    expect((await ask('', withKey, get)).status).toBe(503);
    down = false;
    expect((await ask('', withKey, get)).status).toBe(200);
  });
});

/** The same server over another way to the database. */
async function provideRpc(rpc: Rpc): Promise<void> {
  const made = await makeServices(
    serverEnv({ SUPABASE_URL: 'http://127.0.0.1', SUPABASE_SERVICE_ROLE_KEY: 'key', LOG_LEVEL: 'fatal' }),
  );
  const before = currentServices();
  provideServices({ ...made, rpc });
  onTestFinished(() => {
    provideServices(before);
  });
}
