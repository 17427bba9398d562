import { describe, expect, it } from 'vitest';
import { dead, done } from '../../lib/engine/outcome.ts';
import { StoreError } from '../../lib/engine/ports/store-error.ts';
import { perTestBench, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const bench = perTestBench(database);

const sleeping = (ms: number) => bench.queue(() => bench.sleep(ms).then(() => done()));
const sending = () => bench.queue(() => done());
const lost = () => Promise.reject(new StoreError('unavailable', 'connection lost'));
const change = (set: string) => database.sql(`update punctual.queues set ${set}`);

/** Fails the calls of the database for which `fails` returns true, before or after the call. `n` counts from 1. */
function failCalls(
  when: 'before' | 'after',
  fails: (n: number) => boolean,
  fault: () => Promise<unknown> = lost,
) {
  let calls = 0;
  bench.setFault(async (_call, go) => {
    const isFaulty = fails(++calls);
    if (isFaulty && when === 'before') return fault();
    const response = await go();
    return isFaulty ? fault() : response;
  });
}
/** A queue that records which rows run. */
function recording() {
  const performed: string[] = [];
  const queue = bench.queue(async (row) => {
    performed.push(row.body);
    await bench.sleep(300);
    return done();
  });
  return { performed, queue };
}

describe('a database that hangs or refuses', () => {
  const afterMs = (ms: number, error: StoreError) => () => bench.sleep(ms).then(() => Promise.reject(error));
  const hang = afterMs(5_000, new StoreError('unavailable', 'no answer within 5 s'));
  const slowRefusal = afterMs(4_900, new StoreError('refused', 'no', '22P02'));

  it.each([
    ['hangs from second 40', 40_000, hang],
    ['hangs from second 43', 43_000, hang],
    ['refuses every call slowly from second 40', 40_000, slowRefusal],
    ['refuses every call slowly from second 1', 1_000, slowRefusal],
  ])('%s: the tick ends 3.5 s before its limit', async (_case, faultyAfterMs, fault) => {
    await bench.addDms(60);
    await change('batch_limit = null');
    const from = bench.clock.now();
    let isFaulty = true;
    failCalls('before', () => isFaulty && bench.clock.now() - from >= faultyAfterMs, fault);
    await bench.tick(sleeping(14_000)).catch((error) => expect(error.kind).toBeDefined());
    expect(bench.clock.now() - from).toBeLessThanOrEqual(56_500);
    isFaulty = false;
  });
});

describe('a tick whose database fails', () => {
  it('rejects at once if it has claimed nothing', async () => {
    await bench.addDms(3);
    failCalls('before', () => true);
    await expect(bench.tick(sending())).rejects.toMatchObject({ kind: 'unavailable' });
    expect(bench.calls.length).toBeLessThanOrEqual(4);
  });

  it('releases its rows when the database is back, if the response to its first claim was lost twice', async () => {
    await bench.addDms(3);
    failCalls('after', (n) => n <= 2);
    await expect(bench.tick(sending())).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await bench.states()).toEqual({ pending: 3 });
  });

  it.each([2, 3, 4, 5])('runs every row once if the response to call %i is lost', async (call) => {
    await bench.addDms(14);
    failCalls('after', (n) => n === call);
    const { performed, queue } = recording();
    expect((await bench.tick(queue)).counts).toMatchObject({ claimed: 14, done: 14, lost: 0 });
    expect([performed.length, new Set(performed).size]).toEqual([14, 14]);
    expect(await bench.states()).toEqual({ sent: 14 });
  });

  it('settles every claimed row if the database returns in time, and rejects with its counts', async () => {
    await bench.addDms(20);
    let isDown = false;
    failCalls('before', () => isDown);
    const setIn = (ms: number, state: boolean) =>
      bench.clock.timer(ms, () => {
        isDown = state;
      });
    const ticking = bench.tick(
      bench.queue(async () => {
        setIn(100, true);
        await bench.sleep(1_000);
        setIn(5_000, false);
        return done();
      }),
    );
    await expect(ticking).rejects.toMatchObject({ kind: 'unavailable', counts: { claimed: 5, done: 5 } });
    expect(await bench.states()).toEqual({ sent: 5, pending: 15 });
  });

  it('ends within its limit if the database stays away, and logs each outcome that it could not write', async () => {
    await bench.addDms(20);
    const from = bench.clock.now();
    failCalls('before', (n) => n > 1);
    const ticking = bench.tick(
      bench.queue(() => bench.sleep(1_000).then(() => done({ provider_message_id: 'p1' }))),
    );
    await expect(ticking).rejects.toMatchObject({ kind: 'unavailable' });
    expect(bench.clock.now() - from).toBeLessThan(60_000);
    const unwritten = { outcome: 'done', result: { provider_message_id: 'p1' } };
    expect(bench.logged.filter(({ level }) => level === 'error')).toMatchObject(
      Array(5).fill({ fields: unwritten }),
    );
    // The running rows become unknown once their leases have passed, and none is sent again.
    failCalls('before', () => false);
    bench.clock.skip(91_000);
    await bench.tick(sending());
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
      const message = expect.stringContaining('could not be written');
      expect(bench.logged).toContainEqual(expect.objectContaining({ level: 'error', message }));
      const errors = await database.sql(`select text from punctual.history where event = 'error'`);
      expect(errors).toEqual([{ text: 'its outcome could not be written: not this one' }]);
    } finally {
      await database.sql('drop trigger refuse_poison on punctual.dm_queue');
      await database.sql('drop function punctual.refuse_poison()');
    }
  });

  it('still writes the outcomes of finished rows if the database refuses to claim', async () => {
    await bench.addDms(5);
    let calls = 0;
    const refused = () => Promise.reject(new StoreError('refused', 'a facts function raised', 'P0001'));
    bench.setFault(({ args }, go) => (++calls > 1 && args.p_want !== 0 ? refused() : go()));
    const counts = { claimed: 5, done: 5 };
    await expect(bench.tick(sending())).rejects.toMatchObject({ kind: 'refused', counts });
    expect(await bench.states()).toEqual({ sent: 5 });
  });
});

