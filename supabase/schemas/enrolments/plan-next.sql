-- Sets the next action and its time. A null p_at waits for an answer. A paused enrolment keeps the time in resume_at.
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

-- Ends the enrolment and withdraws its queued message. A running message is settled by its tick.
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
  -- apply_reply has already noted a reply.
  if p_phase <> 'replied' then perform punctual.note_enrolment(e.id, p_now, p_phase, e.step, null, p_text); end if;
  if p_phase = 'failed' then
    perform punctual.note_failures('enrolments', jsonb_build_array(jsonb_build_object('id', e.id, 'event', 'dead', 'error', p_text)), p_now);
  end if;
end
$$;

-- Moves the enrolment to its next step, or completes it. The step is due its delay after the last step was sent, and not before p_not_before.
create function punctual.advance_enrolment(inout e punctual.enrolments, p_not_before timestamptz, p_now timestamptz)
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

-- Plans what follows a question without an answer: its reminder, or, once that was sent, its no_reply action.
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
  -- Sends no reminder if the step's hours open only after the wait is over.
  if v_remind_at < coalesce(v_until, 'infinity') or (v_remind_at = 'infinity' and v_until is null) then
    e := punctual.plan_next(e, 'remind', v_remind_at);
  elsif v_until is null then
    e := punctual.plan_next(e, 'advance', null);
  elsif p_step->'no_reply'->>'action' = 'stop' then
    e := punctual.plan_next(e, 'stop', v_until);
  else
    v_next := punctual.read_step(e.sequence_id, e.version, e.step + 1);
    e := punctual.plan_next(e, 'advance', case when v_next is null then v_until else punctual.step_opens_at(v_next->'hours', e.time_zone,
      greatest(v_until, e.sent_at + make_interval(secs => (v_next->>'delay_seconds')::double precision))) end);
  end if;
end
$$;

-- Notes that the step was sent as p_message, and plans what follows.
create function punctual.note_sent(inout e punctual.enrolments, p_message punctual.dm_queue, p_now timestamptz)
language plpgsql set search_path = '' as $$
declare
  v_step jsonb := punctual.read_step(e.sequence_id, e.version, e.step);
  -- An answer is made after the message was claimed, even if we receive it before the message's outcome.
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
    e := punctual.advance_enrolment(e, case when v_answered then p_now end, p_now);
  else
    e := punctual.wait_for_answer(e, v_step);
  end if;
end
$$;
