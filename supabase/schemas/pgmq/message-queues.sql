-- pgmq: Supabase Queues as a source of work. The registry's queue `pgmq` has no table of rows; each pgmq queue that was added is a
-- partition of it. The engine's functions come here for what they else do with a queue's table.
--
-- pgmq's visibility timeout is the lease, by its own functions: read, set_vt, archive, delete. It reckons by the database's clock, always.
-- So p_now meets pgmq only as a duration: what is left until p_lease_until, or since a message's vt.
--
-- Locks: messages by their number, then their lines here. A line is written only under the lock of its message, or where the message is
-- gone: so a claim, which skips messages that are locked, never waits for a line.

-- What was said of each pgmq queue when it was added.
create table punctual.message_queues (
  queue text not null default 'pgmq' check (queue = 'pgmq'),
  partition text primary key,
  -- Every message is this job's payload; null: each message names its own.
  job text check (job <> ''),
  on_done text not null check (on_done in ('archive', 'delete')),
  -- Null: the queue's.
  max_attempts integer check (max_attempts between 1 and 1000),
  foreign key (queue, partition) references punctual.partitions on delete cascade
);

-- A line for each message that was claimed and is not finished, and for an hour after: whoever tells an outcome twice is told so.
create table punctual.messages (
  partition text not null,
  msg_id bigint not null,
  -- Tells the message from one of a pgmq queue that was dropped and made anew, which counts from 1 again.
  enqueued_at timestamptz not null,
  state text not null check (state in ('pending', 'running', 'done', 'dead')),
  -- The fence. It stays, and so does the lease of a claim that was swept: a late `done` is still known by them.
  claim_id uuid not null,
  lease_expires_at timestamptz,
  claimed_at timestamptz not null,
  -- Without those that were released: pgmq's read_ct counts every read.
  attempts integer not null,
  -- pgmq's count at our claim. A higher one says that another consumer has read the message since.
  read_ct integer not null,
  last_error text,
  finished_at timestamptz,
  primary key (partition, msg_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
create index messages_lease on punctual.messages (lease_expires_at) where state = 'running';
create index messages_finished on punctual.messages (finished_at) where finished_at is not null;

-- Messages that came to nothing, out of pgmq's reach. An operator sends them back or throws them away.
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
  -- Thrown away; it stays until retention takes it.
  cancelled_at timestamptz,
  primary key (partition, msg_id, enqueued_at)
);
create index set_aside_messages_old on punctual.set_aside_messages (set_aside_at);
