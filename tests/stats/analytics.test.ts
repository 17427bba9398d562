import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GET as read } from '../../app/api/analytics/route.ts';
import { GET, POST } from '../../app/api/cron/analytics/route.ts';
import { GET as pruneByGet } from '../../app/api/cron/prune/route.ts';
import { silentLog } from '../../lib/engine/ports/log.ts';
import { StoreError } from '../../lib/engine/ports/store-error.ts';
import { serverEnv } from '../../lib/services/env.ts';
import { makeServices } from '../../lib/services/services.ts';
import { analyticsSchema } from '../../lib/store/analytics.ts';
import {
  API_KEY,
  apiRequest,
  bearer,
  CRON_SECRET,
  provideServices,
  stubSecrets,
} from '../support/api-server.ts';
import { testDatabase } from '../support/fixtures.ts';
import type { TestDatabase } from '../support/test-database.ts';

const database = testDatabase();
let rpc: TestDatabase['rpc'];

beforeEach(async () => {
  rpc = database.rpc;
  stubSecrets();
  const made = await makeServices(
    serverEnv({ SUPABASE_URL: 'http://127.0.0.1', SUPABASE_SERVICE_ROLE_KEY: 'key' }),
  );
  provideServices({ ...made, log: silentLog, rpc: (fn, args) => rpc(fn, args) });
});
afterEach(() => {
  vi.unstubAllEnvs();
  provideServices(null);
});

const get = (handler: typeof GET, path: string, token: string): Promise<Response> =>
  handler(apiRequest('GET', path, bearer(token)));
const rollUp = (query = '', token = CRON_SECRET, handler = GET) =>
  get(handler, `/api/cron/analytics${query}`, token);
const addJobs = (count: number, age: string) =>
  database.sql(
    `insert into punctual.jobs (name, status, run_at, finished_at)
     select 'j', 'done', now() - $2::interval - interval '2 s', now() - $2::interval from generate_series(1, $1::integer)`,
    [count, age],
  );
const day = (daysAgo: number) => new Date(Date.now() - daysAgo * 86_400_000).toISOString().slice(0, 10);

describe('a call of /api/cron/analytics', () => {
  it.each([
    ['GET', GET],
    ['POST', POST],
  ])('by %s rolls up all missed days of every queue, and today so far', async (_method, handler) => {
    await addJobs(3, '3 days');
    const response = await rollUp('', CRON_SECRET, handler);
    expect(response.status).toBe(200);
    const { steps, ...rest } = await response.json();
    expect(rest).toEqual({ rows: 3, more: false });
    expect(steps).toContainEqual({ queue: 'jobs', day: day(3), rows: 3, problem: null, first_day: null });
    expect(steps.filter((step: { day: string }) => step.day === day(0))).toHaveLength(5);
  });

  it('rolls up only the day in the query', async () => {
    await addJobs(3, '3 days');
    await addJobs(4, '2 days');
    const { steps, more } = await (await rollUp(`?day=${day(3)}`)).json();
    expect(steps.map((step: { queue: string }) => step.queue)).toEqual([
      'dm_queue',
      'enrolments',
      'jobs',
      'monitors',
      'posts',
    ]);
    expect(more).toBe(false);
    expect(await database.sql('select day::text as day, rows from punctual.daily_outcomes')).toEqual([
      { day: day(3), rows: 3 },
    ]);
  });

  it.each(['2026-02-30', 'yesterday', '', '2999-01-01'])('refuses "%s" as a day', async (value) => {
    const response = await rollUp(`?day=${value}`);
    expect(response.status).toBe(422);
    expect((await response.json()).error).toMatchObject({ kind: 'invalid' });
  });

  it('refuses a day whose rows retention has deleted, and names the first possible day', async () => {
    await rollUp();
    await database.sql(`update punctual.rollups set pruned_until = '2026-06-01T12:00:00Z'`);
    const response = await rollUp('?day=2026-06-01');
    expect(response.status).toBe(409);
    expect((await response.json()).error).toMatchObject({
      kind: 'conflict',
      message: expect.stringContaining('The first day that can be rolled up is 2026-06-02'),
    });
  });

  it('goes on if the response to a step is late or another caller runs the step', async () => {
    let calls = 0;
    rpc = async (fn, args) => {
      calls++;
      const step = await database.rpc(fn, args);
      if (calls === 1) throw new StoreError('unavailable', 'no answer in time');
      if (calls === 2)
        return { ...(step as object), queue: null, day: null, rows: null, busy: true, more: true };
      return step;
    };
    await addJobs(1, '1 second');
    expect(await (await rollUp()).json()).toMatchObject({ more: false });
    const rolled = await database.sql('select queue from punctual.rollups where rolled_until is not null');
    expect(rolled).toHaveLength(5);
  });

  it('answers 503 while the database stays unreachable', async () => {
    rpc = () => Promise.reject(new StoreError('unavailable', 'connection lost'));
    const response = await rollUp();
    expect(response.status).toBe(503);
    expect((await response.json()).error).toMatchObject({ kind: 'database_unavailable' });
  });
});

describe('/api/analytics', () => {
  it('returns the dashboard’s figures to a caller with the key', async () => {
    await addJobs(3, '1 day');
    await rollUp();
    const response = await get(read, '/api/analytics?days=2', API_KEY);
    expect(response.status).toBe(200);
    expect(analyticsSchema.parse(await response.json())).toMatchObject({
      rolled_until: day(0),
      totals: [{ day: day(1), queue: 'jobs', outcome: 'done', rows: 3, p50_seconds: 2, partial: false }],
    });
    expect((await get(read, '/api/analytics', 'guess')).status).toBe(401);
  });

  it.each(['0', '91', '1.5', 'all'])('refuses %s days', async (days) => {
    expect((await get(read, `/api/analytics?days=${days}`, API_KEY)).status).toBe(400);
  });
});

describe('retention', () => {
  it('deletes rows that are rolled up, and reports those that it cannot delete', async () => {
    await addJobs(2_500, '31 days');
    await rollUp();
    await database.sql('create table punctual.notes (job bigint references punctual.jobs)');
    await database.sql('insert into punctual.notes select max(id) from punctual.jobs');
    const prune = async () => (await get(pruneByGet, '/api/cron/prune', CRON_SECRET)).json();
    expect(await prune()).toMatchObject({ problems: [{ queue: 'jobs' }], more: false });
    await database.sql('drop table punctual.notes');
    const left = (await database.sql('select count(*) as n from punctual.jobs'))[0].n;
    expect(await prune()).toMatchObject({ rows: left, problems: [], more: false });
  });
});
