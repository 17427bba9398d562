import { beforeEach, describe, expect, it } from 'vitest';
import { attempt } from '../support/attempt.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  await database.sql('update punctual.queues set batch_limit = null');
  account = await sql.addAccount();
});

const limit = { outcome: 'retry', rate_limited: true, limit_scope: 'account', error: 'too much' };
const pair = { ...limit, limit_scope: 'pair', error: 'not so often' };
const hitLimit = (more: object = {}) => attempt(sql, { ...limit, ...more });
const addTo = (chat_id: string) => sql.addDm(account, { chat_id });
const secondsUntil = (at: string) => (Date.parse(at) - Date.parse(sql.now)) / 1_000;
async function pausedSeconds() {
  const [row] = await database.sql('select paused_until from punctual.accounts where id = $1', [account]);
  return row.paused_until && secondsUntil(row.paused_until);
}
const heldSeconds = async (addressee: string) =>
  secondsUntil((await sql.pace(account)).limited_addressees[addressee].until);

/** Hits a limit eight times, each time as soon as the wait is over. Returns the waits in seconds. */
async function hitEightTimes(more: object, wait: () => Promise<number>): Promise<number[]> {
  const waits: number[] = [];
  for (let n = 0; n < 8; n++) {
    expect(await hitLimit(more)).not.toBeNull();
    const seconds = await wait();
    waits.push(seconds);
    sql.pass(seconds - 1);
    expect(await hitLimit(more)).toBeNull();
    sql.pass(1);
  }
  return waits;
}

describe('a rate limit of the account', () => {
  it('without a duration pauses the account twice as long each time, from 1 minute to 1 hour, and costs its row no attempt and no place', async () => {
    const id = await sql.addDm(account);
    await sql.addDm(account);
    expect(await hitEightTimes({}, pausedSeconds)).toEqual([60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
    expect(await sql.dm(id)).toMatchObject({ status: 'pending', attempts: 0 });
    expect(await sql.pace(account)).toMatchObject({ used: 0, recent: [] });
    // Its row stays first in line.
    expect(await attempt(sql)).toBe(id);
  });

  it('with a duration pauses the account for that long and keeps the provider’s text', async () => {
    const id = await sql.addDm(account);
    await hitLimit({ account_pause_seconds: 777, delay_seconds: 777, error: 'wait 777 s, it said' });
    expect(await pausedSeconds()).toBe(777);
    const { waits, last_error } = await sql.explain(id);
    const wait = { kind: 'paused', text: 'paused: wait 777 s, it said' };
    expect(waits).toContainEqual(expect.objectContaining(wait));
    expect(last_error).toBe('wait 777 s, it said');
    sql.pass(776);
    expect(await hitLimit()).toBeNull();
    sql.pass(1);
    expect(await hitLimit()).toBe(id);
  });

  it.each([
    ['starts again at 1 minute after a success', 'done', 60],
    ['keeps doubling after a failure', 'dead', 240],
  ])('%s', async (_, outcome, expected) => {
    for (let n = 0; n < 3; n++) await sql.addDm(account);
    for (const seconds of [60, 120]) {
      await hitLimit();
      expect(await pausedSeconds()).toBe(seconds);
      sql.pass(seconds);
    }
    await attempt(sql, { outcome });
    await hitLimit();
    expect(await pausedSeconds()).toBe(expected);
  });

  it('never shortens an operator’s longer pause', async () => {
    const id = await sql.addDm(account);
    const tick = sql.tick();
    const { claimId: claim_id } = await tick.claim(1);
    const paused = { paused_until: sql.at(86_400), paused_reason: 'holiday' };
    const select = 'select paused_until, paused_reason from punctual.accounts';
    await database.sql(
      'update punctual.accounts set paused_until = $1, paused_reason = $2',
      Object.values(paused),
    );
    await tick.settle([{ id, claim_id, account_id: account, ...limit, account_pause_seconds: 30 }]);
    expect(await database.sql(select)).toEqual([paused]);
  });
});

describe('a rate limit of one addressee', () => {
  it('holds the addressee for 4, 16, 64, … seconds, 1 hour at most, and costs its row no attempt', async () => {
    const id = await addTo('bob');
    const waits = await hitEightTimes(pair, () => heldSeconds('bob'));
    expect(waits).toEqual([4, 16, 64, 256, 1_024, 3_600, 3_600, 3_600]);
    expect(await sql.dm(id)).toMatchObject({ attempts: 0, status: 'pending' });
  });

  it('with a duration holds the addressee for that long, in this account only', async () => {
    const id = await addTo('bob');
    const eve = await addTo('eve');
    await hitLimit({ ...pair, delay_seconds: 86_400 });
    const other = await sql.addDm(await sql.addAccount(), { chat_id: 'bob' });
    expect((await sql.drain()).sort()).toEqual([eve, other]);
    expect((await sql.explain(id)).waits).toContainEqual({
      kind: 'pair',
      until: expect.stringContaining('2026-03-03T12:00:00'),
      text: 'the provider limits messages to this addressee: not so often',
    });
  });

  it('lets other addressees’ rows go on, and keeps the held rows in order, including new ones', async () => {
    const bob = [await addTo('bob'), await addTo('bob')];
    const eve = await sql.addDm(account, { recipient: 'eve', chat_id: null });
    const max = await addTo('max');
    expect(await hitLimit(pair)).toBe(bob[0]);
    bob.push(await addTo('bob'));
    expect(await sql.drain()).toEqual([eve, max]);
    sql.pass(3);
    bob.push(await addTo('bob'));
    expect(await sql.drain()).toEqual([]);
    sql.pass(1);
    expect(await sql.drain()).toEqual(bob);
    expect((await sql.pace(account)).limited_addressees).toBeNull();
  });

  it('applies to each addressee separately, and a success frees only its own', async () => {
    const [bob, eve] = [await addTo('bob'), await addTo('eve')];
    expect([await hitLimit(pair), await hitLimit(pair)]).toEqual([bob, eve]);
    sql.pass(4);
    expect(await hitLimit(pair)).toBe(bob);
    expect(await sql.drain()).toEqual([eve]);
    expect(Object.keys((await sql.pace(account)).limited_addressees)).toEqual(['bob']);
    expect(await heldSeconds('bob')).toBe(16);
  });

  it('uses no place in the limits and starts no gap for the other rows', async () => {
    await database.sql('update punctual.accounts set daily_limit = 1, gap_seconds = 600, hourly_limit = 1');
    await addTo('bob');
    const eve = await addTo('eve');
    await hitLimit(pair);
    expect(await sql.drain()).toEqual([eve]);
  });

  it('does not pause the account, and the row is claimed once its wait is over', async () => {
    const id = await addTo('bob');
    await hitLimit(pair);
    const idle = await sql.tick().exchange({ want: 5, close: true });
    expect(idle).toMatchObject({ rows: [], closed: true, next_due_in_ms: 4_000 });
    expect(await pausedSeconds()).toBeNull();
    sql.pass(4);
    expect(await sql.drain()).toEqual([id]);
  });
});
