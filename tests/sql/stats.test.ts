import { describe, expect, it } from 'vitest';
import { statsSchema } from '../../lib/store/stats.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);

/** Returns the stats of dm_queue, where only Unipile is configured. */
const read = async () => {
  const stats = statsSchema.parse(
    await database.rpc('read_stats', { p_configured: ['unipile'], p_now: sql.now }),
  );
  const queue = stats.queues.find((one) => one.name === 'dm_queue');
  if (!queue) throw new Error('dm_queue is missing');
  return queue;
};
/** A tick that claims up to `want` rows and ends. */
const runTick = (want = 0) => sql.tick().exchange({ want, close: true });

describe('the stats', () => {
  it('of an empty queue are zero or empty', async () => {
    expect(await read()).toMatchObject({
      states: { pending: { count: 0, approximate: false }, done: { count: 0 } },
      due_now: { count: 0 },
      oldest_due_seconds: null,
      next_due_seconds: null,
      waiting: [],
      unreachable: [],
      last_tick: null,
      failed: { rows: 0 },
      undecided: { rows: 0 },
      day: [],
    });
  });

  it('count rows by state and due rows, and give the queue’s own words and the oldest and next due times', async () => {
    const account = await sql.addAccount();
    for (const status of ['sent', 'sent', 'failed', 'unknown', 'cancelled', 'sending'])
      await sql.addDm(account, { status });
    for (const seconds of [-90, -10, 120]) await sql.addDm(account, { send_at: sql.at(seconds) });
    const { words, states, ...due } = await read();
    expect(words).toMatchObject({ running: 'sending', done: 'sent', dead: 'failed' });
    const counts = Object.entries(states).map(([state, { count }]) => [state, count]);
    const expected = { pending: 3, running: 1, done: 2, dead: 1, unknown: 1, cancelled: 1 };
    expect(Object.fromEntries(counts)).toEqual(expected);
    expect(due).toMatchObject({ due_now: { count: 2 }, oldest_due_seconds: 90, next_due_seconds: 120 });
  });

  it('give the reason for every row that no tick can reach', async () => {
    const zero = { daily_limit: 0 };
    await sql.addDm(await sql.addAccount(), { send_at: 'infinity' });
    const limited = await sql.addAccount(zero);
    for (let n = 0; n < 2; n++) await sql.addDm(limited);
    await sql.addDm(await sql.addAccount({ provider: 'whatsapp_cloud' }));
    // A queue's own limit counts in place of the account's.
    for (const [account, limit] of [
      [await sql.addAccount(), 0],
      [await sql.addAccount(zero), 5],
    ] as const) {
      await database.sql('update punctual.pace set daily_limit = $2 where account_id = $1', [account, limit]);
      await sql.addDm(account);
    }
    const { unreachable } = await read();
    expect(unreachable.toSorted((a, b) => a.reason.localeCompare(b.reason))).toEqual([
      { reason: 'send_at is infinity', rows: 1 },
      { reason: "the account's daily limit is 0", rows: 3 },
      { reason: 'the provider whatsapp_cloud is not configured', rows: 1 },
    ]);
  });

  it('count waiting accounts by reason, and say until when they wait', async () => {
    for (let n = 0; n < 2; n++) {
      const account = await sql.addAccount({ daily_limit: 1 });
      for (let m = 0; m < 2; m++) await sql.addDm(account);
    }
    const tick = sql.tick();
    const { rows, claimId } = await tick.claim();
    await tick.settle(
      rows.map((row) => ({ id: row.id, claim_id: claimId, outcome: 'done' })),
      { want: 10 },
    );
    expect((await read()).waiting).toEqual([
      { reason: 'daily limit reached', accounts: 2, until: '2026-03-03T00:00:00+00:00' },
    ]);
  });

  it('give the newest tick of any outcome, with the fault of its call', async () => {
    await runTick(5);
    expect((await read()).last_tick).toMatchObject({ outcome: 'idle', fault: null, partition: 'main' });
    sql.pass(60);
    await sql.addDm(await sql.addAccount());
    await sql.tick().claim();
    expect((await read()).last_tick).toMatchObject({ outcome: 'running', closed_at: null });
    sql.pass(100);
    expect((await read()).last_tick).toMatchObject({ outcome: 'died' });
    await database.sql(`update punctual.ticks set report = '{"fault": "no key"}'`);
    expect((await read()).last_tick).toMatchObject({ fault: 'no key' });
  });

  it('count the rows that failed for good in the last 24 hours, with their times and the latest error', async () => {
    expect((await read()).failed).toMatchObject({ rows: 0, first_at: null });
    const account = await sql.addAccount();
    const failed = { status: 'failed', last_error: 'no such person' };
    await sql.addDm(account, { ...failed, finished_at: sql.at(-25 * 3_600) });
    await sql.addDm(account, { ...failed, last_error: 'gone', finished_at: sql.at(-60) });
    await sql.addDm(account, { ...failed, finished_at: sql.at(-3_600) });
    const { rows, first_at, last_at, text } = (await read()).failed;
    expect([rows, text]).toEqual([2, 'gone']);
    const times = [first_at, last_at].map((at) => (Date.parse(at ?? '') - Date.parse(sql.now)) / 1_000);
    expect(times).toEqual([-3_600, -60]);
  });

  it('count the unknown rows that wait for a person, and not those that are still checked', async () => {
    const account = await sql.addAccount();
    const unknown = { status: 'unknown', finished_at: sql.at(-300) };
    await sql.addDm(account, { ...unknown, reconcile_at: null });
    await sql.addDm(account, { ...unknown, reconcile_at: sql.at(60) });
    const { rows, since } = (await read()).undecided;
    expect([rows, Date.parse(since ?? '')]).toEqual([1, Date.parse(sql.at(-300))]);
  });

  it('sum outcomes by minute and by hour, without those of idle ticks', async () => {
    await sql.addDm(await sql.addAccount());
    await sql.drain();
    sql.pass(2 * 3_600);
    await runTick(5);
    const { throughput, day } = await read();
    expect(throughput).toEqual([]);
    expect(day).toMatchObject([{ done: 1, retried: 0, dead: 0, unknown: 0 }]);
    sql.pass(25 * 3_600);
    expect((await read()).day).toEqual([]);
  });

  it('list the accounts that are paused, until when and why', async () => {
    await sql.addAccount({ name: 'Over', paused_until: sql.at(-1) });
    await sql.addAccount({ name: 'Ola', paused_until: sql.at(600), paused_reason: 'holiday' });
    await sql.addAccount({ name: 'Ann', paused_until: 'infinity' });
    const { paused_accounts } = statsSchema.parse(await database.rpc('read_stats', { p_now: sql.now }));
    expect(paused_accounts).toMatchObject([
      { name: 'Ann', until: null, reason: null },
      { name: 'Ola', reason: 'holiday' },
    ]);
    expect(Date.parse(paused_accounts[1]?.until ?? '')).toBe(Date.parse(sql.at(600)));
  });

  it('estimate a count above 10,000, and mark it as approximate', async () => {
    await database.sql(
      `insert into punctual.dm_queue (account_id, channel, chat_id, body, status, finished_at)
       select $1, 'linkedin', 'c', 'b', 'sent', now() from generate_series(1, 12000)`,
      [await sql.addAccount()],
    );
    expect((await read()).states.done).toMatchObject({ approximate: true, count: 10_000 });
    await database.sql('analyze punctual.dm_queue');
    expect((await read()).states.done).toEqual({ approximate: true, count: 12_000 });
  });
});

