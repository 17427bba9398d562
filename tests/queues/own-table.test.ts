import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { silentLog } from '../../lib/engine/ports/log.ts';
import { tick } from '../../lib/engine/tick.ts';
import { serverEnv } from '../../lib/services/env.ts';
import { makeServices } from '../../lib/services/services.ts';
import { splitStatements } from '../../lib/store/migrate/sql-statements.ts';
import { queueStore } from '../../lib/store/queue-store.ts';
import { freeTrials } from '../fixtures/free-trials/free-trials.ts';
import { GET, maxDuration, POST } from '../fixtures/free-trials/route.ts';
import { httpAnswer, loopback } from '../net/loopback.ts';
import { provideServices } from '../support/api-server.ts';
import { exchanges } from '../support/exchanges.ts';
import { assertProperty } from '../support/property.ts';
import { registryShape, tableShape } from '../support/table-shape.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const SECRET = 'cron-secret-of-this-month';
const words = ['active', 'asking', 'finished', 'gave_up', 'unclear', 'stopped'];
const fixture = (file: string) =>
  readFileSync(new URL(`../fixtures/free-trials/${file}`, import.meta.url), 'utf8');
const page = readFileSync(new URL('../../docs/your-own-table.md', import.meta.url), 'utf8');

const servers = loopback();
let database: TestDatabase;
/** The server that receives the questions. The path selects its response. */
let questionUrl: string;
let deadUrl: string;
let questions: { to: string; question: string }[];

beforeAll(async () => {
  database = await openTestDatabase({ own: true });
});
afterAll(() => database.close());
beforeEach(async () => {
  questions = [];
  questionUrl = await servers.answering((socket, raw) => {
    questions.push(JSON.parse(raw.slice(raw.indexOf('\r\n\r\n'))));
    const path = raw.split(' ')[1];
    if (path === '/cut') socket.destroy();
    else if (path === '/gone') socket.end(httpAnswer(410, ''));
    else if (path === '/slower') socket.end(httpAnswer(429, '', { 'retry-after': '120' }));
    else socket.end(httpAnswer(200, '{}'));
  });
  const gone = loopback();
  deadUrl = await gone.serve(() => {});
  await gone.closeAll();
  await database.reset();
  await database.sql('drop table if exists public.free_trials cascade');
  await database.sql('drop function if exists public.set_updated_at cascade');
  await database.sql('drop type if exists public.trial_status cascade');
});
afterEach(() => servers.closeAll());

/** Runs all statements of a migration, or none. */
async function migrate(sql: string): Promise<void> {
  await database.sql('begin');
  try {
    for (const { text } of splitStatements(sql)) await database.sql(text);
    await database.sql('commit');
  } catch (error) {
    await database.sql('rollback');
    throw error;
  }
}

/** Adds a trial that by default fell due a second before `now`. Returns its id. */
async function addTrial(path: string, columns: Record<string, unknown> = {}, now = Date.now()) {
  const trial = {
    email: `${crypto.randomUUID()}@example.com`,
    question_url: path.startsWith('/') ? `${questionUrl}${path}` : path,
    next_question_scheduled_for: new Date(now - 1_000).toISOString(),
    ...columns,
  };
  const names = Object.keys(trial);
  const [row] = await database.sql(
    `insert into public.free_trials (${names}) values (${names.map((_, i) => `$${i + 1}`)}) returning id`,
    Object.values(trial),
  );
  return row.id as string;
}

async function trial(id: string) {
  const [row] = await database.sql('select * from public.free_trials where id = $1', [id]);
  return row;
}

const instant = (at: string) => new Date(at).toISOString();

