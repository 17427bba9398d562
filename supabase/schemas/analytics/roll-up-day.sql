-- Returns when the first row of the queue was settled, from p_from to before p_to; null if none was. For monitors it returns p_from, or if
-- that is -infinity, the start of the first check.
create function punctual.next_settled_at(q punctual.queues, p_from timestamptz, p_to timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_word text;
  v_at timestamptz;
  v_first timestamptz;
begin
  if q.name = 'monitors' then
    -- There are many checks, kept for days only: stepping through each day costs less than searching for the next check.
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

-- Replaces a queue's figures of one day. Returns the number of rows they count. The caller holds the lock of the queue's row in rollups.
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
    -- `done` is the ledger's count. An archive also holds messages that other consumers archived, and nothing if done messages are deleted.
    -- A tick counts on the day on which it began. Messages that were set aside are counted in their table. There are no percentiles, because
    -- no table records when a message fell due.
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
    -- Renders the states' words as literals: the partial index on settled rows has them as literals too.
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
