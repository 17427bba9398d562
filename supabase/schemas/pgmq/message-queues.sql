-- pgmq (Supabase Queues) as a source of rows. The registry's queue `pgmq` has no table of rows: each pgmq queue that was added is a partition of
-- it. The functions here do for messages what the engine does on a queue's table.
--
-- pgmq's visibility timeout is the lease. It is set with pgmq's own functions read, set_vt, archive and delete. pgmq always uses the database's
-- clock. So p_now reaches pgmq only as a duration: the time until p_lease_until, or since a message's vt.
--
-- Locks: messages by number, then their lines in punctual.messages. A line is written only under the lock of its message, or if the message is gone.
-- So a claim, which skips locked messages, never waits for a line.

-- The settings with which each pgmq queue was added.
create table punctual.message_queues (
  queue text not null default 'pgmq' check (queue = 'pgmq'),
  partition text primary key,
  -- Every message is this job's payload. Null: each message names its own job.
  job text check (job <> ''),
  on_done text not null check (on_done in ('archive', 'delete')),
  -- Null: the queue's.
  max_attempts integer check (max_attempts between 1 and 1000),
  foreign key (queue, partition) references punctual.partitions on delete cascade
);

-- A line for each claimed message, until an hour after it has finished, so that a repeated outcome is recognised.
create table punctual.messages (
  partition text not null,
  msg_id bigint not null,
  -- Tells the message from those of a recreated pgmq queue, which counts from 1 again.
  enqueued_at timestamptz not null,
  state text not null check (state in ('pending', 'running', 'done', 'dead')),
  -- The fence. It stays after a sweep, as the lease does, so that a late `done` is recognised.
  claim_id uuid not null,
  lease_expires_at timestamptz,
  claimed_at timestamptz not null,
  -- Does not count released attempts. pgmq's read_ct counts every read.
  attempts integer not null,
  -- pgmq's read_ct at our claim. If it is higher now, another consumer has read the message since.
  read_ct integer not null,
  last_error text,
  finished_at timestamptz,
  primary key (partition, msg_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
create index messages_lease on punctual.messages (lease_expires_at) where state = 'running';
create index messages_finished on punctual.messages (finished_at) where finished_at is not null;

-- Dead messages, moved out of their pgmq queues. An operator sends them back or throws them away.
create table punctual.set_aside_messages (
  partition text not null,
  msg_id bigint not null,
  enqueued_at timestamptz not null,
  message jsonb,
  headers jsonb,
  read_ct integer not null,
  attempts integer not null,
  last_error text,
  set_aside_at timestamptz not null,
  -- When it was thrown away. The row stays until retention deletes it.
  cancelled_at timestamptz,
  primary key (partition, msg_id, enqueued_at)
);
create index set_aside_messages_old on punctual.set_aside_messages (set_aside_at);
