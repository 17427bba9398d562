import { beforeEach, describe, expect, it } from 'vitest';
import { attemptIn } from '../support/attempt.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';
import { readQueueStats } from '../support/own-tables.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
const provider_account_id = 'ann@unipile';
let account: string;

beforeEach(async () => {
  account = await sql.addAccount({ provider_account_id });
});

const hour = 3_600;
const reason = 'its credentials are invalid: connect it again';
const disconnected = 'errors/disconnected_account';

const note = (event: object, p_provider = 'unipile') =>
  database.rpc('note_connection', { p_provider, p_event: { provider_account_id, ...event }, p_now: sql.now });
const disconnect = (more: object = {}) => note({ connected: false, said: reason, ...more });
const reconnect = (more: object = {}) => note({ connected: true, ends: [disconnected], ...more });

/** Returns the seconds that the account still pauses, and why; null if it does not pause. */
async function readPause(): Promise<{ seconds: number; reason: string | null } | null> {
  const [row] = await database.sql('select paused_until, paused_reason from punctual.accounts');
  const seconds = row.paused_until && (Date.parse(row.paused_until) - Date.parse(sql.now)) / 1_000;
  return seconds > 0 ? { seconds, reason: row.paused_reason } : null;
}
const needsYou = async () => (await readQueueStats(database, sql.now)).dm_queue?.refused;
const refusedBy = (refusal: string) => {
  return { rate_limited: true, refused: 'account', refusal, error: `unipile answered 401 (${refusal})` };
};
const send = () => attemptIn(sql.tick());
const meetRefusal = (refusal = disconnected) => attemptIn(sql.tick(), 'retry', refusedBy(refusal));
const holiday = (seconds: number) =>
  database.sql(`update punctual.accounts set paused_until = $1, paused_reason = 'holiday'`, [
    sql.at(seconds),
  ]);

describe('a disconnected account', () => {
  it('sends nothing, and the dashboard, the list of accounts and explain_row say why', async () => {
    const id = await sql.addDm(account);
    expect(await disconnect()).toBe(true);
    expect(await send()).toBeNull();
    expect(await readPause()).toEqual({ seconds: 4 * hour, reason });
    expect(await needsYou()).toMatchObject([{ provider: 'unipile', account, said: reason }]);
    expect(await database.rpc('list_accounts', {})).toMatchObject({ items: [{ paused_reason: reason }] });
    expect(JSON.stringify(await sql.explain(id))).toContain(reason);
  });

  it('sends again once it is reconnected', async () => {
    const id = await sql.addDm(account);
    await disconnect();
    sql.pass(60);
    expect(await reconnect()).toBe(true);
    expect([await readPause(), await needsYou()]).toEqual([null, []]);
    expect(await send()).toBe(id);
  });

  it('tries one row after 4 hours if no event reports that it is reconnected', async () => {
    const [first] = [await sql.addDm(account), await sql.addDm(account)];
    await disconnect();
    sql.pass(4 * hour);
    expect(await meetRefusal()).toBe(first);
    expect(await readPause()).toMatchObject({ seconds: 4 * hour });
    sql.pass(4 * hour);
    expect(await send()).toBe(first);
    expect(await needsYou()).toEqual([]);
  });

  it('does not pause longer if the event is repeated', async () => {
    await disconnect();
    sql.pass(hour);
    expect(await disconnect()).toBe(false);
    expect(await readPause()).toMatchObject({ seconds: 3 * hour });
    await reconnect();
    expect(await reconnect()).toBe(false);
    expect(await readPause()).toBeNull();
  });

  it('is not paused by an event about an unknown account', async () => {
    expect(await disconnect({ provider_account_id: 'stranger' })).toBe(false);
    expect(await note({ connected: false, said: reason }, 'whatsapp_cloud')).toBe(false);
    expect(await readPause()).toBeNull();
  });

  it('sends before it is reconnected if an operator ends the refusal', async () => {
    const id = await sql.addDm(account);
    await disconnect();
    await database.rpc('end_refusal', { p_provider: 'unipile', p_account_id: account });
    expect(await send()).toBe(id);
  });
});

