-- What people answer, and what follows from it for the sequences that they are in.

-- A reply, p_at by the person's clock. What holds is the rule (on_reply) of the step that was sent last, and that of the one that was sent last
-- when it was made: where one of them says stop, it stops. Before any was sent it is that of the first. The caller holds the enrolment's lock, and
-- saves it.
create function punctual.hear_reply(inout e punctual.enrolments, p_at timestamptz, p_text text, p_now timestamptz)
language plpgsql set search_path = '' as $$
declare
  -- Its question was sent; one that failed may have done so over the reminder, or what was to follow.
  v_asked boolean := e.phase = 'waiting_reply' or (e.phase = 'failed' and e.action <> 'send');
  -- The step that was sent last; 0 where none was.
  v_last integer := case when v_asked or e.phase = 'completed' then e.step else e.step - 1 end;
  v_is_of_last boolean := v_last > 0 and punctual.is_answer(p_at, e.claimed_step_at);
  -- The step's message is out of our hands, or may have been, and nobody knows yet what it came to: this may be the answer.
  v_is_early boolean := (e.phase = 'in_progress' or (e.phase = 'failed' and e.action = 'send')) and exists (
    select from punctual.dm_queue d where d.id = e.message_id and punctual.is_answer(p_at, punctual.first_claim(d))
       and d.status in ('pending', 'sending', 'unknown', 'failed'));
  -- The step that it is to.
  v_step integer := case when v_is_of_last then v_last when v_last > 0 then coalesce((
    select max(d.step) from punctual.dm_queue d where d.enrolment_id = e.id and d.status = 'sent' and not d.is_reminder and d.step < v_last
       and punctual.is_answer(p_at, punctual.first_claim(d))), 1) end;
begin
  -- Who answers the last message does so when the sequence is at its end; what is said after that is a conversation.
  if e.phase in ('replied', 'stopped') or (e.phase = 'completed' and e.replied_at is not null) then return; end if;
  -- What it was to say is gone, and nothing is to be kept of the person again.
  if e.texts_gone_at is not null then return; end if;
  perform punctual.note_enrolment(e.id, p_at, 'replied', case when v_is_early then e.step else v_step end, null, p_text);
  e.replied_at := coalesce(e.replied_at, p_at);
  e.last_reply := left(p_text, 2000);
  if v_step is not null and not v_is_early then
    e.replied_steps := array_append(array_remove(e.replied_steps, v_step), v_step);
  end if;
  if e.phase = 'completed' then return; end if;
  if 'stop' in (punctual.read_step(e.sequence_id, e.version, greatest(1, v_last))->>'on_reply',
                punctual.read_step(e.sequence_id, e.version, coalesce(v_step, 1))->>'on_reply') then
    e := punctual.end_enrolment(e, 'replied', null, p_now);
  elsif v_is_early then
    -- It is judged when the message has come to something.
    e.early_reply_at := greatest(e.early_reply_at, p_at);
  elsif v_asked and v_is_of_last and not (e.phase = 'failed' and punctual.is_superseded(e)) then
    if punctual.withdraw_message(e.message_id, format('enrolment %s was answered', e.id), p_now) then
      perform punctual.note_enrolment(e.id, p_now, 'withdrawn', e.step, e.message_id);
    end if;
    -- Where its reminder had failed that is no matter any more.
    e.last_error := null;
    e.finished_at := null;
    e := punctual.go_on(e, p_now, p_now);
  end if;
end
$$;

-- When a reply was made, as far as we know. Providers' clocks tell whole seconds.
create function punctual.reply_made_at(p_receipt punctual.receipts) returns timestamptz
language sql immutable set search_path = '' as $$
  select least(p_receipt.received_at, p_receipt.said_at + interval '1 second')
$$;

-- The enrolments that a reply is of: through the account that got it, by chat, person, number or user id, and made before it was.
create function punctual.match_reply(p_receipt punctual.receipts) returns bigint[]
language plpgsql stable set search_path = '' as $$
declare
  v_names text[] := punctual.names_of(p_receipt.recipient);
begin
  return (
    select array_agg(distinct m.id order by m.id)
      from punctual.accounts a
     cross join lateral (
       select e.id, e.enrolled_at from punctual.enrolments e where e.account_id = a.id and e.chat_id = p_receipt.chat_id
       union all
       -- Networks may know a person by another id than the one that we write to: by the chat it is the same.
       select e.id, e.enrolled_at from punctual.enrolments k join punctual.enrolments e on e.account_id = k.account_id and e.recipient = k.recipient
        where k.account_id = a.id and k.chat_id = p_receipt.chat_id
       union all
       select e.id, e.enrolled_at from punctual.enrolments e where e.account_id = a.id and e.recipient = any (v_names)
       union all
       select e.id, e.enrolled_at from punctual.enrolments e where e.account_id = a.id and e.number = any (v_names)) m
     where a.provider = p_receipt.provider and a.provider_account_id = p_receipt.provider_account_id 
       and m.enrolled_at <= punctual.reply_made_at(p_receipt));
