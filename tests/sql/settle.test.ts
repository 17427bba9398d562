import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exchanges } from '../support/exchanges.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let sql: ReturnType<typeof exchanges>;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.reset();
  sql = exchanges(database);
});

/** One running row under a claim. */
async function running(dm: Record<string, unknown> = {}) {
  const account = await sql.addAccount();
  const id = await sql.addDm(account, dm);
  const tick = sql.tick();
  const { claimId } = await tick.claim();
  return { account, id, claim_id: claimId, tick };
}

describe('each outcome', () => {
  it('done: the row is sent, with what the provider said of it', async () => {
    const { id, claim_id, tick } = await running();
    const reply = await tick.settle([
      { id, claim_id, outcome: 'done', result: { provider_message_id: 'm1', chat_id: 'other' } },
    ]);
    expect(reply.settled).toMatchObject({ done: 1, exceptions: [] });
    expect(await sql.dm(id)).toMatchObject({
      status: 'sent',
      provider_message_id: 'm1',
      chat_id: 'other',
      sent_at: expect.any(String),
      lease_expires_at: null,
      attempts: 1,
      last_error: null,
    });
  });

  it('retry: tried again after the delay, with its error, and its account’s others wait behind it', async () => {
    const { id, account, claim_id, tick } = await running();
    await sql.addDm(account, { body: 'behind' });
    const before = await sql.dm(id);
    await tick.settle([{ id, claim_id, outcome: 'retry', error: 'no connection', delay_seconds: 40 }]);
    expect(await sql.dm(id)).toMatchObject({
      status: 'pending',
      attempts: 1,
      last_error: 'no connection',
      send_at: before.send_at,
    });
    sql.pass(39);
    expect((await tick.claim()).rows).toEqual([]);
    sql.pass(1);
    expect((await tick.claim()).rows).toMatchObject([{ id, attempt: 2 }]);
  });

  it('retry of the last attempt: dead, and says so', async () => {
    const { id, claim_id, tick } = await running({ max_attempts: 1 });
    const { settled } = await tick.settle([
      { id, claim_id, outcome: 'retry', error: 'no connection', delay_seconds: 40 },
    ]);
    expect(settled).toMatchObject({
      dead: 1,
      retried: 0,
      exceptions: [{ id, verdict: 'applied', outcome: 'dead' }],
    });
    expect(await sql.dm(id)).toMatchObject({ status: 'failed', last_error: 'no connection' });
  });

  it('retry after a provider’s limit: costs no attempt, and the whole account waits', async () => {
    const { id, account, claim_id, tick } = await running({ max_attempts: 1 });
    await sql.addDm(account);
    const slow = {
      outcome: 'retry',
      error: 'too many',
      delay_seconds: 30,
      rate_limited: true,
      account_id: account,
      account_pause_seconds: 30,
    };
    const reply = await tick.settle([{ id, claim_id, ...slow }], { want: 5 });
    expect(reply.settled).toMatchObject({ retried: 1, dead: 0 });
    expect(reply.rows).toEqual([]);
    expect(await sql.dm(id)).toMatchObject({ status: 'pending', attempts: 0 });
    sql.pass(29);
    expect((await tick.claim()).rows).toHaveLength(0);
    sql.pass(2);
    expect((await tick.claim()).rows).toHaveLength(1);
  });

  it('dead and unknown: ended, with the reason', async () => {
    for (const [outcome, status] of [
      ['dead', 'failed'],
      ['unknown', 'unknown'],
    ] as const) {
      const { id, claim_id, tick } = await running();
      await tick.settle([{ id, claim_id, outcome, error: 'so it was' }], { close: true });
      expect(await sql.dm(id)).toMatchObject({
        status,
        last_error: 'so it was',
        finished_at: expect.any(String),
        sent_at: null,
      });
    }
  });

  it('release: pending as before, and no attempt is counted', async () => {
    const { id, claim_id, tick } = await running();
    await tick.settle([{ id, claim_id, outcome: 'release' }]);
    expect(await sql.dm(id)).toMatchObject({ status: 'pending', attempts: 0, next_attempt_at: null });
  });

  it.each([
    ['on time', 0, 5, 60],
    ['a little late', 10, 5, 60],
    ['late by several rounds', 150, 5, 180],
    ['ended after its next round: that one is not lost', 50, 20, 60],
  ])('again, %s: due on its own grid after its claim', async (_case, lateSeconds, tookSeconds, dueAfter) => {
    const sendAt = sql.at(-lateSeconds);
    const { id, claim_id, tick } = await running({ send_at: sendAt });
    sql.pass(tookSeconds);
    await tick.settle([{ id, claim_id, outcome: 'again', delay_seconds: 60 }]);
    const row = await sql.dm(id);
    expect(row).toMatchObject({ status: 'pending', attempts: 0 });
    expect((Date.parse(row.send_at) - Date.parse(sendAt)) / 1_000).toBe(dueAfter);
  });
});

