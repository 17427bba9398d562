import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { analyticsSchema } from '../../lib/store/analytics.ts';
import { perTestExchanges } from '../support/fixtures.ts';
import { appDatabase } from '../support/own-tables.ts';
import { assertProperty } from '../support/property.ts';

const database = appDatabase();
const sql = perTestExchanges(database);

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

const addMonitors = (count: number) =>
  database.sql(
    `insert into punctual.monitors (name, url, next_check_at) select 'Site ' || n, 'https://site-' || n || '.test', '2100-01-01'
       from generate_series(1, $1::integer) n`,
    [count],
  );

/** Adds a queue over a user's table, with its own words and an account column, two accounts and two monitors. */
async function addQueues(): Promise<void> {
  await database.sql(`create table app."Trials" (id uuid primary key default gen_random_uuid(), "Next at" timestamptz,
    owner uuid references punctual.accounts on delete set null, status text not null default 'open')`);
  await database.sql(
    `select punctual.add_queue('trials', 'app."Trials"', 'Next at', 'at-least-once', $1, p_account_column => 'owner')`,
    [JSON.stringify({ ...WORDS, pending: 'open' })],
  );
  for (const [n, id] of ACCOUNTS.entries()) await sql.addAccount({ id, name: `Account ${n + 1}` });
  await addMonitors(2);
}
beforeEach(addQueues);

/** The milliseconds of a check. */
const totalMs = (lateMs: number) => Math.abs(lateMs) % 30_000;

async function addSettled(...rows: Partial<Settled>[]): Promise<void> {
  const given = rows.map(({ at = 0, lateMs = 0, ...row }) => ({
    ...{ queue: 'jobs', state: 'done', verdict: 'up', counted: true, account: null, ...row },
    at: new Date(at).toISOString(),
    due: lateMs === null ? null : new Date(at - lateMs).toISOString(),
    word: WORDS[row.state ?? 'done'],
    total_ms: lateMs === null ? null : totalMs(lateMs),
  }));
  const insert = (text: string, queue: string) =>
    database.sql(
      `insert into ${text} from jsonb_to_recordset($1::jsonb) r (queue text, state text, verdict text, counted boolean, account uuid,
         at timestamptz, due timestamptz, word text, total_ms integer) where r.queue = '${queue}'`,
      [JSON.stringify(given)],
    );
  await insert(
    `app."Trials" (status, finished_at, "Next at", owner) select r.word, r.at, r.due, r.account`,
    'trials',
  );
  // run_at cannot be null. A row due at infinity has no lateness either.
  await insert(
    `punctual.jobs (name, status, finished_at, run_at)
     select 'j', case r.state when 'dead' then 'failed' else r.state end, r.at, coalesce(r.due, 'infinity')`,
    'jobs',
  );
  await insert(
    `punctual.monitor_checks (monitor_id, at, region, verdict, counted, total_ms)
     select 1 + (r.account is null)::integer, r.at, 'main', r.verdict, r.counted, r.total_ms`,
    'monitors',
  );
}
const jobAt = (at: string, more: Partial<Settled> = {}) => addSettled({ at: Date.parse(at), ...more });

const rollUp = (...args: Parameters<typeof sql.rollUp>) => sql.rollUp(...args);
const setZone = (zone: string) => database.sql('update punctual.settings set time_zone = $1', [zone]);
const readAnalytics = async (now: string) =>
  analyticsSchema.parse(await database.rpc('read_analytics', { p_now: now }));
const line = (words: unknown[], numbers: (number | null)[]) =>
  [...words, ...numbers.map((n) => (n === null ? null : Math.round(n * 1e6) / 1e6))].join(' ');
