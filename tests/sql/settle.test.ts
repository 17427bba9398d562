import { describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);

/** Adds a row and claims it. */
async function running(dm: Record<string, unknown> = {}) {
  const account = await sql.addAccount();
  const id = await sql.addDm(account, dm);
  const tick = sql.tick();
  const { claimId } = await tick.claim();
  return { account, id, claim_id: claimId, tick };
}

describe('each outcome', () => {
  it('done: the row is sent and keeps the provider’s ids', async () => {
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

  it('retry: the row keeps its error and runs again after the delay, and its account’s other rows wait behind it', async () => {
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

  it('retry of the last attempt: the row is dead, and the response says so', async () => {
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

  it('retry after a rate limit: no attempt is counted, and the whole account waits', async () => {
    const { id, account, claim_id, tick } = await running({ max_attempts: 1 });
    await sql.addDm(account);
    const limited = {
      outcome: 'retry',
      error: 'too many',
      delay_seconds: 30,
      rate_limited: true,
      account_id: account,
      account_pause_seconds: 30,
    };
    const reply = await tick.settle([{ id, claim_id, ...limited }], { want: 5 });
    expect(reply.settled).toMatchObject({ retried: 1, dead: 0 });
    expect(reply.rows).toEqual([]);
    expect(await sql.dm(id)).toMatchObject({ status: 'pending', attempts: 0 });
    sql.pass(29);
    expect((await tick.claim()).rows).toHaveLength(0);
    sql.pass(2);
    expect((await tick.claim()).rows).toHaveLength(1);
  });

  it('dead and unknown: the row is finished and keeps the reason', async () => {
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

  it('release: the row is pending as before, and no attempt is counted', async () => {
    const { id, claim_id, tick } = await running();
    await tick.settle([{ id, claim_id, outcome: 'release' }]);
    expect(await sql.dm(id)).toMatchObject({ status: 'pending', attempts: 0, next_attempt_at: null });
  });

  it.each([
    ['on time', 0, 5, 60],
    ['a little late', 10, 5, 60],
    ['late by several intervals', 150, 5, 180],
    ['still running when its next run is due', 50, 20, 60],
  ])(
    'again, %s: the row is due at the first multiple of its interval after the claim',
    async (_case, lateSeconds, tookSeconds, dueAfter) => {
      const sendAt = sql.at(-lateSeconds);
      const { id, claim_id, tick } = await running({ send_at: sendAt });
      sql.pass(tookSeconds);
      await tick.settle([{ id, claim_id, outcome: 'again', delay_seconds: 60 }]);
      const row = await sql.dm(id);
      expect(row).toMatchObject({ status: 'pending', attempts: 0 });
      expect((Date.parse(row.send_at) - Date.parse(sendAt)) / 1_000).toBe(dueAfter);
    },
  );
});

describe('the fence', () => {
  it('accepts an outcome once and answers `already` to a repeat', async () => {
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

  it('refuses an outcome under an earlier claim, and accepts one under the current claim in the same call', async () => {
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

  describe('given late proof from an earlier attempt', () => {
    const done = (id: string, claim_id: string, message: string | null) => [
      { id, claim_id, outcome: 'done', result: { provider_message_id: message } },
    ];
    /** Adds a row whose first attempt became unknown and was put back to pending, and which a second attempt has claimed. */
    async function claimTwice() {
      const { id, claim_id: first, tick } = await running();
      await tick.settle([{ id, claim_id: first, outcome: 'unknown', error: 'e' }]);
      await sql.resolve(id, 'pending');
      const { claimId: second } = await tick.claim();
      return { id, first, second, tick };
    }
    const events = async (id: string) => (await sql.history(id)).slice(2);

    it.each(['retry', 'unknown', 'dead'])(
      'marks the row sent once the running attempt ends with %s',
      async (outcome) => {
        const { id, first, second, tick } = await claimTwice();
        const { settled } = await tick.settle(done(id, first, 'm1'));
        expect(settled).toMatchObject({ done: 0, lost: 1 });
        expect(await sql.dm(id)).toMatchObject({ status: 'sending', claim_id: second });
        await tick.settle([{ id, claim_id: second, outcome, error: 'e', delay_seconds: 1 }]);
        expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
      },
    );

    it('records a double delivery once the running attempt is done as well', async () => {
      const { id, first, second, tick } = await claimTwice();
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
    ])(
      'records once that a sent row was delivered twice, unless the message is the same: %j after %j',
      async (late, message, texts) => {
        const { id, first, second, tick } = await claimTwice();
        await tick.settle(done(id, second, message));
        for (const _ of [1, 2]) await tick.settle(done(id, first, late));
        expect(await events(id)).toEqual(texts.map((text) => ['twice', text]));
        expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: message });
      },
    );

    it.each(['failed', 'cancelled', 'pending', 'unknown'])(
      'marks a row sent that is %s by now',
      async (status) => {
        const { id, first, tick } = await claimTwice();
        await database.sql(
          'update punctual.dm_queue set status = $2, lease_expires_at = null where id = $1',
          [id, status],
        );
        await tick.settle(done(id, first, 'm1'));
        expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
      },
    );
  });

  it('refuses the outcome of a row that does not exist, and settles the other rows of the call', async () => {
    const { id, claim_id, tick } = await running();
    const { settled } = await tick.settle([
      { id: '999999', claim_id, outcome: 'done' },
      { id, claim_id, outcome: 'done' },
    ]);
    expect(settled).toMatchObject({ done: 1, lost: 1 });
  });

  it('accepts late proof for an unknown row, once', async () => {
    const { id, claim_id, tick } = await running();
    await tick.settle([{ id, claim_id, outcome: 'unknown', error: 'timeout' }]);
    await tick.settle([{ id, claim_id, outcome: 'done', result: { provider_message_id: 'm9' } }]);
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm9', last_error: null });
    const third = await tick.settle([{ id, claim_id, outcome: 'dead', error: 'no' }]);
    expect(third.settled.exceptions[0]).toMatchObject({ verdict: 'already', outcome: 'done' });
    expect(await sql.dm(id)).toMatchObject({ status: 'sent' });
  });

  it.each([
    // The row's state, the status that an operator then sets by plain SQL, the late outcome, and the final status.
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
    'lets only proof of delivery override an operator: a %s row set to %s, then settled with %s, ends up %s',
    async (state, status, outcome, finalStatus) => {
      const { id, claim_id, tick } = await running();
      if (state === 'unknown') await tick.settle([{ id, claim_id, outcome: 'unknown', error: 'timeout' }]);
      if (state === 'swept') {
        sql.pass(91);
        await sql.tick().claim();
      }
      await database.sql('update punctual.dm_queue set status = $2 where id = $1', [id, status]);
      await tick.settle([{ id, claim_id, outcome, error: 'late', delay_seconds: 0 }]);
      expect((await sql.dm(id)).status).toBe(finalStatus);
    },
  );

  it('refuses the outcome of a row whose claim an operator has cleared', async () => {
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

describe('a lease', () => {
  it('makes an at-most-once row unknown when it passes, never pending', async () => {
    const { id } = await running();
    sql.pass(91);
    const next = await sql.tick().claim();
    expect(next).toMatchObject({ swept: 1, rows: [] });
    expect(await sql.dm(id)).toMatchObject({
      status: 'unknown',
      last_error: 'the tick died while this row was running',
    });
  });

  it('is swept even if another row of the sweep cannot be written', async () => {
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

  it('that has passed does not stop late proof: the row becomes sent', async () => {
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
