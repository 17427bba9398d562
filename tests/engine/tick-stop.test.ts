import { getEventListeners } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { tickBench } from '../support/tick-bench.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase({ own: true });
});
afterAll(() => database.close());
beforeEach(() => database.reset());

const graceMs = 25_000;

describe('a tick whose process is told to end', () => {
  it('starts nothing more, waits for what is under way, settles it, and says so', async () => {
    const bench = tickBench(database);
    await bench.addDms(20);
    const stop = new AbortController();
    const queue = bench.queue(async () => {
      await bench.sleep(10_000);
      return { kind: 'done' };
    });
    bench.clock.timer(3_000, () => stop.abort());
    const startedAt = bench.clock.now();
    const report = await bench.tick(queue, { stop: { signal: stop.signal, graceMs } });
    expect(report).toMatchObject({ outcome: 'ran', ended: 'stopped', counts: { claimed: 5, done: 5 } });
    expect(bench.clock.now() - startedAt).toBeLessThan(10_500);
    expect(await bench.states()).toEqual({ sent: 5, pending: 15 });
    const [entry] = await database.sql(`select outcome, report->>'ended' as ended from punctual.ticks`);
    expect(entry).toEqual({ outcome: 'ran', ended: 'stopped' });
  });

  it('releases what it had claimed and not started, at no cost', async () => {
    await database.sql(`update punctual.queues set delivery = 'at-least-once' where name = 'dm_queue'`);
    const bench = tickBench(database);
    await bench.addDms(20);
    const stop = new AbortController();
    const queue = bench.queue(
      async () => {
        await bench.sleep(10_000);
        return { kind: 'done' };
      },
      { delivery: 'at-least-once' },
    );
    bench.clock.timer(3_000, () => stop.abort());
    const report = await bench.tick(queue, { stop: { signal: stop.signal, graceMs } });
    expect(report.counts.done).toBe(5);
    expect(report.counts.released).toBe(report.counts.claimed - 5);
    expect(report.counts.released).toBeGreaterThan(0);
    const [left] = await database.sql(
      `select count(*)::integer as n, max(attempts) as attempts from punctual.dm_queue where status = 'pending'`,
    );
    expect(left).toEqual({ n: 15, attempts: 0 });
  });

  it('cuts what would outlast the grace, and what that may have done is uncertain', async () => {
    const bench = tickBench(database);
    await bench.addDms(1);
    const stop = new AbortController();
    let firedAt = 0;
    const queue = bench.queue(async (_row, { signal }) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      firedAt = bench.clock.now();
      await bench.sleep(60_000);
      return { kind: 'done' };
    });
    const startedAt = bench.clock.now();
    bench.clock.timer(1_000, () => stop.abort());
    const report = await bench.tick(queue, { stop: { signal: stop.signal, graceMs: 10_000 } });
    expect(firedAt - startedAt).toBe(1_000 + 10_000 - 6_000);
    expect(report).toMatchObject({ ended: 'stopped', counts: { claimed: 1, unknown: 1 } });
    expect(bench.clock.now() - startedAt).toBeLessThan(11_000);
    const [row] = await database.sql('select status, last_error from punctual.dm_queue');
    expect(row).toEqual({ status: 'unknown', last_error: 'the process ended before the attempt did' });
    // That our process ends says nothing of the provider.
    expect(await database.sql('select name from punctual.providers where failures > 0')).toEqual([]);
  });

  it('opens no breaker by what it cuts: that our process ends says nothing of the provider', async () => {
    const bench = tickBench(database);
    await bench.addDms(5);
    const stop = new AbortController();
    const queue = bench.queue(async (_row, { signal }) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      throw Object.assign(new Error('the connection was closed'), { kind: 'uncertain' });
    });
    bench.clock.timer(1_000, () => stop.abort());
    const report = await bench.tick(queue, { stop: { signal: stop.signal, graceMs: 10_000 } });
    expect(report.counts).toMatchObject({ claimed: 5, unknown: 5 });
    expect(await database.sql('select name from punctual.providers where failures > 0')).toEqual([]);
  });

  it('gives back what it cuts where it may be done twice, whatever that says of itself, and keeps what is done', async () => {
    await database.sql(
      `update punctual.queues set delivery = 'at-least-once', max_attempts = 1 where name = 'dm_queue'`,
    );
    const bench = tickBench(database);
    await bench.addDms(4);
    const stop = new AbortController();
    let n = 0;
    const queue = bench.queue(
      async (_row, { signal }) => {
        const turn = n++;
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        if (turn === 0) return { kind: 'done' };
        if (turn === 1) return { kind: 'again', afterSeconds: 60, result: { state: 'down' } };
        if (turn === 2) throw Object.assign(new Error('aborted'), { kind: 'rejected' });
        return new Promise(() => {});
      },
      { delivery: 'at-least-once' },
    );
    bench.clock.timer(1_000, () => stop.abort());
    const report = await bench.tick(queue, { stop: { signal: stop.signal, graceMs: 10_000 } });
    expect(report.counts).toMatchObject({ claimed: 4, done: 1, released: 3, again: 0, dead: 0, retried: 0 });
    expect(await bench.states()).toEqual({ sent: 1, pending: 3 });
    const attempts = `select distinct attempts from punctual.dm_queue where status = 'pending'`;
    expect(await database.sql(attempts)).toEqual([{ attempts: 0 }]);
  });

  it('ends the checks that are under way: they are made again', async () => {
    const bench = tickBench(database);
    await bench.addDms(1);
    await bench.tick(bench.queue(() => ({ kind: 'unknown', error: 'no answer' })));
    bench.clock.skip(900_000);
    const stop = new AbortController();
    const queue = bench.queue(() => ({ kind: 'done' }), { reconcile: () => new Promise(() => {}) });
    bench.clock.timer(1_000, () => stop.abort());
    const startedAt = bench.clock.now();
    const report = await bench.tick(queue, { stop: { signal: stop.signal, graceMs: 10_000 } });
    expect(report).toMatchObject({ ended: 'drained', checks: { checked: 1, resolved: 0 } });
    expect(bench.clock.now() - startedAt).toBeLessThan(2_000);
    expect(await bench.states()).toEqual({ unknown: 1 });
  });

  it('claims nothing where it was told before it began', async () => {
    const bench = tickBench(database);
    await bench.addDms(3);
    const report = await bench.tick(
      bench.queue(() => ({ kind: 'done' })),
      { stop: { signal: AbortSignal.abort(), graceMs } },
    );
    expect(report.counts.claimed).toBe(0);
    expect(await bench.states()).toEqual({ pending: 3 });
  });

  it('gives up a database that is away when the grace ends, and not when its limit would', async () => {
    const bench = tickBench(database);
    await bench.addDms(1);
    const stop = new AbortController();
    const queue = bench.queue(async () => {
      await bench.sleep(2_000);
      return { kind: 'done' };
    });
    bench.clock.timer(1_000, () => {
      bench.setFault(async () => {
        throw Object.assign(new Error('away'), { kind: 'unavailable' });
      });
      stop.abort();
    });
    const startedAt = bench.clock.now();
    await expect(bench.tick(queue, { stop: { signal: stop.signal, graceMs: 12_000 } })).rejects.toMatchObject(
      { kind: 'unavailable' },
    );
    expect(bench.clock.now() - startedAt).toBeLessThan(13_000);
  });

  it('leaves nothing behind that listens: a worker makes thousands of ticks under one signal', async () => {
    const bench = tickBench(database);
    await bench.addDms(1);
    const { signal } = new AbortController();
    await bench.tick(
      bench.queue(() => ({ kind: 'done' })),
      { stop: { signal, graceMs } },
    );
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('a tick that shares its call with others', () => {
  it('ends when its share is over', async () => {
    const bench = tickBench(database);
    await bench.addDms(100);
    await database.sql(`update punctual.queues set batch_limit = null where name = 'dm_queue'`);
    const startedAt = bench.clock.now();
    const queue = bench.queue(
      async () => {
        await bench.sleep(2_000);
        return { kind: 'done' };
      },
      { timeoutMs: 3_000 },
    );
    const report = await bench.tick(queue, { endBy: startedAt + 12_000 });
    expect(report).toMatchObject({ ended: 'budget', nextDueInMs: 0 });
    expect(bench.clock.now() - startedAt).toBeLessThanOrEqual(12_500);
    expect(report.counts.done).toBeGreaterThanOrEqual(20);
  });
});
