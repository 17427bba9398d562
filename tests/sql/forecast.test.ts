import { describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);

interface Forecast {
  queue: string;
  short: number;
  more: boolean;
  hours: { at: string; due: number; may: number }[];
}
const forecast = async (p_now = sql.now) => {
  const all = (await database.rpc('forecast_hours', { p_now })) as Forecast[];
  const { hours, short, more } = all.find(({ queue }) => queue === 'dm_queue') as Forecast;
  return { due: hours.map(({ due }) => due), may: hours.map(({ may }) => may), short, more };
};
const hour = (n: number) => sql.at(n * 3_600);
/** Adds rows of an account, as many as `counts` says, half an hour into each hour. */
async function addRows(account: string, ...counts: number[]): Promise<void> {
  await database.sql(
    `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at)
     select $1, 'linkedin', 'c', 'x', $2::timestamptz + (h - 1) * interval '1 hour' + interval '30 min'
       from unnest($3::integer[]) with ordinality c (rows, h), generate_series(1, c.rows)`,
    [account, sql.now, counts],
  );
}
const noon = '2026-03-02T12:00:00Z';

describe('the next six hours', () => {
  it('have what falls due in each, and what is due already in the first', async () => {
    const account = await sql.addAccount({ daily_limit: 100 });
    await sql.addDm(account, { send_at: hour(-30) });
    await sql.addDm(account, { send_at: hour(7) });
    await addRows(account, 1, 0, 3, 0, 0, 2);
    expect(await forecast()).toEqual({
      due: [2, 0, 3, 0, 0, 2],
      may: [100, 98, 98, 95, 95, 95],
      short: 0,
      more: false,
    });
  });

  it('are short by the rows that an account may not send, whatever others may', async () => {
    const [busy, idle] = [
      await sql.addAccount({ daily_limit: 5 }),
      await sql.addAccount({ daily_limit: 100 }),
    ];
    await addRows(busy, 3, 4);
    await addRows(idle, 1);
    expect(await forecast()).toMatchObject({
      due: [4, 4, 0, 0, 0, 0],
      may: [105, 101, 99, 99, 99, 99],
      short: 2,
    });
  });

  it('obey the hourly limit and the gap', async () => {
    const limited = await sql.addAccount({ hourly_limit: 2 });
    await addRows(limited, 9, 0, 0, 0, 0, 9);
    expect(await forecast()).toMatchObject({ may: [2, 2, 2, 2, 2, 2], short: 7 });
    await database.sql(
      'update punctual.accounts set hourly_limit = null, gap_seconds = 1200, gap_jitter_seconds = 1200',
    );
    expect(await forecast()).toMatchObject({ may: [2, 2, 2, 2, 2, 2] });
  });

  it('obey sending hours in the account’s time zone, and the day’s end', async () => {
    sql.setNow(noon);
    const hours = { mon: ['09:00-15:00', '16:30-24:00'] };
    // 12:00 in UTC is 13:00 in Berlin.
    const account = await sql.addAccount({
      hours,
      time_zone: 'Europe/Berlin',
      gap_seconds: 360,
      daily_limit: 15,
    });
    await addRows(account, 1);
    expect(await forecast()).toMatchObject({ may: [10, 10, 0, 5, 10, 10], short: 0 });
    await addRows(account, 20);
    expect(await forecast()).toMatchObject({ may: [10, 5, 0, 0, 0, 0], short: 6 });
  });

  it('begin a new day at midnight, from what was used of the day', async () => {
    sql.setNow('2026-03-02T22:00:00Z');
    const account = await sql.addAccount({ daily_limit: 4 });
    await addRows(account, 9);
    await database.sql(
      `update punctual.pace set used = 3, used_until = '2026-03-03T00:00:00Z' where queue = 'dm_queue'`,
    );
    expect(await forecast()).toMatchObject({ may: [1, 0, 4, 0, 0, 0], short: 4 });
  });

  it('have no room while the account, the queue or the provider is paused', async () => {
    const account = await sql.addAccount({ hourly_limit: 2, paused_until: hour(1) });
    await addRows(account, 1);
    expect((await forecast()).may).toEqual([0, 2, 2, 2, 2, 2]);
    await database.sql(
      `insert into punctual.providers (name, paused_until) values ('unipile', $1)
      on conflict (name) do update set paused_until = excluded.paused_until`,
      [hour(2)],
    );
    expect((await forecast()).may).toEqual([0, 0, 2, 2, 2, 2]);
    await database.rpc('pause_queue', { p_queue: 'dm_queue', p_reason: 'r', p_now: sql.now });
    expect(await forecast()).toMatchObject({ may: [0, 0, 0, 0, 0, 0], short: 1 });
  });

  it('count 10,000 rows an hour at most', async () => {
    await addRows(await sql.addAccount({ daily_limit: 100_000 }), 10_500, 2);
    expect(await forecast()).toMatchObject({ due: [10_000, 2, 0, 0, 0, 0], more: true });
  });

  it('leave out rows that no account sends', async () => {
    expect(await forecast()).toEqual({ due: Array(6).fill(0), may: Array(6).fill(0), short: 0, more: false });
  });
});
