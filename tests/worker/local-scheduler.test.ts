import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  type LocalSchedulerOptions,
  latestSlot,
  nextSlot,
  readCrons,
  readSchedules,
  type SchedulerCall,
  scheduleOf,
  startLocalScheduler,
} from '@/lib/worker/local-scheduler.ts';

const everyMinute = { path: '/api/cron/dm-queue', schedule: '* * * * *' };
const onceADay = { path: '/api/cron/prune', schedule: '17 3 * * *' };
const never = { path: '/', schedule: '0 0 30 2 *' };
const at = (time: string) => Date.parse(`2030-01-15T${time}Z`);
const instant = (ms: number | null) => ms && new Date(ms).toISOString().slice(0, 19);

it.each([
  [everyMinute, '12:00:00', undefined, '2030-01-15T12:01:00'],
  [everyMinute, '11:59:59.999', undefined, '2030-01-15T12:00:00'],
  [onceADay, '03:17:00', undefined, '2030-01-16T03:17:00'],
  [everyMinute, '12:00:03', 10_000, '2030-01-15T12:00:10'],
  [everyMinute, '12:00:10', 10_000, '2030-01-15T12:00:20'],
  // An interval replaces only schedules that are due at least hourly.
  [onceADay, '12:00:00', 10_000, '2030-01-16T03:17:00'],
  [never, '12:00:00', undefined, null],
])('the next slot of %j after %s with an interval of %s is %s', (entry, after, everyMs, expected) => {
  expect(instant(nextSlot(entry, at(after), everyMs))).toBe(expected);
});

it.each([
  [everyMinute, '12:00:00', undefined, '2030-01-15T12:00:00'],
  [everyMinute, '11:59:59.999', undefined, '2030-01-15T11:59:00'],
  [onceADay, '03:16:59', undefined, '2030-01-14T03:17:00'],
  [everyMinute, '12:00:13', 10_000, '2030-01-15T12:00:10'],
  [onceADay, '12:00:13', 10_000, '2030-01-15T03:17:00'],
  [never, '12:00:00', undefined, null],
])('the latest slot of %j at %s with an interval of %s is %s', (entry, time, everyMs, expected) => {
  expect(instant(latestSlot(entry, at(time), everyMs))).toBe(expected);
});

it.each<[schedule: string, everyMs: number | undefined, expected: string | null]>([
  ['*/5 * * * *', undefined, '*/5 * * * *'],
  ['* * * * *', 10_000, '*/10 * * * * *'],
  ['* * * * *', 60_000, '* * * * *'],
  // No cron expression names these slots.
  ['* * * * *', 7_000, null],
  ['* * * * *', 40, null],
  ['17 3 * * *', 10_000, '17 3 * * *'],
])('the slots of %s at an interval of %s follow %s', (schedule, everyMs, expected) => {
  expect(scheduleOf({ path: '/', schedule }, everyMs)).toBe(expected);
});

/** Writes a `vercel.json`. Returns its path. */
function vercelJson(content: object): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'punctual-crons-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'vercel.json');
  writeFileSync(file, JSON.stringify(content));
  return file;
}

it.each<[glob: string, pinned: string[]]>([
  ['app/api/cron/monitors/eu/route.ts', ['monitors/eu']],
  ['src/app/api/cron/monitors/eu/route.js', ['monitors/eu']],
  ['app/api/cron/monitors/*/route.ts', ['monitors/eu']],
  ['app/api/cron/monitors/{eu,us}/*', ['monitors/eu']],
  ['app/api/cron/monitors/**/*.ts', ['monitors', 'monitors/eu']],
  ['app/api/**', ['jobs', 'monitors', 'monitors/eu']],
  ['app/api/cron/[queue]/route.ts', []],
  ['app/api/cron/monitors/e.', []],
])('readSchedules() finds the paths that %s pins', (glob, pinned) => {
  const functions = { [glob]: { regions: ['fra1'] }, 'app/api/cron/jobs/*': { maxDuration: 60 } };
  const { isPinned } = readSchedules(vercelJson({ functions }));
  const names = ['jobs', 'monitors', 'monitors/eu'];
  expect(names.filter((name) => isPinned(`/api/cron/${name}?partition=x`))).toEqual(pinned);
});

it('readCrons() reads the entries of this project', () => {
  expect(readCrons()).toContainEqual(everyMinute);
});

it.each([
  [{ path: 'api', schedule: '* * * * *' }, 'crons.0.path must start with /'],
  [{ path: '/a', schedule: '* * * * * *' }, 'crons.0.schedule is not a cron expression'],
  [{ path: '/a', schedule: 'every minute' }, 'crons.0.schedule is not a cron expression'],
])('readCrons() refuses %j', (entry, message) => {
  expect(() => readCrons(vercelJson({ crons: [entry] }))).toThrow(message);
});

