import { beforeEach, describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);

beforeEach(() => database.sql('update punctual.queues set batch_limit = null'));

/** Sends until no row may be sent. Returns the messages' bodies in order. */
async function send(): Promise<string[]> {
  const bodies: string[] = [];
  for (const id of await sql.drain()) bodies.push((await sql.dm(id)).body);
  return bodies;
}

const addAccounts = (count: number) =>
  database.sql(
    `insert into punctual.accounts (provider, provider_account_id, name) select 'unipile', 'many-' || n, 'many' from generate_series(1, ${count}) n`,
  );

describe('an account', () => {
  it('runs one row at a time, even after that row’s tick died', async () => {
    const id = await sql.addAccount();
    const first = await sql.addDm(id, { send_at: sql.at(-2) });
    await sql.addDm(id, { send_at: sql.at(-1) });
    const tick = sql.tick();
    expect((await tick.claim()).rows.map((row) => row.id)).toEqual([first]);
    expect((await tick.claim()).rows).toEqual([]);
    // The tick is over after 60 s, the lease after 90 s.
    sql.pass(75);
    expect((await sql.tick().claim()).rows).toEqual([]);
  });

  it('sends the most urgent of its due rows first, then the oldest, and no row that is not due', async () => {
    const account = await sql.addAccount();
    for (const [body, seconds, priority] of [
      ['normal', -10, 1],
      ['urgent', -1, 0],
      ['urgent, later', 60, 0],
      ['low', -20, 3],
      ['low, older', -30, 3],
      ['low, as old', -20, 3],
    ] as const)
      await sql.addDm(account, { body, send_at: sql.at(seconds), priority });
    expect(await send()).toEqual(['urgent', 'normal', 'low, older', 'low', 'low, as old']);
  });

  it('does not starve other accounts with its backlog', async () => {
    const busy = await sql.addAccount();
    for (let n = 0; n < 20; n++) await sql.addDm(busy, { send_at: sql.at(-1_000) });
    const quiet = await sql.addDm(await sql.addAccount(), { send_at: sql.at(-1) });
    expect((await sql.drain())[1]).toBe(quiet);
  });

  it('never exceeds its daily limit, and continues at midnight in its time zone', async () => {
    const account = await sql.addAccount({ daily_limit: 2, time_zone: 'Asia/Tokyo' });
    for (const body of ['a', 'b', 'c', 'd', 'e']) await sql.addDm(account, { body });
    expect(await send()).toEqual(['a', 'b']);
    // Midnight in Tokyo is 15:00 UTC.
    const next_ok_at = '2026-03-02T15:00:00.000Z';
    expect(await sql.pace(account)).toMatchObject({ waiting_for: 'daily limit reached', next_ok_at });
    sql.setNow('2026-03-02T14:59:59Z');
    expect(await send()).toEqual([]);
    sql.setNow(next_ok_at);
    expect(await send()).toEqual(['c', 'd']);
  });

  it('does not get back the place of a row that was swept to unknown', async () => {
    const account = await sql.addAccount({ daily_limit: 1 });
    await sql.addDm(account);
    await sql.addDm(account);
    await sql.tick().claim(1);
    sql.pass(100);
    expect(await send()).toEqual([]);
  });

  it('is woken by a new row that is due before its next one', async () => {
    const account = await sql.addAccount();
    await sql.addDm(account, { body: 'much later', send_at: sql.at(3_600) });
    expect(await send()).toEqual([]);
    await sql.addDm(account, { body: 'now' });
    expect(await send()).toEqual(['now']);
    sql.pass(3_600);
    expect(await send()).toEqual(['much later']);
  });

  it('is found in one exchange behind 3,000 ready accounts whose rows are no longer due', async () => {
    await addAccounts(3_000);
    await database.sql(
      `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at) select id, 'linkedin', 'c', 'x', $1 from punctual.accounts`,
      [sql.at(-60)],
    );
    await sql.tick({ limit_seconds: 1 }).claim(1);
    await database.sql(`update punctual.dm_queue set send_at = $1 where status = 'pending'`, [
      sql.at(86_400),
    ]);
    await sql.addDm(await sql.addAccount({ name: 'late' }));
    sql.pass(5);
    const { rows } = await sql.tick().exchange({ want: 5, close: true });
    expect(rows).toMatchObject([{ account: { name: 'late' } }]);
  });

  it('that a tick has not reached keeps the tick open', async () => {
    await addAccounts(6_000);
    await database.sql(`update punctual.pace set ready_at = '2026-01-01'`);
    const tick = sql.tick();
    for (const closed of [false, true])
      expect(await tick.exchange({ want: 5, close: true })).toMatchObject({ rows: [], closed });
  });

  it('without a pace row is found all the same', async () => {
    await sql.addDm(await sql.addAccount(), { body: 'x' });
    await database.sql('delete from punctual.pace');
    expect(await send()).toEqual(['x']);
  });

  it('is judged again when an operator changes it, even if a tick died on it', async () => {
    const account = await sql.addAccount();
    await sql.addDm(account, { body: 'lost' });
    await sql.addDm(account, { body: 'next' });
    await sql.tick({ limit_seconds: 1 }).claim(1);
    await database.sql('update punctual.accounts set daily_limit = 0');
    sql.pass(100);
    expect(await send()).toEqual([]);
    await database.sql('update punctual.accounts set daily_limit = 30');
    expect(await send()).toEqual(['next']);
  });
});

