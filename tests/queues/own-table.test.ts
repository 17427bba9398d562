import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { answerApi } from '../../lib/api/answer-api.ts';
import { silentLog } from '../../lib/engine/ports/log.ts';
import { tick } from '../../lib/engine/tick.ts';
import { registerApp } from '../../lib/queues/registered-app.ts';
import { splitStatements } from '../../lib/store/migrate/sql-statements.ts';
import { queueStore } from '../../lib/store/queue-store.ts';
import { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import { punctual } from '../../punctual.ts';
import { freeTrials } from '../fixtures/free-trials/free-trials.ts';
import { httpAnswer, loopback } from '../net/loopback.ts';
import { answered, apiRequest, bearer, CRON_SECRET } from '../support/api-server.ts';
import { perTest, perTestExchanges, servedDatabase } from '../support/fixtures.ts';
import { insertRow, readQueueStats } from '../support/own-tables.ts';
import { registryShape, tableShape } from '../support/table-shape.ts';

const fixture = (file: string) =>
  readFileSync(new URL(`../fixtures/free-trials/${file}`, import.meta.url), 'utf8');
const page = readFileSync(new URL('../../docs/your-own-table.md', import.meta.url), 'utf8');

const servers = loopback();
const database = servedDatabase({}, { own: true });
const sql = perTestExchanges(database);
/** The server that receives the questions. The path selects its response. */
let questionUrl: string;
let questions: string[];

beforeEach(async () => {
  questions = [];
  questionUrl = await servers.answering((socket, raw) => {
    questions.push(JSON.parse(raw.slice(raw.indexOf('\r\n\r\n'))).question);
    const path = raw.split(' ')[1];
    if (path === '/cut') socket.destroy();
    else if (path === '/gone') socket.end(httpAnswer(410, ''));
    else socket.end(httpAnswer(200, '{}'));
  });
});
afterEach(async () => {
  await servers.closeAll();
  await database.sql('drop table if exists public.free_trials cascade');
  await database.sql('drop function if exists public.set_updated_at cascade');
});

/** Runs all statements of a migration, or none. */
async function migrate(statements: string): Promise<void> {
  await database.sql('begin');
  try {
    for (const { text } of splitStatements(statements)) await database.sql(text);
    await database.sql('commit');
  } catch (error) {
    await database.sql('rollback');
    throw error;
  }
}

/** Adds a trial that by default fell due a second before `now`. Returns its id. */
const addTrial = (path: string, columns: Record<string, unknown> = {}, now = Date.now()) =>
  insertRow(database, 'public.free_trials', {
    email: `${crypto.randomUUID()}@example.com`,
    question_url: path.startsWith('/') ? `${questionUrl}${path}` : path,
    next_question_scheduled_for: new Date(now - 1_000).toISOString(),
    ...columns,
  });
const trials = async () =>
  (await database.sql('select to_jsonb(t) as row from public.free_trials t order by id')).map(
    ({ row }) => row,
  );
const trial = async (id: string) => (await trials()).find((row) => row.id === id);
const shapes = async () => [await tableShape(database, 'public.free_trials'), await registryShape(database)];

/** Ticks of the queue under a virtual clock. The questions go over real HTTP. */
function makeBench() {
  const clock = new VirtualClock();
  const queue = {
    ...freeTrials,
    perform: (...call: Parameters<typeof freeTrials.perform>) =>
      clock.busy(Promise.resolve(freeTrials.perform(...call))),
  };
  const store = queueStore((fn, args) => clock.busy(database.rpc(fn, args)), clock.date);
  const ports = {
    store,
    clock,
    log: silentLog,
    random: () => 0.5,
    newId: () => crypto.randomUUID(),
    lock: null,
  };
  return {
    clock,
    skipTo: (instant: string) => clock.skip(Date.parse(instant) - clock.now()),
    tick: () => clock.run(tick(queue, ports, { deps: null, limitMs: 60_000, scheduler: 'test' })),
  };
}

describe('a queue of your own, from one file, one migration and a place in punctual.ts', () => {
  beforeEach(() => registerApp({ ...punctual, queues: [...punctual.queues, freeTrials] }));
  afterEach(() => registerApp(punctual));

  const call = (method = 'GET', token = CRON_SECRET) => {
    const request = apiRequest(method, '/api/cron/free-trials', bearer(token));
    return answered(answerApi(request, ['cron', 'free-trials'], {}));
  };

  it('reports that its table was dropped, and says what to do', async () => {
    await migrate(fixture('existing-table.sql'));
    await migrate(fixture('migration.sql'));
    await database.sql('drop table public.free_trials');
    const { status, body } = await call();
    expect([status, body.error.kind]).toEqual([503, 'database_misconfigured']);
    expect(body.error.message).toContain(`remove the queue: select punctual.remove_queue('free_trials');`);
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
      { status: 'unclear' },
      { status: 'gave_up', next_question_scheduled_for: null },
      // Left by the program before Punctual, which died while it asked.
      { status: 'asking' },
    ]) {
      asleep.push(await addTrial('/ok', columns));
    }
    const before = await trials();
    await migrate(fixture('migration.sql'));
    expect(await trials()).toMatchObject(before);

    expect((await call('GET', 'a guess')).status).toBe(401);
    expect(questions).toEqual([]);
    expect(await call()).toMatchObject({
      status: 200,
      body: {
        queue: 'free_trials',
        partition: 'main',
        outcome: 'ran',
        counts: { claimed: 4, again: 1, done: 1, dead: 1, unknown: 1, retried: 0, lost: 0 },
        backlogDue: 0,
      },
    });
    expect(questions.sort()).toEqual([...Array(3).fill('how_is_it_going'), 'will_you_stay']);
    expect(await Promise.all([first, last, refused, cut].map(trial))).toMatchObject([
      { status: 'active', last_question: 'how_is_it_going', finished_at: null },
      {
        status: 'finished',
        last_question: 'will_you_stay',
        last_error: null,
        finished_at: expect.any(String),
      },
      { status: 'gave_up', last_question: null, last_error: 'questions answered 410' },
      { status: 'unclear', last_question: null },
    ]);
    const [was, is] = [before.find(({ id }) => id === first), await trial(first)];
    const due = (row: { next_question_scheduled_for: string }) => Date.parse(row.next_question_scheduled_for);
    expect(due(is)).toBe(due(was) + 86_400_000);
    expect(Date.parse(is.updated_at)).toBeGreaterThan(Date.parse(was.updated_at));

    // Of the table's own columns, Punctual wrote the status, the due time and the result. The table's trigger wrote `updated_at`.
    const ours = ['status', 'next_question_scheduled_for', 'last_question', 'updated_at'];
    const kept = before.map((row) =>
      Object.fromEntries(
        Object.entries(row).filter(([name]) => asleep.includes(row.id) || !ours.includes(name)),
      ),
    );
    expect(await trials()).toMatchObject(kept);

    await expect(addTrial('/ok', { status: 'pending' })).rejects.toMatchObject({ code: '23514' });
    const stats = await readQueueStats(database, new Date().toISOString());
    expect(stats.free_trials?.unreachable).toEqual([
      { reason: 'next_question_scheduled_for is null', rows: 1 },
      { reason: 'asking without a lease: set by hand, or by another program', rows: 1 },
    ]);
    expect((await call('POST')).body).toMatchObject({ outcome: 'idle', counts: { claimed: 0 } });
  });
});