describe('a queue of your own, from one file, one migration and one route', () => {
  beforeEach(async () => {
    vi.stubEnv('CRON_SECRET', SECRET);
    vi.stubEnv('CRON_SECRET_PREVIOUS', '');
    const env = serverEnv({ SUPABASE_URL: deadUrl, SUPABASE_SERVICE_ROLE_KEY: 'a key' });
    const made = await makeServices(env);
    const ports = { ...made.ports, log: silentLog, store: queueStore(database.rpc) };
    provideServices({ ...made, log: silentLog, rpc: database.rpc, ports });
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    provideServices(null);
  });

  const call = (route: typeof GET, token: string) =>
    route(
      new Request('http://app.test/api/cron/free-trials', { headers: { authorization: `Bearer ${token}` } }),
    );

  it('reports that its table was dropped, and says what to do', async () => {
    await migrate(fixture('existing-table.sql'));
    await migrate(fixture('migration.sql'));
    await database.sql('drop table public.free_trials');
    const response = await call(GET, SECRET);
    expect([response.status, await response.json()]).toMatchObject([
      503,
      {
        error: {
          kind: 'database_misconfigured',
          message:
            "the table public.free_trials of the queue free_trials does not exist (Restore it, or remove the queue: select punctual.remove_queue('free_trials');)",
        },
      },
    ]);
  });

  it('goes from the migration to settled rows, with its own status words', async () => {
    await migrate(fixture('existing-table.sql'));
    const own = { company: 'Acme', seats: 7, tags: '{"from": "fair"}' };
    const first = await addTrial('/ok', own);
    const last = await addTrial('/ok', { ...own, last_question: 'what_is_missing' });
    const refused = await addTrial('/gone', own);
    const cut = await addTrial('/cut', own);
    const asleep: string[] = [];
    for (const columns of [
      { next_question_scheduled_for: new Date(Date.now() + 3_600_000).toISOString() },
      { next_question_scheduled_for: null },
      { status: 'finished' },
      { status: 'stopped' },
      { status: 'gave_up', next_question_scheduled_for: null },
      // Left by the program before Punctual, which died while it asked.
      { status: 'asking' },
    ]) {
      asleep.push(await addTrial('/ok', columns));
    }
    const before = await database.sql('select to_jsonb(t) as row from public.free_trials t order by id');

    await migrate(fixture('migration.sql'));
    const after = await database.sql('select to_jsonb(t) as row from public.free_trials t order by id');
    for (const [index, { row }] of before.entries()) expect(after[index].row).toMatchObject(row);

    expect((await call(GET, 'a guess')).status).toBe(401);
    expect(questions).toEqual([]);
    const response = await call(GET, SECRET);
    expect(response.status).toBe(200);
    const report = await response.json();
    expect(report).toMatchObject({
      queue: 'free_trials',
      partition: 'main',
      outcome: 'ran',
      counts: { claimed: 4, again: 1, done: 1, dead: 1, unknown: 1, retried: 0, lost: 0 },
      backlogDue: 0,
    });

    const due = new Map(before.map(({ row }) => [row.id, Date.parse(row.next_question_scheduled_for)]));
    const rescheduled = await trial(first);
    expect(rescheduled).toMatchObject({
      status: 'active',
      last_question: 'how_is_it_going',
      finished_at: null,
    });
    expect(Date.parse(rescheduled.next_question_scheduled_for)).toBe((due.get(first) ?? 0) + 86_400_000);
    expect(await trial(last)).toMatchObject({
      status: 'finished',
      last_question: 'will_you_stay',
      last_error: null,
      finished_at: expect.any(String),
    });
    expect(await trial(refused)).toMatchObject({
      status: 'gave_up',
      last_question: null,
      last_error: 'questions answered 410',
    });
    expect(await trial(cut)).toMatchObject({ status: 'unclear', last_question: null });
    expect(questions.map(({ question }) => question).sort()).toEqual([
      'how_is_it_going',
      'how_is_it_going',
      'how_is_it_going',
      'will_you_stay',
    ]);

    // Of the table's own columns, Punctual wrote the status, the due time and the result. The table's trigger wrote `updated_at`.
    const ours = ['status', 'next_question_scheduled_for', 'last_question', 'updated_at'];
    const settled = await database.sql('select to_jsonb(t) as row from public.free_trials t order by id');
    for (const [index, { row }] of before.entries()) {
      const kept = Object.entries(row).filter(([name]) => asleep.includes(row.id) || !ours.includes(name));
      expect(settled[index].row).toMatchObject(Object.fromEntries(kept));
    }
    expect(Date.parse(rescheduled.updated_at)).toBeGreaterThan(
      Date.parse(before.find(({ row }) => row.id === first)?.row.updated_at),
    );

    const ledger = await database.sql(`select * from punctual.ticks where queue = 'free_trials'`);
    expect(ledger).toMatchObject([
      {
        id: report.tick,
        partition: 'main',
        outcome: 'ran',
        claimed: 4,
        again: 1,
        done: 1,
        dead: 1,
        unknown: 1,
      },
    ]);
    await expect(addTrial('/ok', { status: 'pending' })).rejects.toMatchObject({ code: '23514' });
    const stats = (await database.rpc('read_stats', {})) as {
      queues: { name: string; unreachable: object[] }[];
    };
    expect(stats.queues.find(({ name }) => name === 'free_trials')?.unreachable).toEqual([
      { reason: 'next_question_scheduled_for is null', rows: 1 },
      { reason: 'asking without a lease: set by hand, or by another program', rows: 1 },
    ]);
    expect(await (await call(POST, SECRET)).json()).toMatchObject({
      outcome: 'idle',
      counts: { claimed: 0 },
    });

    // The queue has no `reconcile`, so an operator decides.
    const { items } = (await database.rpc('list_rows', { p_queue: 'free_trials', p_state: 'unknown' })) as {
      items: { id: string; status: string }[];
    };
    const [waiting] = items;
    expect(waiting).toMatchObject({ id: cut, status: 'unclear' });
    const decision = { p_queue: 'free_trials', p_id: cut, p_decision: 'done', p_by: 'Ann' };
    expect(await database.rpc('resolve_row', decision)).toEqual({ status: 'finished' });
    expect(await trial(cut)).toMatchObject({ status: 'finished' });
  });

  it('has a timeout that fits into the limit of its route', () => {
    expect(maxDuration * 1_000 - 15_000).toBeGreaterThanOrEqual(freeTrials.timeoutMs);
  });
});

