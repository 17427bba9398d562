import { expect, it } from 'vitest';
import { answerApi } from '../../../lib/api/answer-api.ts';
import { StoreError } from '../../../lib/engine/ports/store-error.ts';
import { apiRequest, bearer, CRON_SECRET } from '../../support/api-server.ts';
import { servedDatabase } from '../../support/fixtures.ts';
import { replaceRpc } from '../../support/replace-services.ts';

const rollUp = (request: Request) => answerApi(request, ['cron', 'analytics'], {});
const GET = (request: Request) => answerApi(request, ['cron', 'prune'], {});

const database = servedDatabase();
const prune = async () => {
  const response = await GET(apiRequest('GET', '/api/cron/prune', bearer(CRON_SECRET)));
  expect(response.status).toBe(200);
  return response.json();
};

it('/api/cron/prune deletes rows older than their retention, and counts each kind', async () => {
  await database.sql(
    `insert into punctual.jobs (name, status, finished_at)
     select 'j', 'done', now() - make_interval(days => days) from unnest(array[38, 1]) days`,
  );
  const nothing = {
    ticks: 0,
    history: 0,
    receipts: 0,
    enrolments: 0,
    checks: 0,
    hours: 0,
    incidents: 0,
    acts: 0,
    days: 0,
  };
  expect(await prune()).toEqual({ rows: 1, ...nothing, problems: [], more: false });
  expect(await database.sql('select id from punctual.jobs')).toHaveLength(1);
});

it('/api/cron/prune reports rows that it cannot delete, and deletes them once it can', async () => {
  await database.sql(
    `insert into punctual.jobs (name, status, finished_at) select 'j', 'done', now() - interval '31 days' from generate_series(1, 2500)`,
  );
  await rollUp(apiRequest('GET', '/api/cron/analytics', bearer(CRON_SECRET)));
  await database.sql('create table punctual.notes (job bigint references punctual.jobs)');
  await database.sql('insert into punctual.notes select max(id) from punctual.jobs');
  expect(await prune()).toMatchObject({ problems: [{ queue: 'jobs' }], more: false });
  await database.sql('drop table punctual.notes');
  const left = (await database.sql('select count(*) as n from punctual.jobs'))[0].n;
  expect(await prune()).toMatchObject({ rows: left, problems: [], more: false });
});

it('/api/cron/prune deletes in smaller batches if 1,000 rows take too long', async () => {
  const limits: unknown[] = [];
  await replaceRpc((rpc) => async (name, params) => {
    limits.push(params.p_limit);
    if (Number(params.p_limit) > 10) throw new StoreError('unavailable', 'canceling statement', '57014');
    return rpc(name, params);
  });
  expect(await prune()).toMatchObject({ more: false });
  expect(limits).toEqual([1_000, 100, 10]);
});
