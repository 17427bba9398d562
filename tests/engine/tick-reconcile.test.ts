import { describe, expect, it } from 'vitest';
import { done, unknown } from '../../lib/engine/outcome.ts';
import type { Finding } from '../../lib/engine/ports/queue-store.ts';
import { StoreError } from '../../lib/engine/ports/store-error.ts';
import type { ReconcileContext } from '../../lib/engine/queue.ts';
import { perTestBench, testDatabase } from '../support/fixtures.ts';
import type { TestRow } from '../support/tick-bench.ts';

const database = testDatabase();
const bench = perTestBench(database);

type Check = (row: TestRow, context: ReconcileContext<null>) => Promise<Finding> | Finding;
const nothing: Finding = { proof: [], candidates: [], absentAfterMs: null, text: 'nothing yet' };
const proof = (messageId: string): Finding => ({ ...nothing, proof: [{ messageId }], text: 'it is there' });
const prove = (row: TestRow) => proof(`of ${row.body}`);
const hang = () => new Promise<never>(() => {});

/** Adds `count` unknown rows, each of its own account. Their first check is due after 30 s. */
async function addUnknown(count: number, waitMs = 31_000): Promise<void> {
  await bench.addDms(count);
  await bench.tick(bench.queue(() => unknown('no answer in time')));
  expect(await bench.states()).toEqual({ unknown: count });
  bench.clock.skip(waitMs);
  bench.calls.length = 0;
}
/** Adds `count` due rows, each of a new account. */
async function addDue(count: number): Promise<void> {
  await database.sql(
    `with a as (insert into punctual.accounts (provider, provider_account_id, name) select 'unipile', 'due-' || n, 'due' from generate_series(1, $1::integer) n returning id)
     insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at) select id, 'linkedin', 'c', 'due', $2 from a`,
    [count, bench.clock.date().toISOString()],
  );
}
const reconciling = (check: Check = prove, perform = () => done()) =>
  bench.queue(perform, { reconcile: async (row, context) => check(row, context) });
const tick = (check?: Check, options?: Parameters<typeof bench.tick>[1]) =>
  bench.tick(reconciling(check), options);
const reconcile = (check?: Check, options?: Parameters<typeof bench.reconcile>[1]) =>
  bench.reconcile(reconciling(check), options);
/** Runs the work, and returns how long it took in milliseconds. */
async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = bench.clock.now();
  await work();
  return bench.clock.now() - from;
}
const ticks = () => database.sql('select claimed, done, outcome from punctual.ticks order by started_at');

