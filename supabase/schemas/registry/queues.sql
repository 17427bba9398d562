-- A function's name with its schema, quoted as Postgres quotes names. Statements contain it verbatim. When the owner calls a tick's functions, this
-- function runs as the owner.
create domain punctual.function_name as text check (value ~ '^("([^"]|"")+"|[a-z_][a-z0-9_]*)\.("([^"]|"")+"|[a-z_][a-z0-9_]*)$');

-- The registry: one row a queue.
create table punctual.queues (
  name text primary key check (name ~ '^[a-z][a-z0-9_]{0,39}$'),
  -- Where the rows are: in the table named below, or in pgmq, where each of its queues is a partition.
  source text not null default 'table' check (source in ('table', 'pgmq')),
  table_schema text not null,
  table_name text not null,
  id_type text not null check (id_type in ('bigint', 'uuid')),
  due_column text not null,
  -- The column of a row's state, and its type: text or an enum.
  status_column text not null default 'status',
  status_type text not null,
  partition_column text,
  account_column text,
  pending_word text not null,
  running_word text not null,
  done_word text not null,
  dead_word text not null,
  unknown_word text not null,
  cancelled_word text not null,
  delivery text not null check (delivery in ('at-most-once', 'at-least-once')),
  -- Columns that take the values of an outcome's result under their names, and those of them that are jsonb. The others are text.
  result_columns text[] not null default '{}',
  jsonb_columns text[] not null default '{}',
  -- Columns that lists and the dashboard leave out.
  secret_columns text[] not null default '{}',
  -- The jsonb column for a running row's progress.
  progress_column text,
  -- The result column with the provider's id of the message. A message proves at most one row.
  proof_column text,
  -- The addressee's column. A provider may limit one pair of account and addressee.
  pair_column text,
  -- A function (p_ids text[], p_now timestamptz) -> {id: evidence}: the database's evidence about rows that are checked.
  evidence punctual.function_name,
  -- A function (p_ids text[], p_now timestamptz) -> {id: facts}: facts about claimed rows for the handler, besides the row.
  facts punctual.function_name,
  -- The text column that names the event that a row without a due time waits for. If it is null, no tick can reach such a row.
  waits_column text,
  -- The timestamptz column of the instant until which a due row may be claimed. Code that makes the row due later also moves this instant.
  closes_column text,
  -- A function (p_applied jsonb, p_now timestamptz) that runs in the transaction of the settle.
  after_settle punctual.function_name,
  -- A function (p_partition text, p_now timestamptz) that runs in a tick's first exchange, before the claim.
  before_claim punctual.function_name,
  -- The columns that a claimed row comes with, as the queue's functions name them: see row_columns.
  row_columns text[],
  -- The results of add_queue: {table, added: [columns], changes: [its changes to the table], notes: [its findings]}.
  setup jsonb,

  -- Settings that an operator may change at any time. The next exchange uses them.
  batch_limit integer default 30 check (batch_limit > 0),
  concurrency integer not null default 5 check (concurrency between 1 and 1000),
  adaptive boolean not null default false,
  budget_seconds integer check (budget_seconds > 0),
  max_ticks integer not null default 1 check (max_ticks between 1 and 100),
  max_continuations integer not null default 10 check (max_continuations between 0 and 1000),
  timeout_seconds integer not null default 15 check (timeout_seconds between 1 and 785),
  lease_seconds integer not null default 90 check (lease_seconds >= 31),
  max_attempts integer not null default 5 check (max_attempts between 1 and 1000000),
  backoff_base_seconds integer not null default 30 check (backoff_base_seconds >= 1),
  backoff_cap_seconds integer not null default 3600,
  -- Up to 100 years, here and in punctual.settings, so that now minus the retention stays a valid instant.
  retention_days integer default 30 check (retention_days between 1 and 36500),
  paused_at timestamptz,
  -- The pause ends by itself then. Null: when somebody resumes. See pause_end.
  paused_until timestamptz,
  paused_reason text,

  unique (table_schema, table_name),
  check (backoff_cap_seconds >= backoff_base_seconds)
);
comment on column punctual.queues.batch_limit is 'Maximum rows that one tick claims; null for no limit.';
comment on column punctual.queues.adaptive is 'Batch limit and concurrency follow the backlog and the providers'' rate limits.';
comment on column punctual.queues.budget_seconds is 'Maximum seconds that a tick works; null for all that its limit leaves.';
comment on column punctual.queues.max_continuations is 'Maximum continuations of one call while rows are due; 0 for none.';
comment on column punctual.queues.retention_days is 'Days after which settled rows are deleted; null to keep them forever.';

-- A named part of a queue with ticks of its own. A setting that is null is the queue's.
create table punctual.partitions (
  queue text not null references punctual.queues on delete cascade,
  partition text not null check (partition <> ''),
  batch_limit integer check (batch_limit > 0),
  concurrency integer check (concurrency between 1 and 1000),
  adaptive boolean,
  budget_seconds integer check (budget_seconds > 0),
  max_ticks integer check (max_ticks between 1 and 100),
  timeout_seconds integer check (timeout_seconds between 1 and 785),
  -- Maximum rows that run at once, for any number of ticks. 1 makes the partition blocking.
  max_running integer check (max_running > 0),
  -- In a blocking partition: the row that was claimed last. Until it is finished, no other is claimed.
  head_id text,
  paused_at timestamptz,
  paused_until timestamptz,
  paused_reason text,
  last_tick_at timestamptz,
  -- The account with which wake_accounts continues, if a call ended before it had checked all.
  wakes_from uuid,
  primary key (queue, partition),
  -- pgmq decides which message is next, so no message can wait for another.
  constraint partitions_pgmq_has_no_order check (queue <> 'pgmq' or max_running is null)
);
