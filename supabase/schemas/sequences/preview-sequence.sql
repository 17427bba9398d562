-- Returns one message of a preview. p_message: a step or its reminder. p_at: the approximate time; null: unknown; 'infinity': never.
create function punctual.preview_message(
  p_step integer, p_kind text, p_message jsonb, p_variables jsonb, p_at timestamptz, p_note text) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('step', p_step, 'kind', p_kind, 'body', punctual.fill_in(p_message->>'body', p_variables),
    'template', punctual.fill_in_template(p_message->'template', p_variables), 'about_at', case when p_at < 'infinity' then p_at end, 'note', p_note)
$$;

-- Returns the messages of all steps, each at the earliest possible time from p_from on: see preview_message.
create function punctual.preview_steps(
  p_steps jsonb, p_variables jsonb, p_zone text, p_account punctual.accounts, p_pace punctual.pace, p_from timestamptz, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  s record;
  v_at timestamptz := p_from;
  v_sent timestamptz := p_from;
  v_reminded timestamptz;
  -- Whether the times of later messages can be known.
  v_known boolean := true;
  v_list jsonb := '[]';
begin
  for s in select e.step, e.number::integer from jsonb_array_elements(p_steps) with ordinality e (step, number) order by e.number loop
    v_at := punctual.expect_step_at(s.step->'hours', p_zone, p_account, p_pace,
      greatest(v_at, v_sent + make_interval(secs => (s.step->>'delay_seconds')::double precision), p_now));
    v_list := v_list || punctual.preview_message(s.number, s.step->>'kind', s.step, p_variables, case when v_known then v_at end,
      case when not v_known then 'after the answer to the question before it'
           when v_at = 'infinity' then 'never: its hours and the account''s do not overlap, or the account may not send' end);
    v_known := v_known and v_at < 'infinity';
    v_sent := v_at;
    if jsonb_typeof(s.step->'reminder') = 'object' then
      v_reminded := punctual.expect_step_at(s.step->'hours', p_zone, p_account, p_pace,
        v_sent + make_interval(secs => (s.step->'reminder'->>'after_seconds')::double precision));
      v_list := v_list || punctual.preview_message(s.number, 'reminder', s.step->'reminder', p_variables,
                                                   case when v_known then v_reminded end, 'unless there was an answer');
    end if;
    if s.step->>'kind' = 'question' then
      if jsonb_typeof(s.step->'no_reply') = 'object' then
        v_at := v_sent + make_interval(secs => (s.step->'no_reply'->>'after_seconds')::double precision);
        v_known := v_known and s.step->'no_reply'->>'action' is distinct from 'stop';
      else
        v_known := false;
      end if;
    end if;
  end loop;
  return v_list;
end
$$;

-- Returns the messages that a person would get, and their approximate times: each step as soon as its delay, its hours and the account's pace allow,
-- with a tick each minute. The times after a question without no_reply are unknown. p_person: {account_id, variables, time_zone, start_at}.
-- Returns {steps: [{step, kind, body, template, about_at, note}]}, or {errors: [{field, message}]}. Raises PT404.
create function punctual.preview_sequence(p_sequence_id bigint, p_person jsonb, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_sequence punctual.sequences;
  v_steps jsonb;
  v_account punctual.accounts;
  v_pace punctual.pace;
  v_errors jsonb;
begin
  select * into v_sequence from punctual.sequences s where s.id = p_sequence_id;
  if not found then raise exception 'there is no sequence %', p_sequence_id using errcode = 'PT404'; end if;
  select v.steps into v_steps from punctual.sequence_versions v where v.sequence_id = p_sequence_id and v.version = v_sequence.version;
  -- The recipient does not matter here, so a preview has a made-up one.
  select jsonb_agg(c - 'index') into v_errors
    from jsonb_array_elements(punctual.check_people(v_sequence, v_steps, jsonb_build_array('{"recipient": "1"}' || p_person || '{"index": 0}'))) c;
  if v_errors is not null then return jsonb_build_object('errors', v_errors); end if;
  select * into v_account from punctual.accounts a where a.id = (p_person->>'account_id')::uuid;
  select * into v_pace from punctual.pace p where p.queue = 'dm_queue' and p.account_id = v_account.id;
  return jsonb_build_object('steps', punctual.preview_steps(v_steps, coalesce(p_person->'variables', '{}'),
    coalesce(p_person->>'time_zone', v_sequence.time_zone, v_account.time_zone), v_account, v_pace,
    coalesce((p_person->>'start_at')::timestamptz, v_now), v_now));
end
$$;

-- Returns the first instant from p_from on at which both the step's hours and the account are open; 'infinity' if 50 rounds find none.
create function punctual.expect_step_at(
  p_hours jsonb, p_zone text, p_account punctual.accounts, p_pace punctual.pace, p_from timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_at timestamptz := p_from;
  v_step_at timestamptz;
begin
  if p_from = 'infinity' then return p_from; end if;
  for v_round in 1..50 loop
    v_step_at := punctual.step_opens_at(p_hours, p_zone, v_at);
    if v_step_at = 'infinity' then return v_step_at; end if;
    select o.open_at into v_at from punctual.account_opening(p_account, p_pace, v_step_at) o;
    if v_at <= v_step_at then return v_step_at; end if;
    if v_at = 'infinity' then return v_at; end if;
  end loop;
  return 'infinity';
end
$$;
