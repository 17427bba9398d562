import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GET as tickDms } from '../../../app/api/cron/dm-queue/route.ts';
import { GET as tickJobs } from '../../../app/api/cron/jobs/route.ts';
import { type Coverage, coverageOf as slotCoverage } from '../../../lib/cron/slots/schedule-coverage.ts';
import { StoreError } from '../../../lib/engine/ports/store-error.ts';
import type { SlotEntry } from '../../../lib/store/slots.ts';
import { answered, apiRequest, bearer, CRON_SECRET, type RequestHeaders } from '../../support/api-server.ts';
import { servedDatabase } from '../../support/fixtures.ts';
import { replaceRpc } from '../../support/replace-services.ts';

servedDatabase({ UNIPILE_DSN: 'http://127.0.0.1:9', UNIPILE_API_KEY: 'key' });
let minute: number;

beforeEach(() => {
  minute = Math.floor(Date.now() / 60_000);
});
afterEach(() => {
  vi.useRealTimers();
});

/** Imports the route anew, because it caches its response. */
async function freshRoute() {
  vi.resetModules();
  return (await import('../../../lib/api/stats.ts')).endpoints['GET /schedulers'];
}

const getCoverage = async (query = '', get?: Awaited<ReturnType<typeof freshRoute>>) =>
  answered((get ?? (await freshRoute()))(apiRequest('GET', `/api/schedulers${query}`)));
const coverageOf = async (query = ''): Promise<Coverage['schedulers']> =>
  (await getCoverage(query)).body.schedulers;

/** Returns the start of the minute that is `minutes` before the test's own. */
const slotAgo = (minutes: number) => new Date((minute - minutes) * 60_000).toISOString();
const call = (tick: typeof tickDms, path: string, headers: RequestHeaders) =>
  tick(apiRequest('GET', path, { ...bearer(CRON_SECRET), ...headers }));
const named = (slot: string, scheduler = 'pg-cron') => ({
  'x-punctual-scheduler': scheduler,
  'x-punctual-schedule': '* * * * *',
  'x-punctual-slot': slot,
});