describe('the fence', () => {
  it('takes an outcome once; the same again is `already`', async () => {
    for (const outcome of ['done', 'retry', 'dead', 'unknown', 'release']) {
      const { id, claim_id, tick } = await running();
      const record = { id, claim_id, outcome, error: 'e', delay_seconds: 1_000 };
      await tick.settle([record]);
      const before = await sql.dm(id);
      sql.pass(5);
      const again = await tick.settle([record], { close: true });
      expect(again.settled.exceptions).toEqual([{ id, claim_id, verdict: 'already', outcome }]);
      expect(await sql.dm(id)).toEqual(before);
    }
  });

  it('refuses the outcome of a claim whose row another tick has taken since, beside that tick’s own', async () => {
    const { id, claim_id, tick } = await running();
    await tick.settle([{ id, claim_id, outcome: 'retry', error: 'e', delay_seconds: 1 }]);
    sql.pass(2);
    const { claimId: second } = await tick.claim();
    const late = await tick.settle([
      { id, claim_id, outcome: 'dead', error: 'late' },
      { id, claim_id: second, outcome: 'done', result: { provider_message_id: 'm2' } },
    ]);
    expect(late.settled).toMatchObject({ done: 1, lost: 1, exceptions: [{ id, claim_id, verdict: 'lost' }] });
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm2' });
  });

  describe('hears that an attempt was done whose row', () => {
    const done = (id: string, claim_id: string, message: string | null) => [
      { id, claim_id, outcome: 'done', result: { provider_message_id: message } },
    ];
    /** A row whose attempt is taken for failed, and that another has in hand by now. */
    async function takenAgain() {
      const { id, claim_id: first, tick } = await running();
      await tick.settle([{ id, claim_id: first, outcome: 'unknown', error: 'e' }]);
      await sql.resolve(id, 'pending');
      const { claimId: second } = await tick.claim();
      return { id, first, second, tick };
    }
    const events = async (id: string) => (await sql.history(id)).slice(2);

    it.each(['retry', 'unknown', 'dead'])(
      'another has in hand, and believes it where that comes to %s',
      async (outcome) => {
        const { id, first, second, tick } = await takenAgain();
        const { settled } = await tick.settle(done(id, first, 'm1'));
        expect(settled).toMatchObject({ done: 0, lost: 1 });
        expect(await sql.dm(id)).toMatchObject({ status: 'sending', claim_id: second });
        await tick.settle([{ id, claim_id: second, outcome, error: 'e', delay_seconds: 1 }]);
        expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
      },
    );

    it('another has in hand, and says that it was delivered twice where that is done as well', async () => {
      const { id, first, second, tick } = await takenAgain();
      await tick.settle(done(id, first, 'm1'));
      await tick.settle(done(id, second, 'm2'));
      expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm2' });
      expect(await events(id)).toEqual([
        ['late', 'an earlier attempt was delivered after all, as m1'],
        ['twice', 'an earlier attempt was delivered as well, as m1'],
      ]);
    });

    it.each([
      ['m1', 'm2', ['an earlier attempt was delivered as well, as m1']],
      [null, 'm2', ['an earlier attempt was delivered as well']],
      ['m1', null, ['an earlier attempt was delivered as well, as m1']],
      ['m1', 'm1', []],
    ])('another has sent: %j after %j, told once', async (late, message, told) => {
      const { id, first, second, tick } = await takenAgain();
      await tick.settle(done(id, second, message));
      for (const _ of [1, 2]) await tick.settle(done(id, first, late));
      expect(await events(id)).toEqual(told.map((text) => ['twice', text]));
      expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: message });
    });

    it.each(['failed', 'cancelled', 'pending', 'unknown'])('is %s by now', async (status) => {
      const { id, first, tick } = await takenAgain();
      await database.sql('update punctual.dm_queue set status = $2, lease_expires_at = null where id = $1', [
        id,
        status,
      ]);
      await tick.settle(done(id, first, 'm1'));
      expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
    });
  });

  it('refuses the outcome of a row that is not there, and settles the others of the call', async () => {
    const { id, claim_id, tick } = await running();
    const { settled } = await tick.settle([
      { id: '999999', claim_id, outcome: 'done' },
      { id, claim_id, outcome: 'done' },
    ]);
    expect(settled).toMatchObject({ done: 1, lost: 1 });
  });

  it('takes late proof for a row that has become unknown, once', async () => {
    const { id, claim_id, tick } = await running();
    await tick.settle([{ id, claim_id, outcome: 'unknown', error: 'timeout' }]);
    await tick.settle([{ id, claim_id, outcome: 'done', result: { provider_message_id: 'm9' } }]);
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm9', last_error: null });
    const third = await tick.settle([{ id, claim_id, outcome: 'dead', error: 'no' }]);
    expect(third.settled.exceptions[0]).toMatchObject({ verdict: 'already', outcome: 'done' });
    expect(await sql.dm(id)).toMatchObject({ status: 'sent' });
  });

  it.each([
    // What the row was, what a person then made of it by plain SQL, the outcome that came after, and what stands in the end.
    ['running', 'cancelled', 'retry', 'cancelled'],
    ['running', 'cancelled', 'release', 'cancelled'],
    ['running', 'cancelled', 'unknown', 'cancelled'],
    ['running', 'cancelled', 'done', 'sent'],
    ['swept', 'cancelled', 'retry', 'cancelled'],
    ['swept', 'cancelled', 'dead', 'cancelled'],
    ['swept', 'sent', 'retry', 'sent'],
    ['swept', 'sent', 'unknown', 'sent'],
    ['swept', 'failed', 'done', 'sent'],
    ['unknown', 'pending', 'done', 'sent'],
    ['unknown', 'pending', 'dead', 'pending'],
  ])(
    'over a %s row that an operator made %s, only proof of the send prevails: %s leaves it %s',
    async (was, made, outcome, stands) => {
      const { id, claim_id, tick } = await running();
      if (was === 'unknown') await tick.settle([{ id, claim_id, outcome: 'unknown', error: 'timeout' }]);
      if (was === 'swept') {
        sql.pass(91);
        await sql.tick().claim();
      }
      await database.sql('update punctual.dm_queue set status = $2 where id = $1', [id, made]);
      await tick.settle([{ id, claim_id, outcome, error: 'late', delay_seconds: 0 }]);
      expect((await sql.dm(id)).status).toBe(stands);
    },
  );

  it('an operator’s hand on the row ends the claim', async () => {
    const { id, claim_id, tick } = await running();
    await tick.settle([{ id, claim_id, outcome: 'unknown', error: 'timeout' }]);
    await database.sql(`update punctual.dm_queue set status = 'cancelled', claim_id = null where id = $1`, [
      id,
    ]);
    const { settled } = await tick.settle([{ id, claim_id, outcome: 'dead', error: 'e' }]);
    expect(settled).toMatchObject({ dead: 0, lost: 1 });
    expect(await sql.dm(id)).toMatchObject({ status: 'cancelled' });
  });
});

