-- What every queue did, by the day, and the pruning of what is old. The figures are rolled up from rows, checks and the ledger as long as
-- these are there, and outlive them.

-- What an operator may change at any time: one row. Days null: that kind is kept for ever. Settled rows have queues.retention_days.
create table punctual.settings (
  only_row boolean primary key default true check (only_row),
  -- Whose midnight ends a day of the figures. What was rolled up before it was changed stays as it is.
  time_zone text not null default 'UTC' constraint settings_time_zone_exists check (punctual.is_time_zone(time_zone)),
  ticks_days integer default 7 check (ticks_days between 1 and 36500),
  idle_ticks_days integer default 2 check (idle_ticks_days between 1 and 36500),
  -- Of queues whose rows are kept for ever: elsewhere what became of rows goes with them.
  history_days integer default 365 check (history_days between 1 and 36500),
  receipts_days integer default 30 check (receipts_days between 1 and 36500),
  -- Variables, last reply and timeline of an enrolment that is over.
  enrolment_texts_days integer default 90 check (enrolment_texts_days between 1 and 36500),
  -- Idempotency keys of rows that were pruned, from then on.
  idempotency_keys_days integer default 90 check (idempotency_keys_days between 1 and 36500),
  monitor_checks_days integer default 14 check (monitor_checks_days between 1 and 36500),
  -- Uptime over a month is reckoned from them.
  monitor_hours_days integer default 31 check (monitor_hours_days between 1 and 36500),
  incidents_days integer default 365 check (incidents_days between 1 and 36500),
  -- The figures of this file themselves.
  daily_days integer default 730 check (daily_days between 1 and 36500),
  -- The UTC day for which a scheduler with one entry for everything has had the roll-up and retention done.
  maintenance_done_on date
);
insert into punctual.settings default values;

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

