-- Applies an operator's decision on a message that was set aside. `pending` sends it back to its pgmq queue, and its attempts start from zero.
-- `cancelled` throws it away. Returns {status}. Raises PT404 if there is no such message, and PT409 if it was not set aside or if another message
-- has its number by now. Waits for the lock of the set-aside message.
create function punctual.resolve_message(
  q punctual.queues, p_id text, p_decision text, p_by text, p_note text, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_partition text;
  v_msg_id bigint;
  v_message jsonb;
  v_word text;
begin
  select s.partition, s.msg_id into v_partition, v_msg_id from punctual.split_message_id(p_id) s;
  perform from punctual.set_aside_messages s where s.partition = v_partition and s.msg_id = v_msg_id for update;
  v_message := punctual.find_message(q, p_id);
  if v_message is null then raise exception 'there is no row % in %', p_id, q.name using errcode = 'PT404'; end if;
  v_word := punctual.word_of_state(q, v_message->>'state');
  if v_message->>'state' <> 'dead' or p_decision is null or p_decision not in ('pending', 'cancelled') then
    raise exception 'the row is %', v_word using errcode = 'PT409', detail = v_word,
      hint = 'Only a message that was set aside can be sent back (pending) or thrown away (cancelled).';
  end if;
  if p_decision = 'pending' then
    if not punctual.return_message(v_partition, v_msg_id, (v_message->>'enqueued_at')::timestamptz) then
      raise exception 'another message has the number % in the pgmq queue "%" by now', v_msg_id, v_partition using errcode = 'PT409', detail = v_word,
        hint = 'The queue was recreated. Send the message by hand: its text is in punctual.set_aside_messages.';
    end if;
    delete from punctual.messages m where m.partition = v_partition and m.msg_id = v_msg_id;
  else
    update punctual.set_aside_messages s set cancelled_at = p_now
     where s.partition = v_partition and s.msg_id = v_msg_id and s.enqueued_at = (v_message->>'enqueued_at')::timestamptz;
  end if;
  insert into punctual.history (queue, row_id, at, event, by, text) values (q.name, p_id, p_now, 'decided', coalesce(p_by, 'operator'), left(
    format('%s decided: %s%s', coalesce(p_by, 'an operator'), case when p_decision = 'pending' then 'send it back' else 'throw it away' end,
           coalesce(' (' || p_note || ')', '')), 2000));
  perform punctual.note_act(p_by, 'resolve_row', q.name, p_id, jsonb_build_object('was', v_message->>'state', 'decision', p_decision), p_note, p_now);
  return jsonb_build_object('status', case when p_decision = 'pending' then q.pending_word else q.cancelled_word end);
end
$$;
