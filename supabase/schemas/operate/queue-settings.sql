-- Returns the settings of a queue that an operator may change.
create function punctual.settings_of_queue(q punctual.queues) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object('batch_limit', q.batch_limit, 'concurrency', q.concurrency, 'adaptive', q.adaptive, 'budget_seconds', q.budget_seconds,
    'max_ticks', q.max_ticks, 'max_continuations', q.max_continuations, 'timeout_seconds', q.timeout_seconds, 'lease_seconds', q.lease_seconds,
    'max_attempts', q.max_attempts, 'backoff_base_seconds', q.backoff_base_seconds, 'backoff_cap_seconds', q.backoff_cap_seconds,
    'retention_days', q.retention_days)
$$;

-- Returns the settings of a partition that an operator may change. Null: the queue's setting.
create function punctual.settings_of_partition(p punctual.partitions) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object('batch_limit', p.batch_limit, 'concurrency', p.concurrency, 'adaptive', p.adaptive, 'budget_seconds', p.budget_seconds,
    'max_ticks', p.max_ticks, 'timeout_seconds', p.timeout_seconds, 'max_running', p.max_running)
$$;

-- Locks a queue, or one of its partitions if p_partition names one, and returns {queue, partition, settings, paused_at, paused_until, paused_reason}.
-- Raises PT404 for an unknown queue or partition.
create function punctual.lock_settings(p_queue text, p_partition text, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  q punctual.queues;
  p punctual.partitions;
begin
  if p_partition is null then
    select * into q from punctual.queues x where x.name = p_queue for no key update;
  else
    select * into q from punctual.queues x where x.name = p_queue;
  end if;
  if q.name is null then raise exception 'there is no queue "%"', p_queue using errcode = 'PT404'; end if;
  if p_partition is null then
    return jsonb_build_object('queue', p_queue, 'partition', null, 'settings', punctual.settings_of_queue(q))
      || punctual.describe_pause(q.paused_at, q.paused_until, q.paused_reason, p_now);
  end if;
  select * into p from punctual.partitions x where x.queue = p_queue and x.partition = p_partition for no key update;
  if p.queue is null then raise exception 'there is no partition "%" of %', p_partition, p_queue using errcode = 'PT404'; end if;
  return jsonb_build_object('queue', p_queue, 'partition', p_partition, 'settings', punctual.settings_of_partition(p))
    || punctual.describe_pause(p.paused_at, p.paused_until, p.paused_reason, p_now);
end
$$;

-- Lists all queues by name: [{name, delivery, settings, paused_at, paused_until, paused_reason}].
create function punctual.list_queues(p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('name', q.name, 'delivery', q.delivery, 'settings', punctual.settings_of_queue(q))
             || punctual.describe_pause(q.paused_at, q.paused_until, q.paused_reason, coalesce(p_now, clock_timestamp())) order by q.name), '[]')
      from punctual.queues q);
end
$$;

-- Returns a queue as list_queues does, with its first 1,000 partitions by name, {name, settings, paused_at, paused_until, paused_reason}, and the last
-- ten acts on it, as list_audit returns them. Raises PT404 for an unknown queue.
create function punctual.read_queue_settings(p_queue text, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_queue jsonb;
begin
  select e into v_queue from jsonb_array_elements(punctual.list_queues(v_now)) e where e->>'name' = p_queue;
  if not found then raise exception 'there is no queue "%"', p_queue using errcode = 'PT404'; end if;
  return v_queue || jsonb_build_object('acts', punctual.list_audit(p_queue, null, 10)->'items', 'partitions', (
    select coalesce(jsonb_agg(jsonb_build_object('name', p.partition, 'settings', punctual.settings_of_partition(p))
             || punctual.describe_pause(p.paused_at, p.paused_until, p.paused_reason, v_now) order by p.partition), '[]')
      from (select * from punctual.partitions x where x.queue = p_queue order by x.partition limit 1000) p));
end
$$;
