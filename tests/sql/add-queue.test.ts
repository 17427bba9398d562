import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { statsSchema } from '../../lib/store/stats.ts';
import { exchanges } from '../support/exchanges.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let sql: ReturnType<typeof exchanges>;

beforeAll(async () => {
  database = await openTestDatabase({ own: true });
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.sql('drop schema if exists app cascade');
  await database.reset();
  await database.sql('create schema app');
  sql = exchanges(database);
});

/** Creates `app.trials` and its queue. `columns` follow the key and the due time. */
async function addTrialsQueue(columns = '', call = '') {
  await database.sql(
    `create table app.trials (id bigint generated always as identity primary key, next_at timestamptz${columns})`,
  );
  const [row] = await database.sql(
    `select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-least-once'${call}) as answer`,
  );
  return row.answer;
}
const tick = (changes = {}) => sql.tick({ queue: 'trials', ...changes });
const addTrial = (due: string, columns: Record<string, unknown> = {}) =>
  database.sql(
    `insert into app.trials (next_at${Object.keys(columns)
      .map((c) => `, ${c}`)
      .join('')})
     values ($1${Object.keys(columns)
       .map((_, i) => `, $${i + 2}`)
       .join('')})`,
    [due, ...Object.values(columns)],
  );

describe('your own table', () => {
  it('keeps its rows for ever by default', async () => {
    await addTrialsQueue(`, status text default 'pending', finished_at timestamptz`);
    await database.sql(`insert into app.trials (status, finished_at) values ('done', '2020-01-01')`);
    await database.rpc('prune', { p_now: sql.now });
    expect(await database.sql('select status from app.trials')).toEqual([{ status: 'done' }]);
  });

  it('gets notes about columns that ticks now use, triggers that run in ticks, and checks on several columns', async () => {
    await database.sql(
      `create function app.note() returns trigger language plpgsql as 'begin return new; end'`,
    );
    await database.sql(
      `create function app.note_well() returns trigger language plpgsql set search_path = app as 'begin return new; end'`,
    );
    await database.sql(`create table app.trials (id bigint primary key, next_at timestamptz, expires_at timestamptz,
      status text default 'pending', paid boolean, check (status <> 'done' or paid))`);
    await database.sql(
      'create trigger a after update on app.trials for each row execute function app.note()',
    );
    await database.sql(
      'create trigger b after update on app.trials for each row execute function app.note_well()',
    );
    const add = `select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-least-once') as answer`;
    const [{ answer }] = await database.sql(add);
    const [columns, ...always] = [
      'these columns existed already, and ticks use them from now on: expires_at',
      'the check "trials_check" covers several columns: it must allow every word that a tick writes',
      'the trigger "a" runs in ticks with an empty search_path: give app.note() its own (set search_path = …), or qualify its names',
    ];
    expect(answer.notes).toEqual([columns, ...always]);
    expect((await database.sql(add))[0].answer.notes).toEqual(always);
  });

  it('gets a note with the number of rows that the first ticks run', async () => {
    await database.sql('create table app.trials (id bigint primary key, next_at timestamptz)');
    await database.sql(
      `insert into app.trials values (1, now()), (2, now() - interval '1 year'), (3, now() + interval '1 day'), (4, null)`,
    );
    const add = (state: string) =>
      database.sql(
        `select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-least-once', p_existing_rows => '${state}') as answer`,
      );
    await database.sql('begin');
    expect((await add('done'))[0].answer.notes).toEqual([]);
    await database.sql('rollback');
    expect((await add('pending'))[0].answer.notes).toEqual([
      'rows that are already pending and due, and run in the first ticks: 2',
    ]);
  });

  it('may have another column with a state’s word if p_status_column names status', async () => {
    const { added } = await addTrialsQueue(
      `, approval text check (approval in ('pending', 'approved'))`,
      `, p_status_column => 'status'`,
    );
    expect(added).toContain('status');
  });

  it('has its setup recorded for the dashboard', async () => {
    await addTrialsQueue(`, status text default 'pending', claimed_at timestamptz, priority smallint`);
    await database.sql('grant insert on app.trials to anon');
    await database.sql('alter table app.trials add paid boolean, add check (status = $$done$$ or paid)');
    // A second call with another delivery adds the columns that it needs.
    await database.sql(`select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-most-once')`);
    const setup = async () => {
      const stats = statsSchema.parse(await database.rpc('read_stats', { p_now: sql.now }));
      return Object.fromEntries(stats.queues.map((queue) => [queue.name, queue.setup]));
    };
    const seen = await setup();
    expect(seen.trials).toEqual({
      table: 'app.trials',
      added: [
        ...['attempts', 'max_attempts', 'next_attempt_at', 'claim_id', 'lease_expires_at', 'timeout_seconds'],
        ...['last_error', 'finished_at', 'expires_at', 'idempotency_key', 'reconcile_at', 'reconcile'],
      ],
      changes: [
        'these columns existed already, and ticks use them from now on: claimed_at, priority',
        'priority has a new check, "punctual_trials_priority": it must be between 0 and 3',
      ],
      notes: ['the check "trials_check" covers several columns: it must allow every word that a tick writes'],
      row_level_security: false,
      anon: ['insert'],
    });
    expect(seen.dm_queue).toBeNull();
    // Access to the table is not recorded, but read each time.
    await database.sql('alter table app.trials enable row level security');
    expect((await setup()).trials?.row_level_security).toBe(true);
  });

  it('gets notes about checks on columns that ticks write', async () => {
    const { notes } =
      await addTrialsQueue(`, last_error text constraint short check (length(last_error) < 10),
      attempts integer default 0, claimed_at timestamptz, constraint begun check (attempts = 0 or claimed_at is not null)`);
    expect(notes).toEqual([
      'these columns existed already, and ticks use them from now on: last_error, attempts, claimed_at',
      'the check "begun" is on attempts, claimed_at: it must allow every value that a tick writes there',
      'the check "short" is on last_error: it must allow every value that a tick writes there',
    ]);
  });

  it('gets a note about the new check on its priority', async () => {
    const { notes } = await addTrialsQueue(', priority smallint not null default 2');
    expect(notes).toEqual([
      'these columns existed already, and ticks use them from now on: priority',
      'priority has a new check, "punctual_trials_priority": it must be between 0 and 3',
    ]);
    await addTrial(sql.at(-1));
    await expect(addTrial(sql.at(-1), { priority: 5 })).rejects.toMatchObject({ code: '23514' });
    const [{ answer }] = await database.sql(
      `select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-least-once') as answer`,
    );
    expect(answer.notes).toEqual([]);
  });

  it('gets defaults for existing columns that lack them', async () => {
    await addTrialsQueue(', priority smallint, attempts integer');
    await addTrial(sql.at(-1));
    expect((await tick().claim()).rows).toMatchObject([{ attempt: 1, row: { priority: 1 } }]);
  });

  it('is reported as open to anon even if anon may write only one column', async () => {
    await database.sql('create table app.trials (id bigint primary key, next_at timestamptz)');
    await database.sql('grant update (next_at) on app.trials to anon');
    const [{ answer }] = await database.sql(
      `select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-least-once') as answer`,
    );
    expect(answer.anon).toEqual(['update']);
  });

  it('gets new indexes for new words and a new due column, and keeps its autovacuum settings', async () => {
    await addTrialsQueue(`, later timestamptz, status text default 'pending'`);
    await database.sql('alter table app.trials set (autovacuum_vacuum_scale_factor = 0.5)');
    await database.sql(
      `select punctual.add_queue('trials', 'app.trials', 'later', 'at-least-once', '{"pending": "todo"}')`,
    );
    const [{ indexdef }] = await database.sql(
      `select indexdef from pg_indexes where indexname = 'punctual_trials_due'`,
    );
    expect(indexdef).toContain(
      `(priority, COALESCE(next_attempt_at, later), id) WHERE (status = 'todo'::text)`,
    );
    const [{ reloptions }] = await database.sql(
      `select reloptions from pg_class where oid = 'app.trials'::regclass`,
    );
    expect(reloptions).toContain('autovacuum_vacuum_scale_factor=0.5');
  });

  it('gets the indexes of a new queue even if a removed queue left others', async () => {
    const indexes = () =>
      database.sql(
        `select indexname, indexdef from pg_indexes where indexname like 'punctual_trials_%' order by indexname`,
      );
    const table = `, later timestamptz, region text, status text default 'todo'`;
    const call = `'trials', 'app.trials', 'later', 'at-least-once', '{"pending": "todo"}'`;
    await addTrialsQueue(table);
    await database.sql('drop table app.trials');
    await database.sql(`delete from punctual.queues where name = 'trials'`);
    await database.sql(`create table app.trials (id bigint primary key, next_at timestamptz${table})`);
    await database.sql(`select punctual.add_queue(${call})`);
    const fresh = await indexes();

    await database.sql(`delete from punctual.queues where name = 'trials'`);
    await database.sql(
      `select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-most-once', p_partition_column => 'region')`,
    );
    expect((await indexes()).map(({ indexname }) => indexname)).toContain('punctual_trials_reconcile');
    await database.sql(`delete from punctual.queues where name = 'trials'`);
    await database.sql(`select punctual.add_queue(${call})`);
    expect(await indexes()).toEqual(fresh);
  });

  it('gets an index of its dead rows by partition, the longest dead first, if it has partitions', async () => {
    await addTrialsQueue(
      `, "the Region" text, status text`,
      `, p_words => '{"dead": "it''s over"}', p_partition_column => 'the Region'`,
    );
    const dead = `select indexdef from pg_indexes where indexname = 'punctual_trials_dead'`;
    expect((await database.sql(dead))[0].indexdef).toMatch(
      /\("the Region", finished_at, id\) WHERE \(status = 'it''s over'::text\)$/,
    );
    await database.sql(`select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-least-once')`);
    expect(await database.sql(dead)).toEqual([]);
  });

  it.each([
    ['"my app"', 'trials'],
    ['"App"', '"X"'],
    ['"App"', '"it""s 100%"'],
    ['"tri.als"', `"a'b"`],
  ])('may be in the schema %s and have the name %s', async (schema, name) => {
    // Another table and its index, whose names differ from the queue's only in case.
    await database.sql('create table app.x (id bigint primary key)');
    await database.sql('create index punctual_quoted_due on app.x (id)');
    await database.sql(`drop schema if exists ${schema} cascade`);
    await database.sql(`create schema ${schema}`);
    const table = `${schema}.${name}`;
    await database.sql(
      `create table ${table} (id bigint generated always as identity primary key, due timestamptz, later timestamptz, priority smallint)`,
    );
    for (const column of ['due', 'later', 'due']) {
      const [{ answer }] = await database.sql('select punctual.add_queue($1, $2, $3, $4) as answer', [
        'quoted',
        table,
        column,
        'at-least-once',
      ]);
      expect(answer).toMatchObject({ queue: 'quoted', table });
    }
    await database.sql(`insert into ${table} (due) values ($1)`, [sql.at(-1)]);
    const one = tick({ queue: 'quoted' });
    const { rows, claimId } = await one.claim();
    await one.settle([{ id: rows[0]?.id ?? '', claim_id: claimId, outcome: 'done' }], { close: true });
    expect(await database.sql(`select status from ${table}`)).toEqual([{ status: 'done' }]);
    await database.sql(`drop schema ${schema} cascade`);
  });

  it('gets the columns that it lacks, and add_queue returns their names and who may reach the table', async () => {
    const response = await addTrialsQueue();
    expect(response).toMatchObject({
      queue: 'trials',
      table: 'app.trials',
      row_level_security: false,
      anon: [],
      notes: [],
    });
    expect(response.added).toContain('status');
    expect(response.added).toContain('lease_expires_at');
    await addTrial(sql.at(-1));
    const { rows } = await tick().claim();
    expect(rows).toMatchObject([{ attempt: 1, row: { status: 'running' } }]);
  });

  it.each([
    ['pending', 'todo', ['old', 'new']],
    ['done', 'finished', ['new']],
    ['cancelled', 'cancelled', ['new']],
  ])(
    'with existing rows that are %s runs those only if they are pending, and new rows always',
    async (state, word, claimed) => {
      await database.sql(
        'create table app.trials (id bigint generated always as identity primary key, next_at timestamptz, label text)',
      );
      await addTrial(sql.at(-2), { label: 'old' });
      const add = `select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-least-once',
      '{"pending": "todo", "done": "finished"}', p_existing_rows => '${state}')`;
      await database.sql(add);
      expect(await database.sql('select status from app.trials')).toEqual([{ status: word }]);
      await addTrial(sql.at(-1), { label: 'new' });
      // The migration may run again.
      await database.sql(add);
      expect((await tick().claim()).rows.map(({ row }) => row.label)).toEqual(claimed);
    },
  );

  it('keeps its own words for the states and its check on them', async () => {
    const words = `{"pending": "todo", "running": "doing", "done": "finished", "dead": "failed", "unknown": "unclear", "cancelled": "dropped"}`;
    const response = await addTrialsQueue(
      `, status text not null default 'todo' check (status in ('todo', 'doing', 'finished', 'failed', 'unclear', 'dropped', 'draft'))`,
      `, p_words => '${words}'`,
    );
    expect(response.added).not.toContain('status');
    await addTrial(sql.at(-1));
    await addTrial(sql.at(-1), { status: 'draft' });
    const one = tick();
    const { rows, claimId } = await one.claim();
    expect(rows).toHaveLength(1);
    await one.exchange({ outcomes: { done: [{ claim_id: claimId, ids: [rows[0]?.id] }] } });
    expect(await database.sql('select status from app.trials order by id')).toEqual([
      { status: 'finished' },
      { status: 'draft' },
    ]);
  });

  it('may have an enum for its status and uuids for its keys', async () => {
    await database.sql(
      `create type app.state as enum ('pending', 'running', 'done', 'dead', 'unknown', 'cancelled')`,
    );
    await database.sql(
      `create table app.trials (id uuid primary key default gen_random_uuid(), next_at timestamptz, status app.state default 'pending')`,
    );
    await database.sql(`select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-least-once')`);
    await addTrial(sql.at(-1));
    const one = tick();
    const { rows, claimId } = await one.claim();
    await one.settle([{ id: rows[0]?.id ?? '', claim_id: claimId, outcome: 'dead', error: 'x' }]);
    expect(await database.sql('select status from app.trials')).toEqual([{ status: 'dead' }]);
  });

  it('has its due rows claimed by priority, then the oldest first', async () => {
    await addTrialsQueue(', label text');
    await addTrial(sql.at(-10), { label: 'b' });
    await addTrial(sql.at(-20), { label: 'a' });
    await addTrial(sql.at(-1), { label: 'urgent', priority: 0 });
    await addTrial(sql.at(60), { label: 'urgent, later', priority: 0 });
    await addTrial(sql.at(-99), { label: 'low', priority: 3 });
    const one = tick();
    const order: string[] = [];
    for (let n = 0; n < 5; n++) order.push(...(await one.claim(1)).rows.map((row) => row.row.label));
    expect(order).toEqual(['urgent', 'a', 'b', 'low']);
  });

  it('under at-least-once retries a dead tick’s row in a later tick until its attempts are used up', async () => {
    await addTrialsQueue('', `, p_settings => '{"max_attempts": 2}'`);
    await addTrial(sql.at(-1));
    await tick().claim();
    sql.pass(91);
    expect(await tick().claim()).toMatchObject({ swept: 1 });
    // A swept row waits up to two minutes for its retry.
    sql.pass(120);
    await tick().claim();
    expect(await database.sql('select status, attempts from app.trials')).toEqual([
      { status: 'running', attempts: 2 },
    ]);
    sql.pass(91);
    expect(await tick().claim()).toMatchObject({ swept: 1, rows: [] });
    expect(await database.sql('select status, last_error from app.trials')).toEqual([
      { status: 'dead', last_error: 'the tick died while this row was running' },
    ]);
  });

  it('retries a row after its delay and leaves the due column as it is', async () => {
    await addTrialsQueue();
    await addTrial(sql.at(-1));
    const one = tick();
    const { rows, claimId } = await one.claim();
    await one.settle([
      { id: rows[0]?.id ?? '', claim_id: claimId, outcome: 'retry', error: 'e', delay_seconds: 40 },
    ]);
    const [row] = await database.sql('select next_at, next_attempt_at from app.trials');
    expect(Date.parse(row.next_attempt_at)).toBe(Date.parse(sql.at(40)));
    expect(Date.parse(row.next_at)).toBe(Date.parse(sql.at(-1)));
    sql.pass(39);
    expect((await one.claim()).rows).toEqual([]);
    sql.pass(1);
    expect((await one.claim()).rows).toHaveLength(1);
  });

  it('names the rows of a group that were already settled or lost', async () => {
    await addTrialsQueue();
    for (let n = 0; n < 4; n++) await addTrial(sql.at(-1));
    const one = tick();
    const { rows, claimId } = await one.claim();
    const ids = rows.map((row) => row.id);
    const group = (members: string[]) => ({ outcomes: { done: [{ claim_id: claimId, ids: members }] } });
    expect((await one.exchange(group(ids.slice(0, 2)))).settled).toMatchObject({ done: 2, exceptions: [] });
    const mixed = await one.exchange(group([...ids.slice(1), '777']));
    expect(mixed.settled).toMatchObject({ done: 2, lost: 1 });
    expect(mixed.settled.exceptions).toContainEqual({
      id: ids[1],
      claim_id: claimId,
      verdict: 'already',
      outcome: 'done',
    });
    expect(mixed.settled.exceptions).toContainEqual({
      id: '777',
      claim_id: claimId,
      verdict: 'lost',
      outcome: 'done',
    });
  });

  it('claims no expired row, even if more have expired than one exchange marks dead', async () => {
    await addTrialsQueue();
    await database.sql(
      `insert into app.trials (next_at, expires_at) select $1::timestamptz, $2::timestamptz from generate_series(1, 1001)`,
      [sql.at(-9), sql.at(0)],
    );
    await addTrial(sql.at(-1), { expires_at: sql.at(1) });
    expect((await tick().claim()).rows.map(({ id }) => id)).toEqual(['1002']);
    expect(await database.sql('select status, count(*) as n from app.trials group by 1 order by 1')).toEqual([
      { status: 'dead', n: 1_000 },
      { status: 'pending', n: 1 },
      { status: 'running', n: 1 },
    ]);
  });

  it('settles no row of a group that another tick has claimed since', async () => {
    await addTrialsQueue();
    await addTrial(sql.at(-1));
    const stale = tick();
    const { rows, claimId } = await stale.claim();
    sql.pass(3_600);
    const claims = [await tick().claim()];
    sql.pass(3_600);
    claims.push(await tick().claim());
    const latest = claims.find((claim) => claim.rows.length > 0);
    expect(latest?.rows.map(({ id }) => id)).toEqual([rows[0]?.id]);

    const late = { outcomes: { done: [{ claim_id: claimId, ids: [rows[0]?.id] }] } };
    expect((await stale.exchange(late)).settled).toMatchObject({ done: 0, lost: 1 });
    expect(await database.sql('select status, claim_id from app.trials')).toEqual([
      { status: 'running', claim_id: latest?.claimId },
    ]);
  });

  it('runs its after_settle in the transaction that settles: a row that it refuses is not settled and blocks no other', async () => {
    await database.sql(
      'create table app.checks (trial bigint, outcome text, ms integer not null check (ms < 1000))',
    );
    await database.sql(`create function app.keep_check(p_applied jsonb, p_now timestamptz) returns void language sql as $$
      insert into app.checks select (a->>'id')::bigint, a->>'outcome', (a->'result'->>'ms')::integer from jsonb_array_elements(p_applied) a $$`);
    await database.sql('grant all on all tables in schema app to service_role');
    await addTrialsQueue('', `, p_after_settle => 'app.keep_check'`);
    for (let n = 0; n < 2; n++) await addTrial(sql.at(-1));
    const one = tick();
    const { rows, claimId } = await one.claim();
    const [refused = '', fine = ''] = rows.map(({ id }) => id);
    const record = (id: string, ms: number) => {
      return { id, claim_id: claimId, outcome: 'again', delay_seconds: 60, result: { ms } };
    };
    const { settled } = await one.settle([record(refused, 5_000), record(fine, 20)]);
    expect(settled).toMatchObject({
      again: 1,
      lost: 0,
      exceptions: [{ id: refused, claim_id: claimId, verdict: 'refused', outcome: 'again' }],
    });
    const statuses = await database.sql('select status from app.trials order by id');
    expect(statuses.map(({ status }) => status)).toEqual(['running', 'pending']);
    expect(await database.sql('select trial::integer, outcome, ms from app.checks')).toEqual([
      { trial: Number(fine), outcome: 'again', ms: 20 },
    ]);
    expect((await sql.history(refused)).map(([event]) => event)).toEqual(['error']);
    // The tick still has the row, and can settle it with another result.
    await one.settle([record(refused, 30)]);
    expect(await database.sql('select ms from app.checks order by ms')).toEqual([{ ms: 20 }, { ms: 30 }]);
  });

  it('sweeps and expires rows even if its after_settle raises, and leaves a row with a refused outcome running until its lease ends', async () => {
    await database.sql(`create function app.refuse_all(p_applied jsonb, p_now timestamptz) returns void language plpgsql as $$
      begin raise exception 'not now'; end $$`);
    await addTrialsQueue('', `, p_after_settle => 'app.refuse_all'`);
    await addTrial(sql.at(-1));
    const dying = tick();
    const { rows, claimId } = await dying.claim();
    const id = rows[0]?.id ?? '';
    const { settled } = await dying.settle([{ id, claim_id: claimId, outcome: 'done' }]);
    expect(settled).toMatchObject({ done: 0, exceptions: [{ id, verdict: 'refused' }] });
    await addTrial(sql.at(-1));
    await database.sql('update app.trials set expires_at = $1 where id = 2', [sql.at(80)]);
    sql.pass(91);
    expect((await tick().claim()).swept).toBe(1);
    expect(await database.sql('select status from app.trials order by id')).toEqual([
      { status: 'pending' },
      { status: 'dead' },
    ]);
  });

  it('settles nothing and fails with an error if its after_settle is gone', async () => {
    await database.sql(
      `create function app.told(p_applied jsonb, p_now timestamptz) returns void language sql as $$ select $$`,
    );
    await addTrialsQueue('', `, p_after_settle => 'app.told'`);
    await addTrial(sql.at(-1));
    const one = tick();
    const { rows, claimId } = await one.claim();
    await database.sql('drop function app.told');
    const record = { id: rows[0]?.id ?? '', claim_id: claimId, outcome: 'done' };
    await expect(one.settle([record])).rejects.toMatchObject({ kind: 'misconfigured', code: '42883' });
    expect(await database.sql('select status from app.trials')).toEqual([{ status: 'running' }]);
  });

  it('settles a row without its result if the result’s column refuses it', async () => {
    await addTrialsQueue(', said text check (length(said) < 5)', `, p_result_columns => '{said}'`);
    await addTrial(sql.at(-1));
    const one = tick();
    const { rows, claimId } = await one.claim();
    const record = {
      id: rows[0]?.id ?? '',
      claim_id: claimId,
      outcome: 'done',
      result: { said: 'too long' },
    };
    expect((await one.settle([record])).settled).toMatchObject({ done: 1, exceptions: [] });
    expect(await database.sql('select status, said from app.trials')).toEqual([
      { status: 'done', said: null },
    ]);
  });

  it('runs its before_claim once a tick, before the claim, and not in a tick that is not admitted', async () => {
    await database.sql('create table app.seen (part text, at timestamptz)');
    await database.sql(`create function app.bring(p_partition text, p_now timestamptz) returns void language plpgsql as $$ begin
      insert into app.seen values (p_partition, p_now);
      insert into app.trials (next_at) values (p_now - interval '1 second');
      end $$`);
    await addTrialsQueue('', `, p_before_claim => 'app.bring'`);
    await database.sql('grant all on all tables in schema app to service_role');
    await database.sql('grant usage on all sequences in schema app to service_role');
    const one = tick();
    expect((await one.claim()).rows).toHaveLength(1);
    expect((await one.claim()).rows).toHaveLength(0);
    expect((await tick().claim()).admitted).toBe(false);
    expect(await database.sql('select part from app.seen')).toEqual([{ part: 'main' }]);
  });

  it('calls its after_settle also for rows settled by expiry, an operator or the sweep', async () => {
    await database.sql('create table app.told (trial bigint, outcome text, error text)');
    await database.sql(`create function app.tell(p_applied jsonb, p_now timestamptz) returns void language sql as $$
      insert into app.told select (a->>'id')::bigint, a->>'outcome', a->>'error' from jsonb_array_elements(p_applied) a $$`);
    await database.sql('grant all on all tables in schema app to service_role');
    await addTrialsQueue('', `, p_after_settle => 'app.tell', p_settings => '{"max_attempts": 1}'`);
    for (let n = 0; n < 3; n++) await addTrial(sql.at(n - 3));
    await database.sql('update app.trials set expires_at = $1 where id = 1', [sql.at(0)]);
    await database.sql('update app.trials set next_at = $1 where id = 2', [sql.at(3_600)]);
    expect((await tick().claim()).rows).toMatchObject([{ id: '3' }]);
    const cancel = {
      p_queue: 'trials',
      p_id: '2',
      p_decision: 'cancelled',
      p_note: 'no more',
      p_now: sql.now,
    };
    await database.rpc('resolve_row', cancel);
    sql.pass(600);
    await tick().claim();
    expect(await database.sql('select * from app.told order by trial')).toEqual([
      { trial: 1, outcome: 'dead', error: 'expired before it could start' },
      { trial: 2, outcome: 'cancelled', error: 'no more' },
      { trial: 3, outcome: 'dead', error: 'the tick died while this row was running' },
    ]);
  });

  it('claims other rows if its after_settle raises for an expired one', async () => {
    await database.sql(`create function app.refuse(p_applied jsonb, p_now timestamptz) returns void language plpgsql as $$ begin
      if p_applied @> '[{"id": "1"}]' then raise exception 'cannot be'; end if; end $$`);
    await addTrialsQueue('', `, p_after_settle => 'app.refuse'`);
    for (let n = 0; n < 2; n++) await addTrial(sql.at(-1));
    await database.sql('update app.trials set expires_at = $1 where id = 1', [sql.at(0)]);
    expect((await tick().claim()).rows).toMatchObject([{ id: '2' }]);
    expect(await database.sql('select status from app.trials where id = 1')).toEqual([{ status: 'dead' }]);
  });

  it('returns the facts from its function with the claimed rows, also when the claim is repeated', async () => {
    await database.sql(`create function app.know(p_ids text[], p_now timestamptz) returns jsonb language sql as $$
      select jsonb_build_object(p_ids[1], jsonb_build_object('asked', p_ids, 'at', p_now)) $$`);
    await addTrialsQueue('', `, p_facts => 'app.know'`);
    await addTrial(sql.at(-2));
    await addTrial(sql.at(-1));
    const one = tick();
    const facts = [{ asked: ['1', '2'], at: sql.now.replace('.000Z', '+00:00') }, null];
    const first = await one.claim();
    const factsOf = (rows: unknown[]) => rows.map((row) => (row as { facts?: unknown }).facts ?? null);
    expect(factsOf(first.rows)).toEqual(facts);
    expect(factsOf((await one.claim(100, 1)).rows)).toEqual(facts);
  });

  it('cancels a row with the registry’s current word, even if plain SQL changed it', async () => {
    await addTrialsQueue();
    await addTrial(sql.at(-1));
    await database.sql('alter table app.trials drop constraint trials_status_check');
    await database.sql(`update punctual.queues set cancelled_word = 'void' where name = 'trials'`);
    const call = { p_queue: 'trials', p_id: '1', p_decision: 'cancelled', p_by: 'Ann', p_now: sql.now };
    expect(await database.rpc('resolve_row', call)).toEqual({ status: 'void' });
    expect(await database.sql('select status from app.trials')).toEqual([{ status: 'void' }]);
  });

  it('claims and settles under the registry’s current names, even if plain SQL changed them', async () => {
    await addTrialsQueue();
    await addTrial(sql.at(-1));
    await database.sql('alter table app.trials rename to tests');
    await database.sql('alter table app.tests rename next_at to due');
    await database.sql(
      `update punctual.queues set table_name = 'tests', due_column = 'due' where name = 'trials'`,
    );
    const one = tick();
    const { rows, claimId } = await one.claim();
    await one.settle([{ id: rows[0]?.id ?? '', claim_id: claimId, outcome: 'done' }]);
    expect(await database.sql('select status from app.tests')).toEqual([{ status: 'done' }]);
  });

  it('claims no row after the time in its p_closes_column', async () => {
    await addTrialsQueue(', open_until timestamptz', `, p_closes_column => 'open_until'`);
    for (const closes of [null, sql.at(0), sql.at(1)]) {
      await addTrial(sql.at(-9));
      await database.sql(
        'update app.trials set open_until = $1 where id = (select max(id) from app.trials)',
        [closes],
      );
    }
    expect((await tick().claim()).rows.map(({ id }) => id)).toEqual(['1', '3']);
  });

  it('explains rows without a due time by its p_waits_column, and counts only the others as unreachable', async () => {
    await addTrialsQueue(', waits_for text', `, p_waits_column => 'waits_for'`);
    await database.sql(`insert into app.trials (next_at, waits_for) values (null, 'the mail'), (null, null)`);
    const { queues } = (await database.rpc('read_stats', { p_now: sql.now })) as {
      queues: { name: string; unreachable: object[] }[];
    };
    expect(queues.find(({ name }) => name === 'trials')?.unreachable).toEqual([
      { reason: 'next_at is null', rows: 1 },
    ]);
    const waitsOf = async (id: string) =>
      (
        (await database.rpc('explain_row', { p_queue: 'trials', p_id: id, p_now: sql.now })) as {
          waits: object[];
        }
      ).waits;
    expect(await waitsOf('1')).toEqual([{ kind: 'event', until: null, text: 'waits for the mail' }]);
    expect(await waitsOf('2')).toEqual([{ kind: 'never_due', until: null, text: 'next_at is null' }]);
  });

  it('may have partitions, each with its own ticks and rows, and reports rows of an unknown partition', async () => {
    await addTrialsQueue(`, region text default 'eu'`, `, p_partition_column => 'region'`);
    await database.sql(
      `insert into punctual.partitions (queue, partition, batch_limit) values ('trials', 'eu', 1), ('trials', 'us', null)`,
    );
    for (const region of ['eu', 'eu', 'us', 'mars']) await addTrial(sql.at(-1), { region });
    expect((await tick({ partition: 'eu' }).claim()).rows).toMatchObject([{ row: { region: 'eu' } }]);
    expect((await tick({ partition: 'us' }).claim()).rows).toMatchObject([{ row: { region: 'us' } }]);
    const stats = (await database.rpc('read_stats', { p_now: sql.now })) as {
      queues: { name: string; unreachable: object[] }[];
    };
    expect(stats.queues.find((queue) => queue.name === 'trials')?.unreachable).toEqual([
      { reason: 'the partition "mars" is unknown', rows: 1 },
    ]);
  });

  it('marks an expired row dead instead of running it late', async () => {
    await addTrialsQueue();
    await addTrial(sql.at(-60), { expires_at: sql.at(-1) });
    await addTrial(sql.at(-30), { expires_at: sql.at(1) });
    expect((await tick().claim()).rows).toHaveLength(1);
    expect(await database.sql(`select last_error from app.trials where status = 'dead'`)).toEqual([
      { last_error: 'expired before it could start' },
    ]);
  });

  it('may be added again, and keeps an operator’s settings', async () => {
    await addTrialsQueue();
    await database.sql(`update punctual.queues set concurrency = 9 where name = 'trials'`);
    await database.sql(`select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-least-once')`);
    expect(await database.sql(`select concurrency from punctual.queues where name = 'trials'`)).toEqual([
      { concurrency: 9 },
    ]);
  });
});