describe('a reconnected account', () => {
  it.each([
    ['resumes if a call found it disconnected', disconnected, true],
    ['stays paused if the network restricts it', 'errors/account_restricted', false],
  ])('%s', async (_, refusal, resumes) => {
    await sql.addDm(account);
    await meetRefusal(refusal);
    expect(await reconnect()).toBe(resumes);
    expect((await readPause()) === null).toBe(resumes);
  });

  it.each([hour, 9 * hour])('keeps a pause of %d s that a person set before', async (seconds) => {
    const before = { seconds, reason: 'holiday' };
    await holiday(seconds);
    await disconnect();
    expect(await readPause()).toEqual(seconds < 4 * hour ? { seconds: 4 * hour, reason } : before);
    await reconnect();
    expect(await readPause()).toEqual(before);
  });

  it('keeps a pause that a person set during the refused call', async () => {
    const id = await sql.addDm(account);
    const tick = sql.tick();
    const { claimId: claim_id } = await tick.claim(1);
    await holiday(60);
    const record = { id, claim_id, account_id: account, outcome: 'retry', ...refusedBy(disconnected) };
    await tick.settle([record], { close: true });
    expect(await readPause()).toMatchObject({ seconds: 300 });
    await reconnect();
    expect(await readPause()).toEqual({ seconds: 60, reason: 'holiday' });
  });

  it('keeps a person’s pause that outlasts the pause of a refused call', async () => {
    await sql.addDm(account);
    await meetRefusal();
    await holiday(hour);
    expect(await reconnect()).toBe(true);
    expect(await readPause()).toEqual({ seconds: hour, reason: 'holiday' });
  });

  it('keeps a pause that a person set since, with or without a reason', async () => {
    await disconnect();
    await database.sql('update punctual.accounts set paused_until = $1', [sql.at(100 * hour)]);
    await reconnect();
    expect(await readPause()).toMatchObject({ seconds: 100 * hour });
    const p_account = {
      provider: 'unipile',
      provider_account_id,
      name: 'Ann',
      paused_until: sql.at(200 * hour),
    };
    await database.rpc('save_account', { p_account });
    expect(await readPause()).toEqual({ seconds: 200 * hour, reason: null });
  });

  it('does not return to a person’s pause that is over', async () => {
    await holiday(hour);
    await disconnect();
    sql.pass(2 * hour);
    await reconnect();
    expect(await readPause()).toBeNull();
  });
});

describe('a connection event', () => {
  it('changes nothing if it is older than the latest event', async () => {
    await disconnect({ said_at: sql.at(-10) });
    expect(await reconnect({ said_at: sql.at(-20) })).toBe(false);
    expect(await readPause()).not.toBeNull();
    expect(await reconnect({ said_at: sql.at(-5) })).toBe(true);
    expect(await disconnect({ said_at: sql.at(-7) })).toBe(false);
    expect(await readPause()).toBeNull();
  });

  it('does not resume the account if it is older than the refused call', async () => {
    await sql.addDm(account);
    await meetRefusal();
    expect(await reconnect({ said_at: sql.at(-1) })).toBe(false);
    expect(await readPause()).not.toBeNull();
    expect(await reconnect({ said_at: sql.at(0) })).toBe(true);
  });

  it('from a clock that is ahead does not make later events seem old', async () => {
    await disconnect({ said_at: sql.at(hour) });
    sql.pass(60);
    expect(await reconnect({ said_at: sql.at(0) })).toBe(true);
  });

  it('without a time counts in the order of arrival', async () => {
    await disconnect();
    await reconnect();
    await disconnect();
    expect(await readPause()).not.toBeNull();
  });
});
