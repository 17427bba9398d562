import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { attemptIn } from '../support/attempt.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';
import { assertProperty, runs } from '../support/property.ts';

const database = testDatabase();
const sql = perTestExchanges(database);

beforeEach(async () => {
  await database.sql('update punctual.queues set batch_limit = null');
});

/** Adds an account with `count` due messages, and returns its id. */
async function addAccount(count: number, settings: Record<string, unknown> = {}): Promise<string> {
  const id = await sql.addAccount(settings);
  await database.sql(
    `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at)
     select $1, 'linkedin', 'c', 'x', $3 from generate_series(1, $2::integer)`,
    [id, count, sql.now],
  );
  return id;
}

/** Returns when the one account may send, judged at `now`, and why it waits until then. */
async function nextSend(now = sql.now): Promise<{ at: string; kinds: string[]; texts: string[] }> {
  const [row] = await database.sql(
    `select o.open_at, o.waits from punctual.accounts a join punctual.pace p on p.account_id = a.id and p.queue = 'dm_queue',
       punctual.account_opening(a, p, $1) o`,
    [now],
  );
  const waits: { kind: string; text: string }[] = row.waits;
  const at = new Date(row.open_at).toISOString();
  return { at, kinds: waits.map((w) => w.kind).sort(), texts: waits.map((w) => w.text) };
}

const claimOne = (outcome = 'done') => attemptIn(sql.tick(), outcome);
const drained = async () => (await sql.drain()).length;
const allPlaces = ['daily_limit', 'gap', 'hourly_limit'];

describe('the hourly limit', () => {
  it('allows a claim exactly when fewer rows than the limit were done or unknown in the last 60 minutes', async () => {
    const outcome = fc.constantFrom('done', 'done', 'unknown', 'dead', 'release', 'retry');
    const step = fc.tuple(
      fc.integer({ min: 0, max: 2_400 }),
      fc.array(outcome, { minLength: 1, maxLength: 4 }),
    );
    const property = fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.array(step, { minLength: 5, maxLength: 10 }),
      async (limit, steps) => {
        await database.reset();
        sql.setNow('2026-03-02T12:00:00Z');
        await addAccount(70, { hourly_limit: limit });
        const counted: number[] = [];
        for (const [seconds, outcomes] of steps) {
          sql.pass(seconds);
          const now = Date.parse(sql.now);
          for (const outcome of outcomes) {
            const inWindow = counted.filter((at) => at > now - 3_600_000).length;
            const id = await claimOne(outcome);
            expect({ inWindow, claimed: id !== null }).toEqual({ inWindow, claimed: inWindow < limit });
            if (id !== null && (outcome === 'done' || outcome === 'unknown')) counted.push(now);
          }
        }
      },
    );
    await assertProperty(property, { numRuns: runs({ quick: 4, all: 8 }) });
  }, 300_000);

  it('allows the next claim 60 minutes after it was reached, to the millisecond', async () => {
    await addAccount(5, { hourly_limit: 2 });
    await sql.drain();
    expect((await nextSend()).at).toBe(sql.at(3_600));
    sql.pass(3_599.999);
    expect(await drained()).toBe(0);
    sql.pass(0.001);
    expect(await drained()).toBe(2);
  });

  it('counts every claim of the last hour, also if it is above 30', async () => {
    await addAccount(90, { hourly_limit: 40 });
    for (let minute = 0; minute < 40; minute++) {
      expect(await claimOne()).not.toBeNull();
      sql.pass(60);
    }
    expect(await claimOne()).toBeNull();
    sql.pass(1_200);
    expect(await claimOne()).not.toBeNull();
    expect(await claimOne()).toBeNull();
  });
});

