import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { statsSchema } from '../../lib/store/stats.ts';
import { exchanges } from '../support/exchanges.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let sql: ReturnType<typeof exchanges>;
let account: string;
let providerAccountId: string;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.reset();
  sql = exchanges(database);
  account = await sql.addAccount();
  [{ provider_account_id: providerAccountId }] = await database.sql(
    'select provider_account_id::text from punctual.accounts',
  );
});

const hour = 3_600;
const said = 'its credentials are invalid: connect it again';
const mends = ['errors/disconnected_account'];

const note = (told: object, more: object = {}) =>
  database.rpc('note_connection', {
    p_provider: 'unipile',
    p_told: { provider_account_id: providerAccountId, ...told },
    p_now: sql.now,
    ...more,
  });
const lost = (more: object = {}) => note({ connected: false, said, ...more });
const back = (more: object = {}) => note({ connected: true, mends, ...more });

/** Seconds that the account still pauses, and why; null where it does not. */
async function pause(): Promise<{ seconds: number; reason: string | null } | null> {
  const [row] = await database.sql(
    'select paused_until, paused_reason from punctual.accounts where id = $1',
    [account],
  );
  const seconds = row.paused_until && (Date.parse(row.paused_until) - Date.parse(sql.now)) / 1_000;
  return seconds > 0 ? { seconds, reason: row.paused_reason } : null;
}

async function needsYou() {
  const stats = statsSchema.parse(
    await database.rpc('read_stats', { p_configured: ['unipile'], p_now: sql.now }),
  );
  return stats.queues.flatMap(({ name, refused }) => refused.map((one) => ({ queue: name, ...one })));
}

/** Claims the account's next row and settles it so; null where none may be claimed. */
async function attempt(record: Record<string, unknown> = {}): Promise<string | null> {
  const tick = sql.tick();
  const { rows, claimId } = await tick.claim(1);
  const id = rows[0]?.id;
  const whole = { claim_id: claimId, account_id: account, outcome: 'done', ...record };
  await tick.settle(id ? [{ ...whole, id }] : [], { close: true });
  return id ?? null;
}
const refusedBy = (refusal: string) => ({
  outcome: 'retry',
  rate_limited: true,
  refused: 'account',
  refusal,
  error: `unipile answered 401 (${refusal})`,
});

const holiday = (seconds: number) =>
  database.sql(`update punctual.accounts set paused_until = $1, paused_reason = 'holiday'`, [
    sql.at(seconds),
  ]);

describe('an account whose connection is lost', () => {
  it('sends nothing, and people are told why, with what is refused', async () => {
    const id = await sql.addDm(account);
    expect(await lost()).toBe(true);
    expect(await attempt()).toBeNull();
    expect(await pause()).toEqual({ seconds: 4 * hour, reason: said });
    expect(await needsYou()).toEqual([
      expect.objectContaining({ queue: 'dm_queue', provider: 'unipile', account, said }),
    ]);
    expect(await database.rpc('list_accounts', {})).toMatchObject({ items: [{ paused_reason: said }] });
    const why = await database.rpc('explain_row', { p_queue: 'dm_queue', p_id: id, p_now: sql.now });
    expect(JSON.stringify(why)).toContain(said);
  });

  it('sends again once it is back', async () => {
    const id = await sql.addDm(account);
    await lost();
    sql.pass(60);
    expect(await back()).toBe(true);
    expect([await pause(), await needsYou()]).toEqual([null, []]);
    expect(await attempt()).toBe(id);
  });

  it('is tried with one row after four hours where nobody tells that it is back', async () => {
    const ids = [await sql.addDm(account), await sql.addDm(account)];
    await lost();
    sql.pass(4 * hour);
    expect(await attempt(refusedBy('errors/disconnected_account'))).toBe(ids[0]);
    expect(await pause()).toMatchObject({ seconds: 4 * hour });
    sql.pass(4 * hour);
    expect(await attempt()).toBe(ids[0]);
    expect(await needsYou()).toEqual([]);
  });

  it('pauses no longer for an event that comes again', async () => {
    await lost();
    sql.pass(hour);
    expect(await lost()).toBe(false);
    expect(await pause()).toMatchObject({ seconds: 3 * hour });
    await back();
    expect(await back()).toBe(false);
    expect(await pause()).toBeNull();
  });

  it('is nobody where the account is unknown', async () => {
    expect(await note({ provider_account_id: 'stranger', connected: false, said })).toBe(false);
    expect(await note({ connected: false, said }, { p_provider: 'whatsapp_cloud' })).toBe(false);
    expect(await pause()).toBeNull();
  });

  it('may be tried by a person before it is back', async () => {
    const id = await sql.addDm(account);
    await lost();
    await database.rpc('end_refusal', { p_provider: 'unipile', p_account_id: account });
    expect(await attempt()).toBe(id);
  });
});