end
$$;

-- Makes use of what people wrote, in the call that brings it. What is nobody's stays, without its text, and may be found to be somebody's later:
-- it counts as a reply then, though nobody knows any more what it said.
-- p_said: the enrolment that it is of as somebody says, besides.
create function punctual.hear_replies(p_ids bigint[], p_now timestamptz, p_said bigint default null) returns void
language plpgsql set search_path = '' as $$
declare
  v_heard record;
  v_receipt punctual.receipts;
  e punctual.enrolments;
begin
  for v_round in 1..3 loop
    begin
      -- In the order of the ids, as settles lock them.
      for v_heard in
        select x as enrolment, w.receipts
          from (select u.id, array_agg(r order by punctual.reply_made_at(r), r.id) as receipts
                  from punctual.receipts r
                 cross join lateral (select distinct m as id from unnest(punctual.match_reply(r) || p_said) m where m is not null) u
                 where r.id = any (p_ids)
                   -- One that was heard by another of the person's sequences, before more was known of who that is.
                   and (r.applied_at is null or not exists (
                     select from punctual.enrolment_events n
                      where n.enrolment_id = u.id and n.event = 'replied' and n.at = punctual.reply_made_at(r))) group by 1) w
          join punctual.enrolments x on x.id = w.id order by x.id for no key update of x
      loop
        e := v_heard.enrolment;
        foreach v_receipt in array v_heard.receipts loop
          if e.id = p_said then e.chat_id := coalesce(e.chat_id, v_receipt.chat_id); end if;
          e := punctual.hear_reply(e, punctual.reply_made_at(v_receipt), v_receipt.body, p_now);
          update punctual.receipts r set applied_at = p_now where r.id = v_receipt.id;
        end loop;
        if e is distinct from v_heard.enrolment then perform punctual.save_enrolment(e); end if;
      end loop;
      if p_said is not null then
        select * into e from punctual.enrolments x where x.id = p_said;
        if e.chat_id is not null then perform punctual.tell_other_sequences(e, p_now); end if;
      end if;
      return;
    exception when deadlock_detected then
      -- A tick that makes use of several receipts takes enrolments in their order. What was heard here is forgotten, and heard again.
      if v_round = 3 then raise; end if;
    end;
  end loop;
end
$$;

-- What came from an enrolment's chat before it was known to be its, be it that another sequence of the person has heard it. The caller holds the
-- lock, and saves.
create function punctual.hear_waiting_replies(inout e punctual.enrolments, p_now timestamptz)
language plpgsql set search_path = '' as $$
declare
  v_receipt punctual.receipts;
begin
  for v_receipt in
    select r.* from punctual.accounts a
      join punctual.receipts r on r.provider_account_id = a.provider_account_id and r.chat_id = e.chat_id and r.provider = a.provider
       and r.kind = 'message' and r.status = 'received'
     where a.id = e.account_id and punctual.reply_made_at(r) >= e.enrolled_at
       and not exists (select from punctual.enrolment_events n
                        where n.enrolment_id = e.id and n.event = 'replied' and n.at = punctual.reply_made_at(r))
     order by r.id for no key update of r skip locked
  loop
    e := punctual.hear_reply(e, punctual.reply_made_at(v_receipt), v_receipt.body, p_now);
    update punctual.receipts r set applied_at = p_now where r.id = v_receipt.id and r.applied_at is null;
  end loop;
end
$$;

-- The chat of an enrolment has become known: what came from it is heard by the other sequences that the person is in, too. One that somebody has in
-- hand hears it by itself, later.
create function punctual.tell_other_sequences(e punctual.enrolments, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_other punctual.enrolments;
  v_before punctual.enrolments;
begin
  for v_other in
    select x.* from punctual.enrolments x
     where x.account_id = e.account_id and x.recipient = e.recipient and x.id <> e.id and x.chat_id is null and not punctual.is_over(x)
     order by x.id for no key update skip locked
  loop
    v_other.chat_id := e.chat_id;
    v_before := v_other;
    v_other := punctual.hear_waiting_replies(v_other, p_now);
    if v_other is distinct from v_before then perform punctual.save_enrolment(v_other); end if;
  end loop;
end
$$;
