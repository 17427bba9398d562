import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { analyticsSchema } from '../../lib/store/analytics.ts';
import { exchanges, type Outcome } from '../support/exchanges.ts';
import { assertProperty } from '../support/property.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

const dayMs = 86_400_000;
let database: TestDatabase;
let sql: ReturnType<typeof exchanges>;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  await clear();
  sql = exchanges(database);
});

async function clear(): Promise<void> {
  await database.sql('drop schema if exists app cascade');
  await database.reset();
}

const ACCOUNTS = ['00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000b'];
const WORDS = { done: 'won', dead: 'given up', unknown: 'unclear', cancelled: 'off' } as const;
type State = keyof typeof WORDS;
type Verdict = 'up' | 'degraded' | 'down';

/** A settled row or a check, with the fields of both. */
interface Settled {
  queue: 'trials' | 'jobs' | 'monitors';
  at: number;
  state: State;
  verdict: Verdict;
  counted: boolean;
  /** Null if it was never due. */
  lateMs: number | null;
  account: string | null;
}

/** Adds a queue over a user's table, with its own words and an account column, two accounts and two monitors. */
async function addQueues(): Promise<void> {
  await database.sql('create schema app');
  await database.sql(`create table app."Trials" (id uuid primary key default gen_random_uuid(), "Next at" timestamptz,
    owner uuid references punctual.accounts on delete set null,
    status text not null default 'open')`);
  await database.sql(
    `select punctual.add_queue('trials', 'app."Trials"', 'Next at', 'at-least-once', $1, p_account_column => 'owner')`,
    [JSON.stringify({ ...WORDS, pending: 'open' })],
  );
  for (const [n, id] of ACCOUNTS.entries()) {
    await database.sql(
      `insert into punctual.accounts (id, provider, provider_account_id, name) values ($1, 'unipile', $2, $2)`,
      [id, `Account ${n + 1}`],
    );
  }
  await addMonitors(2);
}

const addMonitors = (count: number) =>
  database.sql(
    `insert into punctual.monitors (name, url, next_check_at) select 'Site ' || n, 'https://site-' || n || '.test', '2100-01-01'
       from generate_series(1, $1::integer) n`,
    [count],
  );

async function addSettled(rows: Partial<Settled>[]): Promise<void> {
  const given = rows.map((row) => {
    const { at = 0, lateMs = 0, ...rest } = row;
    return {
      queue: 'jobs',
      state: 'done',
      verdict: 'up',
      counted: true,
      account: null,
      ...rest,
      at: new Date(at).toISOString(),
      due: lateMs === null ? null : new Date(at - lateMs).toISOString(),
      word: WORDS[row.state ?? 'done'],
      total_ms: lateMs === null ? null : Math.abs(lateMs) % 30_000,
    };
  });
  const from = `from jsonb_to_recordset($1::jsonb) r (queue text, state text, verdict text, counted boolean, account uuid, at timestamptz,
    due timestamptz, word text, total_ms integer) where r.queue =`;
  const json = JSON.stringify(given);
  if (given.some(({ queue }) => queue === 'trials'))
    await database.sql(
      `insert into app."Trials" (status, finished_at, "Next at", owner) select r.word, r.at, r.due, r.account ${from} 'trials'`,
      [json],
    );
  // run_at cannot be null. A row due at infinity has no lateness either.
  await database.sql(
    `insert into punctual.jobs (name, status, finished_at, run_at)
     select 'j', case r.state when 'dead' then 'failed' else r.state end, r.at, coalesce(r.due, 'infinity') ${from} 'jobs'`,
    [json],
  );
  await database.sql(
    `insert into punctual.monitor_checks (monitor_id, at, region, verdict, counted, total_ms)
     select 1 + (r.account is null)::integer, r.at, 'main', r.verdict, r.counted, r.total_ms ${from} 'monitors'`,
    [json],
  );
}

