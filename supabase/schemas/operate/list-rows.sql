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
  v_word text;
  v_exprs text[];
  v_types text[] := '{timestamptz}';
  v_desc boolean := v_state in ('done', 'dead', 'cancelled');
  v_order text;
  v_rows jsonb;
begin
  v_word := case v_state when 'pending' then q.pending_word when 'running' then q.running_word when 'done' then q.done_word
                         when 'dead' then q.dead_word when 'unknown' then q.unknown_word when 'cancelled' then q.cancelled_word end;
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
      from (select jsonb_build_object('id', t.id::text, 'status', t.{status}, 'due_at', coalesce(t.next_attempt_at, t.%1$I),
                     'attempts', t.attempts, 'last_error', t.last_error, 'finished_at', t.finished_at, 'account', %2$s, 'reconcile', %3$s,
                     'row', to_jsonb(t.*) - %5$L::text[]) as listed, row_number() over (order by %4$s) as place,
                   %7$s as key
              from (%6$s) t order by %4$s limit $1) r
    $sql$,
    q.due_column,
    case when q.account_column is null then 'null::jsonb' else format(
      '(select jsonb_build_object(''id'', a.id, ''name'', a.name) from punctual.accounts a where a.id = t.%I)', q.account_column) end,
    case when v_state = 'unknown' and q.delivery = 'at-most-once' then
      'jsonb_build_object(''looks'', coalesce((t.reconcile->>''looks'')::integer, 0), ''looked_at'', t.reconcile->>''looked_at'', '
      '''next_look_at'', t.reconcile_at, ''found'', t.reconcile->>''found'', ''waits_for_operator'', '
      || punctual.operator_condition(q) || ')' else 'null::jsonb' end,
    v_order, q.secret_columns::text,
    (select string_agg(format('(select t.* from %I.%I t where t.%I = %L and %s and %s order by %s limit $1)', q.table_schema, q.table_name,
              q.status_column, v_word, case when v_state = 'pending' then punctual.any_level_condition(q) else 'true' end, c, v_order), ' union all ')
       from unnest(punctual.after_cursor(v_exprs, v_types, v_desc, p_cursor)) c),
    (select format('jsonb_build_array(%s)', string_agg(format('(%s)::text', e), ', ' order by n)) from unnest(v_exprs) with ordinality k (e, n)))
  into v_rows using p_limit + 1, coalesce(p_now, clock_timestamp());
  return punctual.page_of(v_rows, p_limit);
end
$$;
