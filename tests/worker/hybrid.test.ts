import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { endpoints as queuesApi } from '../../lib/api/queues.ts';
import { partitionsHandler } from '../../lib/cron/handlers/partitions-handler.ts';
import { type AnyQueue, findQueue } from '../../lib/queues/find-queue.ts';
import { getServices } from '../../lib/services/services.ts';
import { type PathLoop, startPathLoop } from '../../lib/worker/path-loop.ts';
import { startWorkerServer, type WorkerServer } from '../../lib/worker/worker-server.ts';
import { punctual } from '../../punctual.ts';
import { answered, apiRequest, bearer, CRON_SECRET } from '../support/api-server.ts';
import { servedDatabase } from '../support/fixtures.ts';

const { 'POST /trigger/:queue': POST } = queuesApi;

const WORKER_SECRET = 'secret-of-the-worker';
const database = servedDatabase();
let stop: AbortController;
let loop: PathLoop;
let server: WorkerServer;

/** The worker of jobs runs in this process. It ticks only when it is woken, because no test meets its schedule of 29 February. */
beforeEach(async () => {
  await database.sql(
    `insert into punctual.jobs (name, payload) select 'count-words', '{"text": "a b"}' from generate_series(1, 40)`,
  );
  const services = await getServices();
  stop = new AbortController();
  const handler = partitionsHandler(findQueue('jobs', punctual.queues) as AnyQueue);
  loop = startPathLoop({
    entry: { path: '/api/cron/jobs', schedule: '0 0 29 2 *' },
    scheduler: 'worker',
    signal: stop.signal,
    async call(call) {
      const startedAt = services.ports.clock.now();
      const params = new URLSearchParams();
      const result = await handler(services, { ...call, params, startedAt, maxDuration: 60 });
      return { hasMore: result.reports.some(({ ended }) => ended === 'batch limit'), nextDueInMs: null };
    },
    onFault: (error) => {
      throw error;
    },
    onRecovered() {},
  });
  const options = { port: 0, host: '127.0.0.1', secret: WORKER_SECRET, signal: stop.signal };
  server = await startWorkerServer({ ...options, loops: [loop] });
  // The app's own settings of the worker.
  services.env.worker = { url: server.url, secret: WORKER_SECRET };
});

afterEach(async () => {
  stop.abort();
  await loop.ended;
  await server.close();
});

function trigger() {
  const scheduler = { 'user-agent': 'vercel-cron/1.0', 'x-vercel-cron-schedule': '* * * * *' };
  const request = apiRequest('POST', '/api/trigger/jobs', { ...bearer(CRON_SECRET), ...scheduler });
  return answered(POST(request, { params: Promise.resolve({ queue: 'jobs' }) }));
}

const states = () =>
  database.sql(
    'select status, count(*)::integer as n, max(attempts) as attempts from punctual.jobs group by 1',
  );
const allDone = () =>
  vi.waitFor(async () => expect(await states()).toEqual([{ status: 'done', n: 40, attempts: 1 }]), 30_000);

describe('an app that hands its ticks to a worker', () => {
  it('has the worker run them and record them under the scheduler’s name, path and schedule', async () => {
    expect(await trigger()).toEqual({ status: 202, body: { queue: 'jobs', worker: 'started' } });
    await allDone();
    const ticks = await database.sql(
      `select scheduler, path, schedule, continuation, done from punctual.ticks where done > 0 order by continuation`,
    );
    const entry = { scheduler: 'vercel', path: '/api/trigger/jobs', schedule: '* * * * *' };
    expect(ticks).toEqual([
      { ...entry, continuation: 0, done: 30 },
      { ...entry, continuation: 1, done: 10 },
    ]);
  });

  it('has each row run once if the worker had started and only its response was lost', async () => {
    // The worker is woken, and then the app cannot reach it.
    await fetch(`${server.url}/ticks/jobs`, { method: 'POST', headers: bearer(WORKER_SECRET) });
    (await getServices()).env.worker = { url: 'http://127.0.0.1:2', secret: WORKER_SECRET };
    const body = { worker: 'the worker could not be reached (ECONNREFUSED)' };
    expect(await trigger()).toMatchObject({ status: 200, body });
    await allDone();
  });
});
