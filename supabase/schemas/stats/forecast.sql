-- What falls due in the next hours, and what the accounts may send of it. An estimate by the rules of claims: a row counts as sent in the hour in
-- which it may be claimed.

-- Returns the most rows that an account may send in each of p_hours hours from p_now on, apart from its daily limit; null without another limit. p_from: it
-- sends nothing before.
create function punctual.hourly_room(
  p_account punctual.accounts, p_pace punctual.pace, p_from timestamptz, p_hours integer, p_now timestamptz) returns integer[]
language plpgsql stable set search_path = '' as $$
declare
  -- A pause may have no end.
  v_from timestamptz := least(greatest(p_from, p_account.paused_until, p_pace.retry_at, p_now), p_now + interval '1 day');
  v_hours jsonb := coalesce(p_pace.hours, p_account.hours);
  v_limit integer := coalesce(p_pace.hourly_limit, p_account.hourly_limit);
  -- Half of the jitter on average.
  v_gap numeric := coalesce(p_pace.gap_seconds, p_account.gap_seconds, 0)
                 + coalesce(p_pace.gap_jitter_seconds, p_account.gap_jitter_seconds, 0) / 2.0;
  v_room integer[] := '{}';
  v_open integer[];
begin
  if v_hours is null then
    v_open := array(
      select extract(epoch from greatest(interval '0', p_now + n * interval '1 hour' - greatest(v_from, p_now + (n - 1) * interval '1 hour')))::integer
        from generate_series(1, p_hours) n);
  else
    v_open := punctual.open_seconds(v_hours, p_account.time_zone, v_from, p_hours, p_now);
  end if;
  for n in 1..p_hours loop
    v_room := v_room || case when v_open[n] = 0 then 0 else least(v_limit, case when v_gap > 0 then ceil(v_open[n] / v_gap)::integer end) end;
  end loop;
  return v_room;
end
$$;

-- Returns what an account may send in each hour, by its daily limit and by what it sends in the hours before, and how many of its rows are left at the
-- end. p_due: how many of its rows fall due in each hour. p_from: see hourly_room.
create function punctual.forecast_account(
  p_account punctual.accounts, p_pace punctual.pace, p_due integer[], p_from timestamptz, p_now timestamptz, out may integer[], out short integer)
language plpgsql stable set search_path = '' as $$
declare
  v_room integer[];
  v_used integer := coalesce(p_pace.used, 0);
  v_until timestamptz := p_pace.used_until;
  v_day record;
  v_at timestamptz;
  v_may integer;
begin
  v_room := punctual.hourly_room(p_account, p_pace, p_from, cardinality(p_due), p_now);
  may := v_room;
  short := 0;
  for n in 1..cardinality(p_due) loop
    short := short + p_due[n];
    continue when v_room[n] = 0;
    v_at := p_now + (n - 1) * interval '1 hour';
    v_day := punctual.used_of_day(v_used, v_until, p_account.time_zone, v_at);
    v_used := v_day.used;
    v_until := v_day.until;
    v_may := least(v_room[n], greatest(0, punctual.daily_limit_on(p_account, p_pace, (v_at at time zone p_account.time_zone)::date) - v_used));
    may[n] := v_may;
    v_used := v_used + least(v_may, short);
    short := short - least(v_may, short);
  end loop;
-- A time zone that Postgres does not know: the account may not send.
exception when invalid_parameter_value then
  may := array_fill(0, array[cardinality(p_due)]);
  short := (select sum(d) from unnest(p_due) d);
end
$$;

-- Counts the pending rows of a queue that fall due in each hour, 10,000 of each, and finds the 200 accounts with the most of them: due, a count for each
-- hour; accounts, how many have rows; own: [{account, due: {hour: count}}].
create function punctual.due_by_hour(
  q punctual.queues, p_hours integer, p_now timestamptz, out due integer[], out accounts integer, out own jsonb)
language plpgsql stable set search_path = '' as $$
begin
  execute punctual.render_sql(q, $sql$
    with counted as materialized (
      select h.n, r.account, count(*)::integer as rows
        from generate_series(1, $2) h (n) cross join lateral (
          select t.{account} as account from {table} t
           where t.{status} = {pending} and t.priority + 0 >= 0
             and {due_at} >= case when h.n = 1 then '-infinity' else $1 + (h.n - 1) * interval '1 hour' end and {due_at} < $1 + h.n * interval '1 hour'
           order by {due_at}, t.id limit 10000) r
       group by 1, 2),
    most as (
      select c.account from counted c where c.account is not null group by 1 order by sum(c.rows) desc, 1 limit 200)
    select array(select coalesce((select sum(c.rows) from counted c where c.n = h), 0)::integer from generate_series(1, $2) h),
           (select count(distinct c.account) from counted c),
           (select coalesce(jsonb_agg(jsonb_build_object('account', o.account, 'due', o.due)), '[]')
              from (select c.account, jsonb_object_agg(c.n, c.rows) as due from most m join counted c on c.account = m.account group by 1) o)
    $sql$) into due, accounts, own using p_now, p_hours;
end
$$;

-- Returns the forecast of one queue: see forecast_hours.
create function punctual.forecast_queue(q punctual.queues, p_hours integer, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_found record := punctual.due_by_hour(q, p_hours, p_now);
  v_paused timestamptz := punctual.pause_end(q.paused_at, q.paused_until, p_now);
  v_may integer[] := array_fill(0, array[p_hours]);
  v_short integer := 0;
  v_row record;
begin
  -- Rows without an account are unreachable, which is said elsewhere.
  for v_row in
    select f.may, f.short
      from jsonb_to_recordset(v_found.own) o (account uuid, due jsonb)
      join punctual.accounts a on a.id = o.account
      left join punctual.pace p on p.queue = q.name and p.account_id = a.id
      left join punctual.providers v on v.name = a.provider
     cross join lateral punctual.forecast_account(
       a, p, array(select coalesce((o.due->>n::text)::integer, 0) from generate_series(1, p_hours) n), greatest(v_paused, v.paused_until), p_now) f
  loop
    for n in 1..p_hours loop v_may[n] := v_may[n] + v_row.may[n]; end loop;
    v_short := v_short + v_row.short;
  end loop;
  return jsonb_build_object('queue', q.name, 'short', v_short, 'more', v_found.accounts > 200 or 10000 = any (v_found.due), 'hours', (
    select jsonb_agg(jsonb_build_object('at', p_now + (n - 1) * interval '1 hour', 'due', v_found.due[n], 'may', v_may[n]) order by n)
      from generate_series(1, p_hours) n));
end
$$;

-- Returns for each queue with accounts what falls due in each of the next p_hours hours, with what is due already in the first, and what the accounts of
-- these rows may send: [{queue, hours: [{at, due, may}], short, more}]. short: how many of the rows cannot go in this time. Counts 10,000 rows an hour
-- at most, and looks at the 200 accounts with the most of them; more: there may be more. A bitmap would read
-- all due rows before the first is counted.
create function punctual.forecast_hours(p_hours integer default 6, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
begin
  return (
    select coalesce(jsonb_agg(punctual.forecast_queue(q, p_hours, coalesce(p_now, clock_timestamp())) order by q.name), '[]')
      from punctual.queues q where q.account_column is not null and q.source is distinct from 'pgmq');
end
$$;