describe('add_queue on an existing table', () => {
  const add = async () => {
    const [{ add_queue: result }] = await database.sql(
      splitStatements(fixture('migration.sql'))[0]?.text ?? '',
    );
    return result;
  };
  beforeEach(() => migrate(fixture('existing-table.sql')));

  it('only adds to the table, and returns the columns that it added and the rights of anon', async () => {
    type Shape = { columns: object; indexes: string[]; constraints: string[]; triggers: string[] };
    const before = (await tableShape(database, 'public.free_trials')) as Shape;
    expect(await add()).toEqual({
      queue: 'free_trials',
      table: 'public.free_trials',
      added: [
        ...['priority', 'attempts', 'max_attempts', 'next_attempt_at', 'claim_id', 'lease_expires_at'],
        ...['timeout_seconds', 'last_error', 'finished_at', 'expires_at', 'idempotency_key', 'claimed_at'],
        ...['reconcile_at', 'reconcile'],
      ],
      row_level_security: false,
      anon: ['select', 'insert'],
      notes: [],
    });
    expect(await tableShape(database, 'public.free_trials')).toMatchObject({
      columns: before.columns,
      indexes: expect.arrayContaining(before.indexes),
      constraints: expect.arrayContaining(before.constraints),
      triggers: expect.arrayContaining(before.triggers),
      relrowsecurity: false,
    });
  });

  it('keeps row-level security enabled', async () => {
    await database.sql('alter table public.free_trials enable row level security');
    await database.sql('create policy nobody on public.free_trials using (false)');
    expect(await add()).toMatchObject({ row_level_security: true, anon: ['select', 'insert'] });
    expect(await database.sql('select polname from pg_policy')).toEqual([{ polname: 'nobody' }]);
    await addTrial('/ok', {}, Date.parse('2026-03-02T12:00:00Z'));
    expect(await makeBench().tick()).toMatchObject({ counts: { again: 1 } });
  });

  it('changes nothing when it is called again, and keeps the operators’ settings', async () => {
    await addTrial('/ok');
    await add();
    await database.sql(
      `update punctual.queues set concurrency = 9, batch_limit = null, retention_days = 400, paused_at = '2026-03-02', paused_reason = 'holiday'
        where name = 'free_trials'`,
    );
    await database.sql(`update punctual.partitions set concurrency = 2 where queue = 'free_trials'`);
    const before = [await shapes(), await trials()];
    expect(await add()).toMatchObject({ added: [], notes: [] });
    expect([await shapes(), await trials()]).toEqual(before);
  });
});

