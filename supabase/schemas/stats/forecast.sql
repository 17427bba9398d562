-- What falls due in the next hours, and what the accounts may send of it. An estimate by the rules of claims: a row counts as sent in the hour in
-- which it may be claimed.

-- Returns the most rows that an account may send in each of p_hours hours from p_now on, apart from its daily limit; null without a limit. p_from: it
-- sends nothing before.
create function punctual.hourly_room(
  p_account punctual.accounts, p_pace punctual.pace, p_from timestamptz, p_hours integer, p_now timestamptz) returns integer[]
language plpgsql stable set search_path = '' as $$
declare
  v_from timestamptz := greatest(p_from, p_account.paused_until, p_pace.retry_at, p_now);
  v_hours jsonb := coalesce(p_pace.hours, p_account.hours);
  v_limit integer := coalesce(p_pace.hourly_limit, p_account.hourly_limit);
  -- Half of the jitter on average.
  v_gap numeric := coalesce(p_pace.gap_seconds, p_account.gap_seconds, 0)
                 + coalesce(p_pace.gap_jitter_seconds, p_account.gap_jitter_seconds, 0) / 2.0;
  v_room integer[] := '{}';
  v_end timestamptz;
  v_open integer;
begin
  for n in 0..p_hours - 1 loop
    v_end := p_now + (n + 1) * interval '1 hour';
    -- A pause without an end lasts beyond every hour.
    v_open := punctual.open_seconds(v_hours, p_account.time_zone, least(greatest(v_from, p_now + n * interval '1 hour'), v_end), v_end);
    v_room := v_room || case when v_open = 0 then 0 else least(v_limit, case when v_gap > 0 then ceil(v_open / v_gap)::integer end) end;
  end loop;
  return v_room;
-- A time zone that Postgres does not know: the account may not send.
exception when invalid_parameter_value then
  return array_fill(0, array[p_hours]);
end
$$;

-- Returns what an account may send in each hour, by its daily limit and by what it sends in the hours before, and how many of its rows are left at the
-- end. p_due: how many of its rows fall due in each hour. p_from: see hourly_room.
create function punctual.forecast_account(
  p_account punctual.accounts, p_pace punctual.pace, p_due integer[], p_from timestamptz, p_now timestamptz, out may integer[], out short integer)
language plpgsql stable set search_path = '' as $$
declare
  v_room integer[] := punctual.hourly_room(p_account, p_pace, p_from, cardinality(p_due), p_now);
  v_zone text := case when punctual.is_time_zone(p_account.time_zone) then p_account.time_zone else 'UTC' end;
  v_used integer := coalesce(p_pace.used, 0);
  v_until timestamptz := p_pace.used_until;
  v_day record;
  v_at timestamptz;
  v_may integer;
begin
  may := '{}';
  short := 0;
  for n in 1..cardinality(p_due) loop
    v_at := p_now + (n - 1) * interval '1 hour';
    v_day := punctual.used_of_day(v_used, v_until, v_zone, v_at);
    v_may := greatest(0, punctual.daily_limit_on(p_account, p_pace, (v_at at time zone v_zone)::date) - v_day.used);
    v_may := least(v_may, v_room[n]);
    short := short + p_due[n];
    v_used := v_day.used + least(v_may, short);
    v_until := v_day.until;
    short := short - least(v_may, short);
    may := may || v_may;
  end loop;
end
$$;

-- Returns the forecast of one queue: see forecast_hours.
create function punctual.forecast_queue(q punctual.queues, p_hours integer, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_due integer[] := array_fill(0, array[p_hours]);
  v_may integer[] := array_fill(0, array[p_hours]);
  v_short integer := 0;
  v_accounts integer := 0;
  v_row record;
  v_own integer[];
  v_forecast record;
begin
  for v_row in execute punctual.render_sql(q, $sql$
    select x.account, jsonb_object_agg(x.n, x.rows) as due
      from (select h.n, r.account, count(*) as rows
              from generate_series(1, $2) h (n) cross join lateral (
                select t.{account} as account from {table} t
                 where t.{status} = {pending} and t.priority + 0 >= 0
                   and {due_at} >= case when h.n = 1 then '-infinity' else $1 + (h.n - 1) * interval '1 hour' end and {due_at} < $1 + h.n * interval '1 hour'
                 order by {due_at}, t.id limit 10000) r
             group by 1, 2) x
     group by 1 order by sum(x.rows) desc, 1
    $sql$) using p_now, p_hours
  loop
    v_own := array(select coalesce((v_row.due->>n::text)::integer, 0) from generate_series(1, p_hours) n);
    v_due := array(select v_due[n] + v_own[n] from generate_series(1, p_hours) n);
    v_accounts := v_accounts + 1;
    continue when v_accounts > 200;
    select f.may, f.short into v_forecast
      from punctual.accounts a
      left join punctual.pace p on p.queue = q.name and p.account_id = a.id
      left join punctual.providers v on v.name = a.provider
     cross join punctual.forecast_account(a, p, v_own, greatest(punctual.pause_end(q.paused_at, q.paused_until, p_now), v.paused_until), p_now) f
     where a.id = v_row.account;
    -- Rows without an account are unreachable, which is said elsewhere.
    continue when not found;
    v_may := array(select v_may[n] + v_forecast.may[n] from generate_series(1, p_hours) n);
    v_short := v_short + v_forecast.short;
  end loop;
  return jsonb_build_object('queue', q.name, 'short', v_short, 'more', v_accounts > 200 or 10000 = any (v_due), 'hours', (
    select jsonb_agg(jsonb_build_object('at', p_now + (n - 1) * interval '1 hour', 'due', v_due[n], 'may', v_may[n]) order by n) from generate_series(1, p_hours) n));
end
$$;

-- Returns for each queue with accounts what falls due in each of the next p_hours hours, with what is due already in the first, and what the accounts of
-- these rows may send: [{queue, hours: [{at, due, may}], short, more}]. short: how many of the rows cannot go in this time. Counts 10,000 rows an hour
-- at most, and looks at the 200 accounts with the most of them; more: there may be more.
create function punctual.forecast_hours(p_hours integer default 6, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
begin
  return (
    select coalesce(jsonb_agg(punctual.forecast_queue(q, p_hours, coalesce(p_now, clock_timestamp())) order by q.name), '[]')
      from punctual.queues q where q.account_column is not null and q.source is distinct from 'pgmq');
end
$$;
