-- Returns when a person asked for the tick's rows. If a slot is delivered twice, the first delivery counts.
create function punctual.requested_at(p_tick punctual.ticks) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return (
    select least(p_tick.started_at, min(t.started_at)) from punctual.ticks t
   where p_tick.slot is not null and t.queue = p_tick.queue and t.started_at > p_tick.started_at - interval '1 day'
     and t.partition = p_tick.partition and t.asked_for = p_tick.asked_for and t.slot = p_tick.slot);
end
$$;

-- Returns the tick's row of the ledger, locked. Inserts it on the tick's first call, under the partition's lock. Raises 55P03 if two copies of the
-- first call run at once and the other one holds the tick: repeat the call.
create function punctual.open_tick(
  q punctual.queues, p_partition punctual.partitions, p_tick jsonb, p_now timestamptz, out tick punctual.ticks, out is_new boolean)
language plpgsql set search_path = '' as $$
declare
  v_max integer := coalesce(p_partition.max_ticks, q.max_ticks);
  v_asked_for text := p_tick->>'asked_for';
  v_now timestamptz;
  v_live integer;
begin
  is_new := false;
  select * into tick from punctual.ticks t where t.id = (p_tick->>'id')::uuid for no key update;
  if found then return; end if;

  perform from punctual.partitions p where p.queue = q.name and p.partition = p_partition.partition for no key update;
  -- A copy of this call may have inserted the tick while this one waited. A new statement sees that. The copy may hold the tick and wait for this
  -- partition, so this call does not wait for the tick.
  select * into tick from punctual.ticks t where t.id = (p_tick->>'id')::uuid for no key update nowait;
  if found then return; end if;

  v_now := coalesce(p_now, clock_timestamp());
  update punctual.ticks t set outcome = 'died', closed_at = t.deadline_at
   where t.id in (select d.id from punctual.ticks d where d.queue = q.name and d.partition = p_partition.partition
                     and d.closed_at is null and d.deadline_at <= v_now for no key update skip locked);
  select count(*) into v_live from punctual.ticks t
   where t.queue = q.name and t.partition = p_partition.partition and t.closed_at is null and t.admitted and t.deadline_at > v_now
     -- Ticks that a person asked for do not count.
     and t.asked_for is null;

  insert into punctual.ticks as t (id, queue, partition, scheduler, path, schedule, slot, continuation, run_id, asked_for, step, duplicate, admitted, started_at, deadline_at)
  values ((p_tick->>'id')::uuid, q.name, p_partition.partition, coalesce(p_tick->>'scheduler', 'http'), p_tick->>'path', p_tick->>'schedule',
          (p_tick->>'slot')::timestamptz, coalesce((p_tick->>'continuation')::integer, 0), coalesce(p_tick->>'run_id', p_tick->>'id')::uuid, v_asked_for,
          case when coalesce(p_partition.adaptive, q.adaptive) then punctual.adaptive_step(q, p_partition.partition, v_now) end,
          exists (select from punctual.ticks s where s.queue = q.name and s.partition = p_partition.partition and not s.duplicate
                     and s.asked_for is not distinct from v_asked_for
                     and s.slot = (p_tick->>'slot')::timestamptz and s.continuation = coalesce((p_tick->>'continuation')::integer, 0)
                     -- Two schedulers may have the same slot, and one scheduler may have it twice, under two paths.
                     and s.scheduler = coalesce(p_tick->>'scheduler', 'http') and coalesce(s.path, '') = coalesce(p_tick->>'path', '')),
          v_asked_for is not null or (v_live < v_max and (p_tick->>'lock' is distinct from 'held' or v_max > 1)),
          v_now, v_now + make_interval(secs => (p_tick->>'limit_seconds')::double precision))
  returning t.* into tick;
  if v_asked_for is null then
    update punctual.partitions p set last_tick_at = v_now where p.queue = q.name and p.partition = p_partition.partition;
  end if;
  is_new := true;
end
$$;
