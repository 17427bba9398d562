-- Queues the message of each enrolment with the outcome `again`, except those in p_replied. If the step's hours are closed, puts the enrolment off
-- until they open.
create function punctual.queue_messages(p_applied jsonb, p_replied bigint[], p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  with due as materialized (
    select e.id, e.account_id, e.channel, e.chat_id, e.recipient, e.priority, e.variables, e.time_zone, a.due, e.action,
           e.action = 'remind' as is_reminder, s.number, v.steps->(s.number - 1) as step
      from jsonb_to_recordset(p_applied) a (id bigint, outcome text, due timestamptz)
      join punctual.enrolments e on e.id = a.id
      join punctual.sequence_versions v on v.sequence_id = e.sequence_id and v.version = e.version
     cross join lateral (select e.step + (e.action = 'advance')::integer as number) s
     -- If the account was deleted since the claim, the next tick decides the enrolment again.
     where a.outcome = 'again' and a.id <> all (p_replied) and e.account_id is not null),
  -- Computes each pair of hours and zone once: most rows share theirs, and one computation may take milliseconds.
  spans as materialized (
    select h.hours, h.time_zone, o.opens_at,
           case when o.opens_at <= p_now then punctual.step_closes_at(h.hours, h.time_zone, p_now) end as closes_at
      from (select distinct coalesce(d.step->'hours', 'null') as hours, d.time_zone from due d) h
     cross join lateral (select punctual.step_opens_at(h.hours, h.time_zone, p_now) as opens_at) o),
  -- If the tick is late, the hours may have closed.
  judged as materialized (
    select d.*, case when d.is_reminder then d.step->'reminder' else d.step end as message, s.opens_at, s.closes_at
      from due d join spans s on s.hours = coalesce(d.step->'hours', 'null') and s.time_zone = d.time_zone),
  queued as (
    insert into punctual.dm_queue (account_id, channel, chat_id, recipient, body, template, send_at, open_until, priority, enrolment_id, step,
                                   is_reminder, created_at)
    select j.account_id, j.channel, j.chat_id, j.recipient, punctual.fill_in(j.message->>'body', j.variables),
           punctual.fill_in_template(j.message->'template', j.variables), j.due, j.closes_at,
           j.priority, j.id, j.number, j.is_reminder, p_now
      from judged j where j.opens_at <= p_now order by j.due, j.id
    returning id, enrolment_id, step, is_reminder, body),
  noted as (
    insert into punctual.enrolment_events (enrolment_id, at, event, step, message_id, text)
    select q.enrolment_id, p_now, case when q.is_reminder then 'reminder_queued' else 'queued' end, q.step, q.id, left(q.body, 2000)
      from queued q order by q.id)
  update punctual.enrolments t set
    step = case when q.id is null then t.step else j.number end,
    action = case when q.id is null or j.is_reminder then t.action else 'send' end,
    phase = case when q.id is null or j.is_reminder then t.phase else 'in_progress' end,
    message_id = q.id,
    next_step_at = case when q.id is null then j.opens_at end,
    waits_for = 'its message ' || q.id
    from judged j left join queued q on q.enrolment_id = j.id
   where t.id = j.id;
end
$$;

-- Ends enrolments with the outcome `done` or `dead`.
create function punctual.note_ends(p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  with ended as (
    update punctual.enrolments t set
      phase = case when a.outcome = 'dead' then 'failed' when t.action = 'stop' then 'stopped' else 'completed' end,
      next_step_at = null, resume_at = null, waits_for = null,
      last_error = case when a.outcome = 'dead' then a.error when t.action = 'stop' then 'no answer' end
      from jsonb_to_recordset(p_applied) a (id bigint, outcome text, error text)
     where t.id = a.id and a.outcome in ('done', 'dead')
    returning t.id, t.phase, t.step, t.last_error)
  insert into punctual.enrolment_events (enrolment_id, at, event, step, text)
  select n.id, p_now, n.phase, n.step, left(n.last_error, 2000) from ended n order by n.id;
  -- Withdraws the message of an enrolment that somebody ended by plain SQL.
  perform punctual.withdraw_message(t.message_id, format('its enrolment %s is over: %s', t.id, t.phase), p_now)
     from jsonb_to_recordset(p_applied) a (id bigint, outcome text) join punctual.enrolments t on t.id = a.id
    where a.outcome in ('done', 'dead') and t.message_id is not null;
end
$$;

-- The queue's after_settle. Queues messages in the transaction that settles their enrolments, so that neither is kept without the other.
-- The settle holds the enrolments' locks.
create function punctual.settle_enrolments(p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_cancelled punctual.enrolments;
begin
  perform punctual.queue_messages(p_applied, punctual.apply_early_replies(p_applied, p_now), p_now);
  perform punctual.note_ends(p_applied, p_now);
  -- An operator cancelled these.
  for v_cancelled in
    select t.* from jsonb_to_recordset(p_applied) a (id bigint, outcome text)
      join punctual.enrolments t on t.id = a.id where a.outcome = 'cancelled' and not punctual.is_over(t) order by t.id
  loop
    v_cancelled := punctual.end_enrolment(v_cancelled, 'stopped', 'an operator cancelled it', p_now);
    perform punctual.save_enrolment(v_cancelled);
  end loop;
end
$$;
