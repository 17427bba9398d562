-- Returns a message in its pgmq queue, set aside or archived: {state, partition, attempts, last_error, finished_at, content, …}. One in its queue also
-- has {vt, read_by_another, lease_expires_at, claim_id}; one set aside has {enqueued_at}. Null if there is none.
create function punctual.find_message(q punctual.queues, p_id text) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_partition text;
  v_msg_id bigint;
  v_found record;
  v_line punctual.messages;
  v_message jsonb;
  v_aside punctual.set_aside_messages;
begin
  select s.partition, s.msg_id into v_partition, v_msg_id from punctual.split_message_id(p_id) s;
  if v_partition is null then return null; end if;
  select * into v_line from punctual.messages m where m.partition = v_partition and m.msg_id = v_msg_id;
  select * into v_found from punctual.find_message_table(v_partition);
  if v_found.fault is null and exists (select from punctual.partitions p where p.queue = q.name and p.partition = v_partition) then
    execute format('select to_jsonb(t) from pgmq.%I t where t.msg_id = $1', v_found.message_table) into v_message using v_msg_id;
    if v_message is not null then
      if v_line.enqueued_at is distinct from (v_message->>'enqueued_at')::timestamptz then v_line := null; end if;
      return jsonb_build_object('state', case when v_line.state = 'running' then 'running' else 'pending' end, 'partition', v_partition,
        'vt', v_message->'vt', 'read_by_another', v_line.read_ct is not null and (v_message->>'read_ct')::integer <> v_line.read_ct,
        'attempts', coalesce(v_line.attempts, 0), 'last_error', v_line.last_error, 'lease_expires_at', v_line.lease_expires_at, 'claim_id', v_line.claim_id,
        'claimed_at', v_line.claimed_at, 'content', v_message->'message');
    end if;
  end if;
  select * into v_aside from punctual.set_aside_messages s where s.partition = v_partition and s.msg_id = v_msg_id order by s.set_aside_at desc limit 1;
  if found then
    return jsonb_build_object('state', case when v_aside.cancelled_at is null then 'dead' else 'cancelled' end, 'partition', v_partition,
      'attempts', v_aside.attempts, 'last_error', v_aside.last_error, 'finished_at', coalesce(v_aside.cancelled_at, v_aside.set_aside_at),
      'enqueued_at', v_aside.enqueued_at, 'content', v_aside.message);
  end if;
  if v_line.state = 'done' then
    return jsonb_build_object('state', 'done', 'partition', v_partition, 'attempts', v_line.attempts, 'finished_at', v_line.finished_at,
      'claim_id', v_line.claim_id, 'claimed_at', v_line.claimed_at);
  end if;
  if v_found.fault is null then
    execute format('select to_jsonb(t) from pgmq.%I t where t.msg_id = $1', v_found.archive_table) into v_message using v_msg_id;
    if v_message is not null then
      return jsonb_build_object('state', 'done', 'partition', v_partition, 'attempts', 0, 'finished_at', v_message->'archived_at', 'content', v_message->'message');
    end if;
  end if;
  return null;
end
$$;

-- Returns the result of explain_row for a message.
create function punctual.explain_message(q punctual.queues, p_id text, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_message jsonb := punctual.find_message(q, p_id);
  v_state text := v_message->>'state';
  v_partition punctual.partitions;
  v_due timestamptz;
  v_waits jsonb := '[]';
begin
  if v_message is null then return null; end if;
  select * into v_partition from punctual.partitions p where p.queue = q.name and p.partition = v_message->>'partition';
  v_due := case when (v_message->>'vt')::timestamptz in ('infinity', '-infinity') then null
                else p_now + ((v_message->>'vt')::timestamptz - clock_timestamp()) end;
  if v_state = 'pending' then
    if (v_message->>'vt')::timestamptz = 'infinity' then
      v_waits := v_waits || punctual.wait_of('never_due', null, 'vt is infinity');
    elsif v_due > p_now then
      v_waits := v_waits || case
        when (v_message->>'read_by_another')::boolean then punctual.wait_of('due', v_due, 'not visible: another consumer has read it')
        when (v_message->>'attempts')::integer > 0 then punctual.wait_of('retry', v_due, 'its last attempt failed; it is visible again then')
        else punctual.wait_of('due', v_due, 'not visible yet: delayed, or read by another consumer') end;
    end if;
    v_waits := v_waits || punctual.list_pauses(q, v_partition, p_now);
    if v_waits = '[]' then v_waits := punctual.wait_for_tick(v_partition); end if;
  elsif v_state = 'dead' then
    v_waits := punctual.wait_of('operator', null, 'it was set aside: send it back, or throw it away');
  end if;
  return jsonb_build_object(
    'id', p_id, 'queue', q.name, 'state', v_state, 'status', punctual.word_of_state(q, v_state), 'due_at', v_due, 'attempts', (v_message->>'attempts')::integer, 'max_attempts', punctual.max_message_attempts(q, v_message->>'partition'),
    'last_error', v_message->>'last_error', 'finished_at', v_message->>'finished_at', 'waits', v_waits, 'ahead', null,
    'expected_at', case when v_state = 'pending' and not v_waits @> '[{"until": null}]' then greatest(v_due, p_now)
                        when v_state = 'pending' and v_waits->0->>'kind' = 'tick' then p_now end,
    'tick', null, 'lease_expires_at', case when v_state = 'running' then v_message->>'lease_expires_at' end, 'reconcile', null,
    'history', punctual.list_history(q, p_id)) || case when v_state = 'running' then punctual.explain_running(q, v_message) else '{}' end;
end
$$;
