-- Batch limit and concurrency of a queue that follows its backlog, by the step it stands on.
create function punctual.adaptive_settings(p_step integer, out batch_limit integer, out concurrency integer)
language sql immutable set search_path = '' as $$
  select s.batch_limit, s.concurrency from (values (0, 20, 3), (1, 30, 5), (2, 40, 7), (3, 50, 10)) s (step, batch_limit, concurrency)
   where s.step = least(3, greatest(0, p_step))
$$;

-- The step for a tick that begins: what the backlog calls for, less one for each of the last three ticks of ten minutes that met a limit.
create function punctual.adaptive_step(q punctual.queues, p_partition text, p_now timestamptz) returns integer
language plpgsql stable set search_path = '' as $$
declare
  v_due integer := punctual.count_due(q, p_partition, p_now);
  v_limited integer;
begin
  select count(*) filter (where t.limited > 0) into v_limited
    from (select x.limited from punctual.ticks x
           where x.queue = q.name and x.partition = p_partition and x.started_at > p_now - interval '10 minutes' and x.claimed > 0
           order by x.started_at desc limit 3) t;
  return greatest(0, case when v_due < 10 then 0 when v_due <= 50 then 1 when v_due <= 100 then 2 else 3 end - v_limited);
end
$$;

-- The settings in force for a tick: the partition's own, else the backlog's where the queue follows it, else the queue's.
create function punctual.settings_of(
  q punctual.queues, p_partition punctual.partitions, p_tick punctual.ticks,
  out batch_limit integer, out concurrency integer, out timeout_seconds integer, out budget_seconds integer)
language plpgsql stable set search_path = '' as $$
begin
  batch_limit := q.batch_limit;
  concurrency := q.concurrency;
  if p_tick.step is not null then
    -- A limit that this very tick has met takes effect at once.
    select a.batch_limit, a.concurrency into batch_limit, concurrency
      from punctual.adaptive_settings(p_tick.step - (p_tick.limited > 0)::integer) a;
  end if;
  batch_limit := coalesce(p_partition.batch_limit, batch_limit);
  concurrency := coalesce(p_partition.concurrency, concurrency);
  timeout_seconds := coalesce(p_partition.timeout_seconds, q.timeout_seconds);
  budget_seconds := coalesce(p_partition.budget_seconds, q.budget_seconds);
end
$$;
