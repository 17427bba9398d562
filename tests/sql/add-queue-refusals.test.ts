import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { registryShape, tableShape } from '../support/table-shape.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase({ own: true });
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.sql('drop schema if exists app cascade');
  await database.reset();
  await database.sql('create schema app');
});

interface Refusal {
  mistake: string;
  /** Columns of `app.t` after the key and `due`. */
  columns?: string;
  /** The statement that creates `app.t`, instead of `columns`. */
  table?: string;
  /** Statements to run before the call. */
  given?: string[];
  call?: string;
  /** Without the prefix "add_queue: ". */
  message: string;
  /** Null if the message says it all. */
  hint: string | null;
}

const nameYourWords = 'name the words your table uses in p_words.';
const words = (...named: string[]) =>
  `the word${named.length > 1 ? 's' : ''} ${named.map((word) => `"${word}"`).join(', ')}`;
const allWords = words('cancelled', 'dead', 'done', 'pending', 'running', 'unknown');
const states = `'pending', 'running', 'done', 'dead', 'unknown'`;
const plain = `'t', 'app.t', 'due', 'at-least-once'`;
const fixColumn = 'Add it, name another column, or change its type.';
const oneRolePerColumn =
  'A column has one role: standard, status, due, partition, account, progress or result column.';
const createFunction = 'Create it first, and name it with its schema.';
const distinct = "Name six words, none of them empty. Add missing ones to the column's check.";
const retype = 'Rename your column, or change its type.';
const account = ', account_id uuid references punctual.accounts';

