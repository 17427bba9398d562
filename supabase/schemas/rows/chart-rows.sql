-- Returns how many rows that match a filter ended in each of p_bars equal parts of the time from p_from to p_to, by state: {bars: [{from, to, done, dead,
-- unknown, cancelled}], more}. p_filter: see filter_condition; its own times of the end are left out. Null if it names no settled state, and for
-- messages of pgmq. Reads 120,000 entries of an index at most, or 6,000 rows if the filter names more than states; more: there may be more rows than
-- it read. Raises as list_rows does.
create function punctual.chart_rows(
  p_queue text, p_filter jsonb, p_from timestamptz, p_to timestamptz, p_bars integer default 12, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
declare
  q punctual.queues := punctual.read_queue(p_queue);
  v_filter jsonb := coalesce(p_filter, '{}') - '{finished_from,finished_to}'::text[];
  v_condition text;
  v_states text[];
  v_limit integer;
  v_counts text;
  v_chart jsonb;
begin
  if q.source = 'pgmq' or p_from >= p_to then return null; end if;
  v_condition := punctual.filter_condition(q, v_filter, coalesce(p_now, clock_timestamp()));
  v_states := array(select s from unnest(punctual.filter_states(q, v_filter)) s where s in ('done', 'dead', 'unknown', 'cancelled') order by s);
  if v_states = '{}' then return null; end if;
  v_limit := case when v_condition = 'true' then 120000 else 6000 end / p_bars / cardinality(v_states);
  -- Without a condition the index has all that is needed.
  select string_agg(format(
           '(with scanned as %s (select %s from %I.%I t where t.%I = %L and t.finished_at >= b.start and t.finished_at < b.stop limit %s) '
           'select %L::text as state, count(*) filter (where %s) as rows, count(*) = %s as more from scanned t)',
           case when v_condition = 'true' then 'not materialized' else 'materialized' end, case when v_condition = 'true' then 'null' else 't.*' end,
           q.table_schema, q.table_name, q.status_column, punctual.word_of_state(q, s), v_limit, s, v_condition, v_limit), ' union all ')
    into v_counts from unnest(v_states) s;
  execute format($sql$
    select jsonb_build_object('bars', jsonb_agg(x.bar order by x.n), 'more', bool_or(x.more))
      from (select b.n, bool_or(c.more) as more, jsonb_build_object('from', b.start, 'to', b.stop) || jsonb_object_agg(c.state, c.rows) as bar
              from (select n, $1 + (n - 1) * ($2 - $1) / $3 as start, $1 + n * ($2 - $1) / $3 as stop from generate_series(1, $3) n) b
             cross join lateral (%s) c group by b.n, b.start, b.stop) x
    $sql$, v_counts) into v_chart using p_from, p_to, p_bars;
  return v_chart;
end
$$;
