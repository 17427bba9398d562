import { describe, expect, it } from 'vitest';
import { done } from '../../lib/engine/outcome.ts';
import type { LockAttempt } from '../../lib/engine/ports/overlap-lock.ts';
import { perTestBench, testDatabase } from '../support/fixtures.ts';
import type { Perform } from '../support/tick-bench.ts';

const database = testDatabase();
const bench = perTestBench(database);

const tick = (perform: Perform = () => done(), options: Parameters<typeof bench.tick>[1] = {}) =>
  bench.tick(bench.queue(perform), options);
const change = (set: string) => database.sql(`update punctual.queues set ${set}`);
/** Changes queues in the middle of a tick. */
const changeMeanwhile = (set: string) => bench.clock.busy(change(set));
const attempts = async () =>
  (await database.sql('select max(attempts) as n from punctual.dm_queue'))[0].n as number;

describe('a tick', () => {
  it('runs every due row once, the oldest first, at the concurrency of the registry', async () => {
    await bench.addDms(12);
    await change('concurrency = 4');
    const bodies: string[] = [];
    let running = 0;
    let highest = 0;
    const report = await tick(async (row) => {
      bodies.push(row.body);
      highest = Math.max(highest, ++running);
      await bench.sleep(400);
      running--;
      return done();
    });
    expect(bodies).toEqual(Array.from({ length: 12 }, (_, n) => `message ${n + 1}`));
    expect(highest).toBe(4);
    expect(report).toMatchObject({
      outcome: 'ran',
      ended: 'drained',
      backlogDue: 0,
      counts: { claimed: 12, done: 12 },
      performMs: { p50: 400, p95: 400 },
    });
    expect(await bench.states()).toEqual({ sent: 12 });
  });

  it('claims only rows that can start at once, so that a crash leaves no others uncertain', async () => {
    await bench.addDms(20);
    let highest = 0;
    await tick(async () => {
      const claimed = database.sql(`select from punctual.dm_queue where status = 'sending'`);
      highest = Math.max(highest, (await bench.clock.busy(claimed)).length);
      return bench.sleep(400).then(() => done());
    });
    expect(highest).toBe(5);
  });

  it('costs one database call when nothing is due', async () => {
    await bench.addDms(0, { accounts: 3 });
    expect(await tick()).toMatchObject({ outcome: 'idle', ended: 'drained', exchanges: 1 });
    expect(bench.calls).toHaveLength(1);
  });

  it('settles outcomes that come within 2 % of a row’s time in one call: 30 rows cost at most 14 calls', async () => {
    await bench.addDms(30);
    let n = 0;
    const report = await tick(() => bench.sleep(1_000 + (n++ % 5) * 4).then(() => done()));
    expect(report.counts.done).toBe(30);
    expect(bench.calls.length).toBeLessThanOrEqual(14);
  });

  it('claims at most the batch limit, and leaves the rest due', async () => {
    await bench.addDms(40);
    const counts = { claimed: 30, done: 30 };
    expect(await tick()).toMatchObject({ ended: 'batch limit', backlogDue: 10, counts });
  });

  it('claims nothing while the queue is paused, and reports the pause', async () => {
    await bench.addDms(2);
    await change(`paused_at = '2026-01-01', paused_reason = 'holiday'`);
    expect(await tick()).toMatchObject({ outcome: 'paused', ended: 'paused', exchanges: 1 });
    expect(await bench.states()).toEqual({ pending: 2 });
  });

  it('stops claiming when the queue is paused in the middle', async () => {
    await bench.addDms(20);
    const report = await tick(async (row) => {
      if (row.body === 'message 1') await changeMeanwhile(`paused_at = '2026-01-01'`);
      await bench.sleep(100);
      return done();
    });
    expect(report).toMatchObject({ outcome: 'ran', ended: 'paused' });
    expect(await bench.states()).toEqual({ sent: 5, pending: 15 });
  });

  it.each([
    [
      'at-least-once' as const,
      15,
      'dm_queue is at-least-once in the code and at-most-once in the registry: ' +
        "change the code, or call add_queue again with 'at-least-once'",
    ],
    [
      'at-most-once' as const,
      46,
      "dm_queue: the registry's timeout of 46 s does not fit into a tick of 60 s: change it in punctual.queues",
    ],
  ])('refuses to run if code (%s) and registry (%i s) disagree', async (delivery, seconds, message) => {
    await bench.addDms(3);
    await change(`timeout_seconds = ${seconds}`);
    const refused = bench.tick(bench.queue(() => done(), { delivery }));
    // The ledger says so, and the rows are released.
    await expect(refused).rejects.toMatchObject({ kind: 'registry', message });
    const [{ fault }] = await database.sql(`select report->>'fault' as fault from punctual.ticks`);
    expect(fault).toBe(message);
    expect(await bench.states()).toEqual({ pending: 3 });
    expect(await attempts()).toBe(0);
  });
});

