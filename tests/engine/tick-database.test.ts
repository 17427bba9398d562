import { describe, expect, it } from 'vitest';
import { dead, done } from '../../lib/engine/outcome.ts';
import { StoreError } from '../../lib/engine/ports/store-error.ts';
import { perTestBench, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const bench = perTestBench(database);

describe('a database that hangs or refuses', () => {
  const hang = () =>
    new Promise<never>((_resolve, reject) => {
      bench.clock.timer(5_000, () => reject(new StoreError('unavailable', 'no answer within 5 s')));
    });
  const slowRefusal = () =>
    new Promise<never>((_resolve, reject) => {
      bench.clock.timer(4_900, () => reject(new StoreError('refused', 'no', '22P02')));
    });

  it.each([
    ['hangs from second 40', 40_000, hang],
    ['hangs from second 43', 43_000, hang],
    ['refuses every call slowly from second 40', 40_000, slowRefusal],
    ['refuses every call slowly from second 1', 1_000, slowRefusal],
  ])('%s: the tick ends 3.5 s before its limit', async (_case, afterMs, fault) => {
    await bench.addDms(60);
    await database.sql('update punctual.queues set batch_limit = null');
    const from = bench.clock.now();
    let isFaulty = true;
    bench.setFault((_call, go) => {
      if (!isFaulty || bench.clock.now() - from < afterMs) return go();
      const failure = fault();
      failure.catch(() => {});
      return failure;
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
    isFaulty = false;
  });
});

describe('a tick whose database fails', () => {
  const loseConnection = () => Promise.reject(new StoreError('unavailable', 'connection lost'));

  it('rejects at once if it has claimed nothing', async () => {
    await bench.addDms(3);
    bench.setFault(loseConnection);
    await expect(bench.tick(bench.queue(() => done()))).rejects.toMatchObject({ kind: 'unavailable' });
    expect(bench.calls.length).toBeLessThanOrEqual(4);
  });

  it('releases its rows when the database is back, if the response to its first claim was lost twice', async () => {
    await bench.addDms(3);
    let calls = 0;
    bench.setFault(async (_call, go) => {
      const response = await go();
      return ++calls <= 2 ? loseConnection() : response;
    });
    await expect(bench.tick(bench.queue(() => done()))).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await bench.states()).toEqual({ pending: 3 });
  });

  it.each([2, 3, 4, 5])(
    'runs every row exactly once if the response to call %i is lost after the commit',
    async (lost) => {
      await bench.addDms(14);
      let calls = 0;
      bench.setFault(async (_call, go) => {
        const response = await go();
        return ++calls === lost ? loseConnection() : response;
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

  it('settles every claimed row if the database returns in time, and rejects with its counts', async () => {
    await bench.addDms(20);
    let down = false;
    bench.setFault((_call, go) => (down ? loseConnection() : go()));
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

  it('ends within its limit if the database stays away, and logs each outcome that it could not write', async () => {
    await bench.addDms(20);
    let down = false;
    bench.setFault((_call, go) => (down ? loseConnection() : go()));
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
    // The running rows become unknown once their leases have passed, and none is sent again.
    bench.setFault((_call, go) => go());
    bench.clock.skip(91_000);
    await bench.tick(bench.queue(() => done()));
    expect(await bench.states()).toEqual({ unknown: 5, sent: 15 });
  });

  it('writes the other outcomes of a group if the database refuses one, and continues', async () => {
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

describe('a copy of a call that arrives late', () => {
  it('does not close the tick: its running rows end and are settled', async () => {
    await bench.addDms(5);
    let first: Record<string, unknown> | null = null;
    let calls = 0;
    bench.setFault(async (call, go) => {
      first ??= call.args;
      // A copy of the first call arrives before the third call.
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
  it('still writes the outcomes of finished rows', async () => {
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

describe('a tick whose database cancels long calls', () => {
  const cancelled = () => Promise.reject(new StoreError('unavailable', 'canceling statement', '57014'));
  type Args = Record<string, unknown> & {
    p_tick: { call_ms?: number };
    p_outcomes: { done: { ids: string[] }[]; records: object[] };
  };
  const countOutcomes = ({ p_outcomes: { done, records } }: Args) =>
    records.length + done.reduce((sum, { ids }) => sum + ids.length, 0);

  it('writes every outcome if calls with more than one are cancelled', async () => {
    await bench.addDms(20);
    bench.setFault(({ args }, go) => (countOutcomes(args as Args) > 1 ? cancelled() : go()));
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

  it('writes its last 300 outcomes in fewer than 40 calls if calls with more than 40 are cancelled', async () => {
    await bench.addDms(300);
    await database.sql('update punctual.queues set batch_limit = 300, concurrency = 300');
    bench.setFault(({ args }, go) => (countOutcomes(args as Args) > 40 ? cancelled() : go()));
    // The attempts end when no time is left to claim more.
    const ticking = bench.tick(bench.queue(() => bench.sleep(14_000).then(() => done())));
    expect((await ticking).counts).toMatchObject({ claimed: 300, done: 300, lost: 0 });
    expect(await bench.states()).toEqual({ sent: 300 });
    expect(bench.calls.length).toBeLessThan(40);
  });

  it('claims rows one by one if claims of more than one are cancelled', async () => {
    await bench.addDms(8);
    bench.setFault(({ args }, go) => (args.p_want === null || Number(args.p_want) > 1 ? cancelled() : go()));
    expect((await bench.tick(bench.queue(() => done()))).counts).toMatchObject({ claimed: 8, done: 8 });
    expect(await bench.states()).toEqual({ sent: 8 });
    expect(bench.calls.length).toBeLessThan(4 * 8);
  });

  it('completes its rows if only calls that do the least of each loop pass', async () => {
    await bench.addDms(8);
    bench.setFault(({ args }, go) => ((args as Args).p_tick.call_ms === 0 ? go() : cancelled()));
    expect((await bench.tick(bench.queue(() => done()))).counts).toMatchObject({ claimed: 8, done: 8 });
  });

  it('runs no row twice and loses none if responses come too late', async () => {
    await bench.addDms(14);
    let calls = 0;
    bench.setFault(async (_call, go) => {
      const response = await go();
      if (++calls % 3 !== 2) return response;
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
