import { beforeEach, describe, expect, it } from 'vitest';
import { finding } from '../support/exchanges.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  account = await sql.addAccount();
});

const proof = (messageId: string, result: object = {}) => ({
  proof: [{ message_id: messageId, result }],
  text: `found ${messageId}`,
});
/** A finding that proves absence once the attempt has been over for `seconds`. */
const absence = (seconds: number) => ({ absent_after_seconds: seconds, text: 'it is not there' });

describe('an unknown row', () => {
  it('is first checked after 30 s, then after 60, 120, … s, 1 hour at most', async () => {
    const { id } = await sql.addUnknown(account);
    const waits: number[] = [];
    for (let n = 0; n < 10; n++) {
      const seconds = (Date.parse((await sql.dm(id)).reconcile_at) - Date.parse(sql.now)) / 1_000;
      waits.push(seconds);
      sql.pass(seconds - 1);
      expect(await sql.takeUnknown()).toEqual([]);
      sql.pass(1);
      expect(await sql.check(() => ({ absent_after_seconds: 86_400 }))).toMatchObject({
        checked: 1,
        done: 0,
      });
      expect(await sql.dm(id)).toMatchObject({
        status: 'unknown',
        reconcile: { checks: n + 1, checked_at: expect.any(String) },
      });
    }
    expect(waits).toEqual([30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]);
  });

  it('is taken with its attempt: the claim, its time, and for how long the attempt has been over', async () => {
    const id = await sql.addDm(account, { body: 'hello' });
    const tick = sql.tick();
    const { claimId } = await tick.claim();
    const attemptedAt = sql.now;
    sql.pass(10);
    await tick.settle([{ id, claim_id: claimId, outcome: 'unknown', error: 'e' }], { close: true });
    sql.pass(30);
    const [taken] = await sql.takeUnknown();
    expect(taken).toMatchObject({ id, claim_id: claimId, row: { body: 'hello' }, account: { id: account } });
    expect(Date.parse(taken?.attempted_at ?? '')).toBe(Date.parse(attemptedAt));
    // An attempt is over when its lease ends, 90 s after the claim.
    expect(taken?.over_seconds).toBe(-50);
  });

  it('that a dead tick left is checked as well, from the end of its lease', async () => {
    const id = await sql.addDm(account);
    await sql.tick().claim();
    sql.pass(100);
    await sql.tick().claim();
    expect(await sql.dm(id)).toMatchObject({ status: 'unknown' });
    sql.pass(30);
    expect(await sql.takeUnknown()).toMatchObject([{ id, over_seconds: 40 }]);
  });

  it('is not taken again until the tick that took it must have ended', async () => {
    await sql.addUnknown(account);
    sql.pass(30);
    expect(await sql.takeUnknown()).toHaveLength(1);
    sql.pass(89);
    expect(await sql.takeUnknown()).toEqual([]);
    sql.pass(1);
    expect(await sql.takeUnknown()).toHaveLength(1);
  });

  it('is checked only if its provider is configured and does not rest', async () => {
    await sql.addUnknown(account);
    sql.pass(30);
    expect(await sql.takeUnknown({ providers: ['whatsapp_cloud'] })).toEqual([]);
    await sql
      .tick()
      .exchange({ outcomes: { providers: [{ name: 'unipile', ok: false, error: 'down' }] }, close: true });
    expect(await sql.takeUnknown()).toEqual([]);
    sql.pass(30);
    expect(await sql.takeUnknown()).toHaveLength(1);
  });
});

