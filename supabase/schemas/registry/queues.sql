-- A function by its name and schema, quoted as Postgres quotes them, and nothing else: the name goes into statements as it stands, and
-- whoever calls ticks' functions as the owner runs it as the owner.
create domain punctual.function_name as text check (value ~ '^("([^"]|"")+"|[a-z_][a-z0-9_]*)\.("([^"]|"")+"|[a-z_][a-z0-9_]*)$');

create table punctual.queues (
  name text primary key check (name ~ '^[a-z][a-z0-9_]{0,39}$'),
  -- Where its rows are: in the table below, or in queues of pgmq, of which each is a partition.
  source text not null default 'table' check (source in ('table', 'pgmq')),
  table_schema text not null,
  table_name text not null,
  id_type text not null check (id_type in ('bigint', 'uuid')),
  due_column text not null,
  -- The column that says a row's state, and its type: text, or an enum of the table's own.
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
  -- Columns that take what an outcome's result says under their names; those of them that are jsonb, the others are text.
  result_columns text[] not null default '{}',
  jsonb_columns text[] not null default '{}',
  -- Columns that are shown to nobody.
  secret_columns text[] not null default '{}',
  -- The column (jsonb) that takes how far a running row is.
  progress_column text,
  -- The one of them that bears the provider's id of what was sent: a message proves one row at most.
  proof_column text,
  -- The column that says to whom: a provider may limit one pair of account and addressee.
  pair_column text,
  -- A function (p_ids text[], p_now timestamptz) -> {id: evidence}: what is known here of rows that are reconciled.
  evidence punctual.function_name,
  -- A function (p_ids text[], p_now timestamptz) -> {id: facts}: what perform has to know of rows that are claimed, beside the row.
  facts punctual.function_name,
  -- The text column that says what a row without a due time waits for. One that says nothing is one that no tick can reach.
  waits_column text,
  -- The column (timestamptz) that says until when a due row may be claimed; whoever made the row due later moves it on.
  closes_column text,
  -- A function (p_applied jsonb, p_now timestamptz) that runs in the transaction of the settle.
  after_settle punctual.function_name,
  -- A function (p_partition text, p_now timestamptz) that runs in a tick's first exchange, before anything is claimed.
  before_claim punctual.function_name,
  -- What add_queue did and found: {table, added: [columns], changes: [what it changed], notes: [what it found]}.
  setup jsonb,

  -- What an operator may change at any time; the next exchange obeys.
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
  -- Up to a hundred years, here and in punctual.settings: what is subtracted from now has to stay an instant.
  retention_days integer default 30 check (retention_days between 1 and 36500),
  paused_at timestamptz,
  paused_reason text,

  unique (table_schema, table_name),
  check (backoff_cap_seconds >= backoff_base_seconds)
);
comment on column punctual.queues.batch_limit is 'The most rows that one tick claims; null is unlimited.';
comment on column punctual.queues.adaptive is 'Batch limit and concurrency follow the backlog, and what providers bear.';
comment on column punctual.queues.budget_seconds is 'The longest that a tick works; null is what its limit leaves.';
comment on column punctual.queues.max_continuations is 'How many ticks may follow one call at once while there is a backlog; 0 is none.';
comment on column punctual.queues.retention_days is 'Settled rows older than this are pruned; null keeps them for ever.';

-- A named part of a queue with its own tick. Null settings are the queue's.
create table punctual.partitions (
  queue text not null references punctual.queues on delete cascade,
  partition text not null check (partition <> ''),
  batch_limit integer check (batch_limit > 0),
  concurrency integer check (concurrency between 1 and 1000),
  adaptive boolean,
  budget_seconds integer check (budget_seconds > 0),
  max_ticks integer check (max_ticks between 1 and 100),
  timeout_seconds integer check (timeout_seconds between 1 and 785),
  -- The most rows that run at once, whatever number of ticks; 1 makes it blocking.
  max_running integer check (max_running > 0),
  -- Of a blocking one: the row that was claimed last. Until it is finished no other is.
  head_id text,
  paused_at timestamptz,
  paused_reason text,
  last_tick_at timestamptz,
  -- The account that wake_accounts goes on with, where a call ended before it had come to all.
  wakes_from uuid,
  primary key (queue, partition),
  -- Which message runs next is pgmq's to say: none can be made to wait for another.
  constraint partitions_pgmq_has_no_order check (queue <> 'pgmq' or max_running is null)
);
