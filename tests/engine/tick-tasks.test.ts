import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { done, type Outcome } from '../../lib/engine/outcome.ts';
import { silentLog } from '../../lib/engine/ports/log.ts';
import type { PerformContext } from '../../lib/engine/queue.ts';
import { type TickOptions, tick } from '../../lib/engine/tick.ts';
import { queueStore } from '../../lib/store/queue-store.ts';
import type { Rpc } from '../../lib/store/rpc.ts';
import { testDatabase } from '../support/fixtures.ts';
import { makeTasks } from '../support/tasks.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const database = testDatabase({ own: true });
let tasks: Awaited<ReturnType<typeof makeTasks>>;
let clock: VirtualClock;
let exchanges: number;

beforeEach(async () => {
  tasks = await makeTasks(database);
  clock = new VirtualClock();
  exchanges = 0;
});

const row = z.object({ id: z.coerce.string() });
type Perform = (id: string, context: PerformContext<null>) => Promise<Outcome> | Outcome;

/** Runs a tick, by default of the partition `a`. */
function run(perform: Perform, options: Partial<TickOptions<null>> = {}, rpc: Rpc = database.rpc) {
  const counted: Rpc = (fn, args) => {
    exchanges++;
    return clock.busy(rpc(fn, args));
  };
  const queue = {
    name: 'tasks',
    row,
    delivery: 'at-least-once' as const,
    timeoutMs: 15_000,
    connect: () => null,
    perform: ({ id }: { id: string }, context: PerformContext<null>) => perform(id, context),
  };
  const store = queueStore(counted, clock.date);
  const ports = {
    store,
    clock,
    log: silentLog,
    random: () => 0.5,
    newId: () => crypto.randomUUID(),
    lock: null,
  };
  return clock.run(
    tick(queue, ports, { deps: null, limitMs: 60_000, scheduler: 'test', partition: 'a', ...options }),
  );
}

const sleep = (ms: number) => new Promise<void>((resolve) => void clock.timer(ms, resolve));
const due = (row: Record<string, unknown> = {}) => tasks.add({ due: clock.date().toISOString(), ...row });
const steps = async (id: string) => (await tasks.row(id)).step;

describe('progress', () => {
  it('is written within about a second, while the row still runs', async () => {
    const id = await due();
    const seen: unknown[] = [];
    await run(async (_id, { progress }) => {
      progress({ percent: 10 });
      await sleep(900);
      seen.push(await clock.busy(steps(id)));
      await sleep(200);
      seen.push(await clock.busy(steps(id)));
      await sleep(5_000);
      return done();
    });
    expect(seen).toEqual([null, { percent: 10 }]);
    expect(await tasks.row(id)).toMatchObject({ status: 'done', step: { percent: 10 } });
  });

  it('costs about one call a second, however often the handler reports it', async () => {
    const id = await due();
    await run(async (_id, { progress }) => {
      for (let n = 1; n <= 100; n++) {
        progress(n);
        await sleep(100);
      }
      return done();
    });
    expect(await steps(id)).toBe(100);
    expect(exchanges).toBeLessThanOrEqual(14);
  });

  it('is the only loss if the call that carries it fails', async () => {
    const id = await due();
    let fails = 0;
    const rpc: Rpc = async (fn, args) => {
      const outcomes = args.p_outcomes as { progress?: unknown[] };
      if (outcomes.progress?.length && fails++ < 2) throw new Error('connection lost');
      return database.rpc(fn, args);
    };
    const report = await run(
      async (_id, { progress }) => {
        progress('half');
        await sleep(3_000);
        return done();
      },
      {},
      rpc,
    ).catch((error) => error);
    expect(fails).toBeGreaterThanOrEqual(2);
    expect(report).toBeInstanceOf(Error);
    expect(await tasks.row(id)).toMatchObject({ status: 'done', step: null });
  });

  it('that is not JSON is omitted', async () => {
    const id = await due();
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    const report = await run((_id, { progress }) => {
      progress(circular);
      progress(undefined);
      return done();
    });
    expect(report.counts.done).toBe(1);
    expect(await steps(id)).toBeNull();
  });
});

describe('a handler', () => {
  it('may return a result that the database cannot store: its row is done without it, and so are the others', async () => {
    const [deep, other] = [await due(), await due()];
    let nested: unknown = 1;
    for (let n = 0; n < 6_000; n++) nested = [nested];
    const report = await run((id) => done({ answer: id === deep ? nested : 'short' }));
    expect(report.counts.done).toBe(2);
    expect(await tasks.row(deep)).toMatchObject({ status: 'done', answer: null });
    expect(await tasks.row(other)).toMatchObject({ status: 'done', answer: 'short' });
  });

  it.each([
    ['undefined', undefined],
    ['an object without a prototype', Object.create(null)],
    ['a symbol', Symbol('x')],
    [
      'an error whose message throws',
      Object.defineProperty(new Error('x'), 'message', {
        get() {
          throw new Error('no');
        },
      }),
    ],
    [
      'a proxy that cannot be inspected',
      new Proxy({}, { get: () => JSON.parse('{'), getPrototypeOf: () => JSON.parse('{') }),
    ],
  ])('may throw %s: its row is retried, and the other row is done', async (_case, thrown) => {
    const [bad, good] = [await due(), await due()];
    await run((id) => {
      if (id === bad) throw thrown;
      return done();
    });
    expect(await tasks.row(bad)).toMatchObject({ status: 'pending', attempts: 1 });
    expect((await tasks.row(bad)).last_error).toBeTypeOf('string');
    expect((await tasks.row(good)).status).toBe('done');
  });
});

