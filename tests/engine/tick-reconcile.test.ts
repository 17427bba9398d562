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
const proof = (messageId: string): Finding => ({
  proof: [{ messageId }],
  candidates: [],
  absentAfterMs: null,
  text: 'it is there',
});
const nothing: Finding = { proof: [], candidates: [], absentAfterMs: null, text: 'nothing yet' };
const prove: Check = (row) => proof(`of ${row.body}`);

/** Adds `count` unknown rows, each of its own account, whose first check is due. */
async function addUnknown(count: number): Promise<void> {
  await bench.addDms(count);
  await bench.tick(bench.queue(() => unknown('no answer in time')));
  expect(await bench.states()).toEqual({ unknown: count });
  bench.clock.skip(31_000);
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
const reconciling = (check: Check, perform: () => ReturnType<typeof done> = () => done()) =>
  bench.queue(perform, { reconcile: async (row, context) => check(row, context) });
const takeCalls = () => bench.calls.filter(({ fn }) => fn === 'take_unknown');
const ledger = async () =>
  (await database.sql('select claimed, done, outcome from punctual.ticks order by started_at')).at(-1);

describe('a tick checks unknown rows', () => {
  it('after it has closed, and settles the findings', async () => {
    await addUnknown(3);
    await addDue(4);
    const order: string[] = [];
    const report = await bench.tick(
      reconciling(
        (row) => {
          order.push('check');
          return prove(row, {} as never);
        },
        () => {
          order.push('send');
          return done();
        },
      ),
    );
    expect(order).toEqual(['send', 'send', 'send', 'send', 'check', 'check', 'check']);
    expect(report).toMatchObject({
      outcome: 'ran',
      ended: 'drained',
      counts: { claimed: 4, done: 4 },
      checks: { checked: 3, resolved: 3 },
    });
    expect(await bench.states()).toEqual({ sent: 7 });
    expect(await ledger()).toEqual({ claimed: 4, done: 4, outcome: 'ran' });
  });

  it('with the row, its account, the start of its attempt and a signal', async () => {
    await addUnknown(1);
    const claimedAt = Date.parse(
      (await database.sql('select claimed_at from punctual.dm_queue'))[0].claimed_at,
    );
    let seen: ReconcileContext<null> | undefined;
    await bench.tick(
      reconciling((_row, context) => {
        seen = context;
        return nothing;
      }),
    );
    expect(seen).toMatchObject({
      account: { provider: 'unipile', providerAccountId: 'account-1' },
      evidence: { receipts: [], others: [] },
    });
    expect(Date.parse(seen?.attemptedAt ?? '')).toBe(claimedAt);
    expect(seen?.signal.aborted).toBe(false);
  });

  it('at the concurrency of the queue, until none is due', async () => {
    await addUnknown(12);
    let highest = 0;
    let running = 0;
    const report = await bench.tick(
      reconciling(async (row, context) => {
        highest = Math.max(highest, ++running);
        await bench.sleep(1_000);
        running--;
        return prove(row, context);
      }),
    );
    expect(highest).toBe(5);
    expect(report).toMatchObject({ counts: { claimed: 0 }, checks: { checked: 12, resolved: 12 } });
    expect(report.usedMs).toBeLessThan(4_000);
  });

  it('even after its batch limit', async () => {
    await addUnknown(2);
    await addDue(5);
    await database.sql('update punctual.queues set batch_limit = 3');
    expect(await bench.tick(reconciling(prove))).toMatchObject({
      ended: 'batch limit',
      counts: { claimed: 3, done: 3 },
      checks: { checked: 2, resolved: 2 },
    });
    expect(await bench.states()).toEqual({ sent: 5, pending: 2 });
  });

  it('even while the queue is paused', async () => {
    await addUnknown(2);
    await addDue(1);
    await database.sql(`update punctual.queues set paused_at = '2026-01-01'`);
    expect(await bench.tick(reconciling(prove))).toMatchObject({
      counts: { claimed: 0 },
      checks: { checked: 2, resolved: 2 },
    });
    expect(await bench.states()).toEqual({ sent: 2, pending: 1 });
  });

  it('only if a check fits into the rest of its time', async () => {
    await addUnknown(1);
    const late = { startedAt: bench.clock.now() - 29_100 };
    expect(await bench.tick(reconciling(prove), late)).not.toHaveProperty('checks');
    expect(takeCalls()).toEqual([]);
    expect(await bench.tick(reconciling(prove), { startedAt: bench.clock.now() - 28_900 })).toMatchObject({
      checks: { checked: 1, resolved: 1 },
    });
  });

  it('until its budget is over, and leaves the rest to the next tick', async () => {
    await addUnknown(30);
    const from = bench.clock.now();
    const report = await bench.tick(
      reconciling(async (row, context) => {
        await bench.sleep(14_000);
        return prove(row, context);
      }),
    );
    expect(bench.clock.now() - from).toBeLessThanOrEqual(45_000);
    expect(report.checks).toEqual({ checked: 15, resolved: 15 });
    bench.clock.skip(60_000);
    expect((await bench.tick(reconciling(prove))).checks).toEqual({ checked: 15, resolved: 15 });
  });

  it('only if the queue has a `reconcile`', async () => {
    await addUnknown(1);
    expect(await bench.tick(bench.queue(() => done()))).toMatchObject({ outcome: 'idle', exchanges: 1 });
    expect(takeCalls()).toEqual([]);
  });

  it('at no cost while none is due: an idle tick makes one database call', async () => {
    await bench.addDms(3);
    await bench.tick(bench.queue(() => unknown('no answer')));
    bench.calls.length = 0;
    bench.clock.skip(20_000);
    expect(await bench.tick(reconciling(prove))).toMatchObject({
      outcome: 'idle',
      exchanges: 1,
    });
    expect(bench.calls).toHaveLength(1);
  });
});

describe('a check', () => {
  it('that hangs is aborted at its timeout and blocks no other', async () => {
    await addUnknown(3);
    let aborted = 0;
    const from = bench.clock.now();
    const report = await bench.tick(
      reconciling((row, { signal }) => {
        if (row.body !== 'message 2') return prove(row, {} as never);
        signal.addEventListener('abort', () => {
          aborted = bench.clock.now() - from;
        });
        return new Promise(() => {});
      }),
    );
    expect(aborted).toBe(15_000);
    expect(report.checks).toEqual({ checked: 3, resolved: 2 });
    expect(report.usedMs).toBeLessThan(16_000);
    const [row] = await database.sql(
      `select status, reconcile, reconcile_at from punctual.dm_queue where body = 'message 2'`,
    );
    expect(row).toMatchObject({
      status: 'unknown',
      reconcile: { found: 'the check failed: no answer within 15000 ms', waits_for_operator: false },
      reconcile_at: expect.any(String),
    });
  });

  it.each<[name: string, check: Check]>([
    ['throws', () => Promise.reject(new Error('boom'))],
    ['throws a string', () => Promise.reject('boom')],
    ['returns an invalid finding', () => ({ text: 'boom' }) as never],
    ['returns undefined', () => undefined as never],
  ])('that %s proves nothing, and is repeated', async (_name, check) => {
    await addUnknown(2);
    const report = await bench.tick(
      reconciling((row, context) => (row.body === 'message 1' ? check(row, context) : prove(row, context))),
    );
    expect(report.checks).toEqual({ checked: 2, resolved: 1 });
    expect(await bench.states()).toEqual({ unknown: 1, sent: 1 });
    bench.clock.skip(61_000);
    expect((await bench.tick(reconciling(prove))).checks).toEqual({ checked: 1, resolved: 1 });
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
    const error = await bench.reconcile(reconciling(prove)).catch((thrown) => thrown);
    expect(error).toMatchObject({ kind: 'unavailable' });
    expect(await bench.states()).toEqual({ sent: 3 });
  });

  it('is found again after the lease of its check if the call never arrived', async () => {
    await addUnknown(3);
    failing(1, false);
    await expect(bench.reconcile(reconciling(prove))).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await bench.reconcile(reconciling(prove))).toMatchObject({ checked: 0 });
    bench.clock.skip(91_000);
    expect(await bench.reconcile(reconciling(prove))).toMatchObject({ checked: 3, resolved: 3 });
    expect(await bench.states()).toEqual({ sent: 3 });
  });

  it('that a tick cannot write is logged, and the tick still reports its rows', async () => {
    await addUnknown(2);
    await addDue(1);
    failing(9, false);
    const report = await bench.tick(reconciling(prove));
    expect(report).toMatchObject({ outcome: 'ran', counts: { done: 1 } });
    expect(report).not.toHaveProperty('checks');
    expect(bench.logged).toContainEqual(
      expect.objectContaining({ level: 'warn', message: 'unknown rows could not be checked' }),
    );
  });

  it('that the database refuses affects no other finding, and its row is checked again', async () => {
    await addUnknown(2);
    await database.sql(`create function punctual.refuse_proof() returns trigger language plpgsql as $$
      begin if new.provider_message_id = 'poison' then raise exception 'not this one'; end if; return new; end $$`);
    await database.sql(
      'create trigger refuse_proof before update on punctual.dm_queue for each row execute function punctual.refuse_proof()',
    );
    try {
      const queue = reconciling((row) => proof(row.body === 'message 1' ? 'poison' : 'its own'));
      expect(await bench.reconcile(queue)).toMatchObject({ checked: 2, resolved: 1 });
      const rows = await database.sql(
        'select body, status, provider_message_id from punctual.dm_queue order by id',
      );
      expect(rows).toEqual([
        { body: 'message 1', status: 'unknown', provider_message_id: null },
        { body: 'message 2', status: 'sent', provider_message_id: 'its own' },
      ]);
    } finally {
      await database.sql('drop trigger refuse_proof on punctual.dm_queue; ');
      await database.sql('drop function punctual.refuse_proof()');
    }
    bench.clock.skip(120_000);
    expect(await bench.reconcile(reconciling(prove))).toMatchObject({ checked: 1, resolved: 1 });
  });
});