describe('a trial', () => {
  const bench = perTest(makeBench);
  const start = Date.parse('2026-03-02T12:00:00Z');

  beforeEach(async () => {
    await migrate(fixture('existing-table.sql'));
    await migrate(fixture('migration.sql'));
  });

  it('gets a question a day at its own hour, however late the ticks are, until none is left', async () => {
    const id = await addTrial('/ok', { next_question_scheduled_for: '2026-03-02T09:30:00Z' });
    expect(await bench.tick()).toMatchObject({ counts: { again: 1 } });
    bench.skipTo('2026-03-03T09:29:59Z');
    expect(await bench.tick()).toMatchObject({ outcome: 'idle' });
    // No tick ran for two days. Missed runs are skipped.
    bench.skipTo('2026-03-05T18:00:00Z');
    expect(await bench.tick()).toMatchObject({ counts: { again: 1 } });
    expect(await trial(id)).toMatchObject({
      status: 'active',
      last_question: 'what_is_missing',
      attempts: 0,
      next_question_scheduled_for: '2026-03-06T09:30:00+00:00',
    });
    bench.skipTo('2026-03-06T18:00:00Z');
    expect(await bench.tick()).toMatchObject({ counts: { done: 1 } });
    expect(await trial(id)).toMatchObject({ status: 'finished', last_question: 'will_you_stay' });
    expect(questions).toEqual(['how_is_it_going', 'what_is_missing', 'will_you_stay']);
  });

  it('that cannot be reached is retried with growing delays, and is then dead', async () => {
    const gone = loopback();
    const deadUrl = await gone.serve(() => {});
    await gone.closeAll();
    const id = await addTrial(deadUrl, {}, start);
    for (const [n, seconds] of [15, 30, 60, 120].entries()) {
      expect(await bench.tick()).toMatchObject({ counts: { retried: 1 } });
      const row = await trial(id);
      expect(row).toMatchObject({ status: 'active', attempts: n + 1 });
      expect(row.last_error).toContain('nothing was sent');
      expect(Math.round((Date.parse(row.next_attempt_at) - bench.clock.now()) / 1_000)).toBe(seconds);
      expect(await bench.tick()).toMatchObject({ outcome: 'idle' });
      bench.skipTo(row.next_attempt_at);
    }
    expect(await bench.tick()).toMatchObject({ counts: { dead: 1 } });
    expect(await trial(id)).toMatchObject({
      status: 'gave_up',
      attempts: 5,
      finished_at: expect.any(String),
      next_question_scheduled_for: '2026-03-02T11:59:59+00:00',
    });
  });

  it('whose response was lost becomes unclear, and runs again only by an operator’s decision', async () => {
    const id = await addTrial('/cut', {}, start);
    const row = () => ({ p_queue: 'free_trials', p_id: id, p_now: bench.clock.date().toISOString() });
    expect(await bench.tick()).toMatchObject({ counts: { unknown: 1 } });
    // The queue has no `reconcile`.
    expect(await database.rpc('explain_row', row())).toMatchObject({
      waits: [{ kind: 'operator' }],
      reconcile: { waits_for_operator: true },
    });
    for (let hour = 0; hour < 3; hour++) {
      bench.clock.skip(3_600_000);
      await bench.tick();
    }
    expect(await trial(id)).toMatchObject({ status: 'unclear', attempts: 1 });
    expect(questions).toHaveLength(1);
    expect(await database.rpc('resolve_row', { ...row(), p_decision: 'pending' })).toEqual({
      status: 'active',
    });
    await database.sql('update public.free_trials set question_url = $1', [`${questionUrl}/ok`]);
    expect(await bench.tick()).toMatchObject({ counts: { again: 1 } });
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
    await database.sql(`update public.free_trials set email = 'somebody@example.com' where id = $1`, [wrong]);
    expect(await bench.tick()).toMatchObject({ counts: { claimed: 0 } });
    const [, redrive = ''] = /```sql\n(update public\.free_trials [^`]*last_error[^`]*)```/.exec(page) ?? [];
    await database.sql(redrive);
    expect(await bench.tick()).toMatchObject({ counts: { claimed: 1, again: 1 } });
    expect(questions).toHaveLength(2);
  });
});

