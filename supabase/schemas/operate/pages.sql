-- Returns SQL conditions on the rows after the key p_cursor; null for all rows. p_exprs, p_types: the expressions of the order and their types.
-- p_desc: descending. A row meets at most one condition. Each is an index condition if an index has that order. Null is the greatest value, as
-- Postgres sorts it. Only the first of p_exprs may be null.
create function punctual.after_cursor(p_exprs text[], p_types text[], p_desc boolean, p_cursor jsonb) returns text[]
language plpgsql immutable set search_path = '' as $$
declare
  v_operator text := case when p_desc then '<' else '>' end;
  v_values text[] := array(select format('%L::%s', p_cursor->>(n - 1), p_types[n]) from generate_subscripts(p_exprs, 1) n);
begin
  if p_cursor is null then return '{true}'; end if;
  if p_cursor->>0 is not null then
    return array[format('(%s) %s (%s)', array_to_string(p_exprs, ', '), v_operator, array_to_string(v_values, ', '))]
      || case when p_desc then '{}' else array[format('(%s) is null', p_exprs[1])] end;
  end if;
  return array[format('(%s) is null and (%s) %s (%s)', p_exprs[1], array_to_string(p_exprs[2:], ', '), v_operator, array_to_string(v_values[2:], ', '))]
    || case when p_desc then array[format('(%s) is not null', p_exprs[1])] else '{}' end;
end
$$;

-- Returns a page of a list: {items, next}. p_rows: [{item, key}] in order, one more than p_limit if there are more. next: the key of the last item,
-- for p_cursor of the next page; null at the end.
create function punctual.page_of(p_rows jsonb, p_limit integer) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object(
    'items', (select coalesce(jsonb_agg(r->'item' order by n), '[]') from jsonb_array_elements(p_rows) with ordinality e (r, n) where n <= p_limit),
    'next', case when jsonb_array_length(p_rows) > p_limit then p_rows->(p_limit - 1)->'key' end)
$$;
