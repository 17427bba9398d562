-- What happens next, and when; null: not before somebody answers.
create function punctual.plan_next(inout e punctual.enrolments, p_action text, p_at timestamptz)
language plpgsql stable set search_path = '' as $$
begin
  e.action := p_action;
  e.message_id := null;
  if e.paused_at is not null then
    e.resume_at := p_at;
    e.next_step_at := null;
    e.waits_for := 'somebody to resume it';
  else
    e.next_step_at := p_at;
    e.waits_for := case when p_at is null then 'an answer' end;
  end if;
end
$$;

-- It is over. The message that is queued for it is withdrawn; one that is on its way comes to its own end.
create function punctual.end_enrolment(inout e punctual.enrolments, p_phase text, p_text text, p_now timestamptz)
language plpgsql set search_path = '' as $$
begin
  e.phase := p_phase;
  e.next_step_at := null;
  e.resume_at := null;
  e.waits_for := null;
  e.finished_at := p_now;
  e.last_error := case when p_phase in ('failed', 'stopped') then left(p_text, 2000) end;
  if punctual.withdraw_message(e.message_id, format('its enrolment %s is over: %s', e.id, p_phase), p_now) then
    perform punctual.note_enrolment(e.id, p_now, 'withdrawn', e.step, e.message_id);
  end if;
  -- That of a reply is noted by whoever hears it.
  if p_phase <> 'replied' then perform punctual.note_enrolment(e.id, p_now, p_phase, e.step, null, p_text); end if;
  if p_phase = 'failed' then
    insert into punctual.history (queue, row_id, at, event, text) values ('enrolments', e.id::text, p_now, 'dead', left(p_text, 2000));
  end if;
end
$$;

-- On to the step after the one that was sent last, its delay after that was sent, and not before p_not_before; or to the end.
create function punctual.go_on(inout e punctual.enrolments, p_not_before timestamptz, p_now timestamptz)
language plpgsql set search_path = '' as $$
declare
  v_next jsonb := punctual.read_step(e.sequence_id, e.version, e.step + 1);
begin
  if v_next is null then
    e := punctual.end_enrolment(e, 'completed', null, p_now);
    return;
  end if;
  e.step := e.step + 1;
  e.phase := 'in_progress';
  e := punctual.plan_next(e, 'send', punctual.step_opens_at(v_next->'hours', e.time_zone,
    greatest(e.sent_at + make_interval(secs => (v_next->>'delay_seconds')::double precision), p_not_before)));
end
$$;

-- What follows on a question that nobody has answered: its reminder, unless that is done, then what its no_reply says.
create function punctual.wait_for_answer(inout e punctual.enrolments, p_step jsonb)
language plpgsql stable set search_path = '' as $$
declare
  v_until timestamptz := e.sent_at + make_interval(secs => (p_step->'no_reply'->>'after_seconds')::double precision);
  v_remind_at timestamptz := case when e.reminded_at is null and jsonb_typeof(p_step->'reminder') = 'object' then
    punctual.step_opens_at(p_step->'hours', e.time_zone,
      e.sent_at + make_interval(secs => (p_step->'reminder'->>'after_seconds')::double precision)) end;
  v_next jsonb;
begin
  e.phase := 'waiting_reply';
  -- Where its hours put it off until the wait is over nobody is reminded any more.
  if v_remind_at < coalesce(v_until, 'infinity') or (v_remind_at = 'infinity' and v_until is null) then
    e := punctual.plan_next(e, 'remind', v_remind_at);
  elsif v_until is null then
    e := punctual.plan_next(e, 'go_on', null);
  elsif p_step->'no_reply'->>'action' = 'stop' then
    e := punctual.plan_next(e, 'stop', v_until);
  else
    v_next := punctual.read_step(e.sequence_id, e.version, e.step + 1);
    e := punctual.plan_next(e, 'go_on', case when v_next is null then v_until else punctual.step_opens_at(v_next->'hours', e.time_zone,
      greatest(v_until, e.sent_at + make_interval(secs => (v_next->>'delay_seconds')::double precision))) end);
  end if;
end
$$;

-- The step was sent, as p_message.
create function punctual.note_sent(inout e punctual.enrolments, p_message punctual.dm_queue, p_now timestamptz)
language plpgsql set search_path = '' as $$
declare
  v_step jsonb := punctual.read_step(e.sequence_id, e.version, e.step);
  -- Whoever answers does so after the message was claimed, whatever came first to us.
  v_answered boolean := punctual.is_answer(e.early_reply_at, punctual.first_claim(p_message));
begin
  e.claimed_step_at := punctual.first_claim(p_message);
  e.sent_at := p_message.sent_at;
  e.reminded_at := null;
  e.early_reply_at := null;
  e.message_id := null;
  if v_answered and v_step->>'on_reply' = 'stop' then
    e.replied_steps := e.replied_steps || e.step;
    e := punctual.end_enrolment(e, 'replied', null, p_now);
  elsif v_answered or v_step->>'kind' = 'message' then
    if v_answered then e.replied_steps := e.replied_steps || e.step; end if;
    e := punctual.go_on(e, case when v_answered then p_now end, p_now);
  else
    e := punctual.wait_for_answer(e, v_step);
  end if;
end
$$;
