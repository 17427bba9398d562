import { describe, expect, it } from 'vitest';
import { attemptIn } from '../support/attempt.ts';
import { perTestExchanges } from '../support/fixtures.ts';
import { appDatabase, insertRow, readQueueStats } from '../support/own-tables.ts';

const database = appDatabase();
const sql = perTestExchanges(database);

const plain = `'trials', 'app.trials', 'next_at', 'at-least-once'`;
async function addQueue(call = plain) {
  const [{ answer }] = await database.sql(`select punctual.add_queue(${call}) as answer`);
  return answer;
}
/** Creates `app.trials`. `columns` follow the key and the due time. */
const createTrials = (columns = '') =>
  database.sql(
    `create table app.trials (id bigint generated always as identity primary key, next_at timestamptz${columns})`,
  );
const addTrial = (row: Record<string, unknown> = {}) =>
  insertRow(database, 'app.trials', { next_at: sql.at(-1), ...row });
const nowUsed = (columns: string) =>
  `these columns existed already, and ticks use them from now on: ${columns}`;
const newCheck = 'priority has a new check, "punctual_trials_priority": it must be between 0 and 3';

describe('add_queue notes', () => {
  it.each([
    [
      'columns that ticks now use, and checks on several columns',
      `, expires_at timestamptz, status text default 'pending', paid boolean, check (status <> 'done' or paid)`,
      [nowUsed('expires_at')],
      ['the check "trials_check" covers several columns: it must allow every word that a tick writes'],
    ],
    [
      'checks on columns that ticks write',
      `, last_error text constraint short check (length(last_error) < 10), attempts integer default 0,
       claimed_at timestamptz, constraint begun check (attempts = 0 or claimed_at is not null)`,
      [nowUsed('last_error, attempts, claimed_at')],
      [
        'the check "begun" is on attempts, claimed_at: it must allow every value that a tick writes there',
        'the check "short" is on last_error: it must allow every value that a tick writes there',
      ],
    ],
    [
      'the new check on a priority',
      ', priority smallint not null default 2',
      [nowUsed('priority'), newCheck],
      [],
    ],
  ])('%s; what it changed only once', async (_, columns, once, always) => {
    await createTrials(columns);
    expect((await addQueue()).notes).toEqual([...once, ...always]);
    expect((await addQueue()).notes).toEqual(always);
  });

  it('triggers that would run in ticks without a search_path of their own', async () => {
    await createTrials();
    for (const [name, path] of [
      ['note', ''],
      ['note_well', 'set search_path = app'],
    ]) {
      await database.sql(
        `create function app.${name}() returns trigger language plpgsql ${path} as 'begin return new; end'`,
      );
      await database.sql(
        `create trigger ${name} after update on app.trials for each row execute function app.${name}()`,
      );
    }
    expect((await addQueue()).notes).toEqual([
      'the trigger "note" runs in ticks with an empty search_path: give app.note() its own (set search_path = …), or qualify its names',
    ]);
  });

  it('the number of rows that the first ticks run', async () => {
    await createTrials();
    await database.sql(
      `insert into app.trials (next_at) values (now()), (now() - interval '1 year'), (now() + interval '1 day'), (null)`,
    );
    const notes = async (state: string) => (await addQueue(`${plain}, p_existing_rows => '${state}'`)).notes;
    expect(await notes('done')).toEqual([]);
    await database.sql(`select punctual.remove_queue('trials', true)`);
    expect(await notes('pending')).toEqual([
      'rows that are already pending and due, and run in the first ticks: 2',
    ]);
  });
});