describe('add_queue on an existing table', () => {
  const add = () => database.sql(splitStatements(fixture('migration.sql'))[0]?.text ?? '');

  it('returns the columns that it added and the rights of anon, and does not enable row-level security', async () => {
    await migrate(fixture('existing-table.sql'));
    const [{ add_queue: result }] = await add();
    expect(result).toEqual({
      queue: 'free_trials',
      table: 'public.free_trials',
      added: [
        'priority',
        'attempts',
        'max_attempts',
        'next_attempt_at',
        'claim_id',
        'lease_expires_at',
        'timeout_seconds',
        'last_error',
        'finished_at',
        'expires_at',
        'idempotency_key',
        'claimed_at',
        'reconcile_at',
        'reconcile',
      ],
      row_level_security: false,
      anon: ['select', 'insert'],
      notes: [],
    });
    const [table] = await database.sql(
      `select relrowsecurity from pg_class where oid = 'public.free_trials'::regclass`,
    );
    expect(table.relrowsecurity).toBe(false);
  });

  it('keeps row-level security enabled', async () => {
    await migrate(fixture('existing-table.sql'));
    await database.sql('alter table public.free_trials enable row level security');
    await database.sql(`create policy nobody on public.free_trials using (false)`);
    const [{ add_queue: result }] = await add();
    expect(result).toMatchObject({ row_level_security: true, anon: ['select', 'insert'] });
    expect(await database.sql('select polname from pg_policy')).toEqual([{ polname: 'nobody' }]);
    await addTrial('/ok', {}, Date.parse('2026-03-02T12:00:00Z'));
    expect(await ticking().tick()).toMatchObject({ counts: { again: 1 } });
  });

  it('only adds to the table', async () => {
    await migrate(fixture('existing-table.sql'));
    type Shape = { columns: object; indexes: string[]; constraints: string[]; triggers: string[] };
    const before = (await tableShape(database, 'public.free_trials')) as Shape;
    await add();
    const after = (await tableShape(database, 'public.free_trials')) as Shape;
    expect(after.columns).toMatchObject(before.columns);
    expect(after.indexes).toEqual(expect.arrayContaining(before.indexes));
    expect(after.constraints).toEqual(expect.arrayContaining(before.constraints));
    expect(after.triggers).toEqual(expect.arrayContaining(before.triggers));
  });

  it('changes nothing when it is called again, and keeps the operators’ settings', async () => {
    await migrate(fixture('existing-table.sql'));
    await addTrial('/ok');
    await add();
    await database.sql(
      `update punctual.queues set concurrency = 9, batch_limit = null, retention_days = 400, paused_at = '2026-03-02', paused_reason = 'holiday'
        where name = 'free_trials'`,
    );
    await database.sql(`update punctual.partitions set concurrency = 2 where queue = 'free_trials'`);
    const before = [await tableShape(database, 'public.free_trials'), await registryShape(database)];
    const rows = await database.sql('select * from public.free_trials');
    const [{ add_queue: result }] = await add();
    expect(result).toMatchObject({ added: [], notes: [] });
    expect([await tableShape(database, 'public.free_trials'), await registryShape(database)]).toEqual(before);
    expect(await database.sql('select * from public.free_trials')).toEqual(rows);
  });
});

