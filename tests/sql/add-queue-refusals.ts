/** A call of add_queue that is refused, for a table `app.t`. */
export interface Mistake {
  /** The first four arguments of add_queue. */
  queue?: string;
  table?: string;
  due?: string | null;
  delivery?: string;
  /** Its other arguments. */
  more?: string;
  /** Columns of `app.t` after the key and `due`. */
  columns?: string;
  /** All columns of `app.t`. */
  allColumns?: string;
  /** Statements to run before the call. Those that name `app.t` run after it is created. */
  given?: string[];
}
export type Refusal = Mistake & { message: string; hint: string };

/** Refusals with the same message and hint. The message comes without the prefix "add_queue: ". */
const refused = (message: string, hint: string, ...mistakes: Mistake[]): Refusal[] =>
  mistakes.map((mistake) => ({ ...mistake, message, hint }));

const words = (...named: string[]) =>
  `the word${named.length > 1 ? 's' : ''} ${named.map((word) => `"${word}"`).join(', ')}`;
const allWords = words('cancelled', 'dead', 'done', 'pending', 'running', 'unknown');
export const allButCancelled = `'pending', 'running', 'done', 'dead', 'unknown'`;
const nameYourWords = 'name the words your table uses in p_words.';
const existing = `p_existing_rows => 'pending'`;
const afterSettle = `create function app.f(jsonb, timestamptz) returns void language sql as 'select'`;
const nameOf = (column: string) => column.split(' ')[0];

const aboutTables: Refusal[] = [
  ...['t', 'public.'].map((table) => ({
    table,
    message: `the table name "${table}" needs its schema`,
    hint: `For example 'public.free_trials'.`,
  })),
  ...refused(
    'there is no table app.nothing',
    `Check the spelling. A name with capitals needs its own quotes: 'public."FreeTrials"'.`,
    { table: 'app.nothing' },
  ),
  ...['pg_catalog.pg_class', 'app.seen', 'app.parted', 'app.part', 'app.forgetful'].map((table) => ({
    table,
    given: [
      'create view app.seen as select * from app.t',
      'create table app.parted (id bigint primary key, due timestamptz) partition by range (id)',
      'create table app.part partition of app.parted for values from (0) to (9)',
      'create unlogged table app.forgetful (id bigint primary key, due timestamptz)',
    ],
    message: `${table} is not an ordinary table`,
    hint: 'Views, partitions, partitioned, foreign, unlogged and system tables cannot be queues.',
  })),
  ...refused(
    'punctual.dm_queue is already the table of the queue dm_queue',
    `Use that queue, or remove it first: select punctual.remove_queue('dm_queue');`,
    { table: 'punctual.dm_queue' },
  ),
  ...refused(
    'the queue dm_queue has another table, punctual.dm_queue',
    'Choose another name. If the table was renamed, update table_schema and table_name in punctual.queues.',
    { queue: 'dm_queue' },
  ),
  ...refused('the table punctual.accounts is reserved for Punctual', 'Create a table of your own.', {
    table: 'punctual.accounts',
  }),
  ...refused(
    'the primary key of app.t has to be one column id, bigint or uuid',
    'To change an integer key: alter table … alter column id type bigint. Otherwise add such a key.',
    { allColumns: 'id bigint, due timestamptz' },
    { allColumns: 'id bigint, b bigint, due timestamptz, primary key (id, b)' },
    { allColumns: 'key bigint primary key, due timestamptz' },
    { allColumns: 'id integer primary key, due timestamptz' },
  ),
  ...refused(
    'the owner of app.t lacks the rights of Punctual’s owner, with which after_restore runs the table’s triggers',
    'Run: alter table … owner to the owner of the schema punctual. Or make its owner a member of that role.',
    { given: ['alter table app.t owner to authenticated'] },
  ),
  ...refused(
    'the index app.punctual_t_due belongs to app.old',
    'A removed queue of this name left it. Drop its indexes.',
    { given: ['create table app.old (id bigint)', 'create index punctual_t_due on app.old (id)'] },
  ),
];

