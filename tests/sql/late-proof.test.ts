import { beforeEach, describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  account = await sql.addAccount();
});

const delivered = { outcome: 'done', result: { provider_message_id: 'm1' } };

describe('proof of an earlier attempt that arrives during a later one', () => {
  it('settles the row when the later tick dies, without a check or a second send', async () => {
    const { id, claim_id } = await sql.addUnknown(account);
    await sql.resolve(id, 'pending');
    expect((await sql.tick().claim(1)).rows).toHaveLength(1);
    await sql.tick().settle([{ id, claim_id, ...delivered }]);
    expect(await sql.dm(id)).toMatchObject({ status: 'sending' });
    sql.pass(3_600);
    await sql.tick().claim(1);
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
    sql.pass(3_600);
    expect(await sql.check(() => ({ absent_after_seconds: 10 }))).toMatchObject({ checked: 0 });
    expect(await sql.drain()).toEqual([]);
  });
});

describe('two outcomes of one claim in one call', () => {
  it.each(['dead', 'retry', 'unknown'])('%s and done: done wins', async (outcome) => {
    const id = await sql.addDm(account);
    const tick = sql.tick();
    const { claimId: claim_id } = await tick.claim(1);
    await tick.settle([
      { id, claim_id, outcome, error: 'e', delay_seconds: 1 },
      { id, claim_id, ...delivered },
    ]);
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
  });
});

describe('proof from an attempt whose row was set to pending by plain SQL', () => {
  it('is accepted even though another attempt has the row', async () => {
    const id = await sql.addDm(account);
    const { claimId: claim_id } = await sql.tick().claim(1);
    await database.sql(`update punctual.dm_queue set status = 'pending' where id = $1`, [id]);
    sql.pass(3_600);
    const next = sql.tick();
    const { claimId } = await next.claim(1);
    await sql.tick().settle([{ id, claim_id, ...delivered }]);
    await next.settle([{ id, claim_id: claimId, outcome: 'retry', error: 'e', delay_seconds: 1 }]);
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
  });
});

describe('an outcome under an unknown claim', () => {
  it.each(['running', 'settled'])('does not change a row that another attempt has %s', async (how) => {
    const id = await sql.addDm(account, { body: 'to somebody else' });
    const tick = sql.tick();
    const { claimId: claim_id } = await tick.claim(1);
    const failed = { id, claim_id, outcome: 'dead', error: 'no' };
    if (how === 'settled') await tick.settle([failed]);
    await sql.tick().settle([{ id, claim_id: crypto.randomUUID(), ...delivered }], { close: true });
    if (how === 'running') await tick.settle([failed]);
    expect(await sql.dm(id)).toMatchObject({ status: 'failed', provider_message_id: null });
  });

  it('does not change a row that was never attempted, because ids are reused after a restore', async () => {
    const id = await sql.addDm(account, { body: 'to somebody else' });
    const lost = { id, claim_id: crypto.randomUUID(), ...delivered };
    expect((await sql.tick().settle([lost], { close: true })).settled).toMatchObject({ lost: 1 });
    expect(await sql.dm(id)).toMatchObject({ status: 'pending', provider_message_id: null });
    expect(await sql.drain()).toEqual([id]);
  });
});

describe('a message edited after it was sent, and then restored', () => {
  it('is never settled as absent, and waits for an operator', async () => {
    const { id } = await sql.addUnknown(account, { body: 'old text' });
    sql.pass(100);
    await database.sql(`update punctual.dm_queue set body = 'new text' where id = $1`, [id]);
    const since = sql.now;
    sql.pass(600);
    await database.sql('select punctual.after_restore($1, $2)', [since, sql.now]);
    sql.pass(7_200);
    expect(await sql.check(() => ({ absent_after_seconds: 10 }))).toMatchObject({ checked: 1, absent: 0 });
    expect(await sql.dm(id)).toMatchObject({ status: 'unknown', reconcile: { waits_for_operator: true } });
  });
});
