-- Step 2: writes progress and outcomes. Returns as settle_outcomes does.
create function punctual.settle_call(c punctual.call, p_outcomes jsonb) returns jsonb
language plpgsql set search_path = '' as $$
begin
  perform punctual.note_progress(c.queue, p_outcomes->'progress');
  return punctual.settle_outcomes(c.queue, p_outcomes, c.now);
end
$$;

-- Step 3: runs arrive() for a new tick, then sweeps. Sweeps a paused queue too, so that rows whose tick died do not seem to run. Returns how many
-- overdue rows it recovered.
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

-- Applies receipts, runs a step of an open action, and runs the queue's before_claim. An error of before_claim goes to the queue's history, and the tick continues.
create function punctual.arrive(c punctual.call) returns void
language plpgsql set search_path = '' as $$
declare
  q punctual.queues := c.queue;
begin
  if q.delivery = 'at-most-once' then perform punctual.apply_receipts(q, null, c.now); end if;
  perform punctual.advance_actions(q, c.now);
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

-- The rows that a call returns. more: ready accounts remain that the call did not reach.
create type punctual.claimed as (rows json[], more boolean);

-- Step 4: claims up to p_want rows. A repeated or late call returns the rows of its claim that still run instead.
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

-- Claims rows of a queue without accounts.
create function punctual.claim_plain(c punctual.call, p_want integer) returns json[]
language plpgsql set search_path = '' as $$
declare
  q punctual.queues := c.queue;
  p punctual.partitions := c.partition;
  v_dead_before timestamptz := case when (c.tick).asked_for = 'dead' then punctual.requested_at(c.tick) end;
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

-- Claims rows of a queue with accounts. Wakes accounts first, once a tick.
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
    -- Still claims up to 50 rows: accounts that are not woken yet must not delay the others.
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

-- Returns the rows that still run under the call's claim. Reads the index on leases from the tick's start to its lease_until: the leases of all its
-- claims end in between.
create function punctual.list_claimed(c punctual.call) returns json[]
language plpgsql stable set search_path = '' as $$
declare
  v_rows json[];
begin
  execute format('select punctual.%I($1, $2, $3)', (c.queue).name || '.list_claimed') into v_rows
  using c.claim_id, (c.tick).started_at, (c.tick).lease_until;
  return v_rows;
end
$$;
insert into punctual.templates (verb, text) values ('list_claimed', $template$
create function {function}(p_claim_id uuid, p_after timestamptz, p_until timestamptz) returns json[]
language plpgsql stable {keeps_plan} as $$
begin
  return array(
    select {claimed} from {table} t
     where t.{status} = {running} and t.lease_expires_at > p_after and t.lease_expires_at <= p_until and t.claim_id = p_claim_id
     order by t.priority, {due_at}, t.id);
end
$$
$template$);

-- Adds to each claimed row the facts that the queue's `facts` function returns for it.
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

-- Returns in how many milliseconds a row can start: 0 for now, null if nothing waits. p_due: the number of due rows. A pause with an end counts until
-- then. One without does not count: nobody knows when somebody resumes.
create function punctual.next_due_in_ms(c punctual.call, p_due integer) returns bigint
language plpgsql stable set search_path = '' as $$
declare
  q punctual.queues := c.queue;
  v_opening record;
  v_pause_end timestamptz := punctual.pauses_end(q, c.partition, c.now);
  v_at timestamptz;
begin
  select * into v_opening from punctual.partition_opening(q, c.partition, c.now);
  v_at := case
    when v_opening.most <= 0 then nullif(v_opening.opens_at, 'infinity')
    when v_pause_end is distinct from 'infinity'
      and case when q.account_column is null then p_due > 0 else punctual.is_account_ready(q, c.providers, c.now) end then c.now
    else punctual.next_due_at(q, (c.partition).partition, c.providers, c.now) end;
  if v_at < v_pause_end and v_pause_end < 'infinity' then v_at := v_pause_end; end if;
  return round(extract(epoch from v_at - c.now) * 1000);
end
$$;

-- Step 5: adds the call's counts to the ledger. Only the ledger counts. Closes a tick that was not admitted. Closes any other tick if the call
-- returns no row, reached every ready account, and either p_close is true or it is the first call of a tick whose queue or partition is paused.
-- p_report: the tick's own report, written before it knew the result of this call.
create function punctual.note_call(
  c punctual.call, p_settled jsonb, p_swept integer, p_claimed punctual.claimed, p_close boolean, p_report jsonb) returns punctual.ticks
language plpgsql set search_path = '' as $$
declare
  t punctual.ticks := c.tick;
  v_rows integer := cardinality(p_claimed.rows);
  v_new integer := case when c.is_repeated then 0 else v_rows end;
begin
  t.claimed := t.claimed + v_new;
  t.swept := t.swept + p_swept;
  -- A delayed copy of an older call closes nothing.
  if t.closed_at is null and c.seq >= t.last_seq
     and (not t.admitted or (v_rows = 0 and not p_claimed.more and (p_close or (c.is_new and c.paused is not null)))) then
    t := punctual.closed_tick(c, t, p_report);
  end if;
  -- Adds to what other exchanges of the tick have written meanwhile. The lock that this takes is the last of the call.
  update punctual.ticks x set
    last_seq = greatest(x.last_seq, c.seq),
    lease_until = case when v_new > 0 then greatest(x.lease_until, c.lease_until) else x.lease_until end,
    claimed = x.claimed + v_new,
    done = x.done + (p_settled->>'done')::integer,
    retried = x.retried + (p_settled->>'retried')::integer,
    again = x.again + (p_settled->>'again')::integer,
    dead = x.dead + (p_settled->>'dead')::integer,
    unknown = x.unknown + (p_settled->>'unknown')::integer,
    released = least(x.claimed + v_new, x.released + (p_settled->>'released')::integer),
    lost = x.lost + (p_settled->>'lost')::integer,
    limited = x.limited + (p_settled->>'limited')::integer,
    swept = x.swept + p_swept,
    closed_at = coalesce(x.closed_at, t.closed_at),
    outcome = coalesce(x.outcome, t.outcome),
    report = coalesce(t.report, x.report)
   where x.id = t.id
  returning x.* into t;
  return t;
end
$$;

-- Returns the tick as closed: with its outcome and its final report.
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
