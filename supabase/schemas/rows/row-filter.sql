-- Returns SQL of a table's column. Raises 22023 if the queue's table has no such column.
create function punctual.filtered_column(q punctual.queues, p_column text, p_filter text) returns text
language plpgsql stable set search_path = '' as $$
begin
  if p_column is null or not exists (
    select from pg_catalog.pg_attribute a where a.attrelid = to_regclass(format('%I.%I', q.table_schema, q.table_name)) and a.attname = p_column and a.attnum > 0) then
    raise exception 'the rows of % cannot be filtered by %', q.name, p_filter
      using errcode = '22023', detail = p_filter, hint = 'Its table has no column for it' || coalesce(': add "' || p_column || '"', '') || '.';
  end if;
  return format('t.%I', p_column);
end
$$;

-- Returns the states that a filter names by the state or the queue's word, all by default; of these only unknown if it has `decide`. p_filter: see
-- filter_condition. Raises 22023 for another word.
create function punctual.filter_states(q punctual.queues, p_filter jsonb) returns text[]
language plpgsql stable set search_path = '' as $$
declare
  v_all text[] := case when (p_filter->>'decide')::boolean then '{unknown}' else '{running,pending,unknown,dead,cancelled,done}' end;
  v_word text;
begin
  if coalesce(p_filter->'status', '[]') = '[]' then return v_all; end if;
  for v_word in select w from jsonb_array_elements_text(p_filter->'status') w where punctual.state_of(q, w) is null loop
    raise exception 'there is no status "%"', v_word
      using errcode = '22023', detail = 'status', hint = format('Give one or more of %s.', array_to_string(punctual.list_words(q), ', '));
  end loop;
  return array(select distinct punctual.state_of(q, w) from jsonb_array_elements_text(p_filter->'status') w where punctual.state_of(q, w) = any (v_all));
end
$$;

-- Returns SQL that is true of the rows t of the subquery `scanned` that match a filter, apart from their state. p_filter, all parts optional:
--
-- {status: [words], ids: [ids], account, partition, to, error, error_kind, text, due_from, due_to, created_from, created_to, finished_from, finished_to,
-- tick, action, decide}
--
-- to: the addressee. error: the id of an error group. text: part of the error, or the row's id. …_from: inclusive, …_to: exclusive. tick, action: the
-- id of the tick that claimed the row last, or of an action that took it. decide: true for unknown rows that wait for a person.
--
-- Raises 22023, with the part as detail, if the table has no column for it.
create function punctual.filter_condition(q punctual.queues, p_filter jsonb, p_now timestamptz) returns text
language plpgsql stable set search_path = '' as $$
declare
  f jsonb := coalesce(p_filter, '{}');
  v text[] := '{true}';
  -- A normalization takes 50 µs, so each text has one.
  v_errors text := 't.last_error in (select e.last_error from (select distinct s.last_error from scanned s where s.last_error is not null) e '
                   'where punctual.error_group(e.last_error) %s)';
  v_range record;
begin
  if f ? 'ids' then v := v || format('t.id = any (%L::%s[])', punctual.filtered_ids(q, f), q.id_type); end if;
  if f ? 'action' then
    v := v || format('exists (select from punctual.action_rows r where r.action_id = %L and r.row_id = t.id::text)', f->>'action');
  end if;
  if f ? 'account' then v := v || format('%s = %L::uuid', punctual.filtered_column(q, q.account_column, 'account'), f->>'account'); end if;
  if f ? 'partition' then v := v || format('%s = %L', punctual.filtered_column(q, q.partition_column, 'partition'), f->>'partition'); end if;
  if f ? 'to' then v := v || format('%s = %L', punctual.filtered_column(q, q.pair_column, 'to'), f->>'to'); end if;
  if f ? 'error' then v := v || format(v_errors, format('= %L', f->>'error')); end if;
  if f ? 'error_kind' then
    v := v || format(v_errors, format('in (select g.id from punctual.error_groups g where g.queue = %L and g.kind = %L)', q.name, f->>'error_kind'));
  end if;
  if f ? 'text' then
    v := v || format('(t.id::text = %L or t.last_error ilike %L)', f->>'text', '%' || regexp_replace(f->>'text', '([\\%_])', '\\\1', 'g') || '%');
  end if;
  if f ? 'tick' then v := v || format('right(t.claim_id::text, 28) = %L', right(lower(f->>'tick'), 28)); end if;
  if (f->>'decide')::boolean then
    v := v || format('(%s)', replace(punctual.operator_condition(q), '$2', format('%L::timestamptz', p_now)));
  end if;
  for v_range in
    select * from (values ('due', format('coalesce(t.next_attempt_at, t.%I)', q.due_column)), ('finished', 't.finished_at'), ('created', null)) r (name, expr)
  loop
    if f ? (v_range.name || '_from') or f ? (v_range.name || '_to') then
      v := v || punctual.range_condition(coalesce(v_range.expr, punctual.filtered_column(q, 'created_at', case when f ? 'created_from' then 'created_from' else 'created_to' end)),
                                         f->>(v_range.name || '_from'), f->>(v_range.name || '_to'));
    end if;
  end loop;
  return array_to_string(v, ' and ');
end
$$;

-- Returns a SQL condition: the instant p_expr is in the range. A null end is open.
create function punctual.range_condition(p_expr text, p_from text, p_to text) returns text
language sql immutable set search_path = '' as $$
  select concat_ws(' and ', 'true', case when p_from is not null then format('%s >= %L::timestamptz', p_expr, p_from) end, case when p_to is not null then format('%s < %L::timestamptz', p_expr, p_to) end)
$$;

-- Returns the ids of a filter that can be ids of the queue, each once, as an array's text.
create function punctual.filtered_ids(q punctual.queues, p_filter jsonb) returns text
language sql stable set search_path = '' as $$
  select array(select distinct case q.id_type when 'bigint' then i::bigint::text else i::uuid::text end
                 from jsonb_array_elements_text(p_filter->'ids') i where punctual.is_id(q, i))::text
$$;