describe('a lease that has passed', () => {
  it('makes the row unknown under at-most-once, and never pending', async () => {
    const { id } = await running();
    sql.pass(91);
    const next = await sql.tick().claim();
    expect(next).toMatchObject({ swept: 1, rows: [] });
    expect(await sql.dm(id)).toMatchObject({
      status: 'unknown',
      last_error: 'the tick died while this row was running',
    });
  });

  it('is swept for the others, too, when one row cannot be written', async () => {
    await running();
    sql.pass(200);
    const good = await running();
    await database.sql(`create function punctual.refuse_first() returns trigger language plpgsql as $$
      begin if new.id = 1 and new.status = 'unknown' then raise exception 'not this one'; end if; return new; end $$`);
    await database.sql(
      'create trigger refuse_first before update on punctual.dm_queue for each row execute function punctual.refuse_first()',
    );
    sql.pass(91);
    const next = await sql.tick().claim();
    await database.sql('drop trigger refuse_first on punctual.dm_queue');
    await database.sql('drop function punctual.refuse_first()');
    expect(next).toMatchObject({ swept: 1, admitted: true });
    expect(await sql.dm(good.id)).toMatchObject({ status: 'unknown' });
  });

  it('still takes the late outcome of the tick that was thought dead', async () => {
    const { id, claim_id, tick } = await running();
    sql.pass(91);
    await sql.tick().claim();
    await tick.settle([{ id, claim_id, outcome: 'done', result: { provider_message_id: 'late' } }]);
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'late' });
  });

  it('lasts 30 s longer than the longest run of the function', async () => {
    const account = await sql.addAccount();
    const id = await sql.addDm(account);
    await sql.tick({ limit_seconds: 300 }).claim();
    const { lease_expires_at } = await sql.dm(id);
    expect((Date.parse(lease_expires_at) - Date.parse(sql.now)) / 1_000).toBe(330);
  });
});
