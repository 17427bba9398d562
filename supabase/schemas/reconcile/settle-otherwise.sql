-- What became of rows whose attempt is uncertain: by what webhooks told, by asking the provider, by an operator. The mark of the attempt
-- (claim_id) stays on the row through all of it, and the marks of earlier uncertain attempts in reconcile, so that proof of any of
-- them is heard, and what is no proof counts for the attempt that it is of, and for no later one.

-- Settles a row otherwise than by its attempt: done, dead, pending or cancelled. The caller holds its lock and has judged.
create function punctual.settle_otherwise(
  q punctual.queues, p_id text, p_outcome text, p_error text, p_result jsonb, p_event text, p_text text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_before jsonb;
  v_applied jsonb;
begin
  execute format('select to_jsonb(t.*) from %I.%I t where t.id = $1::%s', q.table_schema, q.table_name, q.id_type) into v_before using p_id;
  execute punctual.render_sql(q,
    'update %I.%I t set {status} = $1::%s, lease_expires_at = null, finished_at = case when $2 = ''pending'' then null else $3 end, '
    'last_error = $4 %s where t.id = $5::%s '
    'returning jsonb_build_array(jsonb_build_object(''id'', t.id, ''claim_id'', t.claim_id, ''outcome'', $2, ''result'', $6, ''error'', $4, '
    '''rate_limited'', false, ''account_id'', %s))',
    q.table_schema, q.table_name, q.status_type,
    punctual.set_results(q, '$6') || case when q.delivery = 'at-most-once' then ', reconcile_at = null' else '' end,
    q.id_type, case when q.account_column is null then 'null' else format('t.%I', q.account_column) end)
  into v_applied
  using case p_outcome when 'done' then q.done_word when 'dead' then q.dead_word when 'cancelled' then q.cancelled_word else q.pending_word end,
        p_outcome, p_now, left(p_error, 2000), p_id, p_result;
  insert into punctual.history (queue, row_id, at, event, text) values (q.name, p_id, p_now, p_event, left(p_text, 2000));
  -- One that had been tried and was to be tried again held its account.
  perform punctual.end_hold(q, v_before, p_now);
  if q.after_settle is not null then perform punctual.call_after_settle(q.after_settle, v_applied, p_now); end if;
end
$$;

-- A row as the functions here judge it, locked; nothing where there is none, or somebody else has it and p_wait is false. content is all of
-- its columns.
create function punctual.lock_row(
  q punctual.queues, p_id text, p_wait boolean, out id text, out state text, out claim_id uuid, out reconcile jsonb, out content jsonb)
language plpgsql set search_path = '' as $$
begin
  execute format('select t.id::text, to_jsonb(t.*) from %I.%I t where t.id = $1::%s for no key update %s',
                 q.table_schema, q.table_name, q.id_type, case when p_wait then '' else 'skip locked' end)
  into id, content using p_id;
  state := punctual.state_of_word(q, content->>q.status_column);
  claim_id := (content->>'claim_id')::uuid;
  reconcile := case when jsonb_typeof(content->'reconcile') = 'object' then content->'reconcile' else '{}' end;
end
$$;
