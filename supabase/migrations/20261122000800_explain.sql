-- Why a row has not gone out, from the same predicates that claims obey: account_opening() and what stands in pace, queues, providers.

create function punctual.wait_of(p_kind text, p_until timestamptz, p_text text) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_array(jsonb_build_object('kind', p_kind, 'until', case when p_until < 'infinity' then p_until end, 'text', p_text))
$$;

-- Of a queue or a partition that somebody has paused.
create function punctual.list_pauses(q punctual.queues, p_partition punctual.partitions, p_now timestamptz) returns jsonb
language sql immutable set search_path = '' as $$
  select case when q.paused_at <= p_now
              then punctual.wait_of('queue_paused', null, 'the queue is paused' || coalesce(': ' || q.paused_reason, '')) else '[]' end
      || case when p_partition.paused_at <= p_now
              then punctual.wait_of('partition_paused', null, 'the partition is paused' || coalesce(': ' || p_partition.paused_reason, '')) else '[]' end
$$;

-- Of what nothing stands in the way of.
create function punctual.wait_for_tick(p_partition punctual.partitions) returns jsonb
language sql immutable set search_path = '' as $$
  select punctual.wait_of('tick', null, case when p_partition.last_tick_at is null then 'no tick has come yet' else 'the next tick takes it' end)
$$;

-- Which tick has a running row, and until when: {waits, tick}. p_row has its claim_id and lease_expires_at.
create function punctual.explain_running(q punctual.queues, p_row jsonb) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'waits', punctual.wait_of('lease', (p_row->>'lease_expires_at')::timestamptz, 'a tick is at work on it, or died; its lease ends then'),
    'tick', (select jsonb_build_object('id', t.id, 'scheduler', t.scheduler, 'started_at', t.started_at, 'deadline_at', t.deadline_at)
               from punctual.tick_of_claim(q.name, (p_row->>'claim_id')::uuid) t where t.id is not null))
$$;

-- What became of a row, the latest 200: [{at, event, text}], the oldest first.
create function punctual.list_history(q punctual.queues, p_id text) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('at', h.at, 'event', h.event, 'text', h.text) order by h.id), '[]')
    from (select * from punctual.history x where x.queue = q.name and x.row_id = p_id order by x.id desc limit 200) h
$$;

-- SQL on t: its addressee is not held back by the provider. p_held: the account's pace.held; p_now: the instant; both as SQL.
create function punctual.pair_condition(q punctual.queues, p_held text, p_now text) returns text
language sql stable set search_path = '' as $$
  select case when q.pair_column is null then 'true'
              else format('coalesce((%s -> t.%I ->> ''until'')::timestamptz <= %s, true)', p_held, q.pair_column, p_now) end
$$;

