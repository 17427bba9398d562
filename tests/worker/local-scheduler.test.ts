import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  latestSlot,
  nextSlot,
  readCrons,
  readSchedules,
  type SchedulerCall,
  scheduleOf,
  startLocalScheduler,
} from '@/worker/local-scheduler.ts';

/** The longest wait before a test fails. It is no measure of speed. */
const waiting = { timeout: 30_000 };

const everyMinute = { path: '/api/cron/dm-queue', schedule: '* * * * *' };
const onceADay = { path: '/api/cron/prune', schedule: '17 3 * * *' };
const at = (time: string) => Date.parse(`2030-01-15T${time}Z`);
const slot = (entry: typeof everyMinute, after: string, everyMs?: number) => {
  const ms = nextSlot(entry, at(after), everyMs);
  return ms === null ? null : new Date(ms).toISOString().slice(0, 19);
};

describe('nextSlot', () => {
  it('is the next instant of the schedule in UTC, and never the present one', () => {
    expect(slot(everyMinute, '12:00:00')).toBe('2030-01-15T12:01:00');
    expect(slot(everyMinute, '11:59:59.999')).toBe('2030-01-15T12:00:00');
    expect(slot(onceADay, '03:17:00')).toBe('2030-01-16T03:17:00');
  });

  it('follows a shorter interval, at its round instants', () => {
    expect(slot(everyMinute, '12:00:03', 10_000)).toBe('2030-01-15T12:00:10');
    expect(slot(everyMinute, '12:00:10', 10_000)).toBe('2030-01-15T12:00:20');
  });

  it('keeps a daily entry at its schedule, whatever the interval', () => {
    expect(slot(onceADay, '12:00:00', 10_000)).toBe('2030-01-16T03:17:00');
  });

  it('is null for a schedule that names no instant', () => {
    expect(slot({ path: '/', schedule: '0 0 30 2 *' }, '12:00:00')).toBeNull();
  });
});

describe('latestSlot', () => {
  const latest = (entry: typeof everyMinute, atTime: string, everyMs?: number) => {
    const ms = latestSlot(entry, at(atTime), everyMs);
    return ms === null ? null : new Date(ms).toISOString().slice(0, 19);
  };

  it('is the latest instant of the schedule, which may be the present one', () => {
    expect(latest(everyMinute, '12:00:00')).toBe('2030-01-15T12:00:00');
    expect(latest(everyMinute, '11:59:59.999')).toBe('2030-01-15T11:59:00');
    expect(latest(onceADay, '03:16:59')).toBe('2030-01-14T03:17:00');
    expect(latest({ path: '/', schedule: '0 0 30 2 *' }, '12:00:00')).toBeNull();
  });

  it('follows a shorter interval only for entries that are due at least hourly', () => {
    expect(latest(everyMinute, '12:00:13', 10_000)).toBe('2030-01-15T12:00:10');
    expect(latest(onceADay, '12:00:13', 10_000)).toBe('2030-01-15T03:17:00');
  });
});

describe('readSchedules', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'punctual-crons-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it.each<[glob: string, pinned: string[]]>([
    ['app/api/cron/monitors/eu/route.ts', ['monitors/eu']],
    ['src/app/api/cron/monitors/eu/route.js', ['monitors/eu']],
    ['app/api/cron/monitors/*/route.ts', ['monitors/eu']],
    ['app/api/cron/monitors/{eu,us}/*', ['monitors/eu']],
    ['app/api/cron/monitors/**/*.ts', ['monitors', 'monitors/eu']],
    ['app/api/**', ['jobs', 'monitors', 'monitors/eu']],
    ['app/api/cron/[queue]/route.ts', []],
    ['app/api/cron/monitors/e.', []],
  ])('finds the paths that %s pins', async (glob, pinned) => {
    const file = path.join(folder, 'vercel.json');
    await writeFile(
      file,
      JSON.stringify({
        functions: { [glob]: { regions: ['fra1'] }, 'app/api/cron/jobs/*': { maxDuration: 60 } },
      }),
    );
    const { isPinned } = readSchedules(file);
    const names = ['jobs', 'monitors', 'monitors/eu'];
    expect(names.filter((name) => isPinned(`/api/cron/${name}?partition=x`))).toEqual(pinned);
  });
});

