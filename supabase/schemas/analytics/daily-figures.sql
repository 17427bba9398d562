-- Rows of a queue by day and outcome. done, dead, unknown and cancelled rows count on the day on which they were settled. For the queue
-- `monitors` the outcomes are up, degraded and down, and a check counts on the day on which it began. One line covers all accounts (is_total).
-- A queue with accounts also has one line per account; a null account_id stands for rows without one. Both are stored, because percentiles
-- cannot be added up. There are no foreign keys to queues and accounts: the figures outlive them.
create table punctual.daily_outcomes (
  day date not null,
  queue text not null,
  outcome text not null check (outcome in ('done', 'dead', 'unknown', 'cancelled', 'up', 'degraded', 'down')),
  is_total boolean not null,
  account_id uuid check (account_id is null or not is_total),
  rows bigint not null,
  -- Time from due to settled, never below 0; for checks, their duration. Each percentile is the value of an actual row (percentile_disc).
  p50_seconds double precision,
  p95_seconds double precision,
  p99_seconds double precision,
  unique nulls not distinct (day, queue, is_total, outcome, account_id)
);

-- One monitor's checks on one day. Only checks that are `counted`.
create table punctual.daily_checks (
  day date not null,
  monitor_id bigint not null,
  checks integer not null,
  up integer not null,
  degraded integer not null,
  down integer not null,
  -- The share of checks that were not down, from 0 to 1.
  uptime double precision not null,
  p50_ms integer,
  p95_ms integer,
  p99_ms integer,
  primary key (day, monitor_id)
);

-- Progress of the roll-up, one row per queue. Roll-up and retention both lock the queue's row, so they never work on a queue at once.
create table punctual.rollups (
  queue text primary key references punctual.queues on delete cascade,
  -- All days before this one are completely rolled up. Null: none is.
  rolled_until date,
  -- In the current run: since when this queue waits for its turn, and its next day.
  wanted_at timestamptz,
  next_day date,
  -- When its last run ended, and the error of its last step.
  rolled_at timestamptz,
  problem text,
  -- Retention has deleted rows from before this instant.
  pruned_until timestamptz
);

-- Returns the first instant of a day. If the clocks go back to midnight, midnight occurs twice: this is the first one.
create function punctual.day_start(p_day date, p_zone text) returns timestamptz
language sql stable set search_path = '' as $$
  select case when ((v.at - interval '1 hour') at time zone p_zone)::date = p_day then v.at - interval '1 hour' else v.at end
    from (select p_day::timestamp at time zone p_zone as at) v
$$;

create function punctual.day_of(p_at timestamptz, p_zone text) returns date
language sql stable set search_path = '' as $$
  select (p_at at time zone p_zone)::date
$$;

-- Returns the first day that still has all its rows: retention has deleted none of them. Null: every day has.
create function punctual.first_whole_day(r punctual.rollups, p_zone text) returns date
language sql stable set search_path = '' as $$
  select d.day + case when punctual.day_start(d.day, p_zone) < r.pruned_until then 1 else 0 end
    from (select punctual.day_of(r.pruned_until, p_zone) as day) d
$$;
