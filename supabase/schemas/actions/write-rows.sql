-- Returns SQL that changes the rows t of an action. $1 is now, $2 the ids, $3 the arguments. retry starts the attempts anew and keeps the due time, so
-- older rows come first. retry_now keeps it too in a queue with accounts: there the account waits, and no row may overtake another.
create function punctual.action_changes(q punctual.queues, p_action text) returns text
language plpgsql stable set search_path = '' as $$
begin
  return punctual.render_sql(q, case p_action
    when 'retry' then '{status} = {pending}, attempts = 0, next_attempt_at = null'
    when 'retry_now' then case when q.account_column is null then 'next_attempt_at = $1' else 'next_attempt_at = t.next_attempt_at' end
    when 'reschedule' then '{due} = ($3->>''due_at'')::timestamptz, next_attempt_at = null'
    when 'prioritise' then 'priority = ($3->>''priority'')::smallint' end);
end
$$;

-- Locks those of the rows that the action can still change, without waiting for locks. written: their ids. locked: ids of rows that another session
-- has locked. Other rows have changed since, or are gone.
create function punctual.write_rows(q punctual.queues, a punctual.actions, p_ids text[], p_now timestamptz, out written text[], out locked text[])
language plpgsql set search_path = '' as $$
declare
  v_words text[] := array(select punctual.word_of_state(q, s) from unnest(punctual.action_states(q, a.action)) s);
  v_changes text := punctual.action_changes(q, a.action);
  v_got text[];
  v_pending jsonb;
begin
  -- The engine's triggers must see these writes as those of a person, except where settle_records makes them.
  perform set_config('punctual.settles', '', true);
  execute punctual.render_sql(q, 'select array(select t.id::text from {table} t where t.id = any ($1::{id_type}[]) order by t.id for no key update skip locked)')
  into v_got using p_ids;
  -- Another statement, so that it judges the rows as they are now that they are locked.
  execute punctual.render_sql(q, $sql$
    with fit as (
      select t.id, to_jsonb(t.*) as row from {table} t
       where t.id = any ($2::{id_type}[]) and t.{status} = any (%L::text[]::{status_type}[]) and (%s) is null order by t.id)
    select array(select f.id::text from fit f), (select jsonb_agg(f.row) from fit f where f.row->>'claimed_at' is not null and f.row->>%L = {pending})
    $sql$, v_words::text, punctual.action_obstacle(q, a.action, a.arguments, a.created_at), q.status_column)
  into written, v_pending using p_now, v_got;
  execute punctual.render_sql(q, 'select array(select t.id::text from {table} t where t.id = any ($1::{id_type}[]))')
  into locked using array(select i from unnest(p_ids) i where i <> all (v_got));
  if a.action = 'delete' then
    perform punctual.delete_rows(q, written, p_now);
  elsif a.action = 'cancel' then
    perform set_config('punctual.settles', q.name, true);
    perform punctual.settle_records(q, '[]', (select coalesce(jsonb_agg(jsonb_build_object('id', i, 'by', 'operator', 'was', 'pending', 'outcome', 'cancelled',
      'event', 'decided', 'who', a.actor, 'error', coalesce(a.note, format('cancelled by %s', a.actor)), 'text', punctual.action_text(a))), '[]') from unnest(written) i), p_now);
    perform set_config('punctual.settles', '', true);
  else
    execute punctual.render_sql(q, 'update {table} t set %s where t.id = any ($2::{id_type}[])', v_changes) using p_now, written, a.arguments;
    -- An account may have waited for one of these rows.
    if a.action in ('retry_now', 'reschedule') then
      perform punctual.end_hold(q, r, p_now) from (select r from jsonb_array_elements(v_pending) r order by r->>q.account_column offset 0) o;
    end if;
    insert into punctual.history (queue, row_id, at, event, by, text) select q.name, i, p_now, 'action', a.actor, punctual.action_text(a) from unnest(written) i;
  end if;
end
$$;

-- Returns what an action did, for the history of its rows.
create function punctual.action_text(a punctual.actions) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return left(format('%s %s (action %s)%s', a.actor, case a.action
    when 'retry' then 'had it tried again' when 'retry_now' then 'ended its wait' when 'cancel' then 'cancelled it' when 'delete' then 'deleted it'
    when 'reschedule' then format('made it due %s', a.arguments->>'due_at') else format('gave it priority %s', a.arguments->>'priority') end,
    a.id, coalesce(': ' || a.note, '')), 2000);
end
$$;

-- Changes one row by a function of its own: a message of a sequence or an enrolment resumes the enrolment, and pgmq's messages are not rows of a table.
-- Returns the row's result: see action_rows; null if another session has locked the enrolment, so that no step waits.
create function punctual.write_other(q punctual.queues, a punctual.actions, p_id text, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  v_enrolment bigint;
  v_fits boolean;
  e record;
begin
  if q.source = 'pgmq' then
    perform punctual.resolve_message(q, p_id, case a.action when 'retry' then 'pending' else 'cancelled' end, a.actor, a.note, p_now);
  else
    v_enrolment := case q.name when 'enrolments' then p_id::bigint else (select d.enrolment_id from punctual.dm_queue d where d.id = p_id::bigint) end;
    select x.id into e from punctual.enrolments x where x.id = v_enrolment for no key update skip locked;
    if e.id is null and exists (select from punctual.enrolments x where x.id = v_enrolment) then return null; end if;
    execute punctual.render_sql(q, format('select (%s) is null from {table} t where t.id = $2::{id_type}', punctual.action_obstacle(q, a.action, a.arguments, a.created_at)))
    into v_fits using p_now, p_id;
    if v_fits is not true then return 'changed'; end if;
    perform punctual.resume_enrolment(v_enrolment, p_by => a.actor, p_now => p_now);
    insert into punctual.history (queue, row_id, at, event, by, text) values (q.name, p_id, p_now, 'action', a.actor, punctual.action_text(a));
  end if;
  return 'written';
exception when sqlstate 'PT409' or sqlstate 'PT404' then
  return sqlerrm;
end
$$;

-- Returns those of an action's rows that write_other changes.
create function punctual.list_others(q punctual.queues, a punctual.actions, p_ids text[]) returns text[]
language plpgsql stable set search_path = '' as $$
begin
  if q.source = 'pgmq' or (q.name = 'enrolments' and a.action = 'retry') then return p_ids; end if;
  if q.name = 'dm_queue' and a.action = 'retry' then
    return array(select d.id::text from punctual.dm_queue d where d.id = any (p_ids::bigint[]) and d.enrolment_id is not null);
  end if;
  return '{}';
end
$$;
