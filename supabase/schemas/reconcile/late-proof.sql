-- Handles late proof: the outcome `done` of an attempt whose row another claim has by now, because its machine was suspended or its outcome came
-- late. The message went out all the same. A running row keeps the proof until its attempt ends. Any other row that is not done becomes done. A row
-- that is done as another message gets the event `twice`. p_result: the outcome's result. Waits for the row's lock.
create function punctual.accept_late_proof(q punctual.queues, p_id text, p_claim_id text, p_result jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_row record;
  v_message text := p_result->>q.proof_column;
begin
  -- Waits for the row: the proof comes only once.
  select * into v_row from punctual.lock_row(q, p_id, true);
  if v_row.id is null or punctual.is_taken(q, v_message, p_id) then return; end if;
  -- Ignores an attempt of another row: after a restore, ids are used again.
  if (v_row.reconcile->'claims' ? p_claim_id) is not true then return; end if;
  if v_row.state = 'running' then
    perform punctual.save_late_proof(q, p_id, v_message, p_result, p_now);
  elsif v_row.state <> 'done' then
    perform punctual.settle_judged(q, 'receipt', p_id, v_row.state,
      jsonb_build_object('outcome', 'done', 'result', p_result, 'event', 'proved', 'text', 'an earlier attempt was delivered'), p_now);
  elsif (v_row.content->>q.proof_column = v_message) is not true then
    perform punctual.note_twice(q, p_id, v_message, p_now);
  end if;
end
$$;

-- Keeps the proof of an earlier attempt on a running row. apply_late_proof uses it when the attempt under way has ended.
create function punctual.save_late_proof(q punctual.queues, p_id text, p_message_id text, p_result jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  execute format('update %I.%I t set reconcile = coalesce(t.reconcile, ''{}'') || $1 where t.id = $2::%s', q.table_schema, q.table_name, q.id_type)
  using jsonb_build_object('late_proof', jsonb_build_object('message_id', p_message_id, 'result', p_result)), p_id;
  insert into punctual.history (queue, row_id, at, event, text, proof)
  values (q.name, p_id, p_now, 'late', format('an earlier attempt was delivered after all%s', ', as ' || p_message_id), p_message_id);
end
$$;

-- Applies the late proof that a row keeps, once its attempt has ended. Skips a locked row.
create function punctual.apply_late_proof(q punctual.queues, p_id text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_row record;
  v_proof jsonb;
begin
  select * into v_row from punctual.lock_row(q, p_id, false);
  v_proof := v_row.reconcile->'late_proof';
  if punctual.is_taken(q, v_proof->>'message_id', p_id) then return; end if;
  if v_row.state = 'done' and v_row.content->>q.proof_column is distinct from v_proof->>'message_id' then
    perform punctual.note_twice(q, p_id, v_proof->>'message_id', p_now);
  elsif v_row.state in ('pending', 'unknown', 'dead') then
    perform punctual.settle_judged(q, 'receipt', p_id, v_row.state,
      jsonb_build_object('outcome', 'done', 'result', v_proof->'result', 'event', 'proved', 'text', 'an earlier attempt was delivered'), p_now);
  end if;
end
$$;

-- Writes the event `twice`: an earlier attempt of the row was delivered as well.
create function punctual.note_twice(q punctual.queues, p_id text, p_message_id text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  insert into punctual.history (queue, row_id, at, event, text, proof)
  select q.name, p_id, p_now, 'twice', v.text, p_message_id
    from (select format('an earlier attempt was delivered as well%s', ', as ' || p_message_id) as text) v
   -- An exchange whose response was lost sends the outcome again.
   where not exists (select from punctual.history h where h.queue = q.name and h.row_id = p_id and h.event = 'twice' and h.text = v.text);
end
$$;

-- Returns whether a receipt of the same message has one of p_statuses.
create function punctual.has_receipt(p_receipt punctual.receipts, p_statuses text[]) returns boolean
language sql stable set search_path = '' as $$
  select exists (select from punctual.receipts r where r.provider = p_receipt.provider and r.message_id = p_receipt.message_id
                    and r.kind = p_receipt.kind and r.status = any (p_statuses))
$$;

-- Returns whether the queue has a row with this id, locked or not.
create function punctual.row_exists(q punctual.queues, p_id text) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_exists boolean;
begin
  execute format('select exists (select from %I.%I t where t.id = $1::%s)', q.table_schema, q.table_name, q.id_type) into v_exists using p_id;
  return v_exists;
end
$$;
