import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { PathLoop, TickRequest } from '../../lib/worker/path-loop.ts';
import { startWorkerServer, type WorkerServer } from '../../lib/worker/worker-server.ts';
import { bearer } from '../support/api-server.ts';
import { perTest } from '../support/fixtures.ts';

const SECRET = 'secret-of-the-worker';
const worker = perTest(() => ({
  stop: new AbortController(),
  woken: [] as TickRequest[],
  latest: null as ReturnType<PathLoop['latest']>,
  dueSince: null as number | null,
  nowMs: Date.parse('2026-03-02T12:00:30Z'),
}));
let server: WorkerServer;
afterEach(() => server.close());

const paths = ['/api/cron/posts?partition=failed', '/api/cron/dm-queue', '/api/cron/jobs'];
const loop = (path: string): PathLoop => ({
  path,
  latest: () => worker.latest,
  dueSince: () => worker.dueSince,
  ended: Promise.resolve(),
  nudge() {},
  wake(request) {
    if (worker.latest && worker.latest.state !== 'ok') return worker.latest.state;
    worker.woken.push(request);
    return worker.woken.length > 1 ? 'running' : 'started';
  },
});

async function start(secret: string | null = SECRET): Promise<void> {
  const where = { port: 0, host: '127.0.0.1', loops: paths.map(loop) };
  const times = { signal: worker.stop.signal, now: () => worker.nowMs };
  server = await startWorkerServer({ ...where, ...times, secret: secret ?? undefined });
}

async function send(method: string, path: string, headers: Record<string, string> = {}) {
  const response = await fetch(server.url + path, { method, headers });
  return { status: response.status, body: await response.json() };
}
const withSecret = bearer(SECRET);

describe('POST /ticks/:queue', () => {
  it.each(['dm_queue', 'dm-queue'])(
    'wakes the loop of %s with the scheduler’s name, slot, schedule and path',
    async (queue) => {
      await start();
      const call = { scheduler: 'vercel', schedule: '* * * * *', path: '/api/trigger/dm-queue' };
      const response = await send('POST', `/ticks/${queue}`, {
        ...withSecret,
        'x-punctual-scheduler': call.scheduler,
        'x-punctual-slot': '2026-03-02T12:00:00Z',
        'x-punctual-schedule': call.schedule,
        'x-punctual-path': call.path,
      });
      expect(response).toEqual({ status: 202, body: { queue, state: 'started' } });
      expect(worker.woken).toEqual([{ ...call, slot: '2026-03-02T12:00:00.000Z' }]);
      expect((await send('POST', `/ticks/${queue}`, withSecret)).body.state).toBe('running');
    },
  );

  it.each<[label: string, method: string, path: string, headers: Record<string, string>, status: number]>([
    ['no secret', 'POST', '/ticks/jobs', {}, 401],
    ['a wrong secret', 'POST', '/ticks/jobs', bearer('wrong'), 401],
    ['a queue that it does not tick', 'POST', '/ticks/pgmq', withSecret, 404],
    ['a queue of which it ticks only one partition', 'POST', '/ticks/posts', withSecret, 404],
    ['another method', 'GET', '/ticks/jobs', withSecret, 405],
    ['another path', 'POST', '/ticks', withSecret, 404],
    ['an invalid path', 'POST', '//', withSecret, 404],
  ])('refuses %s', async (_label, method, path, headers, status) => {
    await start();
    expect((await send(method, path, headers)).status).toBe(status);
    expect(worker.woken).toEqual([]);
  });

  it('answers 503 if WORKER_SECRET is not set, and once the worker is stopping', async () => {
    await start(null);
    expect((await send('POST', '/ticks/jobs', { authorization: 'Bearer ' })).status).toBe(503);
    await server.close();
    await start();
    worker.stop.abort();
    expect((await send('POST', '/ticks/jobs', withSecret)).status).toBe(503);
    expect(await send('GET', '/health')).toMatchObject({ status: 503, body: { status: 'stopping' } });
    expect(worker.woken).toEqual([]);
  });

  it.each(['failing', 'not_configured'] as const)(
    'leaves the tick to the waker while calls are %s',
    async (state) => {
      await start();
      worker.latest = { at: worker.nowMs, state };
      const refused = { status: 503, body: { error: { kind: state } } };
      expect(await send('POST', '/ticks/jobs', withSecret)).toMatchObject(refused);
    },
  );

  it('responds without waiting for the body, however long', async () => {
    await start();
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.on('error', () => {});
    socket.write('POST /ticks/jobs HTTP/1.1\r\nHost: worker\r\nContent-Length: 1000000000\r\n\r\nand so on');
    const [response] = await once(socket, 'data');
    expect(String(response)).toMatch(/^HTTP\/1.1 401 /);
    await once(socket, 'close');
  });
});

describe('GET /health', () => {
  it('is ok at the start, and as long as calls succeed', async () => {
    await start();
    const body = { status: 'ok', uptimeSeconds: 0 };
    expect(await send('GET', '/health')).toMatchObject({ status: 200, body });
    worker.nowMs += 600_000;
    worker.dueSince = worker.nowMs - 4_000;
    worker.latest = { at: worker.nowMs - 4_000, state: 'ok' };
    expect((await send('GET', '/health')).body).toEqual({
      status: 'ok',
      uptimeSeconds: 600,
      paths: Object.fromEntries(paths.map((path) => [path, { status: 'ok', secondsAgo: 4 }])),
    });
  });

  it('is failing if no call has succeeded for five minutes', async () => {
    await start();
    worker.dueSince = worker.nowMs;
    worker.nowMs += 299_000;
    worker.latest = { at: worker.nowMs, state: 'failing' };
    expect((await send('GET', '/health')).status).toBe(200);
    worker.nowMs += 2_000;
    expect(await send('GET', '/health')).toMatchObject({ status: 503, body: { status: 'failing' } });
  });

  it('is ok all day if calls are due only at night', async () => {
    await start();
    worker.nowMs += 12 * 3_600_000;
    expect((await send('GET', '/health')).status).toBe(200);
    worker.latest = { at: worker.nowMs - 10 * 3_600_000, state: 'ok' };
    expect((await send('GET', '/health')).status).toBe(200);
  });
});
