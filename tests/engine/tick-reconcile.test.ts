import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { done, unknown } from '../../lib/engine/outcome';
import type { Finding, ReconcileContext } from '../../lib/engine/queue';
import { StoreError } from '../../lib/store/rpc';
import { openTestDatabase, type TestDatabase } from '../support/test-database';
import { type TestRow, tickBench } from '../support/tick-bench';

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

type Look = (row: TestRow, context: ReconcileContext<null>) => Promise<Finding> | Finding;
const proof = (messageId: string): Finding => ({
  proofs: [{ messageId }],
  doubts: [],
  absentAfterMs: null,
  text: 'it is there',
});
const nothing: Finding = { proofs: [], doubts: [], absentAfterMs: null, text: 'nothing yet' };
const prove: Look = (row) => proof(`of ${row.body}`);

/** Unknown rows, each of an account of its own, whose first look is due. */
async function addUnknown(count: number): Promise<void> {
  await bench.addDms(count);
  await bench.tick(bench.queue(() => unknown('no answer in time')));
  expect(await bench.states()).toEqual({ unknown: count });
  bench.clock.skip(31_000);
  bench.calls.length = 0;
}
/** Due rows besides, of accounts that have no others. */
async function addDue(count: number): Promise<void> {
  await database.sql(
    `with a as (insert into punctual.accounts (provider, provider_account_id, name) select 'unipile', 'due-' || n, 'due' from generate_series(1, $1::integer) n returning id)
     insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at) select id, 'linkedin', 'c', 'due', $2 from a`,
    [count, bench.clock.date().toISOString()],
  );
}
const reconciling = (look: Look, perform: () => ReturnType<typeof done> = () => done()) =>
  bench.queue(perform, { reconcile: async (row, context) => look(row, context) });
const handedOut = () => bench.calls.filter(({ args }) => (args.p_tick as { looks: number }).looks > 0);
const ledger = async () =>
  (
    await database.sql(
      'select claimed, done, looked, resolved, outcome, report from punctual.ticks order by started_at',
    )
  ).at(-1);

