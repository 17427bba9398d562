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
  if q.source = 'pgmq' then return punctual.count_due_messages(q, p_partition, p_now); end if;
  execute format('select punctual.%I($1, $2)', q.name || '.count_due') into v_count using p_partition, p_now;
  return v_count;
end
$$;

create function punctual.first_due_at(q punctual.queues, p_partition text, p_past boolean, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_at timestamptz;
begin
  if q.source = 'pgmq' then return punctual.first_due_message_at(q, p_partition, p_past, p_now); end if;
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

-- {queue: max_laps}: how many ticks may follow one call of it at once.
create function punctual.list_lap_limits() returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_object_agg(q.name, q.max_laps), '{}') from punctual.queues q
$$;

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
  v_looks_only boolean := coalesce((p_tick->>'looks_only')::boolean, false);
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
     -- One that only looks stands in nobody's way, but its like's; one that somebody asked for in nobody's.
     and t.looks_only = v_looks_only and t.asked_for is null;

  insert into punctual.ticks as t (id, queue, partition, clock, path, schedule, slot, lap, chain, looks_only, asked_for, step, duplicate, admitted, started_at, deadline_at)
  values ((p_tick->>'id')::uuid, q.name, p_partition.partition, coalesce(p_tick->>'clock', 'http'), p_tick->>'path', p_tick->>'schedule',
          (p_tick->>'slot')::timestamptz, coalesce((p_tick->>'lap')::integer, 0), coalesce(p_tick->>'chain', p_tick->>'id')::uuid, v_looks_only, v_asked_for,
          case when coalesce(p_partition.adaptive, q.adaptive) then punctual.adaptive_step(q, p_partition.partition, v_now) end,
          exists (select from punctual.ticks s where s.queue = q.name and s.partition = p_partition.partition and not s.duplicate
                     and s.looks_only = v_looks_only and s.asked_for is not distinct from v_asked_for
                     and s.slot = (p_tick->>'slot')::timestamptz and s.lap = coalesce((p_tick->>'lap')::integer, 0)
                     -- Two clocks may name the same instant, and one may have two entries for it.
                     and s.clock = coalesce(p_tick->>'clock', 'http') and coalesce(s.path, '') = coalesce(p_tick->>'path', '')),
          v_asked_for is not null or (v_live < v_max and (p_tick->>'lock' is distinct from 'held' or v_max > 1)),
          v_now, v_now + make_interval(secs => (p_tick->>'limit_seconds')::double precision))
  returning t.* into tick;
  if not v_looks_only and v_asked_for is null then
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
  -- Its number. One that is not above the tick's last came late or is repeated: it claims nothing, and what it brings besides outcomes was taken.
  seq integer,
  -- The claim of the exchange that it repeats: {claim_id, lease_expires_at}.
  repeated jsonb,
  -- Why the partition starts nothing.
  paused text,
  -- Those that are configured, for queues with accounts.
  providers text[],
  lease_until timestamptz,
  now timestamptz
);

-- What the settings of the session say of this call, and whether it can be worked on at all.
create function punctual.begin_call(p_tick jsonb, p_close text) returns void
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
  if p_close not in ('no', 'if_drained', 'yes') then
    raise exception 'p_close is "%"', p_close using errcode = '22023';
  end if;
end
$$;

-- Step 1: opens the tick, and locks what the call needs of it before all else.
create function punctual.open_call(p_tick jsonb, p_claim_id uuid, p_want integer, p_now timestamptz) returns punctual.call
language plpgsql set search_path = '' as $$
declare
  q punctual.queues := punctual.read_queue(p_tick->>'queue');
  v_asked_for text := p_tick->>'asked_for';
  v_partition punctual.partitions;
  v_opened record;
  c punctual.call;
