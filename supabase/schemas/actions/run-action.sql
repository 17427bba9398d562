-- Writes p_ids, each alone if they cannot be written at once, because a check or a trigger of the table raises for one of them. Returns their results.
create function punctual.write_isolated(q punctual.queues, a punctual.actions, p_ids text[], p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_done record;
  v_id text;
  v_results jsonb := '{}';
begin
  v_done := punctual.write_rows(q, a, p_ids, p_now);
  return (select coalesce(jsonb_object_agg(i, case when i = any (v_done.written) then 'written' else 'changed' end), '{}')
            from unnest(p_ids) i where i <> all (v_done.locked));
exception when others then
  if punctual.is_of_call(sqlstate) then raise; end if;
  if cardinality(p_ids) = 1 then return jsonb_build_object(p_ids[1], left(sqlerrm, 500)); end if;
  foreach v_id in array p_ids loop
    v_results := v_results || punctual.write_isolated(q, a, array[v_id], p_now);
  end loop;
  return v_results;
end
$$;

-- Returns why an action stops by itself: the last ten of its rows that ended have all failed. Null if it continues.
create function punctual.failing_reason(q punctual.queues, a punctual.actions) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_failed integer;
begin
  if a.action <> 'retry' or q.source = 'pgmq' then return null; end if;
  execute punctual.render_sql(q, $sql$
    select count(*) filter (where e.{status} = {dead})
      from (select t.{status} from (select r.row_id from punctual.action_rows r where r.action_id = $1 and r.result = 'written' order by r.place desc limit 500) r
              join {table} t on t.id = r.row_id::{id_type}
             where t.finished_at > $2 and t.{status} in ({done}, {dead}, {unknown}) order by t.finished_at desc limit 10) e
    $sql$) into v_failed using a.id, coalesce((a.arguments->>'continued_at')::timestamptz, a.created_at);
  return case when v_failed = 10 then 'ten of its rows failed in a row' end;
end
$$;

-- Runs one step of an action: takes more ids from 25 × p_limit rows, or writes up to p_limit rows. Rows that another session has locked wait for a later step. Returns the
-- action as describe_action does; null if another session runs it. Locks the action, rows by id, then pace by account. Skips rows that are
-- locked, and waits for pace.
create function punctual.run_action(p_id bigint, p_limit integer default 200, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  q punctual.queues;
  a punctual.actions;
  v_ids text[];
  v_others text[];
  v_results jsonb;
  v_first integer;
begin
  select * into a from punctual.actions x where x.id = p_id for no key update skip locked;
  if a.id is null then return null; end if;
  q := punctual.read_queue(a.queue);
  if a.state = 'collecting' then
    a := punctual.collect_rows(q, a, 25 * p_limit, v_now);
  elsif a.state = 'running' then
    a.reason := punctual.failing_reason(q, a);
    if a.reason is not null then
      a.state := 'stopped';
    else
      v_first := (a.arguments->>'first')::integer;
      v_ids := array(select r.row_id from punctual.action_rows r where r.action_id = a.id and r.result is null
                      order by r.place limit least(p_limit, v_first - a.written));
      v_others := punctual.list_others(q, a, v_ids);
      v_results := punctual.write_isolated(q, a, array(select i from unnest(v_ids) i where i <> all (v_others)), v_now)
        || coalesce((select jsonb_strip_nulls(jsonb_object_agg(i, punctual.write_other(q, a, i, v_now))) from unnest(v_others) i), '{}');
      update punctual.action_rows r set result = v_results->>r.row_id where r.action_id = a.id and r.row_id = any (v_ids) and v_results ? r.row_id;
      a.written := a.written + (select count(*) from jsonb_each_text(v_results) e where e.value = 'written');
      a.skipped := a.skipped + (select count(*) from jsonb_each_text(v_results) e where e.value <> 'written');
      if a.written + a.skipped >= a.total then
        a.state := 'done';
      elsif v_first is not null and a.written >= v_first then
        a.state := 'waiting';
        a.reason := format('the first %s are written', v_first);
      end if;
    end if;
    if a.state in ('done', 'stopped') then a.finished_at := v_now; end if;
  end if;
  perform punctual.save_action(a);
  return punctual.describe_action(a);
end
$$;

-- Runs one step of the oldest open action of a queue. Runs in each tick's first exchange, which no error of an action ends: after a deadlock and the
-- like the next tick runs the step, and any other error goes to the queue's history and stops the action.
create function punctual.advance_actions(q punctual.queues, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_id bigint := (select a.id from punctual.actions a where a.queue = q.name and a.state in ('collecting', 'running') order by a.id limit 1);
begin
  if v_id is null then return; end if;
  perform punctual.run_action(v_id, 200, p_now);
  perform set_config('punctual.settles', q.name, true);
exception when others then
  if sqlstate ~ '^(40|53|55P03|58)' then return; end if;
  perform punctual.note_error(q, '', format('action %s failed: %s', v_id, sqlerrm), p_now);
  update punctual.actions a set state = 'stopped', reason = left(sqlerrm, 500), finished_at = p_now where a.id = v_id;
end
$$;

-- Stops an action: rows that it has not written stay as they are. Returns the action. Raises PT404, and PT409 if it has ended. Waits for its step.
create function punctual.stop_action(p_id bigint, p_by text default 'an operator', p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  a punctual.actions := punctual.lock_action(p_id);
begin
  if a.state in ('done', 'stopped') then raise exception 'the action is %', a.state using errcode = 'PT409', detail = a.state; end if;
  a.state := 'stopped';
  a.reason := format('%s stopped it', p_by);
  a.finished_at := v_now;
  perform punctual.save_action(a);
  perform punctual.note_act(p_by, 'stop', a.queue, format('action %s', a.id), jsonb_build_object('written', a.written, 'rows', a.total), null, v_now);
  return punctual.describe_action(a);
end
$$;

-- Continues an action that waits or that failures stopped. Returns the action. Raises PT404, and PT409 if there is nothing to continue.
create function punctual.continue_action(p_id bigint, p_by text default 'an operator', p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  a punctual.actions := punctual.lock_action(p_id);
begin
  if a.state not in ('waiting', 'stopped') or (a.cursor is null and a.written + a.skipped >= a.total) then
    raise exception 'the action is %', a.state using errcode = 'PT409', detail = a.state;
  end if;
  a.state := case when a.cursor is null then 'running' else 'collecting' end;
  a.reason := null;
  a.finished_at := null;
  a.arguments := a.arguments - 'first' || jsonb_build_object('continued_at', v_now);
  perform punctual.save_action(a);
  perform punctual.note_act(p_by, 'continue', a.queue, format('action %s', a.id), jsonb_build_object('written', a.written, 'rows', a.total), null, v_now);
  return punctual.describe_action(a);
end
$$;

-- Locks an action and returns it. Raises PT404.
create function punctual.lock_action(p_id bigint) returns punctual.actions
language plpgsql set search_path = '' as $$
declare
  a punctual.actions;
begin
  select * into a from punctual.actions x where x.id = p_id for no key update;
  if a.id is null then raise exception 'there is no action %', p_id using errcode = 'PT404'; end if;
  return a;
end
$$;
