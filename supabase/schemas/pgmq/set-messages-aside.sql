create function punctual.died_message() returns text
language sql immutable set search_path = '' as $$
  select 'the tick died while this message was being handled'
$$;

-- Moves messages with `dead` lines from their pgmq queue to set_aside_messages, where an operator finds them.
create function punctual.set_messages_aside(p_partition text, p_ids bigint[], p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  execute format(
    'insert into punctual.set_aside_messages (partition, msg_id, enqueued_at, message, headers, read_ct, attempts, last_error, set_aside_at) '
    'select m.partition, t.msg_id, t.enqueued_at, t.message, to_jsonb(t)->''headers'', t.read_ct, m.attempts, m.last_error, $3 '
    'from pgmq.%I t join punctual.messages m on m.partition = $1 and m.msg_id = t.msg_id where t.msg_id = any ($2)',
    punctual.need_message_table(p_partition)) using p_partition, p_ids, p_now;
  perform from pgmq.delete(p_partition, p_ids);
end
$$;

-- Puts a message that was set aside back into its pgmq queue, visible and under its old number. Returns false if another message has the number.
create function punctual.return_message(p_partition text, p_msg_id bigint, p_enqueued_at timestamptz) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_table text := punctual.need_message_table(p_partition);
  -- Messages have headers since pgmq 1.5.
  v_headers text := case when exists (
    select from pg_catalog.pg_attribute a where a.attrelid = format('pgmq.%I', v_table)::regclass and a.attname = 'headers') then ', headers' else '' end;
  v_count integer;
begin
  execute format(
    'insert into pgmq.%I (msg_id, read_ct, enqueued_at, vt, message%s) overriding system value '
    'select s.msg_id, s.read_ct, s.enqueued_at, clock_timestamp(), s.message%s from punctual.set_aside_messages s '
    'where s.partition = $1 and s.msg_id = $2 and s.enqueued_at = $3 on conflict do nothing', v_table, v_headers, v_headers)
  using p_partition, p_msg_id, p_enqueued_at;
  get diagnostics v_count = row_count;
  if v_count > 0 then
    delete from punctual.set_aside_messages s where s.partition = p_partition and s.msg_id = p_msg_id and s.enqueued_at = p_enqueued_at;
  end if;
  return v_count > 0;
end
$$;
