-- Returns a SQL condition on t, an unknown row: it waits for an operator. $2 is now.
create function punctual.operator_condition(q punctual.queues) returns text
language sql stable set search_path = '' as $$
  select case when q.delivery = 'at-most-once' then 't.reconcile_at is null or coalesce((t.reconcile->>''waits_for_operator'')::boolean, false) '
                                                    'or t.reconcile_at < $2 - interval ''1 hour'''
              else 'true' end
$$;

-- Returns SQL of a listed row as jsonb, of the row t. $1 is now.
create function punctual.listed_row(q punctual.queues) returns text
language plpgsql stable set search_path = '' as $$
begin
  return punctual.render_sql(q, $sql$
    jsonb_build_object('id', t.id::text, 'status', t.{status}, 'due_at', {due_at}, 'attempts', t.attempts, 'last_error', t.last_error,
      'error_group', punctual.error_group(t.last_error), 'finished_at', t.finished_at, 'account', %s, 'reconcile', %s, 'row', to_jsonb(t.*) - %L::text[])$sql$,
    case when q.account_column is null then 'null::jsonb' else format(
      '(select jsonb_build_object(''id'', a.id, ''name'', a.name) from punctual.accounts a where a.id = t.%I)', q.account_column) end,
    case when q.delivery = 'at-most-once' then punctual.render_sql(q, 'case when t.{status} = {unknown} then punctual.describe_reconcile(to_jsonb(t.*), $1) end')
         else 'null::jsonb' end,
    (q.secret_columns || '{punctual.at}'::text[])::text);
end
$$;

-- Returns a page of the rows that match a filter: see filter_condition, and list_segments for their order. p_cursor: `next` of the page before. A
-- page may have fewer rows than p_limit, or none, and a next page: then few of the 20,000 rows that it read match. Raises 22023 for an invalid filter
-- or sort, PT404 for an unknown queue.
create function punctual.list_rows(
  p_queue text, p_filter jsonb default '{}', p_sort text default null, p_limit integer default 50, p_cursor jsonb default null,
  p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  q punctual.queues := punctual.read_queue(p_queue);
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_walked record;
begin
  if q.source = 'pgmq' then return punctual.list_messages(q, punctual.only_state(q, p_filter), p_limit, p_cursor, v_now); end if;
  v_walked := punctual.walk_rows(q, p_filter, p_sort, p_cursor, punctual.listed_row(q), p_limit + 1, 20000, v_now);
  -- At the end of the reads, or of the rows.
  if jsonb_array_length(v_walked.items) <= p_limit then
    return jsonb_build_object('items', jsonb_path_query_array(v_walked.items, '$[*].item'), 'next', v_walked.next);
  end if;
  return punctual.page_of(v_walked.items, p_limit);
end
$$;

-- Returns the one state that a filter of pgmq's messages names. Raises 22023 for any other filter.
create function punctual.only_state(q punctual.queues, p_filter jsonb) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_states text[] := punctual.filter_states(q, p_filter);
begin
  if cardinality(v_states) <> 1 or p_filter - 'status' <> '{}' then
    raise exception 'messages of pgmq are listed by one status' using errcode = '22023', detail = 'status',
      hint = format('Give one of %s.', array_to_string(punctual.list_words(q), ', '));
  end if;
  return v_states[1];
end
$$;

-- Returns how many rows match a filter: {count, more}. Counts up to 10,000 of them, and reads up to 50,000 rows. more: there may be more. Raises as
-- list_rows does.
create function punctual.count_matching(p_queue text, p_filter jsonb default '{}', p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  q punctual.queues := punctual.read_queue(p_queue);
  v_walked record;
  v_count integer;
begin
  if q.source = 'pgmq' then
    return (select jsonb_build_object('count', s->'count', 'more', s->'approximate') from (select punctual.count_message_states(q)->punctual.only_state(q, p_filter) as s) c);
  end if;
  v_walked := punctual.walk_rows(q, p_filter, null, null, 'null::jsonb', 10001, 50000, coalesce(p_now, clock_timestamp()));
  v_count := jsonb_array_length(v_walked.items);
  return jsonb_build_object('count', least(v_count, 10000), 'more', v_walked.next is not null);
end
$$;
