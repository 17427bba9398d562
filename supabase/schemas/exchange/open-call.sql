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

-- Returns the tick's row of the ledger, locked until the transaction ends. Inserts it on the tick's first call, under the partition's lock. Raises
-- 55P03 if two copies of the first call run at once and the other one holds the tick: repeat the call.
--
-- p_shares: lets other exchanges of the tick run at the same time, except copies of this one. Each waits for the others only where it adds its counts
-- to the ledger: see note_call.
create function punctual.open_tick(
  q punctual.queues, p_partition punctual.partitions, p_tick jsonb, p_seq integer, p_shares boolean, p_now timestamptz,
  out tick punctual.ticks, out is_new boolean)
language plpgsql set search_path = '' as $$
declare
  v_max integer := coalesce(p_partition.max_ticks, q.max_ticks);
  v_asked_for text := p_tick->>'asked_for';
  v_now timestamptz;
  v_live integer;
begin
  is_new := false;
  if p_shares then
    -- A copy of this exchange waits here, and then finds its number in the ledger.
    perform pg_advisory_xact_lock(hashtext(p_tick->>'id'), p_seq);
    select * into tick from punctual.ticks t where t.id = (p_tick->>'id')::uuid for key share;
  else
    select * into tick from punctual.ticks t where t.id = (p_tick->>'id')::uuid for update;
  end if;
  if found then return; end if;

  perform from punctual.partitions p where p.queue = q.name and p.partition = p_partition.partition for no key update;
  -- A copy of this call may have inserted the tick while this one waited. A new statement sees that. The copy may hold the tick and wait for this
  -- partition, so this call does not wait for the tick.
  select * into tick from punctual.ticks t where t.id = (p_tick->>'id')::uuid for no key update nowait;
  if found then return; end if;

  v_now := coalesce(p_now, clock_timestamp());
  update punctual.ticks t set outcome = 'died', closed_at = t.deadline_at
   where t.id in (select d.id from punctual.ticks d where d.queue = q.name and d.partition = p_partition.partition
                     and d.closed_at is null and d.deadline_at <= v_now for update skip locked);
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

-- One call of exchange(), passed from step to step.
create type punctual.call as (
  queue punctual.queues,
  partition punctual.partitions,
  tick punctual.ticks,
  -- The call has inserted its tick into the ledger.
  is_new boolean,
  -- The number of the exchange.
  seq integer,
  -- seq is not above the tick's last_seq: the call is late or repeated. It claims nothing, and returns the rows that still run under its claim.
  is_repeated boolean,
  -- The id under which this call claims. It names the tick and the exchange: see claim_id_of.
  claim_id uuid,
  -- Why the partition or the queue is paused; null if neither is.
  paused text,
  -- The configured providers, for queues with accounts.
  providers text[],
  lease_until timestamptz,
  now timestamptz
);

