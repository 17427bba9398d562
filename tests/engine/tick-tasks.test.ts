import { AsyncLocalStorage } from 'node:async_hooks';
import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { again, done, type Outcome, retry } from '../../lib/engine/outcome.ts';
import { silentLog } from '../../lib/engine/ports/log.ts';
import type { PerformContext } from '../../lib/engine/queue.ts';
import { type TickOptions, tick } from '../../lib/engine/tick.ts';
import { queueStore } from '../../lib/store/queue-store.ts';
import type { Rpc } from '../../lib/store/rpc.ts';
import { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import { perTest, testDatabase } from '../support/fixtures.ts';
import { makeTasks } from '../support/tasks.ts';

const database = testDatabase({ own: true });
const tasks = perTest(() => makeTasks(database));
const clock = perTest(() => new VirtualClock());
let exchanges = 0;
beforeEach(() => {
  exchanges = 0;
});

const row = z.object({ id: z.coerce.string() });
type Perform = (id: string, context: PerformContext<null>) => Promise<Outcome> | Outcome;

/** Runs a tick, by default of the partition `a`. */
function run(
  perform: Perform = () => done(),
  options: Partial<TickOptions<null>> = {},
  rpc: Rpc = database.rpc,
) {
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
  const date = () => clock.date();
  const newId = () => crypto.randomUUID();
  const ports = {
    store: queueStore(counted, date),
    clock,
    log: silentLog,
    random: () => 0.5,
    newId,
    lock: null,
  };
  return clock.run(
    tick(queue, ports, { deps: null, limitMs: 60_000, scheduler: 'test', partition: 'a', ...options }),
  );
}

const sleep = (ms: number) => new Promise<void>((resolve) => void clock.timer(ms, resolve));
const due = (row: Record<string, unknown> = {}) => tasks.add({ due: clock.date().toISOString(), ...row });
async function addDue(count: number, row: Record<string, unknown> = {}) {
  for (let n = 0; n < count; n++) await due(row);
}
const set = (change: string) =>
  database.sql(`update punctual.queues set ${change}, batch_limit = null where name = 'tasks'`);

describe('progress', () => {
  it('is written within about a second, while the row still runs', async () => {
    const id = await due();
    const step = async () => (await clock.busy(tasks.row(id))).step;
    const seen: unknown[] = [];
    await run(async (_id, { progress }) => {
      progress({ percent: 10 });
      await sleep(900);
      seen.push(await step());
      await sleep(200);
      seen.push(await step());
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
    expect(await tasks.row(id)).toMatchObject({ step: 100 });
    expect(exchanges).toBeLessThanOrEqual(14);
  });

  it('is the only loss if the call that carries it fails', async () => {
    const id = await due();
    let fails = 0;
    const rpc: Rpc = async (fn, args) => {
      const { progress } = args.p_outcomes as { progress?: unknown[] };
      if (progress?.length && fails++ < 2) throw new Error('connection lost');
      return database.rpc(fn, args);
    };
    const perform: Perform = async (_id, { progress }) => {
      progress('half');
      await sleep(3_000);
      return done();
    };
    await expect(run(perform, {}, rpc)).rejects.toThrow();
    expect(fails).toBeGreaterThanOrEqual(2);
    expect(await tasks.row(id)).toMatchObject({ status: 'done', step: null });
  });

  it('that is not JSON is omitted', async () => {
    const id = await due();
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    await run((_id, { progress }) => {
      progress(circular);
      progress(undefined);
      return done();
    });
    expect(await tasks.row(id)).toMatchObject({ status: 'done', step: null });
  });
});

describe('a handler', () => {
  it('starts in the tick’s async context, whatever the handler before it entered', async () => {
    await addDue(12);
    const storage = new AsyncLocalStorage<string>();
    const found: unknown[] = [];
    await storage.run('tick', () =>
      run(async (id) => {
        found.push(storage.getStore());
        storage.enterWith(id);
        await sleep(10);
        storage.enterWith(`${id} again`);
        return done();
      }),
    );
    expect(found).toEqual(Array(12).fill('tick'));
  });

  it('may return a result that the database cannot store: its row is done without it, and so are the others', async () => {
    const [deep, other] = [await due(), await due()];
    let nested: unknown = 1;
    for (let n = 0; n < 6_000; n++) nested = [nested];
    await run((id) => done({ answer: id === deep ? nested : 'short' }));
    expect(await tasks.row(deep)).toMatchObject({ status: 'done', answer: null });
    expect(await tasks.row(other)).toMatchObject({ status: 'done', answer: 'short' });
  });

  it.each([
    ['Infinity', Number.POSITIVE_INFINITY, 366 * 86_400],
    ['a date instead of seconds', Date.parse('2026-03-03'), 366 * 86_400],
    ['1e300', 1e300, 366 * 86_400],
    // The backoff is 30 s after the first attempt, and half of it here.
    ['NaN', Number.NaN, 15],
    ['-5', -5, 15],
  ])('may ask for a wait of %s, and gets a bounded one', async (_, afterSeconds, seconds) => {
    const id = await due();
    await run(() => retry('later', afterSeconds));
    const { status, attempts, next_attempt_at } = await tasks.row(id);
    const waits = (Date.parse(next_attempt_at) - clock.now()) / 1_000;
    expect({ status, attempts, waits }).toEqual({ status: 'pending', attempts: 1, waits: seconds });
  });

  it('may ask for the next run after 1e300 seconds', async () => {
    const id = await due();
    await run(() => again(1e300));
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

  it('claims dead rows only as they start: a row that kills the process affects no waiting row', async () => {
    await addDue(20, { max_attempts: 1, status: 'dead', attempts: 1 });
    let highest = 0;
    const perform: Perform = async () => {
      await sleep(100);
      const running = clock.busy(database.sql(`select from app.tasks where status = 'running'`));
      highest = Math.max(highest, (await running).length);
      return done();
    };
    const report = await run(perform, { asked: { state: 'dead', limit: null } });
    expect([report.counts.done, highest]).toEqual([20, 5]);
  });
});

describe('a budget in the registry', () => {
  it('ends a tick before its limit', async () => {
    await set('budget_seconds = 20');
    await addDue(40);
    const startedAt = clock.now();
    const report = await run(() => sleep(2_000).then(() => done()));
    expect(report).toMatchObject({ ended: 'budget', budgetMs: 20_000 });
    expect(clock.now() - startedAt).toBeLessThanOrEqual(20_000);
    expect(report.backlogDue).toBeGreaterThan(0);
  });

  it.each<[what: string, budget: number, own: number | null, agoMs: number, budgetMs: number]>([
    ['yields to the partition’s own', 20, 30, 0, 30_000],
    ['counts from the tick’s own start if one call runs several ticks', 20, null, 15_000, 35_000],
    ['longer than the limit allows has no effect', 500, null, 0, 45_000],
  ])('%s', async (_, budget, own, agoMs, budgetMs) => {
    await set(`budget_seconds = ${budget}`);
    await database.sql(
      `update punctual.partitions set budget_seconds = $1 where queue = 'tasks' and partition = 'a'`,
      [own],
    );
    await due();
    const report = await run(undefined, { startedAt: clock.now() - agoMs });
    expect(report).toMatchObject({ budgetMs, counts: { done: 1 } });
  });

  it('into which no row fits makes the tick fail, and its rows stay pending', async () => {
    await set('budget_seconds = 10');
    const id = await due();
    await expect(run()).rejects.toMatchObject({
      kind: 'registry',
      message:
        "tasks: nothing fits into the registry's budget of 10 s, since a row may take 15 s: change it in punctual.queues",
    });
    expect(await tasks.row(id)).toMatchObject({ status: 'pending', attempts: 0 });
  });
});