describe('proof', () => {
  it('makes the row done, with the result that was found', async () => {
    const { id } = await sql.addUnknown(account, { chat_id: null, recipient: 'bob' });
    sql.pass(30);
    expect(await sql.check(() => proof('m1', { chat_id: 'chat-7' }))).toEqual({
      checked: 1,
      done: 1,
      absent: 0,
      dead: 0,
    });
    expect(await sql.dm(id)).toMatchObject({
      status: 'sent',
      provider_message_id: 'm1',
      chat_id: 'chat-7',
      last_error: null,
      reconcile_at: null,
      lease_expires_at: null,
    });
    expect(await sql.history(id)).toEqual([
      ['unknown', 'no answer in time'],
      ['proved', 'found m1'],
    ]);
    expect((await sql.pace(account)).used).toBe(1);
  });

  it.each([
    ['first', 'last'],
    ['last', 'first'],
  ])(
    'shared by two rows with the same text settles one of them: the %s one, and not the %s',
    async (order) => {
      const rows = [await sql.addUnknown(account), await sql.addUnknown(account)];
      sql.pass(30);
      const checks = (await sql.takeUnknown()).map((one) =>
        finding(one, { ...proof('m1'), ...absence(0), over_seconds: 60 }),
      );
      expect(checks).toHaveLength(2);
      if (order === 'last') checks.reverse();
      // The findings are settled one by one, and the over_seconds of the second would prove its absence.
      expect(await sql.settleFindings(checks.slice(0, 1))).toMatchObject({ done: 1 });
      expect(await sql.settleFindings(checks.slice(1))).toMatchObject({ done: 0, absent: 1 });
      const states = await Promise.all(rows.map(async ({ id }) => (await sql.dm(id)).status));
      expect(states.sort()).toEqual(['pending', 'sent']);
    },
  );

  it('of two messages settles two of three rows in one call, each with its own message', async () => {
    const rows = [
      await sql.addUnknown(account),
      await sql.addUnknown(account),
      await sql.addUnknown(account),
    ];
    sql.pass(30);
    const both = { proof: ['m1', 'm2'].map((message_id) => ({ message_id })), text: 'two' };
    expect(await sql.check(() => both)).toMatchObject({ checked: 3, done: 2 });
    const dms = await Promise.all(rows.map(({ id }) => sql.dm(id)));
    expect(dms.map((dm) => dm.provider_message_id).sort()).toEqual(['m1', 'm2', null].sort());
    expect(dms.filter((dm) => dm.status === 'unknown')).toHaveLength(1);
  });

  it('is not a message that another row already has', async () => {
    const done = await sql.addDm(account);
    const tick = sql.tick();
    const { claimId } = await tick.claim();
    await tick.settle(
      [{ id: done, claim_id: claimId, outcome: 'done', result: { provider_message_id: 'm1' } }],
      { close: true },
    );
    const { id } = await sql.addUnknown(account);
    sql.pass(30);
    expect(await sql.check(() => ({ ...proof('m1'), candidates: ['m1'] }))).toMatchObject({ done: 0 });
    expect(await sql.dm(id)).toMatchObject({ status: 'unknown', reconcile: { waits_for_operator: false } });
  });

  it('found while a row with the same text runs never leaves two rows with one message', async () => {
    const { id: lost } = await sql.addUnknown(account, { body: 'same' });
    const running = await sql.addDm(account, { body: 'same' });
    const tick = sql.tick();
    const { claimId } = await tick.claim();
    sql.pass(30);
    const checks = await sql.takeUnknown();
    expect(checks.map((one) => one.id)).toEqual([lost]);
    // The check finds the message of the attempt that still runs.
    await sql.settleFindings(checks.map((one) => finding(one, proof('m-of-the-second'))));
    await tick.settle([
      { id: running, claim_id: claimId, outcome: 'done', result: { provider_message_id: 'm-of-the-second' } },
    ]);
    const bearers = await database.sql(`select id from punctual.dm_queue where status = 'sent'`);
    expect(bearers).toHaveLength(1);
  });

  it.each([
    ['pending', 'sent'],
    ['dead', 'sent'],
    ['cancelled', 'sent'],
  ])('overrides an operator who decided %s meanwhile', async (decision, expected) => {
    const { id } = await sql.addUnknown(account);
    sql.pass(30);
    const checks = await sql.takeUnknown();
    await sql.resolve(id, decision);
    expect(await sql.settleFindings(checks.map((one) => finding(one, proof('m1'))))).toMatchObject({
      done: 1,
    });
    expect(await sql.dm(id)).toMatchObject({ status: expected, provider_message_id: 'm1' });
    expect(await sql.drain()).toEqual([]);
  });

  it('that arrives after another attempt began changes nothing, and the history records it', async () => {
    const { id } = await sql.addUnknown(account);
    sql.pass(30);
    const checks = await sql.takeUnknown();
    await sql.resolve(id, 'pending');
    const tick = sql.tick();
    const { claimId } = await tick.claim();
    const before = await sql.dm(id);
    expect(await sql.settleFindings(checks.map((one) => finding(one, proof('m1'))))).toMatchObject({
      checked: 1,
      done: 0,
    });
    expect({ ...(await sql.dm(id)), reconcile: null }).toEqual({ ...before, reconcile: null });
    expect((await sql.history(id)).at(-1)).toEqual([
      'late',
      'an earlier attempt was delivered after all, as m1',
    ]);
    const { settled } = await tick.settle([
      { id, claim_id: claimId, outcome: 'done', result: { provider_message_id: 'm2' } },
    ]);
    expect(settled).toMatchObject({ done: 1 });
    expect(await sql.dm(id)).toMatchObject({ provider_message_id: 'm2' });
  });

  it.each(['retry', 'unknown', 'dead'])(
    'that arrived during another attempt settles the row when that attempt ends as %s',
    async (outcome) => {
      const { id } = await sql.addUnknown(account);
      sql.pass(30);
      const checks = await sql.takeUnknown();
      await sql.resolve(id, 'pending');
      const tick = sql.tick();
      const { claimId } = await tick.claim();
      await sql.settleFindings(checks.map((one) => finding(one, proof('m1'))));
      await tick.settle([{ id, claim_id: claimId, outcome, error: 'e', delay_seconds: 1 }], { close: true });
      expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
      expect(await sql.drain()).toEqual([]);
    },
  );

  it('of an earlier attempt settles its row, but an absence or a candidate does not', async () => {
    const { id } = await sql.addUnknown(account);
    sql.pass(4_000);
    const checks = await sql.takeUnknown();
    await sql.resolve(id, 'pending');
    const tick = sql.tick();
    const { claimId } = await tick.claim();
    await tick.settle([{ id, claim_id: claimId, outcome: 'unknown', error: 'e' }], { close: true });
    const before = await sql.dm(id);
    for (const found of [absence(1), { candidates: ['m2'] }])
      await sql.settleFindings(checks.map((one) => finding(one, found)));
    expect(await sql.dm(id)).toEqual(before);
    await sql.settleFindings(checks.map((one) => finding(one, proof('m1'))));
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
  });

  it('is required for a check to override an operator’s decision', async () => {
    for (const decision of ['done', 'pending', 'dead', 'cancelled']) {
      const { id } = await sql.addUnknown(account);
      sql.pass(200);
      const checks = await sql.takeUnknown();
      await sql.resolve(id, decision);
      const before = await sql.dm(id);
      await sql.settleFindings(checks.map((one) => finding(one, { ...absence(1), candidates: ['m9'] })));
      expect(await sql.dm(id)).toEqual(before);
      await database.sql(`update punctual.dm_queue set status = 'cancelled' where status = 'pending'`);
    }
  });
});