begin
  select * into v_partition from punctual.partitions p where p.queue = q.name and p.partition = p_tick->>'partition';
  if not found then
    raise exception 'the queue % has no partition "%"', q.name, p_tick->>'partition'
      using errcode = 'PT404', hint = 'Insert it into punctual.partitions.';
  end if;
  if v_asked_for is not null and (v_asked_for not in ('pending', 'dead') or q.account_column is not null or q.source <> 'table'
     -- What waits for something has a way back of its own.
     or (v_asked_for = 'dead' and q.waits_column is not null)) then
    raise exception 'rows of % that are % cannot be asked for', q.name, v_asked_for
      using errcode = '22023', hint = 'Only pending or dead rows can, of a queue that has a table and no accounts.';
  end if;
  select o.tick, o.is_new into v_opened from punctual.open_tick(q, v_partition, p_tick, p_now) o;
  c.tick := v_opened.tick;
  c.is_new := v_opened.is_new;
  if (v_partition.max_running is not null or v_partition.wakes_from is not null) and p_want is distinct from 0 then
    select * into v_partition from punctual.partitions p where p.queue = q.name and p.partition = v_partition.partition for no key update;
  end if;
  -- Who held the ledger while we waited may have paused the queue: see after_restore.
  q := punctual.read_queue(q.name);
  c.queue := q;
  c.partition := v_partition;
  c.now := coalesce(p_now, clock_timestamp());
  c.seq := coalesce((p_tick->>'seq')::integer, (c.tick).last_seq + 1);
  c.repeated := (select r from jsonb_array_elements((c.tick).claims) r where r->>'claim_id' = p_claim_id::text);
  c.paused := case when v_partition.paused_at <= c.now then coalesce(v_partition.paused_reason, 'the partition is paused')
                   when q.paused_at <= c.now then coalesce(q.paused_reason, 'the queue is paused') end;
  c.providers := array(select jsonb_array_elements_text(coalesce(p_tick->'providers', '[]')));
  -- Longer than any run of the function can be, so that a fenced row is never still being performed.
  c.lease_until := c.now + make_interval(secs => greatest(q.lease_seconds, (p_tick->>'limit_seconds')::double precision + 30));
  return c;
end
$$;

-- Whether it is the tick's next exchange: neither late nor repeated.
create function punctual.is_next(c punctual.call) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  return c.repeated is null and c.seq > (c.tick).last_seq;
end
$$;

-- Whether the tick may be given rows.
create function punctual.may_claim(c punctual.call) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  return punctual.is_next(c) and (c.tick).admitted and (c.tick).closed_at is null and (c.tick).deadline_at > c.now;
end
$$;

