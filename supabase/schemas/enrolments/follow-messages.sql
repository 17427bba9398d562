-- dm_queue's after_settle: applies the outcomes of messages to their enrolments. Locks the enrolments by id.
create function punctual.follow_messages(p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_applied record;
  v_message punctual.dm_queue;
  e punctual.enrolments;
begin
  for v_applied in
    select d.id, d.enrolment_id, a.outcome, a.error
      from jsonb_to_recordset(p_applied) a (id bigint, outcome text, error text)
      join punctual.dm_queue d on d.id = a.id and d.enrolment_id is not null
     order by d.enrolment_id, d.id
  loop
    select * into e from punctual.enrolments x where x.id = v_applied.enrolment_id for no key update;
    select * into v_message from punctual.dm_queue d where d.id = v_applied.id;
    e := punctual.follow_message(e, v_message, v_applied.outcome, v_applied.error, p_now);
    perform punctual.save_enrolment(e);
  end loop;
end
$$;

-- Returns when a message was claimed for its first attempt that may have sent it.
create function punctual.first_claim(p_message punctual.dm_queue) returns timestamptz
language sql immutable set search_path = '' as $$
  select coalesce((p_message.reconcile->>'first_at')::timestamptz, p_message.claimed_at)
$$;

-- Sets the enrolment back to before p_message was sent. Withdraws the message that was queued after it.
create function punctual.set_enrolment_back(inout e punctual.enrolments, p_message punctual.dm_queue, p_now timestamptz)
language plpgsql set search_path = '' as $$
begin
  if e.message_id <> p_message.id
     and punctual.withdraw_message(e.message_id, format('step %s before it is not known to have arrived', p_message.step), p_now) then
    perform punctual.note_enrolment(e.id, p_now, 'withdrawn', e.step, e.message_id);
  end if;
  e.step := p_message.step;
  e.action := case when p_message.is_reminder then 'remind' else 'send' end;
  if not p_message.is_reminder then e.sent_steps := p_message.step - 1; end if;
  e.message_id := p_message.id;
end
$$;

-- Whether the enrolment is past p_message, so that its outcome no longer sets the enrolment back.
create function punctual.is_past(e punctual.enrolments, p_message punctual.dm_queue) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  -- A later message, or another one of the same step, was sent or may have been.
  return exists (
    select from punctual.dm_queue d where d.enrolment_id = e.id and d.id <> p_message.id and d.status in ('sending', 'sent', 'unknown')
       and (d.step, d.is_reminder) >= (p_message.step, p_message.is_reminder))
  -- The reminder's question was answered, or its wait is over.
    or (p_message.is_reminder and (e.phase, e.step) is distinct from ('waiting_reply', p_message.step));
end
$$;

-- Applies `done`: notes that the message was sent, and plans what follows its step.
create function punctual.follow_sent(inout e punctual.enrolments, p_message punctual.dm_queue, p_now timestamptz)
language plpgsql set search_path = '' as $$
declare
  v_knew_chat boolean := e.chat_id is not null;
begin
  e.chat_id := coalesce(e.chat_id, p_message.chat_id);
  perform punctual.note_enrolment(e.id, p_message.sent_at, case when p_message.is_reminder then 'reminded' else 'sent' end, p_message.step, p_message.id);
  if p_message.is_reminder then
    e.reminded_steps := array_append(array_remove(e.reminded_steps, p_message.step), p_message.step);
  else
    e.sent_steps := greatest(e.sent_steps, p_message.step);
  end if;
  -- Late proof that the message was sent: the failed enrolment continues.
  if e.phase = 'failed' and e.texts_gone_at is null and p_message.step = e.step and p_message.is_reminder = (e.action = 'remind') and not punctual.is_superseded(e) then
    e.phase := case when p_message.is_reminder then 'waiting_reply' else 'in_progress' end;
    e.last_error := null;
    e.finished_at := null;
  end if;
  if not punctual.is_over(e) and p_message.step = e.step then
    if e.message_id <> p_message.id
       and punctual.withdraw_message(e.message_id, format('message %s of the same step was sent after all', p_message.id), p_now) then
      perform punctual.note_enrolment(e.id, p_now, 'withdrawn', e.step, e.message_id);
    end if;
    if not p_message.is_reminder and e.phase = 'in_progress' then
      e := punctual.note_sent(e, p_message, p_now);
    elsif p_message.is_reminder and e.phase = 'waiting_reply' and e.action = 'remind' then
      e.reminded_at := p_message.sent_at;
      e := punctual.wait_for_answer(e, punctual.read_step(e.sequence_id, e.version, e.step));
    end if;
  end if;
  -- Replies may have come from this chat before it was known to be this person's.
  if not v_knew_chat and e.chat_id is not null then
    e := punctual.apply_waiting_replies(e, p_now);
    perform punctual.apply_chat_replies(e, p_now);
  end if;
end
$$;

-- Applies `dead`: the message will not be sent, or did not arrive. Its enrolment fails, unless it is past the step.
create function punctual.follow_failed(inout e punctual.enrolments, p_message punctual.dm_queue, p_error text, p_now timestamptz)
language plpgsql set search_path = '' as $$
begin
  -- A provider may report hours later that a sent message did not arrive, also that of the last step.
  if not punctual.is_past(e, p_message) and p_message.step <= e.step
     and (not punctual.is_over(e) or (e.phase = 'completed' and e.replied_at is null and not punctual.is_superseded(e))) then
    e := punctual.set_enrolment_back(e, p_message, p_now);
    e := punctual.end_enrolment(e, 'failed', format('the %s of step %s was not sent: %s',
      case when p_message.is_reminder then 'reminder' else 'message' end, p_message.step, p_error), p_now);
  else
    perform punctual.note_enrolment(e.id, p_now, 'failed', p_message.step, p_message.id, p_error);
  end if;
end
$$;

-- Applies `unknown`: the message may have been sent. Its enrolment waits until the message is resolved.
create function punctual.follow_unknown(inout e punctual.enrolments, p_message punctual.dm_queue, p_error text, p_now timestamptz)
language plpgsql set search_path = '' as $$
begin
  perform punctual.note_enrolment(e.id, p_now, 'unknown', p_message.step, p_message.id, p_error);
  if punctual.is_over(e) then return; end if;
  if e.message_id is distinct from p_message.id and p_message.step <= e.step and not punctual.is_past(e, p_message) then
    -- Until now the message counted as sent.
    e := punctual.set_enrolment_back(e, p_message, p_now);
    e.phase := case when p_message.is_reminder then 'waiting_reply' else 'in_progress' end;
    e.next_step_at := null;
    e.resume_at := null;
  end if;
  if e.message_id = p_message.id then
    e.waits_for := format('its message %s, which may have been sent', p_message.id);
  end if;
end
$$;

-- Applies a return to `pending`. Withdraws the message if the enrolment ended, was paused or moved on while the message was running.
create function punctual.follow_unsent(inout e punctual.enrolments, p_message punctual.dm_queue, p_now timestamptz)
language plpgsql set search_path = '' as $$
begin
  if (punctual.is_over(e) or e.paused_at is not null or e.message_id is distinct from p_message.id)
     and punctual.withdraw_message(p_message.id, format('enrolment %s does not want it any more', e.id), p_now) then
    perform punctual.note_enrolment(e.id, p_now, 'withdrawn', p_message.step, p_message.id);
    if not punctual.is_over(e) and e.message_id = p_message.id then
      e := punctual.plan_next(e, e.action, p_message.send_at);
    end if;
  elsif e.message_id = p_message.id then
    e.waits_for := format('its message %s', p_message.id);
  end if;
end
$$;

-- Applies the outcome of a message to its enrolment. p_message is the row after the outcome. The caller holds the enrolment's lock, and saves it.
create function punctual.follow_message(
  inout e punctual.enrolments, p_message punctual.dm_queue, p_outcome text, p_error text, p_now timestamptz)
language plpgsql set search_path = '' as $$
begin
  if p_outcome = 'done' then
    e := punctual.follow_sent(e, p_message, p_now);
  elsif p_outcome = 'dead' then
    e := punctual.follow_failed(e, p_message, p_error, p_now);
  elsif p_outcome = 'cancelled' then
    if not punctual.is_over(e) and e.message_id = p_message.id then
      e.message_id := null;
      e := punctual.end_enrolment(e, 'stopped', 'its message was cancelled', p_now);
    end if;
  elsif p_outcome = 'unknown' then
    e := punctual.follow_unknown(e, p_message, p_error, p_now);
  elsif p_message.status = 'pending' then
    e := punctual.follow_unsent(e, p_message, p_now);
  end if;
end
$$;
