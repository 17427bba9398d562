create function punctual.is_over(e punctual.enrolments) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  return e.phase not in ('in_progress', 'waiting_reply');
end
$$;

-- Raises PT409 if the enrolment's texts were deleted.
create function punctual.refuse_forgotten(e punctual.enrolments) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if e.texts_gone_at is null then return; end if;
  raise exception 'the data of this person was deleted on %: enrol the person again', e.texts_gone_at::date
    using errcode = 'PT409', detail = e.phase;
end
$$;

-- Whether the person was enrolled in the same sequence again. Then an ended enrolment stays ended.
create function punctual.is_superseded(e punctual.enrolments) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  return exists (select from punctual.enrolments x where x.sequence_id = e.sequence_id and x.person = e.person and x.id > e.id);
end
$$;

-- Whether a reply made at p_at may answer a message claimed at p_claimed_at. Allows 5 s, because p_at is by the person's clock.
create function punctual.is_answer(p_at timestamptz, p_claimed_at timestamptz) returns boolean
language sql immutable set search_path = '' as $$
  select coalesce(p_at + interval '5 seconds' >= p_claimed_at, false)
$$;

create function punctual.note_enrolment(
  p_enrolment_id bigint, p_at timestamptz, p_event text, p_step integer, p_message_id bigint, p_text text default null) returns void
language plpgsql set search_path = '' as $$
begin
  insert into punctual.enrolment_events (enrolment_id, at, event, step, message_id, text)
  values (p_enrolment_id, p_at, p_event, p_step, p_message_id, left(p_text, 2000));
end
$$;

-- Writes an enrolment that the caller changed under its lock. Voids a tick's claim on it, because that attempt decides by the old state.
create function punctual.save_enrolment(e punctual.enrolments) returns void
language plpgsql set search_path = '' as $$
declare
  v_settles text := current_setting('punctual.settles', true);
begin
  perform set_config('punctual.settles', 'enrolments', true);
  update punctual.enrolments t set
    phase = e.phase, step = e.step, action = e.action, next_step_at = e.next_step_at, resume_at = e.resume_at, waits_for = e.waits_for,
    message_id = e.message_id, claimed_step_at = e.claimed_step_at, sent_at = e.sent_at, reminded_at = e.reminded_at, sent_steps = e.sent_steps,
    reminded_steps = e.reminded_steps, replied_steps = e.replied_steps, replied_at = e.replied_at, last_reply = e.last_reply,
    early_reply_at = e.early_reply_at, paused_at = e.paused_at, chat_id = e.chat_id, last_error = e.last_error, finished_at = e.finished_at,
    status = case when e.phase in ('replied', 'completed') then 'done' when e.phase = 'failed' then 'dead' when e.phase <> 'stopped' then 'pending'
                  -- The tick that stops an enrolment without an answer settles it as done.
                  when t.status = 'done' then t.status else 'cancelled' end,
    claim_id = null, lease_expires_at = null, next_attempt_at = null, attempts = 0
   where t.id = e.id;
  perform set_config('punctual.settles', coalesce(v_settles, ''), true);
end
$$;
