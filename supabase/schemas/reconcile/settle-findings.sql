-- Judges the findings of checks of unknown rows. p_findings: [{id, claim_id, over_seconds, proof: [{message_id, result}], candidates: [message_id],
-- absent_after_seconds, text, failed}]. over_seconds: as take_unknown returned it. absent_after_seconds: null if finding nothing proves nothing.
-- failed: the check failed. p_call_ms: see is_call_over.
--
-- Returns {checked, done, absent, dead}. Locks the messages by id, then the rows by id. Waits for no row and no account: a locked row is checked
-- again.
create function punctual.settle_findings(p_queue text, p_findings jsonb, p_call_ms integer default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set lock_timeout = '3s'
  set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  q punctual.queues := punctual.read_queue(p_queue);
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_finding jsonb;
  v_message text;
  v_verdict text;
  v_counts jsonb := '{"checked": 0, "done": 0, "absent": 0, "dead": 0}';
begin
  perform set_config('punctual.settles', q.name, true);
  if p_call_ms is not null then perform set_config('punctual.call_ms', p_call_ms::text, true); end if;
  -- A message proves one row. Calls with the same message wait for each other here.
  for v_message in
    select distinct m from jsonb_array_elements(p_findings) l cross join lateral (
      select p->>'message_id' as m from jsonb_array_elements(l->'proof') p union all select jsonb_array_elements_text(l->'candidates')) x order by 1
  loop
    perform pg_advisory_xact_lock(hashtextextended('punctual message ' || v_message, 0));
  end loop;
  -- By id, as settles lock rows.
  for v_finding in select l from jsonb_array_elements(p_findings) l order by length(l->>'id'), l->>'id' loop
    begin
      v_verdict := punctual.settle_finding(q, v_finding, v_now);
    exception when others then
      perform punctual.note_error(q, v_finding->>'id', format('its finding could not be written: %s', sqlerrm), v_now);
      v_verdict := null;
    end;
    -- Also a finding that is sent again because the response was lost.
    continue when v_verdict = 'stale';
    v_counts := v_counts || jsonb_build_object('checked', (v_counts->>'checked')::integer + 1);
    if v_verdict is not null then
      v_counts := v_counts || jsonb_build_object(v_verdict, (v_counts->>v_verdict)::integer + 1);
    end if;
    -- The other rows are checked again.
    exit when punctual.is_call_over();
  end loop;
  perform set_config('punctual.settles', '', true);
  return v_counts;
end
$$;

-- Judges one finding. Returns done, absent or dead; stale if the row no longer needs the finding; null if it stays unknown or is locked.
create function punctual.settle_finding(q punctual.queues, p_finding jsonb, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  r punctual.locked_row := punctual.lock_row(q, p_finding->>'id', false);
  v_proof jsonb;
  v_has_candidate boolean;
  v_text text := p_finding->>'text';
begin
  if r.state = 'done' then return 'stale'; end if;
  if r.id is null then return null; end if;
  v_proof := (select p from jsonb_array_elements(p_finding->'proof') with ordinality e (p, n)
               where not punctual.is_taken(q, p->>'message_id', r.id) order by n limit 1);
  v_has_candidate := exists (select from jsonb_array_elements_text(p_finding->'candidates') d where not punctual.is_taken(q, d, r.id));
  if v_proof is not null and r.state <> 'running' and punctual.is_ambiguous(q, r.content) then
    v_proof := null;
    v_has_candidate := true;
    v_text := 'the message that was found may be another row''s, which is running or was sent without the provider''s id: check with the provider';
  end if;
  if v_proof is not null then return punctual.settle_proof(q, r, v_proof, v_text, p_now); end if;
  -- The row was settled or claimed since. Without proof, the finding no longer counts.
  if r.state <> 'unknown' or r.claim_id is distinct from (p_finding->>'claim_id')::uuid then return 'stale'; end if;
  if r.reconcile->>'digest' <> punctual.row_digest(q, r.content) then
    v_has_candidate := true;
    v_text := 'the row was changed after it was sent, so a check cannot find its message';
  end if;
  if not v_has_candidate and (p_finding->>'over_seconds')::double precision >= (p_finding->>'absent_after_seconds')::double precision then
    return punctual.settle_absence(q, r, v_text, p_now);
  end if;
  perform punctual.check_again(q, r, p_finding, v_has_candidate, v_text, p_now);
  return null;
end
$$;

-- Settles a row as done by proof. A running row keeps the proof until its attempt ends. Returns done, or null for a running row.
create function punctual.settle_proof(q punctual.queues, r punctual.locked_row, p_proof jsonb, p_text text, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  v_result jsonb := coalesce(p_proof->'result', '{}')
    || case when q.proof_column is null then '{}' else jsonb_build_object(q.proof_column, p_proof->>'message_id') end;
begin
  if r.state = 'running' then
    perform punctual.save_late_proof(q, r.id, p_proof->>'message_id', v_result, p_now);
    return null;
  end if;
  perform punctual.settle_judged(q, 'check', r.id, r.state,
    jsonb_build_object('outcome', 'done', 'result', v_result, 'event', 'proved', 'text', p_text), p_now);
  return 'done';
end
$$;

-- Settles a row whose attempt had no effect: pending, or dead if its attempts are used up. Returns absent or dead, or null if the account is locked
-- and its place cannot be given back now.
create function punctual.settle_absence(q punctual.queues, r punctual.locked_row, p_text text, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  v_is_used_up boolean := (r.content->>'attempts')::integer >= coalesce((r.content->>'max_attempts')::integer, q.max_attempts);
begin
  if not punctual.refund_place(q, r.content, p_now) then return null; end if;
  perform punctual.settle_judged(q, 'check', r.id, r.state, jsonb_build_object('event', 'absent', 'text', p_text,
    'outcome', case when v_is_used_up then 'dead' else 'pending' end,
    'error', format(case when v_is_used_up then 'it was not %s, and its attempts are used up' else 'it was not %s: the provider knows nothing of it' end,
                    q.done_word)), p_now);
  return case when v_is_used_up then 'dead' else 'absent' end;
end
$$;

-- Stores the finding on a row that stays unknown, and when it is checked next.
create function punctual.check_again(
  q punctual.queues, r punctual.locked_row, p_finding jsonb, p_has_candidate boolean, p_text text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_failed boolean := coalesce((p_finding->>'failed')::boolean, false);
  v_over_seconds double precision := (p_finding->>'over_seconds')::double precision;
  v_checks integer := (r.reconcile->>'checks')::integer + 1;
  -- A check that succeeds but cannot settle the row is repeated for one day, a failed one without end. Receipts still count after that.
  v_waits_for_operator boolean := p_has_candidate or (v_failed and v_over_seconds > 86400)
    or (not v_failed and p_finding->>'absent_after_seconds' is null and v_over_seconds > 3600);
begin
  execute punctual.render_sql(q, 'update {table} t set reconcile_at = $1, reconcile = t.reconcile || $2 where t.id = $3::{id_type}')
  using case when not (v_waits_for_operator and not v_failed and v_over_seconds > 86400) then punctual.next_check_at(v_checks, p_now) end,
        jsonb_build_object('checks', v_checks, 'checked_at', p_now, 'found', left(p_text, 2000), 'waits_for_operator', v_waits_for_operator), r.id;
  -- People read this history, so the same finding is written once.
  if left(p_text, 2000) is distinct from r.reconcile->>'found' then
    insert into punctual.history (queue, row_id, at, event, text) values (q.name, r.id, p_now, 'checked', left(p_text, 2000));
  end if;
end
$$;

-- Returns whether another row has this message as its proof.
create function punctual.is_taken(q punctual.queues, p_message_id text, p_id text) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_taken boolean := false;
begin
  if q.proof_column is not null then
    execute format('select exists (select from %I.%I t where t.%I = $1 and t.id <> $2::%s)', q.table_schema, q.table_name, q.proof_column, q.id_type)
    into v_taken using p_message_id, p_id;
  end if;
  return v_taken;
end
$$;

-- Returns whether another row of the same account and addressee is running, or was sent since this row's attempt without a provider's id. Then the
-- message that a check found may be that row's.
create function punctual.is_ambiguous(q punctual.queues, p_content jsonb) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_found boolean := false;
begin
  if q.pair_column is not null then
    execute punctual.render_sql(q, 'select exists (select from {table} t where t.{account} = $1 and t.{addressee} = $2 and t.id <> $3::{id_type} and '
      || case when q.proof_column is null then 't.{status} = {running})'
              else '(t.{status} = {running} or (t.{status} = {done} and t.{proof} is null and t.finished_at >= $4)))' end)
    into v_found using (p_content->>q.account_column)::uuid, p_content->>q.pair_column, p_content->>'id',
                       coalesce(p_content->'reconcile'->>'first_at', p_content->>'claimed_at')::timestamptz;
  end if;
  return v_found;
end
$$;

-- Refunds the account's place for a claim that had no effect. Returns false if the account's row of pace is locked.
create function punctual.refund_place(q punctual.queues, p_content jsonb, p_now timestamptz) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_account uuid := (p_content->'reconcile'->>'account_id')::uuid;
  v_claimed_at timestamptz := (p_content->>'claimed_at')::timestamptz;
begin
  if q.account_column is null then return true; end if;
  perform from punctual.pace p where p.queue = q.name and p.account_id = v_account for no key update skip locked;
  if not found then return not exists (select from punctual.pace p where p.queue = q.name and p.account_id = v_account); end if;
  update punctual.pace p set
    -- A claim of an earlier day is not in `used`.
    used = case when v_claimed_at >= p.used_since then greatest(p.used - 1, 0) else p.used end,
    recent = coalesce(p.recent[:array_position(p.recent, v_claimed_at) - 1] || p.recent[array_position(p.recent, v_claimed_at) + 1:], p.recent),
    next_ok_at = '-infinity', waiting_for = null, ready_at = case when p.busy_until > p_now then p.ready_at else p_now end
   where p.queue = q.name and p.account_id = v_account;
  return true;
end
$$;