describe('the gap', () => {
  it('lasts from gap_seconds to gap_seconds plus the whole jitter, differs each time, and is the same for explain_row and the claim', async () => {
    await addAccount(30, { gap_seconds: 60, gap_jitter_seconds: 120 });
    const waits = new Set<number>();
    for (let n = 0; n < 24; n++) {
      expect(await claimOne()).not.toBeNull();
      const { at, kinds } = await nextSend();
      expect(kinds).toEqual(['gap']);
      for (const later of [1, 30, 59]) expect((await nextSend(sql.at(later))).at).toBe(at);
      const [next] = await database.sql(
        `select min(id)::text as id from punctual.dm_queue where status = 'pending'`,
      );
      const explained = await sql.explain(String(next.id));
      expect(new Date(explained.expected_at).toISOString()).toBe(at);
      waits.add(Date.parse(at) - Date.parse(sql.now));
      sql.setNow(new Date(Date.parse(at) - 1).toISOString());
      expect(await claimOne()).toBeNull();
      sql.pass(0.002);
    }
    const [shortest, longest] = [Math.min(...waits), Math.max(...waits)];
    expect(waits.size).toBeGreaterThan(20);
    expect(shortest).toBeGreaterThanOrEqual(60_000);
    expect(longest).toBeLessThan(180_000);
    expect(longest - shortest).toBeGreaterThan(60_000);
  });

  it('is exact without jitter', async () => {
    await addAccount(3, { gap_seconds: 90 });
    expect(await drained()).toBe(1);
    sql.pass(89.999);
    expect(await drained()).toBe(0);
    sql.pass(0.001);
    expect(await drained()).toBe(1);
  });
});

describe('a warm-up', () => {
  it.each([
    [30, 20, 14],
    [100, 10, 7],
    [7, 1, 30],
    [1, 20, 14],
    [250, 33, 11],
    [0, 20, 14],
    [40, 100, 5],
    [60, 5, 2],
    [12, 50, 1],
  ])(
    'to %i rows a day from %i percent over %i days raises the daily limit evenly',
    async (full, from, days) => {
      const ramp = { ramp_from_percent: from, ramp_days: days, ramp_started_on: '2026-03-02' };
      await addAccount(0, { daily_limit: full, ...ramp });
      const rows = await database.sql(
        `select punctual.daily_limit_on(a, p, date '2026-03-02' + n) as n from punctual.accounts a join punctual.pace p on p.account_id = a.id and p.queue = 'dm_queue',
         generate_series(-3, $1::integer) n order by n.n`,
        [days + 2],
      );
      const expected = rows.map((_, index) => {
        const n = Math.max(0, index - 3);
        if (full === 0 || days === 1 || n >= days - 1) return full;
        return Math.max(1, Math.floor((full * (from * (days - 1) + (100 - from) * n)) / (100 * (days - 1))));
      });
      expect(rows.map((row) => row.n)).toEqual(expected);
    },
  );

  it('counts its days in the account’s time zone', async () => {
    const ramp = { ramp_started_on: '2026-03-03', ramp_days: 4, ramp_from_percent: 25 };
    sql.setNow('2026-03-01T00:00:00Z');
    await addAccount(60, { daily_limit: 8, time_zone: 'Pacific/Auckland', ...ramp });
    const sent: number[] = [];
    // Noon in Auckland, starting on the day before the warm-up.
    for (let day = 1; day <= 6; day++) {
      sql.setNow(`2026-03-0${day}T23:00:00Z`);
      sent.push(await drained());
    }
    expect(sent).toEqual([2, 2, 4, 6, 8, 8]);
  });
});

describe('a pause', () => {
  it('lasts until its end and gives its reason', async () => {
    await addAccount(1, { paused_until: sql.at(600), paused_reason: 'the owner is away' });
    const texts = ['paused: the owner is away'];
    expect(await nextSend()).toEqual({ at: sql.at(600), kinds: ['paused'], texts });
    sql.pass(599);
    expect(await drained()).toBe(0);
    sql.pass(1);
    expect(await drained()).toBe(1);
  });

  it('that ends outside the sending hours lasts until they begin', async () => {
    const hours = JSON.stringify({ tue: ['09:00-17:00'] });
    await addAccount(1, { paused_until: sql.at(600), hours });
    const begin = '2026-03-03T09:00:00.000Z';
    expect(await nextSend()).toMatchObject({ at: begin, kinds: ['hours', 'paused'] });
    sql.setNow('2026-03-03T08:59:59Z');
    expect(await drained()).toBe(0);
    sql.setNow(begin);
    expect(await drained()).toBe(1);
  });
});