const rollUp = (...args: Parameters<typeof sql.rollUp>) => sql.rollUp(...args);
const setZone = (zone: string) => database.sql('update punctual.settings set time_zone = $1', [zone]);
const outcomes = async (where = 'true'): Promise<string[]> => {
  const rows =
    await database.sql(`select day::text as day, queue, outcome, is_total, account_id, rows, p50_seconds, p95_seconds, p99_seconds
    from punctual.daily_outcomes where ${where}`);
  return rows
    .map((r) =>
      line(
        [r.day, r.queue, r.outcome, r.is_total, r.account_id, r.rows],
        [r.p50_seconds, r.p95_seconds, r.p99_seconds],
      ),
    )
    .sort();
};
const checks = async (): Promise<string[]> => {
  const rows = await database.sql('select *, day::text as on from punctual.daily_checks');
  return rows
    .map((r) =>
      line(
        [r.on, r.monitor_id, r.checks, r.up, r.degraded, r.down],
        [r.uptime, r.p50_ms, r.p95_ms, r.p99_ms],
      ),
    )
    .sort();
};
const line = (words: unknown[], numbers: (number | null)[]) =>
  [...words, ...numbers.map((n) => (n === null ? null : Math.round(n * 1e6) / 1e6))].join(' ');

/** Computes the daily figures from the rows, without the database. */
function figuresOf(rows: Settled[], zone: string, today: string): { outcomes: string[]; checks: string[] } {
  const day = new Intl.DateTimeFormat('en-CA', { timeZone: zone });
  const groups = new Map<string, Settled[]>();
  const sites = new Map<string, Settled[]>();
  const add = (map: typeof groups, words: unknown[], row: Settled) => {
    const key = words.join(' ');
    map.set(key, [...(map.get(key) ?? []), row]);
  };
  for (const row of rows) {
    const date = day.format(row.at);
    if (date > today) continue;
    if (row.queue === 'monitors') {
      if (!row.counted) continue;
      add(groups, [date, row.queue, row.verdict, true, null], row);
      add(sites, [date, row.account === null ? 2 : 1], row);
    } else {
      add(groups, [date, row.queue, row.state, true, null], row);
      if (row.queue === 'trials') add(groups, [date, row.queue, row.state, false, row.account], row);
    }
  }
  const percentiles = (values: number[]) => {
    values.sort((a, b) => a - b);
    return [50, 95, 99].map((p) => values[Math.ceil((values.length * p) / 100) - 1] ?? null);
  };
  const latenessOf = (members: Settled[]) =>
    members.flatMap(({ lateMs }) => (lateMs === null ? [] : [lateMs]));
  return {
    outcomes: [...groups]
      .map(([key, members]) => {
        const seconds = latenessOf(members).map((ms) =>
          members[0]?.queue === 'monitors' ? (Math.abs(ms) % 30_000) / 1_000 : Math.max(0, ms) / 1_000,
        );
        return line([key, members.length], percentiles(seconds));
      })
      .sort(),
    checks: [...sites]
      .map(([key, members]) => {
        const n = (verdict: Verdict) => members.filter((row) => row.verdict === verdict).length;
        const ms = percentiles(latenessOf(members).map((late) => Math.abs(late) % 30_000));
        return line(
          [key, members.length, n('up'), n('degraded'), n('down')],
          [(n('up') + n('degraded')) / members.length, ...ms],
        );
      })
      .sort(),
  };
}

/** Time zones, each with a day on which its offset changes, if it does. */
const ZONES: [zone: string, day: string][] = [
  ['UTC', '2026-06-01'],
  ['Europe/Berlin', '2026-03-29'],
  ['Europe/Berlin', '2026-10-25'],
  ['America/Havana', '2026-03-08'],
  ['America/Havana', '2026-11-01'],
  ['Australia/Lord_Howe', '2026-04-05'],
  ['Asia/Kathmandu', '2026-01-01'],
];