describe('an account that is connected again', () => {
  it.each([
    ['goes on where a call found it disconnected', 'errors/disconnected_account', true],
    ['stays paused where the network restricts it', 'errors/account_restricted', false],
  ])('%s', async (_, refusal, resumes) => {
    await sql.addDm(account);
    await attempt(refusedBy(refusal));
    expect(await back()).toBe(resumes);
    expect((await pause()) === null).toBe(resumes);
  });

  it.each([hour, 9 * hour])('stays under the pause of %d s that a person had set before', async (seconds) => {
    await holiday(seconds);
    await lost();
    expect(await pause()).toEqual(
      seconds < 4 * hour ? { seconds: 4 * hour, reason: said } : { seconds, reason: 'holiday' },
    );
    await back();
    expect(await pause()).toEqual({ seconds, reason: 'holiday' });
  });

  it('stays under a pause that a person had set while a call was refused', async () => {
    await sql.addDm(account);
    const tick = sql.tick();
    const { rows, claimId } = await tick.claim(1);
    await holiday(60);
    const record = { claim_id: claimId, account_id: account, ...refusedBy('errors/disconnected_account') };
    await tick.settle([{ id: rows[0]?.id ?? '', ...record }], { close: true });
    expect(await pause()).toMatchObject({ seconds: 300 });
    await back();
    expect(await pause()).toEqual({ seconds: 60, reason: 'holiday' });
  });

  it('stays under a pause of a person’s that is longer than that of a refused call', async () => {
    await sql.addDm(account);
    await attempt(refusedBy('errors/disconnected_account'));
    await holiday(hour);
    expect(await back()).toBe(true);
    expect(await pause()).toEqual({ seconds: hour, reason: 'holiday' });
  });

  it('stays under a pause that a person has set since, with a reason or without', async () => {
    await lost();
    await database.sql('update punctual.accounts set paused_until = $1', [sql.at(100 * hour)]);
    await back();
    expect(await pause()).toMatchObject({ seconds: 100 * hour });
    const saved = { provider: 'unipile', provider_account_id: providerAccountId, name: 'Ann' };
    await database.rpc('save_account', { p_account: { ...saved, paused_until: sql.at(200 * hour) } });
    expect(await pause()).toEqual({ seconds: 200 * hour, reason: null });
  });

  it('is not paused by a pause of a person’s that is over', async () => {
    await holiday(hour);
    await lost();
    sql.pass(2 * hour);
    await back();
    expect(await pause()).toBeNull();
  });
});

describe('an event that bears its time', () => {
  it('of before changes nothing when it arrives late', async () => {
    await lost({ said_at: sql.at(-10) });
    expect(await back({ said_at: sql.at(-20) })).toBe(false);
    expect(await pause()).not.toBeNull();
    expect(await back({ said_at: sql.at(-5) })).toBe(true);
    expect(await lost({ said_at: sql.at(-7) })).toBe(false);
    expect(await pause()).toBeNull();
  });

  it('of before the call that was refused does not resume its account', async () => {
    await sql.addDm(account);
    await attempt(refusedBy('errors/disconnected_account'));
    expect(await back({ said_at: sql.at(-1) })).toBe(false);
    expect(await pause()).not.toBeNull();
    expect(await back({ said_at: sql.at(0) })).toBe(true);
  });

  it('of a clock that is ahead does not make later ones old', async () => {
    await lost({ said_at: sql.at(hour) });
    sql.pass(60);
    expect(await back({ said_at: sql.at(0) })).toBe(true);
  });

  it('missing, the order of arrival decides', async () => {
    await lost();
    await back();
    await lost();
    expect(await pause()).not.toBeNull();
  });
});
