import { describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);

/** Adds a row and claims it. `settle` writes an outcome of that claim. */
async function running(dm: Record<string, unknown> = {}) {
  const account = await sql.addAccount();
  const id = await sql.addDm(account, dm);
  const tick = sql.tick();
  const { claimId: claim_id } = await tick.claim();
  const settle = async (outcome: string, more: Record<string, unknown> = {}) =>
    (await tick.settle([{ id, claim_id, outcome, error: 'e', delay_seconds: 1, ...more }])).settled;
  return { account, id, claim_id, tick, settle, row: () => sql.dm(id) };
}
const resultOf = (provider_message_id: string | null) => ({ result: { provider_message_id } });
const setStatus = (id: string, status: string) =>
  database.sql('update punctual.dm_queue set status = $2 where id = $1', [id, status]);
const dieAndSweep = () => {
  sql.pass(91);
  return sql.tick().claim();
};

const failures = ['retry', 'unknown', 'dead'];

describe('each outcome', () => {
  it('done: the row is sent and keeps the provider’s ids', async () => {
    const { settle, row } = await running();
    const result = { provider_message_id: 'm1', chat_id: 'other' };
    expect(await settle('done', { result })).toMatchObject({ done: 1, exceptions: [] });
    const ended = { sent_at: expect.any(String), lease_expires_at: null, attempts: 1, last_error: null };
    expect(await row()).toMatchObject({ status: 'sent', ...result, ...ended });
  });

  it('retry: the row keeps its error and runs again after the delay, and its account’s other rows wait behind it', async () => {
    const { id, account, tick, settle, row } = await running();
    await sql.addDm(account, { body: 'behind' });
    const { send_at } = await row();
    await settle('retry', { error: 'no connection', delay_seconds: 40 });
    expect(await sql.history(id)).toEqual([['retry', 'no connection']]);
    const waiting = { status: 'pending', attempts: 1, last_error: 'no connection', send_at };
    expect(await row()).toMatchObject(waiting);
    sql.pass(39);
    expect((await tick.claim()).rows).toEqual([]);
    sql.pass(1);
    expect((await tick.claim()).rows).toMatchObject([{ id, attempt: 2 }]);
  });

  it('retry of the last attempt: the row is dead, and the response says so', async () => {
    const { id, settle, row } = await running({ max_attempts: 1 });
    const exceptions = [{ id, verdict: 'applied', outcome: 'dead' }];
    expect(await settle('retry')).toMatchObject({ dead: 1, retried: 0, exceptions });
    expect(await row()).toMatchObject({ status: 'failed', last_error: 'e' });
  });

  it('retry after a rate limit: no attempt is counted, and the whole account waits', async () => {
    const { account, tick, settle, row } = await running({ max_attempts: 1 });
    await sql.addDm(account);
    const limited = { rate_limited: true, account_id: account, account_pause_seconds: 30 };
    expect(await settle('retry', { ...limited, delay_seconds: 30 })).toMatchObject({ retried: 1, dead: 0 });
    expect(await row()).toMatchObject({ status: 'pending', attempts: 0 });
    sql.pass(29);
    expect((await tick.claim()).rows).toHaveLength(0);
    sql.pass(2);
    expect((await tick.claim()).rows).toHaveLength(1);
  });

  it.each([
    ['dead', 'failed'],
    ['unknown', 'unknown'],
  ])('%s: the row is %s and keeps the reason', async (outcome, status) => {
    const { settle, row } = await running();
    await settle(outcome, { error: 'so it was' });
    const reason = { last_error: 'so it was', finished_at: expect.any(String), sent_at: null };
    expect(await row()).toMatchObject({ status, ...reason });
  });

  it('release: the row is pending as before, and no attempt is counted', async () => {
    const { settle, row } = await running();
    await settle('release');
    expect(await row()).toMatchObject({ status: 'pending', attempts: 0, next_attempt_at: null });
  });

  it.each([
    ['on time', 0, 5, 60],
    ['a little late', 10, 5, 60],
    ['late by several intervals', 150, 5, 180],
    ['still running when its next run is due', 50, 20, 60],
  ])(
    'again, %s: the row is due at the first multiple of 60 s after the claim',
    async (_, late, took, dueAfter) => {
      const sendAt = sql.at(-late);
      const { settle, row } = await running({ send_at: sendAt });
      sql.pass(took);
      await settle('again', { delay_seconds: 60 });
      const { status, attempts, send_at } = await row();
      const dueSeconds = (Date.parse(send_at) - Date.parse(sendAt)) / 1_000;
      expect({ status, attempts, dueSeconds }).toEqual({
        status: 'pending',
        attempts: 0,
        dueSeconds: dueAfter,
      });
    },
  );
});

