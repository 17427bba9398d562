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