describe('an account whose time zone changes', () => {
  const [tokyo, losAngeles] = ['Asia/Tokyo', 'America/Los_Angeles'];
  /** The change before a step, when it sends, and how many messages it sends. */
  type Step = [change: string | null, at: string, sent: number];
  const set = (table: string, change: string) => `update punctual.${table} set ${change}`;
  const to = (zone: string) => set('accounts', `time_zone = '${zone}'`);
  const limitOf5 = set('pace', 'daily_limit = 5');
  const sendThreeIn = (zone: string): Step => [to(zone), '2026-03-02T22:00:00Z', 3];
  /** 2, 4, 6 and 8 messages a day. */
  const warmUp = set(
    'accounts',
    `daily_limit = 8, ramp_started_on = '2026-03-01', ramp_days = 4, ramp_from_percent = 25`,
  );

  it.each<[what: string, steps: Step[]]>([
    [
      'to the east gets its next day at the first midnight there after its old day',
      [
        sendThreeIn(losAngeles),
        // It is March 3, 07:00 in Tokyo. The day in Los Angeles ends at 08:00 UTC.
        [to(tokyo), '2026-03-02T22:00:01Z', 0],
        [null, '2026-03-03T08:00:01Z', 0],
        [null, '2026-03-03T14:59:59Z', 0],
        [null, '2026-03-03T15:00:00Z', 3],
      ],
    ],
    [
      'to the east may send the rest of its day’s limit, in each queue',
      [
        sendThreeIn(losAngeles),
        [`${limitOf5}; ${to(tokyo)}`, '2026-03-02T22:00:01Z', 2],
        [null, '2026-03-03T14:59:59Z', 0],
        [null, '2026-03-03T15:00:00Z', 5],
      ],
    ],
    [
      'to the west gets its next day at the first midnight there after its old day',
      [
        sendThreeIn(tokyo),
        [to(losAngeles), '2026-03-02T22:00:01Z', 0],
        // Midnight in Los Angeles, before the day in Tokyo is over.
        [null, '2026-03-03T08:00:00Z', 0],
        [null, '2026-03-04T07:59:59Z', 0],
        [null, '2026-03-04T08:00:00Z', 3],
      ],
    ],
    [
      'repeatedly, and back again, gets the same days as without the changes',
      [
        sendThreeIn(losAngeles),
        ...[tokyo, 'Pacific/Kiritimati', 'UTC', tokyo, 'Pacific/Niue'].map(
          (zone): Step => [to(zone), '2026-03-02T22:00:01Z', 0],
        ),
        [to(losAngeles), '2026-03-03T07:59:59Z', 0],
        [null, '2026-03-03T08:00:00Z', 3],
      ],
    ],
    [
      'there and back within a day gets one day there, and may send the rest of its limit',
      [
        sendThreeIn(losAngeles),
        // The day in Los Angeles is over, and counts until midnight in Tokyo.
        [`${to(tokyo)}; ${limitOf5}`, '2026-03-03T08:00:01Z', 2],
        [to(losAngeles), '2026-03-03T14:00:00Z', 0],
        [null, '2026-03-04T07:59:59Z', 0],
        [null, '2026-03-04T08:00:00Z', 5],
      ],
    ],
    [
      'during its warm-up may send the day’s increase from midnight there',
      [
        [`${to(losAngeles)}; ${warmUp}`, '2026-03-02T14:30:01Z', 4],
        [to(tokyo), '2026-03-02T14:59:59Z', 0],
        // March 3 in Tokyo. The day in Los Angeles is not over, and counts until the midnight after it.
        [null, '2026-03-02T15:00:00Z', 2],
        [null, '2026-03-03T14:59:59Z', 0],
        [null, '2026-03-03T15:00:00Z', 8],
      ],
    ],
    [
      'during its warm-up gets the limit of the day there, less the messages sent',
      [
        sendThreeIn(losAngeles),
        [warmUp, '2026-03-02T22:00:01Z', 1],
        [to(tokyo), '2026-03-02T22:00:02Z', 2],
        [null, '2026-03-03T14:59:59Z', 0],
        [null, '2026-03-03T15:00:00Z', 8],
      ],
    ],
  ])('%s', async (_what, steps) => {
    const account = await sql.addAccount({ daily_limit: 3 });
    for (let n = 0; n < 20; n++) await sql.addDm(account);
    for (const [change, at, sent] of steps) {
      for (const statement of change?.split('; ') ?? []) await database.sql(statement);
      sql.setNow(at);
      expect([at, (await sql.drain()).length]).toEqual([at, sent]);
    }
  });
});

