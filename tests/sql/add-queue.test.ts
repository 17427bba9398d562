import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { statsSchema } from '../../lib/store/stats';
import { exchanges } from '../support/exchanges';
import { registryShape, tableShape } from '../support/table-shape';
import { openTestDatabase, type TestDatabase } from '../support/test-database';

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

/** Makes `app.trials` and a queue of it; `columns` besides the key and the due time. */
async function trials(columns = '', call = '') {
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

describe('a table of a person’s own', () => {
  it('keeps its rows for ever unless it is told otherwise', async () => {
    await trials(`, status text default 'pending', finished_at timestamptz`);
    await database.sql(`insert into app.trials (status, finished_at) values ('done', '2020-01-01')`);
    await database.rpc('prune', { p_now: sql.now });
    expect(await database.sql('select status from app.trials')).toEqual([{ status: 'done' }]);
  });

  it('is told which columns ticks use from now on, which triggers run in them and which checks they cannot know', async () => {
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
      "these columns were there, and ticks use them as Punctual's from now on: expires_at",
      'the check "trials_check" is over several columns: it has to hold for whatever word a tick writes',
      'the trigger "a" runs in ticks, with an empty search_path: give app.note() one (set search_path = …), or schemas to the names in it',
    ];
    expect(answer.notes).toEqual([columns, ...always]);
    expect((await database.sql(add))[0].answer.notes).toEqual(always);
  });

  it('is told how many rows the first ticks will do', async () => {
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
      'rows that were pending and due already, for the first ticks to do: 2',
    ]);
  });

  it('may say something else in a column of the same words, where a status is asked for', async () => {
    const { added } = await trials(
      `, approval text check (approval in ('pending', 'approved'))`,
      `, p_status_column => 'status'`,
    );
    expect(added).toContain('status');
  });

  it('has what was done to it and found there kept, for the dashboard', async () => {
    await trials(`, status text default 'pending', claimed_at timestamptz, priority smallint`);
    await database.sql('grant insert on app.trials to anon');
    await database.sql('alter table app.trials add paid boolean, add check (status = $$done$$ or paid)');
    // Run again under another delivery, it adds what that needs.
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
        "these columns were there, and ticks use them as Punctual's from now on: claimed_at, priority",
        'priority has a check from now on, "punctual_trials_priority": no row may have another than 0 to 3',
      ],
      notes: [
        'the check "trials_check" is over several columns: it has to hold for whatever word a tick writes',
      ],
      row_level_security: false,
      anon: ['insert'],
    });
    expect(seen.dm_queue).toBeNull();
    // Who may reach it is read anew.
    await database.sql('alter table app.trials enable row level security');
    expect((await setup()).trials?.row_level_security).toBe(true);
  });

  it('is told which checks hold for what ticks write in columns of its own', async () => {
    const { notes } = await trials(`, last_error text constraint short check (length(last_error) < 10),
      attempts integer default 0, claimed_at timestamptz, constraint begun check (attempts = 0 or claimed_at is not null)`);
    expect(notes).toEqual([
      "these columns were there, and ticks use them as Punctual's from now on: last_error, attempts, claimed_at",
      'the check "begun" is on attempts, claimed_at: it has to hold for whatever a tick writes there',
      'the check "short" is on last_error: it has to hold for whatever a tick writes there',
    ]);
  });

  it('is told that its priority has a check from now on', async () => {
    const { notes } = await trials(', priority smallint not null default 2');
    expect(notes).toEqual([
      "these columns were there, and ticks use them as Punctual's from now on: priority",
      'priority has a check from now on, "punctual_trials_priority": no row may have another than 0 to 3',
    ]);
    await addTrial(sql.at(-1));
    await expect(addTrial(sql.at(-1), { priority: 5 })).rejects.toMatchObject({ code: '23514' });
    const [{ answer }] = await database.sql(
      `select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-least-once') as answer`,
    );
    expect(answer.notes).toEqual([]);
  });

  it('gets defaults for the columns that it has without', async () => {
    await trials(', priority smallint, attempts integer');
    await addTrial(sql.at(-1));
    expect((await tick().claim()).rows).toMatchObject([{ attempt: 1, row: { priority: 1 } }]);
  });

  it('that anon may write in part is told so', async () => {
    await database.sql('create table app.trials (id bigint primary key, next_at timestamptz)');
    await database.sql('grant update (next_at) on app.trials to anon');
    const [{ answer }] = await database.sql(
      `select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-least-once') as answer`,
    );
    expect(answer.anon).toEqual(['update']);
  });

  it('gets other indexes with other words or another due column, and keeps how its vacuum was set', async () => {
    await trials(`, later timestamptz, status text default 'pending'`);
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

  it('gets indexes of its own where a queue that was removed has left some', async () => {
    const indexes = () =>
      database.sql(
        `select indexname, indexdef from pg_indexes where indexname like 'punctual_trials_%' order by indexname`,
      );
    const table = `, later timestamptz, region text, status text default 'todo'`;
    const call = `'trials', 'app.trials', 'later', 'at-least-once', '{"pending": "todo"}'`;
    await trials(table);
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

  it('has its dead rows found by partition, the longest dead first, where it is parted', async () => {
    await trials(
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
  ])('may be in a schema %s, and be called %s', async (schema, name) => {
    // What is spelled the same in small letters is another's.
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

  it('gets the columns that it lacks, and answers what was done and who may reach it', async () => {
    const answer = await trials();
    expect(answer).toMatchObject({
      queue: 'trials',
      table: 'app.trials',
      row_level_security: false,
      anon: [],
      notes: [],
    });
    expect(answer.added).toContain('status');
    expect(answer.added).toContain('lease_expires_at');
    await addTrial(sql.at(-1));
    const { rows } = await tick().claim();
    expect(rows).toMatchObject([{ attempt: 1, row: { status: 'running' } }]);
  });

  it.each([
    ['pending', 'todo', ['old', 'new']],
    ['done', 'finished', ['new']],
    ['cancelled', 'cancelled', ['new']],
  ])('whose old rows are %s has only new rows done besides', async (state, word, done) => {
    await database.sql(
      'create table app.trials (id bigint generated always as identity primary key, next_at timestamptz, label text)',
    );
    await addTrial(sql.at(-2), { label: 'old' });
    const add = `select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-least-once',
      '{"pending": "todo", "done": "finished"}', p_existing_rows => '${state}')`;
    await database.sql(add);
    expect(await database.sql('select status from app.trials')).toEqual([{ status: word }]);
    await addTrial(sql.at(-1), { label: 'new' });
    // The migration's text may be run again.
    await database.sql(add);
    expect((await tick().claim()).rows.map(({ row }) => row.label)).toEqual(done);
  });

  it('keeps its own words, and the check that it has on them', async () => {
    const words = `{"pending": "todo", "running": "doing", "done": "finished", "dead": "failed", "unknown": "unclear", "cancelled": "dropped"}`;
    const answer = await trials(
      `, status text not null default 'todo' check (status in ('todo', 'doing', 'finished', 'failed', 'unclear', 'dropped', 'draft'))`,
      `, p_words => '${words}'`,
    );
    expect(answer.added).not.toContain('status');
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

  it('may have an enum for its states and uuids for its keys', async () => {
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

  it('is claimed oldest first within a priority, the urgent first, whatever is not yet due', async () => {
    await trials(', label text');
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

  it('under at-least-once gives a dead tick’s row to the next, until its attempts are used up', async () => {
    await trials('', `, p_settings => '{"max_attempts": 2}'`);
    await addTrial(sql.at(-1));
    await tick().claim();
    sql.pass(91);
    expect(await tick().claim()).toMatchObject({ swept: 1 });
    // The one that was swept waits before it is tried again, for two minutes at most.
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

  it('tries a row again after its delay, at no other column of the owner’s', async () => {
    await trials();
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

  it('that is settled as a group answers the ones that were not as asked', async () => {
    await trials();
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

  it('is not claimed after its expiry, also where more have expired than one exchange marks dead', async () => {
    await trials();
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

  it('that is settled as a group leaves a row alone that another tick has claimed since', async () => {
    await trials();
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

  it('has its after_settle run in the same transaction: what that refuses is not settled, and holds no other', async () => {
    await database.sql(
      'create table app.checks (trial bigint, outcome text, ms integer not null check (ms < 1000))',
    );
    await database.sql(`create function app.keep_check(p_applied jsonb, p_now timestamptz) returns void language sql as $$
      insert into app.checks select (a->>'id')::bigint, a->>'outcome', (a->'result'->>'ms')::integer from jsonb_array_elements(p_applied) a $$`);
    await database.sql('grant all on all tables in schema app to service_role');
    await trials('', `, p_after_settle => 'app.keep_check'`);
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
    // Its own to settle as before, once it can be.
    await one.settle([record(refused, 30)]);
    expect(await database.sql('select ms from app.checks order by ms')).toEqual([{ ms: 20 }, { ms: 30 }]);
  });

  it('is swept and expires whatever its after_settle says, and a refused outcome leaves it to the end of its lease', async () => {
    await database.sql(`create function app.refuse_all(p_applied jsonb, p_now timestamptz) returns void language plpgsql as $$
      begin raise exception 'not now'; end $$`);
    await trials('', `, p_after_settle => 'app.refuse_all'`);
    await addTrial(sql.at(-1));
    const dies = tick();
    const { rows, claimId } = await dies.claim();
    const id = rows[0]?.id ?? '';
    const { settled } = await dies.settle([{ id, claim_id: claimId, outcome: 'done' }]);
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

  it('ends a tick that meets a function which is gone: nothing is settled, and the error says so', async () => {
    await database.sql(
      `create function app.told(p_applied jsonb, p_now timestamptz) returns void language sql as $$ select $$`,
    );
    await trials('', `, p_after_settle => 'app.told'`);
    await addTrial(sql.at(-1));
    const one = tick();
    const { rows, claimId } = await one.claim();
    await database.sql('drop function app.told');
    const record = { id: rows[0]?.id ?? '', claim_id: claimId, outcome: 'done' };
    await expect(one.settle([record])).rejects.toMatchObject({ kind: 'misconfigured', code: '42883' });
    expect(await database.sql('select status from app.trials')).toEqual([{ status: 'running' }]);
  });

  it('is settled without a result that its column does not take', async () => {
    await trials(', said text check (length(said) < 5)', `, p_result_columns => '{said}'`);
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

  it('has its before_claim run once a tick, before it claims, and not where the tick is one too many', async () => {
    await database.sql('create table app.seen (part text, at timestamptz)');
    await database.sql(`create function app.bring(p_partition text, p_now timestamptz) returns void language plpgsql as $$ begin
      insert into app.seen values (p_partition, p_now);
      insert into app.trials (next_at) values (p_now - interval '1 second');
      end $$`);
    await trials('', `, p_before_claim => 'app.bring'`);
    await database.sql('grant all on all tables in schema app to service_role');
    await database.sql('grant usage on all sequences in schema app to service_role');
    const one = tick();
    expect((await one.claim()).rows).toHaveLength(1);
    expect((await one.claim()).rows).toHaveLength(0);
    expect((await tick().claim()).admitted).toBe(false);
    expect(await database.sql('select part from app.seen')).toEqual([{ part: 'main' }]);
  });

  it('has its after_settle told of what settles a row otherwise: expiry, an operator, ticks that died too often', async () => {
    await database.sql('create table app.told (trial bigint, outcome text, error text)');
    await database.sql(`create function app.tell(p_applied jsonb, p_now timestamptz) returns void language sql as $$
      insert into app.told select (a->>'id')::bigint, a->>'outcome', a->>'error' from jsonb_array_elements(p_applied) a $$`);
    await database.sql('grant all on all tables in schema app to service_role');
    await trials('', `, p_after_settle => 'app.tell', p_settings => '{"max_attempts": 1}'`);
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

  it('goes on where its after_settle raises for a row that expired', async () => {
    await database.sql(`create function app.refuse(p_applied jsonb, p_now timestamptz) returns void language plpgsql as $$ begin
      if p_applied @> '[{"id": "1"}]' then raise exception 'cannot be'; end if; end $$`);
    await trials('', `, p_after_settle => 'app.refuse'`);
    for (let n = 0; n < 2; n++) await addTrial(sql.at(-1));
    await database.sql('update app.trials set expires_at = $1 where id = 1', [sql.at(0)]);
    expect((await tick().claim()).rows).toMatchObject([{ id: '2' }]);
    expect(await database.sql('select status from app.trials where id = 1')).toEqual([{ status: 'dead' }]);
  });

  it('has the facts that its function knows of claimed rows go with them, also where the claim is repeated', async () => {
    await database.sql(`create function app.know(p_ids text[], p_now timestamptz) returns jsonb language sql as $$
      select jsonb_build_object(p_ids[1], jsonb_build_object('asked', p_ids, 'at', p_now)) $$`);
    await trials('', `, p_facts => 'app.know'`);
    await addTrial(sql.at(-2));
    await addTrial(sql.at(-1));
    const one = tick();
    const facts = [{ asked: ['1', '2'], at: sql.now.replace('.000Z', '+00:00') }, null];
    const first = await one.claim();
    const known = (rows: unknown[]) => rows.map((row) => (row as { facts?: unknown }).facts ?? null);
    expect(known(first.rows)).toEqual(facts);
    expect(known((await one.claim(100, 1)).rows)).toEqual(facts);
  });

  it('is claimed and settled as the registry has it, whoever changed that', async () => {
    await trials();
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

  it('does not claim rows whose time is over, by the column that says so', async () => {
    await trials(', open_until timestamptz', `, p_closes_column => 'open_until'`);
    for (const closes of [null, sql.at(0), sql.at(1)]) {
      await addTrial(sql.at(-9));
      await database.sql(
        'update app.trials set open_until = $1 where id = (select max(id) from app.trials)',
        [closes],
      );
    }
    expect((await tick().claim()).rows.map(({ id }) => id)).toEqual(['1', '3']);
  });

  it('has rows without a due time that wait for something, by the column that says for what', async () => {
    await trials(', waits_for text', `, p_waits_column => 'waits_for'`);
    await database.sql(`insert into app.trials (next_at, waits_for) values (null, 'the mail'), (null, null)`);
    const { queues } = (await database.rpc('read_stats', { p_now: sql.now })) as {
      queues: { name: string; unreachable: object[] }[];
    };
    expect(queues.find(({ name }) => name === 'trials')?.unreachable).toEqual([
      { reason: 'next_at is null', rows: 1 },
    ]);
    const why = async (id: string) =>
      (
        (await database.rpc('explain_row', { p_queue: 'trials', p_id: id, p_now: sql.now })) as {
          waits: object[];
        }
      ).waits;
    expect(await why('1')).toEqual([{ kind: 'event', until: null, text: 'waits for the mail' }]);
    expect(await why('2')).toEqual([{ kind: 'never_due', until: null, text: 'next_at is null' }]);
  });

  it('may be parted: each partition has its own tick and its own rows', async () => {
    await trials(`, region text default 'eu'`, `, p_partition_column => 'region'`);
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

  it('lets a row expire instead of doing it late', async () => {
    await trials();
    await addTrial(sql.at(-60), { expires_at: sql.at(-1) });
    await addTrial(sql.at(-30), { expires_at: sql.at(1) });
    expect((await tick().claim()).rows).toHaveLength(1);
    expect(await database.sql(`select last_error from app.trials where status = 'dead'`)).toEqual([
      { last_error: 'expired before it could start' },
    ]);
  });

  it('may be added again: nothing changes, and what an operator set stays', async () => {
    await trials();
    await database.sql(`update punctual.queues set concurrency = 9 where name = 'trials'`);
    await database.sql(`select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-least-once')`);
    expect(await database.sql(`select concurrency from punctual.queues where name = 'trials'`)).toEqual([
      { concurrency: 9 },
    ]);
  });
});

interface Refusal {
  what: string;
  /** Columns of `app.t`, besides the key and `due`. */
  columns?: string;
  /** In place of the whole table. */
  table?: string;
  /** Before the call. */
  given?: string[];
  call?: string;
  /** What the message says, and what it advises; null where the message says it all. */
  message: string;
  hint: string | null;
}

const take = 'name the words your table uses in p_words.';
const words = (...named: string[]) =>
  `the word${named.length > 1 ? 's' : ''} ${named.map((word) => `"${word}"`).join(', ')}`;
const allWords = words('cancelled', 'dead', 'done', 'pending', 'running', 'unknown');
const states = `'pending', 'running', 'done', 'dead', 'unknown'`;
const plain = `'t', 'app.t', 'due', 'at-least-once'`;
const role = 'Add it, name another column, or change its type.';
const roles =
  'Standard columns cannot be status, due, partition, account, progress or result columns, nor one column two of these.';
const function_ = 'Create it first, and name it with its schema.';
const distinct = "Name six words, none of them empty; add to the column's check those that it lacks.";
const retype = 'Rename your column, or change its type.';
const account = ', account_id uuid references punctual.accounts';

const refusals: Refusal[] = [
  {
    what: 'a name that is none',
    call: `'Trials!', 'app.t', 'due', 'at-least-once'`,
    message: '"Trials!" is no name for a queue',
    hint: 'Use up to 40 lower-case letters, digits and _, beginning with a letter.',
  },
  {
    what: 'a name that is too long',
    call: `'${'t'.repeat(41)}', 'app.t', 'due', 'at-least-once'`,
    message: `"${'t'.repeat(41)}" is no name for a queue`,
    hint: 'Use up to 40 lower-case letters, digits and _, beginning with a letter.',
  },
  {
    what: 'a promise that is none',
    call: `'t', 'app.t', 'due', 'exactly-once'`,
    message: 'delivery is "exactly-once"',
    hint: `It is 'at-most-once' or 'at-least-once'.`,
  },
  {
    what: 'a table without its schema',
    call: `'t', 't', 'due', 'at-least-once'`,
    message: 'the table "t" has to be named with its schema',
    hint: `For example 'public.free_trials'.`,
  },
  {
    what: 'a table that is not there',
    call: `'t', 'app.nothing', 'due', 'at-least-once'`,
    message: 'there is no table app.nothing',
    hint: `Look at the spelling; a name with capitals has quotes of its own: 'public."FreeTrials"'.`,
  },
  ...['pg_catalog.pg_class', 'app.seen', 'app.parted', 'app.part', 'app.forgetful'].map((table) => ({
    what: `${table}, which is no table of rows`,
    given: [
      'create view app.seen as select * from app.t',
      'create table app.parted (id bigint primary key, due timestamptz) partition by range (id)',
      'create table app.part partition of app.parted for values from (0) to (9)',
      'create unlogged table app.forgetful (id bigint primary key, due timestamptz)',
    ],
    call: `'t', '${table}', 'due', 'at-least-once'`,
    message: `${table} is no ordinary table`,
    hint: 'Views, partitions, partitioned, foreign, unlogged and system tables cannot be queues.',
  })),
  {
    what: 'the table of another queue',
    call: `'t', 'punctual.dm_queue', 'send_at', 'at-least-once'`,
    message: 'punctual.dm_queue is the table of the queue dm_queue already',
    hint: `A table is one queue: use that one, or remove it first: select punctual.remove_queue('dm_queue');`,
  },
  {
    what: 'another table for a queue that has one',
    call: `'dm_queue', 'app.t', 'due', 'at-least-once'`,
    message: 'the queue dm_queue has another table, punctual.dm_queue',
    hint: 'Choose another name. If the table was renamed, update table_schema and table_name in punctual.queues.',
  },
  ...[
    ['without a key', 'id bigint, due timestamptz'],
    ['with a key of two columns', 'id bigint, b bigint, due timestamptz, primary key (id, b)'],
    ['with a key of another name', 'key bigint primary key, due timestamptz'],
    ['with an integer key', 'id integer primary key, due timestamptz'],
    ['with a text for its key', 'id text primary key, due timestamptz'],
  ].map(([what, columns]) => ({
    what: `a table ${what}`,
    table: `create table app.t (${columns})`,
    message: 'the primary key of app.t has to be one column id, bigint or uuid',
    hint: 'An integer key becomes one by: alter table … alter column id type bigint. Any other table can be given one.',
  })),
  ...[
    ['without time zone', 'due timestamp', 'timestamp without time zone'],
    ['that is a date', 'due date', 'date'],
    ['that is not there', 'other timestamptz', 'missing'],
  ].map(([what, column, type]) => ({
    what: `a due column ${what}`,
    table: `create table app.t (id bigint primary key, ${column})`,
    message: `the due column due of app.t is ${type}, and has to be timestamptz`,
    hint:
      type === 'missing'
        ? 'Name the column that says when a row is due: p_due_column.'
        : `alter table … alter column … type timestamptz using … at time zone 'UTC': without a zone it means another instant to every reader.`,
  })),
  {
    what: 'a partition column that is not there',
    call: `${plain}, p_partition_column => 'region'`,
    message: 'the partition column region of app.t is missing, and has to be text',
    hint: role,
  },
  {
    what: 'an account column that is no uuid',
    columns: ', account_id bigint',
    call: `${plain}, p_account_column => 'account_id'`,
    message: 'the account column account_id of app.t is bigint, and has to be uuid',
    hint: role,
  },
  {
    what: 'a pair column that is no text',
    columns: `${account}, person integer`,
    call: `${plain}, p_account_column => 'account_id', p_pair_column => 'person'`,
    message: 'the pair column person of app.t is integer, and has to be text',
    hint: role,
  },
  {
    what: 'a progress column that is no jsonb',
    columns: ', progress text',
    call: `${plain}, p_progress_column => 'progress'`,
    message: 'the progress column progress of app.t is text, and has to be jsonb',
    hint: role,
  },
  {
    what: 'a secret column that is not there',
    call: `${plain}, p_secret_columns => '{token}'`,
    message: 'the secret column token of app.t is missing, and has to be there',
    hint: role,
  },
  {
    what: 'a result column that is neither text nor jsonb',
    columns: ', size integer',
    call: `${plain}, p_result_columns => '{size}'`,
    message: 'the result column size of app.t is integer, and has to be text or jsonb',
    hint: role,
  },
  {
    what: 'a proof column that is jsonb',
    columns: ', sent jsonb',
    call: `${plain}, p_result_columns => '{sent}', p_proof_column => 'sent'`,
    message: 'the proof column sent is jsonb, and has to be text',
    hint: `It bears the provider's id of what was sent, which is searched for.`,
  },
  {
    what: 'a proof column that is no result column',
    columns: ', sent text',
    call: `${plain}, p_proof_column => 'sent'`,
    message: 'the proof column sent is none of the result columns',
    hint: 'Name it in p_result_columns as well.',
  },
  {
    what: 'an account column that references no account',
    columns: ', account_id uuid',
    call: `${plain}, p_account_column => 'account_id'`,
    message: 'the account column account_id of app.t has to reference punctual.accounts (id)',
    hint: 'alter table app.t add foreign key (account_id) references punctual.accounts',
  },
  {
    what: 'a pair without an account',
    columns: ', person text',
    call: `${plain}, p_pair_column => 'person'`,
    message: 'a pair is an account and an addressee, and there is no account column',
    hint: 'Name it in p_account_column, or leave p_pair_column out.',
  },
  {
    what: 'a due column that is a standard one',
    columns: ', next_attempt_at timestamptz',
    call: `'t', 'app.t', 'next_attempt_at', 'at-least-once'`,
    message: 'the column next_attempt_at has another role already',
    hint: roles,
  },
  {
    what: 'a result column that is a standard one',
    columns: ', last_error text',
    call: `${plain}, p_result_columns => '{last_error}'`,
    message: 'the column last_error has another role already',
    hint: roles,
  },
  {
    what: 'one column for result and partition',
    columns: ', region text',
    call: `${plain}, p_partition_column => 'region', p_result_columns => '{region}'`,
    message: 'the column region has another role already',
    hint: roles,
  },
  {
    what: 'one column for result and progress',
    columns: ', data jsonb',
    call: `${plain}, p_progress_column => 'data', p_result_columns => '{data}'`,
    message: 'the column data has another role already',
    hint: roles,
  },
  {
    what: 'rows in a table without a status, whose words are those of another column',
    columns: `, state text default 'open'`,
    given: [`insert into app.t (id, due, state) values (1, '2020-01-01', 'void')`],
    call: `${plain}, '{"pending": "open", "dead": "void"}'`,
    message: 'app.t has rows and no column status, so the state of these rows is unknown',
    hint: `Say what state they are in: p_existing_rows => 'done' (or 'cancelled'), or 'pending' to have the due ones done by the first tick. If another column of yours says it, name it in p_status_column.`,
  },
  ...[
    [
      `text check (state in ('draft', 'open'))`,
      `'t', 'app.t', 'due', 'at-least-once', '{"pending": "open"}'`,
      'open',
    ],
    ['app.state', plain, 'pending'],
  ].map(([type, call, word]) => ({
    what: `an empty table that seems to say its state in another column (${type})`,
    given: [`create type app.state as enum (${states})`],
    columns: `, note text, state ${type}`,
    call,
    message: `app.t has no column status, and a column state that takes the word "${word}"`,
    hint: `If it says a row's state: p_status_column => 'state'. If not: p_status_column => 'status', which is added.`,
  })),
  {
    what: 'a misspelt status column',
    columns: `, state text, kind app.kind, amount integer, last_error text`,
    given: [`create type app.kind as enum ('once', 'monthly')`],
    call: `${plain}, p_status_column => 'sate'`,
    message: 'the status column sate of app.t is missing, and has to be there',
    hint: 'Name one that it has: state, kind. Without p_status_column, a column status is added.',
  },
  {
    what: 'a state of existing rows that is none of the three',
    call: `${plain}, p_existing_rows => 'dead'`,
    message: 'p_existing_rows is "dead"',
    hint: `It is the state of rows that are there already: 'pending', 'done' or 'cancelled'.`,
  },
  {
    what: 'a state of existing rows where each row has its own',
    columns: `, status text default 'pending'`,
    call: `${plain}, p_existing_rows => 'done'`,
    message: 'p_existing_rows is given, and app.t has a column status, which says the state of each row',
    hint: 'Leave p_existing_rows out. To change the state of rows, update them first.',
  },
  {
    what: 'a state that is none',
    call: `${plain}, '{"paused": "x", "held": "y"}'`,
    message: 'p_words knows pending, running, done, dead, unknown and cancelled, not held, paused',
    hint: 'Its keys are these six states, its values the words that your table has for them.',
  },
  {
    what: 'words that are not distinct',
    call: `${plain}, '{"dead": "done"}'`,
    message:
      'the six state words have to be distinct, and are pending "pending", running "running", done "done", dead "done", unknown "unknown", cancelled "cancelled"',
    hint: distinct,
  },
  {
    what: 'an empty word',
    call: `${plain}, '{"dead": ""}'`,
    message:
      'the six state words have to be distinct, and are pending "pending", running "running", done "done", dead "", unknown "unknown", cancelled "cancelled"',
    hint: distinct,
  },
  {
    what: 'an after_settle that is not there',
    call: `${plain}, p_after_settle => 'app.nothing'`,
    message: 'there is no function app.nothing(p_applied jsonb, p_now timestamptz)',
    hint: function_,
  },
  {
    what: 'a before_claim that is not there',
    call: `${plain}, p_before_claim => 'app.nothing'`,
    message: 'there is no function app.nothing(p_partition text, p_now timestamptz)',
    hint: function_,
  },
  {
    what: 'an after_settle that takes something else',
    given: [`create function app.note(text) returns void language sql as 'select'`],
    call: `${plain}, p_after_settle => 'app.note'`,
    message: 'there is no function app.note(p_applied jsonb, p_now timestamptz)',
    hint: function_,
  },
  ...[
    '',
    '(((',
    'app.',
    'app.note(',
    'app.note(jsonb, timestamptz); drop table app.t; --',
    '1',
    'a.b.c.d',
  ].flatMap((name) => [
    {
      what: `"${name}" for an after_settle`,
      call: `${plain}, p_after_settle => '${name}'`,
      message: `there is no function ${name}(p_applied jsonb, p_now timestamptz)`,
      hint: function_,
    },
    {
      what: `"${name}" for an evidence`,
      call: `${plain}, p_evidence => '${name}'`,
      message: `there is no function ${name}(p_ids text[], p_now timestamptz)`,
      hint: function_,
    },
  ]),
  {
    what: 'an evidence that is not there',
    call: `${plain}, p_evidence => 'app.nothing'`,
    message: 'there is no function app.nothing(p_ids text[], p_now timestamptz)',
    hint: function_,
  },
  ...[
    ['a boolean', 'boolean', 'boolean', allWords],
    ['a number', 'integer', 'integer', allWords],
    ['too short', 'varchar(8)', 'character varying(8)', words('cancelled')],
    ['an enum that lacks one', 'app.state', 'app.state', words('cancelled')],
    ['an enum that lacks three', 'app.open', 'app.open', words('cancelled', 'dead', 'unknown')],
    ['a domain that lacks one', 'app.narrow', 'app.narrow', words('cancelled')],
    ['filled up', 'char(9)', 'character(9)', words('dead', 'done', 'pending', 'running', 'unknown')],
  ].map(([what, type, said, lacking]) => ({
    what: `a status that is ${what}`,
    given: [
      `create type app.state as enum (${states})`,
      `create type app.open as enum ('pending', 'running', 'done')`,
      `create domain app.narrow as text check (value in (${states}))`,
    ],
    table: `create table app.t (id bigint primary key, due timestamptz, status ${type})`,
    message: `the column status of app.t (${said}) does not take ${lacking}`,
    hint: `Add them to the type, or ${take}`,
  })),
  {
    what: 'a check that does not take a word',
    columns: `, status text check (status in (${states}))`,
    message: 'the check "t_status_check" of app.t does not take the word "cancelled"',
    hint: `Widen the check, or ${take}`,
  },
  {
    what: 'a check that does not take several words',
    columns: `, state text check (state in ('draft', 'open', 'paid', 'void'))`,
    call: `${plain}, '{"pending": "open", "done": "paid"}', p_status_column => 'state'`,
    message: `the check "t_state_check" of app.t does not take ${words('cancelled', 'dead', 'running', 'unknown')}`,
    hint: `Widen the check, or ${take}`,
  },
  {
    what: 'a second check that does not take a word',
    columns: `, status text check (length(status) > 0) constraint short check (length(status) < 9)`,
    message: 'the check "short" of app.t does not take the word "cancelled"',
    hint: `Widen the check, or ${take}`,
  },
  {
    what: 'a word that the table of states does not know',
    given: ['create table app.states (name text primary key)', `insert into app.states values ('cancelled')`],
    table: `create table app.t (id bigint primary key, due timestamptz, status text references app.states)`,
    message: `"t_status_fkey" of app.t does not take ${words('dead', 'done', 'pending', 'running', 'unknown')}, which app.states lacks`,
    hint: `Insert them there, or ${take}`,
  },
  ...[
    ['priority', 'integer', 'smallint'],
    ['attempts', 'text', 'integer'],
    ['claim_id', 'text', 'uuid'],
    ['finished_at', 'date', 'timestamp with time zone'],
    ['last_error', 'jsonb', 'text'],
    // One that is too short is no text.
    ['last_error', 'character varying', 'text'],
  ].map(([name, type, wanted]) => ({
    what: `a column ${name} that is ${type}`,
    columns: `, ${name} ${type}`,
    message: `the column ${name} of app.t is ${type}, and has to be ${wanted}`,
    hint: retype,
  })),
  ...['7', 'null'].map((priority) => ({
    what: `rows whose priority is ${priority}`,
    columns: ', priority smallint',
    given: [`insert into app.t (id, priority) values (1, ${priority})`],
    call: `${plain}, p_existing_rows => 'pending'`,
    message: 'app.t has rows whose priority is not between 0 and 3',
    hint: 'update app.t set priority = 1 where priority is null or priority not between 0 and 3, or rename your column.',
  })),
  ...['5', '(2 + 2)'].map((said) => ({
    what: `a priority of ${said} unless it is said`,
    columns: `, priority smallint not null default ${said}`,
    message: `app.t has a default (${said}) by which priority is not between 0 and 3`,
    hint: 'alter table app.t alter column priority set default 1, or rename your column.',
  })),
  {
    what: 'attempts that begin below none',
    columns: `, attempts integer not null default '-1'`,
    message: `app.t has a default ('-1'::integer) by which attempts are not counted`,
    hint: 'alter table app.t alter column attempts set default 0, or rename your column.',
  },
  ...[
    ['max_attempts', 5],
    ['timeout_seconds', 15],
  ].flatMap(([name, remedy]) => [
    {
      what: `rows whose ${name} is 0`,
      columns: `, ${name} integer`,
      given: [`insert into app.t (id, ${name}) values (1, null), (2, 0)`],
      call: `${plain}, p_existing_rows => 'pending'`,
      message: `app.t has rows whose ${name} is less than 1`,
      hint: `update app.t set ${name} = ${remedy} where ${name} < 1, or rename your column.`,
    },
    {
      what: `a ${name} of 0 unless it is said`,
      columns: `, ${name} integer not null default 0`,
      message: `app.t has a default (0) by which ${name} is less than 1`,
      hint: `alter table app.t alter column ${name} set default ${remedy}, or rename your column.`,
    },
  ]),
  {
    what: 'a check that cannot be tried',
    columns: `, status text check (status::integer > 0)`,
    message: `the check "t_status_check" of app.t does not take ${allWords}`,
    hint: `Widen the check, or ${take}`,
  },
  {
    what: 'a name that is none of a table',
    call: `'t', 'public.', 'due', 'at-least-once'`,
    message: 'the table "public." has to be named with its schema',
    hint: `For example 'public.free_trials'.`,
  },
  {
    what: 'a table of Punctual’s own',
    call: `'t', 'punctual.accounts', 'created_at', 'at-least-once'`,
    message: 'punctual.accounts is a table that Punctual keeps for itself',
    hint: 'Make a table of your own.',
  },
  {
    what: 'no due column',
    call: `'t', 'app.t', null, 'at-least-once'`,
    message: 'the due column <NULL> of app.t is missing, and has to be timestamptz',
    hint: 'Name the column that says when a row is due: p_due_column.',
  },
  ...[
    ['status', `, status text generated always as ('pending') stored`],
    ['attempts', ', attempts integer generated always as (1) stored'],
    ['sent', `, sent text generated always as ('x') stored`],
  ].map(([name, columns]) => ({
    what: `a column ${name} that is generated`,
    columns,
    call: name === 'sent' ? `${plain}, p_result_columns => '{sent}'` : plain,
    message: `the column ${name} of app.t is generated, and ticks have to write it`,
    hint: `alter table app.t alter column ${name} drop expression, or rename your column.`,
  })),
  {
    what: 'a column attempts that counts by itself',
    columns: ', attempts integer generated by default as identity',
    message: 'the column attempts of app.t is generated, and ticks have to write it',
    hint: 'alter table app.t alter column attempts drop identity, or rename your column.',
  },
  ...[
    ['last_error', `text not null default ''`],
    ['finished_at', 'timestamptz not null default now()'],
  ].map(([name, type]) => ({
    what: `a column ${name} that takes no null`,
    columns: `, ${name} ${type}`,
    message: `the column ${name} of app.t is not null, and ticks have to empty it`,
    hint: `alter table app.t alter column ${name} drop not null, or rename your column.`,
  })),
  ...['[]', '"x"', 'null', '{"dead": null}', '{"dead": 5}', '{"dead": {"a": 1}}'].map((said) => ({
    what: `words said as ${said}`,
    call: `${plain}, '${said}'`,
    message: 'p_words is no object of words',
    hint: `For example '{"running": "sending", "done": "sent"}'.`,
  })),
  ...['p_after_settle', 'p_evidence', 'p_facts'].map((name) => ({
    what: `${name} that ticks may not call`,
    given: [
      `create function app.f(jsonb, timestamptz) returns void language sql as 'select'`,
      `create function app.f(text[], timestamptz) returns jsonb language sql as 'select null::jsonb'`,
      'revoke execute on all functions in schema app from public',
    ],
    call: `${plain}, ${name} => 'app.f'`,
    message: 'service_role, as which ticks run, may not call app.f',
    hint: 'grant execute on function … to service_role, and on its schema usage.',
  })),
  {
    what: 'a function that service_role could replace by one of its own',
    given: [
      `create function app.f(jsonb, timestamptz) returns void language sql as 'select'`,
      'alter function app.f(jsonb, timestamptz) owner to service_role',
    ],
    call: `${plain}, p_after_settle => 'app.f'`,
    message: 'the owner of app.f, who could replace it, is not Punctual’s',
    hint: 'alter function … owner to the owner of the schema punctual.',
  },
  {
    what: 'a table of somebody else’s, whose triggers would run as the owner',
    given: ['alter table app.t owner to authenticated'],
    call: plain,
    message:
      'app.t is of another owner than Punctual, whose triggers on it after_restore would run as Punctual’s',
    hint: 'alter table … owner to the owner of the schema punctual, or make its owner a member of that role.',
  },
  {
    what: 'settings that are no object',
    call: `${plain}, p_settings => '[]'`,
    message: 'p_settings is no object of settings',
    hint: `For example '{"concurrency": 10}'.`,
  },
  {
    what: 'a setting that is none',
    call: `${plain}, p_settings => '{"batch": 5}'`,
    message: 'there is no setting batch',
    hint: 'p_settings knows batch_limit, concurrency, adaptive, budget_seconds, max_ticks, timeout_seconds, lease_seconds, max_attempts, backoff_base_seconds, backoff_cap_seconds and retention_days.',
  },
  ...[0, 36_501, 2_147_483_647].map((days) => ({
    what: `a retention of ${days} days`,
    call: `${plain}, p_settings => '{"retention_days": ${days}}'`,
    message:
      'a setting is out of range: new row for relation "queues" violates check constraint "queues_retention_days_check"',
    hint: 'docs/settings.md has the range of each setting.',
  })),
  ...[
    ['0', 'new row for relation "queues" violates check constraint "queues_concurrency_check"'],
    ['null', 'null value in column "concurrency" of relation "queues" violates not-null constraint'],
    ['"many"', 'invalid input syntax for type integer: "many"'],
  ].map(([value, said]) => ({
    what: `a concurrency of ${value}`,
    call: `${plain}, p_settings => '{"concurrency": ${value}}'`,
    message: `a setting is out of range: ${said}`,
    hint: 'docs/settings.md has the range of each setting.',
  })),
  {
    what: 'rows whose attempts are not counted',
    columns: ', attempts integer',
    given: ['insert into app.t (id) values (1)'],
    call: `${plain}, p_existing_rows => 'pending'`,
    message: 'app.t has rows whose attempts are not counted',
    hint: 'update app.t set attempts = 0 where attempts is null or attempts < 0, or rename your column.',
  },
  {
    what: 'two rows of one key',
    columns: ', idempotency_key text',
    given: [`insert into app.t (id, idempotency_key) values (1, 'k'), (2, 'k')`],
    call: `${plain}, p_existing_rows => 'pending'`,
    message: 'app.t has two rows whose idempotency_key is "k"',
    hint: 'It is unique where it is set: empty one of them, or rename your column.',
  },
  {
    what: 'indexes of its name on another table',
    given: ['create table app.old (id bigint)', 'create index punctual_t_due on app.old (id)'],
    message: 'the index app.punctual_t_due is of app.old',
    hint: 'It is of a queue of this name that was removed: drop the indexes of that name.',
  },
];

const enumMessage =
  'add_queue: the word "cancelled" was added to app.state in this transaction, and cannot be used before its end';

describe('add_queue refuses', () => {
  it.each(refusals)('$what', async ({ columns = '', table, given = [], call = plain, message, hint }) => {
    const create = table ?? `create table app.t (id bigint primary key, due timestamptz${columns})`;
    // What a table is made of comes before it, what is in it after it.
    const later = given.filter((statement) => / app\.t\b/.test(statement));
    for (const statement of [...given.filter((one) => !later.includes(one)), create, ...later]) {
      await database.sql(statement);
    }
    const state = async () => [await tableShape(database, 'app.t'), await registryShape(database)];
    const before = await state();
    const refusal = await database.sql(`select punctual.add_queue(${call})`).then(
      () => null,
      (error: { message: string; hint?: string | null }) => error,
    );
    expect(refusal?.message).toBe(`add_queue: ${message}`);
    expect(refusal?.hint ?? null).toBe(hint);
    // Refused is refused: nothing of it is left.
    expect(await state()).toEqual(before);
  });

  it('a word that was added to the enum in the same migration', async () => {
    await database.sql(`create type app.state as enum (${states})`);
    await database.sql('create table app.t (id bigint primary key, due timestamptz, status app.state)');
    await database.sql('begin');
    await database.sql(`alter type app.state add value 'cancelled'`);
    await expect(database.sql(`select punctual.add_queue(${plain})`)).rejects.toMatchObject({
      message: enumMessage,
      hint: 'Add it in a migration of its own, before this one.',
    });
    await database.sql('rollback');
  });

  it('nothing without a case above', () => {
    const file = '../../supabase/migrations/20261122000200_add_queue.sql';
    const sql = readFileSync(new URL(file, import.meta.url), 'utf8');
    const templates = [...sql.matchAll(/raise exception '(add_queue: (?:[^']|'')*)'/g)].map(
      ([, text = '']) => text,
    );
    expect(templates.length).toBeGreaterThan(20);
    const literally = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    const messages = [enumMessage, ...refusals.map(({ message }) => `add_queue: ${message}`)];
    const unmet = templates.filter((template) => {
      const pattern = new RegExp(
        `^${template.replaceAll(`''`, `'`).split('%').map(literally).join('.*')}$`,
        's',
      );
      return !messages.some((message) => pattern.test(message));
    });
    expect(unmet).toEqual([]);
  });
});