describe('a tick checks unknown rows', () => {
  it('after it has closed, and settles the findings', async () => {
    await addUnknown(3);
    await addDue(4);
    const order: string[] = [];
    const queue = reconciling(
      (row) => {
        order.push('check');
        return prove(row);
      },
      () => {
        order.push('send');
        return done();
      },
    );
    const report = await bench.tick(queue);
    expect(order).toEqual(['send', 'send', 'send', 'send', 'check', 'check', 'check']);
    expect(report).toMatchObject({
      outcome: 'ran',
      ended: 'drained',
      counts: { claimed: 4, done: 4 },
      checks: { checked: 3, resolved: 3 },
    });
    expect(await bench.states()).toEqual({ sent: 7 });
    expect((await ticks()).at(-1)).toEqual({ claimed: 4, done: 4, outcome: 'ran' });
  });

  it('with the row, its account, the start of its attempt and a signal', async () => {
    await addUnknown(1);
    const [{ claimed_at }] = await database.sql('select claimed_at from punctual.dm_queue');
    const seen: ReconcileContext<null>[] = [];
    await tick((_row, context) => {
      seen.push(context);
      return nothing;
    });
    expect(seen).toMatchObject([
      {
        account: { provider: 'unipile', providerAccountId: 'account-1' },
        evidence: { receipts: [], others: [] },
        signal: { aborted: false },
      },
    ]);
    expect(Date.parse(seen[0]?.attemptedAt ?? '')).toBe(Date.parse(claimed_at));
  });

  it('at the concurrency of the queue, until none is due', async () => {
    await addUnknown(12);
    let highest = 0;
    let running = 0;
    const report = await tick(async (row) => {
      highest = Math.max(highest, ++running);
      await bench.sleep(1_000);
      running--;
      return prove(row);
    });
    expect(highest).toBe(5);
    expect(report).toMatchObject({ counts: { claimed: 0 }, checks: { checked: 12, resolved: 12 } });
    expect(report.usedMs).toBeLessThan(4_000);
  });

  it.each([
    ['after its batch limit', 'batch_limit = 3', 3],
    ['while the queue is paused', `paused_at = '2026-01-01'`, 0],
  ])('even %s', async (_, set, claimed) => {
    await addUnknown(2);
    await addDue(5);
    await database.sql(`update punctual.queues set ${set}`);
    expect(await tick()).toMatchObject({ counts: { claimed }, checks: { checked: 2, resolved: 2 } });
    expect(await bench.states()).toEqual({ sent: 2 + claimed, pending: 5 - claimed });
  });

  it('only if a check fits into the rest of its time', async () => {
    await addUnknown(1);
    const startedAt = (msAgo: number) => ({ startedAt: bench.clock.now() - msAgo });
    expect(await tick(prove, startedAt(29_100))).not.toHaveProperty('checks');
    expect(bench.calls.map(({ fn }) => fn)).not.toContain('take_unknown');
    expect((await tick(prove, startedAt(28_900))).checks).toEqual({ checked: 1, resolved: 1 });
  });

  it('until its budget is over, and leaves the rest to the next tick', async () => {
    await addUnknown(30);
    const slow: Check = (row) => bench.sleep(14_000).then(() => prove(row));
    const half = { checked: 15, resolved: 15 };
    const tookMs = await timed(async () => expect((await tick(slow)).checks).toEqual(half));
    expect(tookMs).toBeLessThanOrEqual(45_000);
    bench.clock.skip(60_000);
    expect((await tick()).checks).toEqual(half);
  });

  it('only if the queue has a `reconcile`', async () => {
    await addUnknown(1);
    expect(await bench.tick(bench.queue(() => done()))).toMatchObject({ outcome: 'idle', exchanges: 1 });
    expect(bench.calls).toHaveLength(1);
  });

  it('at no cost while none is due: an idle tick makes one database call', async () => {
    await addUnknown(3, 29_000);
    expect(await tick()).toMatchObject({ outcome: 'idle', exchanges: 1 });
    expect(bench.calls).toHaveLength(1);
  });
});

describe('a check', () => {
  it('that hangs is aborted at its timeout and blocks no other', async () => {
    await addUnknown(3);
    let aborted = 0;
    const from = bench.clock.now();
    const report = await tick((row, { signal }) => {
      if (row.body !== 'message 2') return prove(row);
      signal.addEventListener('abort', () => {
        aborted = bench.clock.now() - from;
      });
      return hang();
    });
    expect(aborted).toBe(15_000);
    expect(report.checks).toEqual({ checked: 3, resolved: 2 });
    expect(report.usedMs).toBeLessThan(16_000);
    const found = 'the check failed: no answer within 15000 ms';
    const rows = await database.sql(`select * from punctual.dm_queue where body = 'message 2'`);
    expect(rows).toMatchObject([
      {
        status: 'unknown',
        reconcile: { found, waits_for_operator: false },
        reconcile_at: expect.any(String),
      },
    ]);
  });

  it.each<[name: string, check: Check]>([
    ['throws', () => Promise.reject(new Error('boom'))],
    ['throws a string', () => Promise.reject('boom')],
    ['returns an invalid finding', () => ({ text: 'boom' }) as never],
    ['returns undefined', () => undefined as never],
  ])('that %s proves nothing, and is repeated', async (_name, check) => {
    await addUnknown(2);
    const report = await tick((row, context) =>
      row.body === 'message 1' ? check(row, context) : prove(row),
    );
    expect(report.checks).toEqual({ checked: 2, resolved: 1 });
    expect(await bench.states()).toEqual({ unknown: 1, sent: 1 });
    bench.clock.skip(61_000);
    expect((await tick()).checks).toEqual({ checked: 1, resolved: 1 });
  });
});

