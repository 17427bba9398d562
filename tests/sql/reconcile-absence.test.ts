import { beforeEach, describe, expect, it } from 'vitest';
import { finding } from '../support/exchanges.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  account = await sql.addAccount();
});

/** A finding that proves absence once the attempt has been over for `seconds`. */
const absence = (seconds: number) => ({ absent_after_seconds: seconds, text: 'it is not there' });

describe('an absence', () => {
  it('counts from the end of the lease to the moment the check was taken, and not a second earlier', async () => {
    const { id } = await sql.addUnknown(account);
    // The lease ends 90 s after the claim. After 600 s more an absence is proof.
    sql.pass(689);
    const early = await sql.takeUnknown();
    expect(early[0]?.over_seconds).toBe(599);
    sql.pass(5_000);
    expect(await sql.settleFindings(early.map((one) => finding(one, absence(600))))).toMatchObject({
      checked: 1,
      absent: 0,
    });
    expect(await sql.dm(id)).toMatchObject({ status: 'unknown' });
    sql.pass(3_600);
    expect(await sql.check(() => absence(600))).toMatchObject({ absent: 1 });
    expect(await sql.dm(id)).toMatchObject({
      status: 'pending',
      attempts: 1,
      reconcile_at: null,
      finished_at: null,
    });
    expect((await sql.history(id)).at(-1)).toEqual(['absent', 'it is not there']);
    expect(await sql.drain()).toEqual([id]);
  });

  it('is proof at exactly that second', async () => {
    await sql.addUnknown(account);
    sql.pass(690);
    expect(await sql.check(() => absence(600))).toMatchObject({ absent: 1 });
  });

  it('frees the place in the day and the hour, and the gap', async () => {
    await database.sql('update punctual.accounts set daily_limit = 2, hourly_limit = 2, gap_seconds = 86400');
    const { id } = await sql.addUnknown(account);
    sql.pass(700);
    expect(await sql.pace(account)).toMatchObject({ used: 1, recent: [expect.any(String)] });
    await sql.check(() => absence(600));
    expect(await sql.pace(account)).toMatchObject({ used: 0, recent: [] });
    expect(await sql.drain()).toEqual([id]);
  });

  it('frees the place of its own claim in the hour, and none in a day that is over', async () => {
    const { id } = await sql.addUnknown(account);
    const later = sql.at(86_400);
    sql.setNow(later);
    await sql.addDm(account);
    await sql.drain();
    await sql.check(() => absence(600));
    const pace = await sql.pace(account);
    expect(pace.used).toBe(1);
    expect(pace.recent.map((at: string) => Date.parse(at))).toEqual([Date.parse(later)]);
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
    expect(await sql.dm(id)).toMatchObject({
      status: 'failed',
      last_error: 'it was not sent, and its attempts are used up',
      finished_at: expect.any(String),
    });
    expect((await sql.pace(account)).used).toBe(0);
  });

  it('is never concluded from a check that proves nothing, and after 1 hour the row waits for an operator', async () => {
    const { id } = await sql.addUnknown(account);
    sql.pass(90 + 3_599);
    await sql.check(() => ({ text: 'no webhook yet' }));
    expect(await sql.dm(id)).toMatchObject({ status: 'unknown', reconcile: { waits_for_operator: false } });
    sql.pass(3_600);
    await sql.check(() => ({ text: 'no webhook yet' }));
    expect(await sql.dm(id)).toMatchObject({ status: 'unknown', reconcile: { waits_for_operator: true } });
    sql.pass(90_000);
    await sql.check(() => ({ text: 'no webhook yet' }));
    expect(await sql.dm(id)).toMatchObject({ status: 'unknown', reconcile_at: null });
    // A repeated finding is recorded once.
    expect((await sql.history(id)).filter(([event]) => event === 'checked')).toEqual([
      ['checked', 'no webhook yet'],
    ]);
  });
});

it('a failed check proves nothing, calls no operator, and is repeated', async () => {
  const { id } = await sql.addUnknown(account);
  sql.pass(90 + 7_200);
  await sql.check(() => ({ failed: true, text: 'the check failed: down' }));
  expect(await sql.dm(id)).toMatchObject({
    status: 'unknown',
    reconcile: { checks: 1, waits_for_operator: false, found: 'the check failed: down' },
    reconcile_at: expect.any(String),
  });
  sql.pass(60);
  expect(await sql.takeUnknown()).toHaveLength(1);
});
