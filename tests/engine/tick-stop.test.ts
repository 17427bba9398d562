import { getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import { done, type Outcome } from '../../lib/engine/outcome.ts';
import { StoreError } from '../../lib/engine/ports/store-error.ts';
import { perTestBench, testDatabase } from '../support/fixtures.ts';

const database = testDatabase({ own: true });
const bench = perTestBench(database);

type Queue = Parameters<typeof bench.tick>[0];
const sleeping = (ms: number) => () => bench.sleep(ms).then(() => done());
const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
const change = (set: string) => database.sql(`update punctual.queues set ${set} where name = 'dm_queue'`);
const failing = () => database.sql('select name from punctual.providers where failures > 0');

/** Runs a tick, and stops its process after `afterMs`. `tookMs` is how long the tick took. */
async function stop(queue: Queue, { afterMs = 1_000, graceMs = 10_000, atStop = () => {} } = {}) {
  const controller = new AbortController();
  const startedAt = bench.clock.now();
  bench.clock.timer(afterMs, () => {
    atStop();
    controller.abort();
  });
  const report = await bench
    .tick(queue, { stop: { signal: controller.signal, graceMs } })
    .catch((error) => error);
  return { report, tookMs: bench.clock.now() - startedAt };
}

it('a tick whose process gets a stop signal starts no more rows, settles the running ones, and reports that it was stopped', async () => {
  await bench.addDms(20);
  const { report, tookMs } = await stop(bench.queue(sleeping(10_000)), { afterMs: 3_000, graceMs: 25_000 });
  expect(report).toMatchObject({ outcome: 'ran', ended: 'stopped', counts: { claimed: 5, done: 5 } });
  expect(tookMs).toBeLessThan(10_500);
  expect(await bench.states()).toEqual({ sent: 5, pending: 15 });
  const entry = await database.sql(`select outcome, report->>'ended' as ended from punctual.ticks`);
  expect(entry).toEqual([{ outcome: 'ran', ended: 'stopped' }]);
});

it('a stopped tick releases rows that it has claimed and not started, and counts no attempt', async () => {
  await change(`delivery = 'at-least-once'`);
  await bench.addDms(20);
  const queue = bench.queue(sleeping(10_000), { delivery: 'at-least-once' });
  const { report } = await stop(queue, { afterMs: 3_000, graceMs: 25_000 });
  expect(report.counts.claimed).toBeGreaterThan(5);
  expect(report.counts).toMatchObject({ done: 5, released: report.counts.claimed - 5 });
  const left = `select attempts from punctual.dm_queue where status = 'pending'`;
  expect(await database.sql(left)).toEqual(Array(15).fill({ attempts: 0 }));
});

it('a stopped tick cuts an attempt that would outlast the grace, and its row becomes unknown', async () => {
  await bench.addDms(1);
  const startedAt = bench.clock.now();
  let cutAt = 0;
  const queue = bench.queue(async (_row, { signal }) => {
    await aborted(signal);
    cutAt = bench.clock.now();
    return sleeping(60_000)();
  });
  const { report, tookMs } = await stop(queue);
  expect(cutAt - startedAt).toBe(1_000 + 10_000 - 6_000);
  expect(report).toMatchObject({ ended: 'stopped', counts: { claimed: 1, unknown: 1 } });
  expect(tookMs).toBeLessThan(11_000);
  const row = { status: 'unknown', last_error: 'the process ended before the attempt did' };
  expect(await database.sql('select status, last_error from punctual.dm_queue')).toEqual([row]);
  // A stop of our process is not a failure of the provider.
  expect(await failing()).toEqual([]);
});

it('a stopped tick does not count the attempts that it cuts as failures of the provider', async () => {
  await bench.addDms(5);
  const queue = bench.queue(async (_row, { signal }) => {
    await aborted(signal);
    throw Object.assign(new Error('the connection was closed'), { kind: 'uncertain' });
  });
  expect((await stop(queue)).report.counts).toMatchObject({ claimed: 5, unknown: 5 });
  expect(await failing()).toEqual([]);
});

it('a stopped tick releases the rows that it cuts if they may run twice, whatever their handlers return, and keeps done rows done', async () => {
  await change(`delivery = 'at-least-once', max_attempts = 1`);
  await bench.addDms(4);
  const outcomes: (() => Outcome | Promise<Outcome>)[] = [
    done,
    () => ({ kind: 'again', afterSeconds: 60, result: { state: 'down' } }),
    () => Promise.reject(Object.assign(new Error('aborted'), { kind: 'rejected' })),
    () => new Promise(() => {}),
  ];
  const queue = bench.queue(
    async (_row, { signal }) => {
      const outcome = outcomes.shift() ?? done;
      await aborted(signal);
      return outcome();
    },
    { delivery: 'at-least-once' },
  );
  const counts = { claimed: 4, done: 1, released: 3, again: 0, dead: 0, retried: 0 };
  expect((await stop(queue)).report.counts).toMatchObject(counts);
  const rows = await database.sql('select status, attempts from punctual.dm_queue order by status');
  expect(rows).toEqual([
    ...Array(3).fill({ status: 'pending', attempts: 0 }),
    { status: 'sent', attempts: 1 },
  ]);
});

it('a stopped tick cuts running checks, and their rows stay unknown', async () => {
  await bench.addDms(1);
  await bench.tick(bench.queue(() => ({ kind: 'unknown', error: 'no answer' })));
  bench.clock.skip(31_000);
  const queue = bench.queue(done, { reconcile: () => new Promise(() => {}) });
  const { report, tookMs } = await stop(queue);
  expect(report).toMatchObject({ ended: 'drained', checks: { checked: 1, resolved: 0 } });
  expect(tookMs).toBeLessThan(2_000);
  expect(await bench.states()).toEqual({ unknown: 1 });
});

it('a tick claims nothing if the stop signal came before it started', async () => {
  await bench.addDms(3);
  const report = await bench.tick(bench.queue(done), {
    stop: { signal: AbortSignal.abort(), graceMs: 25_000 },
  });
  expect(report.counts.claimed).toBe(0);
  expect(await bench.states()).toEqual({ pending: 3 });
});

it('a stopped tick gives up on an unavailable database when the grace ends, before its limit', async () => {
  await bench.addDms(1);
  const atStop = () => bench.setFault(() => Promise.reject(new StoreError('unavailable', 'away')));
  const { report, tookMs } = await stop(bench.queue(sleeping(2_000)), { graceMs: 12_000, atStop });
  expect(report).toMatchObject({ kind: 'unavailable' });
  expect(tookMs).toBeLessThan(13_000);
});

it('a tick removes its listeners, since a worker runs thousands of ticks under one signal', async () => {
  await bench.addDms(1);
  const { signal } = new AbortController();
  await bench.tick(bench.queue(done), { stop: { signal, graceMs: 25_000 } });
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

it('a tick that shares its call with others ends when its share of the time is over', async () => {
  await bench.addDms(100);
  await change('batch_limit = null');
  const startedAt = bench.clock.now();
  const queue = bench.queue(sleeping(2_000), { timeoutMs: 3_000 });
  const report = await bench.tick(queue, { endBy: startedAt + 12_000 });
  expect(report).toMatchObject({ ended: 'budget', nextDueInMs: 0 });
  expect(bench.clock.now() - startedAt).toBeLessThanOrEqual(12_500);
  expect(report.counts.done).toBeGreaterThanOrEqual(20);
});
