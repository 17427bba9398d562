-- Returns the batch limit and concurrency of an adaptive queue by its step, 0 to 3. Null for no step.
create function punctual.adaptive_settings(p_step integer, out batch_limit integer, out concurrency integer)
language sql immutable set search_path = '' as $$
  select s.batch_limit, s.concurrency from (values (0, 20, 3), (1, 30, 5), (2, 40, 7), (3, 50, 10)) s (step, batch_limit, concurrency)
   where s.step = least(3, greatest(0, p_step)) and p_step is not null
$$;

-- Returns the adaptive step of a new tick: 0 for fewer than 10 due rows, 1 up to 50, 2 up to 100, then 3. Of the last three ticks
-- with rows within 10 minutes, each that met a rate limit subtracts 1.
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

-- The settings in force for a tick.
create type punctual.tick_settings as (
  delivery text,
  batch_limit integer,
  concurrency integer,
  timeout_seconds integer,
  budget_seconds integer,
  lease_seconds double precision,
  max_ticks integer,
  max_continuations integer,
  backoff_base_seconds integer,
  backoff_cap_seconds integer
);

-- Returns the settings in force: the partition's own, else the adaptive ones, else the queue's. p_settled: the result of this call's settle; a rate
-- limit in it lowers the adaptive step at once. p_asked_limit: the batch limit of a tick that a person asked for.
create function punctual.settings_of(c punctual.call, p_settled jsonb, p_asked_limit integer) returns punctual.tick_settings
language plpgsql stable set search_path = '' as $$
declare
  q punctual.queues := c.queue;
  p punctual.partitions := c.partition;
  v_has_met_limit boolean := (c.tick).limited + (p_settled->>'limited')::integer > 0;
  v_adaptive_batch integer;
  v_adaptive_concurrency integer;
begin
  if (c.tick).step is not null then
    select * into v_adaptive_batch, v_adaptive_concurrency from punctual.adaptive_settings((c.tick).step - v_has_met_limit::integer);
  end if;
  return (
    q.delivery,
    coalesce(p_asked_limit, p.batch_limit, v_adaptive_batch, q.batch_limit),
    coalesce(p.concurrency, v_adaptive_concurrency, q.concurrency),
    coalesce(p.timeout_seconds, q.timeout_seconds),
    coalesce(p.budget_seconds, q.budget_seconds),
    extract(epoch from c.lease_until - c.now),
    coalesce(p.max_ticks, q.max_ticks), q.max_continuations,
    q.backoff_base_seconds, q.backoff_cap_seconds)::punctual.tick_settings;
end
$$;