describe('the local scheduler', () => {
  let stop: () => Promise<void> = async () => {};
  afterEach(() => {
    void stop();
    vi.useRealTimers();
  });

  /** Starts it at 12:00:30 on a clock that the test moves. `respond` answers each call. */
  function start(respond: () => Promise<Response>, options: Partial<LocalSchedulerOptions> = {}) {
    vi.useFakeTimers({ now: at('12:00:30'), toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    const seen = { slots: [] as string[], reports: [] as SchedulerCall[], errors: [] as string[] };
    stop = startLocalScheduler({
      crons: [everyMinute],
      baseUrl: 'http://app.test',
      cronSecret: 's',
      onReport: (call) => seen.reports.push(call),
      onError: (message) => seen.errors.push(message),
      fetch: async (_url, init) => {
        const headers = new Headers(init?.headers);
        seen.slots.push(
          `${headers.get('x-punctual-slot')?.slice(11, 19)} ${headers.get('x-punctual-schedule')}`,
        );
        return respond();
      },
      ...options,
    });
    return seen;
  }
  const ok = async () => Response.json({});
  const minutes = (count: number) => vi.advanceTimersByTimeAsync(count * 60_000);

  it('calls the app at once with the secret, its name and the slot, and sends no slot twice', async () => {
    const requests: object[] = [];
    const server = createServer(({ url, headers }, response) => {
      requests.push({ url, ...headers });
      response.end('{"outcome":"idle"}');
    });
    onTestFinished(() => void server.close());
    await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const reports: SchedulerCall[] = [];
    const options = { crons: [everyMinute], baseUrl, cronSecret: 'secret', everyMs: 40 };
    stop = startLocalScheduler({ ...options, onReport: (call) => reports.push(call) });
    await vi.waitFor(() => expect(reports.length).toBeGreaterThanOrEqual(4), { timeout: 30_000 });
    await stop();
    expect(reports[0]).toEqual({
      path: '/api/cron/dm-queue',
      slot: expect.any(String),
      body: { outcome: 'idle' },
    });
    const sent = reports.map(({ slot }) => ({
      url: '/api/cron/dm-queue',
      authorization: 'Bearer secret',
      'x-punctual-scheduler': 'local',
      'x-punctual-slot': slot,
    }));
    expect(requests).toMatchObject(sent);
    expect(new Set(reports.map(({ slot }) => slot)).size).toBe(reports.length);
    for (const { slot } of reports) expect(Date.parse(slot) % 40).toBe(0);
  });

  it('fires each entry when its minute comes', async () => {
    const { slots } = start(ok, { crons: [everyMinute, onceADay] });
    await vi.advanceTimersByTimeAsync(29_999);
    expect(slots).toEqual([]);
    await vi.advanceTimersByTimeAsync(120_001);
    expect(slots).toEqual(['12:01:00 * * * * *', '12:02:00 * * * * *', '12:03:00 * * * * *']);
  });

  it('makes up for one slot after the machine slept through many', async () => {
    const { slots } = start(ok);
    vi.setSystemTime(at('14:30:10'));
    await vi.advanceTimersByTimeAsync(110_000);
    expect(slots).toEqual(['12:01:00 * * * * *', '14:31:00 * * * * *', '14:32:00 * * * * *']);
  });

  it('goes on while the app is down or refuses, and reports a fault of several entries once until it has ended', async () => {
    let respond: () => Promise<Response> = ok;
    const crons = ['a', 'b', 'c'].map((name) => ({ ...everyMinute, path: `/${name}` }));
    const { errors, reports } = start(() => respond(), { crons });
    const down = () => Promise.reject(new TypeError('fetch failed', { cause: { code: 'ECONNREFUSED' } }));
    const refuse = async () =>
      Response.json({ error: { message: 'a migration was refused' } }, { status: 503 });
    for (const answer of [ok, down, ok, down, refuse]) {
      respond = answer;
      await minutes(2);
    }
    const isDown = '/a could not be called: ECONNREFUSED';
    expect(errors).toEqual([isDown, isDown, '/a answered 503: a migration was refused']);
    expect(reports).toHaveLength(2 * 2 * 3);
  });

  it('goes on firing while a call is slow, and stops once the running calls have ended', async () => {
    const answer = () =>
      new Promise<Response>((done) => void setTimeout(() => done(Response.json({})), 170_000));
    const { slots, reports } = start(answer);
    await minutes(4);
    expect([slots.length, reports.length]).toEqual([4, 1]);
    let hasStopped = false;
    const stopping = stop().then(() => {
      hasStopped = true;
    });
    await minutes(1);
    expect(hasStopped).toBe(false);
    await minutes(2);
    await stopping;
    expect([slots.length, reports.length]).toEqual([4, 4]);
  });
});