-- The rows of its account that go before a pending row: {count, ids}, counted to 1,000, the first ten named.
create function punctual.list_ahead(q punctual.queues, p_row jsonb, p_held jsonb, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_ahead jsonb;
begin
  -- By the time this one is due: what is more urgent, or as urgent and due before.
  execute punctual.render_sql(q, $sql$
    select jsonb_build_object('count', count(*), 'ids', coalesce(jsonb_agg(a.id::text order by a.priority, a.due, a.id) filter (where a.n <= 10), '[]'))
      from (select o.*, row_number() over (order by o.priority, o.due, o.id) as n
              from generate_series(0, $1) punctual_level cross join lateral (
                select t.id, t.priority, {due_at} as due from {table} t
                 where t.{status} = {pending} and t.{account} = $2 and t.priority = punctual_level and t.id <> $3::{id_type}
                   and (t.expires_at is null or t.expires_at > $5)
                   and case when punctual_level = $1 then ({due_at}, t.id) < ($4, $3::{id_type}) else {due_at} <= greatest($4, $5) end
                   -- For the index: no later than that in either case.
                   and {due_at} <= greatest($4, $5)
                   and %s
                 order by {due_at}, t.id limit 1000) o limit 1000) a
    $sql$, punctual.pair_condition(q, '$6', '$5'))
  into v_ahead
  using (p_row->>'priority')::integer, (p_row->>q.account_column)::uuid, p_row->>'id',
        coalesce((p_row->>'next_attempt_at')::timestamptz, (p_row->>q.due_column)::timestamptz), p_now, p_held;
  return v_ahead;
end
$$;

-- When an account that goes on claiming would come to the row with p_ahead rows before it, at the earliest: each step is a claim as the claim
-- itself would be judged. Null when never, as things stand, or when it is more than 500 claims away.
create function punctual.expect_claim_at(
  p_account punctual.accounts, p_pace punctual.pace, p_ahead integer, p_from timestamptz, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_at timestamptz := p_now;
  v_open timestamptz;
  v_day record;
begin
  if p_ahead > 500 then return null; end if;
  for n in 0..p_ahead loop
    if n = p_ahead then v_at := greatest(v_at, p_from); end if;
    loop
      select o.open_at into v_open from punctual.account_opening(p_account, p_pace, v_at) o;
      if v_open = 'infinity' then return null; end if;
      exit when v_open <= v_at;
      v_at := v_open;
    end loop;
    select * into v_day from punctual.used_of_day(p_pace.used, p_pace.used_until, p_account.time_zone, v_at);
    p_pace.used := v_day.used + 1;
    p_pace.used_until := v_day.until;
    p_pace.recent := p_pace.recent || v_at;
    p_pace.retry_at := null;
    p_pace.busy_until := null;
  end loop;
  return v_at;
end
$$;

-- What a pending row waits for in time: [{kind, until, text}].
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

-- What keeps a pending row where it is besides its account: the queue, its partition, and rows that run before it there.
create function punctual.list_partition_waits(q punctual.queues, p_partition punctual.partitions, p_row jsonb, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_opening record := punctual.partition_opening(q, p_partition, p_now);
begin
  return case when p_partition.queue is null
         then punctual.wait_of('partition_paused', null, format('the partition "%s" is unknown', p_row->>q.partition_column)) else '[]' end
    || punctual.list_pauses(q, p_partition, p_now)
    || case when v_opening.most <= 0 or v_opening.head_id <> p_row->>'id' then punctual.wait_of('blocked', v_opening.opens_at,
              coalesce(v_opening.reason, format('row %s of the partition was begun, and is finished first', v_opening.head_id))) else '[]' end;
end
$$;

-- What keeps a pending row's account from claiming it. p_configured: the providers that are configured; null where that is not known.
create function punctual.list_account_waits(
  q punctual.queues, p_account punctual.accounts, p_pace punctual.pace, p_row jsonb, p_configured text[], p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_provider punctual.providers;
  v_waits jsonb := '[]';
  -- The account waits for the row that was claimed last: see end_hold.
  v_is_held_by_row boolean := coalesce(p_pace.retry_at > p_now, false) and punctual.holds_account(q, p_row);
  v_held jsonb := p_pace.held -> (p_row->>q.pair_column);
begin
  if p_account.id is null then return punctual.wait_of('no_account', null, 'it has no account'); end if;
  if p_account.provider <> all (p_configured) then
    v_waits := punctual.wait_of('provider_not_configured', null, format('the provider %s is not configured', p_account.provider));
  end if;
  select * into v_provider from punctual.providers v where v.name = p_account.provider;
  if v_provider.paused_until > p_now then
    v_waits := v_waits || punctual.wait_of('provider_resting', v_provider.paused_until,
      format('the provider %s %s: %s', p_account.provider,
             case when v_provider.refusals > 0 then 'refuses what we ask, and a person has to act' else 'failed and rests' end, v_provider.last_error));
  end if;
  v_waits := v_waits || coalesce((
    select jsonb_agg(case when w->>'until' = 'infinity' then jsonb_set(w, '{until}', 'null')
                          when v_is_held_by_row and w->>'kind' = 'account_retry' then w || '{"text": "it failed and is tried again"}' else w end)
      from punctual.account_opening(p_account, p_pace, p_now) o cross join lateral jsonb_array_elements(o.waits) w), '[]');
  if (v_held->>'until')::timestamptz > p_now then
    v_waits := v_waits || punctual.wait_of('pair', (v_held->>'until')::timestamptz,
      'the provider holds back messages to this addressee: ' || (v_held->>'said'));
  end if;
  return v_waits;
end
$$;

-- Everything that stands in a pending row's way: {waits, ahead, expected_at}.
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
  if v_account.id is not null then v_ahead := punctual.list_ahead(q, p_row, v_pace.held, p_now); end if;
  -- At the earliest: whatever has an end is over by then.
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

-- How far the checks of an unknown row are, for people.
create function punctual.describe_reconcile(p_row jsonb, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('checks', coalesce((p_row->'reconcile'->>'checks')::integer, 0), 'checked_at', p_row->'reconcile'->>'checked_at',
    'next_check_at', p_row->>'reconcile_at', 'found', p_row->'reconcile'->>'found',
    'waits_for_operator', p_row->>'reconcile_at' is null or coalesce((p_row->'reconcile'->>'waits_for_operator')::boolean, false)
      -- Nobody has come to ask: its provider is not configured, or its queue does not know how.
      or (p_row->>'reconcile_at')::timestamptz < p_now - interval '1 hour')
$$;

-- What decides on an unknown row, and when: {waits, reconcile}.
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

-- Everything that stands in a row's way, or says where it is: {id, queue, status, state, due_at, attempts, max_attempts, last_error,
-- finished_at, waits: [{kind, until, text}], ahead, expected_at, tick, lease_expires_at, reconcile, history}; null where there is no such
-- row. p_configured: the providers that are configured; null where that is not known. expected_at is the earliest, given a tick then.
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
    raise exception 'row % is %, which is no word of %: it is left alone', p_id, coalesce(quote_ident(v_row->>q.status_column), 'null'), q.name
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

-- SQL on t, an unknown row: it waits for an operator. $2 is now.
create function punctual.operator_condition(q punctual.queues) returns text
language sql stable set search_path = '' as $$
  select case when q.delivery = 'at-most-once' then 't.reconcile_at is null or coalesce((t.reconcile->>''waits_for_operator'')::boolean, false) '
                                                    'or t.reconcile_at < $2 - interval ''1 hour'''
              else 'true' end
$$;

-- A page of the rows in one state (or the queue's word for it): unknown ones that wait for an operator first, then the oldest first (settled ones:
-- the latest first).
create function punctual.list_rows(
  p_queue text, p_state text, p_limit integer default 50, p_cursor jsonb default null, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  q punctual.queues := punctual.read_queue(p_queue);
  v_state text := punctual.state_of(q, p_state);
  v_word text := punctual.word_of_state(q, v_state);
  v_exprs text[];
  v_types text[] := '{timestamptz}';
  v_desc boolean := v_state in ('done', 'dead', 'cancelled');
  v_order text;
  v_rows jsonb;
begin
  if v_word is null then
    raise exception '%', case when coalesce(p_state, '') = '' then 'no status is named' else format('there is no status "%s"', p_state) end
      using errcode = '22023', hint = format('Give one of %s.', array_to_string(punctual.list_words(q), ', '));
  end if;
  if q.source = 'pgmq' then return punctual.list_messages(q, v_state, p_limit, p_cursor, coalesce(p_now, clock_timestamp())); end if;
  -- Each in the order of an index of the queue's, but pending rows of several priorities or partitions, which are sorted.
  v_exprs := array[case v_state when 'pending' then format('coalesce(t.next_attempt_at, t.%I)', q.due_column) when 'running' then 't.lease_expires_at'
                                else 't.finished_at' end];
  if v_state = 'unknown' and q.delivery = 'at-most-once' then
    v_exprs := array[format('not (%s)', punctual.operator_condition(q)), 'coalesce(t.finished_at, ''infinity'')'];
    v_types := '{boolean, timestamptz}';
  end if;
  v_exprs := v_exprs || 't.id'::text;
  v_types := v_types || q.id_type;
  select string_agg(format('(%s)%s', e, case when v_desc then ' desc' end), ', ' order by n) into v_order
    from unnest(v_exprs) with ordinality k (e, n);
  execute punctual.render_sql(q, $sql$
    select jsonb_agg(jsonb_build_object('item', r.listed, 'key', r.key) order by r.place)
      from (select jsonb_build_object('id', t.id::text, 'status', t.{status}, 'due_at', {due_at},
                     'attempts', t.attempts, 'last_error', t.last_error, 'finished_at', t.finished_at, 'account', %s, 'reconcile', %s,
                     'row', to_jsonb(t.*) - $3) as listed, row_number() over (order by %s) as place, jsonb_build_array(%s) as key
              from (%s) t order by place limit $1) r
    $sql$,
    case when q.account_column is null then 'null::jsonb' else format(
      '(select jsonb_build_object(''id'', a.id, ''name'', a.name) from punctual.accounts a where a.id = t.%I)', q.account_column) end,
    case when v_state = 'unknown' and q.delivery = 'at-most-once' then 'punctual.describe_reconcile(to_jsonb(t.*), $2)' else 'null::jsonb' end,
    v_order,
    (select string_agg(format('(%s)::text', e), ', ' order by n) from unnest(v_exprs) with ordinality k (e, n)),
    (select string_agg(punctual.render_sql(q, '(select t.* from {table} t where t.{status} = %L and %s and %s order by %s limit $1)', v_word,
              case when v_state = 'pending' then punctual.any_level_condition(q) else 'true' end, c, v_order), ' union all ')
       from unnest(punctual.after_cursor(v_exprs, v_types, v_desc, p_cursor)) c))
  into v_rows using p_limit + 1, coalesce(p_now, clock_timestamp()), q.secret_columns;
  return punctual.page_of(v_rows, p_limit);
end
$$;

select punctual.close_to_public();
select punctual.note_migration('20261122000800', 'explain');
