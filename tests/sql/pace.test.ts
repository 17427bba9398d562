import { describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase({ own: true });
const sql = perTestExchanges(database);

/** Claims and settles one row at a time until none is left. Returns `account:body` of each, in order. */
async function drain(outcome = 'done', maxRows = 50): Promise<string[]> {
  const order: string[] = [];
  await database.sql('update punctual.queues set batch_limit = null');
  const tick = sql.tick();
  for (let n = 0; n < maxRows; n++) {
    const { rows, claimId } = await tick.claim(1);
    const row = rows[0];
    if (!row) break;
    order.push(`${row.account?.name}:${row.row.body}`);
    await tick.settle([{ id: row.id, claim_id: claimId, outcome, error: 'e', delay_seconds: 1 }]);
  }
  await tick.close();
  return order;
}

describe('an account', () => {
  it('runs one row at a time, even after that row’s tick died', async () => {
    const id = await sql.addAccount();
    const first = await sql.addDm(id, { send_at: sql.at(-2) });
    await sql.addDm(id, { send_at: sql.at(-1) });
    expect((await sql.tick().claim()).rows.map((row) => row.id)).toEqual([first]);
    // The tick is over after 60 s, the lease after 90 s.
    sql.pass(75);
    expect((await sql.tick().claim()).rows).toEqual([]);
  });

  it('runs one row at a time, in order of due time', async () => {
    const account = await sql.addAccount();
    await sql.addDm(account, { body: 'second', send_at: sql.at(-5) });
    await sql.addDm(account, { body: 'first', send_at: sql.at(-10) });
    await sql.addDm(account, { body: 'third', send_at: sql.at(-5) });
    const tick = sql.tick();
    const { rows } = await tick.claim(10);
    expect(rows.map((row) => row.row.body)).toEqual(['first']);
    expect((await tick.claim(10)).rows).toEqual([]);
    await tick.settle([{ id: rows[0]?.id ?? '', claim_id: rows[0]?.row.claim_id, outcome: 'done' }], {
      close: true,
    });
    expect(await drain()).toEqual(['A:second', 'A:third']);
  });

  it('sends the most urgent of its due rows first, and no row that is not due', async () => {
    const account = await sql.addAccount();
    await sql.addDm(account, { body: 'normal', send_at: sql.at(-10) });
    await sql.addDm(account, { body: 'urgent', send_at: sql.at(-1), priority: 0 });
    await sql.addDm(account, { body: 'urgent, later', send_at: sql.at(60), priority: 0 });
    await sql.addDm(account, { body: 'low', send_at: sql.at(-20), priority: 3 });
    expect(await drain()).toEqual(['A:urgent', 'A:normal', 'A:low']);
  });

  it('does not starve other accounts with its backlog', async () => {
    const busy = await sql.addAccount({ name: 'busy' });
    for (let n = 0; n < 20; n++) await sql.addDm(busy, { body: `${n}`, send_at: sql.at(-1_000) });
    const quiet = await sql.addAccount({ name: 'quiet' });
    await sql.addDm(quiet, { body: 'new' });
    expect((await drain('done', 2)).at(-1)).toBe('quiet:new');
  });

  it('never exceeds its daily limit, and continues at midnight in its time zone', async () => {
    const account = await sql.addAccount({ daily_limit: 2, time_zone: 'Asia/Tokyo' });
    for (let n = 0; n < 5; n++) await sql.addDm(account, { body: `${n}` });
    expect(await drain()).toEqual(['A:0', 'A:1']);
    const waiting = (
      await database.sql(`select waiting_for, next_ok_at from punctual.pace where queue = 'dm_queue'`)
    )[0];
    expect(waiting).toMatchObject({ waiting_for: 'daily limit reached' });
    // Midnight in Tokyo is 15:00 UTC.
    expect(Date.parse(waiting.next_ok_at)).toBe(Date.parse('2026-03-02T15:00:00Z'));
    sql.setNow('2026-03-02T14:59:59Z');
    expect(await drain()).toEqual([]);
    sql.setNow('2026-03-02T15:00:00Z');
    expect(await drain()).toEqual(['A:2', 'A:3']);
  });

  describe('whose time zone changes', () => {
    const moveTo = (zone: string) => database.sql('update punctual.accounts set time_zone = $1', [zone]);
    const sentAt = async (at: string) => {
      sql.setNow(at);
      return (await drain()).length;
    };

    /** Adds an account with 3 messages a day, and sends 3 at 14:00 on March 2 in Los Angeles. */
    async function sendThree(zone: string): Promise<void> {
      sql.setNow('2026-03-02T22:00:00Z');
      const account = await sql.addAccount({ daily_limit: 3, time_zone: zone });
      for (let n = 0; n < 20; n++) await sql.addDm(account, { body: `${n}` });
      expect((await drain()).length).toBe(3);
    }

    it('to the east gets its next day at the first midnight there after its old day', async () => {
      await sendThree('America/Los_Angeles');
      await moveTo('Asia/Tokyo');
      // It is March 3, 07:00 in Tokyo. The day in Los Angeles ends at 08:00 UTC.
      expect(await sentAt('2026-03-02T22:00:01Z')).toBe(0);
      expect(await sentAt('2026-03-03T08:00:01Z')).toBe(0);
      const [pace] = await database.sql(`select next_ok_at from punctual.pace where queue = 'dm_queue'`);
      expect(pace.next_ok_at).toBe('2026-03-03T15:00:00.000Z');
      expect(await sentAt('2026-03-03T14:59:59Z')).toBe(0);
      expect(await sentAt('2026-03-03T15:00:00Z')).toBe(3);
    });

    it('to the east may send the rest of its day’s limit, in each queue', async () => {
      await sendThree('America/Los_Angeles');
      await database.sql('update punctual.pace set daily_limit = 5');
      await moveTo('Asia/Tokyo');
      expect(await sentAt('2026-03-02T22:00:01Z')).toBe(2);
      expect(await sentAt('2026-03-03T14:59:59Z')).toBe(0);
      expect(await sentAt('2026-03-03T15:00:00Z')).toBe(5);
    });

    it('to the west gets its next day at the first midnight there after its old day', async () => {
      await sendThree('Asia/Tokyo');
      await moveTo('America/Los_Angeles');
      expect(await sentAt('2026-03-02T22:00:01Z')).toBe(0);
      // Midnight in Los Angeles, before the day in Tokyo is over.
      expect(await sentAt('2026-03-03T08:00:00Z')).toBe(0);
      expect(await sentAt('2026-03-04T07:59:59Z')).toBe(0);
      expect(await sentAt('2026-03-04T08:00:00Z')).toBe(3);
    });

    it('repeatedly, and back again, gets the same days as without the changes', async () => {
      await sendThree('America/Los_Angeles');
      for (const zone of ['Asia/Tokyo', 'Pacific/Kiritimati', 'UTC', 'Asia/Tokyo', 'Pacific/Niue']) {
        await moveTo(zone);
        expect([zone, await sentAt('2026-03-02T22:00:01Z')]).toEqual([zone, 0]);
      }
      await moveTo('America/Los_Angeles');
      expect(await sentAt('2026-03-03T07:59:59Z')).toBe(0);
      expect(await sentAt('2026-03-03T08:00:00Z')).toBe(3);
    });

    it('there and back within a day gets one day there, and may send the rest of its limit', async () => {
      await sendThree('America/Los_Angeles');
      await moveTo('Asia/Tokyo');
      await database.sql('update punctual.pace set daily_limit = 5');
      // The day in Los Angeles is over, and counts until midnight in Tokyo.
      expect(await sentAt('2026-03-03T08:00:01Z')).toBe(2);
      await moveTo('America/Los_Angeles');
      expect(await sentAt('2026-03-03T14:00:00Z')).toBe(0);
      expect(await sentAt('2026-03-04T07:59:59Z')).toBe(0);
      expect(await sentAt('2026-03-04T08:00:00Z')).toBe(5);
    });

    /** Starts a warm-up of 2, 4, 6 and 8 messages a day. */
    const startWarmUp = () =>
      database.sql(
        `update punctual.accounts set daily_limit = 8, ramp_started_on = '2026-03-01', ramp_days = 4, ramp_from_percent = 25`,
      );

    it('during its warm-up may send the day’s increase from midnight there', async () => {
      sql.setNow('2026-03-02T14:30:00Z');
      const account = await sql.addAccount({ time_zone: 'America/Los_Angeles' });
      for (let n = 0; n < 20; n++) await sql.addDm(account, { body: `${n}`, send_at: sql.now });
      await startWarmUp();
      expect(await sentAt('2026-03-02T14:30:01Z')).toBe(4);
      await moveTo('Asia/Tokyo');
      expect(await sentAt('2026-03-02T14:59:59Z')).toBe(0);
      // March 3 in Tokyo. The day in Los Angeles is not over, and counts until the midnight after it.
      expect(await sentAt('2026-03-02T15:00:00Z')).toBe(2);
      expect(await sentAt('2026-03-03T14:59:59Z')).toBe(0);
      expect(await sentAt('2026-03-03T15:00:00Z')).toBe(8);
    });

    it('during its warm-up gets the limit of the day there, less the messages sent', async () => {
      await sendThree('America/Los_Angeles');
      await startWarmUp();
      expect(await sentAt('2026-03-02T22:00:01Z')).toBe(1);
      await moveTo('Asia/Tokyo');
      expect(await sentAt('2026-03-02T22:00:02Z')).toBe(2);
      expect(await sentAt('2026-03-03T14:59:59Z')).toBe(0);
      expect(await sentAt('2026-03-03T15:00:00Z')).toBe(8);
    });
  });

  it('gets its place back unless the attempt may have had an effect', async () => {
    const account = await sql.addAccount({ daily_limit: 2 });
    for (let n = 0; n < 9; n++) await sql.addDm(account, { body: `${n}` });
    const used = async () =>
      (await database.sql(`select used from punctual.pace where queue = 'dm_queue'`))[0].used;
    for (const [outcome, after] of [
      ['retry', 0],
      ['dead', 0],
      ['release', 0],
      ['unknown', 1],
      ['done', 2],
    ] as const) {
      const tick = sql.tick();
      const { rows, claimId } = await tick.claim(1);
      await tick.settle(
        [{ id: rows[0]?.id ?? '', claim_id: claimId, outcome, error: 'e', delay_seconds: 0 }],
        { close: true },
      );
      expect([outcome, await used()]).toEqual([outcome, after]);
    }
    expect(await drain()).toEqual([]);
  });

  it('does not get back the place of a row that was swept to unknown', async () => {
    const account = await sql.addAccount({ daily_limit: 1 });
    await sql.addDm(account);
    await sql.addDm(account);
    await sql.tick().claim(1);
    sql.pass(100);
    expect(await drain()).toEqual([]);
  });

  it('waits while it is paused or its limit is 0, and continues when that changes', async () => {
    const account = await sql.addAccount({ paused_until: sql.at(600), paused_reason: 'rest' });
    await sql.addDm(account, { body: 'x' });
    expect(await drain()).toEqual([]);
    expect(
      (await database.sql(`select waiting_for from punctual.pace where queue = 'dm_queue'`))[0].waiting_for,
    ).toBe('paused: rest');
    await database.sql('update punctual.accounts set paused_until = null, daily_limit = 0');
    expect(await drain()).toEqual([]);
    await database.sql('update punctual.accounts set daily_limit = 5');
    expect(await drain()).toEqual(['A:x']);
  });

  it('is woken by a new row that is due before its next one', async () => {
    const account = await sql.addAccount();
    await sql.addDm(account, { body: 'much later', send_at: sql.at(3_600) });
    expect(await drain()).toEqual([]);
    await sql.addDm(account, { body: 'now' });
    expect(await drain()).toEqual(['A:now']);
    sql.pass(3_600);
    expect(await drain()).toEqual(['A:much later']);
  });

  it('is found in one exchange behind 3,000 ready accounts whose rows are no longer due', async () => {
    await database.sql(
      `insert into punctual.accounts (provider, provider_account_id, name) select 'unipile', 'many-' || n, 'many' from generate_series(1, 3000) n`,
    );
    await database.sql(
      `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at) select id, 'linkedin', 'c', 'x', $1 from punctual.accounts`,
      [sql.at(-60)],
    );
    await sql.tick({ limit_seconds: 1 }).claim(1);
    await database.sql(`update punctual.dm_queue set send_at = $1 where status = 'pending'`, [
      sql.at(86_400),
    ]);
    const late = await sql.addAccount({ name: 'late' });
    await sql.addDm(late, { body: 'now' });
    sql.pass(5);
    const { rows } = await sql.tick().exchange({ want: 5, close: true });
    expect(rows.map((row) => row.account?.name)).toEqual(['late']);
  });

  it('that a tick has not reached keeps the tick open', async () => {
    await database.sql(
      `insert into punctual.accounts (provider, provider_account_id, name) select 'unipile', 'many-' || n, 'many' from generate_series(1, 6000) n`,
    );
    await database.sql(`update punctual.pace set ready_at = '2026-01-01'`);
    const tick = sql.tick();
    expect(await tick.exchange({ want: 5, close: true })).toMatchObject({ rows: [], closed: false });
    expect(await tick.exchange({ want: 5, close: true })).toMatchObject({ rows: [], closed: true });
  });

  it('without a pace row is found all the same', async () => {
    const account = await sql.addAccount();
    await sql.addDm(account, { body: 'x' });
    await database.sql('delete from punctual.pace');
    expect(await drain()).toEqual(['A:x']);
  });

  it('is judged again when an operator changes it, even if a tick died on it', async () => {
    const account = await sql.addAccount();
    await sql.addDm(account, { body: 'lost' });
    await sql.addDm(account, { body: 'next' });
    await sql.tick({ limit_seconds: 1 }).claim(1);
    await database.sql('update punctual.accounts set daily_limit = 0');
    sql.pass(100);
    expect(await drain()).toEqual([]);
    await database.sql('update punctual.accounts set daily_limit = 30');
    expect(await drain()).toEqual(['A:next']);
  });

  it('whose time zone Postgres no longer knows does not block other accounts', async () => {
    await database.sql('alter table punctual.accounts drop constraint accounts_time_zone_exists');
    const lost = await sql.addAccount({ name: 'lost', time_zone: 'Mars/Olympus' });
    await sql.addDm(lost);
    const fine = await sql.addAccount({ name: 'fine' });
    await sql.addDm(fine, { body: 'x' });
    expect(await drain()).toEqual(['fine:x']);
    expect(
      (
        await database.sql(
          `select waiting_for from punctual.pace where account_id = $1 and queue = 'dm_queue'`,
          [lost],
        )
      )[0].waiting_for,
    ).toBe('time zone "Mars/Olympus" is unknown');
    await database.sql('delete from punctual.dm_queue');
    await database.sql('delete from punctual.accounts');
    await database.sql(
      'alter table punctual.accounts add constraint accounts_time_zone_exists check (punctual.is_time_zone(time_zone))',
    );
  });

  it('cannot have a time zone that does not exist', async () => {
    for (const time_zone of [
      'Mars/Olympus',
      'UTC+99:99',
      '',
      "Europe/Berlin'; drop table x; --",
      'Europe/Berlin ',
    ]) {
      await expect(sql.addAccount({ time_zone })).rejects.toThrow(/accounts_time_zone_exists/);
    }
  });
});

it('real time zones are accepted, including names with digits', async () => {
  for (const time_zone of [
    'Europe/Berlin',
    'EST5EDT',
    'Etc/GMT+5',
    'UTC',
    'America/Argentina/Buenos_Aires',
  ]) {
    expect(await sql.addAccount({ time_zone })).toBeTypeOf('string');
  }
});

describe('a provider', () => {
  it('that is not configured gets no claims', async () => {
    const account = await sql.addAccount({ provider: 'whatsapp_cloud' });
    await sql.addDm(account);
    expect((await sql.tick({ providers: ['unipile'] }).exchange({ want: 5, close: true })).rows).toEqual([]);
    expect((await sql.tick().claim()).rows).toHaveLength(1);
  });

  it('that fails rests, is then tried with one row, and resumes after a response', async () => {
    for (let n = 0; n < 6; n++) await sql.addDm(await sql.addAccount());
    const tick = sql.tick({ limit_seconds: 800 });
    const failed = { providers: [{ name: 'unipile', ok: false, error: 'down' }] };
    expect((await tick.exchange({ outcomes: failed, want: 5 })).rows).toEqual([]);
    sql.pass(31);
    const trial = await tick.claim(5);
    expect(trial).toMatchObject({ probing: ['unipile'], rows: [expect.anything()] });
    expect((await tick.claim(5)).rows).toEqual([]);
    await tick.exchange({ outcomes: { providers: [{ name: 'unipile', ok: true }] } });
    expect((await tick.claim(5)).rows).toHaveLength(5);
  });

  it('rests twice as long after each failure in a row, from 30 s to 30 minutes', async () => {
    const pauses: number[] = [];
    for (let n = 0; n < 9; n++) {
      await sql
        .tick({ limit_seconds: 1 })
        .exchange({ outcomes: { providers: [{ name: 'unipile', ok: false, error: 'down' }] } });
      const [provider] = await database.sql('select paused_until from punctual.providers');
      const seconds = (Date.parse(provider.paused_until) - Date.parse(sql.now)) / 1_000;
      pauses.push(seconds);
      sql.pass(seconds + 1);
    }
    expect(pauses).toEqual([30, 60, 120, 240, 480, 960, 1_800, 1_800, 1_800]);
  });
});