describe('GET /api/schedulers', () => {
  it('lists the slots that each scheduler delivered, and those that it missed', async () => {
    for (const minutes of [4, 2, 0, 0]) await call(tickDms, '/api/cron/dm-queue', named(slotAgo(minutes)));
    await call(tickJobs, '/api/cron/jobs', named(slotAgo(0), 'crontab'));
    const { status, body } = await getCoverage();
    expect([status, body.hours]).toEqual([200, 24]);
    expect(body.schedulers).toMatchObject([
      {
        scheduler: 'pg-cron',
        path: '/api/cron/dm-queue',
        schedule: '* * * * *',
        queues: ['dm_queue'],
        since: slotAgo(4),
        lastSlot: slotAgo(0),
        guessed: false,
        duplicate: 1,
        overlapped: 0,
        exceptions: expect.arrayContaining([expect.objectContaining({ slot: slotAgo(3), what: 'missed' })]),
      },
      { scheduler: 'crontab', path: '/api/cron/jobs', queues: ['jobs'], expected: 1, ran: 1, missed: 0 },
    ]);
  });

  it('derives the slots of Vercel’s calls from their schedule and marks them as guessed', async () => {
    const headers = { 'user-agent': 'vercel-cron/1.0', 'x-vercel-cron-schedule': '* * * * *' };
    await call(tickDms, '/api/cron/dm-queue', headers);
    expect(await coverageOf()).toMatchObject([
      { scheduler: 'vercel', schedule: '* * * * *', guessed: true, ran: 1 },
    ]);
  });

  it('leaves out calls without a schedule, and continuations', async () => {
    await call(tickDms, '/api/cron/dm-queue', { 'x-punctual-slot': slotAgo(0) });
    const continuation = { 'x-punctual-continuation': '1', 'x-punctual-run-id': crypto.randomUUID() };
    await call(tickDms, '/api/cron/dm-queue', { ...named(slotAgo(0)), ...continuation });
    expect(await coverageOf()).toEqual([]);
  });

  it('covers only the hours and the queue in the query', async () => {
    await call(tickDms, '/api/cron/dm-queue', named(slotAgo(90)));
    await call(tickDms, '/api/cron/dm-queue', named(slotAgo(0)));
    await call(tickJobs, '/api/cron/jobs', named(slotAgo(0)));
    const [hour, , ...more] = await coverageOf('?hours=1');
    expect(more).toEqual([]);
    // The first slot is 90 minutes old, older than the window, so every slot of the window is expected.
    expect(hour?.expected).toBeGreaterThanOrEqual(59);
    expect(hour?.expected).toBeLessThanOrEqual(61);
    const [two] = await coverageOf('?hours=2&queue=dm_queue');
    expect(two).toMatchObject({ since: slotAgo(90), late: 1 });
    for (const query of ['?queue=dm_queue', '?queue=dm-queue'])
      expect((await coverageOf(query)).map(({ path }) => path)).toEqual(['/api/cron/dm-queue']);
    expect(await coverageOf('?queue=posts')).toEqual([]);
  });

  it.each([
    ['?hours=0', /1 to 48/],
    ['?hours=49', /1 to 48/],
    ['?hours=', /1 to 48/],
    ['?queue=dms', /The queues are enrolments, dm_queue, posts, /],
    ['?queue=', /is not a queue/],
  ])('refuses %s and names the valid values', async (query, message) => {
    const { status, body } = await getCoverage(query);
    expect([status, body.error.kind]).toEqual([400, 'invalid']);
    expect(body.error.errors[0].message).toMatch(message);
  });

  it('reads the ledger once in 10 s for the same hours, however many callers there are', async () => {
    let reads = 0;
    await replaceRpc((rpc) => (fn, args) => {
      if (fn === 'read_slots') reads++;
      return rpc(fn, args);
    });
    vi.useFakeTimers({ toFake: ['Date'] });
    const get = await freshRoute();
    await Promise.all(Array.from({ length: 5 }, () => getCoverage('', get)));
    vi.advanceTimersByTime(9_900);
    await getCoverage('?queue=jobs', get);
    expect(reads).toBe(1);
    await getCoverage('?hours=2', get);
    expect(reads).toBe(2);
    vi.advanceTimersByTime(200);
    await getCoverage('', get);
    expect(reads).toBe(3);
  });

  it('answers 503 if the database is down, and reads it again at the next call', async () => {
    let down = true;
    const lost = new StoreError('unavailable', 'connection lost');
    await replaceRpc((rpc) => (fn, args) => (down ? Promise.reject(lost) : rpc(fn, args)));
    const get = await freshRoute();
    expect((await getCoverage('', get)).status).toBe(503);
    down = false;
    expect((await getCoverage('', get)).status).toBe(200);
  });
});

describe('a schedule is silent', () => {
  const nowMs = Date.parse('2026-03-02T12:00:00Z');
  const ago = (seconds: number) => new Date(nowMs - seconds * 1_000).toISOString();
  const entry = (schedule: string, lastSeconds: number, changes: Partial<SlotEntry> = {}): SlotEntry => {
    const ends = { first_slot: ago(7_200), last_slot: ago(lastSeconds) };
    return {
      scheduler: 'pg-cron',
      path: '/api/cron/jobs',
      schedule,
      queues: [],
      ...ends,
      slots: [],
      ...changes,
    };
  };
  const silence = (...entries: SlotEntry[]) => slotCoverage(entries, nowMs, 24).map(({ silent }) => silent);

  it.each([
    ['*/10 * * * * *', 70, true],
    ['*/10 * * * * *', 40, false],
    ['* * * * *', 120, false],
    ['* * * * *', 180, true],
    ['*/5 * * * *', 600, false],
    ['*/5 * * * *', 900, true],
    ['0 2 * * *', 10 * 3_600, false],
  ])('by its own slots: %s after %d s: %s', (schedule, seconds, expected) => {
    expect(silence(entry(schedule, seconds))).toEqual([expected]);
  });

  it('only if no other schedule calls its path', () => {
    const away = entry('* * * * *', 3_600);
    expect(silence(away, entry('* * * * *', 60, { scheduler: 'vercel' }))).toEqual([false, false]);
    expect(silence(away, entry('* * * * *', 60, { path: '/api/cron/posts' }))).toEqual([true, false]);
  });
});
