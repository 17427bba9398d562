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
const resultOf = (provider_message_id: string) => ({ outcome: 'done', result: { provider_message_id } });

/** Takes the unknown rows whose check is due. The function returned settles the same finding for each. */
async function take(): Promise<(found: object) => ReturnType<typeof sql.settleFindings>> {
  const checks = await sql.takeUnknown();
  return (found) => sql.settleFindings(checks.map((one) => finding(one, found)));
}
/** Claims the due row. The function returned settles it. */
async function claim() {
  const tick = sql.tick();
  const { rows, claimId: claim_id } = await tick.claim();
  const id = rows[0]?.id ?? '';
  return (record: { outcome: string }) =>
    tick.settle([{ id, claim_id, error: 'e', delay_seconds: 1, ...record }], { close: true });
}
/** Adds an unknown row whose check is due and taken, and decides on it meanwhile. */
async function decideDuringCheck(decision: string, seconds = 30) {
  const { id } = await sql.addUnknown(account);
  sql.pass(seconds);
  const settle = await take();
  await sql.resolve(id, decision);
  return { id, settle };
}

describe('an unknown row', () => {
  it('is first checked after 30 s, then after 60, 120, … s, 1 hour at most', async () => {
    const { id } = await sql.addUnknown(account);
    const waits: number[] = [];
    for (let checks = 1; checks <= 10; checks++) {
      const seconds = (Date.parse((await sql.dm(id)).reconcile_at) - Date.parse(sql.now)) / 1_000;
      waits.push(seconds);
      sql.pass(seconds - 1);
      expect(await sql.takeUnknown()).toEqual([]);
      sql.pass(1);
      expect(await sql.check(() => absence(86_400))).toMatchObject({ checked: 1, done: 0 });
      const reconcile = { checks, checked_at: expect.any(String) };
      expect(await sql.dm(id)).toMatchObject({ status: 'unknown', reconcile });
    }
    expect(waits).toEqual([30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]);
  });

  it('is taken with its attempt: the claim, its time, and for how long the attempt has been over', async () => {
    const attemptedAt = sql.now;
    const { id, claim_id } = await sql.addUnknown(account);
    sql.pass(40);
    const [taken] = await sql.takeUnknown();
    // An attempt is over when its lease ends, 90 s after the claim.
    const attempt = { id, claim_id, over_seconds: -50 };
    expect(taken).toMatchObject({ ...attempt, row: { body: 'hello' }, account: { id: account } });
    expect(Date.parse(taken?.attempted_at ?? '')).toBe(Date.parse(attemptedAt));
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
    const providers = [{ name: 'unipile', ok: false, error: 'down' }];
    await sql.tick().exchange({ outcomes: { providers }, close: true });
    expect(await sql.takeUnknown()).toEqual([]);
    sql.pass(30);
    expect(await sql.takeUnknown()).toHaveLength(1);
  });
});

