import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PathLoop, TickRequest } from '../../worker/path-loop.ts';
import { startWorkerServer, type WorkerServer } from '../../worker/worker-server.ts';

const SECRET = 'secret-of-the-worker';
let stop: AbortController;
let server: WorkerServer;
let woken: TickRequest[];
let latest: ReturnType<PathLoop['latest']>;
let dueSince: number | null;
let nowMs: number;

const loop = (path: string): PathLoop => ({
  path,
  latest: () => latest,
  dueSince: () => dueSince,
  ended: Promise.resolve(),
  nudge() {},
  wake(request) {
    if (latest && latest.state !== 'ok') return latest.state;
    woken.push(request);
    return woken.length > 1 ? 'running' : 'started';
  },
});

async function start(secret: string | null = SECRET): Promise<void> {
  server = await startWorkerServer({
    port: 0,
    host: '127.0.0.1',
    loops: [loop('/api/cron/posts?partition=failed'), loop('/api/cron/dm-queue'), loop('/api/cron/jobs')],
    secret: secret ?? undefined,
    signal: stop.signal,
    now: () => nowMs,
  });
}

beforeEach(() => {
  stop = new AbortController();
  woken = [];
  latest = null;
  dueSince = null;
  nowMs = Date.parse('2026-03-02T12:00:30Z');
});
afterEach(() => server.close());

async function send(method: string, path: string, headers: Record<string, string> = {}) {
  const response = await fetch(server.url + path, { method, headers });
  return { status: response.status, headers: response.headers, body: await response.json() };
}
const withSecret = { authorization: `Bearer ${SECRET}` };

describe('POST /ticks/:queue', () => {
  it.each(['dm_queue', 'dm-queue'])(
    'wakes the loop of %s with the scheduler’s name, slot, schedule and path',
    async (queue) => {
      await start();
      const response = await send('POST', `/ticks/${queue}`, {
        ...withSecret,
        'x-punctual-scheduler': 'vercel',
        'x-punctual-slot': '2026-03-02T12:00:00Z',
        'x-punctual-schedule': '* * * * *',
        'x-punctual-path': '/api/trigger/dm-queue',
      });
      expect(response).toMatchObject({ status: 202, body: { queue, state: 'started' } });
      expect(woken).toEqual([
        {
          scheduler: 'vercel',
          slot: '2026-03-02T12:00:00.000Z',
          schedule: '* * * * *',
          path: '/api/trigger/dm-queue',
        },
      ]);
      expect((await send('POST', `/ticks/${queue}`, withSecret)).body.state).toBe('running');
    },
  );

  it.each<[label: string, method: string, path: string, headers: Record<string, string>, status: number]>([
    ['no secret', 'POST', '/ticks/jobs', {}, 401],
    ['a wrong secret', 'POST', '/ticks/jobs', { authorization: 'Bearer wrong' }, 401],
    ['a queue that it does not tick', 'POST', '/ticks/pgmq', withSecret, 404],
    ['a queue of which it ticks only one partition', 'POST', '/ticks/posts', withSecret, 404],
    ['another method', 'GET', '/ticks/jobs', withSecret, 405],
    ['another path', 'POST', '/ticks', withSecret, 404],
    ['an invalid path', 'POST', '//', withSecret, 404],
  ])('refuses %s', async (_label, method, path, headers, status) => {
    await start();
    expect((await send(method, path, headers)).status).toBe(status);
    expect(woken).toEqual([]);
  });

  it('answers 503 if WORKER_SECRET is not set', async () => {
    await start(null);
    expect((await send('POST', '/ticks/jobs', { authorization: 'Bearer ' })).status).toBe(503);
    expect(woken).toEqual([]);
  });

  it.each(['failing', 'not_configured'] as const)(
    'leaves the tick to the waker while calls are %s',
    async (state) => {
      await start();
      latest = { at: nowMs, state };
      expect(await send('POST', '/ticks/jobs', withSecret)).toMatchObject({
        status: 503,
        body: { error: { kind: state } },
      });
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

  it('answers 503 once the worker is stopping', async () => {
    await start();
    stop.abort();
    expect((await send('POST', '/ticks/jobs', withSecret)).status).toBe(503);
    expect(woken).toEqual([]);
  });
});

describe('GET /health', () => {
  it('is ok at the start, and as long as calls succeed', async () => {
    await start();
    expect(await send('GET', '/health')).toMatchObject({
      status: 200,
      body: { status: 'ok', uptimeSeconds: 0 },
    });
    nowMs += 600_000;
    dueSince = nowMs - 4_000;
    latest = { at: nowMs - 4_000, state: 'ok' };
    expect((await send('GET', '/health')).body).toEqual({
      status: 'ok',
      uptimeSeconds: 600,
      paths: {
        '/api/cron/posts?partition=failed': { status: 'ok', secondsAgo: 4 },
        '/api/cron/dm-queue': { status: 'ok', secondsAgo: 4 },
        '/api/cron/jobs': { status: 'ok', secondsAgo: 4 },
      },
    });
  });

  it('is failing if no call has succeeded for five minutes', async () => {
    await start();
    dueSince = nowMs;
    nowMs += 299_000;
    latest = { at: nowMs, state: 'failing' };
    expect((await send('GET', '/health')).status).toBe(200);
    nowMs += 2_000;
    expect(await send('GET', '/health')).toMatchObject({ status: 503, body: { status: 'failing' } });
  });

  it('is ok all day if calls are due only at night', async () => {
    await start();
    nowMs += 12 * 3_600_000;
    expect((await send('GET', '/health')).status).toBe(200);
    latest = { at: nowMs - 10 * 3_600_000, state: 'ok' };
    expect((await send('GET', '/health')).status).toBe(200);
  });

  it('reports that the worker is stopping', async () => {
    await start();
    stop.abort();
    expect(await send('GET', '/health')).toMatchObject({ status: 503, body: { status: 'stopping' } });
  });
});