const refusals: Refusal[] = [
  {
    mistake: 'an invalid queue name',
    call: `'Trials!', 'app.t', 'due', 'at-least-once'`,
    message: '"Trials!" is not a valid queue name',
    hint: 'Use up to 40 lower-case letters, digits and _, beginning with a letter.',
  },
  {
    mistake: 'a queue name of 41 characters',
    call: `'${'t'.repeat(41)}', 'app.t', 'due', 'at-least-once'`,
    message: `"${'t'.repeat(41)}" is not a valid queue name`,
    hint: 'Use up to 40 lower-case letters, digits and _, beginning with a letter.',
  },
  {
    mistake: 'an unknown delivery',
    call: `'t', 'app.t', 'due', 'exactly-once'`,
    message: 'delivery cannot be "exactly-once"',
    hint: `Use 'at-most-once' or 'at-least-once'.`,
  },
  {
    mistake: 'a table name without a schema',
    call: `'t', 't', 'due', 'at-least-once'`,
    message: 'the table name "t" needs its schema',
    hint: `For example 'public.free_trials'.`,
  },
  {
    mistake: 'a table that does not exist',
    call: `'t', 'app.nothing', 'due', 'at-least-once'`,
    message: 'there is no table app.nothing',
    hint: `Check the spelling. A name with capitals needs its own quotes: 'public."FreeTrials"'.`,
  },
  ...['pg_catalog.pg_class', 'app.seen', 'app.parted', 'app.part', 'app.forgetful'].map((table) => ({
    mistake: `${table}, which is not an ordinary table`,
    given: [
      'create view app.seen as select * from app.t',
      'create table app.parted (id bigint primary key, due timestamptz) partition by range (id)',
      'create table app.part partition of app.parted for values from (0) to (9)',
      'create unlogged table app.forgetful (id bigint primary key, due timestamptz)',
    ],
    call: `'t', '${table}', 'due', 'at-least-once'`,
    message: `${table} is not an ordinary table`,
    hint: 'Views, partitions, partitioned, foreign, unlogged and system tables cannot be queues.',
  })),
  {
    mistake: 'the table of another queue',
    call: `'t', 'punctual.dm_queue', 'send_at', 'at-least-once'`,
    message: 'punctual.dm_queue is already the table of the queue dm_queue',
    hint: `Use that queue, or remove it first: select punctual.remove_queue('dm_queue');`,
  },
  {
    mistake: 'a second table for an existing queue',
    call: `'dm_queue', 'app.t', 'due', 'at-least-once'`,
    message: 'the queue dm_queue has another table, punctual.dm_queue',
    hint: 'Choose another name. If the table was renamed, update table_schema and table_name in punctual.queues.',
  },
  ...[
    ['without a primary key', 'id bigint, due timestamptz'],
    ['with a key of two columns', 'id bigint, b bigint, due timestamptz, primary key (id, b)'],
    ['with a key that is not named id', 'key bigint primary key, due timestamptz'],
    ['with an integer key', 'id integer primary key, due timestamptz'],
    ['with a text key', 'id text primary key, due timestamptz'],
  ].map(([lack, columns]) => ({
    mistake: `a table ${lack}`,
    table: `create table app.t (${columns})`,
    message: 'the primary key of app.t has to be one column id, bigint or uuid',
    hint: 'To change an integer key: alter table … alter column id type bigint. Otherwise add such a key.',
  })),
  ...[
    ['without time zone', 'due timestamp', 'timestamp without time zone'],
    ['that is a date', 'due date', 'date'],
    ['that is missing', 'other timestamptz', 'missing'],
  ].map(([flaw, column, type]) => ({
    mistake: `a due column ${flaw}`,
    table: `create table app.t (id bigint primary key, ${column})`,
    message: `the due column due of app.t is ${type}, and has to be timestamptz`,
    hint:
      type === 'missing'
        ? 'Name the column that says when a row is due: p_due_column.'
        : `Run: alter table … alter column … type timestamptz using … at time zone 'UTC'. Without a zone, each reader sees another instant.`,
  })),
  {
    mistake: 'a missing partition column',
    call: `${plain}, p_partition_column => 'region'`,
    message: 'the partition column region of app.t is missing, and has to be text',
    hint: fixColumn,
  },
  {
    mistake: 'an account column that is not a uuid',
    columns: ', account_id bigint',
    call: `${plain}, p_account_column => 'account_id'`,
    message: 'the account column account_id of app.t is bigint, and has to be uuid',
    hint: fixColumn,
  },
  {
    mistake: 'a pair column that is not text',
    columns: `${account}, person integer`,
    call: `${plain}, p_account_column => 'account_id', p_pair_column => 'person'`,
    message: 'the pair column person of app.t is integer, and has to be text',
    hint: fixColumn,
  },
  {
    mistake: 'a progress column that is not jsonb',
    columns: ', progress text',
    call: `${plain}, p_progress_column => 'progress'`,
    message: 'the progress column progress of app.t is text, and has to be jsonb',
    hint: fixColumn,
  },
  {
    mistake: 'a missing secret column',
    call: `${plain}, p_secret_columns => '{token}'`,
    message: 'the secret column token of app.t is missing, and has to be there',
    hint: fixColumn,
  },
  {
    mistake: 'a result column that is neither text nor jsonb',
    columns: ', size integer',
    call: `${plain}, p_result_columns => '{size}'`,
    message: 'the result column size of app.t is integer, and has to be text or jsonb',
    hint: fixColumn,
  },
  {
    mistake: 'a proof column that is jsonb',
    columns: ', sent jsonb',
    call: `${plain}, p_result_columns => '{sent}', p_proof_column => 'sent'`,
    message: 'the proof column sent is jsonb, and has to be text',
    hint: `It holds the provider's id of the message, which is looked up as text.`,
  },
  {
    mistake: 'a proof column that is not a result column',
    columns: ', sent text',
    call: `${plain}, p_proof_column => 'sent'`,
    message: 'the proof column sent is not a result column',
    hint: 'Name it in p_result_columns as well.',
  },
  {
    mistake: 'an account column without a foreign key to accounts',
    columns: ', account_id uuid',
    call: `${plain}, p_account_column => 'account_id'`,
    message: 'the account column account_id of app.t has to reference punctual.accounts (id)',
    hint: 'alter table app.t add foreign key (account_id) references punctual.accounts',
  },
  {
    mistake: 'a pair column without an account column',
    columns: ', person text',
    call: `${plain}, p_pair_column => 'person'`,
    message: 'a pair column needs an account column',
    hint: 'Name it in p_account_column, or leave out p_pair_column.',
  },
  {
    mistake: 'a standard column as the due column',
    columns: ', next_attempt_at timestamptz',
    call: `'t', 'app.t', 'next_attempt_at', 'at-least-once'`,
    message: 'the column next_attempt_at has another role already',
    hint: oneRolePerColumn,
  },
  {
    mistake: 'a standard column as a result column',
    columns: ', last_error text',
    call: `${plain}, p_result_columns => '{last_error}'`,
    message: 'the column last_error has another role already',
    hint: oneRolePerColumn,
  },
  {
    mistake: 'the same column for a result and the partition',
    columns: ', region text',
    call: `${plain}, p_partition_column => 'region', p_result_columns => '{region}'`,
    message: 'the column region has another role already',
    hint: oneRolePerColumn,
  },
  {
    mistake: 'the same column for a result and the progress',
    columns: ', data jsonb',
    call: `${plain}, p_progress_column => 'data', p_result_columns => '{data}'`,
    message: 'the column data has another role already',
    hint: oneRolePerColumn,
  },
  {
    mistake: 'existing rows without a status column, even if another column has the words',
    columns: `, state text default 'open'`,
    given: [`insert into app.t (id, due, state) values (1, '2020-01-01', 'void')`],
    call: `${plain}, '{"pending": "open", "dead": "void"}'`,
    message: 'app.t has rows and no column status, so the state of these rows is unknown',
    hint: `Name their state: p_existing_rows => 'done' (or 'cancelled'), or 'pending' to run the due ones in the first tick. If another column has the state, name it in p_status_column.`,
  },
  ...[
    [
      `text check (state in ('draft', 'open'))`,
      `'t', 'app.t', 'due', 'at-least-once', '{"pending": "open"}'`,
      'open',
    ],
    ['app.state', plain, 'pending'],
  ].map(([type, call, word]) => ({
    mistake: `an empty table whose state seems to be in another column (${type})`,
    given: [`create type app.state as enum (${states})`],
    columns: `, note text, state ${type}`,
    call,
    message: `app.t has no column status, but a column state that accepts the word "${word}"`,
    hint: `If it has the row's state: p_status_column => 'state'. If not: p_status_column => 'status', which add_queue adds.`,
  })),
  {
    mistake: 'an empty table with a state column whose words are others',
    columns: `, state text check (state in ('waiting', 'notified', 'lost'))`,
    call: plain,
    message: 'app.t has no column status, but a column state that has a check or an enum of its own',
    hint: `If it has the row's state: p_status_column => 'state'. If not: p_status_column => 'status', which add_queue adds.`,
  },
  {
    mistake: 'a misspelt status column',
    columns: `, state text, kind app.kind, amount integer, last_error text`,
    given: [`create type app.kind as enum ('once', 'monthly')`],
    call: `${plain}, p_status_column => 'sate'`,
    message: 'the status column sate of app.t is missing, and has to be there',
    hint: 'Name an existing column: state, kind. Without p_status_column, a column status is added.',
  },
  {
    mistake: 'a state for existing rows other than pending, done and cancelled',
    call: `${plain}, p_existing_rows => 'dead'`,
    message: 'p_existing_rows cannot be "dead"',
    hint: `Use the state of the existing rows: 'pending', 'done' or 'cancelled'.`,
  },
  {
    mistake: 'a state for existing rows that have a status',
    columns: `, status text default 'pending'`,
    call: `${plain}, p_existing_rows => 'done'`,
    message: 'p_existing_rows does not apply: app.t has a column status with the state of each row',
    hint: 'Leave out p_existing_rows. To change the state of rows, update them first.',
  },
  {
    mistake: 'words for unknown states',
    call: `${plain}, '{"paused": "x", "held": "y"}'`,
    message: 'p_words has unknown states: held, paused',
    hint: "Its keys are pending, running, done, dead, unknown and cancelled. Its values are your table's words for them.",
  },
  {
    mistake: 'the same word for two states',
    call: `${plain}, '{"dead": "done"}'`,
    message:
      'the six state words have to be distinct, and are pending "pending", running "running", done "done", dead "done", unknown "unknown", cancelled "cancelled"',
    hint: distinct,
  },
  {
    mistake: 'an empty word',
    call: `${plain}, '{"dead": ""}'`,
    message:
      'the six state words have to be distinct, and are pending "pending", running "running", done "done", dead "", unknown "unknown", cancelled "cancelled"',
    hint: distinct,
  },
  {
    mistake: 'an after_settle function that does not exist',
    call: `${plain}, p_after_settle => 'app.nothing'`,
    message: 'there is no function app.nothing(p_applied jsonb, p_now timestamptz)',
    hint: createFunction,
  },
  {
    mistake: 'a before_claim function that does not exist',
    call: `${plain}, p_before_claim => 'app.nothing'`,
    message: 'there is no function app.nothing(p_partition text, p_now timestamptz)',
    hint: createFunction,
  },
  {
    mistake: 'an after_settle function with other parameters',
    given: [`create function app.note(text) returns void language sql as 'select'`],
    call: `${plain}, p_after_settle => 'app.note'`,
    message: 'there is no function app.note(p_applied jsonb, p_now timestamptz)',
    hint: createFunction,
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
      mistake: `"${name}" as the after_settle function`,
      call: `${plain}, p_after_settle => '${name}'`,
      message: `there is no function ${name}(p_applied jsonb, p_now timestamptz)`,
      hint: createFunction,
    },
    {
      mistake: `"${name}" as the evidence function`,
      call: `${plain}, p_evidence => '${name}'`,
      message: `there is no function ${name}(p_ids text[], p_now timestamptz)`,
      hint: createFunction,
    },
  ]),
  {
    mistake: 'an evidence function that does not exist',
    call: `${plain}, p_evidence => 'app.nothing'`,
    message: 'there is no function app.nothing(p_ids text[], p_now timestamptz)',
    hint: createFunction,
  },
  ...[
    ['a boolean', 'boolean', 'boolean', allWords],
    ['a number', 'integer', 'integer', allWords],
    ['too short', 'varchar(8)', 'character varying(8)', words('cancelled')],
    ['an enum that lacks one word', 'app.state', 'app.state', words('cancelled')],
    ['an enum that lacks three words', 'app.open', 'app.open', words('cancelled', 'dead', 'unknown')],
    ['a domain that lacks one word', 'app.narrow', 'app.narrow', words('cancelled')],
    ['padded with spaces', 'char(9)', 'character(9)', words('dead', 'done', 'pending', 'running', 'unknown')],
  ].map(([flaw, type, fullType, lacking]) => ({
    mistake: `a status column that is ${flaw}`,
    given: [
      `create type app.state as enum (${states})`,
      `create type app.open as enum ('pending', 'running', 'done')`,
      `create domain app.narrow as text check (value in (${states}))`,
    ],
    table: `create table app.t (id bigint primary key, due timestamptz, status ${type})`,
    message: `the column status of app.t (${fullType}) does not take ${lacking}`,
    hint: `Add them to the type, or ${nameYourWords}`,
  })),
  {
    mistake: 'a check that rejects one word',
    columns: `, status text check (status in (${states}))`,
    message: 'the check "t_status_check" of app.t does not take the word "cancelled"',
    hint: `Widen the check, or ${nameYourWords}`,
  },
  {
    mistake: 'a check that rejects several words',
    columns: `, state text check (state in ('draft', 'open', 'paid', 'void'))`,
    call: `${plain}, '{"pending": "open", "done": "paid"}', p_status_column => 'state'`,
    message: `the check "t_state_check" of app.t does not take ${words('cancelled', 'dead', 'running', 'unknown')}`,
    hint: `Widen the check, or ${nameYourWords}`,
  },
  {
    mistake: 'a second check that rejects one word',
    columns: `, status text check (length(status) > 0) constraint short check (length(status) < 9)`,
    message: 'the check "short" of app.t does not take the word "cancelled"',
    hint: `Widen the check, or ${nameYourWords}`,
  },
  {
    mistake: 'words that the referenced table of states lacks',
    given: ['create table app.states (name text primary key)', `insert into app.states values ('cancelled')`],
    table: `create table app.t (id bigint primary key, due timestamptz, status text references app.states)`,
    message: `"t_status_fkey" of app.t does not take ${words('dead', 'done', 'pending', 'running', 'unknown')}, which app.states lacks`,
    hint: `Insert them there, or ${nameYourWords}`,
  },
  ...[
    ['priority', 'integer', 'smallint'],
    ['attempts', 'text', 'integer'],
    ['claim_id', 'text', 'uuid'],
    ['finished_at', 'date', 'timestamp with time zone'],
    ['last_error', 'jsonb', 'text'],
    // Any varchar is refused, because it may be too short for an error.
    ['last_error', 'character varying', 'text'],
  ].map(([name, type, expected]) => ({
    mistake: `a column ${name} of type ${type}`,
    columns: `, ${name} ${type}`,
    message: `the column ${name} of app.t is ${type}, and has to be ${expected}`,
    hint: retype,
  })),
  ...['7', 'null'].map((priority) => ({
    mistake: `rows whose priority is ${priority}`,
    columns: ', priority smallint',
    given: [`insert into app.t (id, priority) values (1, ${priority})`],
    call: `${plain}, p_existing_rows => 'pending'`,
    message: 'app.t has rows whose priority is not between 0 and 3',
    hint: 'update app.t set priority = 1 where priority is null or priority not between 0 and 3, or rename your column.',
  })),
  ...['5', '(2 + 2)'].map((value) => ({
    mistake: `a priority whose default is ${value}`,
    columns: `, priority smallint not null default ${value}`,
    message: `app.t has an invalid default (${value}): priority is not between 0 and 3`,
    hint: 'alter table app.t alter column priority set default 1, or rename your column.',
  })),
  {
    mistake: 'attempts whose default is negative',
    columns: `, attempts integer not null default '-1'`,
    message: `app.t has an invalid default ('-1'::integer): attempts are null or negative`,
    hint: 'alter table app.t alter column attempts set default 0, or rename your column.',
  },
  ...[
    ['max_attempts', 5],
    ['timeout_seconds', 15],
  ].flatMap(([name, remedy]) => [
    {
      mistake: `rows whose ${name} is 0`,
      columns: `, ${name} integer`,
      given: [`insert into app.t (id, ${name}) values (1, null), (2, 0)`],
      call: `${plain}, p_existing_rows => 'pending'`,
      message: `app.t has rows whose ${name} is less than 1`,
      hint: `update app.t set ${name} = ${remedy} where ${name} < 1, or rename your column.`,
    },
    {
      mistake: `a ${name} whose default is 0`,
      columns: `, ${name} integer not null default 0`,
      message: `app.t has an invalid default (0): ${name} is less than 1`,
      hint: `alter table app.t alter column ${name} set default ${remedy}, or rename your column.`,
    },
  ]),
  {
    mistake: 'a check that raises an error',
    columns: `, status text check (status::integer > 0)`,
    message: `the check "t_status_check" of app.t does not take ${allWords}`,
    hint: `Widen the check, or ${nameYourWords}`,
  },
  {
    mistake: 'a schema without a table name',
    call: `'t', 'public.', 'due', 'at-least-once'`,
    message: 'the table name "public." needs its schema',
    hint: `For example 'public.free_trials'.`,
  },
  {
    mistake: 'one of Punctual’s own tables',
    call: `'t', 'punctual.accounts', 'created_at', 'at-least-once'`,
    message: 'the table punctual.accounts is reserved for Punctual',
    hint: 'Create a table of your own.',
  },
  {
    mistake: 'a call without a due column',
    call: `'t', 'app.t', null, 'at-least-once'`,
    message: 'the due column <NULL> of app.t is missing, and has to be timestamptz',
    hint: 'Name the column that says when a row is due: p_due_column.',
  },
  ...[
    ['status', `, status text generated always as ('pending') stored`],
    ['attempts', ', attempts integer generated always as (1) stored'],
    ['sent', `, sent text generated always as ('x') stored`],
  ].map(([name, columns]) => ({
    mistake: `a generated column ${name}`,
    columns,
    call: name === 'sent' ? `${plain}, p_result_columns => '{sent}'` : plain,
    message: `the column ${name} of app.t is generated, but ticks have to write it`,
    hint: `alter table app.t alter column ${name} drop expression, or rename your column.`,
  })),
  {
    mistake: 'an identity column attempts',
    columns: ', attempts integer generated by default as identity',
    message: 'the column attempts of app.t is generated, but ticks have to write it',
    hint: 'alter table app.t alter column attempts drop identity, or rename your column.',
  },
  ...[
    ['last_error', `text not null default ''`],
    ['finished_at', 'timestamptz not null default now()'],
  ].map(([name, type]) => ({
    mistake: `a not-null column ${name}`,
    columns: `, ${name} ${type}`,
    message: `the column ${name} of app.t is not null, but ticks have to set it to null`,
    hint: `alter table app.t alter column ${name} drop not null, or rename your column.`,
  })),
  ...['[]', '"x"', 'null', '{"dead": null}', '{"dead": 5}', '{"dead": {"a": 1}}'].map((value) => ({
    mistake: `${value} as p_words`,
    call: `${plain}, '${value}'`,
    message: 'p_words is not an object of words',
    hint: `For example '{"running": "sending", "done": "sent"}'.`,
  })),
  ...['p_after_settle', 'p_evidence', 'p_facts'].map((name) => ({
    mistake: `a function for ${name} that ticks may not call`,
    given: [
      `create function app.f(jsonb, timestamptz) returns void language sql as 'select'`,
      `create function app.f(text[], timestamptz) returns jsonb language sql as 'select null::jsonb'`,
      'revoke execute on all functions in schema app from public',
    ],
    call: `${plain}, ${name} => 'app.f'`,
    message: 'ticks run as service_role, which may not call app.f',
    hint: 'Run: grant execute on function … to service_role; grant usage on schema … to service_role.',
  })),
  {
    mistake: 'a function that service_role owns, and could replace',
    given: [
      `create function app.f(jsonb, timestamptz) returns void language sql as 'select'`,
      'alter function app.f(jsonb, timestamptz) owner to service_role',
    ],
    call: `${plain}, p_after_settle => 'app.f'`,
    message: 'the owner of app.f lacks the rights of Punctual’s owner',
    hint: 'Run: alter function … owner to the owner of the schema punctual.',
  },
  {
    mistake: 'a table with another owner, whose triggers would run with Punctual’s rights',
    given: ['alter table app.t owner to authenticated'],
    call: plain,
    message:
      'the owner of app.t lacks the rights of Punctual’s owner, with which after_restore runs the table’s triggers',
    hint: 'Run: alter table … owner to the owner of the schema punctual. Or make its owner a member of that role.',
  },
  {
    mistake: 'settings that are not an object',
    call: `${plain}, p_settings => '[]'`,
    message: 'p_settings is not an object of settings',
    hint: `For example '{"concurrency": 10}'.`,
  },
  {
    mistake: 'an unknown setting',
    call: `${plain}, p_settings => '{"batch": 5}'`,
    message: 'there is no setting batch',
    hint: 'The settings are batch_limit, concurrency, adaptive, budget_seconds, max_ticks, timeout_seconds, lease_seconds, max_attempts, backoff_base_seconds, backoff_cap_seconds and retention_days.',
  },
  ...[0, 36_501, 2_147_483_647].map((days) => ({
    mistake: `a retention of ${days} days`,
    call: `${plain}, p_settings => '{"retention_days": ${days}}'`,
    message:
      'a setting is out of range: new row for relation "queues" violates check constraint "queues_retention_days_check"',
    hint: 'docs/settings.md has the range of each setting.',
  })),
  ...[
    ['0', 'new row for relation "queues" violates check constraint "queues_concurrency_check"'],
    ['null', 'null value in column "concurrency" of relation "queues" violates not-null constraint'],
    ['"many"', 'invalid input syntax for type integer: "many"'],
  ].map(([value, reason]) => ({
    mistake: `a concurrency of ${value}`,
    call: `${plain}, p_settings => '{"concurrency": ${value}}'`,
    message: `a setting is out of range: ${reason}`,
    hint: 'docs/settings.md has the range of each setting.',
  })),
  {
    mistake: 'rows whose attempts are null',
    columns: ', attempts integer',
    given: ['insert into app.t (id) values (1)'],
    call: `${plain}, p_existing_rows => 'pending'`,
    message: 'app.t has rows whose attempts are null or negative',
    hint: 'update app.t set attempts = 0 where attempts is null or attempts < 0, or rename your column.',
  },
  {
    mistake: 'two rows with the same idempotency key',
    columns: ', idempotency_key text',
    given: [`insert into app.t (id, idempotency_key) values (1, 'k'), (2, 'k')`],
    call: `${plain}, p_existing_rows => 'pending'`,
    message: 'two rows of app.t have the idempotency_key "k"',
    hint: 'Keys must be unique: set one of them to null, or rename your column.',
  },
  {
    mistake: 'an index of the queue’s name on another table',
    given: ['create table app.old (id bigint)', 'create index punctual_t_due on app.old (id)'],
    message: 'the index app.punctual_t_due belongs to app.old',
    hint: 'A removed queue of this name left it. Drop its indexes.',
  },
];