describe('the daily figures', () => {
  beforeEach(addQueues);

  it('match the rows, however late or often they are rolled up, and after interrupted roll-ups', async () => {
    const settled = fc.record({
      queue: fc.constantFrom('trials', 'jobs', 'monitors'),
      // Milliseconds from the day's UTC midnight, over three days: whole hours, or any instant.
      at: fc.oneof(
        fc.integer({ min: -36, max: 36 }).map((hours) => hours * 3_600_000),
        fc.integer({ min: -36 * 3_600_000, max: 36 * 3_600_000 }),
      ),
      state: fc.constantFrom<State>('done', 'done', 'dead', 'unknown', 'cancelled'),
      verdict: fc.constantFrom<Verdict>('up', 'degraded', 'down'),
      counted: fc.boolean(),
      lateMs: fc.option(fc.integer({ min: -100_000, max: 200_000_000 }), { freq: 10 }),
      account: fc.constantFrom(null, ...ACCOUNTS),
    }) as fc.Arbitrary<Settled>;
    await assertProperty(
      fc.asyncProperty(
        fc.constantFrom(...ZONES),
        fc.array(settled, { minLength: 1, maxLength: 60 }),
        // Earlier roll-ups: hours after the day's UTC midnight, and the number of steps before the interruption.
        fc.array(
          fc.record({ hours: fc.integer({ min: -30, max: 40 }), steps: fc.integer({ min: 1, max: 12 }) }),
          {
            maxLength: 3,
          },
        ),
        fc.constantFrom(2, 5 * 24),
        async ([zone, day], given, earlier, lastHours) => {
          await clear();
          await addQueues();
          await setZone(zone);
          const midnight = Date.parse(`${day}T00:00:00Z`);
          const rows = given.map((row) => ({ ...row, at: row.at + midnight }));
          const hour = (hours: number) => new Date(midnight + hours * 3_600_000).toISOString();
          await addSettled(rows);
          for (const { hours, steps } of earlier.sort((a, b) => a.hours - b.hours))
            await rollUp(hour(hours), { maxSteps: steps });
          const last = hour(38 + lastHours);
          await rollUp(last);
          const expected = figuresOf(rows, zone, last.slice(0, 10));
          expect(await outcomes()).toEqual(expected.outcomes);
          expect(await checks()).toEqual(expected.checks);
          await rollUp(last);
          expect(await outcomes()).toEqual(expected.outcomes);
          expect(await checks()).toEqual(expected.checks);
        },
      ),
      { numRuns: 8 },
    );
  });

  it.each([
    // [zone, { instant: its day }]
    [
      'Europe/Berlin',
      {
        '2026-03-28T22:59:59.999Z': '2026-03-28',
        '2026-03-28T23:00:00Z': '2026-03-29',
        '2026-03-29T21:59:59.999Z': '2026-03-29',
        '2026-03-29T22:00:00Z': '2026-03-30',
      },
    ],
    [
      'Europe/Berlin',
      {
        '2026-10-24T22:00:00Z': '2026-10-25',
        '2026-10-25T22:59:59.999Z': '2026-10-25',
        '2026-10-25T23:00:00Z': '2026-10-26',
      },
    ],
    // Havana changes its clocks around midnight, which occurs twice or not at all.
    [
      'America/Havana',
      {
        '2026-11-01T03:59:59.999Z': '2026-10-31',
        '2026-11-01T04:30:00Z': '2026-11-01',
        '2026-11-01T05:30:00Z': '2026-11-01',
        '2026-11-02T04:59:59.999Z': '2026-11-01',
        '2026-11-02T05:00:00Z': '2026-11-02',
      },
    ],
    [
      'America/Havana',
      {
        '2026-03-08T04:59:59.999Z': '2026-03-07',
        '2026-03-08T05:00:00Z': '2026-03-08',
        '2026-03-09T03:59:59.999Z': '2026-03-08',
        '2026-03-09T04:00:00Z': '2026-03-09',
      },
    ],
  ])('cover days from midnight to midnight when clocks change: %s %o', async (zone, instants) => {
    await setZone(zone);
    await addSettled(Object.keys(instants).map((at) => ({ at: Date.parse(at) })));
    await rollUp('2026-11-20T00:00:00Z');
    const days: Record<string, number> = {};
    for (const day of Object.values(instants)) days[day] = (days[day] ?? 0) + 1;
    const rows = await database.sql(
      `select day::text as day, rows from punctual.daily_outcomes where queue = 'jobs' order by 1`,
    );
    expect(rows).toEqual(Object.entries(days).map(([day, n]) => ({ day, rows: n })));
  });

  /** Changes the state as a settle does, so finished_at stays. */
  const decide = (status: string) =>
    database.sql(`do $$ begin
      perform set_config('punctual.settles', 'jobs', true);
      update punctual.jobs set status = '${status}';
    end $$`);

  it('follow later decisions for two days, and after that only if the day is rolled up again', async () => {
    await addSettled([{ at: Date.parse('2026-06-01T10:00:00Z'), state: 'unknown' }]);
    await rollUp('2026-06-02T02:00:00Z');
    expect(await outcomes()).toEqual(['2026-06-01 jobs unknown true  1 0 0 0']);
    await decide('done');
    await rollUp('2026-06-03T02:00:00Z');
    expect(await outcomes()).toEqual(['2026-06-01 jobs done true  1 0 0 0']);
    await decide('cancelled');
    await rollUp('2026-06-04T02:00:00Z');
    expect(await outcomes()).toEqual(['2026-06-01 jobs cancelled true  1 0 0 0']);
    await decide('failed');
    await rollUp('2026-06-05T02:00:00Z');
    expect(await outcomes()).toEqual(['2026-06-01 jobs cancelled true  1 0 0 0']);
    const steps = await rollUp('2026-06-05T02:00:00Z', { day: '2026-06-01' });
    expect(steps.map(({ queue, rows }) => [queue, rows])).toEqual([
      ['dm_queue', 0],
      ['enrolments', 0],
      ['jobs', 1],
      ['monitors', 0],
      ['posts', 0],
      ['trials', 0],
    ]);
    expect(await outcomes()).toEqual(['2026-06-01 jobs dead true  1 0 0 0']);
  });

  it('are partial for today until the day is over', async () => {
    const read = async (now: string) =>
      analyticsSchema.parse(await database.rpc('read_analytics', { p_now: now })).totals;
    await addSettled([{ at: Date.parse('2026-06-01T10:00:00Z'), lateMs: 1_500 }]);
    await rollUp('2026-06-01T12:00:00Z');
    expect(await read('2026-06-01T12:00:00Z')).toMatchObject([
      { day: '2026-06-01', partial: true, rows: 1, p50_seconds: 1.5 },
    ]);
    await addSettled([{ at: Date.parse('2026-06-01T23:59:59Z') }]);
    await rollUp('2026-06-02T00:00:00Z');
    expect(await read('2026-06-02T00:00:00Z')).toMatchObject([
      { day: '2026-06-01', partial: false, rows: 2 },
    ]);
    // Partial figures do not stay if no row of their day is left.
    await addSettled([{ at: Date.parse('2026-06-03T10:00:00Z') }]);
    await rollUp('2026-06-03T12:00:00Z');
    await database.sql(
      `update punctual.jobs set status = 'pending', finished_at = null where finished_at > '2026-06-03'`,
    );
    await rollUp('2026-06-06T00:00:00Z');
    expect(await read('2026-06-06T00:00:00Z')).toMatchObject([{ day: '2026-06-01', rows: 2 }]);
  });

  it('skip years without rows, and continue after an interruption', async () => {
    await addSettled([
      { at: Date.parse('2019-05-05T10:00:00Z') },
      { at: Date.parse('2026-06-01T10:00:00Z') },
      { at: Date.parse('2026-06-03T10:00:00Z') },
    ]);
    const now = '2026-06-04T02:00:00Z';
    const first = await rollUp(now, { maxSteps: 3 });
    const steps = [...first, ...(await rollUp(now))];
    expect(steps.filter(({ queue }) => queue === 'jobs').map(({ day, rows }) => [day, rows])).toEqual([
      ['2019-05-05', 1],
      ['2026-06-01', 1],
      ['2026-06-03', 1],
      ['2026-06-04', 0],
    ]);
    expect(new Set(steps.map(({ queue }) => queue)).size).toBe(6);
  });

  it('are complete when two roll-ups run at once', async () => {
    const rows = Array.from({ length: 40 }, (_, n) => ({
      at: Date.parse('2026-06-01T00:00:00Z') + n * dayMs * 0.1,
    }));
    await addSettled(rows);
    await Promise.all([rollUp('2026-06-06T00:00:00Z'), rollUp('2026-06-06T00:00:00Z')]);
    expect((await outcomes()).map((one) => one.split(' ')[5])).toEqual(['10', '10', '10', '10']);
  });

  it('stay when their account or queue is gone, and a queue that fails blocks no other', async () => {
    const at = Date.parse('2026-06-01T10:00:00Z');
    await addSettled([{ queue: 'trials', at, account: ACCOUNTS[0] }, { at }]);
    await rollUp('2026-06-02T02:00:00Z');
    await database.sql('delete from punctual.accounts where id = $1', [ACCOUNTS[0]]);
    await database.sql('drop table app."Trials"');
    const failed = (await rollUp('2026-06-03T02:00:00Z')).filter(({ problem }) => problem);
    expect(failed).toMatchObject([
      { queue: 'trials', rows: null, problem: expect.stringContaining('does not exist') },
    ]);
    const results: unknown[] = [];
    for (let after: string | null = null, more = true; more; ) {
      const step = (await database.rpc('roll_up', {
        p_day: '2026-06-01',
        p_after: after,
        p_now: '2026-06-03T02:00:00Z',
      })) as { queue: string; rows: number | null; problem: string | null; more: boolean };
      results.push([step.queue, step.rows, step.problem !== null]);
      [after, more] = [step.queue, step.more];
    }
    expect(results).toContainEqual(['jobs', 1, false]);
    expect(results.at(-1)).toEqual(['trials', null, true]);
    const read = async () =>
      analyticsSchema.parse(await database.rpc('read_analytics', { p_now: '2026-06-03T02:00:00Z' }));
    expect(await read()).toMatchObject({
      problems: [{ queue: 'trials' }],
      totals: [{ queue: 'jobs' }, { queue: 'trials' }],
      days: [{ queue: 'trials', account_id: ACCOUNTS[0], account: null, others: false, rows: 1 }],
    });
    await database.sql(`delete from punctual.queues where name = 'trials'`);
    expect((await rollUp('2026-06-04T02:00:00Z')).filter(({ problem }) => problem)).toEqual([]);
    expect(await read()).toMatchObject({ problems: [], totals: [{ queue: 'jobs' }, { queue: 'trials' }] });
  });

  it('count the messages of pgmq that ticks finished, that were set aside, and that were cancelled', async () => {
    await database.sql(`insert into punctual.queues select (jsonb_populate_record(q, '{"name": "pgmq", "source": "pgmq", "table_name": "x"}')).*
      from punctual.queues q where q.name = 'jobs'`);
    await database.sql(`insert into punctual.ticks (id, queue, partition, scheduler, admitted, started_at, deadline_at, closed_at, outcome, done)
      select gen_random_uuid(), 'pgmq', 'orders', 'test', true, at, at + interval '1 minute', at + interval '40 s', 'ran', 7
        from unnest('{2026-06-01 10:00Z, 2026-06-01 23:59:30Z, 2026-06-02 10:00Z}'::timestamptz[]) at`);
    await database.sql(`insert into punctual.set_aside_messages (partition, msg_id, enqueued_at, read_ct, attempts, set_aside_at, cancelled_at)
      values ('orders', 1, '2026-06-01', 1, 1, '2026-06-01 10:00Z', null), ('orders', 2, '2026-06-01', 1, 1, '2026-06-01 10:00Z', '2026-06-02 10:00Z')`);
    await rollUp('2026-06-03T00:00:00Z');
    expect(await outcomes()).toEqual([
      '2026-06-01 pgmq dead true  1   ',
      '2026-06-01 pgmq done true  14   ',
      '2026-06-02 pgmq cancelled true  1   ',
      '2026-06-02 pgmq done true  7   ',
    ]);
  });

  it('are returned for the 8 busiest accounts, the others together, and the 60 worst monitors', async () => {
    await addMonitors(63);
    const at = Date.parse('2026-06-01T10:00:00Z');
    const accounts: string[] = [];
    for (let n = 0; n < 11; n++) accounts.push(await sql.addAccount());
    await addSettled(
      accounts.flatMap((account, n) =>
        Array.from({ length: n + 1 }, () => ({ queue: 'trials' as const, at, account, lateMs: 1_000 })),
      ),
    );
    await database.sql(
      `insert into punctual.monitor_checks (monitor_id, at, region, verdict, total_ms)
       select m.id, $1, 'main', case when m.id = 40 then 'down' else 'up' end, 20 from punctual.monitors m`,
      [new Date(at).toISOString()],
    );
    await rollUp('2026-06-01T12:00:00Z');
    const read = analyticsSchema.parse(
      await database.rpc('read_analytics', { p_now: '2026-06-01T12:00:00Z' }),
    );
    expect(read.days.map(({ rows }) => rows)).toEqual([11, 10, 9, 8, 7, 6, 5, 4, 6]);
    expect(read.days.at(-1)).toMatchObject({ others: true, account_id: null, p50_seconds: null });
    expect(read.totals.find(({ queue }) => queue === 'trials')).toMatchObject({ rows: 66, p99_seconds: 1 });
    expect(read.monitors).toHaveLength(60);
    expect(read.monitors[0]).toMatchObject({
      monitor_id: '40',
      checks: 1,
      uptime: 0,
      p50_ms: 20,
      partial: true,
    });
    await expect(database.rpc('read_analytics', { p_days: 91 })).rejects.toMatchObject({ code: '22023' });
  });
});

