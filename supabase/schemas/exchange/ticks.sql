-- The ledger: one row a tick.
create table punctual.ticks (
  id uuid primary key,
  queue text not null references punctual.queues on delete cascade,
  partition text not null,
  scheduler text not null,
  -- The endpoint that it called, and by which schedule (a cron expression, UTC), where that is known.
  path text,
  schedule text,
  slot timestamptz,
  -- 0 for the tick that the scheduler asked for; those that went on where it ended have the next numbers, and its run id.
  continuation integer not null default 0,
  run_id uuid not null default gen_random_uuid(),
  -- The slot had been delivered before: this delivery is one too many, and harmless.
  duplicate boolean not null default false,
  -- Somebody asked for rows of this state; null where a scheduler called.
  asked_for text check (asked_for in ('pending', 'dead')),
  -- False where another tick was running and this one was told to leave.
  admitted boolean not null,
  started_at timestamptz not null,
  deadline_at timestamptz not null,
  closed_at timestamptz,
  outcome text check (outcome in ('ran', 'idle', 'skipped', 'paused', 'died')),
  claimed integer not null default 0,
  done integer not null default 0,
  retried integer not null default 0,
  again integer not null default 0,
  dead integer not null default 0,
  unknown integer not null default 0,
  released integer not null default 0,
  lost integer not null default 0,
  swept integer not null default 0,
  -- Outcomes by which a provider said that it is too much.
  limited integer not null default 0,
  -- How adaptive settings stand: the step that the backlog calls for, less what limits take off.
  step smallint,
  -- The number of the latest exchange: one that comes after a later one, or twice, claims nothing.
  last_seq integer not null default 0,
  -- The lease of the rows that it claimed last: a repeated exchange finds its rows by it.
  lease_until timestamptz,
  -- What it says of itself beyond these columns.
  report jsonb
);
create unique index ticks_slot on punctual.ticks (queue, partition, coalesce(asked_for, ''), slot, continuation, scheduler, coalesce(path, ''))
  where slot is not null and not duplicate;
create index ticks_recent on punctual.ticks (queue, started_at desc);
create index ticks_idle on punctual.ticks (queue, started_at) where outcome in ('idle', 'skipped') and done = 0;
create index ticks_open on punctual.ticks (queue, partition) where closed_at is null;
