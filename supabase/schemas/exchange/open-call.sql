-- A call of a tick, as the steps of an exchange hand it on.
create type punctual.call as (
  queue punctual.queues,
  partition punctual.partitions,
  tick punctual.ticks,
  -- The tick's first.
  is_new boolean,
  -- The call's number. A call whose number is not above the tick's latest came late or is repeated: it claims nothing new.
  seq integer,
  -- It bears the tick's latest number again: it answers the rows that still run under that claim.
  is_repeated boolean,
  -- Of the rows that this call claims. Made of the tick's id and the number, so that it names both.
  claim_id uuid,
  -- Why the partition starts nothing.
  paused text,
  -- Those that are configured, for queues with accounts.
  providers text[],
  lease_until timestamptz,
  now timestamptz
);

-- What the settings of the session say of this call, and whether it can be worked on at all.
create function punctual.begin_call(p_tick jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  perform set_config('punctual.settles', p_tick->>'queue', true);
  -- See begin_reconcile. A tick of a former version does not say.
  perform set_config('punctual.reconciles', coalesce(p_tick->>'reconciles', ''), true);
  if p_tick ? 'call_ms' then perform set_config('punctual.call_ms', p_tick->>'call_ms', true); end if;
  if p_tick ? 'schema' then perform punctual.require_schema(p_tick->>'schema'); end if;
  if (p_tick->>'limit_seconds')::double precision is null then
    raise exception 'the tick names no limit_seconds' using errcode = '22023';
  end if;
end
$$;

-- Step 1: opens the tick, and locks what the call needs of it before all else.
create function punctual.open_call(p_tick jsonb, p_seq integer, p_claims boolean, p_now timestamptz) returns punctual.call
language plpgsql set search_path = '' as $$
declare
  q punctual.queues;
  v_partition punctual.partitions;
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
  select o.tick, o.is_new into v_opened from punctual.open_tick(q, v_partition, p_tick, p_now) o;
  c.tick := v_opened.tick;
  c.is_new := v_opened.is_new;
  if (v_partition.max_running is not null or v_partition.wakes_from is not null) and p_claims then
    select * into v_partition from punctual.partitions p where p.queue = q.name and p.partition = v_partition.partition for no key update;
  end if;
  -- Who held the ledger while we waited may have paused the queue: see after_restore.
  q := punctual.read_queue(q.name);
  c.queue := q;
  c.partition := v_partition;
  c.now := coalesce(p_now, clock_timestamp());
  c.seq := coalesce(p_seq, (c.tick).last_seq + 1);
  c.is_repeated := c.seq = (c.tick).last_seq;
  c.claim_id := punctual.claim_id_of(c.tick, c.seq);
  c.paused := case when v_partition.paused_at <= c.now then coalesce(v_partition.paused_reason, 'the partition is paused')
                   when q.paused_at <= c.now then coalesce(q.paused_reason, 'the queue is paused') end;
  c.providers := array(select jsonb_array_elements_text(coalesce(p_tick->'providers', '[]')));
  -- Longer than any run of the function can be, so that a fenced row is never still being performed.
  c.lease_until := c.now + make_interval(secs => greatest(q.lease_seconds, (p_tick->>'limit_seconds')::double precision + 30));
  return c;
end
$$;

-- Raises where rows of this state cannot be asked for.
create function punctual.require_askable(q punctual.queues, p_asked_for text) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if p_asked_for is null
     or (p_asked_for in ('pending', 'dead') and q.account_column is null and q.source = 'table'
         -- What waits for something has a way back of its own.
         and (p_asked_for = 'pending' or q.waits_column is null)) then return; end if;
  raise exception 'rows of % that are % cannot be asked for', q.name, p_asked_for
    using errcode = '22023', hint = 'Only pending or dead rows can, of a queue that has a table and no accounts.';
end
$$;

-- The id of a claim: the tick's, with the number of the exchange as its first eight digits. See tick_of_claim.
create function punctual.claim_id_of(p_tick punctual.ticks, p_seq integer) returns uuid
language sql immutable set search_path = '' as $$
  select overlay(p_tick.id::text placing lpad(to_hex(p_seq), 8, '0') from 1)::uuid
$$;

-- The tick that claimed under this id, of the queue's latest.
create function punctual.tick_of_claim(p_queue text, p_claim_id uuid) returns punctual.ticks
language sql stable set search_path = '' as $$
  select t.* from (select * from punctual.ticks x where x.queue = p_queue order by x.started_at desc limit 200) t
   where right(t.id::text, 27) = right(p_claim_id::text, 27) limit 1
$$;

-- Whether it is the tick's next exchange: neither late nor repeated.
create function punctual.is_next(c punctual.call) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  return c.seq > (c.tick).last_seq;
end
$$;

-- Whether the tick may be given rows.
create function punctual.may_claim(c punctual.call) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  return punctual.is_next(c) and (c.tick).admitted and (c.tick).closed_at is null and (c.tick).deadline_at > c.now;
end
$$;
