import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { again, dead, done, retry, unknown } from '../../lib/engine/outcome';
import type { LockAttempt } from '../../lib/engine/overlap-lock';
import { StoreError } from '../../lib/store/rpc';
import { openTestDatabase, type TestDatabase } from '../support/test-database';
import { tickBench } from '../support/tick-bench';

let database: TestDatabase;
let bench: ReturnType<typeof tickBench>;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.reset();
  bench = tickBench(database);
});

const kindOfError = (kind: string, more: object = {}) =>
  Object.assign(new Error(`it was ${kind}`), { kind, ...more });
const rowsWith = (status: string) =>
  database.sql(
    'select id::text as id, attempts, last_error, next_attempt_at, status from punctual.dm_queue where status = $1 order by id',
    [status],
  );

describe('a tick', () => {
  it('performs every due row once, as many side by side as the registry says', async () => {
    await bench.addDms(12);
    const bodies: string[] = [];
    let running = 0;
    let most = 0;
    const report = await bench.tick(
      bench.queue(async (row) => {
        bodies.push(row.body);
        most = Math.max(most, ++running);
        await bench.sleep(400);
        running--;
        return done();
      }),
    );
    expect(bodies.sort()).toEqual(Array.from({ length: 12 }, (_, n) => `message ${n + 1}`).sort());
    expect(most).toBe(5);
    expect(report).toMatchObject({
      outcome: 'ran',
      ended: 'drained',
      backlogDue: 0,
      counts: { claimed: 12, done: 12 },
    });
    expect(report.performMs).toEqual({ p50: 400, p95: 400 });
    expect(await bench.states()).toEqual({ sent: 12 });
  });

  it('begins with the oldest', async () => {
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

  it('costs one call of the database when nothing is due', async () => {
    await bench.addDms(0, { accounts: 3 });
    const report = await bench.tick(bench.queue(() => done()));
    expect(report).toMatchObject({ outcome: 'idle', ended: 'drained', exchanges: 1 });
    expect(bench.calls).toHaveLength(1);
  });

  it('costs few calls for thirty rows: several outcomes share one', async () => {
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

  it('takes no more than the batch limit, and leaves the rest due', async () => {
    await bench.addDms(40);
    const report = await bench.tick(bench.queue(() => done()));
    expect(report).toMatchObject({ ended: 'batch limit', backlogDue: 10, counts: { claimed: 30, done: 30 } });
  });

  it('obeys settings that change while it runs', async () => {
    await bench.addDms(20);
    let most = 0;
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
        most = Math.max(most, ++running);
        await bench.sleep(300);
        running--;
        return done();
      }),
    );
    expect(most).toBe(2);
  });

  it('does nothing while the queue is paused, and says so', async () => {
    await bench.addDms(2);
    await database.sql(`update punctual.queues set paused_at = '2026-01-01', paused_reason = 'holiday'`);
    expect(await bench.tick(bench.queue(() => done()))).toMatchObject({
      outcome: 'paused',
      ended: 'paused',
      exchanges: 1,
    });
    expect(await bench.states()).toEqual({ pending: 2 });
  });

  it('stops claiming when it is paused in the middle', async () => {
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

  it('refuses to run where code and registry promise different deliveries, and gives back what it took', async () => {
    await bench.addDms(3);
    await expect(bench.tick(bench.queue(() => done(), { delivery: 'at-least-once' }))).rejects.toMatchObject({
      kind: 'misconfigured',
      message: expect.stringContaining('at-least-once in the code'),
    });
    expect(await bench.states()).toEqual({ pending: 3 });
    expect(await database.sql('select max(attempts) as n from punctual.dm_queue')).toEqual([{ n: 0 }]);
  });

  it('refuses a timeout of the registry that does not fit into its limit, and gives back what it took', async () => {
    await bench.addDms(3);
    await database.sql('update punctual.queues set timeout_seconds = 46');
    await expect(bench.tick(bench.queue(() => done()))).rejects.toThrow(/timeout of 46 s does not fit/);
    expect(await bench.states()).toEqual({ pending: 3 });
  });
});

describe('time', () => {
  it('is never overrun by a provider that hangs for ever: every row is settled or released', async () => {
    await bench.addDms(30);
    const report = await bench.tick(bench.queue(() => new Promise(() => {})));
    expect(report.usedMs).toBeLessThan(60_000);
    const states = await bench.states();
    expect(states.sending).toBeUndefined();
    expect(states.unknown).toBeLessThanOrEqual(10);
    expect((states.unknown ?? 0) + (states.pending ?? 0)).toBe(30);
    expect(report.ended).toBe('breaker');
  });

  it('admits no row that could still be under way at the end', async () => {
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
    // 60 s less 15 s for the end, less the 15 s that a row may take.
    expect(Math.max(...started)).toBeLessThanOrEqual(30_000);
    expect(report).toMatchObject({ ended: 'budget', counts: { done: 15 } });
    expect(report.usedMs).toBeLessThanOrEqual(45_000);
    expect((await bench.states()).pending).toBe(85);
  });

  it('is counted from the first line of the handler', async () => {
    await bench.addDms(5);
    const startedAt = bench.clock.now() - 40_000;
    const report = await bench.tick(
      bench.queue(() => done()),
      { startedAt },
    );
    expect(report).toMatchObject({ ended: 'budget', counts: { done: 0, released: 5 } });
    expect(await database.sql('select max(attempts) as n from punctual.dm_queue')).toEqual([{ n: 0 }]);
  });

  it('of one row may be shorter than its queue’s', async () => {
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

  it('that is over leaves a hung attempt behind, and hears its proof if that comes before the end', async () => {
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

describe('a database that is slow or refuses at the end', () => {
  const hang = () =>
    new Promise<never>((_resolve, reject) => {
      bench.clock.timer(5_000, () => reject(new StoreError('unavailable', 'no answer within 5 s')));
    });
  const slowRefusal = () =>
    new Promise<never>((_resolve, reject) => {
      bench.clock.timer(4_900, () => reject(new StoreError('refused', 'no', '22P02')));
    });

  it.each([
    ['hangs from the end of the work on', 40_000, hang],
    ['hangs from the last seconds of the work on', 43_000, hang],
    ['refuses everything, slowly', 40_000, slowRefusal],
    ['refuses slowly from the start', 1_000, slowRefusal],
  ])('%s: the tick ends 3.5 s before its limit', async (_case, afterMs, fault) => {
    await bench.addDms(60);
    await database.sql('update punctual.queues set batch_limit = null');
    const from = bench.clock.now();
    let real = true;
    bench.setFault((_call, go) => {
      if (!real || bench.clock.now() - from < afterMs) return go();
      const answer = fault();
      answer.catch(() => {});
      return answer;
    });
    await bench
      .tick(
        bench.queue(async () => {
          await bench.sleep(14_000);
          return done();
        }),
      )
      .catch((error) => expect(error.kind).toBeDefined());
    expect(bench.clock.now() - from).toBeLessThanOrEqual(56_500);
    real = false;
  });
});

describe('late proof', () => {
  it('that comes while the tick is being closed is still written', async () => {
    await bench.addDms(1);
    await database.sql('update punctual.dm_queue set timeout_seconds = 1');
    let prove: () => void = () => {};
    bench.setFault(async (call, go) => {
      if (call.args.p_close === 'if_drained' && JSON.stringify(call.args).includes('"unknown"')) {
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

describe('what perform does', () => {
  const cases: [string, unknown, string, Record<string, unknown>][] = [
    ['returns done', () => done(), 'sent', {}],
    ['returns dead', () => dead('wrong number'), 'failed', { last_error: 'wrong number' }],
    ['returns unknown', () => unknown('who knows'), 'unknown', { last_error: 'who knows' }],
    ['returns retry', () => retry('later'), 'pending', { last_error: 'later', attempts: 1 }],
    ['returns again', () => again(60), 'pending', { attempts: 0 }],
    ['returns again after nothing', () => again(0), 'failed', {}],
    ['returns nothing', () => undefined, 'unknown', { last_error: 'perform returned no outcome' }],
    [
      'throws before its first await',
      () => {
        throw new Error('bug');
      },
      'unknown',
      { last_error: 'bug' },
    ],
    ['throws no error at all', () => Promise.reject('text'), 'unknown', { last_error: 'text' }],
    [
      'throws rejected',
      () => Promise.reject(kindOfError('rejected')),
      'failed',
      { last_error: 'it was rejected' },
    ],
    ['throws not_sent', () => Promise.reject(kindOfError('not_sent')), 'pending', { attempts: 1 }],
    ['throws uncertain', () => Promise.reject(kindOfError('uncertain')), 'unknown', {}],
    [
      'throws rate_limited',
      () => Promise.reject(kindOfError('rate_limited', { retryAfterSeconds: 7 })),
      'pending',
      { attempts: 0 },
    ],
    ['throws unauthorised', () => Promise.reject(kindOfError('unauthorised')), 'pending', { attempts: 0 }],
  ];
  it.each(cases)('when it %s', async (_case, perform, status, row) => {
    await bench.addDms(1);
    await bench.tick(bench.queue(perform as never));
    expect(await rowsWith(status)).toEqual([expect.objectContaining(row)]);
  });

  it('backs off with jitter, and not before the provider says', async () => {
    await bench.addDms(2);
    await bench.tick(
      bench.queue((row) => {
        throw kindOfError('not_sent', row.body === 'message 2' ? { retryAfterSeconds: 600 } : {});
      }),
      { random: () => 0.5 },
    );
    const waits = await database.sql(
      `select retry_at from punctual.pace where retry_at is not null order by retry_at`,
    );
    expect(waits.map((wait) => Date.parse(wait.retry_at) - bench.clock.now())).toEqual([15_000, 600_000]);
  });

  it.each([0, -30])(
    'is not taken at its word when the provider says "too many" and "again in %i seconds"',
    async (retryAfterSeconds) => {
      await bench.addDms(1);
      await database.sql('update punctual.queues set batch_limit = null');
      let calls = 0;
      await bench.tick(
        bench.queue(() => {
          calls++;
          throw kindOfError('rate_limited', { retryAfterSeconds });
        }),
      );
      expect(calls).toBe(1);
    },
  );

  it('spoils nothing but its own row: a schema that throws, a result that no JSON can carry', async () => {
    await bench.addDms(4);
    const { z } = await import('zod');
    const throwing = z.object({
      id: z.coerce.string(),
      attempts: z.number(),
      body: z.string().transform((body) => {
        if (body === 'message 1') throw new Error('bug in a transform');
        return body;
      }),
    });
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    const results = [circle, { provider_message_id: 10n }, { provider_message_id: 'fine' }];
    await bench.tick(bench.queue((row) => done(results[Number(row.body.at(-1)) - 2]), { row: throwing }));
    expect(
      await database.sql('select status, provider_message_id, last_error from punctual.dm_queue order by id'),
    ).toEqual([
      {
        status: 'failed',
        provider_message_id: null,
        last_error: "the row's schema threw: bug in a transform",
      },
      { status: 'sent', provider_message_id: null, last_error: null },
      { status: 'sent', provider_message_id: 10, last_error: null },
      { status: 'sent', provider_message_id: 'fine', last_error: null },
    ]);
  });

  it('spoils nothing but its own row: a row that does not fit its schema, NUL, half an emoji, 100 KB', async () => {
    await bench.addDms(5);
    await database.sql(`update punctual.dm_queue set body = '' where body = 'message 1'`);
    const { z } = await import('zod');
    const strict = z.object({
      id: z.coerce.string(),
      body: z.string().min(1, 'is empty'),
      attempts: z.number(),
    });
    const errors = ['\0 NUL', 'half \ud83d', 'x'.repeat(100_000)];
    await bench.tick(
      bench.queue(
        (row) => {
          const error = errors[Number(row.body.at(-1)) - 2];
          return error ? { kind: 'dead', error, result: { provider_message_id: error.slice(0, 9) } } : done();
        },
        { row: strict },
      ),
    );
    expect(await bench.states()).toEqual({ failed: 4, sent: 1 });
    const failed = await rowsWith('failed');
    expect(failed.map((row) => row.last_error.slice(0, 50))).toEqual([
      'the row does not fit its schema: body: is empty',
      ' NUL',
      'half \ufffd',
      'x'.repeat(50),
    ]);
    expect(failed[3].last_error).toHaveLength(2_000);
  });
});

describe('a provider that fails as a whole', () => {
  it('is left alone after five failures in a row: no further row is spent on it', async () => {
    await bench.addDms(30);
    let calls = 0;
    const report = await bench.tick(
      bench.queue(() => {
        calls++;
        throw kindOfError('uncertain');
      }),
    );
    expect(calls).toBeLessThanOrEqual(9);
    expect(report.ended).toBe('breaker');
    expect(await bench.states()).toEqual({ unknown: calls, pending: 30 - calls });
    const next = await bench.tick(bench.queue(() => done()));
    expect(next.counts.claimed).toBe(0);
  });

  it('is tried with one row after its pause', async () => {
    await bench.addDms(10);
    const failing = bench.queue(() => {
      throw kindOfError('not_sent');
    });
    await bench.tick(failing);
    bench.clock.skip(31_000);
    let calls = 0;
    await bench.tick(
      bench.queue(() => {
        calls++;
        throw kindOfError('not_sent');
      }),
    );
    expect(calls).toBe(1);
  });
});

describe('a database that fails', () => {
  const gone = () => Promise.reject(new StoreError('unavailable', 'connection lost'));

  it('before anything was claimed: an error that says so, at once', async () => {
    await bench.addDms(3);
    bench.setFault(gone);
    await expect(bench.tick(bench.queue(() => done()))).rejects.toMatchObject({ kind: 'unavailable' });
    expect(bench.calls.length).toBeLessThanOrEqual(4);
  });

  it('loses the answer to the first claim, twice: the rows are given back when it is there again', async () => {
    await bench.addDms(3);
    let calls = 0;
    bench.setFault(async (_call, go) => {
      const answer = await go();
      return ++calls <= 2 ? gone() : answer;
    });
    await expect(bench.tick(bench.queue(() => done()))).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await bench.states()).toEqual({ pending: 3 });
  });

  it.each([2, 3, 4, 5])(
    'loses the answer to call %i after the commit: nothing is done twice, and nothing is lost',
    async (lost) => {
      await bench.addDms(14);
      let calls = 0;
      bench.setFault(async (_call, go) => {
        const answer = await go();
        return ++calls === lost ? gone() : answer;
      });
      const performed: string[] = [];
      const report = await bench.tick(
        bench.queue(async (row) => {
          performed.push(row.body);
          await bench.sleep(300);
          return done();
        }),
      );
      expect(new Set(performed).size).toBe(14);
      expect(performed).toHaveLength(14);
      expect(report.counts).toMatchObject({ claimed: 14, done: 14, lost: 0 });
      expect(await bench.states()).toEqual({ sent: 14 });
    },
  );

  it('goes away in the middle and comes back in time: everything is settled, and the answer says what happened', async () => {
    await bench.addDms(20);
    let down = false;
    bench.setFault((_call, go) => (down ? gone() : go()));
    const ticking = bench.tick(
      bench.queue(async () => {
        bench.clock.timer(100, () => {
          down = true;
        });
        await bench.sleep(1_000);
        bench.clock.timer(5_000, () => {
          down = false;
        });
        return done();
      }),
    );
    await expect(ticking).rejects.toMatchObject({ kind: 'unavailable', counts: { claimed: 5, done: 5 } });
    expect(await bench.states()).toEqual({ sent: 5, pending: 15 });
    bench.setFault((_call, go) => go());
    expect(await bench.tick(bench.queue(() => done()))).toMatchObject({
      outcome: 'ran',
      counts: { done: 15 },
    });
  });

  it('goes away for good: the tick ends within its limit and logs every outcome it could not write', async () => {
    await bench.addDms(20);
    let down = false;
    bench.setFault((_call, go) => (down ? gone() : go()));
    const from = bench.clock.now();
    const ticking = bench.tick(
      bench.queue(async () => {
        down = true;
        await bench.sleep(1_000);
        return done({ provider_message_id: 'p1' });
      }),
    );
    await expect(ticking).rejects.toMatchObject({ kind: 'unavailable' });
    expect(bench.clock.now() - from).toBeLessThan(60_000);
    const unwritten = bench.logged.filter((line) => line.level === 'error');
    expect(unwritten).toHaveLength(5);
    expect(unwritten[0]?.fields).toMatchObject({ outcome: 'done', result: { provider_message_id: 'p1' } });
    // What was running is unknown once its lease has passed, and nothing is sent again.
    bench.setFault((_call, go) => go());
    bench.clock.skip(91_000);
    await bench.tick(bench.queue(() => done()));
    expect(await bench.states()).toEqual({ unknown: 5, sent: 15 });
  });

  it('refuses one outcome of a group: the others are written, and the tick goes on', async () => {
    await bench.addDms(12);
    bench.setFault((call, go) =>
      JSON.stringify(call.args).includes('poison')
        ? Promise.reject(new StoreError('refused', 'poisoned', '22P02'))
        : go(),
    );
    const report = await bench.tick(
      bench.queue(async (row) => {
        await bench.sleep(100);
        return done({ provider_message_id: row.body === 'message 2' ? 'poison' : 'fine' });
      }),
    );
    expect(report.counts).toMatchObject({ claimed: 12, done: 11 });
    expect(await bench.states()).toEqual({ sent: 11, sending: 1 });
    expect(
      bench.logged.some((line) => line.level === 'error' && line.message.includes('could not be written')),
    ).toBe(true);
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

  it('costs an idle tick one command, and is left to run out', async () => {
    const lock = recordingLock('acquired');
    expect(
      await bench.tick(
        bench.queue(() => done()),
        { lock },
      ),
    ).toMatchObject({ lock: 'acquired', outcome: 'idle' });
    expect(lock.calls).toEqual(['acquire dm_queue:main 5000']);
  });

  it('is extended to the limit when there is work, and given back', async () => {
    await bench.addDms(1);
    const lock = recordingLock('acquired');
    await bench.tick(
      bench.queue(() => done()),
      { lock },
    );
    expect(lock.calls).toEqual(['acquire dm_queue:main 5000', 'extend 60000', 'release']);
  });

  it('that is held makes the tick leave, and leaves a trace in the ledger', async () => {
    await bench.addDms(1);
    const report = await bench.tick(
      bench.queue(() => done()),
      { lock: recordingLock('held'), slot: '2026-03-02T12:00:00.000Z' },
    );
    expect(report).toMatchObject({ outcome: 'skipped', lock: 'held', ended: null, counts: { claimed: 0 } });
    const [row] = await database.sql('select outcome, slot, report from punctual.ticks');
    expect(row).toMatchObject({
      outcome: 'skipped',
      report: { outcome: 'skipped', lock: 'held', ended: null },
    });
  });

  it('that is unavailable keeps nobody from working, and is said', async () => {
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