-- When the first thing to be rolled up came to its end, from p_from to before p_to; null: there is none.
create function punctual.next_settled_at(q punctual.queues, p_from timestamptz, p_to timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_word text;
  v_at timestamptz;
  v_first timestamptz;
begin
  if q.name = 'monitors' then
    -- Checks are many and kept for days: from one day to the next costs less than a look for the next.
    if p_from > '-infinity' then return p_from; end if;
    return (select min(c.at) from punctual.monitor_checks c where c.at < p_to);
  elsif q.source = 'pgmq' then
    return least(
      (select min(t.started_at) from punctual.ticks t where t.queue = q.name and t.started_at >= p_from and t.started_at < p_to and t.done > 0),
      (select min(s.set_aside_at) from punctual.set_aside_messages s where s.set_aside_at >= p_from and s.set_aside_at < p_to),
      (select min(s.cancelled_at) from punctual.set_aside_messages s where s.cancelled_at >= p_from and s.cancelled_at < p_to));
  end if;
  foreach v_word in array array[q.done_word, q.dead_word, q.unknown_word, q.cancelled_word] loop
    execute punctual.render_sql(q, 'select min(t.finished_at) from {table} t where t.{status} = %L and t.finished_at > ''-infinity'' '
                   'and t.finished_at >= $1 and t.finished_at < $2', v_word)
    into v_at using p_from, p_to;
    v_first := least(v_first, v_at);
  end loop;
  return v_first;
end
$$;

-- Puts a day's figures of a queue in the place of those that were there. Answers how many rows they are of.
create function punctual.roll_up_day(q punctual.queues, p_day date, p_zone text) returns bigint
language plpgsql set search_path = '' as $$
declare
  v_from timestamptz := punctual.day_start(p_day, p_zone);
  v_to timestamptz := punctual.day_start(p_day + 1, p_zone);
begin
  delete from punctual.daily_outcomes d where d.day = p_day and d.queue = q.name;
  if q.name = 'monitors' then
    delete from punctual.daily_checks d where d.day = p_day;
    insert into punctual.daily_outcomes (day, queue, outcome, is_total, rows, p50_seconds, p95_seconds, p99_seconds)
    select p_day, q.name, c.verdict, true, c.rows, c.p[1] / 1000.0, c.p[2] / 1000.0, c.p[3] / 1000.0
      from (select x.verdict, count(*) as rows, percentile_disc(array[0.5, 0.95, 0.99]) within group (order by x.total_ms) as p
              from punctual.monitor_checks x where x.at >= v_from and x.at < v_to and x.counted group by 1) c;
    insert into punctual.daily_checks (day, monitor_id, checks, up, degraded, down, uptime, p50_ms, p95_ms, p99_ms)
    select p_day, c.monitor_id, c.checks, c.up, c.degraded, c.down, (c.up + c.degraded)::double precision / c.checks, c.p[1], c.p[2], c.p[3]
      from (select x.monitor_id, count(*) as checks, count(*) filter (where x.verdict = 'up') as up,
                   count(*) filter (where x.verdict = 'degraded') as degraded, count(*) filter (where x.verdict = 'down') as down,
                   percentile_disc(array[0.5, 0.95, 0.99]) within group (order by x.total_ms) as p
              from punctual.monitor_checks x where x.at >= v_from and x.at < v_to and x.counted group by 1) c;
  elsif q.source = 'pgmq' then
    -- Done is what ticks counted: archives hold what others archived too, and nothing where done messages are deleted. A tick is of the day
    -- that it began on. What was set aside is there to be counted. Nobody keeps when a message fell due.
    insert into punctual.daily_outcomes (day, queue, outcome, is_total, rows)
    select p_day, q.name, c.outcome, true, c.rows
      from (select 'done' as outcome, coalesce(sum(t.done), 0) as rows
              from punctual.ticks t where t.queue = q.name and t.started_at >= v_from and t.started_at < v_to
            union all
            select 'dead', count(*) from punctual.set_aside_messages s
             where s.set_aside_at >= v_from and s.set_aside_at < v_to and s.cancelled_at is null
            union all
            select 'cancelled', count(*) from punctual.set_aside_messages s where s.cancelled_at >= v_from and s.cancelled_at < v_to) c
     where c.rows > 0;
  else
    -- The words as literals, as the index on what is settled has them.
    execute punctual.render_sql(q, $sql$
      insert into punctual.daily_outcomes (day, queue, outcome, is_total, account_id, rows, p50_seconds, p95_seconds, p99_seconds)
      select $1, {queue}, c.outcome, c.is_total, c.account_id, c.rows, c.p[1], c.p[2], c.p[3]
        from (select r.outcome, %s as is_total, r.account_id, count(*) as rows,
                     percentile_disc(array[0.5, 0.95, 0.99]) within group (order by r.seconds) as p
                from (select case t.{status}::text when {done} then 'done' when {dead} then 'dead' when {unknown} then 'unknown' else 'cancelled' end collate "C" as outcome,
                             case when isfinite(t.{due}) then greatest(0, date_part('epoch', t.finished_at - t.{due})) end as seconds, %s as account_id
                        from {table} t
                       where t.{status} in ({done}, {dead}, {unknown}, {cancelled}) and t.finished_at >= $2 and t.finished_at < $3) r
               group by %s) c
      $sql$,
      case when q.account_column is null then 'true' else 'grouping(r.account_id) = 1' end,
      case when q.account_column is null then 'null::uuid' else format('t.%I', q.account_column) end,
      case when q.account_column is null then 'r.outcome, r.account_id' else 'rollup (r.outcome, r.account_id) having grouping(r.outcome) = 0' end)
    using p_day, v_from, v_to;
  end if;
  return (select coalesce(sum(d.rows), 0) from punctual.daily_outcomes d where d.day = p_day and d.queue = q.name and d.is_total);
end
$$;

-- One step of the run under way, or the first of a new one: the next day of a queue. A run takes every queue, those first whose last run is
-- the longest ago: the two last days that are rolled up whole, once more, since rows are decided late; those that were missed; and today so
-- far. r: the queue's line, locked. A queue that fails does not hold up the others: the problem is kept, and the next run tries again.
create function punctual.roll_up_next(r punctual.rollups, p_zone text, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  q punctual.queues;
  v_today date := punctual.day_of(p_now, p_zone);
  v_day date := r.next_day;
  v_next date;
  v_rows bigint;
  v_problem text;
begin
  if v_day is null and r.rolled_until is not null then v_day := r.rolled_until - 2; end if;
  begin
    q := punctual.read_queue(r.queue);
    if v_day is null then
      -- Figures of a queue of this name that was removed stay.
      v_day := greatest(punctual.day_of(punctual.next_settled_at(q, '-infinity', p_now), p_zone),
                        (select max(d.day) from punctual.daily_outcomes d where d.queue = q.name));
    end if;
    v_day := least(greatest(v_day, punctual.first_whole_day(r, p_zone)), v_today);
    v_day := coalesce(v_day, v_today);
    v_rows := punctual.roll_up_day(q, v_day, p_zone);
    if v_day < v_today then
      v_next := v_day + 1;
      if v_next >= coalesce(r.rolled_until, v_next) then
        v_next := coalesce(punctual.day_of(punctual.next_settled_at(q, punctual.day_start(v_next, p_zone), punctual.day_start(v_today, p_zone)), p_zone),
                           v_today);
        delete from punctual.daily_outcomes d where d.queue = q.name and d.day > v_day and d.day < v_next;
      end if;
    end if;
  exception when query_canceled or others then
    v_problem := left(sqlerrm, 500);
    v_rows := null;
    v_next := null;
  end;
  update punctual.rollups x set
    rolled_until = case when v_problem is null then greatest(x.rolled_until, coalesce(v_next, v_today)) else x.rolled_until end,
    next_day = case when v_problem is null then v_next else x.next_day end,
    wanted_at = case when v_next is null then null else x.wanted_at end,
    rolled_at = case when v_next is null then p_now else x.rolled_at end,
    problem = v_problem
   where x.queue = r.queue;
  return jsonb_build_object('queue', r.queue, 'day', v_day, 'rows', v_rows, 'problem', v_problem);
end
$$;

-- The same for one day, asked for: the queue after p_after, by name. One that fails does not hold up those after it. A day that retention has
-- taken rows of keeps its figures: rows is null then, and first_day the first one that could be rolled up again. PT409 where that is so of
-- every queue.
create function punctual.roll_up_asked(p_day date, p_after text, p_zone text, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  r punctual.rollups;
  v_first date;
  v_rows bigint;
begin
  if p_day > punctual.day_of(p_now, p_zone) then
    raise exception '% has not begun in %', p_day, p_zone using errcode = '22023';
  end if;
  if p_after is null then
    select min(coalesce(punctual.first_whole_day(x, p_zone), '-infinity')) into v_first from punctual.rollups x;
    if p_day < v_first then
      raise exception '% cannot be rolled up any more: retention has taken rows of it', p_day
        using errcode = 'PT409', detail = v_first::text, hint = format('Its figures stay as they are. The first day that can be is %s.', v_first);
    end if;
  end if;
  select x.* into r from punctual.rollups x where x.queue > coalesce(p_after, '') order by x.queue limit 1 for no key update;
  if not found then return jsonb_build_object('queue', null, 'day', p_day, 'rows', null); end if;
  v_first := punctual.first_whole_day(r, p_zone);
  if p_day < v_first then return jsonb_build_object('queue', r.queue, 'day', p_day, 'rows', null, 'first_day', v_first); end if;
  begin
    v_rows := punctual.roll_up_day(punctual.read_queue(r.queue), p_day, p_zone);
  exception when query_canceled or others then
    return jsonb_build_object('queue', r.queue, 'day', p_day, 'rows', null, 'problem', left(sqlerrm, 500));
  end;
  return jsonb_build_object('queue', r.queue, 'day', p_day, 'rows', v_rows);
end
$$;

-- One bounded step of rolling up, a queue and a day: called again for as long as it answers more. Without p_day: see roll_up_next. With it,
-- that day of every queue, p_after being the queue that the last step answered: see roll_up_asked. Only one runs at a time: busy says that
-- another does, and nothing was done. Answers {queue, day, rows, more, busy, problem, first_day}.
create function punctual.roll_up(p_day date default null, p_after text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '20s' set jit = off set work_mem = '64MB' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_zone text := coalesce((select s.time_zone from punctual.settings s), 'UTC');
  v_step jsonb := '{"queue": null, "day": null, "rows": null, "problem": null, "first_day": null, "busy": false}';
  r punctual.rollups;
begin
  if not pg_try_advisory_xact_lock(hashtext('punctual.roll_up')) then return v_step || '{"busy": true, "more": true}'; end if;
  insert into punctual.rollups (queue) select q.name from punctual.queues q on conflict do nothing;
  if p_day is not null then
    v_step := v_step || punctual.roll_up_asked(p_day, p_after, v_zone, v_now);
    return v_step || jsonb_build_object('more', exists (select from punctual.rollups x where x.queue > v_step->>'queue'));
  end if;
  -- One that was broken off long ago is not gone on with: those queues that it had done are behind by now.
  if not exists (select from punctual.rollups x where x.wanted_at > v_now - interval '10 minutes') then
    update punctual.rollups x set wanted_at = v_now;
  end if;
  select x.* into r from punctual.rollups x where x.wanted_at is not null order by x.rolled_at nulls first, x.queue limit 1 for no key update;
  if found then v_step := v_step || punctual.roll_up_next(r, v_zone, v_now); end if;
  return v_step || jsonb_build_object('more', exists (select from punctual.rollups x where x.wanted_at is not null));
end
$$;

-- What the dashboard shows of the last p_days days: {time_zone, rolled_until, rolled_at, problems, totals, days, monitors}, as
-- lib/store/analytics.ts says. Of each queue the eight accounts with the most rows, the rest as one; of monitors the sixty worst.
create function punctual.read_analytics(p_days integer default 14, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_zone text := coalesce((select s.time_zone from punctual.settings s), 'UTC');
  v_from date := punctual.day_of(coalesce(p_now, clock_timestamp()), v_zone) - p_days + 1;
  v_outcomes constant text[] := '{done,up,degraded,dead,down,unknown,cancelled}';
begin
  if p_days is null or p_days not between 1 and 90 then
    raise exception 'p_days is between 1 and 90' using errcode = '22023';
  end if;
  return jsonb_build_object(
    'time_zone', v_zone,
    'rolled_until', (select min(r.rolled_until) from punctual.rollups r),
    'rolled_at', (select max(r.rolled_at) from punctual.rollups r),
    'problems', (select coalesce(jsonb_agg(jsonb_build_object('queue', r.queue, 'problem', r.problem) order by r.queue), '[]')
                   from punctual.rollups r where r.problem is not null),
    'totals', (
      select coalesce(jsonb_agg(to_jsonb(d) - 'is_total' - 'account_id' || jsonb_build_object('partial', coalesce(d.day >= r.rolled_until, false))
                                order by d.day desc, d.queue, array_position(v_outcomes, d.outcome)), '[]')
        from punctual.daily_outcomes d left join punctual.rollups r on r.queue = d.queue
       where d.is_total and d.day >= v_from),
    'days', (
      with d as materialized (
        select x.* from punctual.daily_outcomes x where not x.is_total and x.day >= v_from
      ),
      placed as materialized (
        select x.queue, x.account_id, row_number() over (partition by x.queue order by sum(x.rows) desc, x.account_id) as place from d x group by 1, 2
      ),
      shown as (
        select d.day, d.queue, d.outcome, p.place > 8 as others, least(p.place, 9) as place, case when p.place <= 8 then d.account_id end as account_id,
               sum(d.rows) as rows, max(d.p50_seconds) filter (where p.place <= 8) as p50_seconds,
               max(d.p95_seconds) filter (where p.place <= 8) as p95_seconds, max(d.p99_seconds) filter (where p.place <= 8) as p99_seconds
          from d join placed p on p.queue = d.queue and coalesce(p.account_id::text, '') = coalesce(d.account_id::text, '')
         group by 1, 2, 3, 4, 5, 6
      )
      select coalesce(jsonb_agg(to_jsonb(s) - 'place' || jsonb_build_object('account', a.name, 'partial', coalesce(s.day >= r.rolled_until, false))
                                order by s.day desc, s.queue, s.place, array_position(v_outcomes, s.outcome)), '[]')
        from shown s left join punctual.accounts a on a.id = s.account_id left join punctual.rollups r on r.queue = s.queue),
    'monitors', (
      with worst as materialized (
        select m.id, m.name, row_number() over (order by sum(d.down)::double precision / sum(d.checks) desc,
                                                         sum(d.degraded)::double precision / sum(d.checks) desc, m.name, m.id) as place
          from punctual.daily_checks d join punctual.monitors m on m.id = d.monitor_id
         where d.day >= v_from group by m.id order by place limit 60
      )
      select coalesce(jsonb_agg(to_jsonb(d) || jsonb_build_object('monitor_id', w.id::text, 'monitor', w.name,
                                  'partial', coalesce(d.day >= r.rolled_until, false)) order by w.place, d.day desc), '[]')
        from worst w join punctual.daily_checks d on d.monitor_id = w.id and d.day >= v_from
        left join punctual.rollups r on r.queue = 'monitors'));
end
$$;

-- Up to when retention may take what is rolled up by day: not what is not rolled up yet, for which it waits seven days at most.
create function punctual.prune_before(p_before timestamptz, r punctual.rollups, p_zone text) returns timestamptz
language sql stable set search_path = '' as $$
  select case when p_before is not null
              then least(p_before, greatest(punctual.day_start(r.rolled_until, p_zone), p_before - interval '7 days')) end
$$;

-- Deletes up to p_limit rows of one of Punctual's own tables whose p_column is before p_before, the oldest first. Those that are locked are passed
-- over. p_where: SQL on x, which they meet besides. Answers how many; none where p_before is null.
create function punctual.delete_old(p_table text, p_column text, p_before timestamptz, p_limit integer, p_where text default 'true') returns integer
language plpgsql set search_path = '' as $$
declare
  v_count integer;
begin
  execute format('delete from punctual.%I t where t.ctid = any (array('
                 'select x.ctid from punctual.%I x where x.%I < $1 and %s order by x.%I limit $2 for update skip locked))',
                 p_table, p_table, p_column, p_where, p_column) using p_before, p_limit;
  get diagnostics v_count = row_count;
  return v_count;
end
$$;

-- One bounded step of a queue's settled rows, p_limit of each state: those past its retention_days. Unknown rows stay: they wait for a
-- decision. Of pgmq, messages set aside; of monitors, checks, and never a monitor. r: the queue's line, locked. Answers how many of each
-- word, of which p_limit says that there may be more. Keys outlive their rows.
create function punctual.prune_rows(q punctual.queues, p_before timestamptz, p_limit integer, p_now timestamptz) returns integer[]
language plpgsql set search_path = '' as $$
declare
  v_word text;
  v_count integer;
  v_counts integer[] := '{}';
begin
  if q.source = 'pgmq' then return array[punctual.prune_messages(q, p_before, p_limit)]; end if;
  foreach v_word in array array[q.done_word, q.dead_word, q.cancelled_word] loop
    execute punctual.render_sql(q, $sql$
      with gone as (
        delete from {table} t where t.id = any (array(select s.id from {table} s where s.{status} = %L and s.finished_at < $1
          order by s.finished_at limit $2 for update skip locked))
        returning t.id, t.idempotency_key),
      spent as (
        insert into punctual.spent_keys (queue, key, row_id, status, spent_at)
        select {queue}, g.idempotency_key, g.id::text, $4, $3 from gone g where g.idempotency_key is not null and $5 on conflict do nothing)
      select count(*) from gone
      $sql$, v_word)
    into v_count using p_before, p_limit, p_now, v_word, punctual.keeps_keys(q.name);
    v_counts := v_counts || v_count;
  end loop;
  return v_counts;
end
$$;

-- Checks of monitors that began before p_before. In the order of their ids, which has an index, and is nearly that of their instants.
create function punctual.prune_checks(p_before timestamptz, p_limit integer) returns integer
language sql set search_path = '' as $$
  with gone as (
    delete from punctual.monitor_checks c where c.id = any (array(
      select o.id from (select x.id, x.at from punctual.monitor_checks x order by x.id limit p_limit for update skip locked) o where o.at < p_before))
    returning c.id)
  select count(*)::integer from gone
$$;

-- Ticks of the queue that began before p_before, p_limit at most. last_done_at: when the last of them began that had done something.
create function punctual.prune_ticks(q punctual.queues, p_before timestamptz, p_limit integer, out count integer, out last_done_at timestamptz)
language sql set search_path = '' as $$
  with gone as (
    delete from punctual.ticks t where t.id = any (array(
      select x.id from punctual.ticks x
       where x.queue = q.name and x.started_at < p_before order by x.started_at limit p_limit for update skip locked))
    returning t.started_at, t.done)
  select count(*)::integer, max(g.started_at) filter (where g.done > 0) from gone g
$$;

-- One bounded step of retention of what a queue has: its rows, checks, ticks and history. r: the queue's line, locked. Answers {queue, rows, checks,
-- ticks, history, problem, more}. problem: why its rows cannot be deleted.
create function punctual.prune_queue(q punctual.queues, r punctual.rollups, s punctual.settings, p_limit integer, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_zone text := coalesce(s.time_zone, 'UTC');
  v_before timestamptz := punctual.prune_before(p_now - make_interval(days => q.retention_days), r, v_zone);
  v_rows integer[] := '{}';
  v_checks integer := 0;
  v_ticks record;
  v_idle integer;
  v_history integer;
  v_problem text;
begin
  if v_before is not null then
    begin
      v_rows := punctual.prune_rows(q, v_before, p_limit, p_now);
      if (select sum(c) from unnest(v_rows) c) > 0 then r.pruned_until := greatest(r.pruned_until, v_before); end if;
    exception when others then
      v_problem := sqlerrm;
    end;
  end if;
  if q.name = 'monitors' then
    v_before := punctual.prune_before(p_now - make_interval(days => s.monitor_checks_days), r, v_zone);
    v_checks := punctual.prune_checks(v_before, p_limit);
    if v_checks > 0 then r.pruned_until := greatest(r.pruned_until, v_before); end if;
  end if;

  v_before := p_now - make_interval(days => s.ticks_days);
  if q.source = 'pgmq' then v_before := punctual.prune_before(v_before, r, v_zone); end if;
  v_ticks := punctual.prune_ticks(q, v_before, p_limit);
  if q.source = 'pgmq' then r.pruned_until := greatest(r.pruned_until, v_ticks.last_done_at + interval '1 microsecond'); end if;
  update punctual.rollups x set pruned_until = r.pruned_until where x.queue = q.name and x.pruned_until is distinct from r.pruned_until;
  v_idle := punctual.delete_old('ticks', 'started_at', p_now - make_interval(days => s.idle_ticks_days), p_limit,
                                format('x.queue = %L and x.outcome in (''idle'', ''skipped'') and x.done = 0', q.name));
  v_history := punctual.delete_old('history', 'at', p_now - make_interval(days => coalesce(q.retention_days, s.history_days)), p_limit,
                                   format('x.queue = %L', q.name));
  return jsonb_build_object(
    'queue', q.name, 'rows', (select coalesce(sum(c), 0) from unnest(v_rows) c), 'checks', v_checks, 'ticks', v_ticks.count + v_idle, 'history', v_history,
    'problem', v_problem, 'more', p_limit = any (v_rows || array[v_checks, v_ticks.count, v_idle, v_history]));
end
$$;

-- WhatsApp's user ids that were not seen since p_before. Those of people who are in a sequence are kept, and looked at again after as many days.
-- Answers how many were looked at.
create function punctual.prune_whatsapp_users(p_before timestamptz, p_limit integer, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_count integer;
begin
  with old as materialized (
    select u.user_id, u.number from punctual.whatsapp_users u where u.seen_at < p_before
     order by u.seen_at limit p_limit for update skip locked),
  kept as (
    update punctual.whatsapp_users u set seen_at = p_now from old o
     where u.user_id = o.user_id and exists (
       select from punctual.accounts a join punctual.enrolments e on e.account_id = a.id and (e.number = o.number or e.recipient = o.user_id)
        where a.provider = 'whatsapp_cloud')
    returning u.user_id),
  gone as (
    delete from punctual.whatsapp_users u using old o where u.user_id = o.user_id and u.user_id not in (select k.user_id from kept k))
  select count(*) into v_count from old;
  return v_count;
end
$$;

-- Monitor by monitor, by the key: there is no index on hours alone.
create function punctual.prune_hours(p_before timestamptz, p_limit integer) returns integer
language sql set search_path = '' as $$
  with gone as (
    delete from punctual.monitor_hours t where t.ctid = any (array(
      select h.ctid from punctual.monitors m
       cross join lateral (select x.ctid from punctual.monitor_hours x
                            where x.monitor_id = m.id and x.hour < p_before limit p_limit for update skip locked) h limit p_limit))
    returning t.hour)
  select count(*)::integer from gone
$$;

-- Figures of days before p_before. Answers how many of each kind: outcomes, checks.
create function punctual.prune_days(p_before date, p_limit integer) returns integer[]
language sql set search_path = '' as $$
  with outcomes as (
    delete from punctual.daily_outcomes t where t.ctid = any (array(
      select x.ctid from punctual.daily_outcomes x where x.day < p_before limit p_limit for update skip locked)) returning t.day),
  checks as (
    delete from punctual.daily_checks t where t.ctid = any (array(
      select x.ctid from punctual.daily_checks x where x.day < p_before limit p_limit for update skip locked)) returning t.day)
  select array[(select count(*) from outcomes), (select count(*) from checks)]::integer[]
$$;

-- One bounded step of retention of what is no queue's. Answers {receipts, enrolments, hours, incidents, days, more}.
create function punctual.prune_others(s punctual.settings, p_limit integer, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_receipts integer := punctual.delete_old('receipts', 'received_at', p_now - make_interval(days => s.receipts_days), p_limit);
  v_users integer := punctual.prune_whatsapp_users(p_now - make_interval(days => s.receipts_days), p_limit, p_now);
  v_keys integer := punctual.delete_old('spent_keys', 'spent_at', p_now - make_interval(days => s.idempotency_keys_days), p_limit);
  -- Each has a timeline of some twenty events.
  v_texts integer := punctual.prune_enrolment_texts(p_now - make_interval(days => s.enrolment_texts_days), (p_limit + 9) / 10, p_now);
  v_hours integer := punctual.prune_hours(p_now - make_interval(days => s.monitor_hours_days), p_limit);
  v_incidents integer := punctual.delete_old('incidents', 'closed_at', p_now - make_interval(days => s.incidents_days), p_limit);
  v_days integer[] := punctual.prune_days(punctual.day_of(p_now, coalesce(s.time_zone, 'UTC')) - s.daily_days, p_limit);
begin
  return jsonb_build_object(
    'receipts', v_receipts, 'enrolments', v_texts, 'hours', v_hours, 'incidents', v_incidents, 'days', v_days[1] + v_days[2],
    'more', p_limit = any (v_days || array[v_receipts, v_users, v_keys, v_hours, v_incidents]) or v_texts = (p_limit + 9) / 10);
end
$$;

-- One bounded step of retention: p_limit of each kind of thing, and of each queue's, or less where that takes too long: see is_call_over. What
-- ticks have locked is passed over, and so is a queue that is being rolled up. Rows, checks and pgmq's ticks wait for their roll-up: see
-- prune_before. A queue whose rows cannot be deleted does not hold up the others.
--
-- Answers {rows, ticks, history, receipts, enrolments, checks, hours, incidents, days, problems: [{queue, problem}], more}.
create function punctual.prune(p_limit integer default 1000, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  s punctual.settings;
  q punctual.queues;
  r punctual.rollups;
  v_queues jsonb := '[]';
  v_over boolean := false;
  v_others jsonb;
begin
  if p_limit is null or p_limit not between 1 and 10000 then
    raise exception 'p_limit is between 1 and 10000' using errcode = '22023';
  end if;
  select * into s from punctual.settings;
  insert into punctual.rollups (queue)
  select x.name from punctual.queues x where not exists (select from punctual.rollups y where y.queue = x.name) on conflict do nothing;
  for q in select * from punctual.queues order by name loop
    -- What a queue has is deleted to the last, step by step, before the next one's.
    v_over := punctual.is_call_over() and exists (
      select from jsonb_to_recordset(v_queues) l (rows integer, checks integer, ticks integer, history integer) where l.rows + l.checks + l.ticks + l.history > 0);
    exit when v_over;
    select * into r from punctual.rollups x where x.queue = q.name for no key update skip locked;
    v_queues := v_queues || case when found then punctual.prune_queue(q, r, s, p_limit, v_now) else '{"more": true}' end;
  end loop;
  -- Where it is over the rest comes with the next step.
  v_others := punctual.prune_others(s, case when v_over then 0 else p_limit end, v_now);
  return v_others || (
    select jsonb_build_object('rows', coalesce(sum(l.rows), 0), 'checks', coalesce(sum(l.checks), 0), 'ticks', coalesce(sum(l.ticks), 0),
             'history', coalesce(sum(l.history), 0), 'more', coalesce(bool_or(l.more), false) or (v_others->>'more')::boolean,
             'problems', coalesce(jsonb_agg(jsonb_build_object('queue', l.queue, 'problem', l.problem)) filter (where l.problem is not null), '[]'))
      from jsonb_to_recordset(v_queues) l (queue text, rows integer, checks integer, ticks integer, history integer, problem text, more boolean));
end
$$;

-- Whether the roll-up and retention still wait, where one entry does everything: they are done once a UTC day.
create function punctual.is_maintenance_due(p_now timestamptz default null) returns boolean
language sql stable set search_path = '' as $$
  select s.maintenance_done_on is distinct from (coalesce(p_now, clock_timestamp()) at time zone 'UTC')::date from punctual.settings s
$$;

create function punctual.note_maintenance(p_now timestamptz default null) returns void
language sql set search_path = '' as $$
  update punctual.settings set maintenance_done_on = (coalesce(p_now, clock_timestamp()) at time zone 'UTC')::date
$$;

select punctual.close_to_public();
select punctual.note_migration('20261122001500', 'analytics');