describe('a candidate', () => {
  it('prevents a second send until an operator decides', async () => {
    const { id } = await sql.addUnknown(account);
    sql.pass(4_000);
    expect(await sql.check(() => ({ ...absence(1), candidates: ['m1'] }))).toMatchObject({
      done: 0,
      absent: 0,
      dead: 0,
    });
    expect(await sql.dm(id)).toMatchObject({
      status: 'unknown',
      reconcile: { waits_for_operator: true, found: 'it is not there' },
    });
    expect(await sql.drain()).toEqual([]);
  });

  it('that another row already has does not count', async () => {
    const { id: other } = await sql.addUnknown(account);
    sql.pass(30);
    await sql.check(() => proof('m1'));
    const { id } = await sql.addUnknown(account);
    sql.pass(200);
    expect(await sql.check(() => ({ ...absence(1), candidates: ['m1'] }))).toMatchObject({ absent: 1 });
    expect([(await sql.dm(other)).status, (await sql.dm(id)).status]).toEqual(['sent', 'pending']);
  });

  it('does not end the checks, and later proof settles the row', async () => {
    const { id } = await sql.addUnknown(account);
    sql.pass(30);
    await sql.check(() => ({ candidates: ['m1'] }));
    sql.pass(60);
    expect(await sql.check(() => proof('m2'))).toMatchObject({ done: 1 });
    expect(await sql.dm(id)).toMatchObject({ status: 'sent' });
  });
});
