import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';
import { assertProperty, runs } from '../support/property.ts';

const database = testDatabase();
const sql = perTestExchanges(database);

beforeEach(async () => {
  await database.sql('update punctual.queues set batch_limit = null');
});

async function addDms(account: string, count: number): Promise<void> {
  await database.sql(
    `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at)
     select $1, 'linkedin', 'c', 'x', $3 from generate_series(1, $2::integer)`,
    [account, count, sql.now],
  );
}

const setAccount = (change: string) => database.sql(`update punctual.accounts set ${change}`);

/** Returns when the one account may send, judged at `now`, and why it waits until then. */
async function nextSend(now = sql.now): Promise<{ at: number; kinds: string[]; texts: string[] }> {
  const [row] = await database.sql(
    `select o.open_at, o.waits from punctual.accounts a join punctual.pace p on p.account_id = a.id and p.queue = 'dm_queue',
       punctual.account_opening(a, p, $1) o`,
    [now],
  );
  const waits: { kind: string; text: string }[] = row.waits;
  return { at: Date.parse(row.open_at), kinds: waits.map((w) => w.kind), texts: waits.map((w) => w.text) };
}

/** Claims one row and settles it with `outcome`. Returns its id, or null if none was claimed. */
async function claimOne(outcome: string, more: Record<string, unknown> = {}): Promise<string | null> {
  const tick = sql.tick();
  const { rows, claimId } = await tick.claim(1);
  const row = rows[0];
  const record = { claim_id: claimId, outcome, error: 'e', delay_seconds: 0, account_id: row?.account?.id };
  await tick.settle(row ? [{ ...record, id: row.id, ...more }] : [], { close: true });
  return row?.id ?? null;
}

const hour = 3_600_000;

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
        await addDms(await sql.addAccount({ hourly_limit: limit }), 70);
        const counted: number[] = [];
        for (const [seconds, outcomes] of steps) {
          sql.pass(seconds);
          const now = Date.parse(sql.now);
          for (const outcome of outcomes) {
            const inWindow = counted.filter((at) => at > now - hour).length;
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
    await addDms(await sql.addAccount({ hourly_limit: 2 }), 5);
    await sql.drain();
    expect((await nextSend()).at).toBe(Date.parse(sql.at(3_600)));
    sql.pass(3_599.999);
    expect(await sql.drain()).toEqual([]);
    sql.pass(0.001);
    expect(await sql.drain()).toHaveLength(2);
  });

  it('counts every claim of the last hour, also if it is above 30', async () => {
    await addDms(await sql.addAccount({ hourly_limit: 40 }), 90);
    for (let minute = 0; minute < 40; minute++) {
      expect(await claimOne('done')).not.toBeNull();
      sql.pass(60);
    }
    expect(await claimOne('done')).toBeNull();
    sql.pass(1_200);
    expect(await claimOne('done')).not.toBeNull();
    expect(await claimOne('done')).toBeNull();
  });
});

describe('the gap', () => {
  it('lasts from gap_seconds to gap_seconds plus the whole jitter, differs each time, and is the same for explain_row and the claim', async () => {
    const id = await sql.addAccount({ gap_seconds: 60, gap_jitter_seconds: 120 });
    await addDms(id, 30);
    const waits = new Set<number>();
    for (let n = 0; n < 24; n++) {
      expect(await claimOne('done')).not.toBeNull();
      const { at, kinds } = await nextSend();
      expect(kinds).toEqual(['gap']);
      const waitMs = at - Date.parse(sql.now);
      expect(waitMs).toBeGreaterThanOrEqual(60_000);
      expect(waitMs).toBeLessThan(180_000);
      for (const later of [1, 30, 59]) expect((await nextSend(sql.at(later))).at).toBe(at);
      const [next] = await database.sql(
        `select min(id)::text as id from punctual.dm_queue where status = 'pending'`,
      );
      expect(Date.parse((await sql.explain(String(next.id))).expected_at)).toBe(at);
      sql.setNow(new Date(at - 1).toISOString());
      expect(await claimOne('done')).toBeNull();
      sql.setNow(new Date(at + 1).toISOString());
      waits.add(waitMs);
    }
    expect(waits.size).toBeGreaterThan(20);
    expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(60_000);
  });

  it('is exact without jitter', async () => {
    await addDms(await sql.addAccount({ gap_seconds: 90 }), 3);
    expect(await sql.drain()).toHaveLength(1);
    sql.pass(89.999);
    expect(await sql.drain()).toEqual([]);
    sql.pass(0.001);
    expect(await sql.drain()).toHaveLength(1);
  });
});

