-- Replies of people, and their effect on the sequences that these people are in.

-- Applies a reply to an enrolment. p_at is by the person's clock. Two rules (on_reply) hold: that of the step that was sent last, and that of
-- the step that was the last one when the reply was made. If either says stop, the enrolment ends. Before the first message, the first step's
-- rule holds. The caller holds the enrolment's lock, and saves it.
create function punctual.apply_reply(inout e punctual.enrolments, p_at timestamptz, p_text text, p_now timestamptz)
language plpgsql set search_path = '' as $$
declare
  -- A failed enrolment had sent its question if its reminder failed, or the step after it.
  v_question_sent boolean := e.phase = 'waiting_reply' or (e.phase = 'failed' and e.action <> 'send');
  -- The step that was sent last; 0 if none was.
  v_last integer := case when v_question_sent or e.phase = 'completed' then e.step else e.step - 1 end;
  v_is_of_last boolean := v_last > 0 and punctual.is_answer(p_at, e.claimed_step_at);
  -- The step's message was claimed before the reply, and it is not known yet whether it was sent: the reply may answer it.
  v_is_early boolean := (e.phase = 'in_progress' or (e.phase = 'failed' and e.action = 'send')) and exists (
    select from punctual.dm_queue d where d.id = e.message_id and punctual.is_answer(p_at, punctual.first_claim(d))
       and d.status in ('pending', 'sending', 'unknown', 'failed'));
  -- The step that the reply answers; null before the first message.
  v_step integer := case when v_is_of_last then v_last when v_last > 0 then coalesce((
    select max(d.step) from punctual.dm_queue d where d.enrolment_id = e.id and d.status = 'sent' and not d.is_reminder and d.step < v_last
       and punctual.is_answer(p_at, punctual.first_claim(d))), 1) end;
begin
  -- The reply to the last message comes when the sequence is completed. Later replies are a conversation.
  if e.phase in ('replied', 'stopped') or (e.phase = 'completed' and e.replied_at is not null) then return; end if;
  -- The enrolment's texts were deleted, and no new data of the person may be kept.
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
    -- note_sent decides once the message is settled.
    e.early_reply_at := greatest(e.early_reply_at, p_at);
  elsif v_question_sent and v_is_of_last and not (e.phase = 'failed' and punctual.is_superseded(e)) then
    if punctual.withdraw_message(e.message_id, format('enrolment %s was answered', e.id), p_now) then
      perform punctual.note_enrolment(e.id, p_now, 'withdrawn', e.step, e.message_id);
    end if;
    -- A failed reminder no longer matters.
    e.last_error := null;
    e.finished_at := null;
    e := punctual.advance_enrolment(e, p_now, p_now);
  end if;
end
$$;

-- Returns the latest time at which a reply may have been made. Providers round down to whole seconds.
create function punctual.reply_made_at(p_receipt punctual.receipts) returns timestamptz
language sql immutable set search_path = '' as $$
  select least(p_receipt.received_at, p_receipt.said_at + interval '1 second')
$$;

-- Returns the enrolments that a reply matches: through the account that received it, by chat, person, number or user id. Only enrolments that
-- began before the reply was made.
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
       -- A network may give the person another id than the one that we write to. The chat shows that it is the same person.
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

-- Applies replies to the enrolments that they match, in the transaction that receives them. A reply without a match stays, and may match later:
-- then it counts as a reply, even if its text was not kept.
-- p_said: an enrolment that also gets the replies, because a caller says so; null for none.
-- Locks enrolments by id. After a deadlock it starts again, three rounds at most.
create function punctual.apply_replies(p_ids bigint[], p_now timestamptz, p_said bigint default null) returns void
language plpgsql set search_path = '' as $$
declare
  v_match record;
  v_receipt punctual.receipts;
  e punctual.enrolments;
begin
  for v_round in 1..3 loop
    begin
      -- Locks in the order of the ids, as settles do.
      for v_match in
        select x as enrolment, w.receipts
          from (select u.id, array_agg(r order by punctual.reply_made_at(r), r.id) as receipts
                  from punctual.receipts r
                 cross join lateral (select distinct m as id from unnest(punctual.match_reply(r) || p_said) m where m is not null) u
                 where r.id = any (p_ids)
                   -- Another of the person's sequences may have applied the reply before it matched this one.
                   and (r.applied_at is null or not exists (
                     select from punctual.enrolment_events n
                      where n.enrolment_id = u.id and n.event = 'replied' and n.at = punctual.reply_made_at(r))) group by 1) w
          join punctual.enrolments x on x.id = w.id order by x.id for no key update of x
      loop
        e := v_match.enrolment;
        foreach v_receipt in array v_match.receipts loop
          if e.id = p_said then e.chat_id := coalesce(e.chat_id, v_receipt.chat_id); end if;
          e := punctual.apply_reply(e, punctual.reply_made_at(v_receipt), v_receipt.body, p_now);
          update punctual.receipts r set applied_at = p_now where r.id = v_receipt.id;
        end loop;
        if e is distinct from v_match.enrolment then perform punctual.save_enrolment(e); end if;
      end loop;
      if p_said is not null then
        select * into e from punctual.enrolments x where x.id = p_said;
        if e.chat_id is not null then perform punctual.apply_chat_replies(e, p_now); end if;
      end if;
      return;
    exception when deadlock_detected then
      -- A tick that applies several receipts locks enrolments in the receipts' order. The round was undone, and is repeated.
      if v_round = 3 then raise; end if;
    end;
  end loop;
end
$$;

-- Applies replies that came from an enrolment's chat before the chat was known, even if another sequence of the person has applied them. Skips
-- locked receipts. The caller holds the enrolment's lock, and saves it.
create function punctual.apply_waiting_replies(inout e punctual.enrolments, p_now timestamptz)
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
    e := punctual.apply_reply(e, punctual.reply_made_at(v_receipt), v_receipt.body, p_now);
    update punctual.receipts r set applied_at = p_now where r.id = v_receipt.id and r.applied_at is null;
  end loop;
end
$$;

-- Applies the replies from an enrolment's newly known chat to the person's other enrolments that have no chat. Such an enrolment keeps the chat
-- only if a reply changed it. Skips locked enrolments: they apply these replies later.
create function punctual.apply_chat_replies(e punctual.enrolments, p_now timestamptz) returns void
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
    v_other := punctual.apply_waiting_replies(v_other, p_now);
    if v_other is distinct from v_before then perform punctual.save_enrolment(v_other); end if;
  end loop;
end
$$;
