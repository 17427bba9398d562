-- Who rows are sent as, and how much is sent: null is no limit. Every queue with accounts keeps to it by itself.
create table punctual.accounts (
  id uuid primary key default gen_random_uuid(),
  provider text not null check (provider <> ''),
  provider_account_id text not null check (provider_account_id <> ''),
  name text not null,
  time_zone text not null default 'UTC',
  -- A day is the account's own.
  daily_limit integer not null default 30 check (daily_limit >= 0),
  -- In any sixty minutes.
  hourly_limit integer check (hourly_limit between 1 and 1000),
  -- From one claim to the next at least this, and a share of the jitter, another each time.
  gap_seconds integer check (gap_seconds between 0 and 86400),
  gap_jitter_seconds integer not null default 0 check (gap_jitter_seconds between 0 and 86400),
  hours jsonb check (hours is null or punctual.is_hours(hours)),
  -- A new account's daily limit grows from ramp_from_percent on this day to all of it, ramp_days days in all.
  ramp_started_on date,
  ramp_days integer not null default 14 check (ramp_days between 1 and 365),
  ramp_from_percent integer not null default 20 check (ramp_from_percent between 1 and 100),
  paused_until timestamptz,
  paused_reason text,
  -- That the provider refuses the account, as count_refusal() and place_refusal() have it; null after anything else that it answered.
  refused jsonb,
  -- When the latest event happened that told by webhook of its connection: see note_connection().
  connection_told_at timestamptz,
  created_at timestamptz not null default now(),
  unique (provider, provider_account_id),
  constraint accounts_time_zone_exists check (punctual.is_time_zone(time_zone))
);

create index accounts_refused on punctual.accounts (id) where refused is not null;