describe('an account’s settings for one queue', () => {
  const set = (change: string, queue = 'dm_queue') =>
    database.sql(`update punctual.pace set ${change} where queue = '${queue}'`);

  it.each([
    ['daily_limit', '5', '2', 2],
    ['hourly_limit', 'null', '3', 3],
    ['gap_seconds', 'null', '60', 1],
    ['hours', 'null', `'{"sun": ["00:00-24:00"]}'`, 0],
    ['hours', `'{}'`, `'{"mon": ["00:00-24:00"]}'`, 5],
    ['daily_limit', '0', '4', 4],
  ])('override the account’s own %s at once: %s gives way to %s', async (column, general, own, claimed) => {
    await addAccount(9, { daily_limit: 5 });
    await database.sql(`update punctual.accounts set ${column} = ${general}`);
    await set(`${column} = ${own}`);
    expect(await drained()).toBe(claimed);
  });

  it('take effect with the next claim, even for an account that is already waiting', async () => {
    await addAccount(20, { gap_seconds: 3_600 });
    await claimOne();
    expect(await claimOne()).toBeNull();
    await set('gap_seconds = 10');
    sql.pass(10);
    expect(await drained()).toBe(1);
    await set('daily_limit = 4, gap_seconds = 0');
    expect(await drained()).toBe(2);
    await database.sql(`update punctual.accounts set paused_until = 'infinity'`);
    await set('daily_limit = null');
    expect(await drained()).toBe(0);
  });

  it('limit that queue alone', async () => {
    const account = await addAccount(9, { daily_limit: 3 });
    await database.sql(
      `insert into punctual.posts (account_id, body, scheduled_for) select $1, 'x', $2 from generate_series(1, 9)`,
      [account, sql.now],
    );
    await set('daily_limit = 5', 'posts');
    expect(await drained()).toBe(3);
    let posted = 0;
    while (posted < 20 && (await attemptIn(sql.tick({ queue: 'posts' })))) posted++;
    expect(posted).toBe(5);
  });
});

describe('an outcome', () => {
  const limits = { daily_limit: 1, hourly_limit: 1, gap_seconds: 600 };

  it.each(['dead', 'release', 'retry'])(
    'that rules out an effect (%s) returns the row’s place under the daily limit, the hourly limit and the gap',
    async (outcome) => {
      await addAccount(3, limits);
      expect(await claimOne(outcome)).not.toBeNull();
      expect(await nextSend()).toEqual({ at: sql.now, kinds: [], texts: [] });
    },
  );

  it.each(['done', 'unknown'])('that does not (%s) keeps all three places', async (outcome) => {
    await addAccount(3, limits);
    await claimOne(outcome);
    expect((await nextSend()).kinds).toEqual(allPlaces);
  });

  it('returns the row’s own place and no older one', async () => {
    await addAccount(5, { hourly_limit: 2 });
    const reopens = sql.at(3_600);
    for (const outcome of ['done', 'dead', 'done']) {
      await claimOne(outcome);
      sql.pass(600);
    }
    expect((await nextSend()).at).toBe(reopens);
  });
});

it('every ready account is served once before any is served twice', async () => {
  for (let n = 0; n < 12; n++) await addAccount(3, { name: `busy ${n}` });
  const tick = sql.tick();
  const served: (string | undefined)[] = [];
  for (let n = 0; n < 8; n++) {
    const { rows, claimId: claim_id } = await tick.claim(3);
    served.push(...rows.map((row) => row.account?.name));
    // Accounts that became ready at the same instant have no fixed order.
    sql.pass(1);
    await tick.settle(rows.map(({ id }) => ({ id, claim_id, outcome: 'done' })));
  }
  expect(new Set(served.slice(0, 12)).size).toBe(12);
  expect(new Set(served.slice(12)).size).toBe(12);
});