const outcomes = async (): Promise<string[]> => {
  const rows = await database.sql('select *, day::text as on from punctual.daily_outcomes');
  return rows
    .map((r) =>
      line(
        [r.on, r.queue, r.outcome, r.is_total, r.account_id, r.rows],
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

/** Computes the daily figures from the rows, without the database: outcomes and checks. */
function figuresOf(rows: Settled[], zone: string, today: string): [outcomes: string[], checks: string[]] {
  const day = new Intl.DateTimeFormat('en-CA', { timeZone: zone });
  const groups = new Map<string, Settled[]>();
  const sites = new Map<string, Settled[]>();
  const add = (map: typeof groups, words: unknown[], row: Settled) => {
    const key = words.join(' ');
    map.set(key, [...(map.get(key) ?? []), row]);
  };
  for (const row of rows) {
    const date = day.format(row.at);
    if (date > today || (row.queue === 'monitors' && !row.counted)) continue;
    const outcome = row.queue === 'monitors' ? row.verdict : row.state;
    add(groups, [date, row.queue, outcome, true, null], row);
    if (row.queue === 'trials') add(groups, [date, row.queue, outcome, false, row.account], row);
    if (row.queue === 'monitors') add(sites, [date, row.account === null ? 2 : 1], row);
  }
  /** The percentiles of the lateness, which `measure` converts. */
  const percentiles = (members: Settled[], measure: (lateMs: number) => number) => {
    const values = members
      .flatMap(({ lateMs }) => (lateMs === null ? [] : [measure(lateMs)]))
      .sort((a, b) => a - b);
    return [50, 95, 99].map((p) => values[Math.ceil((values.length * p) / 100) - 1] ?? null);
  };
  return [
    [...groups]
      .map(([key, members]) => {
        const isChecks = members[0]?.queue === 'monitors';
        const measure = (late: number) => (isChecks ? totalMs(late) : Math.max(0, late)) / 1_000;
        return line([key, members.length], percentiles(members, measure));
      })
      .sort(),
    [...sites]
      .map(([key, members]) => {
        const n = (verdict: Verdict) => members.filter((row) => row.verdict === verdict).length;
        const uptime = (n('up') + n('degraded')) / members.length;
        return line(
          [key, members.length, n('up'), n('degraded'), n('down')],
          [uptime, ...percentiles(members, totalMs)],
        );
      })
      .sort(),
  ];
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
    // Hours after the day's UTC midnight, and the number of steps before the interruption.
    const rollUps = fc.array(
      fc.record({ hours: fc.integer({ min: -30, max: 40 }), steps: fc.integer({ min: 1, max: 12 }) }),
      { maxLength: 3 },
    );
    const property = fc.asyncProperty(
      fc.constantFrom(...ZONES),
      fc.array(settled, { minLength: 1, maxLength: 60 }),
      rollUps,
      fc.constantFrom(2, 5 * 24),
      async ([zone, day], given, earlier, lastHours) => {
        await database.sql('drop schema app cascade');
        await database.reset();
        await database.sql('create schema app');
        await addQueues();
        await setZone(zone);
        const midnight = Date.parse(`${day}T00:00:00Z`);
        const rows = given.map((row) => ({ ...row, at: row.at + midnight }));
        const hour = (hours: number) => new Date(midnight + hours * 3_600_000).toISOString();
        await addSettled(...rows);
        for (const { hours, steps } of earlier.sort((a, b) => a.hours - b.hours))
          await rollUp(hour(hours), { maxSteps: steps });
        const last = hour(38 + lastHours);
        for (let time = 0; time < 2; time++) {
          await rollUp(last);
          expect([await outcomes(), await checks()]).toEqual(figuresOf(rows, zone, last.slice(0, 10)));
        }
      },
    );
    await assertProperty(property, { numRuns: 8 });
  });

  it.each([
    ['Europe/Berlin', '2026-03-29', '2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z'],
    ['Europe/Berlin', '2026-10-25', '2026-10-24T22:00:00Z', '2026-10-25T23:00:00Z'],
    // Havana changes its clocks around midnight, which occurs twice or not at all.
    ['America/Havana', '2026-11-01', '2026-11-01T04:00:00Z', '2026-11-02T05:00:00Z'],
    ['America/Havana', '2026-03-08', '2026-03-08T05:00:00Z', '2026-03-09T04:00:00Z'],
  ])('cover days from midnight to midnight when clocks change: %s %s', async (zone, day, begin, end) => {
    await setZone(zone);
    const [from, to] = [Date.parse(begin), Date.parse(end)];
    await addSettled(...[from - 1, from, from + 5_400_000, to - 1, to].map((at) => ({ at })));
    await rollUp('2026-11-20T00:00:00Z');
    const rows = await database.sql(
      `select day = $1::date as is_it, rows from punctual.daily_outcomes where queue = 'jobs' order by day`,
      [day],
    );
    expect(rows.map(({ is_it, rows }) => [is_it, rows])).toEqual([
      [false, 1],
      [true, 3],
      [false, 1],
    ]);
  });

  it('follow later decisions for two days, and after that only if the day is rolled up again', async () => {
    await jobAt('2026-06-01T10:00:00Z', { state: 'unknown' });
    for (const [day, decision, counted] of [
      [2, 'unknown', 'unknown'],
      [3, 'done', 'done'],
      [4, 'cancelled', 'cancelled'],
      [5, 'failed', 'cancelled'],
    ]) {
      // As a settle does it, so finished_at stays.
      await database.sql(`do $$ begin
        perform set_config('punctual.settles', 'jobs', true);
        update punctual.jobs set status = '${decision}';
      end $$`);
      await rollUp(`2026-06-0${day}T02:00:00Z`);
      expect(await outcomes()).toEqual([`2026-06-01 jobs ${counted} true  1 0 0 0`]);
    }
    const steps = await rollUp('2026-06-05T02:00:00Z', { day: '2026-06-01' });
    const queues = ['dm_queue', 'enrolments', 'jobs', 'monitors', 'posts', 'trials'];
    expect(steps).toMatchObject(queues.map((queue) => ({ queue, rows: queue === 'jobs' ? 1 : 0 })));
    expect(await outcomes()).toEqual(['2026-06-01 jobs dead true  1 0 0 0']);
  });

  it('are partial for today until the day is over', async () => {
    const totals = async (now: string) => {
      await rollUp(now);
      return (await readAnalytics(now)).totals;
    };
    await jobAt('2026-06-01T10:00:00Z', { lateMs: 1_500 });
    expect(await totals('2026-06-01T12:00:00Z')).toMatchObject([
      { day: '2026-06-01', partial: true, rows: 1, p50_seconds: 1.5 },
    ]);
    await jobAt('2026-06-01T23:59:59Z');
    const whole = [{ day: '2026-06-01', partial: false, rows: 2 }];
    expect(await totals('2026-06-02T00:00:00Z')).toMatchObject(whole);
    // Partial figures do not stay if no row of their day is left.
    await jobAt('2026-06-03T10:00:00Z');
    await rollUp('2026-06-03T12:00:00Z');
    await database.sql(
      `update punctual.jobs set status = 'pending', finished_at = null where finished_at > '2026-06-03'`,
    );
    expect(await totals('2026-06-06T00:00:00Z')).toMatchObject(whole);
  });

  it('skip years without rows, and continue after an interruption', async () => {
    const days = ['2019-05-05', '2026-06-01', '2026-06-03'];
    for (const day of days) await jobAt(`${day}T10:00:00Z`);
    const now = '2026-06-04T02:00:00Z';
    const steps = [...(await rollUp(now, { maxSteps: 3 })), ...(await rollUp(now))];
    expect(steps.filter(({ queue }) => queue === 'jobs')).toMatchObject([
      ...days.map((day) => ({ day, rows: 1 })),
      { day: '2026-06-04', rows: 0 },
    ]);
    expect(new Set(steps.map(({ queue }) => queue)).size).toBe(6);
  });

  it('are complete when two roll-ups run at once', async () => {
    const start = Date.parse('2026-06-01T00:00:00Z');
    await addSettled(...Array.from({ length: 40 }, (_, n) => ({ at: start + n * 8_640_000 })));
    await Promise.all([rollUp('2026-06-06T00:00:00Z'), rollUp('2026-06-06T00:00:00Z')]);
    expect((await outcomes()).map((one) => one.split(' ')[5])).toEqual(['10', '10', '10', '10']);
  });

  it('stay when their account or queue is gone, and a queue that fails blocks no other', async () => {
    const now = '2026-06-03T02:00:00Z';
    const problems = async (at: string) => (await rollUp(at)).filter(({ problem }) => problem);
    await jobAt('2026-06-01T10:00:00Z', { queue: 'trials', account: ACCOUNTS[0] });
    await jobAt('2026-06-01T10:00:00Z');
    await rollUp('2026-06-02T02:00:00Z');
    await database.sql('delete from punctual.accounts where id = $1', [ACCOUNTS[0]]);
    await database.sql('drop table app."Trials"');
    const failure = { queue: 'trials', rows: null, problem: expect.stringContaining('does not exist') };
    expect(await problems(now)).toMatchObject([failure]);
    const steps = await rollUp(now, { day: '2026-06-01' });
    expect(steps.find(({ queue }) => queue === 'jobs')).toMatchObject({ rows: 1, problem: null });
    expect(steps.at(-1)).toMatchObject(failure);
    const totals = [{ queue: 'jobs' }, { queue: 'trials' }];
    expect(await readAnalytics(now)).toMatchObject({
      problems: [{ queue: 'trials' }],
      totals,
      days: [{ queue: 'trials', account_id: ACCOUNTS[0], account: null, others: false, rows: 1 }],
    });
    await database.sql(`delete from punctual.queues where name = 'trials'`);
    expect(await problems('2026-06-04T02:00:00Z')).toEqual([]);
    expect(await readAnalytics(now)).toMatchObject({ problems: [], totals });
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
    const [now, at] = ['2026-06-01T12:00:00Z', Date.parse('2026-06-01T10:00:00Z')];
    for (let n = 1; n <= 11; n++) {
      const account = await sql.addAccount();
      await addSettled(...Array(n).fill({ queue: 'trials', at, account, lateMs: 1_000 }));
    }
    await database.sql(
      `insert into punctual.monitor_checks (monitor_id, at, region, verdict, total_ms)
       select m.id, $1, 'main', case when m.id = 40 then 'down' else 'up' end, 20 from punctual.monitors m`,
      [new Date(at).toISOString()],
    );
    await rollUp(now);
    const read = await readAnalytics(now);
    expect(read.days.map(({ rows }) => rows)).toEqual([11, 10, 9, 8, 7, 6, 5, 4, 6]);
    expect(read.days.at(-1)).toMatchObject({ others: true, account_id: null, p50_seconds: null });
    expect(read.totals.find(({ queue }) => queue === 'trials')).toMatchObject({ rows: 66, p99_seconds: 1 });
    expect(read.monitors).toHaveLength(60);
    const worst = { monitor_id: '40', checks: 1, uptime: 0, p50_ms: 20, partial: true };
    expect(read.monitors[0]).toMatchObject(worst);
    await expect(database.rpc('read_analytics', { p_days: 91 })).rejects.toMatchObject({ code: '22023' });
  });
});
