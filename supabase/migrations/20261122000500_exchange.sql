-- exchange: the whole protocol between a tick and the database, in one call of five steps: open the tick, settle, sweep, claim, note.

-- Due rows of one partition, counted to 1,000; and their first due time, or the first after now: null when there is none.
insert into punctual.templates (verb, text) values ('count_due', $template$
create function {function}(p_partition text, p_now timestamptz) returns integer
language plpgsql stable {keeps_plan} as $$
begin
  return (
    select count(*) from (
      select from {levels} cross join lateral (
        select from {table} t where t.{status} = {pending} {in_partition} and {at_level} and {due_at} <= p_now limit 1000) r
       limit 1000) c);
end
$$
$template$), ('first_due_at', $template$
create function {function}(p_partition text, p_now timestamptz) returns timestamptz
language plpgsql stable {keeps_plan} as $$
begin
  return (
    select min(r.due) from {levels} cross join lateral (
      select {due_at} as due from {table} t where t.{status} = {pending} {in_partition} and {at_level} and {due_at} <= p_now
       order by {due_at}, t.id limit 1) r);
end
$$
$template$), ('next_due_at', $template$
create function {function}(p_partition text, p_now timestamptz) returns timestamptz
language plpgsql stable {keeps_plan} as $$
begin
  return (
    select min(r.due) from {levels} cross join lateral (
      select {due_at} as due from {table} t where t.{status} = {pending} {in_partition} and {at_level} and {due_at} > p_now
       order by {due_at}, t.id limit 1) r
     where r.due < 'infinity');
end
$$
$template$);

create function punctual.count_due(q punctual.queues, p_partition text, p_now timestamptz) returns integer
language plpgsql stable set search_path = '' as $$
declare
  v_count integer;
begin
  execute format('select punctual.%I($1, $2)', q.name || '.count_due') into v_count using p_partition, p_now;
  return v_count;
end
$$;