const enumMessage =
  'add_queue: the word "cancelled" was added to app.state in this transaction, and cannot be used before its end';

describe('add_queue refuses', () => {
  it.each(refusals)('$mistake', async ({ columns = '', table, given = [], call = plain, message, hint }) => {
    const create = table ?? `create table app.t (id bigint primary key, due timestamptz${columns})`;
    // Types and functions come before the table. Its rows and changes of it come after it.
    const afterTable = given.filter((statement) => / app\.t\b/.test(statement));
    for (const statement of [...given.filter((one) => !afterTable.includes(one)), create, ...afterTable]) {
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
    // A refused call changes nothing.
    expect(await state()).toEqual(before);
  });

  it('an enum’s word that was added in the same transaction', async () => {
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

  it('only for reasons that have a case here', () => {
    const folder = new URL('../../supabase/schemas/add-queue/', import.meta.url);
    const sql = readdirSync(folder)
      .map((file) => readFileSync(new URL(file, folder), 'utf8'))
      .join('');
    const templates = [...sql.matchAll(/raise exception '(add_queue: (?:[^']|'')*)'/g)].map(
      ([, text = '']) => text,
    );
    expect(templates.length).toBeGreaterThan(20);
    const literally = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    const messages = [enumMessage, ...refusals.map(({ message }) => `add_queue: ${message}`)];
    const untested = templates.filter((template) => {
      const pattern = new RegExp(
        `^${template.replaceAll(`''`, `'`).split('%').map(literally).join('.*')}$`,
        's',
      );
      return !messages.some((message) => pattern.test(message));
    });
    expect(untested).toEqual([]);
  });
});
