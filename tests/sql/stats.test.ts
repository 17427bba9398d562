import { describe, expect, it } from 'vitest';
import { statsSchema } from '../../lib/store/stats.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);

const read = async (configured: string[] | null = ['unipile']) => {
  const stats = statsSchema.parse(
    await database.rpc('read_stats', { p_configured: configured, p_now: sql.now }),
  );
  const queue = stats.queues.find((one) => one.name === 'dm_queue');
  if (!queue) throw new Error('dm_queue is missing');
  return { ...stats, queue };
};

describe('the stats', () => {
  it('of an empty queue are zero or empty', async () => {
    const { queue } = await read();
    expect(queue).toMatchObject({
      states: { pending: { count: 0, approximate: false }, done: { count: 0 } },
      due_now: { count: 0 },
      oldest_due_seconds: null,
      next_due_seconds: null,
      waiting: [],
      unreachable: [],
      ticks: [],
    });
  });

  it('count rows by state and due rows, and give the queue’s own words and the oldest and next due times', async () => {
    const account = await sql.addAccount();
    for (const status of ['sent', 'sent', 'failed', 'unknown', 'cancelled', 'sending'])
      await sql.addDm(account, { status });
    await sql.addDm(account, { send_at: sql.at(-90) });
    await sql.addDm(account, { send_at: sql.at(-10) });
    await sql.addDm(account, { send_at: sql.at(120) });
    const { queue } = await read();
    expect(queue.words).toMatchObject({ running: 'sending', done: 'sent', dead: 'failed' });
    expect(
      Object.fromEntries(Object.entries(queue.states).map(([state, { count }]) => [state, count])),
    ).toEqual({
      pending: 3,
      running: 1,
      done: 2,
      dead: 1,
      unknown: 1,
      cancelled: 1,
    });
    expect(queue).toMatchObject({ due_now: { count: 2 }, oldest_due_seconds: 90, next_due_seconds: 120 });
  });

  it('give the reason for every row that no tick can reach', async () => {
    const fine = await sql.addAccount();
    const zero = await sql.addAccount({ daily_limit: 0 });
    const other = await sql.addAccount({ provider: 'whatsapp_cloud' });
    await sql.addDm(fine, { send_at: 'infinity' });
    await sql.addDm(zero);
    await sql.addDm(zero);
    await sql.addDm(other);
    const [zeroHere, fineHere] = [await sql.addAccount(), await sql.addAccount({ daily_limit: 0 })];
    for (const [id, limit] of [
      [zeroHere, 0],
      [fineHere, 5],
    ]) {
      await database.sql('update punctual.pace set daily_limit = $2 where account_id = $1', [id, limit]);
      await sql.addDm(String(id));
    }
    expect((await read()).queue.unreachable).toEqual(
      expect.arrayContaining([
        { reason: 'send_at is infinity', rows: 1 },
        { reason: "the account's daily limit is 0", rows: 3 },
        { reason: 'the provider whatsapp_cloud is not configured', rows: 1 },
      ]),
    );
  });

  it('count waiting accounts by reason, and say until when they wait', async () => {
    for (let n = 0; n < 2; n++) {
      const account = await sql.addAccount({ daily_limit: 1 });
      await sql.addDm(account);
      await sql.addDm(account);
    }
    const tick = sql.tick();
    const { rows, claimId } = await tick.claim();
    await tick.settle(
      rows.map((row) => ({ id: row.id, claim_id: claimId, outcome: 'done' })),
      { want: 10 },
    );
    expect((await read()).queue.waiting).toEqual([
      { reason: 'daily limit reached', accounts: 2, until: '2026-03-03T00:00:00+00:00' },
    ]);
  });

  it('list ticks that ran or died, and an idle tick only if it is the newest', async () => {
    const account = await sql.addAccount();
    await sql.addDm(account);
    await sql.tick().exchange({ want: 0, close: true });
    sql.pass(60);
    await sql.tick().claim();
    sql.pass(100);
    await sql.tick().exchange({ want: 5, close: true });
    expect((await read()).queue.ticks.map((tick) => tick.outcome)).toEqual(['ran', 'died']);
    sql.pass(60);
    await sql.tick().exchange({ want: 5, close: true });
    expect((await read()).queue.ticks.map((tick) => tick.outcome)).toEqual(['idle', 'ran', 'died']);
  });

  it('give each tick’s scheduler, path, schedule, slot, run id and continuation number', async () => {
    const call = {
      scheduler: 'pg-cron',
      path: '/api/cron/dm-queue',
      schedule: '* * * * *',
      slot: sql.now,
      run_id: crypto.randomUUID(),
    };
    await sql.addDm(await sql.addAccount());
    await sql.tick({ ...call, continuation: 2 }).claim();
    sql.pass(1);
    await sql.tick().exchange({ want: 0, close: true });
    const [own, continuation] = (await read()).queue.ticks;
    const { slot, ...named } = call;
    expect(continuation).toMatchObject({ ...named, continuation: 2 });
    expect(Date.parse(continuation?.slot ?? '')).toBe(Date.parse(slot));
    expect(own).toMatchObject({ path: null, schedule: null, continuation: 0, run_id: own?.id });
  });

  it('estimate a count above 10,000, and mark it as approximate', async () => {
    const account = await sql.addAccount();
    await database.sql(
      `insert into punctual.dm_queue (account_id, channel, chat_id, body, status, finished_at)
       select $1, 'linkedin', 'c', 'b', 'sent', now() from generate_series(1, 12000)`,
      [account],
    );
    expect((await read()).queue.states.done).toMatchObject({ approximate: true, count: 10_000 });
    await database.sql('analyze punctual.dm_queue');
    expect((await read()).queue.states.done).toEqual({ approximate: true, count: 12_000 });
  });
});

