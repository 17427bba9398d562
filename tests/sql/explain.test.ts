import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';
import { assertProperty, runs } from '../support/property.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  await database.sql('update punctual.queues set batch_limit = null');
  account = await sql.addAccount();
});

const set = (table: string, change: string) => () => database.sql(`update punctual.${table} set ${change}`);
const iso = (at: string | null) => at && new Date(at).toISOString();
const inAnHour = '2026-03-02T13:00:00.000Z';

describe('a pending row', () => {
  const resting = () => database.sql(`insert into punctual.providers values ('unipile', 3, $1)`, [inAnHour]);
  const midnight = '2026-03-03T00:00:00.000Z';
  /** The row is expected when its wait ends. */
  it.each<[kind: string, until: string | null, given: () => Promise<unknown>]>([
    ['due', inAnHour, set('dm_queue', `send_at = '${inAnHour}'`)],
    ['retry', inAnHour, set('dm_queue', `next_attempt_at = '${inAnHour}'`)],
    ['never_due', null, set('dm_queue', `send_at = 'infinity'`)],
    ['expired', null, set('dm_queue', `expires_at = '2026-03-02T12:00:00Z'`)],
    ['queue_paused', null, set('queues', `paused_at = '2026-03-01', paused_reason = 'holiday'`)],
    ['queue_paused', inAnHour, set('queues', `paused_at = '2026-03-01', paused_until = '${inAnHour}'`)],
    ['queue_paused', null, set('queues', `paused_at = '2026-03-01', paused_until = '2026-03-01'`)],
    ['partition_paused', null, set('partitions', `paused_at = '2026-03-01'`)],
    [
      'partition_paused',
      inAnHour,
      set('partitions', `paused_at = '2026-03-01', paused_until = '${inAnHour}'`),
    ],
    ['provider_not_configured', null, set('accounts', `provider = 'carrier_pigeon'`)],
    ['provider_resting', inAnHour, resting],
    ['paused', inAnHour, set('accounts', `paused_until = '${inAnHour}'`)],
    ['paused', null, set('accounts', `paused_until = 'infinity'`)],
    ['daily_limit', midnight, set('pace', `used_until = '${midnight}', used = 1000`)],
    ['daily_limit', null, set('accounts', 'daily_limit = 0')],
    ['hourly_limit', inAnHour, set('pace', `hourly_limit = 1, recent = '{2026-03-02T12:00:00Z}'`)],
    ['gap', inAnHour, set('pace', `gap_seconds = 3660, recent = '{2026-03-02T11:59:00Z}'`)],
    ['hours', inAnHour, set('accounts', `hours = '{"mon": ["13:00-14:00"]}'`)],
    ['hours', null, set('accounts', `hours = '{}'`)],
    ['account_retry', inAnHour, set('pace', `retry_at = '${inAnHour}'`)],
    ['running', inAnHour, set('pace', `busy_until = '${inAnHour}'`)],
    [
      'pair',
      inAnHour,
      set('pace', `limited_addressees = '{"c": {"until": "${inAnHour}", "count": 1, "said": "slow down"}}'`),
    ],
  ])('waits for %s until %s, to the millisecond', async (kind, until, given) => {
    const id = await sql.addDm(account);
    await given();
    const { state, waits, expected_at } = await sql.explain(id);
    expect(state).toBe('pending');
    expect(waits).toEqual([{ kind, until: until && expect.anything(), text: expect.any(String) }]);
    expect([iso(waits[0].until), iso(expected_at)]).toEqual([until, until]);
    if (until) sql.setNow(new Date(Date.parse(until) - 1).toISOString());
    expect(await sql.drain()).toEqual([]);
    sql.setNow(until ?? '2027-03-02T12:00:00Z');
    expect(await sql.drain()).toEqual(until ? [id] : []);
  });

  it('waits for a tick if nothing else holds it', async () => {
    const { waits, expected_at } = await sql.explain(await sql.addDm(account));
    expect(waits).toEqual([{ kind: 'tick', until: null, text: expect.any(String) }]);
    expect(iso(expected_at)).toBe(sql.now);
  });

  it('lists several waits at once, each with its end, and is expected after the last', async () => {
    const id = await sql.addDm(account, { send_at: sql.at(600) });
    await set('accounts', `paused_until = '2026-03-02T12:30:00Z', hours = '{"mon": ["14:00-15:00"]}'`)();
    const { waits, expected_at } = await sql.explain(id);
    expect(waits.map((wait: { kind: string }) => wait.kind)).toEqual(['due', 'paused', 'hours']);
    expect(iso(expected_at)).toBe('2026-03-02T14:00:00.000Z');
  });

  it('names the rows of its account that go before it: the more urgent, then the older', async () => {
    const other = await sql.addAccount();
    await sql.addDm(other, { send_at: sql.at(-900) });
    const older = await sql.addDm(account, { send_at: sql.at(-20) });
    await sql.addDm(account, { send_at: sql.at(10) });
    const id = await sql.addDm(account, { send_at: sql.at(-10) });
    const urgent = await sql.addDm(account, { priority: 0, send_at: sql.at(-1) });
    await sql.addDm(account, { send_at: sql.at(-90), priority: 2 });
    await sql.addDm(account, { send_at: sql.at(-90), status: 'cancelled' });
    await sql.addDm(account, { send_at: sql.at(-90), expires_at: sql.at(-1) });
    const twin = await sql.addDm(account, { send_at: sql.at(-10) });
    expect((await sql.explain(id)).ahead).toEqual({ count: 2, ids: [urgent, older] });
    expect((await sql.explain(twin)).ahead).toEqual({ count: 3, ids: [urgent, older, id] });
  });

  it('goes after a more urgent row that falls due at the same instant, and names it', async () => {
    const id = await sql.addDm(account, { send_at: sql.at(60) });
    const urgent = await sql.addDm(account, { send_at: sql.at(60), priority: 0 });
    const { ahead } = await sql.explain(id);
    sql.pass(60);
    expect(await sql.drain()).toEqual([urgent, id]);
    expect(ahead).toEqual({ count: 1, ids: [urgent] });
  });

  it('counts up to 1,000 rows that go before it, and names the first 10', async () => {
    const first = Number(await sql.addDm(account, { send_at: sql.at(-60) }));
    await database.sql(
      `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at) select $1, 'linkedin', 'c', 'x', $2 from generate_series(1, 1500)`,
      [account, sql.at(-30)],
    );
    const { ahead, waits, expected_at } = await sql.explain(await sql.addDm(account));
    expect(ahead).toEqual({ count: 1_000, ids: Array.from({ length: 10 }, (_, n) => String(first + n)) });
    expect(waits).toContainEqual(expect.objectContaining({ kind: 'behind' }));
    expect(expected_at).toBeNull();
  });
});