describe('a warm-up', () => {
  it.each([
    [30, 20, 14],
    [30, 20, 4],
    [30, 15, 4],
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
      await sql.addAccount({
        daily_limit: full,
        ramp_from_percent: from,
        ramp_days: days,
        ramp_started_on: '2026-03-02',
      });
      const rows = await database.sql(
        `select punctual.daily_limit_on(a, p, date '2026-03-02' + n) as n from punctual.accounts a join punctual.pace p on p.account_id = a.id and p.queue = 'dm_queue',
         generate_series(-3, $1::integer) n order by n.n`,
        [days + 2],
      );
      const expected = rows.map((_, index) => {
        const n = Math.max(0, index - 3);
        if (full === 0) return 0;
        if (days === 1 || n >= days - 1) return full;
        return Math.max(1, Math.floor((full * (from * (days - 1) + (100 - from) * n)) / (100 * (days - 1))));
      });
      expect(rows.map((row) => row.n)).toEqual(expected);
    },
  );

  it('counts its days in the account’s time zone', async () => {
    const ramp = { ramp_started_on: '2026-03-03', ramp_days: 4, ramp_from_percent: 25 };
    sql.setNow('2026-03-01T00:00:00Z');
    await addDms(await sql.addAccount({ daily_limit: 8, time_zone: 'Pacific/Auckland', ...ramp }), 60);
    const sent: number[] = [];
    // Noon in Auckland, starting on the day before the warm-up.
    for (const day of ['2026-03-01', '2026-03-02', '2026-03-03', '2026-03-04', '2026-03-05', '2026-03-06']) {
      sql.setNow(`${day}T23:00:00Z`);
      sent.push((await sql.drain()).length);
    }
    expect(sent).toEqual([2, 2, 4, 6, 8, 8]);
  });
});

describe('a pause', () => {
  it('lasts until its end and gives its reason', async () => {
    await addDms(await sql.addAccount({ paused_until: sql.at(600), paused_reason: 'the owner is away' }), 1);
    expect(await nextSend()).toEqual({
      at: Date.parse(sql.at(600)),
      kinds: ['paused'],
      texts: ['paused: the owner is away'],
    });
    sql.pass(599);
    expect(await sql.drain()).toEqual([]);
    sql.pass(1);
    expect(await sql.drain()).toHaveLength(1);
  });

  it('that ends outside the sending hours lasts until they begin', async () => {
    const hours = JSON.stringify({ tue: ['09:00-17:00'] });
    await addDms(await sql.addAccount({ paused_until: sql.at(600), hours }), 1);
    expect(await nextSend()).toMatchObject({
      at: Date.parse('2026-03-03T09:00:00Z'),
      kinds: ['paused', 'hours'],
    });
    sql.setNow('2026-03-03T08:59:59Z');
    expect(await sql.drain()).toEqual([]);
    sql.setNow('2026-03-03T09:00:00Z');
    expect(await sql.drain()).toHaveLength(1);
  });
});

