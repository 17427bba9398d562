-- Everything that stands in a pending row's way, or says where it is: {id, queue, status, state, due_at, attempts, max_attempts, last_error,
-- finished_at, waits: [{kind, until, text}], ahead, expected_at, tick, lease_expires_at, reconcile, history}; null where there is no such
-- row. p_configured: the providers that are configured; null where that is not known. expected_at is the earliest, given a tick then.
create function punctual.explain_row(p_queue text, p_id text, p_configured text[] default null, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  q punctual.queues := punctual.read_queue(p_queue);
  v_partition punctual.partitions;
  v_account punctual.accounts;
  v_pace punctual.pace;
  v_provider punctual.providers;
  v_row jsonb;
  v_state text;
  v_due timestamptz;
  v_waits jsonb := '[]';
  v_ahead jsonb;
  v_opening record;
  v_blocked record;
  v_expected timestamptz;
  v_tick jsonb;
  v_held timestamptz;
  v_operator boolean;
  v_failed boolean;
begin
  if q.source = 'pgmq' then return punctual.explain_message(q, p_id, v_now); end if;
  if not punctual.is_id(q, p_id) then return null; end if;
  execute format('select to_jsonb(t.*) from %I.%I t where t.id = $1::%s', q.table_schema, q.table_name, q.id_type) into v_row using p_id;
  if v_row is null then return null; end if;
  v_state := punctual.state_of_word(q, v_row->>q.status_column);
  if v_state is null then
    raise exception 'row % is %, which is no word of %: it is left alone', p_id, coalesce(quote_ident(v_row->>q.status_column), 'null'), q.name
      using errcode = 'PT409';
  end if;
  v_due := coalesce((v_row->>'next_attempt_at')::timestamptz, (v_row->>q.due_column)::timestamptz);
  if q.account_column is not null then
    select * into v_account from punctual.accounts a where a.id = (v_row->>q.account_column)::uuid;
    select * into v_pace from punctual.pace p where p.queue = q.name and p.account_id = v_account.id;
    select * into v_provider from punctual.providers v where v.name = v_account.provider;
  end if;
  select * into v_partition from punctual.partitions p
   where p.queue = q.name and p.partition = coalesce(case when q.partition_column is null then 'main' else v_row->>q.partition_column end, '');

  if v_state = 'pending' then
    if v_due is null and v_row->>q.waits_column is not null then
      v_waits := v_waits || punctual.wait_of('event', null, format('waits for %s', v_row->>q.waits_column));
    elsif v_due is null or v_due = 'infinity' then
      v_waits := v_waits || punctual.wait_of('never_due', null, format('%s is %s', q.due_column, coalesce(v_due::text, 'null')));
    elsif v_due > v_now then
      v_waits := v_waits || punctual.wait_of(case when v_row->>'next_attempt_at' is null then 'due' else 'retry' end, v_due,
        case when v_row->>'next_attempt_at' is null then 'not due yet' else 'its last attempt failed; it is tried again' end);
    end if;
    if (v_row->>'expires_at')::timestamptz <= v_now then
      v_waits := v_waits || punctual.wait_of('expired', null, 'expired: it is not tried any more');
    end if;
    if v_partition.queue is null then
      v_waits := v_waits || punctual.wait_of('partition_paused', null, format('the partition "%s" is unknown', v_row->>q.partition_column));
    end if;
    if q.paused_at <= v_now then
      v_waits := v_waits || punctual.wait_of('queue_paused', null, 'the queue is paused' || coalesce(': ' || q.paused_reason, ''));
    end if;
    if v_partition.paused_at <= v_now then
      v_waits := v_waits || punctual.wait_of('partition_paused', null, 'the partition is paused' || coalesce(': ' || v_partition.paused_reason, ''));
    end if;
    if v_partition.max_running is not null then
      select * into v_blocked from punctual.partition_opening(q, v_partition, v_now);
      v_held := v_blocked.opens_at;
      if v_blocked.most <= 0 or v_blocked.head_id <> p_id then
        v_waits := v_waits || punctual.wait_of('blocked', v_blocked.opens_at,
          coalesce(v_blocked.reason, format('row %s of the partition was begun, and is finished first', v_blocked.head_id)));
      end if;
    end if;
    if q.account_column is not null and v_account.id is null then
      v_waits := v_waits || punctual.wait_of('no_account', null, 'it has no account');
    elsif v_account.id is not null then
      if v_account.provider <> all (p_configured) then
        v_waits := v_waits || punctual.wait_of('provider_not_configured', null, format('the provider %s is not configured', v_account.provider));
      end if;
      if v_provider.paused_until > v_now then
        v_waits := v_waits || punctual.wait_of('provider_resting', v_provider.paused_until,
          format('the provider %s %s: %s', v_account.provider,
                 case when v_provider.refusals > 0 then 'refuses what we ask, and a person has to act' else 'failed and rests' end, v_provider.last_error));
      end if;
      if v_pace.queue is null then v_pace := jsonb_populate_record(null::punctual.pace, '{"recent": [], "used": 0}'); end if;
      select * into v_opening from punctual.account_opening(v_account, v_pace, v_now);
      if v_pace.retry_at > v_now and v_row->>'claimed_at' is not null then
        -- The account waits for the row that was claimed last, see end_hold().
        execute punctual.render_sql(q, 'select not exists (select from %I.%I t where t.{status} = %L and t.%I = $1 and t.claimed_at > $2)',
                       q.table_schema, q.table_name, q.pending_word, q.account_column)
        into v_failed using v_account.id, (v_row->>'claimed_at')::timestamptz;
      end if;
      v_waits := v_waits || coalesce((select jsonb_agg(case when w->>'until' = 'infinity' then jsonb_set(w, '{until}', 'null')
                                                            when v_failed and w->>'kind' = 'account_retry'
                                                              then w || '{"text": "it failed and is tried again"}' else w end)
                                        from jsonb_array_elements(v_opening.waits) w), '[]');
      if q.pair_column is not null then
        v_held := (v_pace.held -> (v_row->>q.pair_column) ->> 'until')::timestamptz;
        if v_held > v_now then
          v_waits := v_waits || punctual.wait_of('pair', v_held,
            'the provider holds back messages to this addressee: ' || (v_pace.held -> (v_row->>q.pair_column) ->> 'said'));
        end if;
      end if;
      v_ahead := punctual.list_ahead(q, v_row, v_pace.held, v_now);
      if (v_ahead->>'count')::integer > 0 then
        v_waits := v_waits || punctual.wait_of('behind', null, format('%s of its account before it', v_ahead->>'count'));
      end if;
      if not exists (select from jsonb_array_elements(v_waits) w where w->>'until' is null and w->>'kind' <> 'behind') then
        v_expected := punctual.expect_claim_at(v_account, v_pace, (v_ahead->>'count')::integer,
          greatest(v_due, v_held, v_provider.paused_until), v_now);
      end if;
    elsif not v_waits @> '[{"until": null}]' then
      v_expected := greatest(v_due, v_now, v_held);
    end if;
    if v_waits = '[]' then
      v_waits := punctual.wait_of('tick', null, case when v_partition.last_tick_at is null then 'no tick has come yet' else 'the next tick takes it' end);
    end if;
  elsif v_state = 'running' then
    select jsonb_build_object('id', t.id, 'clock', t.clock, 'started_at', t.started_at, 'deadline_at', t.deadline_at) into v_tick
      from punctual.tick_of_claim(q.name, (v_row->>'claim_id')::uuid) t where t.id is not null;
    v_waits := punctual.wait_of('lease', (v_row->>'lease_expires_at')::timestamptz, 'a tick is at work on it, or died; its lease ends then');
  elsif v_state = 'unknown' then
    v_operator := v_row->>'reconcile_at' is null or coalesce((v_row->'reconcile'->>'waits_for_operator')::boolean, false)
               -- Nobody has come to ask: its provider is not configured, or its queue does not know how.
               or (v_row->>'reconcile_at')::timestamptz < v_now - interval '1 hour';
    v_waits := case when v_operator
      then punctual.wait_of('operator', null, format('it may have been %s: an operator has to decide', q.done_word))
      else punctual.wait_of('reconcile', (v_row->>'reconcile_at')::timestamptz, format('it may have been %s, or not: it is checked', q.done_word)) end;
  end if;

  return jsonb_build_object(
    'id', p_id, 'queue', q.name, 'status', v_row->>q.status_column, 'state', v_state, 'due_at', case when v_due < 'infinity' and v_due > '-infinity' then v_due end,
    'attempts', (v_row->>'attempts')::integer, 'max_attempts', coalesce((v_row->>'max_attempts')::integer, q.max_attempts),
    'last_error', v_row->>'last_error', 'finished_at', v_row->>'finished_at',
    'waits', v_waits, 'ahead', v_ahead, 'expected_at', v_expected, 'tick', v_tick, 'lease_expires_at', v_row->>'lease_expires_at',
    'reconcile', case when v_state = 'unknown' then jsonb_build_object('looks', coalesce((v_row->'reconcile'->>'looks')::integer, 0),
      'looked_at', v_row->'reconcile'->>'looked_at', 'next_look_at', v_row->>'reconcile_at', 'found', v_row->'reconcile'->>'found',
      'waits_for_operator', v_operator) end,
    'history', (select coalesce(jsonb_agg(jsonb_build_object('at', h.at, 'event', h.event, 'text', h.text) order by h.id), '[]')
                  from (select * from punctual.history x where x.queue = q.name and x.row_id = p_id order by x.id desc limit 200) h));
end
$$;