describe('a finding', () => {
  /** Fails the first `times` calls of `settle_findings`. If `isDone`, the database carries them out first. */
  const failing = (times: number, isDone: boolean) => {
    let failed = 0;
    bench.setFault(async ({ fn }, go) => {
      if (fn !== 'settle_findings' || failed++ >= times) return go();
      if (isDone) await go();
      throw new StoreError('unavailable', 'connection lost');
    });
  };

  it('is written although the response is lost', async () => {
    await addUnknown(3);
    failing(1, true);
    await expect(reconcile()).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await bench.states()).toEqual({ sent: 3 });
  });

  it('is found again after the lease of its check if the call never arrived', async () => {
    await addUnknown(3);
    failing(1, false);
    await expect(reconcile()).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await reconcile()).toMatchObject({ checked: 0 });
    bench.clock.skip(91_000);
    expect(await reconcile()).toMatchObject({ checked: 3, resolved: 3 });
    expect(await bench.states()).toEqual({ sent: 3 });
  });

  it('that a tick cannot write is logged, and the tick still reports its rows', async () => {
    await addUnknown(2);
    await addDue(1);
    failing(9, false);
    const report = await tick();
    expect(report).toMatchObject({ outcome: 'ran', counts: { done: 1 } });
    expect(report).not.toHaveProperty('checks');
    expect(bench.logged).toMatchObject([{ level: 'warn', message: 'unknown rows could not be checked' }]);
  });

  it('that the database refuses affects no other finding, and its row is checked again', async () => {
    await addUnknown(2);
    await database.sql(`create function punctual.refuse_proof() returns trigger language plpgsql as $$
      begin if new.provider_message_id = 'poison' then raise exception 'not this one'; end if; return new; end $$`);
    await database.sql(
      'create trigger refuse_proof before update on punctual.dm_queue for each row execute function punctual.refuse_proof()',
    );
    try {
      const poisoned: Check = (row) => proof(row.body === 'message 1' ? 'poison' : 'its own');
      expect(await reconcile(poisoned)).toMatchObject({ checked: 2, resolved: 1 });
      const rows = await database.sql(
        'select status, provider_message_id from punctual.dm_queue order by id',
      );
      expect(rows).toEqual([
        { status: 'unknown', provider_message_id: null },
        { status: 'sent', provider_message_id: 'its own' },
      ]);
    } finally {
      await database.sql('drop trigger refuse_proof on punctual.dm_queue');
      await database.sql('drop function punctual.refuse_proof()');
    }
    bench.clock.skip(120_000);
    expect(await reconcile()).toMatchObject({ checked: 1, resolved: 1 });
  });
});

describe('a call that only reconciles', () => {
  it('claims no due row and adds nothing to the ledger', async () => {
    await addUnknown(2);
    await addDue(3);
    const before = await ticks();
    const resolved = { queue: 'dm_queue', checked: 2, resolved: 2, ended: 'drained' };
    expect(await reconcile()).toEqual(resolved);
    expect(await bench.states()).toEqual({ sent: 2, pending: 3 });
    expect(await ticks()).toEqual(before);
  });

  it('runs beside a tick, and two such calls check no row twice', async () => {
    await addUnknown(2);
    await addDue(1);
    const inside: unknown[] = [];
    const checked: string[] = [];
    const other = reconciling((row) => {
      checked.push(row.id);
      return prove(row);
    });
    await reconcile(async (row) => {
      if (row.body === 'message 1') {
        inside.push(await bench.start(bench.queue(() => done())));
        await bench.start(other);
      }
      return prove(row);
    });
    expect(inside).toMatchObject([{ outcome: 'ran', counts: { done: 1 } }]);
    expect(checked).toEqual([]);
  });

  it('starts no check if the stop signal comes while it takes rows', async () => {
    await addUnknown(2);
    const stop = new AbortController();
    bench.setFault(async ({ fn }, go) => {
      const response = await go();
      if (fn === 'take_unknown') stop.abort();
      return response;
    });
    const options = { stop: { signal: stop.signal, graceMs: 10_000 } };
    expect(await timed(() => reconcile(hang, options))).toBeLessThan(1_000);
  });

  it('cuts its checks at the stop signal, and they are repeated later', async () => {
    await addUnknown(2);
    const stop = new AbortController();
    bench.clock.timer(3_000, () => stop.abort());
    const options = { stop: { signal: stop.signal, graceMs: 10_000 } };
    const tookMs = await timed(async () =>
      expect(await reconcile(hang, options)).toMatchObject({ resolved: 0, ended: 'stopped' }),
    );
    expect(tookMs).toBeLessThan(4_000);
    bench.clock.skip(120_000);
    expect(await reconcile()).toMatchObject({ checked: 2, resolved: 2 });
  });
});