const aboutColumns: Refusal[] = [
  ...['other', null].map((due) => ({
    due,
    message: `the due column ${due ?? '<NULL>'} of app.t is missing, and has to be timestamptz`,
    hint: 'Name the column that says when a row is due: p_due_column.',
  })),
  ...['timestamp without time zone', 'date'].map((type) => ({
    allColumns: `id bigint primary key, due ${type}`,
    message: `the due column due of app.t is ${type}, and has to be timestamptz`,
    hint: `Run: alter table … alter column … type timestamptz using … at time zone 'UTC'. Without a zone, each reader sees another instant.`,
  })),
  ...[
    ['partition', 'column', 'region', 'missing', 'text'],
    ['account', 'column', 'account_id', 'bigint', 'uuid'],
    ['progress', 'column', 'progress', 'text', 'jsonb'],
    ['secret', 'columns', 'token', 'missing', 'there'],
    ['result', 'columns', 'size', 'integer', 'text or jsonb'],
  ].map(([role, parameter, name, is, wanted]) => ({
    columns: is === 'missing' ? '' : `${name} ${is}`,
    more: `p_${role}_${parameter} => '${parameter === 'columns' ? `{${name}}` : name}'`,
    message: `the ${role} column ${name} of app.t is ${is}, and has to be ${wanted}`,
    hint: 'Add it, name another column, or change its type.',
  })),
  ...refused(
    'the pair column person of app.t is integer, and has to be text',
    'Add it, name another column, or change its type.',
    {
      columns: 'account_id uuid references punctual.accounts, person integer',
      more: `p_account_column => 'account_id', p_pair_column => 'person'`,
    },
  ),
  ...refused(
    'the proof column sent is jsonb, and has to be text',
    `It holds the provider's id of the message, which is looked up as text.`,
    { columns: 'sent jsonb', more: `p_result_columns => '{sent}', p_proof_column => 'sent'` },
  ),
  ...refused('the proof column sent is not a result column', 'Name it in p_result_columns as well.', {
    columns: 'sent text',
    more: `p_proof_column => 'sent'`,
  }),
  ...refused(
    'the account column account_id of app.t has to reference punctual.accounts (id)',
    'alter table app.t add foreign key (account_id) references punctual.accounts',
    { columns: 'account_id uuid', more: `p_account_column => 'account_id'` },
  ),
  ...refused(
    'a pair column needs an account column',
    'Name it in p_account_column, or leave out p_pair_column.',
    { columns: 'person text', more: `p_pair_column => 'person'` },
  ),
  ...[
    { columns: 'next_attempt_at timestamptz', due: 'next_attempt_at', name: 'next_attempt_at' },
    { more: `p_status_column => 'due'`, name: 'due' },
    { columns: 'last_error text', more: `p_result_columns => '{last_error}'`, name: 'last_error' },
    { columns: 'a text', more: `p_partition_column => 'a', p_result_columns => '{a}'`, name: 'a' },
    { columns: 'a jsonb', more: `p_progress_column => 'a', p_result_columns => '{a}'`, name: 'a' },
  ].map(({ name, ...mistake }) => ({
    ...mistake,
    message: `the column ${name} has another role already`,
    hint: 'A column has one role: standard, status, due, partition, account, progress or result column.',
  })),
  ...[
    ['priority', 'integer', 'smallint'],
    ['claim_id', 'text', 'uuid'],
    // Any varchar is refused, because it may be too short for an error.
    ['last_error', 'character varying', 'text'],
  ].map(([name, type, wanted]) => ({
    columns: `${name} ${type}`,
    message: `the column ${name} of app.t is ${type}, and has to be ${wanted}`,
    hint: 'Rename your column, or change its type.',
  })),
  ...[
    [`status text generated always as ('pending') stored`, 'expression'],
    [`sent text generated always as ('x') stored`, 'expression', `p_result_columns => '{sent}'`],
    ['attempts integer generated by default as identity', 'identity'],
  ].map(([columns = '', generated, more]) => ({
    columns,
    more,
    message: `the column ${nameOf(columns)} of app.t is generated, but ticks have to write it`,
    hint: `alter table app.t alter column ${nameOf(columns)} drop ${generated}, or rename your column.`,
  })),
  ...['last_error text', 'finished_at timestamptz'].map((column) => ({
    columns: `${column} not null default now()`,
    message: `the column ${nameOf(column)} of app.t is not null, but ticks have to set it to null`,
    hint: `alter table app.t alter column ${nameOf(column)} drop not null, or rename your column.`,
  })),
];

const badPriority = 'priority is not between 0 and 3';
const remedies = {
  [badPriority]: 'priority = 1 where priority is null or priority not between 0 and 3',
  'attempts are null or negative': 'attempts = 0 where attempts is null or attempts < 0',
  'max_attempts is less than 1': 'max_attempts = 5 where max_attempts < 1',
  'timeout_seconds is less than 1': 'timeout_seconds = 15 where timeout_seconds < 1',
};
type Flaw = keyof typeof remedies;