describe('a table that becomes a queue', () => {
  it('keeps its rows for ever by default', async () => {
    await createTrials(`, status text default 'pending', finished_at timestamptz`);
    await addQueue();
    await addTrial({ status: 'done', finished_at: '2020-01-01' });
    await database.rpc('prune', { p_now: sql.now });
    expect(await database.sql('select status from app.trials')).toEqual([{ status: 'done' }]);
  });

  it('may have another column with a state’s word if p_status_column names status', async () => {
    await createTrials(`, approval text check (approval in ('pending', 'approved'))`);
    expect((await addQueue(`${plain}, p_status_column => 'status'`)).added).toContain('status');
  });

  it('has its setup recorded for the dashboard', async () => {
    await createTrials(`, status text default 'pending', claimed_at timestamptz, priority smallint`);
    await addQueue();
    await database.sql('grant insert on app.trials to anon');
    await database.sql('alter table app.trials add paid boolean, add check (status = $$done$$ or paid)');
    // A second call with another delivery adds the columns that it needs.
    await addQueue(`'trials', 'app.trials', 'next_at', 'at-most-once'`);
    const { trials, dm_queue } = await readQueueStats(database, sql.now);
    expect(trials?.setup).toEqual({
      table: 'app.trials',
      added: [
        ...['attempts', 'max_attempts', 'next_attempt_at', 'claim_id', 'lease_expires_at', 'timeout_seconds'],
        ...['last_error', 'finished_at', 'expires_at', 'idempotency_key', 'reconcile_at', 'reconcile'],
      ],
      changes: [nowUsed('claimed_at, priority'), newCheck],
      notes: ['the check "trials_check" covers several columns: it must allow every word that a tick writes'],
      row_level_security: false,
      anon: ['insert'],
    });
    expect(dm_queue?.setup).toBeNull();
    // Access to the table is not recorded, but read each time.
    await database.sql('alter table app.trials enable row level security');
    const again = await readQueueStats(database, sql.now);
    expect(again.trials?.setup?.row_level_security).toBe(true);
  });

  it('gets a check on its priority, and defaults for existing columns that lack them', async () => {
    await createTrials(', priority smallint, attempts integer');
    await addQueue();
    await addTrial();
    await expect(addTrial({ priority: 5 })).rejects.toMatchObject({ code: '23514' });
    const { rows } = await sql.tick({ queue: 'trials' }).claim();
    expect(rows).toMatchObject([{ attempt: 1, row: { priority: 1 } }]);
  });

  it('is reported as open to anon even if anon may write only one column', async () => {
    await createTrials();
    await database.sql('grant update (next_at) on app.trials to anon');
    expect((await addQueue()).anon).toEqual(['update']);
  });

  it.each([
    ['pending', 'todo', ['1', '2']],
    ['done', 'finished', ['2']],
    ['cancelled', 'cancelled', ['2']],
  ])(
    'with existing rows that are %s runs those only if they are pending, and new rows always',
    async (state, word, claimed) => {
      await createTrials();
      await addTrial();
      const call = `${plain}, '{"pending": "todo", "done": "finished"}', p_existing_rows => '${state}'`;
      await addQueue(call);
      expect(await database.sql('select status from app.trials')).toEqual([{ status: word }]);
      await addTrial();
      // The migration may run again.
      await addQueue(call);
      const { rows } = await sql.tick({ queue: 'trials' }).claim();
      expect(rows.map(({ id }) => id)).toEqual(claimed);
    },
  );

  it.each([
    ['"my app"', 'trials'],
    ['"App"', '"X"'],
    ['"App"', '"it""s 100%"'],
    ['"tri.als"', `"a'b"`],
  ])('may be in the schema %s and have the name %s', async (schema, name) => {
    // Another table and its index, whose names differ from the queue's only in case.
    await database.sql('create table app.x (id bigint primary key)');
    await database.sql('create index punctual_quoted_due on app.x (id)');
    const table = `${schema}.${name}`;
    await database.sql(`create schema ${schema}`);
    try {
      await database.sql(
        `create table ${table} (id bigint generated always as identity primary key, due timestamptz, later timestamptz, priority smallint)`,
      );
      for (const column of ['due', 'later', 'due']) {
        const [{ answer }] = await database.sql(
          `select punctual.add_queue('quoted', $1, $2, 'at-least-once') as answer`,
          [table, column],
        );
        expect(answer).toMatchObject({ queue: 'quoted', table });
      }
      await insertRow(database, table, { due: sql.at(-1) });
      await attemptIn(sql.tick({ queue: 'quoted' }));
      expect(await database.sql(`select status from ${table}`)).toEqual([{ status: 'done' }]);
    } finally {
      await database.sql(`drop schema ${schema} cascade`);
    }
  });
});

describe('the indexes of a table that becomes a queue', () => {
  const indexes = async () =>
    Object.fromEntries(
      (
        await database.sql(
          `select indexname, indexdef from pg_indexes where indexname like 'punctual_trials_%'`,
        )
      ).map(({ indexname, indexdef }) => [indexname, indexdef]),
    );

  it('are made anew for new words and a new due column, and the autovacuum settings stay', async () => {
    await createTrials(`, later timestamptz, status text default 'pending'`);
    await addQueue();
    await database.sql('alter table app.trials set (autovacuum_vacuum_scale_factor = 0.5)');
    await addQueue(`'trials', 'app.trials', 'later', 'at-least-once', '{"pending": "todo"}'`);
    expect((await indexes()).punctual_trials_due).toContain(
      `(priority, COALESCE(next_attempt_at, later), id) WHERE (status = 'todo'::text)`,
    );
    const [{ reloptions }] = await database.sql(
      `select reloptions from pg_class where oid = 'app.trials'::regclass`,
    );
    expect(reloptions).toContain('autovacuum_vacuum_scale_factor=0.5');
  });

  it('are those of the new queue even if a removed queue left others', async () => {
    const call = `'trials', 'app.trials', 'later', 'at-least-once', '{"pending": "todo"}'`;
    await createTrials(`, later timestamptz, region text, status text default 'todo'`);
    await addQueue(call);
    const fresh = await indexes();
    const forget = () => database.sql(`delete from punctual.queues where name = 'trials'`);
    await forget();
    await addQueue(`'trials', 'app.trials', 'next_at', 'at-most-once', p_partition_column => 'region'`);
    expect(await indexes()).toHaveProperty('punctual_trials_reconcile');
    await forget();
    await addQueue(call);
    expect(await indexes()).toEqual(fresh);
  });

  it('include one of dead rows by partition, the longest dead first, if it has partitions', async () => {
    await createTrials(', "the Region" text, status text');
    await addQueue(`${plain}, p_words => '{"dead": "it''s over"}', p_partition_column => 'the Region'`);
    expect((await indexes()).punctual_trials_dead).toMatch(
      /\("the Region", finished_at, id\) WHERE \(status = 'it''s over'::text\)$/,
    );
    await addQueue();
    expect(await indexes()).not.toHaveProperty('punctual_trials_dead');
  });
});
