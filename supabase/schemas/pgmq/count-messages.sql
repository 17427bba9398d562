-- Returns {count, approximate} of a table of pgmq: exact up to 10,000, the planner's estimate above.
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

-- Returns {pending: {count, approximate}, running, done, dead, unknown, cancelled}. done: the messages in the archives, also those that other
-- consumers archived.
create function punctual.count_message_states(q punctual.queues) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select jsonb_build_object(
             'pending', jsonb_build_object('count', greatest(0, l.messages - r.running), 'approximate', l.is_about),
             'running', jsonb_build_object('count', r.running, 'approximate', false),
             'done', jsonb_build_object('count', l.archived, 'approximate', l.is_archive_about),
             'dead', jsonb_build_object('count', s.dead, 'approximate', false),
             'unknown', jsonb '{"count": 0, "approximate": false}',
             'cancelled', jsonb_build_object('count', s.cancelled, 'approximate', false))
      from (select coalesce(sum((m->>'count')::bigint), 0) as messages, coalesce(bool_or((m->>'approximate')::boolean), false) as is_about,
                   coalesce(sum((a->>'count')::bigint), 0) as archived, coalesce(bool_or((a->>'approximate')::boolean), false) as is_archive_about
              from punctual.partitions p
             cross join lateral punctual.find_message_table(p.partition) f
             cross join lateral (select case when f.fault is null then punctual.count_pgmq_rows(f.message_table) end as m,
                                        case when f.fault is null then punctual.count_pgmq_rows(f.archive_table) end as a offset 0) c
             where p.queue = q.name) l
     cross join (select count(*) as running from punctual.messages m where m.state = 'running') r
     cross join (select count(*) filter (where s.cancelled_at is null) as dead, count(s.cancelled_at) as cancelled from punctual.set_aside_messages s) s);
end
$$;

-- Returns why messages cannot be reached: [{reason, rows}]. rows: the known messages, possibly 0.
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
