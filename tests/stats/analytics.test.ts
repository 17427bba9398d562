import { describe, expect, it } from 'vitest';
import { answerApi } from '../../lib/api/answer-api.ts';
import { endpoints as statsApi } from '../../lib/api/stats.ts';
import { StoreError } from '../../lib/engine/ports/store-error.ts';
import { analyticsSchema } from '../../lib/store/analytics.ts';
import { API_KEY, answered, apiRequest, bearer, CRON_SECRET } from '../support/api-server.ts';
import { servedDatabase } from '../support/fixtures.ts';
import { replaceRpc } from '../support/replace-services.ts';

const { 'GET /analytics': read } = statsApi;
const GET = (request: Request) => answerApi(request, ['cron', 'analytics'], {});
const POST = (request: Request) => answerApi(request, ['cron', 'analytics'], {});

const database = servedDatabase();

const get = (handler: typeof GET, path: string, token = CRON_SECRET) =>
  answered(handler(apiRequest('GET', path, bearer(token))));
const rollUp = (query = '', handler = GET) => get(handler, `/api/cron/analytics${query}`);
const analytics = (query: string) => get(read, `/api/analytics${query}`, API_KEY);
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
    const { status, body } = await rollUp('', handler);
    expect([status, body.rows, body.more]).toEqual([200, 3, false]);
    expect(body.steps).toContainEqual({
      queue: 'jobs',
      day: day(3),
      rows: 3,
      problem: null,
      first_day: null,
    });
    expect(body.steps.filter((step: { day: string }) => step.day === day(0))).toHaveLength(5);
  });

  it('rolls up only the day in the query, of every queue', async () => {
    await addJobs(3, '3 days');
    await addJobs(4, '2 days');
    const { steps, more } = (await rollUp(`?day=${day(3)}`)).body;
    const queues = ['dm_queue', 'enrolments', 'jobs', 'monitors', 'posts'];
    expect([steps.map((step: { queue: string }) => step.queue), more]).toEqual([queues, false]);
    expect(await database.sql('select day::text as day, rows from punctual.daily_outcomes')).toEqual([
      { day: day(3), rows: 3 },
    ]);
  });

  it.each(['2026-02-30', 'yesterday', '', '2999-01-01'])('refuses "%s" as a day', async (value) => {
    const error = { kind: 'invalid' };
    expect(await rollUp(`?day=${value}`)).toMatchObject({ status: 422, body: { error } });
  });

  it('refuses a day whose rows retention has deleted, and names the first possible day', async () => {
    await rollUp();
    await database.sql(`update punctual.rollups set pruned_until = '2026-06-01T12:00:00Z'`);
    const message = expect.stringContaining('The first day that can be rolled up is 2026-06-02');
    const error = { kind: 'conflict', message };
    expect(await rollUp('?day=2026-06-01')).toMatchObject({ status: 409, body: { error } });
  });

  it('goes on if the response to a step is late or another caller runs the step', async () => {
    let calls = 0;
    await replaceRpc((rpc) => async (fn, args) => {
      calls++;
      const step = (await rpc(fn, args)) as object;
      if (calls === 1) throw new StoreError('unavailable', 'no answer in time');
      return calls === 2 ? { ...step, queue: null, day: null, rows: null, busy: true, more: true } : step;
    });
    await addJobs(1, '1 second');
    expect((await rollUp()).body.more).toBe(false);
    const rolled = await database.sql('select queue from punctual.rollups where rolled_until is not null');
    expect(rolled).toHaveLength(5);
  });

  it('answers 503 while the database stays unreachable', async () => {
    await replaceRpc(() => () => Promise.reject(new StoreError('unavailable', 'connection lost')));
    const error = { kind: 'database_unavailable' };
    expect(await rollUp()).toMatchObject({ status: 503, body: { error } });
  });
});

describe('/api/analytics', () => {
  it('returns the dashboard’s figures', async () => {
    await addJobs(3, '1 day');
    await rollUp();
    expect(analyticsSchema.parse((await analytics('?days=2')).body)).toMatchObject({
      rolled_until: day(0),
      totals: [{ day: day(1), queue: 'jobs', outcome: 'done', rows: 3, p50_seconds: 2, partial: false }],
    });
  });

  it.each(['0', '91', '1.5', 'all'])('refuses %s days', async (days) => {
    expect((await analytics(`?days=${days}`)).status).toBe(400);
  });
});