create function punctual.first_due_at(q punctual.queues, p_partition text, p_past boolean, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_at timestamptz;
begin
  execute format('select punctual.%I($1, $2)', q.name || case when p_past then '.first_due_at' else '.next_due_at' end)
  into v_at using p_partition, p_now;
  return v_at;
end
$$;

-- When the next row that is not due yet falls due, or an account that waits may go on, of one of these providers (null: of any); null when none
-- waits.
create function punctual.next_due_at(q punctual.queues, p_partition text, p_providers text[], p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return least(punctual.first_due_at(q, p_partition, false, p_now),
               (select min(r.ready_at)
                  from unnest(coalesce(p_providers, (select array_agg(distinct a.provider) from punctual.accounts a))) v (provider)
                 cross join lateral (
                   select p.ready_at from punctual.pace p
                    where p.queue = q.name and p.provider = v.provider and p.ready_at > p_now and p.ready_at < 'infinity'
                    order by p.ready_at limit 1) r));
end
$$;

-- Whether an account of a usable provider is ready to be looked at now.
create function punctual.is_account_ready(q punctual.queues, p_configured text[], p_now timestamptz) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  return exists (select from unnest(p_configured) c (provider)
                  cross join lateral (select from punctual.pace p where p.queue = q.name and p.provider = c.provider and p.ready_at <= p_now limit 1) r
                  where not exists (select from punctual.providers v where v.name = c.provider and v.paused_until > p_now));
end
$$;

-- The partitions that a call for the whole queue has to tick: not paused, with a row that could start now; the longest not ticked first.
-- Where there is none, the one that was not ticked the longest, paused or not, since somebody has to see to rows whose tick died. Answers
-- [{partition, timeout_seconds, due_seconds}], how long its first row has been due, null where none is. p_only: this one, whatever it has; PT404
-- where there is none of that name.
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
      raise exception 'there is no "%" of %', p_only, q.name
        using errcode = 'PT404', hint = coalesce(
          'There is ' || (select string_agg(p.partition, ', ' order by p.partition) from punctual.partitions p where p.queue = q.name),
          'It has none: insert it into punctual.partitions.');
    end if;
    return jsonb_build_array(jsonb_build_object('partition', p_only, 'timeout_seconds', coalesce(v_partition.timeout_seconds, q.timeout_seconds)));
  end if;
  for v_partition in
    select * from punctual.partitions p where p.queue = q.name order by p.last_tick_at nulls first, p.partition
  loop
    v_one := jsonb_build_object('partition', v_partition.partition, 'due_seconds', null,
                                'timeout_seconds', coalesce(v_partition.timeout_seconds, q.timeout_seconds));
    -- One that no tick can work on is the last choice: the others have their heartbeat, and where there is no other its fault is told.
    if q.source = 'table' or (select f.fault is null from punctual.find_message_table(v_partition.partition) f) then
      v_idle := coalesce(v_idle, v_one);
    else
      v_broken := coalesce(v_broken, v_one);
    end if;
    continue when v_partition.paused_at <= v_now or q.paused_at <= v_now;
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

-- {queue: max_continuations}: how many ticks may follow one call of it at once.
create function punctual.list_continuation_limits() returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_object_agg(q.name, q.max_continuations), '{}') from punctual.queues q
$$;

-- When the rows of a tick were asked for: a slot that is delivered twice asks once.
create function punctual.asked_at(p_tick punctual.ticks) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return (
    select least(p_tick.started_at, min(t.started_at)) from punctual.ticks t
   where p_tick.slot is not null and t.queue = p_tick.queue and t.started_at > p_tick.started_at - interval '1 day'
     and t.partition = p_tick.partition and t.asked_for = p_tick.asked_for and t.slot = p_tick.slot);
end
$$;

-- The tick's row in the ledger, locked; written on first sight.
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
  -- While we waited the same call, sent twice, may have got here first. A new statement sees it. Whoever holds the tick by now may be
  -- waiting for this partition: nobody waits for him.
  select * into tick from punctual.ticks t where t.id = (p_tick->>'id')::uuid for no key update nowait;
  if found then return; end if;

  v_now := coalesce(p_now, clock_timestamp());
  update punctual.ticks t set outcome = 'died', closed_at = t.deadline_at
   where t.id in (select d.id from punctual.ticks d where d.queue = q.name and d.partition = p_partition.partition
                     and d.closed_at is null and d.deadline_at <= v_now for no key update skip locked);
  select count(*) into v_live from punctual.ticks t
   where t.queue = q.name and t.partition = p_partition.partition and t.closed_at is null and t.admitted and t.deadline_at > v_now
     -- One that somebody asked for stands in nobody's way.
     and t.asked_for is null;

  insert into punctual.ticks as t (id, queue, partition, scheduler, path, schedule, slot, continuation, run_id, asked_for, step, duplicate, admitted, started_at, deadline_at)
  values ((p_tick->>'id')::uuid, q.name, p_partition.partition, coalesce(p_tick->>'scheduler', 'http'), p_tick->>'path', p_tick->>'schedule',
          (p_tick->>'slot')::timestamptz, coalesce((p_tick->>'continuation')::integer, 0), coalesce(p_tick->>'run_id', p_tick->>'id')::uuid, v_asked_for,
          case when coalesce(p_partition.adaptive, q.adaptive) then punctual.adaptive_step(q, p_partition.partition, v_now) end,
          exists (select from punctual.ticks s where s.queue = q.name and s.partition = p_partition.partition and not s.duplicate
                     and s.asked_for is not distinct from v_asked_for
                     and s.slot = (p_tick->>'slot')::timestamptz and s.continuation = coalesce((p_tick->>'continuation')::integer, 0)
                     -- Two schedulers may name the same instant, and one may have two entries for it.
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

-- Batch limit and concurrency of a queue that follows its backlog, by the step it stands on.
create function punctual.adaptive_settings(p_step integer, out batch_limit integer, out concurrency integer)
language sql immutable set search_path = '' as $$
  select s.batch_limit, s.concurrency from (values (0, 20, 3), (1, 30, 5), (2, 40, 7), (3, 50, 10)) s (step, batch_limit, concurrency)
   where s.step = least(3, greatest(0, p_step)) and p_step is not null
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

-- The partition's own, else the backlog's where the queue follows it, else the queue's. p_settled: a limit that the tick has just met takes effect
-- at once; p_asked_limit: the batch limit of rows that somebody asked for.
create function punctual.settings_of(c punctual.call, p_settled jsonb, p_asked_limit integer) returns punctual.tick_settings
language plpgsql stable set search_path = '' as $$
declare
  q punctual.queues := c.queue;
  p punctual.partitions := c.partition;
  v_has_met_limit boolean := (c.tick).limited + (p_settled->>'limited')::integer > 0;
  v_adaptive record;
begin
  select * into v_adaptive from punctual.adaptive_settings((c.tick).step - v_has_met_limit::integer);
  return (
    q.delivery,
    coalesce(p_asked_limit, p.batch_limit, v_adaptive.batch_limit, q.batch_limit),
    coalesce(p.concurrency, v_adaptive.concurrency, q.concurrency),
    coalesce(p.timeout_seconds, q.timeout_seconds),
    coalesce(p.budget_seconds, q.budget_seconds),
    extract(epoch from c.lease_until - c.now),
    coalesce(p.max_ticks, q.max_ticks), q.max_continuations,
    q.backoff_base_seconds, q.backoff_cap_seconds)::punctual.tick_settings;
end
$$;

-- Step 2: outcomes, and how far rows are. Answers as settle_outcomes does.
create function punctual.settle_call(c punctual.call, p_outcomes jsonb) returns jsonb
language plpgsql set search_path = '' as $$
begin
  perform punctual.note_progress(c.queue, p_outcomes->'progress');
  return punctual.settle_outcomes(c.queue, p_outcomes, c.now);
end
$$;

-- Step 3: what a new tick does first, and rows that no tick is going to finish any more: in a paused queue, too, since what died there is not to
-- look as if it still ran. Answers how many rows it took from ticks that died.
create function punctual.sweep_call(c punctual.call, p_want integer) returns integer
language plpgsql set search_path = '' as $$
declare
  v_swept integer := 0;
begin
  if not punctual.may_claim(c) then return 0; end if;
  if c.is_new then perform punctual.arrive(c); end if;
  if p_want > 0 then
    execute format('select punctual.%I($1, $2)', (c.queue).name || '.sweep') into v_swept using c.queue, c.now;
  end if;
  return v_swept;
end
$$;

-- Makes use of what providers told, and does what the queue's own function has to do before a tick claims.
create function punctual.arrive(c punctual.call) returns void
language plpgsql set search_path = '' as $$
declare
  q punctual.queues := c.queue;
begin
  if q.delivery = 'at-most-once' then perform punctual.apply_receipts(q, null, c.now); end if;
  if q.before_claim is null then return; end if;
  perform set_config('punctual.settles', '', true);
  begin
    execute format('select %s($1, $2)', q.before_claim) using (c.partition).partition, c.now;
  exception when others then
    perform punctual.note_error(q, '', format('%s failed: %s', q.before_claim, sqlerrm), c.now);
  end;
  perform set_config('punctual.settles', q.name, true);
end
$$;

-- The rows that a call answers. more: there is work that it has not come to.
create type punctual.claimed as (rows json[], more boolean);

-- Step 4: claims up to p_want rows; a repeated call answers those of its claim that still run.
create function punctual.claim_call(c punctual.call, p_want integer) returns punctual.claimed
language plpgsql set search_path = '' as $$
declare
  v_claimed punctual.claimed := ('{}', false);
begin
  if c.is_repeated then
    v_claimed.rows := punctual.list_claimed(c);
  elsif p_want > 0 and c.paused is null and punctual.may_claim(c) then
    execute format('select * from punctual.%I($1, $2)', (c.queue).name || '.take') into v_claimed using c, p_want;
  end if;
  v_claimed.rows := punctual.add_facts(c.queue, v_claimed.rows, c.now);
  return v_claimed;
end
$$;

insert into punctual.templates (verb, kinds, text) values ('take', '{plain,pgmq}', $template$
create function {function}(c punctual.call, p_want integer) returns punctual.claimed
language plpgsql set search_path = '' as $$
begin
  return (punctual.claim_plain(c, p_want), false)::punctual.claimed;
end
$$
$template$), ('take', '{accounts}', $template$
create function {function}(c punctual.call, p_want integer) returns punctual.claimed
language plpgsql set search_path = '' as $$
begin
  return punctual.claim_of_accounts(c, p_want);
end
$$
$template$);

-- Of a queue without accounts.
create function punctual.claim_plain(c punctual.call, p_want integer) returns json[]
language plpgsql set search_path = '' as $$
declare
  q punctual.queues := c.queue;
  p punctual.partitions := c.partition;
  v_dead_before timestamptz := case when (c.tick).asked_for = 'dead' then punctual.asked_at(c.tick) end;
begin
  if p.max_running is not null then
    return punctual.claim_limited_rows(q, p, c.claim_id, p_want, c.lease_until, v_dead_before, c.now);
  end if;
  if (c.tick).asked_for = 'dead' then
    return punctual.claim_dead_rows(q, p.partition, c.claim_id, p_want, c.lease_until, v_dead_before, c.now);
  end if;
  return punctual.claim_rows(q, p.partition, c.claim_id, p_want, c.lease_until, c.now);
end
$$;

-- Of a queue with accounts: first the accounts that got work while none was known are found, once a tick.
create function punctual.claim_of_accounts(c punctual.call, p_want integer) returns punctual.claimed
language plpgsql set search_path = '' as $$
declare
  q punctual.queues := c.queue;
  p punctual.partitions := c.partition;
  v_claimed punctual.claimed := ('{}', false);
  v_wakes_from uuid;
begin
  if c.is_new or p.wakes_from is not null then
    v_wakes_from := punctual.wake_accounts(q, p.wakes_from, c.now);
    update punctual.partitions x set wakes_from = v_wakes_from
     where x.queue = q.name and x.partition = p.partition and x.wakes_from is distinct from v_wakes_from;
    -- A few all the same: those that are not awake keep nobody waiting.
    if punctual.is_call_over() then p_want := least(p_want, 50); end if;
  end if;
  if p.max_running is not null then
    p_want := least(p_want, (select o.most from punctual.partition_opening(q, p, c.now) o));
  end if;
  if p_want > 0 then
    select r.claimed, r.more into v_claimed from punctual.claim_paced_rows(q, c.claim_id, p_want, c.lease_until, c.providers, c.now) r;
  end if;
  v_claimed.more := v_claimed.more or v_wakes_from is not null;
  return v_claimed;
end
$$;

-- The rows that still run under the call's claim. Found by the index on leases: all rows of a claim bear the same one.
create function punctual.list_claimed(c punctual.call) returns json[]
language plpgsql stable set search_path = '' as $$
declare
  v_rows json[];
begin
  execute format('select punctual.%I($1, $2)', (c.queue).name || '.list_claimed') into v_rows using c.claim_id, (c.tick).lease_until;
  return v_rows;
end
$$;
insert into punctual.templates (verb, text) values ('list_claimed', $template$
create function {function}(p_claim_id uuid, p_lease_until timestamptz) returns json[]
language plpgsql stable {keeps_plan} as $$
begin
  return array(
    select {claimed} from {table} t
     where t.{status} = {running} and t.lease_expires_at = p_lease_until and t.claim_id = p_claim_id
     order by t.priority, {due_at}, t.id);
end
$$
$template$);

-- Claimed rows with the facts that their queue's function knows of them.
create function punctual.add_facts(q punctual.queues, p_rows json[], p_now timestamptz) returns json[]
language plpgsql set search_path = '' as $$
declare
  v_facts jsonb;
begin
  if q.facts is null or cardinality(p_rows) = 0 then return p_rows; end if;
  execute format('select %s($1, $2)', q.facts) into v_facts using array(select r->>'id' from unnest(p_rows) r), p_now;
  if v_facts is null then return p_rows; end if;
  return array(select case when v_facts ? (r->>'id') then (r::jsonb || jsonb_build_object('facts', v_facts->(r->>'id')))::json else r end
                 from unnest(p_rows) with ordinality e (r, n) order by n);
end
$$;

-- When there is something to do again, in milliseconds; null where nothing waits. p_due: how many rows are due.
create function punctual.next_due_in_ms(c punctual.call, p_due integer) returns bigint
language plpgsql stable set search_path = '' as $$
declare
  q punctual.queues := c.queue;
  v_opening record;
begin
  select * into v_opening from punctual.partition_opening(q, c.partition, c.now);
  return case
    when v_opening.most <= 0 then case when v_opening.opens_at < 'infinity' then round(extract(epoch from v_opening.opens_at - c.now) * 1000) end
    when c.paused is null
      and case when q.account_column is null then p_due > 0 else punctual.is_account_ready(q, c.providers, c.now) end then 0
    else round(extract(epoch from punctual.next_due_at(q, (c.partition).partition, c.providers, c.now) - c.now) * 1000) end;
end
$$;

-- Step 5: what the call did, in the ledger, which alone counts. A call that answers no row closes the tick where p_close says so; p_report is
-- what the tick says of itself beyond columns. It wrote that before it knew how this call would end.
create function punctual.note_call(
  c punctual.call, p_settled jsonb, p_swept integer, p_claimed punctual.claimed, p_close boolean, p_report jsonb) returns punctual.ticks
language plpgsql set search_path = '' as $$
declare
  t punctual.ticks := c.tick;
  v_rows integer := cardinality(p_claimed.rows);
  v_new integer := case when c.is_repeated then 0 else v_rows end;
begin
  t.last_seq := greatest(t.last_seq, c.seq);
  if v_new > 0 then t.lease_until := c.lease_until; end if;
  t.claimed := t.claimed + v_new;
  t.done := t.done + (p_settled->>'done')::integer;
  t.retried := t.retried + (p_settled->>'retried')::integer;
  t.again := t.again + (p_settled->>'again')::integer;
  t.dead := t.dead + (p_settled->>'dead')::integer;
  t.unknown := t.unknown + (p_settled->>'unknown')::integer;
  t.released := least(t.claimed, t.released + (p_settled->>'released')::integer);
  t.lost := t.lost + (p_settled->>'lost')::integer;
  t.limited := t.limited + (p_settled->>'limited')::integer;
  t.swept := t.swept + p_swept;
  -- A copy of an older call that was on its way for long closes nothing.
  if t.closed_at is null and c.seq = t.last_seq
     and (not t.admitted or (v_rows = 0 and not p_claimed.more and (p_close or (c.is_new and c.paused is not null)))) then
    t := punctual.closed_tick(c, t, p_report);
  end if;
  update punctual.ticks x set
    last_seq = t.last_seq, lease_until = t.lease_until, claimed = t.claimed, done = t.done, retried = t.retried, again = t.again, dead = t.dead,
    unknown = t.unknown, released = t.released, lost = t.lost, limited = t.limited, swept = t.swept, closed_at = t.closed_at, outcome = t.outcome,
    report = t.report
   where x.id = t.id;
  return t;
end
$$;

-- The tick as it is closed.
create function punctual.closed_tick(c punctual.call, t punctual.ticks, p_report jsonb) returns punctual.ticks
language plpgsql stable set search_path = '' as $$
declare
  v_due integer := punctual.count_due(c.queue, t.partition, c.now);
begin
  t.closed_at := c.now;
  t.outcome := case when not t.admitted then 'skipped'
                    when c.paused is not null and t.claimed = 0 then 'paused'
                    when t.claimed = 0 and t.swept = 0 then 'idle'
                    else 'ran' end;
  t.report := coalesce(p_report, '{}') - array['queue', 'partition', 'tick', 'scheduler', 'slot', 'continuation', 'runId', 'outcome', 'counts', 'duplicate', 'checks']
    || jsonb_build_object('backlogDue', v_due, 'nextDueInMs', punctual.next_due_in_ms(c, v_due),
         'ended', case t.outcome when 'skipped' then null when 'paused' then 'paused' else p_report->>'ended' end);
  return t;
end
$$;

-- One exchange of a tick with the database, in one transaction: opens the tick, settles, sweeps, claims, and notes it in the ledger.
--
-- p_tick      {id, queue, partition, scheduler, path, schedule, slot, continuation, run_id, limit_seconds, lock, providers, reconciles, asked_for, asked_limit, call_ms, schema}.
--             providers: the ones that are configured, for queues with accounts.
--             reconciles: the queue can check unknown rows; otherwise such a row waits for an operator at once.
--             asked_for: 'pending' or 'dead': somebody asked for due rows, or for dead ones to be run once more, asked_limit of them at most.
--             call_ms: for this call: see is_call_over.
--             schema: see require_schema. A process says it until an exchange has answered.
-- p_seq       1 for a tick's first exchange, one more for each that was answered; one that was not is repeated under its number, with the same
--             providers and whatever outcomes there are. A repeated exchange answers the rows that still run under its claim, and claims nothing.
-- p_outcomes  {done, records}: as settle_outcomes takes them; providers: as note_providers takes them; progress: as note_progress takes it.
-- p_want      the most rows to claim; null for as many as may run side by side. The batch limit holds in any case.
-- p_close     close the tick if this call answers no row.
-- p_report    kept in the ledger when the tick is closed.
-- p_now       for tests; production never sends it.
--
-- Answers {admitted, duplicate, paused, settings, claim_id, rows, settled, counts, swept, closed, outcome, probing, due, next_due_in_ms, checks_due,
-- schema}. counts are the tick's so far. due, next_due_in_ms and checks_due (unknown rows can be checked now) are there when this call closed the
-- tick, and schema, the database's version, when the tick said one.
--
-- Locks, in this order: tick, partition (when the tick is new, the partition lets only so many rows run, or not all accounts are woken),
-- accounts by id, rows by id, pace by account, providers by name. Claims, and whoever reads receipts, wait for nobody: they skip what is
-- locked.
create function punctual.exchange(
  p_tick jsonb,
  p_seq integer default null,
  p_outcomes jsonb default '{}',
  p_want integer default 0,
  p_close boolean default false,
  p_report jsonb default null,
  p_now timestamptz default null
) returns json
language plpgsql
set search_path = ''
set statement_timeout = '4s'
set lock_timeout = '3s'
-- Every look-up here is by an index and takes a few rows; compiling one took 30 ms, and a scan reads a million rows to count ten. Plans are kept.
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  c punctual.call := punctual.open_call(p_tick, p_seq, p_want is distinct from 0, p_now);
  v_settled jsonb := punctual.settle_call(c, coalesce(p_outcomes, '{}'));
  v_settings punctual.tick_settings := punctual.settings_of(c, v_settled, (p_tick->>'asked_limit')::integer);
  v_want integer := least(coalesce(p_want, v_settings.concurrency), v_settings.batch_limit - (c.tick).claimed);
  v_swept integer := punctual.sweep_call(c, v_want);
  v_claimed punctual.claimed;
begin
  -- After all that may wait for a row: whoever holds a provider waits for none.
  if punctual.is_next(c) then perform punctual.note_providers(p_outcomes->'providers', c.now); end if;
  v_claimed := punctual.claim_call(c, v_want);
  c.tick := punctual.note_call(c, v_settled, v_swept, v_claimed, p_close, p_report);
  perform set_config('punctual.settles', '', true);
  return punctual.answer(c, v_settings, v_settled, v_swept, v_claimed, p_tick ? 'schema');
end
$$;

-- What an exchange answers. The rows stay json: as jsonb each is built twice.
create function punctual.answer(
  c punctual.call, p_settings punctual.tick_settings, p_settled jsonb, p_swept integer, p_claimed punctual.claimed, p_says_schema boolean) returns json
language plpgsql stable set search_path = '' as $$
declare
  t punctual.ticks := c.tick;
  v_has_closed boolean := t.closed_at is not null;
begin
  return json_build_object(
    'admitted', t.admitted, 'duplicate', t.duplicate, 'paused', c.paused, 'settings', to_json(p_settings),
    'claim_id', c.claim_id, 'rows', p_claimed.rows,
    'settled', p_settled, 'counts', punctual.counts_of(t), 'swept', p_swept,
    'closed', v_has_closed, 'outcome', t.outcome,
    'probing', array(select v.name from punctual.providers v where v.failures > 0 order by v.name),
    'due', t.report->'backlogDue', 'next_due_in_ms', t.report->'nextDueInMs',
    'checks_due', v_has_closed and t.admitted and punctual.are_checks_due(c.queue, c.providers, c.now),
    'schema', case when p_says_schema then punctual.schema_version() end);
end
$$;

-- The counts of a tick, as the ledger has them.
create function punctual.counts_of(t punctual.ticks) returns json
language plpgsql immutable set search_path = '' as $$
begin
  return json_build_object('claimed', t.claimed, 'done', t.done, 'retried', t.retried, 'again', t.again, 'dead', t.dead, 'unknown', t.unknown,
                           'released', t.released, 'lost', t.lost, 'swept', t.swept);
end
$$;

select punctual.close_to_public();
select punctual.note_migration('20261122000500', 'exchange');