describe('retention', () => {
  it('prunes settled rows and ledger entries past their retention, in steps, and no pending or unknown row', async () => {
    const account = await sql.addAccount();
    const old = sql.at(-31 * 86_400);
    for (const status of ['sent', 'sent', 'failed', 'cancelled', 'unknown'])
      await sql.addDm(account, { status, finished_at: old });
    await sql.addDm(account, { status: 'sent', finished_at: sql.at(-27 * 86_400) });
    await sql.addDm(account, { send_at: old });
    await sql.tick().exchange({ want: 0, close: true });
    sql.pass(49 * 3_600);
    await sql.tick().exchange({ want: 0, close: true });
    await sql.rollUp();
    const prune = () => database.rpc('prune', { p_limit: 1, p_now: sql.now });
    expect(await prune()).toMatchObject({ rows: 3, ticks: 1, more: true });
    expect(await prune()).toMatchObject({ rows: 1, more: true });
    expect(await prune()).toMatchObject({ rows: 0, ticks: 0, more: false });
    const left = await database.sql(
      'select status, count(*)::integer as n from punctual.dm_queue group by 1 order by 1',
    );
    expect(left).toEqual([
      { status: 'pending', n: 1 },
      { status: 'sent', n: 1 },
      { status: 'unknown', n: 1 },
    ]);
    await sql.addDm(account);
    await sql.drain();
    const kept = async (days: number) => {
      sql.pass(days * 86_400);
      await database.rpc('prune', { p_now: sql.now });
      return database.sql('select outcome from punctual.ticks');
    };
    expect(await kept(3)).toEqual([{ outcome: 'ran' }]);
    expect(await kept(5)).toEqual([]);
  });

  it('keeps every row if retention_days is null', async () => {
    await database.sql('update punctual.queues set retention_days = null');
    await sql.addDm(await sql.addAccount(), { status: 'sent', finished_at: '2020-01-01' });
    expect(await database.rpc('prune', { p_now: sql.now })).toMatchObject({ rows: 0 });
  });
});