describe('the fence', () => {
  it.each(['done', 'release', ...failures])(
    'accepts %s once, and answers `already` to a repeat',
    async (outcome) => {
      const { id, claim_id, settle, row } = await running();
      await settle(outcome);
      const before = await row();
      sql.pass(5);
      expect((await settle(outcome)).exceptions).toEqual([{ id, claim_id, verdict: 'already', outcome }]);
      expect(await row()).toEqual(before);
    },
  );

  it('refuses an outcome under an earlier claim, and accepts one under the current claim in the same call', async () => {
    const { id, claim_id, tick, settle, row } = await running();
    await settle('retry');
    sql.pass(2);
    const { claimId: second } = await tick.claim();
    const { settled } = await tick.settle([
      { id, claim_id, outcome: 'dead', error: 'late' },
      { id, claim_id: second, outcome: 'done', ...resultOf('m2') },
    ]);
    expect(settled).toMatchObject({ done: 1, lost: 1, exceptions: [{ id, claim_id, verdict: 'lost' }] });
    expect(await row()).toMatchObject({ status: 'sent', provider_message_id: 'm2' });
  });

  it('refuses the outcome of a row that does not exist, and settles the other rows of the call', async () => {
    const { id, claim_id, tick } = await running();
    const records = ['999999', id].map((one) => ({ id: one, claim_id, outcome: 'done' }));
    expect((await tick.settle(records)).settled).toMatchObject({ done: 1, lost: 1 });
  });

  it('refuses the outcome of a row whose claim an operator has cleared', async () => {
    const { id, settle, row } = await running();
    await settle('unknown');
    await database.sql(`update punctual.dm_queue set status = 'cancelled', claim_id = null where id = $1`, [
      id,
    ]);
    expect(await settle('dead')).toMatchObject({ dead: 0, lost: 1 });
    expect(await row()).toMatchObject({ status: 'cancelled' });
  });

  it('accepts late proof for an unknown row, once', async () => {
    const { settle, row } = await running();
    await settle('unknown');
    await settle('done', resultOf('m9'));
    const sent = { status: 'sent', provider_message_id: 'm9', last_error: null };
    expect(await row()).toMatchObject(sent);
    expect(await settle('dead')).toMatchObject({ exceptions: [{ verdict: 'already', outcome: 'done' }] });
    expect(await row()).toMatchObject(sent);
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
    'lets only proof override a person: %s, set to %s, settled as %s, ends %s',
    async (state, status, outcome, end) => {
      const { id, settle, row } = await running();
      if (state === 'unknown') await settle('unknown');
      if (state === 'swept') await dieAndSweep();
      await setStatus(id, status);
      await settle(outcome);
      expect((await row()).status).toBe(end);
    },
  );
});

describe('late proof from an earlier attempt', () => {
  /** Adds a row whose first attempt became unknown and was put back to pending, and which a second attempt has claimed. */
  async function claimTwice() {
    const { id, tick, settle: settleFirst, row } = await running();
    await settleFirst('unknown');
    await sql.resolve(id, 'pending');
    const { claimId: claim_id } = await tick.claim();
    const settleSecond = (outcome: string, more: object = {}) =>
      tick.settle([{ id, claim_id, outcome, error: 'e', delay_seconds: 1, ...more }]);
    const events = async () => (await sql.history(id)).slice(2);
    return { id, claim_id, settleFirst, settleSecond, row, events };
  }

  it.each(failures)('marks the row sent once the running attempt ends with %s', async (outcome) => {
    const { claim_id, settleFirst, settleSecond, row } = await claimTwice();
    expect(await settleFirst('done', resultOf('m1'))).toMatchObject({ done: 0, lost: 1 });
    expect(await row()).toMatchObject({ status: 'sending', claim_id });
    await settleSecond(outcome);
    expect(await row()).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
  });

  it('records a double delivery once the running attempt is done as well', async () => {
    const { settleFirst, settleSecond, row, events } = await claimTwice();
    await settleFirst('done', resultOf('m1'));
    await settleSecond('done', resultOf('m2'));
    expect(await row()).toMatchObject({ status: 'sent', provider_message_id: 'm2' });
    expect(await events()).toEqual([
      ['late', 'an earlier attempt was delivered after all, as m1'],
      ['done', null],
      ['twice', 'an earlier attempt was delivered as well, as m1'],
    ]);
  });

  it.each([
    ['m1', 'm2', ['an earlier attempt was delivered as well, as m1']],
    [null, 'm2', ['an earlier attempt was delivered as well']],
    ['m1', null, ['an earlier attempt was delivered as well, as m1']],
    ['m1', 'm1', []],
  ])('records once that a sent row was delivered twice: %j after %j', async (late, message, texts) => {
    const { settleFirst, settleSecond, row, events } = await claimTwice();
    await settleSecond('done', resultOf(message));
    for (const _ of [1, 2]) await settleFirst('done', resultOf(late));
    expect(await events()).toEqual([['done', null], ...texts.map((text) => ['twice', text])]);
    expect(await row()).toMatchObject({ status: 'sent', provider_message_id: message });
  });

  it.each(['failed', 'cancelled', 'pending', 'unknown'])('marks a row sent that is %s', async (status) => {
    const { id, settleFirst, row } = await claimTwice();
    await database.sql('update punctual.dm_queue set status = $2, lease_expires_at = null where id = $1', [
      id,
      status,
    ]);
    await settleFirst('done', resultOf('m1'));
    expect(await row()).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
  });

  it('marks the row sent when the running attempt’s tick dies, without a check or a second send', async () => {
    const { settleFirst, row } = await claimTwice();
    await settleFirst('done', resultOf('m1'));
    expect(await row()).toMatchObject({ status: 'sending' });
    sql.pass(3_600);
    await sql.tick().claim(1);
    expect(await row()).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
    sql.pass(3_600);
    expect(await sql.check(() => ({ absent_after_seconds: 10 }))).toMatchObject({ checked: 0 });
    expect(await sql.drain()).toEqual([]);
  });

  it('counts also if plain SQL has put the row back to pending and another attempt has it', async () => {
    const { id, settle, row } = await running();
    await setStatus(id, 'pending');
    sql.pass(3_600);
    const next = sql.tick();
    const { claimId } = await next.claim(1);
    await settle('done', resultOf('m1'));
    await next.settle([{ id, claim_id: claimId, outcome: 'retry', error: 'e', delay_seconds: 1 }]);
    expect(await row()).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
  });
});

it.each(failures)('of the outcomes %s and done of one claim in one call, done wins', async (outcome) => {
  const { id, claim_id, tick, row } = await running();
  await tick.settle([
    { id, claim_id, outcome, error: 'e', delay_seconds: 1 },
    { id, claim_id, outcome: 'done', ...resultOf('m1') },
  ]);
  expect(await row()).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
});

describe('an outcome under an unknown claim', () => {
  const unknownClaim = (id: string) =>
    sql
      .tick()
      .settle([{ id, claim_id: crypto.randomUUID(), outcome: 'done', ...resultOf('m1') }], { close: true });

  it.each(['runs', 'has settled'])('does not change a row that another attempt %s', async (state) => {
    const { id, settle, row } = await running();
    if (state === 'has settled') await settle('dead');
    await unknownClaim(id);
    if (state === 'runs') await settle('dead');
    expect(await row()).toMatchObject({ status: 'failed', provider_message_id: null });
  });

  it('does not change a row that was never attempted, because ids are reused after a restore', async () => {
    const id = await sql.addDm(await sql.addAccount());
    expect((await unknownClaim(id)).settled).toMatchObject({ lost: 1 });
    expect(await sql.dm(id)).toMatchObject({ status: 'pending', provider_message_id: null });
    expect(await sql.drain()).toEqual([id]);
  });
});

describe('a lease', () => {
  it('makes an at-most-once row unknown when it passes, never pending', async () => {
    const { row } = await running();
    expect(await dieAndSweep()).toMatchObject({ swept: 1, rows: [] });
    const last_error = 'the tick died while this row was running';
    expect(await row()).toMatchObject({ status: 'unknown', last_error });
  });

  it('lasts 30 s longer than the longest run of the function', async () => {
    const id = await sql.addDm(await sql.addAccount());
    await sql.tick({ limit_seconds: 300 }).claim();
    const { lease_expires_at } = await sql.dm(id);
    expect((Date.parse(lease_expires_at) - Date.parse(sql.now)) / 1_000).toBe(330);
  });
});
