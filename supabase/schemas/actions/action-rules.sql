-- Returns the states of the rows that an action can change. Messages of pgmq that were set aside can be retried and cancelled, and nothing else.
create function punctual.action_states(q punctual.queues, p_action text) returns text[]
language plpgsql immutable set search_path = '' as $$
begin
  if q.source = 'pgmq' then return case when p_action in ('retry', 'cancel') then '{dead}' else '{}' end; end if;
  return case p_action
    when 'retry' then case when q.delivery = 'at-least-once' then '{dead,cancelled,done}'::text[] else '{dead,cancelled}' end
    when 'delete' then '{dead,cancelled,done}'
    else '{pending}' end;
end
$$;

-- Returns SQL of why an action leaves the row t, of one of its states, as it is; null if it changes the row. $1 is now. p_asked_at: when the action
-- was asked for; null for a dry run.
--
-- changed             it ended after the action was asked for, so the person has not seen it as it is
-- sequence            its sequence decides when it is sent, and is not resumed by a retry of this row
-- may_have_been_sent  an attempt of it, or of an enrolment's message, was uncertain once, and it is not confirmed that it may be sent twice
-- expired             it would expire before it is tried
-- not_waiting         it waits for no retry; in a queue with accounts, its account does not wait to retry it
-- still_needed        it keeps another message from being proved by its own: see still_needed
create function punctual.action_obstacle(q punctual.queues, p_action text, p_arguments jsonb, p_asked_at timestamptz) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_changed text := case when p_asked_at is null then 'false' else format('t.finished_at > %L', p_asked_at) end;
begin
  if q.source = 'pgmq' then return 'null::text'; end if;
  return case p_action
    when 'retry' then format('case when %s then ''changed'' when %s then ''sequence'' when %s then ''may_have_been_sent'' when t.expires_at <= $1 then ''expired'' end',
      v_changed,
      case q.name when 'enrolments' then 't.phase <> ''failed'''
        when 'dm_queue' then 't.enrolment_id is not null and not exists (select from punctual.enrolments e where e.id = t.enrolment_id and e.message_id = t.id and e.phase = ''failed'')'
        else 'false' end,
      case when p_arguments->>'confirm' = 'may_send_twice' then 'false'
        when q.name = 'enrolments' then 'exists (select from punctual.dm_queue d where d.id = t.message_id and d.reconcile ? ''first_at'')'
        when q.delivery = 'at-most-once' then 'coalesce(t.reconcile ? ''first_at'', false)'
        else 'false' end)
    when 'retry_now' then case when q.account_column is null then 'case when t.next_attempt_at is null or t.next_attempt_at <= $1 then ''not_waiting'' end'
      else punctual.render_sql(q, $sql$case when t.claimed_at is null or not exists (
        select from punctual.pace p where p.queue = {queue} and p.account_id = t.{account} and p.retry_at > $1) then 'not_waiting' end$sql$) end
    when 'reschedule' then format('case when %s then ''sequence'' when t.expires_at <= %L::timestamptz then ''expired'' end',
      case when q.closes_column is null then 'false' else format('t.%I is not null', q.closes_column) end, p_arguments->>'due_at')
    when 'delete' then format('case when %s then ''changed'' when %s then ''still_needed'' end', v_changed, regexp_replace(punctual.still_needed(q), '\ms\.', 't.', 'g'))
    else 'null::text' end;
end
$$;

-- Returns the filter with only those of its states that the action can change. Raises 22023 if there are none.
create function punctual.action_filter(q punctual.queues, p_action text, p_filter jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_states text[] := array(select s from unnest(punctual.filter_states(q, p_filter)) s where s = any (punctual.action_states(q, p_action)));
begin
  if v_states = '{}' then
    raise exception 'no row of these states can be changed by "%"', p_action using errcode = '22023', detail = 'action',
      hint = case when punctual.action_states(q, p_action) = '{}' then 'Messages of pgmq that were set aside can be retried or cancelled.' else
        format('It changes rows that are %s.', array_to_string(array(select punctual.word_of_state(q, s) from unnest(punctual.action_states(q, p_action)) s), ', ')) end;
  end if;
  return coalesce(p_filter, '{}') || jsonb_build_object('status', v_states);
end
$$;

-- Reads rows for an action: see walk_rows. item: {id, left}, where left is why the action leaves the row, or null. Messages of pgmq are chosen by their
-- ids or by one state. Raises 22023 for another filter of them. p_asked_at: see action_obstacle.
create function punctual.walk_action_rows(
  q punctual.queues, p_action text, p_arguments jsonb, p_filter jsonb, p_asked_at timestamptz, p_cursor jsonb, p_wanted integer, p_reads integer,
  p_now timestamptz, out items jsonb, out next jsonb)
language plpgsql stable set search_path = '' as $$
declare
  v_page jsonb;
begin
  if q.source = 'pgmq' then
    if p_filter ? 'ids' and p_filter - '{ids,status}'::text[] = '{}' then
      items := (select coalesce(jsonb_agg(distinct i), '[]')
                  from jsonb_array_elements(p_filter->'ids') i cross join lateral punctual.split_message_id(i#>>'{}') m
                  join punctual.set_aside_messages s on s.partition = m.partition and s.msg_id = m.msg_id and s.cancelled_at is null);
    else
      v_page := punctual.list_messages(q, punctual.only_state(q, p_filter), p_wanted, p_cursor, p_now);
      items := jsonb_path_query_array(v_page->'items', '$[*].id');
      next := nullif(v_page->'next', 'null');
    end if;
    items := (select coalesce(jsonb_agg(jsonb_build_object('item', jsonb_build_object('id', i, 'left', null))), '[]') from jsonb_array_elements(items) i);
  else
    select w.items, w.next into items, next
      from punctual.walk_rows(q, p_filter, null, p_cursor, format('jsonb_build_object(''id'', t.id::text, ''left'', %s)', punctual.action_obstacle(q, p_action, p_arguments, p_asked_at)),
                              p_wanted, p_reads, p_now) w;
  end if;
end
$$;