describe('a tick asks what became of unknown rows', () => {
  it('when there is nothing to claim any more, and settles what it finds', async () => {
    await addUnknown(3);
    await addDue(4);
    const order: string[] = [];
    const report = await bench.tick(
      reconciling(
        (row) => {
          order.push('look');
          return prove(row, {} as never);
        },
        () => {
          order.push('send');
          return done();
        },
      ),
    );
    expect(order).toEqual(['send', 'send', 'send', 'send', 'look', 'look', 'look']);
    expect(report).toMatchObject({
      outcome: 'ran',
      ended: 'drained',
      counts: { claimed: 4, done: 4, looked: 3, resolved: 3 },
    });
    expect(await bench.states()).toEqual({ sent: 7 });
    expect(await ledger()).toMatchObject({ looked: 3, resolved: 3, outcome: 'ran' });
  });

  it('with the row, its account, when its attempt began, and a signal', async () => {
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

  it('all of them, as many side by side as rows may run', async () => {
    await addUnknown(12);
    let most = 0;
    let running = 0;
    const report = await bench.tick(
      reconciling(async (row, context) => {
        most = Math.max(most, ++running);
        await bench.sleep(1_000);
        running--;
        return prove(row, context);
      }),
    );
    expect(most).toBe(5);
    expect(report).toMatchObject({ counts: { claimed: 0, looked: 12, resolved: 12 } });
    expect(report.usedMs).toBeLessThan(4_000);
  });

  it('also after its batch limit', async () => {
    await addUnknown(2);
    await addDue(5);
    await database.sql('update punctual.queues set batch_limit = 3');
    expect(await bench.tick(reconciling(prove))).toMatchObject({
      ended: 'batch limit',
      counts: { claimed: 3, done: 3, looked: 2, resolved: 2 },
    });
    expect(await bench.states()).toEqual({ sent: 5, pending: 2 });
  });

  it('also while the queue is paused', async () => {
    await addUnknown(2);
    await addDue(1);
    await database.sql(`update punctual.queues set paused_at = '2026-01-01'`);
    expect(await bench.tick(reconciling(prove))).toMatchObject({
      counts: { claimed: 0, looked: 2, resolved: 2 },
    });
    expect(await bench.states()).toEqual({ sent: 2, pending: 1 });
  });

  it('not where the rest of its time is shorter than a look may take', async () => {
    await addUnknown(1);
    const late = { startedAt: bench.clock.now() - 29_600 };
    expect(await bench.tick(reconciling(prove), late)).toMatchObject({ counts: { looked: 0 } });
    expect(handedOut()).toEqual([]);
    expect(await bench.tick(reconciling(prove), { startedAt: bench.clock.now() - 29_400 })).toMatchObject({
      counts: { looked: 1, resolved: 1 },
    });
  });

  it('no longer than its budget lasts: what is left is asked by the next', async () => {
    await addUnknown(30);
    const from = bench.clock.now();
    const report = await bench.tick(
      reconciling(async (row, context) => {
        await bench.sleep(14_000);
        return prove(row, context);
      }),
    );
    expect(bench.clock.now() - from).toBeLessThanOrEqual(45_000);
    expect(report.counts).toMatchObject({ looked: 15, resolved: 15 });
    bench.clock.skip(60_000);
    expect((await bench.tick(reconciling(prove))).counts).toMatchObject({ looked: 15, resolved: 15 });
  });

  it('not at all where the queue cannot ask', async () => {
    await addUnknown(1);
    expect(await bench.tick(bench.queue(() => done()))).toMatchObject({ outcome: 'idle', exchanges: 1 });
    expect(handedOut()).toEqual([]);
  });

  it('and costs an idle one nothing while no look is due: one call of the database', async () => {
    await bench.addDms(3);
    await bench.tick(bench.queue(() => unknown('no answer')));
    bench.calls.length = 0;
    bench.clock.skip(20_000);
    expect(await bench.tick(reconciling(prove))).toMatchObject({
      outcome: 'idle',
      exchanges: 1,
      counts: { looked: 0 },
    });
    expect(bench.calls).toHaveLength(1);
  });
});

describe('a look', () => {
  it('that hangs is left behind when its time is over, hears its signal, and holds up no other', async () => {
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
    expect(report.counts).toMatchObject({ looked: 3, resolved: 2 });
    expect(report.usedMs).toBeLessThan(16_000);
    const [row] = await database.sql(
      `select status, reconcile, reconcile_at from punctual.dm_queue where body = 'message 2'`,
    );
    expect(row).toMatchObject({
      status: 'unknown',
      reconcile: { found: 'it could not be found out: no answer within 15000 ms', waits_for_operator: false },
      reconcile_at: expect.any(String),
    });
  });

  it.each<[what: string, look: Look]>([
    ['throws', () => Promise.reject(new Error('boom'))],
    ['throws what is no error', () => Promise.reject('boom')],
    ['finds what is no finding', () => ({ text: 'boom' }) as never],
    ['finds nothing at all', () => undefined as never],
  ])('that %s proves nothing, and is repeated', async (_what, look) => {
    await addUnknown(2);
    const report = await bench.tick(
      reconciling((row, context) => (row.body === 'message 1' ? look(row, context) : prove(row, context))),
    );
    expect(report.counts).toMatchObject({ looked: 2, resolved: 1 });
    expect(await bench.states()).toEqual({ unknown: 1, sent: 1 });
    bench.clock.skip(61_000);
    expect((await bench.tick(reconciling(prove))).counts).toMatchObject({ looked: 1, resolved: 1 });
  });
});

describe('what was found', () => {
  it.each([1, 2])('survives an answer lost %i times, and is counted once', async (times) => {
    await addUnknown(3);
    let lost = 0;
    bench.setFault(async (call, go) => {
      const answer = await go();
      const { looks } = call.args.p_outcomes as { looks: object[] };
      if (looks.length > 0 && lost++ < times) throw new StoreError('unavailable', 'connection lost');
      return answer;
    });
    const report = await bench.tick(reconciling(prove)).catch((error) => error);
    expect(lost).toBeGreaterThan(0);
    expect(await bench.states()).toEqual({ sent: 3 });
    expect(report.counts).toMatchObject({ looked: 3, resolved: 3 });
    expect(await ledger()).toMatchObject({ looked: 3, resolved: 3 });
  });

  it.each([1, 2, 3])('is kept while the call that brings it fails %i times', async (times) => {
    await addUnknown(3);
    let failed = 0;
    bench.setFault((call, go) => {
      const { looks } = call.args.p_outcomes as { looks: object[] };
      if (looks.length === 0 || failed === times) return go();
      failed++;
      return Promise.reject(new StoreError('unavailable', 'connection lost'));
    });
    const report = await bench.tick(reconciling(prove)).catch((error) => error);
    expect(report.counts).toMatchObject({ looked: 3, resolved: 3 });
    expect(await bench.states()).toEqual({ sent: 3 });
    expect(await ledger()).toMatchObject({ looked: 3, resolved: 3 });
  });

  it('and cannot be written takes no outcome and no other finding with it, and is asked again', async () => {
    await addUnknown(2);
    await addDue(1);
    await database.sql('update punctual.dm_queue set timeout_seconds = 1 where body = $1', ['due']);
    await database.sql(`create function punctual.refuse_proof() returns trigger language plpgsql as $$
      begin if new.provider_message_id = 'poison' then raise exception 'not this one'; end if; return new; end $$`);
    await database.sql(
      'create trigger refuse_proof before update on punctual.dm_queue for each row execute function punctual.refuse_proof()',
    );
    try {
      // The attempt is left behind, and its proof comes while the look is under way: both travel in one call.
      const queue = reconciling(
        async (row) => {
          await bench.sleep(3_000);
          return proof(row.body === 'message 1' ? 'poison' : 'its own');
        },
        (async () => {
          await bench.sleep(2_500);
          return done({ provider_message_id: 'fine' });
        }) as never,
      );
      await bench.tick(queue).catch((error) => expect(error.kind).toBe('refused'));
      const rows = await database.sql(
        'select body, status, provider_message_id from punctual.dm_queue order by id',
      );
      expect(rows).toEqual([
        { body: 'message 1', status: 'unknown', provider_message_id: null },
        { body: 'message 2', status: 'sent', provider_message_id: 'its own' },
        { body: 'due', status: 'sent', provider_message_id: 'fine' },
      ]);
    } finally {
      await database.sql('drop trigger refuse_proof on punctual.dm_queue; ');
      await database.sql('drop function punctual.refuse_proof()');
    }
    bench.clock.skip(120_000);
    expect((await bench.tick(reconciling(prove))).counts).toMatchObject({ looked: 1, resolved: 1 });
  });
});

describe('a tick that only looks', () => {
  it('claims nothing, whatever is due', async () => {
    await addUnknown(2);
    await addDue(3);
    const report = await bench.tick(reconciling(prove), { looksOnly: true });
    expect(report).toMatchObject({ outcome: 'ran', counts: { claimed: 0, looked: 2, resolved: 2 } });
    expect(await bench.states()).toEqual({ sent: 2, pending: 3 });
  });

  it('is let in beside a running tick, and keeps none out that comes after', async () => {
    await addUnknown(2);
    await addDue(1);
    const inside: unknown[] = [];
    let looksOnly: Promise<unknown> = Promise.resolve();
    const report = await bench.tick(
      reconciling(() => nothing, (async () => {
        looksOnly = bench.start(
          reconciling(async (row, context) => {
            inside.push(await bench.start(bench.queue(() => done())));
            return prove(row, context);
          }),
          { looksOnly: true },
        );
        await looksOnly;
        return done();
      }) as never),
    );
    expect(report).toMatchObject({ outcome: 'ran', counts: { done: 1 } });
    expect(await looksOnly).toMatchObject({ outcome: 'ran', counts: { claimed: 0, looked: 2, resolved: 2 } });
    // One tick is the most here: it is the sending one that keeps them out.
    expect(inside).toMatchObject([{ outcome: 'skipped' }, { outcome: 'skipped' }]);
  });

  it('does not count for how many ticks may run', async () => {
    await addUnknown(1);
    await addDue(1);
    const inside: unknown[] = [];
    await bench.tick(
      reconciling(async (row, context) => {
        inside.push(await bench.start(bench.queue(() => done())));
        inside.push(await bench.start(reconciling(prove), { looksOnly: true }));
        return prove(row, context);
      }),
      { looksOnly: true },
    );
    expect(inside).toMatchObject([{ outcome: 'ran', counts: { done: 1 } }, { outcome: 'skipped' }]);
  });
});