/** Ticks of the queue under a virtual clock. The questions go over real HTTP. */
function ticking() {
  const clock = new VirtualClock();
  const queue = {
    ...freeTrials,
    perform: (...call: Parameters<typeof freeTrials.perform>) =>
      clock.busy(Promise.resolve(freeTrials.perform(...call))),
  };
  const store = queueStore((fn, args) => clock.busy(database.rpc(fn, args)), clock.date);
  const newId = () => crypto.randomUUID();
  return {
    clock,
    tick: () =>
      clock.run(
        tick(
          queue,
          { store, clock, log: silentLog, random: () => 0.5, newId, lock: null },
          { deps: null, limitMs: 60_000, scheduler: 'test' },
        ),
      ),
  };
}

describe.each([
  ['a text with a CHECK', null],
  [
    'an enum',
    `create type public.trial_status as enum ('draft', 'active', 'asking', 'finished', 'gave_up', 'unclear', 'stopped');
     alter table public.free_trials drop constraint free_trials_status_check, alter column status drop default;
     alter table public.free_trials alter column status type public.trial_status using status::public.trial_status,
       alter column status set default 'active';`,
  ],
])('a trial whose state is %s', (_kind, change) => {
  let bench: ReturnType<typeof ticking>;
  const start = Date.parse('2026-03-02T12:00:00Z');

  beforeEach(async () => {
    await migrate(fixture('existing-table.sql'));
    if (change) await migrate(change);
    await migrate(fixture('migration.sql'));
    bench = ticking();
  });

  it('gets a question a day at its own hour, however late the ticks are, until none is left', async () => {
    const id = await addTrial('/ok', { next_question_scheduled_for: '2026-03-02T09:30:00Z' });
    expect(await bench.tick()).toMatchObject({ counts: { again: 1 } });
    expect(instant((await trial(id)).next_question_scheduled_for)).toBe('2026-03-03T09:30:00.000Z');
    bench.clock.skip(Date.parse('2026-03-03T09:29:59Z') - bench.clock.now());
    expect(await bench.tick()).toMatchObject({ outcome: 'idle' });
    // No tick ran for two days. Missed runs are skipped.
    bench.clock.skip(Date.parse('2026-03-05T18:00:00Z') - bench.clock.now());
    expect(await bench.tick()).toMatchObject({ counts: { again: 1 } });
    const row = await trial(id);
    expect(row).toMatchObject({ status: 'active', last_question: 'what_is_missing', attempts: 0 });
    expect(instant(row.next_question_scheduled_for)).toBe('2026-03-06T09:30:00.000Z');
    bench.clock.skip(86_400_000);
    expect(await bench.tick()).toMatchObject({ counts: { done: 1 } });
    expect(await trial(id)).toMatchObject({ status: 'finished', last_question: 'will_you_stay' });
    expect(questions.map(({ question }) => question)).toEqual([
      'how_is_it_going',
      'what_is_missing',
      'will_you_stay',
    ]);
  });

  it('that cannot be reached is retried with growing delays, and is then dead', async () => {
    const id = await addTrial(deadUrl, {}, start);
    const waits: number[] = [];
    for (let attempt = 1; attempt < 5; attempt++) {
      expect(await bench.tick()).toMatchObject({ counts: { retried: 1 } });
      const row = await trial(id);
      expect(row).toMatchObject({ status: 'active', attempts: attempt });
      expect(row.last_error).toContain('nothing was sent');
      waits.push(Math.round((Date.parse(row.next_attempt_at) - bench.clock.now()) / 1_000));
      expect(await bench.tick()).toMatchObject({ outcome: 'idle' });
      bench.clock.skip(Date.parse(row.next_attempt_at) - bench.clock.now());
    }
    expect(waits).toEqual([15, 30, 60, 120]);
    expect(await bench.tick()).toMatchObject({ counts: { dead: 1 } });
    expect(await trial(id)).toMatchObject({
      status: 'gave_up',
      attempts: 5,
      finished_at: expect.any(String),
    });
    expect(instant((await trial(id)).next_question_scheduled_for)).toBe('2026-03-02T11:59:59.000Z');
  });

  it('that is rate-limited waits as long as the server asks, and no attempt counts', async () => {
    const id = await addTrial('/slower', {}, start);
    expect(await bench.tick()).toMatchObject({ counts: { retried: 1 } });
    const row = await trial(id);
    expect(row).toMatchObject({ status: 'active', attempts: 0 });
    expect(Date.parse(row.next_attempt_at) - bench.clock.now()).toBeGreaterThan(119_000);
  });

  it('whose response was lost becomes unclear, and runs again only by an operator’s decision', async () => {
    const id = await addTrial('/cut', {}, start);
    expect(await bench.tick()).toMatchObject({ counts: { unknown: 1 } });
    const waits = await database.rpc('explain_row', {
      p_queue: 'free_trials',
      p_id: id,
      p_now: bench.clock.date().toISOString(),
    });
    for (let hour = 0; hour < 3; hour++) {
      bench.clock.skip(3_600_000);
      await bench.tick();
    }
    expect(await trial(id)).toMatchObject({ status: 'unclear', attempts: 1 });
    expect(questions).toHaveLength(1);
    // The queue has no `reconcile`.
    expect(waits).toMatchObject({
      waits: [{ kind: 'operator' }],
      reconcile: { waits_for_operator: true },
    });
    const decision = { p_queue: 'free_trials', p_id: id, p_now: bench.clock.date().toISOString() };
    expect(await database.rpc('resolve_row', { ...decision, p_decision: 'pending' })).toEqual({
      status: 'active',
    });
    await database.sql('update public.free_trials set question_url = $1', [`${questionUrl}/ok`]);
    expect(await bench.tick()).toMatchObject({ counts: { again: 1 } });
  });

  it('whose tick died while it ran becomes unclear', async () => {
    const id = await addTrial('/ok', {}, start);
    await exchanges(database).tick({ queue: 'free_trials' }).claim();
    expect(await trial(id)).toMatchObject({ status: 'asking', attempts: 1 });
    bench.clock.skip(120_000);
    expect(await bench.tick()).toMatchObject({ counts: { swept: 1, claimed: 0 } });
    expect(await trial(id)).toMatchObject({
      status: 'unclear',
      last_error: 'the tick died while this row was running',
      reconcile: expect.objectContaining({ waits_for_operator: true }),
    });
    expect(questions).toEqual([]);
  });

  it('that does not fit the schema is retried, and affects no other trial', async () => {
    const wrong = await addTrial('/ok', { email: 'nobody' }, start);
    const odd = await addTrial('/ok', { last_question: 'how_old_are_you' }, start);
    const right = await addTrial('/ok', {}, start);
    expect(await bench.tick()).toMatchObject({ counts: { retried: 1, dead: 1, again: 1 } });
    expect(await trial(wrong)).toMatchObject({
      status: 'active',
      attempts: 1,
      last_error: expect.stringMatching(/^the row does not fit its schema: email: .* Correct the schema/),
    });
    expect((await trial(odd)).last_error).toContain('nobody knows the question how_old_are_you');
    expect(await trial(right)).toMatchObject({ status: 'active', last_question: 'how_is_it_going' });
    expect(questions).toHaveLength(1);
    await database.sql(`update public.free_trials set email = 'somebody@example.com' where id = $1`, [wrong]);
    expect(await bench.tick()).toMatchObject({ counts: { claimed: 0 } });
    const [, redrive = ''] = /```sql\n(update public\.free_trials [^`]*last_error[^`]*)```/.exec(page) ?? [];
    await database.sql(redrive);
    expect(await bench.tick()).toMatchObject({ counts: { claimed: 1, again: 1 } });
    expect(questions).toHaveLength(2);
  });

  it('is left alone in any status but the pending one', async () => {
    const others = [...words.filter((word) => word !== 'active'), ...(change ? ['draft'] : [])];
    for (const status of others) await addTrial('/ok', { status }, start);
    expect(await bench.tick()).toMatchObject({ outcome: 'idle' });
    expect((await database.sql('select status from public.free_trials')).map(({ status }) => status)).toEqual(
      others,
    );
  });
});