it('an account’s time zone must exist, and may have digits in its name', async () => {
  const hostile = "Europe/Berlin'; drop table x; --";
  for (const time_zone of ['Mars/Olympus', 'UTC+99:99', '', hostile, 'Europe/Berlin '])
    await expect(sql.addAccount({ time_zone })).rejects.toThrow(/accounts_time_zone_exists/);
  for (const time_zone of ['Europe/Berlin', 'EST5EDT', 'Etc/GMT+5', 'America/Argentina/Buenos_Aires'])
    expect(await sql.addAccount({ time_zone })).toBeTypeOf('string');
});

describe('a provider', () => {
  const report = (note: object) => ({ outcomes: { providers: [{ name: 'unipile', ...note }] } });

  it('that fails rests, is then tried with one row, and resumes after a response', async () => {
    for (let n = 0; n < 6; n++) await sql.addDm(await sql.addAccount());
    const tick = sql.tick({ limit_seconds: 800 });
    expect((await tick.exchange({ ...report({ ok: false, error: 'down' }), want: 5 })).rows).toEqual([]);
    sql.pass(31);
    expect(await tick.claim(5)).toMatchObject({ probing: ['unipile'], rows: [expect.anything()] });
    expect((await tick.claim(5)).rows).toEqual([]);
    await tick.exchange(report({ ok: true }));
    expect((await tick.claim(5)).rows).toHaveLength(5);
  });

  it('rests twice as long after each failure in a row, from 30 s to 30 minutes', async () => {
    const pauses: number[] = [];
    for (let n = 0; n < 9; n++) {
      await sql.tick({ limit_seconds: 1 }).exchange(report({ ok: false, error: 'down' }));
      const [provider] = await database.sql('select paused_until from punctual.providers');
      const seconds = (Date.parse(provider.paused_until) - Date.parse(sql.now)) / 1_000;
      pauses.push(seconds);
      sql.pass(seconds + 1);
    }
    expect(pauses).toEqual([30, 60, 120, 240, 480, 960, 1_800, 1_800, 1_800]);
  });
});