describe('an account’s settings for one queue', () => {
  it.each([
    ['daily_limit', '5', '2', 2],
    ['hourly_limit', 'null', '3', 3],
    ['gap_seconds', 'null', '60', 1],
    ['hours', 'null', `'{"sun": ["00:00-24:00"]}'`, 0],
    ['hours', `'{}'`, `'{"mon": ["00:00-24:00"]}'`, 5],
    ['daily_limit', '0', '4', 4],
  ])('override the account’s own %s at once: %s gives way to %s', async (column, general, own, claimed) => {
    const id = await sql.addAccount({ daily_limit: 5 });
    await addDms(id, 9);
    await setAccount(`${column} = ${general}`);
    await database.sql(`update punctual.pace set ${column} = ${own}`);
    expect(await sql.drain()).toHaveLength(claimed);
  });

  it('take effect with the next claim, even for an account that is already waiting', async () => {
    await addDms(await sql.addAccount({ gap_seconds: 3_600 }), 20);
    const tick = sql.tick({ limit_seconds: 800 });
    const first = await tick.claim(1);
    await tick.settle([{ id: first.rows[0]?.id ?? '', claim_id: first.claimId, outcome: 'done' }]);
    expect((await tick.claim(1)).rows).toEqual([]);
    await tick.close();
    await database.sql('update punctual.pace set gap_seconds = 10');
    sql.pass(10);
    expect(await sql.drain()).toHaveLength(1);
    await database.sql('update punctual.pace set daily_limit = 4, gap_seconds = 0');
    expect(await sql.drain()).toHaveLength(2);
    await setAccount("paused_until = 'infinity'");
    await database.sql('update punctual.pace set daily_limit = null');
    expect(await sql.drain()).toEqual([]);
  });

  it('limit that queue alone', async () => {
    await database.sql(
      'create table public.notes (id bigint generated always as identity primary key, account_id uuid not null references punctual.accounts, body text, due_at timestamptz)',
    );
    try {
      await database.sql(
        `select punctual.add_queue('notes', 'public.notes', 'due_at', 'at-most-once', p_account_column => 'account_id')`,
      );
      const account = await sql.addAccount({ daily_limit: 3 });
      await addDms(account, 9);
      await database.sql(
        `insert into public.notes (account_id, body, due_at) select $1, 'n', $2 from generate_series(1, 9)`,
        [account, sql.now],
      );
      await database.sql(`update punctual.pace set daily_limit = 5 where queue = 'notes'`);
      expect(await sql.drain()).toHaveLength(3);
      const notes = sql.tick({ queue: 'notes' });
      let taken = 0;
      for (; taken < 20; taken++) {
        const { rows, claimId } = await notes.claim(1);
        if (!rows[0]) break;
        await notes.settle([{ id: rows[0].id, claim_id: claimId, outcome: 'done' }]);
      }
      expect(taken).toBe(5);
    } finally {
      await database.sql('drop table public.notes');
    }
  });
});

describe('an outcome that rules out an effect', () => {
  it.each(['dead', 'release', 'retry'])(
    '(%s) returns the row’s place under the daily limit, the hourly limit and the gap',
    async (outcome) => {
      await addDms(await sql.addAccount({ daily_limit: 1, hourly_limit: 1, gap_seconds: 600 }), 3);
      expect(await claimOne(outcome)).not.toBeNull();
      expect(await nextSend()).toEqual({ at: Date.parse(sql.now), kinds: [], texts: [] });
      expect(await claimOne('done')).not.toBeNull();
      expect((await nextSend()).kinds.sort()).toEqual(['daily_limit', 'gap', 'hourly_limit']);
    },
  );

  it('returns the row’s own place and no older one', async () => {
    await addDms(await sql.addAccount({ hourly_limit: 2 }), 5);
    const first = Date.parse(sql.now);
    await claimOne('done');
    sql.pass(600);
    await claimOne('dead');
    sql.pass(600);
    await claimOne('done');
    expect((await nextSend()).at).toBe(first + hour);
  });

  it('differs from unknown, which keeps all three places', async () => {
    await addDms(await sql.addAccount({ daily_limit: 1, hourly_limit: 1, gap_seconds: 600 }), 3);
    await claimOne('unknown');
    expect((await nextSend()).kinds.sort()).toEqual(['daily_limit', 'gap', 'hourly_limit']);
  });
});

describe('fairness between accounts', () => {
  it('sends a newly due row in the next tick, even behind 10,000 older rows of another account', async () => {
    const busy = await sql.addAccount({ name: 'busy' });
    await addDms(busy, 10_000);
    const quiet = await sql.addAccount({ name: 'quiet' });
    const one = await sql.addDm(quiet, { send_at: sql.at(60) });
    expect(await sql.drain()).not.toContain(one);
    sql.pass(60);
    const { rows } = await sql.tick().claim(5);
    expect(rows.map((row) => row.account?.name).sort()).toEqual(['busy', 'quiet']);
  });

  it('serves every ready account once before it serves any account twice', async () => {
    const names = Array.from({ length: 12 }, (_, n) => `busy ${n}`);
    for (const name of names) await addDms(await sql.addAccount({ name }), 3);
    const tick = sql.tick();
    const served: (string | undefined)[] = [];
    for (let n = 0; n < 8; n++) {
      const { rows, claimId } = await tick.claim(3);
      served.push(...rows.map((row) => row.account?.name));
      // Accounts that became ready at the same instant have no fixed order.
      sql.pass(1);
      await tick.settle(rows.map(({ id }) => ({ id, claim_id: claimId, outcome: 'done' })));
    }
    expect(new Set(served.slice(0, 12)).size).toBe(12);
    expect(new Set(served.slice(12)).size).toBe(12);
  });
});
