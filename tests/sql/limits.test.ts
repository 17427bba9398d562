import { beforeEach, describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  await database.sql('update punctual.queues set batch_limit = null');
  account = await sql.addAccount();
});

/** Claims the account's next row and settles it as rate limited. Returns its id, or null if no row was claimed. */
async function hitLimit(more: Record<string, unknown> = {}): Promise<string | null> {
  const tick = sql.tick();
  const { rows, claimId } = await tick.claim(1);
  const row = rows[0];
  const record = {
    claim_id: claimId,
    outcome: 'retry',
    rate_limited: true,
    account_id: account,
    error: 'too much',
  };
  await tick.settle(row ? [{ ...record, id: row.id, limit_scope: 'account', ...more }] : [], {
    close: true,
  });
  return row?.id ?? null;
}

async function pausedSeconds(): Promise<number> {
  const [row] = await database.sql('select paused_until from punctual.accounts where id = $1', [account]);
  return (Date.parse(row.paused_until) - Date.parse(sql.now)) / 1_000;
}

describe('a rate limit of the account', () => {
  it('without a duration pauses the account twice as long each time, from 1 minute to 1 hour', async () => {
    await sql.addDm(account);
    const pauses: number[] = [];
    for (let n = 0; n < 8; n++) {
      expect(await hitLimit()).not.toBeNull();
      pauses.push(await pausedSeconds());
      sql.pass((pauses.at(-1) ?? 0) - 1);
      expect(await hitLimit()).toBeNull();
      sql.pass(1);
    }
    expect(pauses).toEqual([60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
  });

  it('with a duration pauses the account for that long and keeps the provider’s text', async () => {
    const id = await sql.addDm(account);
    await hitLimit({ account_pause_seconds: 777, delay_seconds: 777, error: 'wait 777 s, it said' });
    expect(await pausedSeconds()).toBe(777);
    const [row] = await database.sql('select paused_reason from punctual.accounts');
    expect(row.paused_reason).toBe('wait 777 s, it said');
    const { waits, last_error } = await sql.explain(id);
    expect(waits).toContainEqual(
      expect.objectContaining({ kind: 'paused', text: 'paused: wait 777 s, it said' }),
    );
    expect(last_error).toBe('wait 777 s, it said');
    sql.pass(776);
    expect(await hitLimit()).toBeNull();
    sql.pass(1);
    expect(await hitLimit()).toBe(id);
  });

  it('starts again at 1 minute after a success', async () => {
    for (let n = 0; n < 4; n++) await sql.addDm(account);
    for (const seconds of [60, 120]) {
      await hitLimit();
      expect(await pausedSeconds()).toBe(seconds);
      sql.pass(seconds);
    }
    expect(await sql.drain()).toHaveLength(4);
    await sql.addDm(account);
    await hitLimit();
    expect(await pausedSeconds()).toBe(60);
  });

  it('keeps doubling after a failure', async () => {
    for (let n = 0; n < 3; n++) await sql.addDm(account);
    await hitLimit();
    sql.pass(60);
    const tick = sql.tick();
    const { rows, claimId } = await tick.claim(1);
    await tick.settle([{ id: rows[0]?.id ?? '', claim_id: claimId, outcome: 'dead', error: 'e' }], {
      close: true,
    });
    await hitLimit();
    expect(await pausedSeconds()).toBe(120);
  });

  it('costs the row no attempt and no place in the limits, and keeps it first in line', async () => {
    const first = await sql.addDm(account);
    await sql.addDm(account);
    for (let n = 0; n < 9; n++) {
      expect(await hitLimit({ account_pause_seconds: 10, delay_seconds: 10 })).toBe(first);
      expect(await sql.dm(first)).toMatchObject({ status: 'pending', attempts: 0 });
      sql.pass(10);
    }
    expect(await sql.pace(account)).toMatchObject({ used: 0, recent: [] });
  });

  it('never shortens an operator’s longer pause', async () => {
    await sql.addDm(account);
    const tick = sql.tick();
    const { rows, claimId } = await tick.claim(1);
    await database.sql(`update punctual.accounts set paused_until = $1, paused_reason = 'holiday'`, [
      sql.at(86_400),
    ]);
    const limit = {
      outcome: 'retry',
      rate_limited: true,
      limit_scope: 'account',
      account_id: account,
      error: 'too much',
    };
    await tick.settle([{ id: rows[0]?.id ?? '', claim_id: claimId, ...limit, account_pause_seconds: 30 }]);
    expect(await pausedSeconds()).toBe(86_400);
    expect((await database.sql('select paused_reason from punctual.accounts'))[0].paused_reason).toBe(
      'holiday',
    );
  });
});

describe('a rate limit of one addressee', () => {
  const pair = { limit_scope: 'pair', error: 'not so often' };
  const heldSeconds = async (addressee: string) => {
    const { limited_addressees } = await sql.pace(account);
    return (Date.parse(limited_addressees[addressee].until) - Date.parse(sql.now)) / 1_000;
  };

  it('holds the addressee for 4, 16, 64, … seconds, 1 hour at most', async () => {
    const id = await sql.addDm(account, { chat_id: 'bob' });
    const waits: number[] = [];
    for (let n = 0; n < 8; n++) {
      expect(await hitLimit(pair)).toBe(id);
      waits.push(await heldSeconds('bob'));
      sql.pass((waits.at(-1) ?? 0) - 1);
      expect(await hitLimit(pair)).toBeNull();
      sql.pass(1);
    }
    expect(waits).toEqual([4, 16, 64, 256, 1_024, 3_600, 3_600, 3_600]);
    expect(await sql.dm(id)).toMatchObject({ attempts: 0, status: 'pending' });
  });

  it('with a duration holds the addressee for that long, and no other', async () => {
    const id = await sql.addDm(account, { chat_id: 'bob' });
    const eve = await sql.addDm(account, { chat_id: 'eve' });
    await hitLimit({ ...pair, delay_seconds: 86_400 });
    expect(await sql.drain()).toEqual([eve]);
    expect(await heldSeconds('bob')).toBe(86_400);
    expect((await sql.explain(id)).waits).toContainEqual({
      kind: 'pair',
      until: expect.stringContaining('2026-03-03T12:00:00'),
      text: 'the provider limits messages to this addressee: not so often',
    });
  });

  it('lets other addressees’ rows go on, and keeps the held rows in order, including new ones', async () => {
    const bob = [await sql.addDm(account, { chat_id: 'bob' }), await sql.addDm(account, { chat_id: 'bob' })];
    const eve = await sql.addDm(account, { recipient: 'eve', chat_id: null });
    const max = await sql.addDm(account, { chat_id: 'max' });
    expect(await hitLimit(pair)).toBe(bob[0]);
    bob.push(await sql.addDm(account, { chat_id: 'bob' }));
    expect(await sql.drain()).toEqual([eve, max]);
    sql.pass(3);
    bob.push(await sql.addDm(account, { chat_id: 'bob' }));
    expect(await sql.drain()).toEqual([]);
    sql.pass(1);
    expect(await sql.drain()).toEqual(bob);
    expect((await sql.pace(account)).limited_addressees).toBeNull();
  });

  it('holds the addressee in this account only', async () => {
    await sql.addDm(account, { chat_id: 'bob' });
    const other = await sql.addAccount();
    await hitLimit(pair);
    const id = await sql.addDm(other, { chat_id: 'bob' });
    expect(await sql.drain()).toEqual([id]);
  });

  it('applies to each addressee separately, and a success frees only its own', async () => {
    const bob = await sql.addDm(account, { chat_id: 'bob' });
    const eve = await sql.addDm(account, { chat_id: 'eve' });
    expect(await hitLimit(pair)).toBe(bob);
    expect(await hitLimit(pair)).toBe(eve);
    sql.pass(4);
    expect(await hitLimit(pair)).toBe(bob);
    expect(await sql.drain()).toEqual([eve]);
    expect(Object.keys((await sql.pace(account)).limited_addressees)).toEqual(['bob']);
    expect(await heldSeconds('bob')).toBe(16);
  });

  it('uses no place in the limits and starts no gap for the other rows', async () => {
    await database.sql('update punctual.accounts set daily_limit = 1, gap_seconds = 600, hourly_limit = 1');
    await sql.addDm(account, { chat_id: 'bob' });
    const eve = await sql.addDm(account, { chat_id: 'eve' });
    await hitLimit(pair);
    expect(await sql.drain()).toEqual([eve]);
  });

  it('does not pause the account, and the row is claimed once its wait is over', async () => {
    const id = await sql.addDm(account, { chat_id: 'bob' });
    await hitLimit(pair);
    const idle = await sql.tick().exchange({ want: 5, close: true });
    expect(idle).toMatchObject({ rows: [], closed: true, next_due_in_ms: 4_000 });
    sql.pass(4);
    expect(await sql.drain()).toEqual([id]);
    expect((await database.sql('select paused_until from punctual.accounts'))[0].paused_until).toBeNull();
  });
});