describe('a row that is not pending', () => {
  it('names its tick and waits until its lease ends if it is running', async () => {
    const id = await sql.addDm(account);
    const tick = sql.tick();
    await tick.claim();
    const explanation = await sql.explain(id);
    expect(explanation).toMatchObject({
      state: 'running',
      status: 'sending',
      attempts: 1,
      tick: { id: tick.id, scheduler: 'test' },
      expected_at: null,
    });
    expect(explanation.waits).toMatchObject([{ kind: 'lease', until: explanation.lease_expires_at }]);
  });

  it('waits for its next check or an operator if it is unknown', async () => {
    const { id } = await sql.addUnknown(account);
    const { reconcile, ...explanation } = await sql.explain(id);
    expect(explanation).toMatchObject({
      state: 'unknown',
      waits: [{ kind: 'reconcile' }],
      expected_at: null,
    });
    expect(reconcile).toMatchObject({ checks: 0, checked_at: null, waits_for_operator: false });
    expect(iso(reconcile.next_check_at)).toBe(iso(sql.at(30)));
    await set('dm_queue', 'reconcile_at = null')();
    const waits = [{ kind: 'operator', until: null }];
    expect(await sql.explain(id)).toMatchObject({ waits, reconcile: { waits_for_operator: true } });
  });

  it.each(['sent', 'failed', 'cancelled'])('waits for nothing if it is %s', async (status) => {
    const id = await sql.addDm(account, { status });
    const nothing = { waits: [], ahead: null, expected_at: null, reconcile: null };
    expect(await sql.explain(id)).toMatchObject({ status, ...nothing });
  });

  it('has no explanation if it does not exist', async () => {
    expect(await sql.explain('987654')).toBeNull();
  });
});

