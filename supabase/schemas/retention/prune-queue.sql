-- Deletes checks of monitors that began before p_before, up to p_limit. By id, which has an index and nearly the order of the instants. Skips locked
-- rows. Returns how many.
create function punctual.prune_checks(p_before timestamptz, p_limit integer) returns integer
language sql set search_path = '' as $$
  with gone as (
    delete from punctual.monitor_checks c where c.id = any (array(
      select o.id from (select x.id, x.at from punctual.monitor_checks x order by x.id limit p_limit for update skip locked) o where o.at < p_before))
    returning c.id)
  select count(*)::integer from gone
$$;

-- Deletes ticks of the queue that began before p_before, up to p_limit, the oldest first. Skips locked rows. last_done_at: the start of the latest
-- of them that had done rows.
create function punctual.prune_ticks(q punctual.queues, p_before timestamptz, p_limit integer, out count integer, out last_done_at timestamptz)
language sql set search_path = '' as $$
  with gone as (
    delete from punctual.ticks t where t.id = any (array(
      select x.id from punctual.ticks x
       where x.queue = q.name and x.started_at < p_before order by x.started_at limit p_limit for update skip locked))
    returning t.started_at, t.done)
  select count(*)::integer, max(g.started_at) filter (where g.done > 0) from gone g
$$;

-- Runs one bounded step of retention for a queue: deletes up to p_limit of its rows of each state, its checks, ticks and events of the history. r:
-- the queue's row of rollups, locked. Returns {queue, rows, checks, ticks, history, problem, more}. problem: why its rows cannot be deleted.
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
  -- Not counted: a group of which no event is left, and which no person marked as known.
  perform punctual.delete_old('error_groups', 'first_at', p_now - make_interval(days => coalesce(q.retention_days, s.history_days)), p_limit,
    format('x.queue = %L and x.known_at is null and punctual.last_event_of_group(x.queue, x.id) is null', q.name));
  return jsonb_build_object(
    'queue', q.name, 'rows', (select coalesce(sum(c), 0) from unnest(v_rows) c), 'checks', v_checks, 'ticks', v_ticks.count + v_idle, 'history', v_history,
    'problem', v_problem, 'more', p_limit = any (v_rows || array[v_checks, v_ticks.count, v_idle, v_history]));
end
$$;