describe('docs/your-own-table.md', () => {
  it.each(['existing-table.sql', 'migration.sql', 'free-trials.ts'])('contains %s in full', (file) => {
    expect(page).toContain(`\n${fixture(file)}\`\`\``);
  });

  it('shows a table with four status words and numeric ids that becomes a queue of the rows in one status', async () => {
    const section = /### Four words and a check([\s\S]*?)\n## /.exec(page)?.[1] ?? '';
    const [table = '', migration = ''] = [...section.matchAll(/```sql\n([\s\S]*?)```/g)].map(
      ([, text]) => text,
    );
    try {
      await migrate(table);
      await database.sql(`insert into public.invoices (customer, remind_at, state)
        select s, '2020-01-01', s from unnest(array['draft', 'open', 'paid', 'void']) s`);
      await migrate(migration);
      const { rows } = await sql.tick({ queue: 'invoices' }).claim(9);
      expect(rows).toMatchObject([{ id: '2', row: { id: 2, customer: 'open', state: 'reminding' } }]);
    } finally {
      await database.sql('drop table if exists public.invoices');
    }
  });

  it('says how to remove the queue, which leaves nothing of it and keeps the rows', async () => {
    const [, removal = ''] = /## Making it a plain table again[\s\S]*?```sql\n([\s\S]*?)```/.exec(page) ?? [];
    await migrate(fixture('existing-table.sql'));
    for (const path of ['/ok', '/gone']) await addTrial(path, {}, Date.parse('2026-03-02T12:00:00Z'));
    const withoutGrants = async () => (await shapes()).map((shape) => ({ ...shape, grants: '' }));
    const before = await withoutGrants();
    await migrate(fixture('migration.sql'));
    await makeBench().tick();
    await migrate(removal);
    expect(await withoutGrants()).toEqual(before);
    expect((await trials()).map(({ status }) => status).sort()).toEqual(['active', 'gave_up']);
  });
});