describe('the time limits of a tick', () => {
  it('hold even if a provider hangs for ever: every row is settled or released', async () => {
    await bench.addDms(30);
    const report = await tick(() => new Promise(() => {}));
    expect(report.usedMs).toBeLessThan(60_000);
    const { unknown = 0, pending = 0 } = await bench.states();
    expect(unknown).toBeLessThanOrEqual(10);
    expect(unknown + pending).toBe(30);
    expect(report.ended).toBe('breaker');
  });

  it('admit no row that could still run at the end', async () => {
    await bench.addDms(100);
    await change('batch_limit = null');
    const started: number[] = [];
    const from = bench.clock.now();
    const report = await tick(async () => {
      started.push(bench.clock.now() - from);
      await bench.sleep(14_000);
      return done();
    });
    // 60 s less 15 s for the end and 15 s for the row itself.
    expect(Math.max(...started)).toBeLessThanOrEqual(30_000);
    expect(report).toMatchObject({ ended: 'budget', counts: { done: 15 } });
    expect(report.usedMs).toBeLessThanOrEqual(45_000);
    expect((await bench.states()).pending).toBe(85);
  });

  it('count from the first line of the cron handler', async () => {
    await bench.addDms(5);
    const report = await tick(() => done(), { startedAt: bench.clock.now() - 40_000 });
    expect(report).toMatchObject({ ended: 'budget', counts: { done: 0, released: 5 } });
    expect(await attempts()).toBe(0);
  });

  it('include a row’s own timeout, which may be shorter than its queue’s and than those of the rows beside it', async () => {
    await bench.addDms(3);
    await database.sql('update punctual.dm_queue set timeout_seconds = 5 - id');
    const aborted: Record<string, number> = {};
    const from = bench.clock.now();
    await tick(({ id }, { signal }) => {
      signal.addEventListener('abort', () => {
        aborted[id] = bench.clock.now() - from;
      });
      return new Promise(() => {});
    });
    expect(aborted).toEqual({ 1: 4_000, 2: 3_000, 3: 2_000 });
  });

  it('leave time for the proof of an attempt that timed out', async () => {
    await bench.addDms(2);
    await database.sql(`update punctual.dm_queue set timeout_seconds = 1 where body = 'message 1'`);
    const report = await tick(async (row) => {
      await bench.sleep(row.body === 'message 1' ? 4_000 : 6_000);
      return done({ provider_message_id: 'late' });
    });
    expect(await bench.states()).toEqual({ sent: 2 });
    expect(report.counts).toMatchObject({ unknown: 1, done: 2 });
  });

  it('leave time for proof that comes while the tick closes', async () => {
    await bench.addDms(1);
    await database.sql('update punctual.dm_queue set timeout_seconds = 1');
    let prove: () => void = () => {};
    bench.setFault(async (call, go) => {
      if (call.args.p_close && JSON.stringify(call.args).includes('"unknown"')) {
        prove();
        await bench.clock.busy(new Promise((resolve) => setImmediate(resolve)));
      }
      return go();
    });
    await tick(
      () =>
        new Promise((resolve) => {
          prove = () => resolve(done({ provider_message_id: 'late' }));
        }),
    );
    expect(await bench.states()).toEqual({ sent: 1 });
  });
});

describe('the lock', () => {
  function recordingLock(state: 'acquired' | 'held' | 'unavailable') {
    const calls: string[] = [];
    const record = (call: string) => Promise.resolve(calls.push(call) > 0);
    return {
      calls,
      async acquire(key: string, lifetimeMs: number): Promise<LockAttempt> {
        await record(`acquire ${key} ${lifetimeMs}`);
        if (state === 'held') return { state };
        if (state === 'unavailable') return { state, reason: 'no answer within 500 ms' };
        const release = () => record('release').then(() => {});
        return { state, lock: { extend: (ms: number) => record(`extend ${ms}`), release } };
      },
    };
  }

  it('costs an idle tick one command, and expires by itself', async () => {
    const lock = recordingLock('acquired');
    expect(await tick(() => done(), { lock })).toMatchObject({ lock: 'acquired', outcome: 'idle' });
    expect(lock.calls).toEqual(['acquire dm_queue:main 5000']);
  });

  it('is extended to the tick’s limit when rows are claimed, and released at the end', async () => {
    await bench.addDms(1);
    const lock = recordingLock('acquired');
    await tick(() => done(), { lock });
    expect(lock.calls).toEqual(['acquire dm_queue:main 5000', 'extend 60000', 'release']);
  });

  it('that another tick holds ends the tick, and the ledger records it as skipped', async () => {
    await bench.addDms(1);
    const report = await tick(() => done(), { lock: recordingLock('held') });
    expect(report).toMatchObject({ outcome: 'skipped', lock: 'held', ended: null, counts: { claimed: 0 } });
    expect(await database.sql('select outcome, report from punctual.ticks')).toMatchObject([
      { outcome: 'skipped', report: { lock: 'held', ended: null } },
    ]);
  });

  it('that is unavailable does not stop the tick, and the report says so', async () => {
    await bench.addDms(1);
    const report = await tick(() => done(), { lock: recordingLock('unavailable') });
    expect(report).toMatchObject({ outcome: 'ran', lock: 'unavailable' });
  });
});