-- Sets the session settings of this call. Raises PT412 if the schema is behind, and 22023 without limit_seconds.
create function punctual.begin_call(p_tick jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  perform set_config('punctual.settles', p_tick->>'queue', true);
  -- For begin_reconcile. A tick of an older version does not send it.
  perform set_config('punctual.reconciles', coalesce(p_tick->>'reconciles', ''), true);
  if p_tick ? 'call_ms' then perform set_config('punctual.call_ms', p_tick->>'call_ms', true); end if;
  if p_tick ? 'schema' then perform punctual.require_schema(p_tick->>'schema'); end if;
  if (p_tick->>'limit_seconds')::double precision is null then
    raise exception 'the tick has no limit_seconds' using errcode = '22023';
  end if;
end
$$;

-- Step 1: opens and locks the tick, and locks the partition if the call needs it. p_claims: the call may claim rows. p_closes: it may close the tick.
-- Raises PT404 for an unknown queue or partition, and 22023 for a state that cannot be asked for.
create function punctual.open_call(p_tick jsonb, p_seq integer, p_claims boolean, p_closes boolean, p_now timestamptz) returns punctual.call
language plpgsql set search_path = '' as $$
declare
  q punctual.queues;
  v_partition punctual.partitions;
  v_shares boolean;
  v_opened record;
  c punctual.call;
begin
  perform punctual.begin_call(p_tick);
  q := punctual.read_queue(p_tick->>'queue');
  select * into v_partition from punctual.partitions p where p.queue = q.name and p.partition = p_tick->>'partition';
  if not found then
    raise exception 'the queue % has no partition "%"', q.name, p_tick->>'partition'
      using errcode = 'PT404', hint = 'Insert it into punctual.partitions.';
  end if;
  perform punctual.require_askable(q, p_tick->>'asked_for');
  -- Alone is a call that closes the tick, and one that may claim up to a limit for the whole tick: it reads how many rows the tick has claimed.
  v_shares := p_seq > 1 and not p_closes and p_tick->>'asked_limit' is null
              and coalesce(v_partition.batch_limit, q.batch_limit) is null and not coalesce(v_partition.adaptive, q.adaptive);
  select o.tick, o.is_new into v_opened from punctual.open_tick(q, v_partition, p_tick, p_seq, coalesce(v_shares, false), p_now) o;
  c.tick := v_opened.tick;
  c.is_new := v_opened.is_new;
  if (v_partition.max_running is not null or v_partition.wakes_from is not null) and p_claims then
    select * into v_partition from punctual.partitions p where p.queue = q.name and p.partition = v_partition.partition for no key update;
  end if;
  if c.is_new and q.source = 'table' and q.row_columns is distinct from punctual.row_columns(q) then perform punctual.refresh_functions(q.name); end if;
  -- after_restore may have held the ledger while this call waited, and paused the queue.
  q := punctual.read_queue(q.name);
  c.queue := q;
  c.partition := v_partition;
  c.now := coalesce(p_now, clock_timestamp());
  c.seq := coalesce(p_seq, (c.tick).last_seq + 1);
  c.is_repeated := c.seq <= (c.tick).last_seq;
  c.claim_id := punctual.claim_id_of(c.tick, c.seq);
  c.paused := case when punctual.pause_end(v_partition.paused_at, v_partition.paused_until, c.now) is not null
                   then coalesce(v_partition.paused_reason, 'the partition is paused')
                   when punctual.pause_end(q.paused_at, q.paused_until, c.now) is not null then coalesce(q.paused_reason, 'the queue is paused') end;
  c.providers := array(select jsonb_array_elements_text(coalesce(p_tick->'providers', '[]')));
  -- Longer than any run of the function, so that no handler is still at work when the lease ends.
  c.lease_until := c.now + make_interval(secs => greatest(q.lease_seconds, (p_tick->>'limit_seconds')::double precision + 30));
  return c;
end
$$;

-- Raises 22023 if a person cannot ask for rows of this state.
create function punctual.require_askable(q punctual.queues, p_asked_for text) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if p_asked_for is null
     or (p_asked_for in ('pending', 'dead') and q.account_column is null and q.source = 'table'
         -- A queue whose rows wait for events has its own way to redrive.
         and (p_asked_for = 'pending' or q.waits_column is null)) then return; end if;
  raise exception '% rows of % cannot be asked for', p_asked_for, q.name
    using errcode = '22023', hint = 'Ask for pending or dead rows of a queue with a table and no accounts. For dead rows it must have no waits_column.';
end
$$;

-- Returns the id of a claim: the tick's id with the number of the exchange as its first eight hexadecimal digits. See tick_of_claim.
create function punctual.claim_id_of(p_tick punctual.ticks, p_seq integer) returns uuid
language plpgsql immutable set search_path = '' as $$
begin
  return overlay(p_tick.id::text placing lpad(to_hex(p_seq), 8, '0') from 1)::uuid;
end
$$;

-- Finds the tick that claimed under this id, among the queue's latest 200 ticks.
create function punctual.tick_of_claim(p_queue text, p_claim_id uuid) returns punctual.ticks
language sql stable set search_path = '' as $$
  select t.* from (select * from punctual.ticks x where x.queue = p_queue order by x.started_at desc limit 200) t
   where right(t.id::text, 27) = right(p_claim_id::text, 27) limit 1
$$;

-- Returns whether the call may claim rows.
create function punctual.may_claim(c punctual.call) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  return not c.is_repeated and (c.tick).admitted and (c.tick).closed_at is null and (c.tick).deadline_at > c.now;
end
$$;
