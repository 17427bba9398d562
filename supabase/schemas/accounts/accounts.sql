-- Accounts as which rows are sent, and their limits: null is no limit. Each queue with accounts counts by itself.
create table punctual.accounts (
  id uuid primary key default gen_random_uuid(),
  provider text not null check (provider <> ''),
  provider_account_id text not null check (provider_account_id <> ''),
  name text not null,
  time_zone text not null default 'UTC',
  -- For a day in the account's time zone.
  daily_limit integer not null default 30 check (daily_limit >= 0),
  -- For any 60 minutes.
  hourly_limit integer check (hourly_limit between 1 and 1000),
  -- The minimum from one claim to the next. A share of the jitter, different each time, is added.
  gap_seconds integer check (gap_seconds between 0 and 86400),
  gap_jitter_seconds integer not null default 0 check (gap_jitter_seconds between 0 and 86400),
  hours jsonb check (hours is null or punctual.is_hours(hours)),
  -- From this day a new account's daily limit grows from ramp_from_percent to 100 percent, over ramp_days days.
  ramp_started_on date,
  ramp_days integer not null default 14 check (ramp_days between 1 and 365),
  ramp_from_percent integer not null default 20 check (ramp_from_percent between 1 and 100),
  paused_until timestamptz,
  paused_reason text,
  -- The provider's refusals of the account in a row: see count_refusal() and place_refusal(). Null after any other response.
  refused jsonb,
  -- The instant of the latest webhook event about the account's connection: see note_connection().
  connection_reported_at timestamptz,
  created_at timestamptz not null default now(),
  unique (provider, provider_account_id),
  constraint accounts_time_zone_exists check (punctual.is_time_zone(time_zone))
);

create index accounts_refused on punctual.accounts (id) where refused is not null;