describe('proof', () => {
  it('makes the row done, with the result that was found', async () => {
    const { id } = await sql.addUnknown(account, { chat_id: null, recipient: 'bob' });
    sql.pass(30);
    const checked = await sql.check(() => proof('m1', { chat_id: 'chat-7' }));
    expect(checked).toEqual({ checked: 1, done: 1, absent: 0, dead: 0 });
    const result = { provider_message_id: 'm1', chat_id: 'chat-7' };
    const ended = { last_error: null, reconcile_at: null, lease_expires_at: null };
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', ...result, ...ended });
    expect(await sql.history(id)).toEqual([
      ['unknown', 'no answer in time'],
      ['proved', 'found m1'],
    ]);
    expect((await sql.pace(account)).used).toBe(1);
  });

  it.each(['older', 'newer'])('shared by two like rows settles one of them: the %s first', async (first) => {
    const rows = [await sql.addUnknown(account), await sql.addUnknown(account)];
    sql.pass(30);
    const found = { ...proof('m1'), ...absence(0), over_seconds: 60 };
    const checks = (await sql.takeUnknown()).map((one) => finding(one, found));
    expect(checks).toHaveLength(2);
    if (first === 'newer') checks.reverse();
    expect(await sql.settleFindings(checks.slice(0, 1))).toMatchObject({ done: 1 });
    expect(await sql.settleFindings(checks.slice(1))).toMatchObject({ done: 0, absent: 1 });
    const states = await Promise.all(rows.map(async ({ id }) => (await sql.dm(id)).status));
    expect(states.sort()).toEqual(['pending', 'sent']);
  });

  it('of two messages settles two of three rows in one call, each with its own message', async () => {
    for (let n = 0; n < 3; n++) await sql.addUnknown(account);
    sql.pass(30);
    const both = { proof: ['m1', 'm2'].map((message_id) => ({ message_id })), text: 'two' };
    expect(await sql.check(() => both)).toMatchObject({ checked: 3, done: 2 });
    const rows = await database.sql(
      'select status, provider_message_id as message from punctual.dm_queue order by 2',
    );
    expect(rows).toEqual([
      { status: 'sent', message: 'm1' },
      { status: 'sent', message: 'm2' },
      { status: 'unknown', message: null },
    ]);
  });

  it('is not a message that another row already has, and neither is a candidate', async () => {
    await sql.addDm(account);
    await (await claim())(resultOf('m1'));
    const { id } = await sql.addUnknown(account);
    sql.pass(200);
    const found = { ...proof('m1'), ...absence(1), candidates: ['m1'] };
    expect(await sql.check(() => found)).toMatchObject({ done: 0, absent: 1 });
    expect(await sql.dm(id)).toMatchObject({ status: 'pending' });
  });

  it('found while a row with the same text runs never leaves two rows with one message', async () => {
    await sql.addUnknown(account, { body: 'same' });
    await sql.addDm(account, { body: 'same' });
    const settleRunning = await claim();
    sql.pass(30);
    // The check finds the message of the attempt that still runs.
    expect(await (await take())(proof('m2'))).toMatchObject({ checked: 1 });
    await settleRunning(resultOf('m2'));
    expect(await database.sql(`select id from punctual.dm_queue where status = 'sent'`)).toHaveLength(1);
  });

  it.each(['pending', 'dead', 'cancelled'])('overrides an operator’s %s meanwhile', async (decision) => {
    const { id, settle } = await decideDuringCheck(decision);
    expect(await settle(proof('m1'))).toMatchObject({ done: 1 });
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
    expect(await sql.drain()).toEqual([]);
  });

  it('that arrives after another attempt began changes nothing, and the history records it', async () => {
    const { id, settle } = await decideDuringCheck('pending');
    const settleSecond = await claim();
    const before = await sql.dm(id);
    expect(await settle(proof('m1'))).toMatchObject({ checked: 1, done: 0 });
    expect({ ...(await sql.dm(id)), reconcile: null }).toEqual({ ...before, reconcile: null });
    const late = ['late', 'an earlier attempt was delivered after all, as m1'];
    expect((await sql.history(id)).at(-1)).toEqual(late);
    expect((await settleSecond(resultOf('m2'))).settled).toMatchObject({ done: 1 });
    expect(await sql.dm(id)).toMatchObject({ provider_message_id: 'm2' });
  });

  it('that arrived during another attempt settles the row when that attempt does not end as done', async () => {
    const { id, settle } = await decideDuringCheck('pending');
    const settleSecond = await claim();
    await settle(proof('m1'));
    await settleSecond({ outcome: 'retry' });
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
    expect(await sql.drain()).toEqual([]);
  });

  it('of an earlier attempt settles its row, but an absence or a candidate does not', async () => {
    const { id, settle } = await decideDuringCheck('pending', 4_000);
    await (await claim())({ outcome: 'unknown' });
    const before = await sql.dm(id);
    for (const found of [absence(1), { candidates: ['m2'] }]) await settle(found);
    expect(await sql.dm(id)).toEqual(before);
    await settle(proof('m1'));
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
  });

  it.each(['done', 'pending', 'dead', 'cancelled'])('alone overrides a decision of %s', async (decision) => {
    const { id, settle } = await decideDuringCheck(decision, 200);
    const before = await sql.dm(id);
    await settle({ ...absence(1), candidates: ['m9'] });
    await settle(absence(1));
    expect(await sql.dm(id)).toEqual(before);
  });
});

