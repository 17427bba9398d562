-- Returns a pending row's waits for its due time, a retry, an event or nothing at all, and its expiry: [{kind, until, text}].
create function punctual.list_due_waits(q punctual.queues, p_row jsonb, p_due timestamptz, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select case
      when p_due is null and p_row->>q.waits_column is not null then punctual.wait_of('event', null, format('waits for %s', p_row->>q.waits_column))
      when p_due is null or p_due = 'infinity' then punctual.wait_of('never_due', null, format('%s is %s', q.due_column, coalesce(p_due::text, 'null')))
      when p_due <= p_now then '[]'
      when p_row->>'next_attempt_at' is null then punctual.wait_of('due', p_due, 'not due yet')
      else punctual.wait_of('retry', p_due, 'its last attempt failed; it is tried again') end
    || case when (p_row->>'expires_at')::timestamptz <= p_now then punctual.wait_of('expired', null, 'expired: it is not tried any more') else '[]' end
$$;

-- Returns a pending row's waits that its account does not cause: pauses of the queue and the partition, and rows that run before it there.
create function punctual.list_partition_waits(q punctual.queues, p_partition punctual.partitions, p_row jsonb, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_opening record := punctual.partition_opening(q, p_partition, p_now);
begin
  return case when p_partition.queue is null
         then punctual.wait_of('partition_paused', null, format('the partition "%s" is unknown', p_row->>q.partition_column)) else '[]' end
    || punctual.list_pauses(q, p_partition, p_now)
    || case when v_opening.most <= 0 or v_opening.head_id <> p_row->>'id' then punctual.wait_of('blocked', v_opening.opens_at,
              coalesce(v_opening.reason, format('row %s of the partition has been attempted and must finish first', v_opening.head_id))) else '[]' end;
end
$$;

-- Returns the waits of a pending row's account. p_configured: the configured providers; null if not known.
create function punctual.list_account_waits(
  q punctual.queues, p_account punctual.accounts, p_pace punctual.pace, p_row jsonb, p_configured text[], p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_provider punctual.providers;
  v_waits jsonb := '[]';
  -- The account waits for a retry of this row: see end_hold.
  v_is_held_by_row boolean := coalesce(p_pace.retry_at > p_now, false) and punctual.holds_account(q, p_row);
  v_held jsonb := p_pace.limited_addressees -> (p_row->>q.pair_column);
begin
  if p_account.id is null then return punctual.wait_of('no_account', null, 'it has no account'); end if;
  if p_account.provider <> all (p_configured) then
    v_waits := punctual.wait_of('provider_not_configured', null, format('the provider %s is not configured', p_account.provider));
  end if;
  select * into v_provider from punctual.providers v where v.name = p_account.provider;
  if v_provider.paused_until > p_now then
    v_waits := v_waits || punctual.wait_of('provider_resting', v_provider.paused_until,
      format('the provider %s %s: %s', p_account.provider,
             case when v_provider.refusals > 0 then 'refuses our configuration: correct it' else 'failed and is paused' end, v_provider.last_error));
  end if;
  v_waits := v_waits || coalesce((
    select jsonb_agg(case when w->>'until' = 'infinity' then jsonb_set(w, '{until}', 'null')
                          when v_is_held_by_row and w->>'kind' = 'account_retry' then w || '{"text": "it failed and is tried again"}' else w end)
      from punctual.account_opening(p_account, p_pace, p_now) o cross join lateral jsonb_array_elements(o.waits) w), '[]');
  if (v_held->>'until')::timestamptz > p_now then
    v_waits := v_waits || punctual.wait_of('pair', (v_held->>'until')::timestamptz,
      'the provider limits messages to this addressee: ' || (v_held->>'said'));
  end if;
  return v_waits;
end
$$;

-- Returns all waits of a pending row: {waits, ahead, expected_at}.
create function punctual.explain_pending(q punctual.queues, p_row jsonb, p_due timestamptz, p_configured text[], p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_partition punctual.partitions;
  v_account punctual.accounts;
  v_pace punctual.pace;
  v_waits jsonb := punctual.list_due_waits(q, p_row, p_due, p_now);
  v_ahead jsonb;
  v_expected timestamptz;
begin
  select * into v_partition from punctual.partitions p
   where p.queue = q.name and p.partition = coalesce(case when q.partition_column is null then 'main' else p_row->>q.partition_column end, '');
  v_waits := v_waits || punctual.list_partition_waits(q, v_partition, p_row, p_now);
  if q.account_column is not null then
    select * into v_account from punctual.accounts a where a.id = (p_row->>q.account_column)::uuid;
    select * into v_pace from punctual.pace p where p.queue = q.name and p.account_id = v_account.id;
    if v_pace.queue is null then v_pace := jsonb_populate_record(null::punctual.pace, '{"recent": [], "used": 0}'); end if;
    v_waits := v_waits || punctual.list_account_waits(q, v_account, v_pace, p_row, p_configured, p_now);
  end if;
  if v_account.id is not null then v_ahead := punctual.list_ahead(q, p_row, v_pace.limited_addressees, p_now); end if;
  -- The earliest instant: after the last wait, if each has an end.
  if not v_waits @> '[{"until": null}]' then
    v_expected := (select greatest(p_now, max((w->>'until')::timestamptz)) from jsonb_array_elements(v_waits) w);
    if v_account.id is not null then
      v_expected := punctual.expect_claim_at(v_account, v_pace, (v_ahead->>'count')::integer, v_expected, p_now);
    end if;
  end if;
  if (v_ahead->>'count')::integer > 0 then
    v_waits := v_waits || punctual.wait_of('behind', null, format('%s of its account before it', v_ahead->>'count'));
  end if;
  return jsonb_build_object('waits', case when v_waits = '[]' then punctual.wait_for_tick(v_partition) else v_waits end,
                            'ahead', v_ahead, 'expected_at', v_expected);
end
$$;

-- Returns the progress of an unknown row's checks, for people.
create function punctual.describe_reconcile(p_row jsonb, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('checks', coalesce((p_row->'reconcile'->>'checks')::integer, 0), 'checked_at', p_row->'reconcile'->>'checked_at',
    'next_check_at', p_row->>'reconcile_at', 'found', p_row->'reconcile'->>'found',
    'waits_for_operator', p_row->>'reconcile_at' is null or coalesce((p_row->'reconcile'->>'waits_for_operator')::boolean, false)
      -- No check has come: the provider is not configured, or the queue has no `reconcile`.
      or (p_row->>'reconcile_at')::timestamptz < p_now - interval '1 hour')
$$;

-- Returns whether a check or an operator decides on an unknown row, and when: {waits, reconcile}.
create function punctual.explain_unknown(q punctual.queues, p_row jsonb, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_reconcile jsonb := punctual.describe_reconcile(p_row, p_now);
begin
  return jsonb_build_object('reconcile', v_reconcile, 'waits', case when (v_reconcile->>'waits_for_operator')::boolean
    then punctual.wait_of('operator', null, format('it may have been %s: an operator has to decide', q.done_word))
    else punctual.wait_of('reconcile', (p_row->>'reconcile_at')::timestamptz, format('it may have been %s, or not: it is checked', q.done_word)) end);
end
$$;

-- Explains why a row waits, or where it is: returns {id, queue, status, state, due_at, attempts, max_attempts, last_error, finished_at, waits:
-- [{kind, until, text}], ahead, expected_at, tick, lease_expires_at, reconcile, history}; null if the row does not exist. p_configured: the
-- configured providers; null if not known. expected_at: the earliest instant of its claim, if a tick runs then. Raises PT404 for an unknown queue,
-- and PT409 for a row whose status is no word of the queue. Takes no locks.
create function punctual.explain_row(p_queue text, p_id text, p_configured text[] default null, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  q punctual.queues := punctual.read_queue(p_queue);
  v_row jsonb;
  v_state text;
  v_due timestamptz;
begin
  if q.source = 'pgmq' then return punctual.explain_message(q, p_id, v_now); end if;
  if not punctual.is_id(q, p_id) then return null; end if;
  execute punctual.render_sql(q, 'select to_jsonb(t.*) from {table} t where t.id = $1::{id_type}') into v_row using p_id;
  if v_row is null then return null; end if;
  v_state := punctual.state_of_word(q, v_row->>q.status_column);
  if v_state is null then
    raise exception 'row % is %, which is no word of %: ticks ignore it', p_id, coalesce(quote_ident(v_row->>q.status_column), 'null'), q.name
      using errcode = 'PT409';
  end if;
  v_due := coalesce((v_row->>'next_attempt_at')::timestamptz, (v_row->>q.due_column)::timestamptz);
  return jsonb_build_object(
      'id', p_id, 'queue', q.name, 'status', v_row->>q.status_column, 'state', v_state, 'due_at', case when isfinite(v_due) then v_due end,
      'attempts', (v_row->>'attempts')::integer, 'max_attempts', coalesce((v_row->>'max_attempts')::integer, q.max_attempts),
      'last_error', v_row->>'last_error', 'finished_at', v_row->>'finished_at', 'lease_expires_at', v_row->>'lease_expires_at',
      'waits', jsonb '[]', 'ahead', null, 'expected_at', null, 'tick', null, 'reconcile', null, 'history', punctual.list_history(q, p_id))
    || case v_state
         when 'pending' then punctual.explain_pending(q, v_row, v_due, p_configured, v_now)
         when 'running' then punctual.explain_running(q, v_row)
         when 'unknown' then punctual.explain_unknown(q, v_row, v_now)
         else '{}' end;
end
$$;
