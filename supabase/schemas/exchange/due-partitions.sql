-- Returns whether an account of a configured provider that is not paused is ready now.
create function punctual.is_account_ready(q punctual.queues, p_configured text[], p_now timestamptz) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  return exists (select from unnest(p_configured) c (provider)
                  cross join lateral (select from punctual.pace p where p.queue = q.name and p.provider = c.provider and p.ready_at <= p_now limit 1) r
                  where not exists (select from punctual.providers v where v.name = c.provider and v.paused_until > p_now));
end
$$;

-- Lists the partitions that a call for the whole queue ticks: those that are not paused and have a row that could start now, the longest not ticked
-- first. If there is none, lists the partition that has not been ticked for the longest time, paused or not, because a tick must sweep rows whose
-- tick died. Returns [{partition, timeout_seconds, due_seconds}]. due_seconds: how long the first row has been due; null if none is. A
-- partition whose message table has a fault comes last. p_only: lists this partition in any case, without due_seconds. Raises PT404 if it does not
-- exist.
create function punctual.list_due_partitions(p_queue text, p_only text default null, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  q punctual.queues := punctual.read_queue(p_queue);
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_partition punctual.partitions;
  v_due_at timestamptz;
  v_due jsonb := '[]';
  v_one jsonb;
  v_idle jsonb;
  v_broken jsonb;
begin
  if p_only is not null then
    select * into v_partition from punctual.partitions p where p.queue = q.name and p.partition = p_only;
    if not found then
      raise exception 'there is no partition "%" of %', p_only, q.name
        using errcode = 'PT404', hint = coalesce(
          'Its partitions: ' || (select string_agg(p.partition, ', ' order by p.partition) from punctual.partitions p where p.queue = q.name),
          'It has no partitions. Insert them into punctual.partitions.');
    end if;
    return jsonb_build_array(jsonb_build_object('partition', p_only, 'timeout_seconds', coalesce(v_partition.timeout_seconds, q.timeout_seconds)));
  end if;
  for v_partition in
    select * from punctual.partitions p where p.queue = q.name order by p.last_tick_at nulls first, p.partition
  loop
    v_one := jsonb_build_object('partition', v_partition.partition, 'due_seconds', null,
                                'timeout_seconds', coalesce(v_partition.timeout_seconds, q.timeout_seconds));
    -- A partition whose message table has a fault comes last: other partitions keep their ticks. If there is no other, its tick reports the fault.
    if q.source = 'table' or (select f.fault is null from punctual.find_message_table(v_partition.partition) f) then
      v_idle := coalesce(v_idle, v_one);
    else
      v_broken := coalesce(v_broken, v_one);
    end if;
    continue when punctual.pauses_end(q, v_partition, v_now) is not null;
    exit when v_due <> '[]' and punctual.is_call_over();
    v_due_at := punctual.first_due_at(q, v_partition.partition, true, v_now);
    continue when v_due_at is null;
    continue when v_partition.max_running is not null
              and (select o.most <= 0 from punctual.partition_opening(q, v_partition, v_now) o);
    v_due := v_due || jsonb_build_object('partition', v_partition.partition,
      'timeout_seconds', coalesce(v_partition.timeout_seconds, q.timeout_seconds), 'due_seconds', case when v_due_at > '-infinity' then round(extract(epoch from v_now - v_due_at)) else 0 end);
  end loop;
  v_idle := coalesce(v_idle, v_broken);
  return case when v_due = '[]' and v_idle is not null then jsonb_build_array(v_idle) else v_due end;
end
$$;

-- Returns {queue: max_continuations} for all queues.
create function punctual.list_continuation_limits() returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_object_agg(q.name, q.max_continuations), '{}') from punctual.queues q
$$;
