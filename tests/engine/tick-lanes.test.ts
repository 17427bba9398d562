import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { done } from '../../lib/engine/outcome.ts';
import { StoreError } from '../../lib/engine/ports/store-error.ts';
import { perTest, perTestBench, testDatabase } from '../support/fixtures.ts';
import { makeTasks } from '../support/tasks.ts';
import type { Perform, TestRow } from '../support/tick-bench.ts';

const database = testDatabase({ own: true });
const bench = perTestBench(database);
perTest(() => makeTasks(database));

const callMs = 20;
/** The calls that wait for their response now, and the most at a time. */
let waiting = 0;
let highest = 0;

/** Makes each call take `callMs`. `lose`, called when the database has carried it out, says whether its response is lost. */
function slowDown(lose: (seq: number) => boolean = () => false) {
  waiting = 0;
  highest = 0;
  bench.setFault(async ({ args }, go) => {
    highest = Math.max(highest, ++waiting);
    try {
      await bench.sleep(callMs);
      const reply = await go();
      if (lose(args.p_seq as number)) throw new StoreError('unavailable', 'the response is lost');
      return reply;
    } finally {
      waiting--;
    }
  });
}

async function addDue(count: number) {
  await database.sql(
    `insert into app.tasks (due) select $1::timestamptz - make_interval(secs => n) from generate_series(1, $2) n`,
    [bench.clock.date().toISOString(), count],
  );
}
const change = (set: string) => database.sql(`update punctual.queues set ${set}`);
const states = () => database.sql('select status, count(*)::integer as n from app.tasks group by 1');

/** Runs a tick of the queue `tasks`, under at-least-once. Returns its milliseconds and its report. */
async function run(perform: Perform) {
  const queue = bench.queue(perform, {
    name: 'tasks',
    delivery: 'at-least-once',
    row: z.object({ id: z.coerce.string() }) as unknown as z.ZodType<TestRow>,
    providers: undefined,
  });
  const startedAt = bench.clock.now();
  const report = await bench.tick(queue, { partition: 'a' });
  return { report, ms: bench.clock.now() - startedAt };
}

describe('a tick with quick rows', () => {
  it('has two calls in flight, and claims more at a time than it runs', async () => {
    await addDue(2_000);
    await change('batch_limit = null, concurrency = 5');
    slowDown();
    const { report, ms } = await run(async () => {
      await bench.sleep(1);
      return done();
    });
    expect(report.counts).toMatchObject({ claimed: 2_000, done: 2_000 });
    expect(highest).toBe(2);
    // Five rows a millisecond at best: 400 ms, and 20 ms for each call at the start and the end.
    expect(ms).toBeLessThan(650);
  });

  it('runs each row once when the responses of two calls in flight are lost, and leaves none behind', async () => {
    await addDue(100);
    await change('batch_limit = null, concurrency = 5');
    const lost = new Set<number>();
    const runs = new Map<string, number>();
    slowDown((seq) => (seq === 3 || seq === 4) && !lost.has(seq) && lost.add(seq).size > 0);
    const { report } = await run(async ({ id }) => {
      runs.set(id, (runs.get(id) ?? 0) + 1);
      await bench.sleep(1);
      return done();
    });
    expect([...lost]).toEqual([3, 4]);
    expect(report.counts).toMatchObject({ claimed: 100, done: 100, lost: 0 });
    expect([...runs.values()].filter((n) => n > 1)).toEqual([]);
    expect(await states()).toEqual([{ status: 'done', n: 100 }]);
  });

  it('runs each row once when both copies of two calls in flight are lost', async () => {
    await addDue(100);
    await change('batch_limit = null, concurrency = 5');
    const copies = new Map<number, number>();
    const runs = new Map<string, number>();
    slowDown((seq) => {
      copies.set(seq, (copies.get(seq) ?? 0) + 1);
      return (seq === 3 || seq === 4) && (copies.get(seq) ?? 0) <= 2;
    });
    const attempt = run(async ({ id }) => {
      runs.set(id, (runs.get(id) ?? 0) + 1);
      await bench.sleep(1);
      return done();
    });
    await expect(attempt).rejects.toThrow('the response is lost');
    expect([...runs.values()].filter((n) => n > 1)).toEqual([]);
    // The rows of the lost claims are released.
    expect((await states()).map(({ status }) => status).sort()).toEqual(['done', 'pending']);
  });
});

describe('a tick under at-most-once', () => {
  const sending = async () => {
    const rows = database.sql(`select from punctual.dm_queue where status = 'sending'`);
    return (await bench.clock.busy(rows)).length;
  };

  it('claims ahead where rows are quick, up to twice the concurrency, so that slots stay full', async () => {
    await bench.addDms(200);
    await change('batch_limit = null, concurrency = 5');
    slowDown();
    let most = 0;
    const startedAt = bench.clock.now();
    const report = await bench.tick(
      bench.queue(async () => {
        most = Math.max(most, await sending());
        await bench.sleep(25);
        return done();
      }),
    );
    expect(report.counts.done).toBe(200);
    expect(most).toBeGreaterThan(5);
    expect(most).toBeLessThanOrEqual(10);
    // 1,000 ms at best, though a call takes almost as long as a row.
    expect(bench.clock.now() - startedAt).toBeLessThan(1_200);
  });

  it('claims only what can start at once where rows are slow, and fills a slot within 2 % of a row’s time and a call', async () => {
    await bench.addDms(60);
    await change('batch_limit = null, concurrency = 5');
    slowDown();
    let most = 0;
    let n = 0;
    const startedAt = bench.clock.now();
    await bench.tick(
      bench.queue(async () => {
        most = Math.max(most, await sending());
        // The slots end at different times.
        await bench.sleep(n < 5 ? 1_000 + 100 * n++ : 1_200);
        return done();
      }),
    );
    expect(most).toBe(5);
    expect(bench.clock.now() - startedAt).toBeLessThan((1_400 + 11 * 1_200) * 1.05);
  });

  it('sends a provider’s failures in a call of their own', async () => {
    await bench.addDms(40);
    await change('batch_limit = null, concurrency = 5');
    const overlapping: unknown[] = [];
    waiting = 0;
    bench.setFault(async ({ args }, go) => {
      const isBusy = waiting++ > 0;
      const { providers } = args.p_outcomes as { providers: unknown[] };
      if (isBusy && providers.length > 0) overlapping.push(providers);
      await bench.sleep(callMs);
      const reply = await go();
      waiting--;
      return reply;
    });
    let n = 0;
    await bench.tick(
      bench.queue(async () => {
        await bench.sleep(5);
        if (n++ > 10) throw Object.assign(new Error('refused'), { kind: 'not_sent' });
        return done();
      }),
    );
    expect(overlapping).toEqual([]);
    expect(
      await database.sql(`select failures > 0 as failed from punctual.providers where name = 'unipile'`),
    ).toEqual([{ failed: true }]);
  });
});
