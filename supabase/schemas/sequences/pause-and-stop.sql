-- Locks an enrolment and returns it. Raises PT404.
create function punctual.lock_enrolment(p_id bigint) returns punctual.enrolments
language plpgsql set search_path = '' as $$
declare
  e punctual.enrolments;
begin
  select * into e from punctual.enrolments x where x.id = p_id for no key update;
  if not found then raise exception 'there is no enrolment %', p_id using errcode = 'PT404'; end if;
  return e;
end
$$;

-- Pauses an enrolment: nothing more is sent until it is resumed. Withdraws its queued message; a running message is still sent. Returns the
-- enrolment. Raises PT404, and PT409 if it has ended.
create function punctual.pause_enrolment(p_id bigint, p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  e punctual.enrolments := punctual.lock_enrolment(p_id);
  v_due timestamptz;
begin
  if punctual.is_over(e) then raise exception 'the enrolment is %', e.phase using errcode = 'PT409', detail = e.phase; end if;
  if e.paused_at is null then
    e.paused_at := v_now;
    perform punctual.note_enrolment(p_id, v_now, 'paused', e.step, null);
    perform punctual.note_act(p_by, 'pause_enrolment', 'enrolments', p_id::text, null, null, v_now);
    select d.send_at into v_due from punctual.dm_queue d where d.id = e.message_id;
    if e.message_id is null then
      e := punctual.plan_next(e, e.action, e.next_step_at);
    elsif punctual.withdraw_message(e.message_id, format('enrolment %s was paused', p_id), v_now) then
      perform punctual.note_enrolment(p_id, v_now, 'withdrawn', e.step, e.message_id);
      e := punctual.plan_next(e, e.action, v_due);
    end if;
    perform punctual.save_enrolment(e);
  end if;
  return punctual.read_enrolment(p_id);
end
$$;

-- Resumes a paused enrolment where it was. A failed enrolment tries its step again. Returns the enrolment. Raises PT404, and PT409 if it has ended
-- without a failure, or if it failed and the person was enrolled again or forgotten.
create function punctual.resume_enrolment(p_id bigint, p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  e punctual.enrolments := punctual.lock_enrolment(p_id);
begin
  if punctual.is_over(e) and e.phase <> 'failed' then
    raise exception 'the enrolment is %', e.phase using errcode = 'PT409', detail = e.phase;
  end if;
  if e.phase = 'failed' then
    perform punctual.refuse_forgotten(e);
    if punctual.is_superseded(e) then
      raise exception 'the person was enrolled again since' using errcode = 'PT409', detail = e.phase;
    end if;
    e.phase := case when e.action = 'send' then 'in_progress' else 'waiting_reply' end;
    e.finished_at := null;
    e.last_error := null;
    e.paused_at := null;
    e := punctual.plan_next(e, e.action, v_now);
    perform punctual.note_enrolment(p_id, v_now, 'resumed', e.step, null);
    perform punctual.save_enrolment(e);
    perform punctual.note_act(p_by, 'resume_enrolment', 'enrolments', p_id::text, '{"was": "failed"}', null, v_now);
  elsif e.paused_at is not null then
    e.paused_at := null;
    if e.message_id is null then e := punctual.plan_next(e, e.action, e.resume_at); end if;
    e.resume_at := null;
    perform punctual.note_enrolment(p_id, v_now, 'resumed', e.step, null);
    perform punctual.save_enrolment(e);
    perform punctual.note_act(p_by, 'resume_enrolment', 'enrolments', p_id::text, '{"was": "paused"}', null, v_now);
  end if;
  return punctual.read_enrolment(p_id);
end
$$;

-- Stops an enrolment: nothing more is sent. Withdraws its queued message; a running message is still sent. Returns the enrolment. Raises PT404, and
-- PT409 if it was answered or has completed.
create function punctual.stop_enrolment(p_id bigint, p_reason text default null, p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  e punctual.enrolments := punctual.lock_enrolment(p_id);
begin
  if punctual.is_over(e) and e.phase not in ('stopped', 'failed') then
    raise exception 'the enrolment is %', e.phase using errcode = 'PT409', detail = e.phase;
  end if;
  if e.phase <> 'stopped' then
    e := punctual.end_enrolment(e, 'stopped', format('%s stopped it%s', coalesce(p_by, 'an operator'), coalesce(': ' || p_reason, '')), v_now);
    perform punctual.save_enrolment(e);
    perform punctual.note_act(p_by, 'stop_enrolment', 'enrolments', p_id::text, null, p_reason, v_now);
  end if;
  return punctual.read_enrolment(p_id);
end
$$;