it('a copy of a call that arrives late does not close the tick: its running rows end and are settled', async () => {
  await bench.addDms(5);
  let calls = 0;
  bench.setFault(async (_call, go) => {
    // A copy of the first call arrives before the third call.
    if (++calls === 3) await bench.clock.busy(database.rpc('exchange', bench.calls[0]?.args ?? {}));
    return go();
  });
  let n = 0;
  const report = await bench.tick(bench.queue(() => bench.sleep(1_000 * ++n).then(() => done())));
  expect(calls).toBeGreaterThan(3);
  expect(report).toMatchObject({ ended: 'drained', counts: { claimed: 5, done: 5 } });
  expect(await bench.states()).toEqual({ sent: 5 });
});

describe('a tick whose database cancels long calls', () => {
  const cancelled = () => Promise.reject(new StoreError('unavailable', 'canceling statement', '57014'));
  interface Args {
    p_want: number | null;
    p_tick: { call_ms?: number };
    p_outcomes: { done: { ids: string[] }[]; records: object[] };
  }
  const countOutcomes = ({ p_outcomes: { done, records } }: Args) =>
    records.length + done.reduce((sum, { ids }) => sum + ids.length, 0);
  const cancelIf = (isLong: (args: Args) => boolean) =>
    bench.setFault(({ args }, go) => (isLong(args as unknown as Args) ? cancelled() : go()));

  it.each<[what: string, isLong: (args: Args) => boolean]>([
    ['with more than one outcome', (args) => countOutcomes(args) > 1],
    ['with a claim of more than one row', ({ p_want }) => p_want === null || p_want > 1],
    ['that do more than the least of each loop', ({ p_tick }) => p_tick.call_ms !== 0],
  ])('runs and settles every row once if calls %s are cancelled', async (_what, isLong) => {
    await bench.addDms(20);
    cancelIf(isLong);
    const { performed, queue } = recording();
    expect((await bench.tick(queue)).counts).toMatchObject({ claimed: 20, done: 20, lost: 0 });
    expect(performed).toHaveLength(20);
    expect(await bench.states()).toEqual({ sent: 20 });
    expect(bench.calls.length).toBeLessThan(4 * 20);
  });

  it('writes its last 300 outcomes in fewer than 40 calls if calls with more than 40 are cancelled', async () => {
    await bench.addDms(300);
    await change('batch_limit = 300, concurrency = 300');
    cancelIf((args) => countOutcomes(args) > 40);
    // The attempts end when no time is left to claim more.
    const { counts } = await bench.tick(sleeping(14_000));
    expect(counts).toMatchObject({ claimed: 300, done: 300, lost: 0 });
    expect(await bench.states()).toEqual({ sent: 300 });
    expect(bench.calls.length).toBeLessThan(40);
  });

  it('runs no row twice and loses none if responses come too late', async () => {
    await bench.addDms(14);
    const late = () => bench.sleep(5_000).then(lost);
    failCalls('after', (n) => n % 3 === 2, late);
    const { performed, queue } = recording();
    const { claimed, done: settled, released, lost: lostCount } = (await bench.tick(queue)).counts;
    expect(performed).toHaveLength(new Set(performed).size);
    expect([settled + released, settled, lostCount]).toEqual([claimed, performed.length, 0]);
    expect(await bench.states()).toMatchObject({ sent: performed.length });
    expect((await bench.states()).unknown).toBeUndefined();
  });
});