const aboutValues: Refusal[] = [
  ...(
    [
      ['priority smallint', '7', badPriority],
      ['priority smallint', 'null', badPriority],
      ['attempts integer', 'null', 'attempts are null or negative'],
      ['max_attempts integer', '0', 'max_attempts is less than 1'],
      ['timeout_seconds integer', '0', 'timeout_seconds is less than 1'],
    ] as [string, string, Flaw][]
  ).map(([columns, value, flaw]) => ({
    columns,
    given: [`insert into app.t (id, ${nameOf(columns)}) values (1, ${value})`],
    more: existing,
    message: `app.t has rows whose ${flaw}`,
    hint: `update app.t set ${remedies[flaw]}, or rename your column.`,
  })),
  ...(
    [
      ['priority smallint', '5', badPriority],
      ['priority smallint', '(2 + 2)', badPriority],
      ['attempts integer', `'-1'::integer`, 'attempts are null or negative'],
      ['max_attempts integer', '0', 'max_attempts is less than 1'],
      ['timeout_seconds integer', '0', 'timeout_seconds is less than 1'],
    ] as [string, string, Flaw][]
  ).map(([column, value, flaw]) => ({
    columns: `${column} not null default ${value}`,
    message: `app.t has an invalid default (${value}): ${flaw}`,
    hint: `alter table app.t alter column ${remedies[flaw].split(' where')[0]?.replace(' =', ' set default')}, or rename your column.`,
  })),
  ...refused(
    'two rows of app.t have the idempotency_key "k"',
    'Keys must be unique: set one of them to null, or rename your column.',
    {
      columns: 'idempotency_key text',
      given: [`insert into app.t (id, idempotency_key) values (1, 'k'), (2, 'k')`],
      more: existing,
    },
  ),
];

const aboutStates: Refusal[] = [
  ...refused(
    'app.t has rows and no column status, so the state of these rows is unknown',
    `Name their state: p_existing_rows => 'done' (or 'cancelled'), or 'pending' to run the due ones in the first tick. If another column has the state, name it in p_status_column.`,
    {
      columns: `state text default 'open'`,
      given: [`insert into app.t (id, due, state) values (1, '2020-01-01', 'void')`],
      more: `'{"pending": "open", "dead": "void"}'`,
    },
  ),
  ...[
    [`text check (state in ('draft', 'open'))`, 'accepts the word "open"', `'{"pending": "open"}'`],
    ['app.state', 'accepts the word "pending"'],
    [`text check (state in ('waiting', 'notified', 'lost'))`, 'has a check or an enum of its own'],
  ].map(([type, finding, more]) => ({
    given: [`create type app.state as enum (${allButCancelled})`],
    columns: `note text, state ${type}`,
    more,
    message: `app.t has no column status, but a column state that ${finding}`,
    hint: `If it has the row's state: p_status_column => 'state'. If not: p_status_column => 'status', which add_queue adds.`,
  })),
  ...refused(
    'the status column sate of app.t is missing, and has to be there',
    'Name an existing column: state, kind. Without p_status_column, a column status is added.',
    {
      given: [`create type app.kind as enum ('once', 'monthly')`],
      columns: 'state text, kind app.kind, amount integer, last_error text',
      more: `p_status_column => 'sate'`,
    },
  ),
  ...refused(
    'p_existing_rows cannot be "dead"',
    `Use the state of the existing rows: 'pending', 'done' or 'cancelled'.`,
    { more: `p_existing_rows => 'dead'` },
  ),
  ...refused(
    'p_existing_rows does not apply: app.t has a column status with the state of each row',
    'Leave out p_existing_rows. To change the state of rows, update them first.',
    { columns: `status text default 'pending'`, more: existing },
  ),
  ...refused(
    'p_words is not an object of words',
    `For example '{"running": "sending", "done": "sent"}'.`,
    ...['[]', '"x"', 'null', '{"dead": null}', '{"dead": 5}'].map((value) => ({ more: `'${value}'` })),
  ),
  ...refused(
    'p_words has unknown states: held, paused',
    "Its keys are pending, running, done, dead, unknown and cancelled. Its values are your table's words for them.",
    { more: `'{"paused": "x", "held": "y"}'` },
  ),
  ...['done', ''].map((word) => ({
    more: `'{"dead": "${word}"}'`,
    message: `the six state words have to be distinct, and are pending "pending", running "running", done "done", dead "${word}", unknown "unknown", cancelled "cancelled"`,
    hint: "Name six words, none of them empty. Add missing ones to the column's check.",
  })),
  ...[
    ['boolean', 'boolean', allWords],
    ['varchar(8)', 'character varying(8)', words('cancelled')],
    ['app.state', 'app.state', words('cancelled')],
    ['app.open', 'app.open', words('cancelled', 'dead', 'unknown')],
    ['app.narrow', 'app.narrow', words('cancelled')],
    // It pads the words with spaces.
    ['char(9)', 'character(9)', words('dead', 'done', 'pending', 'running', 'unknown')],
  ].map(([type, fullType, lacking]) => ({
    given: [
      `create type app.state as enum (${allButCancelled})`,
      `create type app.open as enum ('pending', 'running', 'done')`,
      `create domain app.narrow as text check (value in (${allButCancelled}))`,
    ],
    columns: `status ${type}`,
    message: `the column status of app.t (${fullType}) does not take ${lacking}`,
    hint: `Add them to the type, or ${nameYourWords}`,
  })),
  ...[
    ['status', `check (status in (${allButCancelled}))`, 't_status_check', words('cancelled')],
    [
      'status',
      `check (length(status) > 0) constraint short check (length(status) < 9)`,
      'short',
      words('cancelled'),
    ],
    [
      'state',
      `check (state in ('pending', 'done', 'void'))`,
      't_state_check',
      words('cancelled', 'dead', 'running', 'unknown'),
    ],
    // It raises an error.
    ['status', 'check (status::integer > 0)', 't_status_check', allWords],
  ].map(([column, check, name, lacking]) => ({
    columns: `${column} text ${check}`,
    more: column === 'state' ? `p_status_column => 'state'` : undefined,
    message: `the check "${name}" of app.t does not take ${lacking}`,
    hint: `Widen the check, or ${nameYourWords}`,
  })),
  ...refused(
    `"t_status_fkey" of app.t does not take ${words('dead', 'done', 'pending', 'running', 'unknown')}, which app.states lacks`,
    `Insert them there, or ${nameYourWords}`,
    {
      given: [
        'create table app.states (name text primary key)',
        `insert into app.states values ('cancelled')`,
      ],
      columns: 'status text references app.states',
    },
  ),
];

