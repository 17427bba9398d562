import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { POST } from '../../app/api/trigger/[queue]/route.ts';
import { apiRequest, bearer, CRON_SECRET, openServedDatabase, stubSecrets } from '../support/api-server.ts';
import type { TestDatabase } from '../support/test-database.ts';

const WORKER_SECRET = 'secret-of-the-worker';

/** Stands in for the worker. */
let standIn: Server;
let workerUrl: string;
let behave: (respond: (status: number, body: object) => void) => void;
/** The requests to the stand-in. */
let requests: { method?: string; url?: string; headers: NodeJS.Dict<string | string[]> }[];
let database: TestDatabase;

beforeAll(async () => {
  standIn = createServer((request, response) => {
    requests.push({ method: request.method, url: request.url, headers: request.headers });
    behave((status, body) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
    );
  });
  await new Promise<void>((resolve) => standIn.listen(0, '127.0.0.1', resolve));
  workerUrl = `http://127.0.0.1:${(standIn.address() as AddressInfo).port}`;
  stubSecrets();
  vi.stubEnv('WORKER_SECRET', WORKER_SECRET);
  database = await openServedDatabase({ WORKER_URL: workerUrl, WORKER_SECRET });
});

afterAll(async () => {
  await database.close();
  standIn.closeAllConnections();
  await new Promise((resolve) => standIn.close(resolve));
});

beforeEach(async () => {
  stubSecrets();
  requests = [];
  await database.reset();
  await database.sql(
    `insert into punctual.jobs (name, payload) select 'count-words', '{"text": "a b"}' from generate_series(1, 3)`,
  );
});

afterEach(() => vi.unstubAllEnvs());

async function trigger(queue: string, headers: Record<string, string> = bearer(CRON_SECRET)) {
  const request = apiRequest('POST', `/api/trigger/${queue}`, headers);
  const response = await POST(request, {
    params: Promise.resolve({ queue: queue.split('?')[0] ?? '' }),
  });
  return { status: response.status, body: await response.json() };
}

const done = async () =>
  (await database.sql(`select count(*)::integer as n from punctual.jobs where status = 'done'`))[0]?.n;

describe('a trigger', () => {
  it('hands the queue’s tick to the worker, with the scheduler’s name, slot and schedule', async () => {
    behave = (respond) => respond(202, { queue: 'jobs', state: 'started' });
    const response = await trigger('jobs', {
      ...bearer(CRON_SECRET),
      'x-punctual-scheduler': 'some-scheduler',
      'x-punctual-slot': '2026-03-02T12:00:00Z',
      'x-punctual-schedule': '* * * * *',
    });
    expect(response).toEqual({ status: 202, body: { queue: 'jobs', worker: 'started' } });
    expect(requests).toMatchObject([
      {
        method: 'POST',
        url: '/ticks/jobs',
        headers: {
          authorization: `Bearer ${WORKER_SECRET}`,
          'x-punctual-scheduler': 'some-scheduler',
          'x-punctual-slot': '2026-03-02T12:00:00.000Z',
          'x-punctual-schedule': '* * * * *',
          'x-punctual-path': '/api/trigger/jobs',
        },
      },
    ]);
    expect(await done()).toBe(0);
  });

  it.each<[label: string, behave: typeof behave, reason: string]>([
    ['refuses', (respond) => respond(401, { error: {} }), 'the worker answered 401'],
    ['is stopping', (respond) => respond(503, { error: {} }), 'the worker answered 503'],
    ['is another server', (respond) => respond(200, { hello: 'world' }), 'the worker answered 200'],
    ['hangs', () => {}, 'the worker did not answer within 3 s'],
  ])('ticks by itself if the worker %s', async (_label, behaviour, reason) => {
    behave = behaviour;
    const response = await trigger('jobs');
    expect(response).toMatchObject({ status: 200, body: { worker: reason } });
    expect(await done()).toBe(3);
    expect(await database.sql('select path from punctual.ticks')).toEqual([{ path: '/api/trigger/jobs' }]);
  });

  it('ticks a single partition by itself, because a worker ticks whole queues', async () => {
    behave = (respond) => respond(202, { queue: 'jobs', state: 'started' });
    expect(await trigger('jobs?partition=default')).toMatchObject({
      status: 200,
      body: { worker: 'a worker ticks whole queues' },
    });
    expect(requests).toEqual([]);
    expect(await done()).toBe(3);
  });

  it('answers 404 to a partition of a queue that names none', async () => {
    expect(await trigger('dm-queue?partition=default')).toMatchObject({
      status: 404,
      body: { error: { message: 'dm_queue has no partitions to name. Call it without ?partition=' } },
    });
    expect(requests).toEqual([]);
  });

  it('answers 404 and lists the queues if the name is unknown', async () => {
    expect(await trigger('nothing')).toMatchObject({
      status: 404,
      body: { error: { message: expect.stringContaining('dm_queue') } },
    });
    expect(requests).toEqual([]);
  });

  it('requires CRON_SECRET and refuses the worker’s secret', async () => {
    expect((await trigger('jobs', {})).status).toBe(401);
    expect((await trigger('jobs', bearer(WORKER_SECRET))).status).toBe(401);
    expect(requests).toEqual([]);
  });
});

describe('without a worker', () => {
  it('a trigger ticks by itself', async () => {
    const alone = await openServedDatabase();
    try {
      await alone.sql(`insert into punctual.jobs (name, payload) values ('count-words', '{"text": "a"}')`);
      expect(await trigger('jobs')).toMatchObject({
        status: 200,
        body: { worker: 'WORKER_URL is not set', reports: [{ counts: { done: 1 } }] },
      });
    } finally {
      await alone.close();
    }
  });
});
