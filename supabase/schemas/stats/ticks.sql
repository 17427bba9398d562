-- Returns a tick as the API shows it, with p_report as its report. Its outcome is running while it is open, and died if its limit passed before it was
-- closed.
create function punctual.show_tick(t punctual.ticks, p_report jsonb, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'id', t.id, 'queue', t.queue, 'partition', t.partition, 'scheduler', t.scheduler, 'path', t.path, 'schedule', t.schedule,
    'slot', t.slot, 'continuation', t.continuation, 'run_id', t.run_id, 'started_at', t.started_at, 'closed_at', t.closed_at,
    'deadline_at', t.deadline_at,
    'outcome', case when t.closed_at is not null then t.outcome when t.deadline_at > p_now then 'running' else 'died' end,
    'duplicate', t.duplicate, 'claimed', t.claimed, 'done', t.done, 'retried', t.retried, 'again', t.again, 'dead', t.dead,
    'unknown', t.unknown, 'released', t.released, 'lost', t.lost, 'swept', t.swept, 'asked_for', t.asked_for, 'report', p_report)
$$;

-- Returns the parts of a tick's report that a list shows; null if it left none.
create function punctual.report_in_short(p_report jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select case when p_report is not null then (
    select coalesce(jsonb_object_agg(e.key, e.value), '{}') from jsonb_each(p_report) e
     where e.key in ('ended', 'usedMs', 'budgetMs', 'lock', 'performMs', 'fault')) end
$$;

-- Returns a page of a queue's ticks, the latest first, each with its report in short: {items, next}. p_idle: also the ticks that found nothing due or
-- another tick running. p_cursor: `next` of the page before. Raises PT404 for an unknown queue, and 22023 for an invalid limit.
create function punctual.list_ticks(
  p_queue text, p_idle boolean default false, p_limit integer default 50, p_cursor jsonb default null, p_now timestamptz default null)
returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_ticks jsonb;
begin
  if p_limit not between 1 and 200 then
    raise exception 'the limit is %', p_limit using errcode = '22023', hint = 'Use a limit from 1 to 200.';
  end if;
  if not exists (select from punctual.queues q where q.name = p_queue) then
    raise exception 'there is no queue "%"', p_queue using errcode = 'PT404';
  end if;
  -- Each form has an index: ticks_notable without idle ticks, ticks_recent with them.
  execute format($sql$
    select jsonb_agg(jsonb_build_object('item', punctual.show_tick(k.t, punctual.report_in_short((k.t).report), $3),
                                        'key', jsonb_build_array((k.t).started_at, (k.t).id)) order by (k.t).started_at desc, (k.t).id desc)
      from (select t from punctual.ticks t where t.queue = $1 %s %s order by t.started_at desc, t.id desc limit $2) k
    $sql$,
    case when not p_idle then 'and (t.outcome is null or t.outcome not in (''idle'', ''skipped''))' end,
    case when p_cursor is not null then format('and (t.started_at, t.id) < (%L::timestamptz, %L::uuid)', p_cursor->>0, p_cursor->>1) end)
  into v_ticks using p_queue, p_limit + 1, coalesce(p_now, clock_timestamp());
  return punctual.page_of(v_ticks, p_limit);
end
$$;

-- Returns a tick with its whole report, and the ticks of its run: {tick, run: [{id, queue, partition, continuation, started_at}]}, 50 at most, in
-- order. Raises PT404.
create function punctual.read_tick(p_id uuid, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' as $$
declare
  t punctual.ticks;
begin
  select * into t from punctual.ticks x where x.id = p_id;
  if not found then
    raise exception 'there is no tick %, or retention has deleted it', p_id using errcode = 'PT404';
  end if;
  -- The ticks of a run start within the hour. The index on queue and time serves the search.
  return jsonb_build_object('tick', punctual.show_tick(t, t.report, coalesce(p_now, clock_timestamp())), 'run', (
    select jsonb_agg(jsonb_build_object('id', r.id, 'queue', r.queue, 'partition', r.partition, 'continuation', r.continuation,
                                        'started_at', r.started_at) order by r.continuation, r.started_at, r.id)
      from (select x.* from punctual.ticks x
             where x.queue = t.queue and x.run_id = t.run_id and x.started_at between t.started_at - interval '1 hour' and t.started_at + interval '1 hour'
             order by x.continuation, x.started_at, x.id limit 50) r));
end
$$;

-- Returns the newest tick of a queue, of any outcome: {id, partition, started_at, closed_at, outcome, continuation, duplicate, fault}; null if none.
create function punctual.last_tick(q punctual.queues, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  t punctual.ticks;
begin
  select * into t from punctual.ticks x where x.queue = q.name order by x.started_at desc, x.id desc limit 1;
  if not found then return null; end if;
  return (select jsonb_object_agg(e.key, e.value) from jsonb_each(punctual.show_tick(t, null, p_now)) e
           where e.key in ('id', 'partition', 'started_at', 'closed_at', 'outcome', 'continuation', 'duplicate'))
         || jsonb_build_object('fault', t.report->>'fault');
end
$$;

-- Returns the outcomes of the ticks of the last p_span, by the p_unit (minute or hour) in which a tick closed: [{at, done, retried, dead, unknown}].
create function punctual.list_throughput(q punctual.queues, p_unit text, p_span interval, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(to_jsonb(m) order by m.at), '[]')
    from (select date_trunc(p_unit, coalesce(t.closed_at, p_now)) as at, sum(t.done + t.again) as done, sum(t.retried) as retried,
                 sum(t.dead) as dead, sum(t.unknown) as unknown
            from punctual.ticks t
           where t.queue = q.name and t.started_at > p_now - p_span and (t.outcome is null or t.outcome not in ('idle', 'skipped'))
           group by 1 having sum(t.done + t.again + t.retried + t.dead + t.unknown) > 0) m
$$;