const aboutCalls: Refusal[] = [
  ...['Trials!', 't'.repeat(41)].map((queue) => ({
    queue,
    message: `"${queue}" is not a valid queue name`,
    hint: 'Use up to 40 lower-case letters, digits and _, beginning with a letter.',
  })),
  ...refused('delivery cannot be "exactly-once"', `Use 'at-most-once' or 'at-least-once'.`, {
    delivery: 'exactly-once',
  }),
  ...[
    ...[
      ...['app.nothing', 'app.note', '', '(((', 'app.', 'app.note(', '1', 'a.b.c.d'],
      'app.note(jsonb, timestamptz); drop table app.t; --',
    ].map((name) => ['p_after_settle', name, 'p_applied jsonb']),
    ['p_before_claim', 'app.nothing', 'p_partition text'],
    ['p_evidence', 'app.nothing', 'p_ids text[]'],
  ].map(([parameter, name, first]) => ({
    given: [`create function app.note(text) returns void language sql as 'select'`],
    more: `${parameter} => '${name}'`,
    message: `there is no function ${name}(${first}, p_now timestamptz)`,
    hint: 'Create it first, and name it with its schema.',
  })),
  ...refused(
    'ticks run as service_role, which may not call app.f',
    'Run: grant execute on function … to service_role; grant usage on schema … to service_role.',
    ...['p_after_settle', 'p_evidence', 'p_facts'].map((name) => ({
      given: [
        afterSettle,
        `create function app.f(text[], timestamptz) returns jsonb language sql as 'select null::jsonb'`,
        'revoke execute on all functions in schema app from public',
      ],
      more: `${name} => 'app.f'`,
    })),
  ),
  ...refused(
    'the owner of app.f lacks the rights of Punctual’s owner',
    'Run: alter function … owner to the owner of the schema punctual.',
    {
      given: [afterSettle, 'alter function app.f(jsonb, timestamptz) owner to service_role'],
      more: `p_after_settle => 'app.f'`,
    },
  ),
  ...refused('p_settings is not an object of settings', `For example '{"concurrency": 10}'.`, {
    more: `p_settings => '[]'`,
  }),
  ...refused(
    'there is no setting batch',
    'The settings are batch_limit, concurrency, adaptive, budget_seconds, max_ticks, timeout_seconds, lease_seconds, max_attempts, backoff_base_seconds, backoff_cap_seconds and retention_days.',
    { more: `p_settings => '{"batch": 5}'` },
  ),
  ...[
    ['0', 'new row for relation "queues" violates check constraint "queues_concurrency_check"'],
    ['null', 'null value in column "concurrency" of relation "queues" violates not-null constraint'],
    ['"many"', 'invalid input syntax for type integer: "many"'],
  ].map(([value, reason]) => ({
    more: `p_settings => '{"concurrency": ${value}}'`,
    message: `a setting is out of range: ${reason}`,
    hint: 'docs/settings.md has the range of each setting.',
  })),
];

/** The refusals of add_queue that a test makes. */
export const refusals: Refusal[] = [
  ...aboutTables,
  ...aboutColumns,
  ...aboutValues,
  ...aboutStates,
  ...aboutCalls,
];