-- Step 2: outcomes, the rows of claims whose answer never arrived among them, and how far rows are. Answers as settle_outcomes does.
create function punctual.settle_call(c punctual.call, p_outcomes jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_records jsonb := coalesce(p_outcomes->'records', '[]');
  v_claim jsonb;
begin
  for v_claim in
    select r from jsonb_array_elements((c.tick).claims) r where coalesce(p_outcomes->'release_claims', '[]') ? (r->>'claim_id')
  loop
    v_records := v_records || punctual.list_claimed(c.queue, v_claim, 'releases');
  end loop;
  perform punctual.note_progress(c.queue, p_outcomes->'progress');
  return punctual.settle_outcomes(c.queue, jsonb_build_object('done', coalesce(p_outcomes->'done', '[]'), 'records', v_records), c.now);
end
$$;

-- Step 3, with sweep: what a new tick makes use of before it claims: what providers told, and what the queue's own function has to do.
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

-- Step 4: up to p_want rows. `more`: there is work that it has not come to.
create function punctual.claim_call(c punctual.call, p_claim_id uuid, p_want integer, out rows json[], out more boolean)
language plpgsql set search_path = '' as $$
declare
  q punctual.queues := c.queue;
  v_partition punctual.partitions := c.partition;
  v_asked_for text := (c.tick).asked_for;
  v_wakes_from uuid;
begin
  more := false;
  if v_partition.max_running is not null and q.account_column is null then
    rows := punctual.claim_limited_rows(q, v_partition, p_claim_id, p_want, c.lease_until,
                                        case when v_asked_for = 'dead' then punctual.asked_at(c.tick) end, c.now);
  elsif v_asked_for = 'dead' then
    rows := punctual.claim_dead_rows(q, v_partition.partition, p_claim_id, p_want, c.lease_until, punctual.asked_at(c.tick), c.now);
  elsif q.account_column is null then
    rows := punctual.claim_rows(q, v_partition.partition, p_claim_id, p_want, c.lease_until, c.now);
  else
    rows := '{}';
    if c.is_new or v_partition.wakes_from is not null then
      v_wakes_from := punctual.wake_accounts(q, v_partition.wakes_from, c.now);
      more := v_wakes_from is not null;
      update punctual.partitions p set wakes_from = v_wakes_from
       where p.queue = q.name and p.partition = v_partition.partition and p.wakes_from is distinct from v_wakes_from;
      -- A few all the same: those that are not awake keep nobody waiting.
      if punctual.is_call_over() then p_want := least(p_want, 50); end if;
    end if;
    if v_partition.max_running is not null then
      p_want := least(p_want, (select o.most from punctual.partition_opening(q, v_partition, c.now) o));
    end if;
    if p_want > 0 then
      select r.claimed, r.more or claim_call.more into rows, more from punctual.claim_paced_rows(q, p_claim_id, p_want, c.lease_until, c.providers, c.now) r;
    end if;
  end if;
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

-- Step 5: what the call did, in the ledger. p_settled, p_looked: as settle_outcomes and settle_looks answer; p_claim: [{claim_id, lease_expires_at}],
-- null if it took no row; p_rows: how many it took; p_closes: it ends the tick, whose report is p_report. The tick wrote that before it knew how
-- this call would end; its counts and all that it is known by are columns.
create function punctual.note_call(
  c punctual.call, p_settled jsonb, p_looked jsonb, p_swept integer, p_claim jsonb, p_rows integer, p_closes boolean, p_report jsonb,
  out tick punctual.ticks, out due integer, out next_due_in_ms bigint)
language plpgsql set search_path = '' as $$
declare
  v_outcome text;
begin
  if p_closes or (c.tick).closed_at is not null then
    due := punctual.count_due(c.queue, (c.partition).partition, c.now);
    next_due_in_ms := punctual.next_due_in_ms(c, due);
  end if;
  if p_closes then
    v_outcome := case when not (c.tick).admitted then 'skipped'
                      when c.paused is not null and (c.tick).claimed + p_rows = 0 then 'paused'
                      when (c.tick).claimed + p_rows = 0 and p_swept + (c.tick).swept = 0 and (c.tick).looked + (p_looked->>'looked')::integer = 0 then 'idle'
                      else 'ran' end;
  end if;
  update punctual.ticks t set
    claims = case when p_closes then '[]' when p_claim is null then t.claims else jsonb_path_query_array(p_claim || t.claims, '$[0 to 7]') end,
    last_seq = greatest(t.last_seq, c.seq),
    claimed = t.claimed + p_rows,
    done = t.done + (p_settled->>'done')::integer,
    retried = t.retried + (p_settled->>'retried')::integer,
    again = t.again + (p_settled->>'again')::integer,
    dead = t.dead + (p_settled->>'dead')::integer,
    unknown = t.unknown + (p_settled->>'unknown')::integer,
    released = t.released + (p_settled->>'released')::integer,
    lost = t.lost + (p_settled->>'lost')::integer,
    limited = t.limited + (p_settled->>'limited')::integer,
    swept = t.swept + p_swept,
    looked = t.looked + (p_looked->>'looked')::integer,
    resolved = t.resolved + (p_looked->>'done')::integer + (p_looked->>'absent')::integer + (p_looked->>'dead')::integer,
    closed_at = case when p_closes then c.now else t.closed_at end,
    outcome = case when p_closes then v_outcome else t.outcome end,
    report = case when not p_closes then t.report
                  else p_report - array['queue', 'partition', 'tick', 'clock', 'slot', 'lap', 'chain', 'outcome', 'counts', 'duplicate']
                       || jsonb_build_object('backlogDue', due, 'nextDueInMs', next_due_in_ms,
                            'ended', case v_outcome when 'skipped' then null when 'paused' then 'paused' else p_report->>'ended' end) end
   where t.id = (c.tick).id
  returning t.* into tick;
end
$$;

-- p_tick      {id, queue, partition, clock, path, schedule, slot, lap, chain, limit_seconds, lock, providers, seq, looks, looks_only, asked_for, asked_limit, call_ms, schema}.
--             providers: the ones that are configured, for queues with accounts.
--             looks: the most unknown rows to hand out for a look, when there is nothing to claim; looks_only: claim nothing.
--             asked_for: 'pending' or 'dead': somebody asked for due rows, or for dead ones to be run once more, asked_limit of them at most.
--             call_ms: for this call: see is_call_over.
--             schema: see require_schema. A process says it until an exchange has answered.
--             seq: 1 for a tick's first exchange, one more for each; a repeated exchange bears its old one.
-- p_claim_id  new for every exchange; a repeated one answers the rows that still run under it, and claims nothing.
-- p_outcomes  as settle_outcomes takes them, and besides
--             providers: as note_providers takes them;
--             release_claims: [claim_id] of this tick whose rows never arrived, to be given back;
--             looks: as settle_looks takes them;
--             progress: as note_progress takes it.
-- p_want      the most rows to claim; null for as many as may run side by side. The batch limit holds in any case.
-- p_close     'no'; 'if_drained': close the tick if there was nothing to claim and nothing to look at; 'yes'.
-- p_report    kept in the ledger when the tick is closed.
-- p_now       for tests; production never sends it.
--
-- Answers {admitted, duplicate, paused, settings, rows, looks, settled, resolved, totals, swept, closed, outcome, probing, due,
-- next_due_in_ms}; totals: {looked, resolved} of the tick so far. due and
-- next_due_in_ms are there when this call closed the tick, and schema, the database's version, when the tick said one.
--
-- Locks, in this order: tick, partition (when the tick is new, the partition lets only so many rows run, or not all accounts are woken),
-- accounts by id, rows by id, pace by account, providers by name. Claims, and whoever reads receipts, wait for nobody: they skip what is
-- locked.
create function punctual.exchange(
  p_tick jsonb,
  p_claim_id uuid,
  p_outcomes jsonb default '{}',
  p_want integer default 0,
  p_close text default 'no',
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
  c punctual.call;
  v_settings record;
  v_settled jsonb;
  v_looked jsonb;
  v_swept integer := 0;
  v_rows json[] := '{}';
  v_more boolean := false;
  v_looks jsonb := '[]';
  v_noted record;
begin
  perform punctual.begin_call(p_tick, p_close);
  c := punctual.open_call(p_tick, p_claim_id, p_want, p_now);

  v_settled := punctual.settle_call(c, coalesce(p_outcomes, '{}'));
  v_looked := punctual.settle_looks(c.queue, case when c.seq > (c.tick).last_seq then p_outcomes->'looks' end, c.now);
  -- A limit that this tick has met takes effect at once.
  c.tick.limited := (c.tick).limited + (v_settled->>'limited')::integer;
  select * into v_settings from punctual.settings_of(c.queue, c.partition, c.tick);
  v_settings.batch_limit := coalesce((p_tick->>'asked_limit')::integer, v_settings.batch_limit);
  p_want := case when (c.tick).looks_only then 0 else least(coalesce(p_want, v_settings.concurrency), v_settings.batch_limit - (c.tick).claimed) end;

  if punctual.may_claim(c) then
    if c.is_new then perform punctual.arrive(c); end if;
    -- In a paused queue, too: what died there is not to look as if it still ran.
    if p_want > 0 then v_swept := punctual.sweep(c.queue, c.now); end if;
  end if;
  -- After all that may wait for a row: whoever holds a provider waits for none.
  if c.seq > (c.tick).last_seq then perform punctual.note_providers(p_outcomes->'providers', c.now); end if;
  if c.repeated is not null then
    v_rows := array(select r::json from jsonb_array_elements(punctual.list_claimed(c.queue, c.repeated, 'rows')) r);
  elsif p_want > 0 and c.paused is null and punctual.may_claim(c) then
    select r.rows, r.more into v_rows, v_more from punctual.claim_call(c, p_claim_id, p_want) r;
  end if;
  v_rows := punctual.add_facts(c.queue, v_rows, c.now);
  if (p_tick->>'looks')::integer > 0 and (c.queue).delivery = 'at-most-once' and cardinality(v_rows) = 0 and not v_more and p_close = 'if_drained' and punctual.may_claim(c) then
    v_looks := punctual.claim_looks(c.queue, (p_tick->>'looks')::integer, c.providers, (p_tick->>'limit_seconds')::double precision + 30, c.now);
  end if;

  select * into v_noted from punctual.note_call(c, v_settled, v_looked, v_swept,
    case when c.repeated is null and cardinality(v_rows) > 0 then jsonb_build_array(jsonb_build_object('claim_id', p_claim_id, 'lease_expires_at', c.lease_until)) end,
    case when c.repeated is null then cardinality(v_rows) else 0 end,
    (c.tick).closed_at is null and (p_close = 'yes' or not (c.tick).admitted or (v_looks = '[]'
      and ((c.is_new and c.paused is not null) or (p_close = 'if_drained' and cardinality(v_rows) = 0 and not v_more)))),
    p_report);
  perform set_config('punctual.settles', '', true);
  return punctual.answer(c, to_jsonb(v_settings), v_noted.tick, v_rows, jsonb_build_object(
    'looks', v_looks, 'settled', v_settled, 'resolved', v_looked, 'swept', v_swept, 'due', v_noted.due, 'next_due_in_ms', v_noted.next_due_in_ms,
    'schema', case when p_tick ? 'schema' then punctual.schema_version() end));
end
$$;

-- What an exchange answers. p_settings: as settings_of has them; p_more: what has been reckoned before. The rows stay json: as jsonb each is built
-- twice.
create function punctual.answer(c punctual.call, p_settings jsonb, p_tick punctual.ticks, p_rows json[], p_more jsonb) returns json
language plpgsql stable set search_path = '' as $$
declare
  q punctual.queues := c.queue;
begin
  return json_build_object(
    'admitted', p_tick.admitted,
    'duplicate', p_tick.duplicate,
    'paused', c.paused,
    'settings', p_settings || jsonb_build_object(
      'delivery', q.delivery,
      'max_ticks', coalesce((c.partition).max_ticks, q.max_ticks),
      'max_laps', q.max_laps,
      'lease_seconds', extract(epoch from c.lease_until - c.now),
      'backoff_base_seconds', q.backoff_base_seconds,
      'backoff_cap_seconds', q.backoff_cap_seconds),
    'rows', p_rows,
    'looks', p_more->'looks',
    'settled', p_more->'settled',
    'resolved', p_more->'resolved',
    'totals', json_build_object('looked', p_tick.looked, 'resolved', p_tick.resolved),
    'swept', p_more->'swept',
    'closed', p_tick.closed_at is not null,
    'outcome', p_tick.outcome,
    'probing', array(select v.name from punctual.providers v where v.failures > 0 order by v.name),
    'due', p_more->'due',
    'next_due_in_ms', p_more->'next_due_in_ms',
    'schema', p_more->'schema');
end
$$;

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

-- The rows that still run under a claim, p_as 'rows' as a claim answers them, or 'releases' as outcomes that give them back. Found by the
-- index on leases: all rows of a claim bear the same one.
create function punctual.list_claimed(q punctual.queues, p_claim jsonb, p_as text) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_rows jsonb;
  v_select text := case
    when p_as = 'releases' then 'jsonb_build_object(''id'', t.id::text, ''claim_id'', t.claim_id, ''outcome'', ''release'')'
    else format('jsonb_build_object(''id'', t.id::text, ''attempt'', t.attempts, ''timeout_seconds'', t.timeout_seconds, ''row'', to_jsonb(t.*)) || %s',
      case when q.account_column is null then '''{}''' else format(
        'jsonb_build_object(''account'', (select jsonb_build_object(''id'', a.id, ''provider'', a.provider, ''provider_account_id'', '
        'a.provider_account_id, ''name'', a.name) from punctual.accounts a where a.id = t.%I))', q.account_column) end) end;
begin
  if q.source = 'pgmq' then return punctual.list_claimed_messages(q, p_claim, p_as); end if;
  execute punctual.render_sql(q, 'select jsonb_agg(%s order by t.priority, coalesce(t.next_attempt_at, t.%I), t.id) from %I.%I t '
                 'where t.{status} = %L and t.lease_expires_at = $1 and t.claim_id = $2',
                 v_select, q.due_column, q.table_schema, q.table_name, q.running_word)
  into v_rows using (p_claim->>'lease_expires_at')::timestamptz, (p_claim->>'claim_id')::uuid;
  return coalesce(v_rows, '[]');
end
$$;

select punctual.close_to_public();
select punctual.note_migration('20261122000500', 'exchange');