describe('any list of words that a status column allows', () => {
  const pool = [
    ...['pending', 'running', 'done', 'dead', 'unknown', 'cancelled', 'active', 'Done', 'in progress'],
    ...[`won't`, '100%', '%I $1', 'a\\b', 'äöü 👋', '"quoted"', 'null', '$$', 'x'.repeat(40)],
  ];
  const states = ['pending', 'running', 'done', 'dead', 'unknown', 'cancelled'];
  const literal = (word: string) => `'${word.replaceAll(`'`, `''`)}'`;
  const lists: Record<string, (taken: string[]) => string[]> = {
    check: (taken) => [`create table public.free_trials (COLUMNS, status text check (status in (${taken})))`],
    'two checks': (taken) => [
      `create table public.free_trials (COLUMNS, status text check (status = any (array[${taken}])) check (length(status) > 0))`,
    ],
    'negated check': (taken) => [
      `create table public.free_trials (COLUMNS, status varchar(50) check (not (status <> all (array[${taken}]))))`,
    ],
    enum: (taken) => [
      `create type public.trial_status as enum (${taken})`,
      `create table public.free_trials (COLUMNS, status public.trial_status)`,
    ],
    domain: (taken) => [
      `create domain public.trial_status as text check (value in (${taken}))`,
      `create table public.free_trials (COLUMNS, status public.trial_status)`,
    ],
  };
  const world = fc.record({
    kind: fc.constantFrom(...Object.keys(lists)),
    chosen: fc.oneof(
      { weight: 4, arbitrary: fc.uniqueArray(fc.constantFrom(...pool), { minLength: 6, maxLength: 6 }) },
      { weight: 1, arbitrary: fc.array(fc.constantFrom(...pool, ''), { minLength: 6, maxLength: 6 }) },
    ),
    more: fc.uniqueArray(fc.constantFrom(...pool), { maxLength: 4 }),
    missing: fc.oneof(
      { weight: 3, arbitrary: fc.constant<number[]>([]) },
      { weight: 2, arbitrary: fc.subarray<number>([0, 1, 2, 3, 4, 5]) },
    ),
    /** The states that the call does not map to a word. */
    unmapped: fc.oneof(
      { weight: 3, arbitrary: fc.constant<string[]>([]) },
      { weight: 1, arbitrary: fc.subarray(states) },
    ),
    delivery: fc.constantFrom('at-most-once', 'at-least-once'),
  });

  it('is accepted exactly if it has the six words and they are distinct, and a refusal changes nothing', async () => {
    const seen = { accepted: 0, refused: 0 };
    const property = fc.asyncProperty(world, async ({ kind, chosen, more, missing, unmapped, delivery }) => {
      const mapped = Object.fromEntries(
        states
          .map((state, i) => [state, chosen[i] ?? ''])
          .filter(([state]) => !unmapped.includes(state ?? '')),
      );
      const wanted = states.map((state) => mapped[state] ?? state);
      const taken = [...new Set([...chosen.filter((_, i) => !missing.includes(i)), ...more, 'other'])];
      const isValid =
        new Set(wanted).size === 6 && wanted.every((word) => word !== '' && taken.includes(word));

      await database.sql(`delete from punctual.queues where name = 'free_trials'`);
      await database.sql('drop table if exists public.free_trials cascade');
      await database.sql('drop type if exists public.trial_status cascade');
      const columns = 'id uuid primary key default gen_random_uuid(), due timestamptz';
      for (const text of lists[kind]?.(taken.filter((word) => word !== '').map(literal)) ?? []) {
        await database.sql(text.replace('COLUMNS', columns));
      }
      await database.sql(`insert into public.free_trials (due, status) values (now(), 'other')`);
      const before = [await tableShape(database, 'public.free_trials'), await registryShape(database)];
      const call = database.sql(
        `select punctual.add_queue('free_trials', 'public.free_trials', 'due', $1, $2::jsonb)`,
        [delivery, JSON.stringify(mapped)],
      );
      if (!isValid) {
        seen.refused++;
        await expect(call).rejects.toMatchObject({
          code: '22023',
          message: expect.stringMatching(/^add_queue: /),
        });
        const after = [await tableShape(database, 'public.free_trials'), await registryShape(database)];
        expect(after).toEqual(before);
        return;
      }
      seen.accepted++;
      await call;
      const sql = exchanges(database);
      for (const outcome of ['done', 'dead', 'unknown', 'again']) {
        await database.sql(`insert into public.free_trials (due, status) values ($1, $2)`, [
          sql.at(-1),
          wanted[0],
        ]);
        const one = sql.tick({ queue: 'free_trials' });
        const { rows, claimId } = await one.claim();
        expect(rows).toMatchObject([{ row: { status: wanted[1] } }]);
        const id = rows[0]?.id ?? '';
        const record = { id, claim_id: claimId, outcome, error: 'e', delay_seconds: 60 };
        await one.settle([record], { close: true });
        const [row] = await database.sql('select status from public.free_trials where id = $1', [id]);
        const state = outcome === 'again' ? 'pending' : outcome;
        expect(row.status).toBe(wanted[states.indexOf(state)]);
      }
    });
    await assertProperty(property, { numRuns: 60 });
    expect(Math.min(seen.accepted, seen.refused)).toBeGreaterThan(5);
  });
});

describe('docs/your-own-table.md', () => {
  it.each(['existing-table.sql', 'migration.sql', 'free-trials.ts', 'route.ts'])(
    'contains %s in full',
    (file) => {
      const text = fixture(file).replace(`'./free-trials.ts'`, `'@/lib/queues/free-trials.ts'`);
      expect(page).toContain(`\n${text}\`\`\``);
    },
  );

  it('shows a table with four status words and numeric ids that becomes a queue of the rows in one status', async () => {
    const section = /### Four words and a check([\s\S]*?)\n## /.exec(page)?.[1] ?? '';
    const [table = '', migration = ''] = [...section.matchAll(/```sql\n([\s\S]*?)```/g)].map(
      ([, sql]) => sql,
    );
    try {
      await migrate(table);
      await database.sql(`insert into public.invoices (customer, remind_at, state)
        select s, '2020-01-01', s from unnest(array['draft', 'open', 'paid', 'void']) s`);
      await migrate(migration);
      const { rows } = await exchanges(database).tick({ queue: 'invoices' }).claim(9);
      expect(rows).toMatchObject([{ id: '2', row: { id: 2, customer: 'open', state: 'reminding' } }]);
    } finally {
      await database.sql('drop table if exists public.invoices');
    }
  });

  it('says how to remove the queue, which leaves nothing of it and keeps the rows', async () => {
    const [, removal = ''] = /## Making it a plain table again[\s\S]*?```sql\n([\s\S]*?)```/.exec(page) ?? [];
    await migrate(fixture('existing-table.sql'));
    await addTrial('/ok');
    await addTrial('/gone', { next_question_scheduled_for: '2026-03-02T11:00:00Z' });
    const before = (await tableShape(database, 'public.free_trials')) as { grants: string };
    const registry = await registryShape(database);
    await migrate(fixture('migration.sql'));
    await ticking().tick();
    await migrate(removal);
    const after = (await tableShape(database, 'public.free_trials')) as { grants: string };
    expect({ ...after, grants: '' }).toEqual({ ...before, grants: '' });
    expect(await registryShape(database)).toEqual(registry);
    for (const table of ['ticks', 'history', 'receipts', 'partitions', 'pace']) {
      expect(await database.sql(`select from punctual.${table} where queue = 'free_trials'`)).toEqual([]);
    }
    expect(
      (await database.sql('select status from public.free_trials order by status')).map((r) => r.status),
    ).toEqual(['active', 'gave_up']);
    // The table can become a queue again.
    await migrate(fixture('migration.sql'));
    expect(
      await database.sql(`select from pg_indexes where indexname like 'punctual_free_trials_%'`),
    ).toHaveLength(6);
  });
});
