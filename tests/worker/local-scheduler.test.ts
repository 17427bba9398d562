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

/** A bound for what never comes, not for how fast it does. */
const waiting = { timeout: 30_000 };

const everyMinute = { path: '/api/cron/dm-queue', schedule: '* * * * *' };
const onceADay = { path: '/api/cron/prune', schedule: '17 3 * * *' };
const at = (time: string) => Date.parse(`2030-01-15T${time}Z`);
const slot = (entry: typeof everyMinute, after: string, everyMs?: number) => {
  const ms = nextSlot(entry, at(after), everyMs);
  return ms === null ? null : new Date(ms).toISOString().slice(0, 19);
};

describe('nextSlot', () => {
  it('is the next instant of the schedule, in UTC, and never the present one', () => {
    expect(slot(everyMinute, '12:00:00')).toBe('2030-01-15T12:01:00');
    expect(slot(everyMinute, '11:59:59.999')).toBe('2030-01-15T12:00:00');
    expect(slot(onceADay, '03:17:00')).toBe('2030-01-16T03:17:00');
  });

  it('follows a quicker pace, on its round instants', () => {
    expect(slot(everyMinute, '12:00:03', 10_000)).toBe('2030-01-15T12:00:10');
    expect(slot(everyMinute, '12:00:10', 10_000)).toBe('2030-01-15T12:00:20');
  });

  it('keeps what is due once a day at its schedule, whatever the pace', () => {
    expect(slot(onceADay, '12:00:00', 10_000)).toBe('2030-01-16T03:17:00');
  });

  it('knows a schedule that never comes', () => {
    expect(slot({ path: '/', schedule: '0 0 30 2 *' }, '12:00:00')).toBeNull();
  });
});

describe('latestSlot', () => {
  const latest = (entry: typeof everyMinute, atTime: string, everyMs?: number) => {
    const ms = latestSlot(entry, at(atTime), everyMs);
    return ms === null ? null : new Date(ms).toISOString().slice(0, 19);
  };

  it('is the latest instant of the schedule, the present one as well', () => {
    expect(latest(everyMinute, '12:00:00')).toBe('2030-01-15T12:00:00');
    expect(latest(everyMinute, '11:59:59.999')).toBe('2030-01-15T11:59:00');
    expect(latest(onceADay, '03:16:59')).toBe('2030-01-14T03:17:00');
    expect(latest({ path: '/', schedule: '0 0 30 2 *' }, '12:00:00')).toBeNull();
  });

  it('follows a quicker pace, and only where that is due hourly or oftener', () => {
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
  ])('knows what %s pins', async (glob, pinned) => {
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
  let answer: { status: number; body: string; afterMs: number };
  let stop: () => Promise<void> = async () => {};

  const listen = (port = 0) => new Promise<void>((done) => void server.listen(port, '127.0.0.1', done));
  const port = () => (server.address() as AddressInfo).port;

  function start(everyMs: number, crons = [everyMinute]) {
    const said = { reports: [] as SchedulerCall[], errors: [] as string[] };
    stop = startLocalScheduler({
      crons,
      baseUrl: `http://127.0.0.1:${port()}`,
      cronSecret: 'secret',
      everyMs,
      onReport: (call) => said.reports.push(call),
      onError: (message) => said.errors.push(message),
    });
    return said;
  }

  beforeEach(async () => {
    headersSeen.length = 0;
    answer = { status: 200, body: '{"outcome":"idle"}', afterMs: 0 };
    server = createServer((request, response) => {
      headersSeen.push({ ...request.headers, path: request.url });
      const { status, body, afterMs } = answer;
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

  it.each<[schedule: string, everyMs: number | undefined, said: string | null]>([
    ['*/5 * * * *', undefined, '*/5 * * * *'],
    ['* * * * *', 10_000, '*/10 * * * * *'],
    ['* * * * *', 60_000, '* * * * *'],
    // Its slots are on no grid that a cron expression says.
    ['* * * * *', 7_000, null],
    ['* * * * *', 40, null],
    ['17 3 * * *', 10_000, '17 3 * * *'],
  ])('says for %s at a pace of %s that its slots follow %s', (schedule, everyMs, said) => {
    expect(scheduleOf({ path: '/', schedule }, everyMs)).toBe(said);
  });

  it('says who calls and for which instant, fires at once, and names no instant twice', async () => {
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

  it('fires the true schedule as its minute comes', async () => {
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

  it('makes up for one instant after the machine slept through many', async () => {
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

  it('says once that the app is away, goes on, and says it again only after it was back', async () => {
    const { reports, errors } = start(25);
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(0), waiting);
    const samePort = port();
    const away = () => new Promise((done) => server.close(done));
    await away();
    // A call that was under way may have had its connection ended before.
    const refused = '/api/cron/dm-queue could not be called: ECONNREFUSED';
    await vi.waitFor(() => expect(errors.at(-1)).toBe(refused), waiting);
    await new Promise((done) => setTimeout(done, 100));
    const timesRefused = () => errors.filter((message) => message === refused).length;
    expect(timesRefused()).toBe(1);
    const before = reports.length;
    await listen(samePort);
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(before), waiting);
    await away();
    await vi.waitFor(() => expect(timesRefused()).toBe(2), waiting);
    await listen();
  });

  it('says once what is wrong with several entries, and says it again when it has ended and comes back', async () => {
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
      onError: (said) => errors.push(said),
    });
    await vi.advanceTimersByTimeAsync(120_000);
    expect(errors).toEqual(['/a answered 503: a migration was refused']);
    message = null;
    await vi.advanceTimersByTimeAsync(60_000);
    message = 'a migration was refused';
    await vi.advanceTimersByTimeAsync(60_000);
    expect(errors).toHaveLength(2);
  });

  it('says what an answer that is no success said', async () => {
    answer = { status: 401, body: '{"error":{"kind":"unauthorised","message":"no"}}', afterMs: 0 };
    const { errors, reports } = start(25);
    await vi.waitFor(() => expect(headersSeen.length).toBeGreaterThan(2), waiting);
    expect(errors).toEqual(['/api/cron/dm-queue answered 401: no']);
    expect(reports).toEqual([]);
  });

  it('fires on while a call is slow, and stops when what is under way is answered', async () => {
    answer.afterMs = 150;
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