describe('a candidate', () => {
  it('prevents a second send until an operator decides', async () => {
    const { id } = await sql.addUnknown(account);
    sql.pass(4_000);
    const found = { ...absence(1), candidates: ['m1'] };
    expect(await sql.check(() => found)).toEqual({ checked: 1, done: 0, absent: 0, dead: 0 });
    const reconcile = { waits_for_operator: true, found: 'it is not there' };
    expect(await sql.dm(id)).toMatchObject({ status: 'unknown', reconcile });
    expect(await sql.drain()).toEqual([]);
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

describe('an absence', () => {
  it('counts from the end of the lease, 90 s after the claim, to the moment the check was taken, and not a second earlier', async () => {
    const { id } = await sql.addUnknown(account);
    sql.pass(689);
    const settle = await take();
    sql.pass(5_000);
    expect(await settle(absence(600))).toMatchObject({ checked: 1, absent: 0 });
    expect(await sql.dm(id)).toMatchObject({ status: 'unknown' });
  });

  it('makes the row pending at exactly that second, and frees its place in the day and the hour, and the gap', async () => {
    await database.sql('update punctual.accounts set daily_limit = 2, hourly_limit = 2, gap_seconds = 86400');
    const { id } = await sql.addUnknown(account);
    sql.pass(690);
    expect(await sql.pace(account)).toMatchObject({ used: 1, recent: [expect.any(String)] });
    expect(await sql.check(() => absence(600))).toMatchObject({ absent: 1 });
    const pending = { status: 'pending', attempts: 1, reconcile_at: null, finished_at: null };
    expect(await sql.dm(id)).toMatchObject(pending);
    expect((await sql.history(id)).at(-1)).toEqual(['absent', 'it is not there']);
    expect(await sql.pace(account)).toMatchObject({ used: 0, recent: [] });
    expect(await sql.drain()).toEqual([id]);
  });

  it('frees the place of its own claim in the hour, and none in a day that is over', async () => {
    const { id } = await sql.addUnknown(account);
    sql.pass(86_400);
    await sql.addDm(account);
    await sql.drain();
    await sql.check(() => absence(600));
    expect(await sql.pace(account)).toMatchObject({ used: 1, recent: [sql.now] });
    expect(await sql.dm(id)).toMatchObject({ status: 'pending' });
  });

  it('frees its place in the day even if the account’s time zone has changed since', async () => {
    const { id } = await sql.addUnknown(account);
    await database.sql(`update punctual.accounts set time_zone = 'Pacific/Kiritimati'`);
    sql.pass(700);
    await sql.check(() => absence(600));
    expect((await sql.pace(account)).used).toBe(0);
    expect(await sql.drain()).toEqual([id]);
    expect((await sql.pace(account)).used).toBe(1);
  });

  it('makes the row dead if its attempts are used up', async () => {
    const { id } = await sql.addUnknown(account, { max_attempts: 1 });
    sql.pass(700);
    expect(await sql.check(() => absence(600))).toEqual({ checked: 1, done: 0, absent: 0, dead: 1 });
    const last_error = 'it was not sent, and its attempts are used up';
    expect(await sql.dm(id)).toMatchObject({ status: 'failed', last_error, finished_at: expect.any(String) });
    expect((await sql.pace(account)).used).toBe(0);
  });

  it('is never concluded from a check that proves nothing, and after 1 hour the row waits for an operator', async () => {
    const { id } = await sql.addUnknown(account);
    for (const [seconds, row] of [
      [90 + 3_599, { reconcile: { waits_for_operator: false } }],
      [3_600, { reconcile: { waits_for_operator: true } }],
      [90_000, { reconcile_at: null }],
    ] as const) {
      sql.pass(seconds);
      await sql.check(() => ({ text: 'no webhook yet' }));
      expect(await sql.dm(id)).toMatchObject({ status: 'unknown', ...row });
    }
    // A repeated finding is recorded once.
    expect((await sql.history(id)).slice(1)).toEqual([['checked', 'no webhook yet']]);
  });

  it('is never concluded of a message that was edited after it was sent, and then restored: it waits for an operator', async () => {
    const { id } = await sql.addUnknown(account, { body: 'old text' });
    sql.pass(100);
    await database.sql(`update punctual.dm_queue set body = 'new text' where id = $1`, [id]);
    const since = sql.now;
    sql.pass(600);
    await database.sql('select punctual.after_restore($1, $2)', [since, sql.now]);
    sql.pass(7_200);
    expect(await sql.check(() => absence(10))).toMatchObject({ checked: 1, absent: 0 });
    expect(await sql.dm(id)).toMatchObject({ status: 'unknown', reconcile: { waits_for_operator: true } });
  });
});

it('a failed check proves nothing, calls no operator, and is repeated', async () => {
  const { id } = await sql.addUnknown(account);
  sql.pass(90 + 7_200);
  const found = 'the check failed: down';
  await sql.check(() => ({ failed: true, text: found }));
  const reconcile = { checks: 1, waits_for_operator: false, found };
  expect(await sql.dm(id)).toMatchObject({ status: 'unknown', reconcile });
  sql.pass(60);
  expect(await sql.takeUnknown()).toHaveLength(1);
});

describe('an operator’s decision', () => {
  it.each([
    ['done', 'sent', null, 'it was sent'],
    ['pending', 'pending', null, 'try it again'],
    ['dead', 'failed', 'he said so', 'mark it dead'],
    ['cancelled', 'cancelled', 'he said so', 'cancel it'],
  ])('%s on an unknown row is applied and recorded', async (decision, status, last_error, text) => {
    const { id } = await sql.addUnknown(account);
    expect(await sql.resolve(id, decision, 'he said so')).toEqual({ status });
    const decided = { status, last_error, reconcile_at: null, lease_expires_at: null };
    expect(await sql.dm(id)).toMatchObject(decided);
    expect((await sql.history(id)).at(-1)).toEqual(['decided', `Ann decided: ${text} (he said so)`]);
    expect(await sql.drain()).toEqual(decision === 'pending' ? [id] : []);
    // An attempt that may have sent keeps its place, whatever the operator decides.
    expect((await sql.pace(account)).used).toBe(decision === 'pending' ? 2 : 1);
  });

  const others = ['pending', 'sending', 'sent', 'failed', 'cancelled'];
  it.each(others)('on a row that is %s is refused, and changes nothing', async (status) => {
    const id = await sql.addDm(account, { status });
    const before = await sql.dm(id);
    const refused = { code: 'PT409', message: expect.stringContaining(status) };
    for (const decision of ['done', 'pending', 'dead', ...(status === 'pending' ? [] : ['cancelled'])])
      await expect(sql.resolve(id, decision)).rejects.toMatchObject(refused);
    expect(await sql.dm(id)).toEqual(before);
    expect(await sql.history(id)).toEqual([]);
  });

  it.each(['sending', 'unknown', 'running', 'perhaps', ''])('cannot be "%s"', async (decision) => {
    const { id } = await sql.addUnknown(account);
    await expect(sql.resolve(id, decision)).rejects.toMatchObject({ code: '22023' });
  });
});
