-- Returns the tables of a pgmq queue, from the catalog. Needs no privilege and raises no error. fault: why the caller cannot use the queue; null if
-- it can. remedy: what to do then.
create function punctual.find_message_table(p_partition text, out message_table text, out archive_table text, out fault text, out remedy text)
language plpgsql stable set search_path = '' as $$
declare
  v_schema oid := (select n.oid from pg_catalog.pg_namespace n where n.nspname = 'pgmq');
  v_messages pg_catalog.pg_class;
  v_archive oid;
begin
  message_table := lower('q_' || p_partition);
  archive_table := lower('a_' || p_partition);
  if v_schema is null then
    fault := 'the extension pgmq is not turned on';
    remedy := 'In Supabase''s dashboard: Integrations, Queues, Enable. Elsewhere: create extension pgmq;';
    return;
  end if;
  select * into v_messages from pg_catalog.pg_class c where c.relnamespace = v_schema and c.relname = message_table;
  select c.oid into v_archive from pg_catalog.pg_class c where c.relnamespace = v_schema and c.relname = archive_table;
  if v_messages.oid is null or v_archive is null then
    fault := format('there is no pgmq queue "%s"', p_partition);
    remedy := format('Create it in the dashboard, or: select pgmq.create(%L);', p_partition);
  elsif v_messages.relkind <> 'r' then
    fault := format('the pgmq queue "%s" is partitioned, which Punctual does not support', p_partition);
    remedy := 'Create a basic or an unlogged queue: select pgmq.create(''…'');';
  elsif not (has_schema_privilege(v_schema, 'usage') and has_table_privilege(v_messages.oid, 'select')
             and has_table_privilege(v_messages.oid, 'insert') and has_table_privilege(v_messages.oid, 'update')
             and has_table_privilege(v_messages.oid, 'delete') and has_table_privilege(v_archive, 'select')
             and has_table_privilege(v_archive, 'insert')) then
    fault := format('%s may not use the pgmq queue "%s"', current_user, p_partition);
    remedy := format('It may have been recreated. Run again: select punctual.add_message_queue(%L);', p_partition);
  end if;
end
$$;

-- Returns the name of a queue's message table. Raises PT404 with the fault and its remedy if the caller cannot use the queue.
create function punctual.need_message_table(p_partition text) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_found record;
begin
  select * into v_found from punctual.find_message_table(p_partition);
  if v_found.fault is not null then
    raise exception '%', v_found.fault using errcode = 'PT404', hint = v_found.remedy;
  end if;
  return v_found.message_table;
end
$$;

-- Splits a row's id, <pgmq queue>:<msg_id>. Nulls if it has another form.
create function punctual.split_message_id(p_id text, out partition text, out msg_id bigint)
language sql immutable set search_path = '' as $$
  select m[1], m[2]::bigint from (select regexp_match(p_id, '^(.+):([0-9]{1,18})$') as m) r
$$;

-- Returns a message as handlers and the dashboard get it. p_message: its row in pgmq's table or in set_aside_messages.
create function punctual.describe_message(p_partition text, p_job text, p_message jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object('id', p_partition || ':' || (p_message->>'msg_id'), 'partition', p_partition, 'job', p_job,
    'message', p_message->'message', 'headers', p_message->'headers', 'msg_id', p_message->'msg_id', 'read_ct', p_message->'read_ct',
    'enqueued_at', p_message->'enqueued_at')
$$;

create function punctual.max_message_attempts(q punctual.queues, p_partition text) returns integer
language sql stable set search_path = '' as $$
  select coalesce((select m.max_attempts from punctual.message_queues m where m.partition = p_partition), q.max_attempts)
$$;