describe('a wait that a handler asks for', () => {
  it.each([
    ['Infinity', Number.POSITIVE_INFINITY],
    ['a date instead of seconds', Date.parse('2026-03-03')],
    ['1e300 seconds', 1e300],
  ])('of %s becomes a year', async (_case, afterSeconds) => {
    const id = await due();
    await run(() => ({ kind: 'retry', error: 'later', afterSeconds }));
    const row = await tasks.row(id);
    expect(row).toMatchObject({ status: 'pending', attempts: 1 });
    const days = (Date.parse(row.next_attempt_at) - clock.now()) / 86_400_000;
    expect(days).toBeGreaterThan(365);
    expect(days).toBeLessThan(367);
  });

  it.each([
    ['NaN', Number.NaN],
    ['-5 seconds', -5],
  ])('of %s becomes the usual backoff', async (_case, afterSeconds) => {
    const id = await due();
    await run(() => ({ kind: 'retry', error: 'later', afterSeconds }));
    expect(Date.parse((await tasks.row(id)).next_attempt_at) - clock.now()).toBeLessThanOrEqual(30_000);
  });

  it('of a rescheduled row is bounded too', async () => {
    const id = await due();
    await run(() => ({ kind: 'again', afterSeconds: 1e300 }));
    expect((await tasks.row(id)).status).toBe('pending');
  });
});

describe('a requested tick', () => {
  it('runs as many due rows as were requested, in order', async () => {
    const first = await due();
    await due();
    const seen: string[] = [];
    const perform: Perform = (id) => {
      seen.push(id);
      return done();
    };
    const report = await run(perform, { asked: { state: 'pending', limit: 1 } });
    expect(seen).toEqual([first]);
    expect(report).toMatchObject({ outcome: 'ran', ended: 'batch limit', batchLimit: 1, backlogDue: 1 });
  });

  it('redrives dead rows, each once', async () => {
    for (let n = 0; n < 3; n++) await due({ max_attempts: 1 });
    const fail: Perform = () => ({ kind: 'retry', error: 'broken' });
    expect((await run(fail)).counts.dead).toBe(3);
    clock.skip(1_000);
    const seen: string[] = [];
    const report = await run(
      (id, { attempt }) => {
        seen.push(`${id}.${attempt}`);
        return { kind: 'retry', error: 'still broken' };
      },
      { asked: { state: 'dead', limit: null } },
    );
    expect(seen.sort()).toEqual(['1.2', '2.2', '3.2']);
    expect(report.counts).toMatchObject({ claimed: 3, dead: 3 });
  });
});

describe('redriven rows', () => {
  it('are claimed only as they start: a row that kills the process affects no waiting row', async () => {
    for (let n = 0; n < 20; n++) await due({ max_attempts: 1, status: 'dead', attempts: 1 });
    let highest = 0;
    const report = await run(
      async () => {
        await sleep(100);
        const [row] = await clock.busy(
          database.sql(`select count(*)::integer as n from app.tasks where status = 'running'`),
        );
        highest = Math.max(highest, row.n);
        return done();
      },
      { asked: { state: 'dead', limit: null } },
    );
    expect(report.counts.done).toBe(20);
    expect(highest).toBe(5);
  });
});

describe('a budget in the registry', () => {
  const budget = (seconds: number) =>
    database.sql(`update punctual.queues set budget_seconds = $1, batch_limit = null where name = 'tasks'`, [
      seconds,
    ]);

  it('ends a tick before its limit', async () => {
    await budget(20);
    for (let n = 0; n < 40; n++) await due();
    const startedAt = clock.now();
    const report = await run(async () => {
      await sleep(2_000);
      return done();
    });
    expect(report).toMatchObject({ ended: 'budget', budgetMs: 20_000 });
    expect(clock.now() - startedAt).toBeLessThanOrEqual(20_000);
    expect(report.backlogDue).toBeGreaterThan(0);
  });

  it('yields to the partition’s own', async () => {
    await budget(20);
    await database.sql(
      `update punctual.partitions set budget_seconds = 30 where queue = 'tasks' and partition = 'a'`,
    );
    await due();
    expect((await run(() => done())).budgetMs).toBe(30_000);
  });

  it('counts from the tick’s own start if one call runs several ticks', async () => {
    await budget(20);
    const id = await due();
    const startedAt = clock.now() - 15_000;
    expect(await run(() => done(), { startedAt })).toMatchObject({ budgetMs: 35_000, counts: { done: 1 } });
    expect((await tasks.row(id)).status).toBe('done');
  });

  it('longer than the limit allows has no effect', async () => {
    await budget(500);
    await due();
    expect((await run(() => done())).budgetMs).toBe(45_000);
  });

  it('into which no row fits makes the tick fail, and its rows stay pending', async () => {
    await budget(10);
    const id = await due();
    await expect(run(() => done())).rejects.toMatchObject({
      kind: 'registry',
      message:
        "tasks: nothing fits into the registry's budget of 10 s, since a row may take 15 s: change it in punctual.queues",
    });
    expect(await tasks.row(id)).toMatchObject({ status: 'pending', attempts: 0 });
  });
});

describe('adaptive settings', () => {
  it('set the concurrency and the batch limit of a tick', async () => {
    await database.sql(`update punctual.queues set adaptive = true where name = 'tasks'`);
    for (let n = 0; n < 60; n++) await due();
    let running = 0;
    let highest = 0;
    const report = await run(async () => {
      highest = Math.max(highest, ++running);
      await sleep(500);
      running--;
      return done();
    });
    expect(highest).toBe(7);
    expect(report).toMatchObject({
      ended: 'batch limit',
      batchLimit: 40,
      concurrency: 7,
      counts: { done: 40 },
    });
  });
});