describe('retention', () => {
  const day = 86_400;
  const prune = (more: object = {}) => database.rpc('prune', { ...more, p_now: sql.now });

  it('prunes settled rows and ledger entries past their retention, in steps, and no pending or unknown row', async () => {
    const account = await sql.addAccount();
    const old = sql.at(-31 * day);
    for (const status of ['sent', 'sent', 'failed', 'cancelled', 'unknown'])
      await sql.addDm(account, { status, finished_at: old });
    await sql.addDm(account, { status: 'sent', finished_at: sql.at(-27 * day) });
    await sql.addDm(account, { send_at: old });
    await runTick();
    sql.pass(49 * 3_600);
    await runTick();
    await sql.rollUp();
    expect(await prune({ p_limit: 1 })).toMatchObject({ rows: 3, ticks: 1, more: true });
    expect(await prune({ p_limit: 1 })).toMatchObject({ rows: 1, more: true });
    expect(await prune({ p_limit: 1 })).toMatchObject({ rows: 0, ticks: 0, more: false });
    const left = await database.sql('select status from punctual.dm_queue order by 1');
    expect(left.map(({ status }) => status)).toEqual(['pending', 'sent', 'unknown']);
    await sql.addDm(account);
    await sql.drain();
    const keptAfter = async (days: number) => {
      sql.pass(days * day);
      await prune();
      return (await database.sql('select outcome from punctual.ticks')).map(({ outcome }) => outcome);
    };
    expect(await keptAfter(3)).toEqual(['ran']);
    expect(await keptAfter(5)).toEqual([]);
  });

  it('keeps every row if retention_days is null', async () => {
    await database.sql('update punctual.queues set retention_days = null');
    await sql.addDm(await sql.addAccount(), { status: 'sent', finished_at: '2020-01-01' });
    expect(await prune()).toMatchObject({ rows: 0 });
  });
});
