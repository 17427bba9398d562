-- What rows came to on a day: done, dead, unknown, cancelled by when they were settled; for the queue monitors up, degraded, down by when
-- checks began. Once over all accounts (is_total), and where a queue has accounts once for each of them, null being rows of no account:
-- percentiles cannot be added up. Neither queues nor accounts are referenced: what they did stays true when they are gone.
create table punctual.daily_outcomes (
  day date not null,
  queue text not null,
  outcome text not null check (outcome in ('done', 'dead', 'unknown', 'cancelled', 'up', 'degraded', 'down')),
  is_total boolean not null,
  account_id uuid check (account_id is null or not is_total),
  rows bigint not null,
  -- From due to settled, never below 0; of checks, how long they took. Each is the time of one of the rows (percentile_disc).
  p50_seconds double precision,
  p95_seconds double precision,
  p99_seconds double precision,
  unique nulls not distinct (day, queue, is_total, outcome, account_id)
);

-- The counted checks of a monitor on a day.
create table punctual.daily_checks (
  day date not null,
  monitor_id bigint not null,
  checks integer not null,
  up integer not null,
  degraded integer not null,
  down integer not null,
  -- The share of them that were not down.
  uptime double precision not null,
  p50_ms integer,
  p95_ms integer,
  p99_ms integer,
  primary key (day, monitor_id)
);

-- How far each queue is rolled up. Its lock keeps retention and roll-up of a queue apart.
create table punctual.rollups (
  queue text primary key references punctual.queues on delete cascade,
  -- Days before this one are rolled up whole; null: none ever was.
  rolled_until date,
  -- In the run under way: since when this queue waits for it, and the day to go on with.
  wanted_at timestamptz,
  next_day date,
  -- The end of its last run, and what was wrong with it.
  rolled_at timestamptz,
  problem text,
  -- Retention has taken rows of before this instant.
  pruned_until timestamptz
);

-- The first instant of a day. Where the clocks go back at midnight there are two of its name, and it is the first.
create function punctual.day_start(p_day date, p_zone text) returns timestamptz
language sql stable set search_path = '' as $$
  select case when ((v.at - interval '1 hour') at time zone p_zone)::date = p_day then v.at - interval '1 hour' else v.at end
    from (select p_day::timestamp at time zone p_zone as at) v
$$;

create function punctual.day_of(p_at timestamptz, p_zone text) returns date
language sql stable set search_path = '' as $$
  select (p_at at time zone p_zone)::date
$$;

-- The first day that can be rolled up true: retention has taken nothing of it. Null: any.
create function punctual.first_whole_day(r punctual.rollups, p_zone text) returns date
language sql stable set search_path = '' as $$
  select d.day + case when punctual.day_start(d.day, p_zone) < r.pruned_until then 1 else 0 end
    from (select punctual.day_of(r.pruned_until, p_zone) as day) d
$$;
