import { describe, expect, it } from 'vitest';
import { done } from '../../lib/engine/outcome.ts';
import type { LockAttempt } from '../../lib/engine/ports/overlap-lock.ts';
import { perTestBench, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const bench = perTestBench(database);

describe('a tick', () => {
  it('runs every due row once, at the concurrency of the registry', async () => {
    await bench.addDms(12);
    const bodies: string[] = [];
    let running = 0;
    let highest = 0;
    const report = await bench.tick(
      bench.queue(async (row) => {
        bodies.push(row.body);
        highest = Math.max(highest, ++running);
        await bench.sleep(400);
        running--;
        return done();
      }),
    );
    expect(bodies.sort()).toEqual(Array.from({ length: 12 }, (_, n) => `message ${n + 1}`).sort());
    expect(highest).toBe(5);
    expect(report).toMatchObject({
      outcome: 'ran',
      ended: 'drained',
      backlogDue: 0,
      counts: { claimed: 12, done: 12 },
    });
    expect(report.performMs).toEqual({ p50: 400, p95: 400 });
    expect(await bench.states()).toEqual({ sent: 12 });
  });

  it('starts with the oldest row', async () => {
    await bench.addDms(7);
    await database.sql('update punctual.queues set concurrency = 1');
    const bodies: string[] = [];
    await bench.tick(
      bench.queue((row) => {
        bodies.push(row.body);
        return done();
      }),
    );
    expect(bodies).toEqual([1, 2, 3, 4, 5, 6, 7].map((n) => `message ${n}`));
  });

  it('costs one database call when nothing is due', async () => {
    await bench.addDms(0, { accounts: 3 });
    const report = await bench.tick(bench.queue(() => done()));
    expect(report).toMatchObject({ outcome: 'idle', ended: 'drained', exchanges: 1 });
    expect(bench.calls).toHaveLength(1);
  });

  it('settles several outcomes in one call: 30 rows cost at most 14 calls', async () => {
    await bench.addDms(30);
    let n = 0;
    const report = await bench.tick(
      bench.queue(async () => {
        await bench.sleep(100 + (n++ % 8) * 100);
        return done();
      }),
    );
    expect(report.counts.done).toBe(30);
    expect(bench.calls.length).toBeLessThanOrEqual(14);
  });

  it('claims at most the batch limit, and leaves the rest due', async () => {
    await bench.addDms(40);
    const report = await bench.tick(bench.queue(() => done()));
    expect(report).toMatchObject({ ended: 'batch limit', backlogDue: 10, counts: { claimed: 30, done: 30 } });
  });

  it('runs with the concurrency that was set during the tick before', async () => {
    await bench.addDms(20);
    let highest = 0;
    let running = 0;
    await bench.tick(
      bench.queue(async (row) => {
        if (row.body === 'message 3')
          await bench.clock.busy(database.sql('update punctual.queues set concurrency = 2'));
        await bench.sleep(500);
        return done();
      }),
    );
    await database.sql(`update punctual.dm_queue set status = 'pending'`);
    await bench.tick(
      bench.queue(async () => {
        highest = Math.max(highest, ++running);
        await bench.sleep(300);
        running--;
        return done();
      }),
    );
    expect(highest).toBe(2);
  });

  it('claims nothing while the queue is paused, and reports the pause', async () => {
    await bench.addDms(2);
    await database.sql(`update punctual.queues set paused_at = '2026-01-01', paused_reason = 'holiday'`);
    expect(await bench.tick(bench.queue(() => done()))).toMatchObject({
      outcome: 'paused',
      ended: 'paused',
      exchanges: 1,
    });
    expect(await bench.states()).toEqual({ pending: 2 });
  });

  it('stops claiming when the queue is paused in the middle', async () => {
    await bench.addDms(20);
    const report = await bench.tick(
      bench.queue(async (row) => {
        if (row.body === 'message 1')
          await bench.clock.busy(database.sql(`update punctual.queues set paused_at = '2026-01-01'`));
        await bench.sleep(100);
        return done();
      }),
    );
    expect(report).toMatchObject({ outcome: 'ran', ended: 'paused' });
    expect(await bench.states()).toEqual({ sent: 5, pending: 15 });
  });

  it('refuses to run if code and registry disagree about the delivery, and releases its rows', async () => {
    await bench.addDms(3);
    await expect(bench.tick(bench.queue(() => done(), { delivery: 'at-least-once' }))).rejects.toMatchObject({
      kind: 'registry',
      message:
        'dm_queue is at-least-once in the code and at-most-once in the registry: ' +
        "change the code, or call add_queue again with 'at-least-once'",
    });
    expect(await database.sql(`select report->>'fault' as fault from punctual.ticks`)).toEqual([
      { fault: expect.stringContaining('at-least-once in the code') },
    ]);
    expect(await bench.states()).toEqual({ pending: 3 });
    expect(await database.sql('select max(attempts) as n from punctual.dm_queue')).toEqual([{ n: 0 }]);
  });

  it('refuses to run if the registry’s timeout does not fit into its limit, and releases its rows', async () => {
    await bench.addDms(3);
    await database.sql('update punctual.queues set timeout_seconds = 46');
    await expect(bench.tick(bench.queue(() => done()))).rejects.toThrow(/timeout of 46 s does not fit/);
    expect(await bench.states()).toEqual({ pending: 3 });
  });
});

describe('the time limits of a tick', () => {
  it('hold even if a provider hangs for ever: every row is settled or released', async () => {
    await bench.addDms(30);
    const report = await bench.tick(bench.queue(() => new Promise(() => {})));
    expect(report.usedMs).toBeLessThan(60_000);
    const states = await bench.states();
    expect(states.sending).toBeUndefined();
    expect(states.unknown).toBeLessThanOrEqual(10);
    expect((states.unknown ?? 0) + (states.pending ?? 0)).toBe(30);
    expect(report.ended).toBe('breaker');
  });

  it('admit no row that could still run at the end', async () => {
    await bench.addDms(100);
    await database.sql('update punctual.queues set batch_limit = null');
    const started: number[] = [];
    const from = bench.clock.now();
    const report = await bench.tick(
      bench.queue(async () => {
        started.push(bench.clock.now() - from);
        await bench.sleep(14_000);
        return done();
      }),
    );
    // 60 s less 15 s for the end and 15 s for the row itself.
    expect(Math.max(...started)).toBeLessThanOrEqual(30_000);
    expect(report).toMatchObject({ ended: 'budget', counts: { done: 15 } });
    expect(report.usedMs).toBeLessThanOrEqual(45_000);
    expect((await bench.states()).pending).toBe(85);
  });

  it('count from the first line of the cron handler', async () => {
    await bench.addDms(5);
    const startedAt = bench.clock.now() - 40_000;
    const report = await bench.tick(
      bench.queue(() => done()),
      { startedAt },
    );
    expect(report).toMatchObject({ ended: 'budget', counts: { done: 0, released: 5 } });
    expect(await database.sql('select max(attempts) as n from punctual.dm_queue')).toEqual([{ n: 0 }]);
  });

  it('include a row’s own timeout, which may be shorter than its queue’s', async () => {
    await bench.addDms(1);
    await database.sql('update punctual.dm_queue set timeout_seconds = 2');
    let aborted = 0;
    const from = bench.clock.now();
    await bench.tick(
      bench.queue(async (_row, { signal }) => {
        signal.addEventListener('abort', () => {
          aborted = bench.clock.now() - from;
        });
        return new Promise(() => {});
      }),
    );
    expect(aborted).toBe(2_000);
  });

  it('leave time for the proof of an attempt that timed out', async () => {
    await bench.addDms(2);
    await database.sql(`update punctual.dm_queue set timeout_seconds = 1 where body = 'message 1'`);
    const report = await bench.tick(
      bench.queue(async (row) => {
        await bench.sleep(row.body === 'message 1' ? 4_000 : 6_000);
        return done({ provider_message_id: 'late' });
      }),
    );
    expect(await bench.states()).toEqual({ sent: 2 });
    expect(report.counts).toMatchObject({ unknown: 1, done: 2 });
  });
});

describe('late proof', () => {
  it('is written even if it comes while the tick closes', async () => {
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
    await bench.tick(
      bench.queue(
        () =>
          new Promise((resolve) => {
            prove = () => resolve(done({ provider_message_id: 'late' }));
          }),
      ),
    );
    expect(await bench.states()).toEqual({ sent: 1 });
  });
});

describe('the lock', () => {
  function recordingLock(state: 'acquired' | 'held' | 'unavailable') {
    const calls: string[] = [];
    const lock = {
      calls,
      async acquire(key: string, lifetimeMs: number): Promise<LockAttempt> {
        calls.push(`acquire ${key} ${lifetimeMs}`);
        if (state === 'held') return { state };
        if (state === 'unavailable') return { state, reason: 'no answer within 500 ms' };
        return {
          state,
          lock: {
            async extend(ms: number) {
              calls.push(`extend ${ms}`);
              return true;
            },
            async release() {
              calls.push('release');
            },
          },
        };
      },
    };
    return lock;
  }

  it('costs an idle tick one command, and expires by itself', async () => {
    const lock = recordingLock('acquired');
    expect(
      await bench.tick(
        bench.queue(() => done()),
        { lock },
      ),
    ).toMatchObject({ lock: 'acquired', outcome: 'idle' });
    expect(lock.calls).toEqual(['acquire dm_queue:main 5000']);
  });

  it('is extended to the tick’s limit when rows are claimed, and released at the end', async () => {
    await bench.addDms(1);
    const lock = recordingLock('acquired');
    await bench.tick(
      bench.queue(() => done()),
      { lock },
    );
    expect(lock.calls).toEqual(['acquire dm_queue:main 5000', 'extend 60000', 'release']);
  });

  it('that another tick holds ends the tick, and the ledger records it as skipped', async () => {
    await bench.addDms(1);
    const report = await bench.tick(
      bench.queue(() => done()),
      { lock: recordingLock('held'), slot: '2026-03-02T12:00:00.000Z' },
    );
    expect(report).toMatchObject({ outcome: 'skipped', lock: 'held', ended: null, counts: { claimed: 0 } });
    const [row] = await database.sql('select outcome, slot, report from punctual.ticks');
    expect(row).toMatchObject({
      outcome: 'skipped',
      report: { lock: 'held', ended: null },
    });
  });

  it('that is unavailable does not stop the tick, and the report says so', async () => {
    await bench.addDms(1);
    expect(
      await bench.tick(
        bench.queue(() => done()),
        { lock: recordingLock('unavailable') },
      ),
    ).toMatchObject({
      outcome: 'ran',
      lock: 'unavailable',
    });
  });
});
