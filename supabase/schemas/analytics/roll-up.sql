-- Rolls up the next day of one queue in the current run. A run takes every queue, the one with the oldest last run first. For each queue it
-- rolls up the last two complete days again, because rows may be resolved late. Then it rolls up missed days, and today so far.
-- r is the queue's row, locked by the caller. An error of one queue does not stop the others: it is kept in `problem`, and the next run tries
-- again. Returns {queue, day, rows, problem}.
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
      -- The figures of a removed queue with this name stay.
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

-- Rolls up one given day for the queue that follows p_after by name, or for the first queue. Locks the queue's row in rollups. An error of one
-- queue does not stop the queues after it: it is returned as `problem`. If retention has deleted rows of the day, its figures stay: `rows` is
-- null, and `first_day` is the first day that can be rolled up. Raises PT409 if that is so for every queue, and 22023 if the day has not begun.
create function punctual.roll_up_requested(p_day date, p_after text, p_zone text, p_now timestamptz) returns jsonb
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
      raise exception '% cannot be rolled up any more: retention has deleted rows of that day', p_day
        using errcode = 'PT409', detail = v_first::text,
              hint = format('Its figures stay as they are. The first day that can be rolled up is %s.', v_first);
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

-- Rolls up one day of one queue. Call it again while it returns `more`. Without p_day it starts a run or continues the current one: see
-- roll_up_next. With p_day it rolls up that day, one queue per call: pass the last response's `queue` as p_after; see roll_up_requested. Only one
-- call runs at a time, under an advisory lock. `busy`: another call runs, and this one did nothing.
-- Returns {queue, day, rows, more, busy, problem, first_day}.
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
    v_step := v_step || punctual.roll_up_requested(p_day, p_after, v_zone, v_now);
    return v_step || jsonb_build_object('more', exists (select from punctual.rollups x where x.queue > v_step->>'queue'));
  end if;
  -- A run that began over 10 minutes ago starts again: the queues that it had finished are behind by now.
  if not exists (select from punctual.rollups x where x.wanted_at > v_now - interval '10 minutes') then
    update punctual.rollups x set wanted_at = v_now;
  end if;
  select x.* into r from punctual.rollups x where x.wanted_at is not null order by x.rolled_at nulls first, x.queue limit 1 for no key update;
  if found then v_step := v_step || punctual.roll_up_next(r, v_zone, v_now); end if;
  return v_step || jsonb_build_object('more', exists (select from punctual.rollups x where x.wanted_at is not null));
end
$$;
