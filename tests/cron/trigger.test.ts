import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { endpoints as queuesApi } from '../../lib/api/queues.ts';
import { answered, apiRequest, bearer, CRON_SECRET } from '../support/api-server.ts';
import { servedDatabase } from '../support/fixtures.ts';
import { replaceEnv } from '../support/replace-services.ts';
import { serveHandler } from '../support/serve-handler.ts';

const { 'POST /trigger/:queue': POST } = queuesApi;

const WORKER_SECRET = 'secret-of-the-worker';

/** Stands in for the worker. */
let behave: () => Response | Promise<Response>;
let requests: Request[];
const worker = await serveHandler(async (request) => {
  requests.push(request);
  return behave();
});
afterAll(() => worker.close());
const database = servedDatabase({ WORKER_URL: worker.url, WORKER_SECRET });
const started = () => Response.json({ queue: 'jobs', state: 'started' }, { status: 202 });

beforeEach(async () => {
  requests = [];
  behave = started;
  await database.sql(
    `insert into punctual.jobs (name, payload) select 'count-words', '{"text": "a b"}' from generate_series(1, 3)`,
  );
});

const trigger = (queue: string, headers = bearer(CRON_SECRET)) =>
  answered(
    POST(apiRequest('POST', `/api/trigger/${queue}`, headers), {
      params: Promise.resolve({ queue: queue.split('?')[0] ?? '' }),
    }),
  );
const done = async () =>
  (await database.sql(`select count(*)::integer as n from punctual.jobs where status = 'done'`))[0]?.n;

describe('a trigger', () => {
  it('hands the queue’s tick to the worker, with the scheduler’s name, slot and schedule', async () => {
    const headers = { 'x-punctual-scheduler': 'some-scheduler', 'x-punctual-schedule': '* * * * *' };
    const slot = { 'x-punctual-slot': '2026-03-02T12:00:00Z' };
    expect(await trigger('jobs', { ...bearer(CRON_SECRET), ...headers, ...slot })).toEqual({
      status: 202,
      body: { queue: 'jobs', worker: 'started' },
    });
    expect(requests).toMatchObject([{ method: 'POST', url: `${worker.url}/ticks/jobs` }]);
    expect(Object.fromEntries(requests[0]?.headers ?? [])).toMatchObject({
      ...{ ...bearer(WORKER_SECRET), ...headers },
      'x-punctual-slot': '2026-03-02T12:00:00.000Z',
      'x-punctual-path': '/api/trigger/jobs',
    });
    expect(await done()).toBe(0);
  });

  it.each<[label: string, behaviour: typeof behave, reason: string]>([
    ['refuses', () => new Response('{}', { status: 401 }), 'the worker answered 401'],
    ['is stopping', () => new Response('{}', { status: 503 }), 'the worker answered 503'],
    ['is another server', () => Response.json({ hello: 'world' }), 'the worker answered 200'],
    ['hangs', () => new Promise(() => {}), 'the worker did not answer within 3 s'],
  ])('ticks by itself if the worker %s', async (_label, behaviour, reason) => {
    behave = behaviour;
    expect(await trigger('jobs')).toMatchObject({ status: 200, body: { worker: reason } });
    expect(await done()).toBe(3);
    expect(await database.sql('select path from punctual.ticks')).toEqual([{ path: '/api/trigger/jobs' }]);
  });

  it('ticks by itself without a worker', async () => {
    await replaceEnv({}, database.rpc);
    const body = { worker: 'WORKER_URL is not set', reports: [{ counts: { done: 3 } }] };
    expect(await trigger('jobs')).toMatchObject({ status: 200, body });
  });

  it('ticks a single partition by itself, because a worker ticks whole queues', async () => {
    const body = { worker: 'a worker ticks whole queues' };
    expect(await trigger('jobs?partition=default')).toMatchObject({ status: 200, body });
    expect([requests, await done()]).toEqual([[], 3]);
  });

  it.each([
    ['a partition of a queue that names none', 'dm-queue?partition=default', /^dm_queue has no partitions/],
    ['an unknown queue, and lists the others', 'nothing', /^there is no such queue\..* dm_queue/],
  ])('answers 404 to %s', async (_label, queue, message) => {
    const error = { message: expect.stringMatching(message) };
    expect(await trigger(queue)).toMatchObject({ status: 404, body: { error } });
    expect(requests).toEqual([]);
  });

  it('refuses the worker’s secret', async () => {
    expect((await trigger('jobs', bearer(WORKER_SECRET))).status).toBe(401);
    expect(requests).toEqual([]);
  });
});
