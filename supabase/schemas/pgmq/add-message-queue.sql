-- Raises 22023 if p_settings is not an object with settings of a message queue.
create function punctual.check_message_settings(p_settings jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_unknown text;
begin
  if jsonb_typeof(p_settings) <> 'object' then
    raise exception 'add_message_queue: p_settings must be an object' using errcode = '22023';
  end if;
  select k into v_unknown from jsonb_object_keys(p_settings) k
   where k not in ('max_attempts', 'adaptive', 'batch_limit', 'budget_seconds', 'concurrency', 'max_ticks', 'timeout_seconds') limit 1;
  if v_unknown is not null then
    raise exception 'add_message_queue: "%" is not a setting of a message queue', v_unknown using errcode = '22023', hint =
      'Its settings are max_attempts, adaptive, batch_limit, budget_seconds, concurrency, max_ticks, timeout_seconds. '
      'Others apply to all message queues: update punctual.queues set … where name = ''pgmq'';';
  end if;
end
$$;

-- Grants the service role the rights on the pgmq queue's tables that ticks need. The exchange runs as that role, with its rights only. Raises 42501
-- if the caller may not grant them.
create function punctual.grant_message_queue(p_name text, p_message_table text, p_archive_table text) returns void
language plpgsql set search_path = '' as $$
declare
  v_function regprocedure;
begin
  grant usage on schema pgmq to service_role;
  execute format('grant select, insert, update, delete on pgmq.%I to service_role', p_message_table);
  execute format('grant select, insert on pgmq.%I to service_role', p_archive_table);
  for v_function in
    select p.oid from pg_catalog.pg_proc p where p.pronamespace = 'pgmq'::regnamespace
       and p.proname in ('format_table_name', 'read', 'set_vt', 'archive', 'delete')
  loop
    execute format('grant execute on function %s to service_role', v_function);
  end loop;
  -- Postgres only warns if the caller may not grant a right.
  if not (has_schema_privilege('service_role', 'pgmq', 'usage')
          and has_table_privilege('service_role', format('pgmq.%I', p_message_table), 'delete')
          and has_table_privilege('service_role', format('pgmq.%I', p_archive_table), 'insert')) then
    raise exception 'add_message_queue: % may not grant service_role the use of the pgmq queue "%"', current_user, p_name
      using errcode = '42501', hint = 'Run it as the owner of the queue''s tables.';
  end if;
end
$$;

-- Adds a pgmq queue as a partition of the queue `pgmq`. Owner only. Safe to repeat: a repeated call sets p_job and p_on_done, and grants again.
--
-- p_job       every message is the payload of this job; null: each message is {"name": …, "payload": …}.
-- p_on_done   archive: pgmq.archive; delete: pgmq.delete.
-- p_settings  the queue's own settings: columns of punctual.partitions (batch_limit, concurrency, max_ticks, …) and max_attempts. Absent
--             settings stay as they are.
--
-- Returns {queue, partition, job, on_done}. Raises 22023 for an invalid argument or a missing pgmq queue, 23505 if another queue is called "pgmq",
-- and 42501 if the caller may not grant the rights.
create function punctual.add_message_queue(
  p_name text, p_job text default null, p_on_done text default 'archive', p_settings jsonb default '{}') returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_found record;
  v_name text;
  v_settings jsonb := coalesce(p_settings, '{}');
begin
  if p_on_done is null or p_on_done not in ('archive', 'delete') then
    raise exception 'add_message_queue: p_on_done is "%", and must be archive or delete', p_on_done using errcode = '22023';
  end if;
  if p_name is null or p_name !~ '^[A-Za-z0-9_.-]{1,80}$' then
    raise exception 'add_message_queue: a queue with the name "%" cannot be called over HTTP', p_name
      using errcode = '22023', hint = 'Create a pgmq queue with a name of up to 80 letters, digits, _, - and dots.';
  end if;
  select * into v_found from punctual.find_message_table(p_name);
  if v_found.fault is not null then
    raise exception 'add_message_queue: %', v_found.fault using errcode = '22023', hint = v_found.remedy;
  end if;
  perform punctual.check_message_settings(v_settings);
  -- The name as it was created: pgmq ignores upper and lower case, and a partition has one name.
  execute 'select m.queue_name from pgmq.meta m where lower(m.queue_name) = lower($1)' into v_name using p_name;
  v_name := coalesce(v_name, p_name);

  insert into punctual.queues (name, source, table_schema, table_name, id_type, due_column, status_type, partition_column,
    pending_word, running_word, done_word, dead_word, unknown_word, cancelled_word, delivery)
  values ('pgmq', 'pgmq', 'punctual', 'messages', 'bigint', 'vt', 'text', 'partition',
    'pending', 'running', 'done', 'set_aside', 'unknown', 'cancelled', 'at-least-once')
  on conflict (name) do nothing;
  if not exists (select from punctual.queues q where q.name = 'pgmq' and q.source = 'pgmq') then
    raise exception 'add_message_queue: there is already a queue "pgmq" with a table of its own' using errcode = '23505';
  end if;
  insert into punctual.partitions (queue, partition) values ('pgmq', v_name) on conflict do nothing;
  update punctual.partitions p set (batch_limit, concurrency, adaptive, budget_seconds, max_ticks, timeout_seconds) = (
    select s.batch_limit, s.concurrency, s.adaptive, s.budget_seconds, s.max_ticks, s.timeout_seconds from jsonb_populate_record(p, v_settings) s)
   where p.queue = 'pgmq' and p.partition = v_name;
  insert into punctual.message_queues as m (partition, job, on_done, max_attempts)
  values (v_name, p_job, p_on_done, (v_settings->>'max_attempts')::integer)
  on conflict (partition) do update set job = excluded.job, on_done = excluded.on_done,
    max_attempts = case when v_settings ? 'max_attempts' then excluded.max_attempts else m.max_attempts end;
  perform punctual.grant_message_queue(p_name, v_found.message_table, v_found.archive_table);
  return jsonb_build_object('queue', 'pgmq', 'partition', v_name, 'job', p_job, 'on_done', p_on_done);
end
$$;
