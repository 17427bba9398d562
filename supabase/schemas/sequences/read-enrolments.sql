-- Returns an enrolment as the API shows it.
create function punctual.show_enrolment(e punctual.enrolments) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select jsonb_build_object('id', e.id::text, 'sequence_id', e.sequence_id::text, 'sequence_name', s.name, 'version', e.version,
             'account_id', e.account_id, 'account_name', a.name, 'channel', e.channel, 'chat_id', e.chat_id, 'recipient', e.recipient,
             'variables', e.variables, 'time_zone', e.time_zone, 'phase', e.phase, 'status', e.status, 'step', e.step,
             'steps', jsonb_array_length(v.steps),
             'next_step_at', case when not punctual.is_over(e) and e.next_step_at < 'infinity' then e.next_step_at end,
             'next_action', case when not punctual.is_over(e) and e.next_step_at < 'infinity' then e.action end,
             'waits_for', case when e.next_step_at = 'infinity' then 'its step''s hours, which never open' else e.waits_for end,
             'paused_at', e.paused_at, 'message_id', case when not punctual.is_over(e) then e.message_id::text end, 'sent_steps', e.sent_steps,
             'replied_at', e.replied_at, 'last_reply', e.last_reply, 'last_error', e.last_error, 'enrolled_at', e.enrolled_at, 'finished_at', e.finished_at)
      from punctual.sequences s
      join punctual.sequence_versions v on v.sequence_id = s.id and v.version = e.version
      left join punctual.accounts a on a.id = e.account_id
     where s.id = e.sequence_id);
end
$$;

-- Returns a page of enrolments, the newest first. p_limit: 1 to 200. Raises 22023 for an invalid limit or phase.
create function punctual.list_enrolments(
  p_sequence_id bigint default null, p_phase text default null, p_limit integer default 50, p_cursor jsonb default null,
  p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_list jsonb;
begin
  if p_limit not between 1 and 200 then
    raise exception 'the limit is %', p_limit using errcode = '22023', hint = 'Use a limit from 1 to 200.';
  end if;
  if p_phase is not null and p_phase not in ('in_progress', 'waiting_reply', 'replied', 'completed', 'stopped', 'failed') then
    raise exception 'there is no phase "%"', p_phase
      using errcode = '22023', hint = 'Use in_progress, waiting_reply, replied, completed, stopped or failed.';
  end if;
  -- Builds the query for the given filters: with all filters as parameters, Postgres would use no index.
  execute format('select jsonb_agg(jsonb_build_object(''item'', punctual.show_enrolment(e), ''key'', jsonb_build_array(e.id)) order by e.id desc) from ('
                 'select * from punctual.enrolments x where true %s %s %s order by x.id desc limit $1) e',
                 case when p_sequence_id is not null then format('and x.sequence_id = %L', p_sequence_id) end,
                 case when p_phase is not null then format('and x.phase = %L', p_phase) end,
                 case when p_cursor is not null then format('and x.id < %L', (p_cursor->>0)::bigint) end)
  into v_list using p_limit + 1;
  return punctual.page_of(v_list, p_limit);
end
$$;

-- Returns an enrolment with the latest 1,000 events of its timeline, oldest first. Raises PT404.
create function punctual.read_enrolment(p_id bigint, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  e punctual.enrolments;
begin
  select * into e from punctual.enrolments x where x.id = p_id;
  if not found then raise exception 'there is no enrolment %', p_id using errcode = 'PT404'; end if;
  return punctual.show_enrolment(e) || jsonb_build_object('timeline', (
    select coalesce(jsonb_agg(jsonb_build_object('at', t.at, 'event', t.event, 'step', t.step, 'message_id', t.message_id::text, 'text', t.text)
                              order by t.at, t.id), '[]')
      from (select * from punctual.enrolment_events x where x.enrolment_id = p_id order by x.id desc limit 1000) t));
end
$$;
