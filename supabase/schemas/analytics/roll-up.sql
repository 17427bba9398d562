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
