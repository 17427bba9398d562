-- {count, approximate} of a table of pgmq's: exact to 10,000, the planner's estimate beyond.
create function punctual.count_pgmq_rows(p_table text) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_count bigint;
begin
  execute format('select count(*) from (select from pgmq.%I limit 10001) r', p_table) into v_count;
  if v_count <= 10000 then return jsonb_build_object('count', v_count, 'approximate', false); end if;
  return jsonb_build_object('approximate', true, 'count', (
    select greatest(10000, round(c.reltuples)) from pg_catalog.pg_class c
     where c.relnamespace = 'pgmq'::regnamespace and c.relname = p_table));
end
$$;

-- {pending: {count, approximate}, running, done, dead, unknown, cancelled}. done: what lies in the archives, by whomever.
create function punctual.count_message_states(q punctual.queues) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_partition text;
  v_found record;
  v_messages jsonb;
  v_archived jsonb;
  v_pending bigint := 0;
  v_done bigint := 0;
  v_pending_about boolean := false;
  v_done_about boolean := false;
  v_running bigint;
begin
  select count(*) into v_running from punctual.messages m where m.state = 'running';
  for v_partition in select p.partition from punctual.partitions p where p.queue = q.name loop
    select * into v_found from punctual.find_message_table(v_partition);
    continue when v_found.fault is not null;
    v_messages := punctual.count_pgmq_rows(v_found.message_table);
    v_archived := punctual.count_pgmq_rows(v_found.archive_table);
    v_pending := v_pending + (v_messages->>'count')::bigint;
    v_done := v_done + (v_archived->>'count')::bigint;
    v_pending_about := v_pending_about or (v_messages->>'approximate')::boolean;
    v_done_about := v_done_about or (v_archived->>'approximate')::boolean;
  end loop;
  return (select jsonb_build_object(
    'pending', jsonb_build_object('count', greatest(0, v_pending - v_running), 'approximate', v_pending_about),
    'running', jsonb_build_object('count', v_running, 'approximate', false),
    'done', jsonb_build_object('count', v_done, 'approximate', v_done_about),
    'dead', jsonb_build_object('count', count(*) filter (where s.cancelled_at is null), 'approximate', false),
    'unknown', jsonb '{"count": 0, "approximate": false}',
    'cancelled', jsonb_build_object('count', count(*) filter (where s.cancelled_at is not null), 'approximate', false))
    from punctual.set_aside_messages s);
end
$$;

-- Why messages cannot be reached: [{reason, rows}]. rows: those known of, which may be none.
create function punctual.list_unreachable_messages(q punctual.queues) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_partition text;
  v_found record;
  v_rows bigint;
  v_reasons jsonb := '[]';
begin
  for v_partition in select p.partition from punctual.partitions p where p.queue = q.name order by 1 loop
    select * into v_found from punctual.find_message_table(v_partition);
    if v_found.fault is not null then
      v_reasons := v_reasons || jsonb_build_object('reason', v_found.fault || ': ' || v_found.remedy, 'rows',
        (select count(*) from punctual.messages m where m.partition = v_partition and m.finished_at is null));
      continue;
    end if;
    if not exists (select from punctual.message_queues m where m.partition = v_partition) then
      v_reasons := v_reasons || jsonb_build_object('rows', punctual.count_pgmq_rows(v_found.message_table)->'count', 'reason',
        format('the message queue "%s" was not added: select punctual.add_message_queue(%L);', v_partition, v_partition));
    end if;
    execute format('select count(*) from (select from pgmq.%I t where t.vt = ''infinity'' limit 10000) r', v_found.message_table) into v_rows;
    if v_rows > 0 then
      v_reasons := v_reasons || jsonb_build_object('reason', format('vt is infinity in the pgmq queue "%s"', v_partition), 'rows', v_rows);
    end if;
  end loop;
  return v_reasons;
end
$$;