describe('readCrons', () => {
  it('reads the entries of this project', () => {
    expect(readCrons()).toContainEqual(everyMinute);
  });

  it.each([
    ['{"crons":[{"path":"api","schedule":"* * * * *"}]}', 'crons.0.path must start with /'],
    ['{"crons":[{"path":"/a","schedule":"* * * * * *"}]}', 'crons.0.schedule is not a cron expression'],
    ['{"crons":[{"path":"/a","schedule":"every minute"}]}', 'crons.0.schedule is not a cron expression'],
  ])('refuses %s', async (json, message) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'punctual-crons-'));
    await writeFile(path.join(folder, 'vercel.json'), json);
    expect(() => readCrons(path.join(folder, 'vercel.json'))).toThrow(message);
    await rm(folder, { recursive: true });
  });
});

describe('the local scheduler', () => {
  const headersSeen: IncomingHttpHeaders[] = [];
  let server: Server;
  let reply: { status: number; body: string; afterMs: number };
  let stop: () => Promise<void> = async () => {};

  const listen = (port = 0) => new Promise<void>((done) => void server.listen(port, '127.0.0.1', done));
  const port = () => (server.address() as AddressInfo).port;

  function start(everyMs: number, crons = [everyMinute]) {
    const received = { reports: [] as SchedulerCall[], errors: [] as string[] };
    stop = startLocalScheduler({
      crons,
      baseUrl: `http://127.0.0.1:${port()}`,
      cronSecret: 'secret',
      everyMs,
      onReport: (call) => received.reports.push(call),
      onError: (message) => received.errors.push(message),
    });
    return received;
  }

  beforeEach(async () => {
    headersSeen.length = 0;
    reply = { status: 200, body: '{"outcome":"idle"}', afterMs: 0 };
    server = createServer((request, response) => {
      headersSeen.push({ ...request.headers, path: request.url });
      const { status, body, afterMs } = reply;
      setTimeout(() => response.writeHead(status, { connection: 'close' }).end(body), afterMs);
    });
    await listen();
  });

  afterEach(async () => {
    await stop();
    vi.useRealTimers();
    server.closeAllConnections();
    server.close();
  });

  it.each<[schedule: string, everyMs: number | undefined, expected: string | null]>([
    ['*/5 * * * *', undefined, '*/5 * * * *'],
    ['* * * * *', 10_000, '*/10 * * * * *'],
    ['* * * * *', 60_000, '* * * * *'],
    // No cron expression names these slots.
    ['* * * * *', 7_000, null],
    ['* * * * *', 40, null],
    ['17 3 * * *', 10_000, '17 3 * * *'],
  ])('reports for %s at an interval of %s that its slots follow %s', (schedule, everyMs, expected) => {
    expect(scheduleOf({ path: '/', schedule }, everyMs)).toBe(expected);
  });

  it('sends its name and the slot, fires at once, and sends no slot twice', async () => {
    const { reports } = start(40);
    await vi.waitFor(() => expect(reports.length).toBeGreaterThanOrEqual(4), waiting);
    expect(headersSeen[0]).toMatchObject({
      path: '/api/cron/dm-queue',
      authorization: 'Bearer secret',
      'x-punctual-scheduler': 'local',
      'x-punctual-slot': reports[0]?.slot,
    });
    expect(reports[0]?.body).toEqual({ outcome: 'idle' });
    const slots = headersSeen.map((headers) => headers['x-punctual-slot']);
    expect(new Set(slots).size).toBe(slots.length);
    for (const instant of slots) expect(Date.parse(String(instant)) % 40).toBe(0);
  });

  it('fires each entry when its minute comes', async () => {
    vi.useFakeTimers({ now: at('12:00:30'), toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    const calls: string[] = [];
    const fetch = async (_url: unknown, init?: RequestInit) => {
      const headers = new Headers(init?.headers);
      calls.push(`${headers.get('x-punctual-slot')} ${headers.get('x-punctual-schedule')}`);
      return Response.json({});
    };
    stop = startLocalScheduler({
      crons: [everyMinute, onceADay],
      baseUrl: 'http://app.test',
      cronSecret: 's',
      fetch,
    });
    await vi.advanceTimersByTimeAsync(29_999);
    expect(calls).toEqual([]);
    await vi.advanceTimersByTimeAsync(120_001);
    expect(calls).toEqual([
      '2030-01-15T12:01:00.000Z * * * * *',
      '2030-01-15T12:02:00.000Z * * * * *',
      '2030-01-15T12:03:00.000Z * * * * *',
    ]);
  });

  it('makes up for one slot after the machine slept through many', async () => {
    vi.useFakeTimers({ now: at('12:00:30'), toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    const calls: string[] = [];
    const fetch = async (_url: unknown, init?: RequestInit) => {
      calls.push(new Headers(init?.headers).get('x-punctual-slot') ?? '');
      return Response.json({});
    };
    stop = startLocalScheduler({ crons: [everyMinute], baseUrl: 'http://app.test', cronSecret: 's', fetch });
    vi.setSystemTime(at('14:30:10'));
    await vi.advanceTimersByTimeAsync(110_000);
    expect(calls).toEqual([
      '2030-01-15T12:01:00.000Z',
      '2030-01-15T14:31:00.000Z',
      '2030-01-15T14:32:00.000Z',
    ]);
  });

  it('reports once that the app is down, goes on, and reports it again only after a recovery', async () => {
    const { reports, errors } = start(25);
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(0), waiting);
    const samePort = port();
    const goDown = () => new Promise((done) => server.close(done));
    await goDown();
    // A running call may have lost its connection before.
    const refused = '/api/cron/dm-queue could not be called: ECONNREFUSED';
    await vi.waitFor(() => expect(errors.at(-1)).toBe(refused), waiting);
    await new Promise((done) => setTimeout(done, 100));
    const timesRefused = () => errors.filter((message) => message === refused).length;
    expect(timesRefused()).toBe(1);
    const before = reports.length;
    await listen(samePort);
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(before), waiting);
    await goDown();
    await vi.waitFor(() => expect(timesRefused()).toBe(2), waiting);
    await listen();
  });

  it('reports a fault of several entries once, and again if it ends and comes back', async () => {
    vi.useFakeTimers({ now: at('12:00:30'), toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    let message: string | null = 'a migration was refused';
    const errors: string[] = [];
    const fetch = async () =>
      Response.json(message === null ? {} : { error: { message } }, { status: message === null ? 200 : 503 });
    const crons = ['a', 'b', 'c'].map((name) => ({ ...everyMinute, path: `/${name}` }));
    stop = startLocalScheduler({
      crons,
      baseUrl: 'http://app.test',
      cronSecret: 's',
      fetch,
      onError: (error) => errors.push(error),
    });
    await vi.advanceTimersByTimeAsync(120_000);
    expect(errors).toEqual(['/a answered 503: a migration was refused']);
    message = null;
    await vi.advanceTimersByTimeAsync(60_000);
    message = 'a migration was refused';
    await vi.advanceTimersByTimeAsync(60_000);
    expect(errors).toHaveLength(2);
  });

  it('reports the message of an error response', async () => {
    reply = { status: 401, body: '{"error":{"kind":"unauthorised","message":"no"}}', afterMs: 0 };
    const { errors, reports } = start(25);
    await vi.waitFor(() => expect(headersSeen.length).toBeGreaterThan(2), waiting);
    expect(errors).toEqual(['/api/cron/dm-queue answered 401: no']);
    expect(reports).toEqual([]);
  });

  it('goes on firing while a call is slow, and stops once the running calls have ended', async () => {
    reply.afterMs = 150;
    const { reports } = start(30);
    await vi.waitFor(() => expect(headersSeen.length).toBeGreaterThanOrEqual(3), waiting);
    expect(reports.length).toBeLessThan(headersSeen.length);
    await stop();
    const fired = headersSeen.length;
    expect(reports.length).toBe(fired);
    await new Promise((done) => setTimeout(done, 80));
    expect(headersSeen.length).toBe(fired);
  });
});
