-- Returns a SQL condition on t, an unknown row: it waits for an operator. $2 is now.
create function punctual.operator_condition(q punctual.queues) returns text
language sql stable set search_path = '' as $$
  select case when q.delivery = 'at-most-once' then 't.reconcile_at is null or coalesce((t.reconcile->>''waits_for_operator'')::boolean, false) '
                                                    'or t.reconcile_at < $2 - interval ''1 hour'''
              else 'true' end
$$;

-- Returns a page of the rows in one state, named by the state or the queue's word: the oldest first, settled rows the latest first. Unknown rows
-- that wait for an operator come before the others. p_cursor: `next` of the page before. Raises 22023 for an unknown state.
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
    raise exception '%', case when coalesce(p_state, '') = '' then 'the status is missing' else format('there is no status "%s"', p_state) end
      using errcode = '22023', hint = format('Give one of %s.', array_to_string(punctual.list_words(q), ', '));
  end if;
  if q.source = 'pgmq' then return punctual.list_messages(q, v_state, p_limit, p_cursor, coalesce(p_now, clock_timestamp())); end if;
  -- Each order is that of an index of the queue. Only pending rows of several priorities or partitions are sorted.
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
