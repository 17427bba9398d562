import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { testDatabase } from '../support/fixtures.ts';
import { tickBench } from '../support/tick-bench.ts';

const database = testDatabase({ own: true });

const graceMs = 25_000;

describe('a tick whose process gets a stop signal', () => {
  it('starts no more rows, settles the running ones, and reports that it was stopped', async () => {
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

  it('releases rows that it has claimed and not started, and counts no attempt', async () => {
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

  it('cuts an attempt that would outlast the grace, and its row becomes unknown', async () => {
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
    // A stop of our process is not a failure of the provider.
    expect(await database.sql('select name from punctual.providers where failures > 0')).toEqual([]);
  });

  it('does not count the attempts that it cuts as failures of the provider', async () => {
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

  it('releases the rows that it cuts if they may run twice, whatever their handlers return, and keeps done rows done', async () => {
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

  it('cuts running checks, and their rows stay unknown', async () => {
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

  it('claims nothing if the signal came before it started', async () => {
    const bench = tickBench(database);
    await bench.addDms(3);
    const report = await bench.tick(
      bench.queue(() => ({ kind: 'done' })),
      { stop: { signal: AbortSignal.abort(), graceMs } },
    );
    expect(report.counts.claimed).toBe(0);
    expect(await bench.states()).toEqual({ pending: 3 });
  });

  it('gives up on an unavailable database when the grace ends, before its limit', async () => {
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

  it('removes its listeners, since a worker runs thousands of ticks under one signal', async () => {
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
  it('ends when its share of the time is over', async () => {
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