describe('a call that only reconciles', () => {
  it('claims no due row and adds nothing to the ledger', async () => {
    await addUnknown(2);
    await addDue(3);
    const before = await database.sql('select count(*)::integer as n from punctual.ticks');
    expect(await bench.reconcile(reconciling(prove))).toEqual({
      queue: 'dm_queue',
      checked: 2,
      resolved: 2,
      ended: 'drained',
    });
    expect(await bench.states()).toEqual({ sent: 2, pending: 3 });
    expect(await database.sql('select count(*)::integer as n from punctual.ticks')).toEqual(before);
  });

  it('runs beside a tick, and two such calls check no row twice', async () => {
    await addUnknown(2);
    await addDue(1);
    const inside: unknown[] = [];
    const checked: string[] = [];
    const otherCall = reconciling((row) => {
      checked.push(row.id);
      return prove(row, {} as never);
    });
    await bench.reconcile(
      reconciling(async (row, context) => {
        if (row.body === 'message 1') inside.push(await bench.start(bench.queue(() => done())));
        if (row.body === 'message 1') await bench.start(otherCall);
        return prove(row, context);
      }),
    );
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
    const from = bench.clock.now();
    const options = { stop: { signal: stop.signal, graceMs: 10_000 } };
    await bench.reconcile(
      reconciling(() => new Promise(() => {})),
      options,
    );
    expect(bench.clock.now() - from).toBeLessThan(1_000);
  });

  it('cuts its checks at the stop signal, and they are repeated later', async () => {
    await addUnknown(2);
    const stop = new AbortController();
    bench.clock.timer(3_000, () => stop.abort());
    const options = { stop: { signal: stop.signal, graceMs: 10_000 } };
    const from = bench.clock.now();
    const report = await bench.reconcile(
      reconciling(() => new Promise(() => {})),
      options,
    );
    expect(report).toMatchObject({ resolved: 0, ended: 'stopped' });
    expect(bench.clock.now() - from).toBeLessThan(4_000);
    bench.clock.skip(120_000);
    expect(await bench.reconcile(reconciling(prove))).toMatchObject({ checked: 2, resolved: 2 });
  });
});
