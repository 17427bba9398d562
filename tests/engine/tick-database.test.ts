import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { dead, done } from '../../lib/engine/outcome.ts';
import { StoreError } from '../../lib/engine/ports/store-error.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { tickBench } from '../support/tick-bench.ts';

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
    await database.sql(`create function punctual.refuse_poison() returns trigger language plpgsql as $$
      begin if new.last_error = 'poison' then raise exception 'not this one'; end if; return new; end $$`);
    await database.sql(
      'create trigger refuse_poison before update on punctual.dm_queue for each row execute function punctual.refuse_poison()',
    );
    try {
      const report = await bench.tick(
        bench.queue(async (row) => {
          await bench.sleep(100);
          return row.body === 'message 2' ? dead('poison') : done({ provider_message_id: 'fine' });
        }),
      );
      expect(report.counts).toMatchObject({ claimed: 12, done: 11 });
      expect(await bench.states()).toEqual({ sent: 11, sending: 1 });
      expect(bench.logged).toContainEqual(
        expect.objectContaining({ level: 'error', message: expect.stringContaining('could not be written') }),
      );
      expect(await database.sql(`select text from punctual.history where event = 'error'`)).toEqual([
        { text: 'its outcome could not be written: not this one' },
      ]);
    } finally {
      await database.sql('drop trigger refuse_poison on punctual.dm_queue');
      await database.sql('drop function punctual.refuse_poison()');
    }
  });
});

describe('a copy of a call that was on its way for long', () => {
  it('closes nothing: what is under way ends, and is settled', async () => {
    await bench.addDms(5);
    let first: Record<string, unknown> | null = null;
    let calls = 0;
    bench.setFault(async (call, go) => {
      first ??= call.args;
      // Before the third call arrives, the first one does once more.
      if (++calls === 3 && first) await bench.clock.busy(database.rpc('exchange', first));
      return go();
    });
    let n = 0;
    const report = await bench.tick(
      bench.queue(async () => {
        await bench.sleep(1_000 * ++n);
        return done();
      }),
    );
    expect(calls).toBeGreaterThan(3);
    expect(report).toMatchObject({ ended: 'drained', counts: { claimed: 5, done: 5 } });
    expect(await bench.states()).toEqual({ sent: 5 });
  });
});

describe('a database that refuses to claim', () => {
  it('has what was done written all the same', async () => {
    await bench.addDms(5);
    let calls = 0;
    bench.setFault(({ args }, go) =>
      ++calls > 1 && args.p_want !== 0
        ? Promise.reject(new StoreError('refused', 'a facts function raised', 'P0001'))
        : go(),
    );
    await expect(bench.tick(bench.queue(() => done()))).rejects.toMatchObject({
      kind: 'refused',
      counts: { claimed: 5, done: 5 },
    });
    expect(await bench.states()).toEqual({ sent: 5 });
  });
});

describe('a database that ends calls, since they take too long,', () => {
  const cancelled = () => Promise.reject(new StoreError('unavailable', 'canceling statement', '57014'));
  type Args = Record<string, unknown> & {
    p_tick: { call_ms?: number };
    p_outcomes: { done: { ids: string[] }[]; records: object[] };
  };
  const brought = ({ p_outcomes: { done, records } }: Args) =>
    records.length + done.reduce((sum, { ids }) => sum + ids.length, 0);

  it('with more than one outcome: each is written all the same', async () => {
    await bench.addDms(20);
    bench.setFault(({ args }, go) => (brought(args as Args) > 1 ? cancelled() : go()));
    const performed: string[] = [];
    const report = await bench.tick(
      bench.queue((row) => {
        performed.push(row.body);
        return done();
      }),
    );
    expect(performed).toHaveLength(20);
    expect(report.counts).toMatchObject({ claimed: 20, done: 20, lost: 0 });
    expect(await bench.states()).toEqual({ sent: 20 });
  });

  it('with hundreds of outcomes at the end of a tick: all are written, in less calls than there are', async () => {
    await bench.addDms(300);
    await database.sql('update punctual.queues set batch_limit = 300, concurrency = 300');
    bench.setFault(({ args }, go) => (brought(args as Args) > 40 ? cancelled() : go()));
    // They end when no time is left to claim more.
    const ticking = bench.tick(bench.queue(() => bench.sleep(14_000).then(() => done())));
    expect((await ticking).counts).toMatchObject({ claimed: 300, done: 300, lost: 0 });
    expect(await bench.states()).toEqual({ sent: 300 });
    expect(bench.calls.length).toBeLessThan(40);
  });

  it('with a claim of more than one row: they are claimed one by one', async () => {
    await bench.addDms(8);
    bench.setFault(({ args }, go) => (args.p_want === null || Number(args.p_want) > 1 ? cancelled() : go()));
    expect((await bench.tick(bench.queue(() => done()))).counts).toMatchObject({ claimed: 8, done: 8 });
    expect(await bench.states()).toEqual({ sent: 8 });
    expect(bench.calls.length).toBeLessThan(4 * 8);
  });

  it('unless they ask for the least of each loop: ticks get on', async () => {
    await bench.addDms(8);
    bench.setFault(({ args }, go) => ((args as Args).p_tick.call_ms === 0 ? go() : cancelled()));
    expect((await bench.tick(bench.queue(() => done()))).counts).toMatchObject({ claimed: 8, done: 8 });
  });

  it('or answers them too late to be heard: nothing is done twice, and nothing is lost', async () => {
    await bench.addDms(14);
    let calls = 0;
    bench.setFault(async (_call, go) => {
      const answer = await go();
      if (++calls % 3 !== 2) return answer;
      await bench.sleep(5_000);
      throw new StoreError('unavailable', 'the Data API did not answer');
    });
    const performed: string[] = [];
    const report = await bench.tick(
      bench.queue(async (row) => {
        performed.push(row.body);
        await bench.sleep(300);
        return done();
      }),
    );
    expect(performed).toHaveLength(new Set(performed).size);
    const { claimed, done: settled, released, lost } = report.counts;
    expect([settled + released, settled, lost]).toEqual([claimed, performed.length, 0]);
    expect((await bench.states()).sent).toBe(performed.length);
    expect((await bench.states()).unknown).toBeUndefined();
  });
});