/** Random pace settings whose waits last minutes to days. */
const pace = fc.record({
  daily_limit: fc.integer({ min: 1, max: 4 }),
  hourly_limit: fc.option(fc.integer({ min: 1, max: 3 })),
  gap_seconds: fc.option(fc.constantFrom(30, 60, 600, 5_400)),
  // Shares of 8,192 s are multiples of 1/8 s, so no instant here is finer than a millisecond.
  gap_jitter_seconds: fc.constantFrom(0, 8_192),
  hours: fc.option(
    fc.constantFrom(
      '{"mon": ["09:00-12:30"], "tue": ["10:00-24:00"], "fri": ["00:00-03:00"]}',
      '{"mon": ["00:00-24:00"], "wed": ["08:00-08:10"]}',
    ),
  ),
  time_zone: fc.constantFrom('UTC', 'Europe/Berlin', 'Asia/Kolkata', 'Pacific/Auckland'),
  ramp_started_on: fc.option(fc.constantFrom('2026-02-28', '2026-03-02', '2026-03-10')),
  ramp_days: fc.constantFrom(1, 3, 14),
});

/** Adds an account with `count` rows due now and one due later. Returns their ids in the order in which they will go. */
async function addPaced(settings: object, count: number, laterSeconds: number): Promise<string[]> {
  await database.sql(`update punctual.accounts set paused_until = 'infinity'`);
  const id = await sql.addAccount({ ...settings, name: 'paced' });
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push(await sql.addDm(id, { send_at: sql.at(n - count) }));
  return [...ids, await sql.addDm(id, { send_at: sql.at(laterSeconds) })];
}

describe('expected_at', () => {
  const later = fc.constantFrom(0, 90, 7_200, 200_000);

  it('is when the claim takes the row, for every row and any pace, if a tick comes whenever the account is ready', async () => {
    const property = fc.asyncProperty(
      pace,
      fc.integer({ min: 1, max: 5 }),
      later,
      async (settings, count, laterSeconds) => {
        sql.setNow('2026-03-02T12:00:00Z');
        const ids = await addPaced(settings, count, laterSeconds);
        const expected = new Map<string, string>();
        for (const id of ids) expected.set(id, iso((await sql.explain(id)).expected_at) ?? '');
        const claimed = new Map<string, string>();
        for (let n = 0; n < 60 && claimed.size < ids.length; n++) {
          for (const id of await sql.drain()) claimed.set(id, new Date(sql.now).toISOString());
          const idle = await sql.tick().exchange({ want: 1, close: true });
          sql.pass(Math.max(1, idle.next_due_in_ms ?? 1) / 1_000);
        }
        expect(Object.fromEntries(claimed)).toEqual(Object.fromEntries(expected));
      },
    );
    await assertProperty(property, { numRuns: runs({ quick: 6, all: 40, real: 10 }) });
  }, 300_000);

  it('has come exactly for the rows that this minute’s tick takes, minute after minute', async () => {
    const minutes = fc.integer({ min: 40, max: 60 });
    const property = fc.asyncProperty(
      pace,
      fc.integer({ min: 1, max: 3 }),
      later,
      minutes,
      async (settings, count, laterSeconds, steps) => {
        sql.setNow('2026-03-02T12:00:00Z');
        const waiting = await addPaced({ ...settings, gap_jitter_seconds: 77 }, count, laterSeconds);
        for (let n = 0; n < steps && waiting.length > 0; n++) {
          const due: string[] = [];
          for (const id of waiting) {
            const { expected_at } = await sql.explain(id);
            if (Date.parse(expected_at) <= Date.parse(sql.now)) due.push(id);
          }
          expect(await sql.drain()).toEqual(due);
          waiting.splice(0, due.length);
          sql.pass(60);
        }
      },
    );
    await assertProperty(property, { numRuns: runs({ quick: 2, all: 12, real: 3 }) });
  }, 300_000);

  it('is never later than the claim, even if rows before it fall due later', async () => {
    await database.sql('update punctual.accounts set gap_seconds = 1800');
    await sql.addDm(account, { send_at: sql.at(3_000) });
    const id = await sql.addDm(account, { send_at: sql.at(3_600) });
    const { expected_at } = await sql.explain(id);
    sql.pass(3_000);
    await sql.drain();
    sql.pass(1_799);
    expect(await sql.drain()).toEqual([]);
    sql.pass(1);
    expect(await sql.drain()).toEqual([id]);
    expect(Date.parse(expected_at)).toBeLessThanOrEqual(Date.parse(sql.now));
  });
});
