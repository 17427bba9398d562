-- The ledger: one row a tick.
create table punctual.ticks (
  id uuid primary key,
  queue text not null references punctual.queues on delete cascade,
  partition text not null,
  scheduler text not null,
  -- The path of the endpoint, and the cron expression in UTC, if known.
  path text,
  schedule text,
  slot timestamptz,
  -- 0 for the scheduler's tick. Each continuation has the next number and the same run id.
  continuation integer not null default 0,
  run_id uuid not null default gen_random_uuid(),
  -- The slot was delivered before. Harmless.
  duplicate boolean not null default false,
  -- The state of the rows that a person asked for; null for a scheduler's tick.
  asked_for text check (asked_for in ('pending', 'dead')),
  -- False if max_ticks other ticks were open, or one held the lock. Such a tick claims nothing.
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
  -- Outcomes in which a provider reported a rate limit.
  limited integer not null default 0,
  -- The adaptive step; null if the settings are not adaptive.
  step smallint,
  -- The highest number of an exchange. An exchange whose number is not above it claims nothing.
  last_seq integer not null default 0,
  -- When the last of its claims' leases ends. A repeated exchange looks for its rows up to this instant.
  lease_until timestamptz,
  -- The tick's own report, without these columns.
  report jsonb
);
create unique index ticks_slot on punctual.ticks (queue, partition, coalesce(asked_for, ''), slot, continuation, scheduler, coalesce(path, ''))
  where slot is not null and not duplicate;
create index ticks_recent on punctual.ticks (queue, started_at desc, id desc);
-- Serves the list of ticks, the figures of a day, and the pulse of the dashboard.
create index ticks_notable on punctual.ticks (queue, started_at desc, id desc) where outcome is null or outcome not in ('idle', 'skipped');
create index ticks_idle on punctual.ticks (queue, started_at) where outcome in ('idle', 'skipped') and done = 0;
create index ticks_open on punctual.ticks (queue, partition) where closed_at is null;