describe('retention', () => {
  const now = '2026-06-30T03:00:00Z';
  const ago = (days: number) => Date.parse(now) - days * dayMs;
  const prune = (limit = 1_000, at = now) =>
    database.rpc('prune', { p_limit: limit, p_now: at }) as Promise<
      Record<string, number> & { more: boolean }
    >;
  const jobs = async () => (await database.sql('select count(*) as n from punctual.jobs'))[0].n;

  it('keeps rows that are not rolled up yet, for 7 more days at most', async () => {
    await addSettled([36.9, 37.1].map((days) => ({ at: ago(days) })));
    await addSettled([{ at: ago(20) }]);
    await addMonitors(2);
    await addSettled([22, 20].map((days) => ({ queue: 'monitors', at: ago(days) })));
    expect(await prune()).toMatchObject({ rows: 1, checks: 1, more: false });
    await rollUp(now);
    expect(await prune()).toMatchObject({ rows: 1, checks: 1, more: false });
    expect(await jobs()).toBe(1);
  });

  it('leaves the figures of days whose rows it deleted as they are', async () => {
    await addSettled([31, 31, 29, 29].map((days) => ({ at: ago(days) })));
    await rollUp(now);
    const before = await outcomes();
    expect(before).toHaveLength(2);
    expect(await prune()).toMatchObject({ rows: 2 });
    await rollUp(now);
    expect(await outcomes()).toEqual(before);
    // The other queues still have all their rows.
    const steps = await rollUp(now, { day: '2026-05-31' });
    expect(steps.find(({ queue }) => queue === 'jobs')).toMatchObject({
      rows: null,
      first_day: '2026-06-01',
    });
    expect(steps.find(({ queue }) => queue === 'posts')).toMatchObject({ rows: 0, first_day: null });
    expect(await outcomes()).toEqual(before);
    expect((await rollUp(now, { day: '2026-06-01' })).find(({ queue }) => queue === 'jobs')).toMatchObject({
      rows: 2,
    });
    await database.sql(`update punctual.rollups set pruned_until = '2026-06-03T12:00:00Z'`);
    await expect(rollUp(now, { day: '2026-06-03' })).rejects.toMatchObject({
      code: 'PT409',
      message: expect.stringContaining('The first day that can be rolled up is 2026-06-04'),
    });
    await expect(rollUp(now, { day: '2026-07-01' })).rejects.toMatchObject({ code: '22023' });
    expect(await outcomes()).toEqual(before);
  });

  it('keeps each kind of data for its own number of days, or for ever if that is null', async () => {
    await addMonitors(2);
    await database.sql(
      `insert into punctual.monitor_hours (monitor_id, hour) select 1 + n % 2, $1::timestamptz - n * interval '1 day' from generate_series(28, 33) n`,
      [now],
    );
    await database.sql(`insert into punctual.incidents (monitor_id, started_at, opened_at, closed_at, regions) values
      (1, '2024-01-01', '2024-01-01', '2024-01-02', '{}'), (1, '2026-01-01', '2026-01-01', '2026-01-02', '{}'), (2, '2024-01-01', '2024-01-01', null, '{}')`);
    await database.sql(
      `insert into punctual.history (queue, row_id, at, event) values ('jobs', '1', '2026-05-01', 'dead'), ('monitors', '1', '2026-05-01', 'retry'), ('monitors', '1', '2025-05-01', 'retry')`,
    );
    await database.sql(
      `insert into punctual.daily_outcomes (day, queue, outcome, is_total, rows) values ('2024-01-01', 'jobs', 'done', true, 1), ('2026-01-01', 'jobs', 'done', true, 1)`,
    );
    await database.sql(`insert into punctual.daily_checks values ('2024-01-01', 1, 1, 1, 0, 0, 1)`);
    await database.sql(`update punctual.monitors set is_active = false where id = 2`);
    await database.sql('update punctual.settings set incidents_days = null');
    await rollUp(now);
    expect(await prune()).toMatchObject({
      hours: 2,
      incidents: 0,
      history: 2,
      days: 2,
      rows: 0,
      more: false,
    });
    await database.sql('update punctual.settings set incidents_days = 100, monitor_hours_days = 1');
    expect(await prune(2)).toMatchObject({ hours: 2, incidents: 2, more: true });
    expect(await prune()).toMatchObject({ hours: 2, incidents: 0, more: false });
    expect(await database.sql('select id from punctual.monitors order by id')).toHaveLength(2);
  });

  it('refuses 0 days and more than 36,500, and prunes with 36,500', async () => {
    const columns = await database.sql(
      `select relname as table, attname as name from pg_attribute a join pg_class c on c.oid = a.attrelid
        where a.attrelid in ('punctual.queues'::regclass, 'punctual.settings'::regclass) and attname like '%\\_days'`,
    );
    expect(columns).toHaveLength(11);
    for (const { table, name } of columns) {
      const keep = (days: number) => database.sql(`update punctual.${table} set ${name} = ${days}`);
      for (const days of [0, 36_501, 2_147_483_647]) {
        await expect(keep(days)).rejects.toMatchObject({ code: '23514' });
      }
      await keep(36_500);
    }
    await rollUp(now);
    expect(await prune()).toMatchObject({ problems: [], more: false });
  });

  it('reports a queue whose rows another table references, and prunes the others', async () => {
    await database.sql('create schema app');
    await database.sql('create table app.notes (job bigint references punctual.jobs)');
    await addSettled([{ at: ago(31) }]);
    await database.sql('insert into app.notes select id from punctual.jobs');
    const account = await sql.addAccount();
    await sql.addDm(account, { status: 'sent', finished_at: new Date(ago(31)).toISOString() });
    await rollUp(now);
    expect(await prune()).toMatchObject({
      rows: 1,
      problems: [{ queue: 'jobs', problem: expect.stringContaining('app.notes'.slice(4)) }],
      more: false,
    });
  });

  it('deletes in bounded steps beside ticks of the same queue, and spares young rows and theirs', async () => {
    sql.setNow(now);
    await database.sql(
      `insert into punctual.jobs (name, status, finished_at, run_at)
       select 'old', case when n % 10 = 0 then 'failed' else 'done' end, $1::timestamptz - interval '31 days' - n * interval '1 s',
              $1::timestamptz - interval '32 days' from generate_series(1, 3000) n`,
      [now],
    );
    await database.sql(
      `insert into punctual.jobs (name, status, finished_at, run_at)
       select 'young', 'done', $1::timestamptz - interval '29 days', $1::timestamptz - interval '29 days' from generate_series(1, 200) n`,
      [now],
    );
    await database.sql(
      `insert into punctual.jobs (name, run_at) select 'due', $1::timestamptz - interval '60 days' from generate_series(1, 200) n`,
      [now],
    );
    await database.sql('update punctual.queues set batch_limit = null');
    await rollUp(now);
    const done: string[] = [];
    const tick = sql.tick({ queue: 'jobs', partition: 'default' });
    let pruned = 0;
    for (let more = true; more; ) {
      const { rows, claimId } = await tick.claim(15);
      const step = await prune(250);
      expect(step.rows).toBeLessThanOrEqual(2 * 250);
      pruned += step.rows ?? 0;
      more = step.more;
      const records: Outcome[] = rows.map(({ id }) => ({ id, claim_id: claimId, outcome: 'done' }));
      const { settled } = await tick.settle(records);
      expect(settled).toMatchObject({ done: rows.length, lost: 0 });
      done.push(...rows.map(({ id }) => id));
    }
    await tick.close();
    expect(pruned).toBe(3_000);
    expect(new Set(done).size).toBe(done.length);
    const left = await database.sql(
      'select name, status, count(*) as n from punctual.jobs group by 1, 2 order by 1, 2',
    );
    expect(left).toEqual([
      { name: 'due', status: 'done', n: done.length },
      { name: 'due', status: 'pending', n: 200 - done.length },
      { name: 'young', status: 'done', n: 200 },
    ]);
  });
});
