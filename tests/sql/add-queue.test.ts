import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exchanges } from '../support/exchanges';
import { openTestDatabase, type TestDatabase } from '../support/test-database';

let database: TestDatabase;
let sql: ReturnType<typeof exchanges>;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.reset();
  await database.sql('drop schema if exists app cascade');
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
    expect(await tick().claim()).toMatchObject({ swept: 1, rows: [{ attempt: 2 }] });
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
    expect(mixed.settled.exceptions).toContainEqual({ id: ids[1], verdict: 'already', outcome: 'done' });
    expect(mixed.settled.exceptions).toContainEqual({ id: '777', verdict: 'lost', outcome: 'done' });
  });

  it('has its after_settle run in the same transaction: what that refuses was not settled', async () => {
    await database.sql('create table app.checks (trial bigint, outcome text, ms integer check (ms < 1000))');
    await database.sql(`create function app.keep_check(p_applied jsonb, p_now timestamptz) returns void language sql as $$
      insert into app.checks select (a->>'id')::bigint, a->>'outcome', (a->'result'->>'ms')::integer from jsonb_array_elements(p_applied) a $$`);
    await database.sql('grant all on all tables in schema app to service_role');
    await trials('', `, p_after_settle => 'app.keep_check'`);
    await addTrial(sql.at(-1));
    const one = tick();
    const { rows, claimId } = await one.claim();
    const record = { id: rows[0]?.id ?? '', claim_id: claimId, outcome: 'again', delay_seconds: 60 };
    await expect(one.settle([{ ...record, result: { ms: 5_000 } }])).rejects.toMatchObject({
      kind: 'refused',
    });
    expect(await database.sql('select status from app.trials')).toEqual([{ status: 'running' }]);
    await one.settle([{ ...record, result: { ms: 20 } }]);
    expect(await database.sql('select outcome, ms from app.checks')).toEqual([{ outcome: 'again', ms: 20 }]);
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

describe('add_queue refuses', () => {
  const key = 'id bigint primary key';
  const cases: [string, string, string, RegExp][] = [
    [
      'a name that is none',
      `${key}, due timestamptz`,
      `'Trials!', 'app.t', 'due', 'at-least-once'`,
      /"Trials!" is no name for a queue/,
    ],
    [
      'a promise that is none',
      `${key}, due timestamptz`,
      `'t', 'app.t', 'due', 'exactly-once'`,
      /delivery is "exactly-once"/,
    ],
    [
      'a table without its schema',
      `${key}, due timestamptz`,
      `'t', 't', 'due', 'at-least-once'`,
      /has to be named with its schema/,
    ],
    [
      'a table that is not there',
      `${key}, due timestamptz`,
      `'t', 'app.nothing', 'due', 'at-least-once'`,
      /there is no table app.nothing/,
    ],
    [
      'a system table',
      `${key}, due timestamptz`,
      `'t', 'pg_catalog.pg_class', 'due', 'at-least-once'`,
      /no ordinary table/,
    ],
    [
      'a table without a key',
      'id bigint, due timestamptz',
      `'t', 'app.t', 'due', 'at-least-once'`,
      /primary key of app.t has to be one column id/,
    ],
    [
      'a key of two columns',
      'id bigint, b bigint, due timestamptz, primary key (id, b)',
      `'t', 'app.t', 'due', 'at-least-once'`,
      /has to be one column id/,
    ],
    [
      'an integer key',
      'id integer primary key, due timestamptz',
      `'t', 'app.t', 'due', 'at-least-once'`,
      /bigint or uuid/,
    ],
    [
      'a due column without time zone',
      `${key}, due timestamp`,
      `'t', 'app.t', 'due', 'at-least-once'`,
      /is timestamp without time zone, and has to be timestamptz/,
    ],
    [
      'a due column that is not there',
      `${key}`,
      `'t', 'app.t', 'due', 'at-least-once'`,
      /is missing, and has to be timestamptz/,
    ],
    [
      'words that are not distinct',
      `${key}, due timestamptz`,
      `'t', 'app.t', 'due', 'at-least-once', '{"dead": "done"}'`,
      /have to be distinct/,
    ],
    [
      'a state that is none',
      `${key}, due timestamptz`,
      `'t', 'app.t', 'due', 'at-least-once', '{"paused": "x"}'`,
      /not paused/,
    ],
    [
      'a check that does not take a word',
      `${key}, due timestamptz, status text check (status in ('pending', 'running'))`,
      `'t', 'app.t', 'due', 'at-least-once'`,
      /the check "t_status_check" of app.t does not take the word/,
    ],
    [
      'a type that does not take a word',
      `${key}, due timestamptz, status boolean`,
      `'t', 'app.t', 'due', 'at-least-once'`,
      /the column status of app.t \(boolean\) does not take the word/,
    ],
    [
      'a standard column of another type',
      `${key}, due timestamptz, attempts text`,
      `'t', 'app.t', 'due', 'at-least-once'`,
      /the column attempts of app.t is text, and has to be integer/,
    ],
    [
      'a partition column that is not there',
      `${key}, due timestamptz`,
      `'t', 'app.t', 'due', 'at-least-once', p_partition_column => 'region'`,
      /partition column region of app.t is missing/,
    ],
    [
      'an account column that references no account',
      `${key}, due timestamptz, account_id uuid`,
      `'t', 'app.t', 'due', 'at-least-once', p_account_column => 'account_id'`,
      /has to reference punctual.accounts/,
    ],
    [
      'a result column that is not text',
      `${key}, due timestamptz, size integer`,
      `'t', 'app.t', 'due', 'at-least-once', p_result_columns => '{size}'`,
      /result column size of app.t is integer, and has to be text/,
    ],
    [
      'an after_settle that is not there',
      `${key}, due timestamptz`,
      `'t', 'app.t', 'due', 'at-least-once', p_after_settle => 'app.nothing'`,
      /there is no function app.nothing/,
    ],
    [
      'priorities that are out of range',
      `${key}, due timestamptz, priority smallint`,
      `'t', 'app.t', 'due', 'at-least-once'`,
      /priority is not between 0 and 3/,
    ],
    [
      'a due column that is a standard one',
      `${key}, next_attempt_at timestamptz`,
      `'t', 'app.t', 'next_attempt_at', 'at-least-once'`,
      /next_attempt_at has another role already/,
    ],
    [
      'a result column that is a standard one',
      `${key}, due timestamptz, last_error text`,
      `'t', 'app.t', 'due', 'at-least-once', p_result_columns => '{last_error}'`,
      /last_error has another role already/,
    ],
    [
      'a word that is too long for the column',
      `${key}, due timestamptz, status varchar(8)`,
      `'t', 'app.t', 'due', 'at-least-once'`,
      /\(character varying\(8\)\) does not take the word "cancelled"/,
    ],
    [
      'a word that the table of states does not know',
      `${key}, due timestamptz, status text references app.states`,
      `'t', 'app.t', 'due', 'at-least-once'`,
      /does not take the word "unknown": it is not in app.states/,
    ],
    [
      'the table of another queue',
      `${key}, due timestamptz`,
      `'t', 'punctual.dm_queue', 'send_at', 'at-least-once'`,
      /is the table of another queue/,
    ],
  ];
  it.each(cases)('%s', async (_case, columns, call, message) => {
    await database.sql('create table app.states (name text primary key)');
    await database.sql(
      `insert into app.states values ('pending'), ('running'), ('done'), ('dead'), ('cancelled')`,
    );
    await database.sql(`create table app.t (${columns})`);
    if (columns.includes('priority')) await database.sql('insert into app.t (id, priority) values (1, 7)');
    await expect(database.sql(`select punctual.add_queue(${call})`)).rejects.toThrow(message);
    // Refused is refused: nothing of it is left.
    expect(await database.sql(`select from punctual.queues where name <> 'dm_queue'`)).toEqual([]);
  });
});
