-- Rows are read in three segments: running (the lease that ends first), pending (the earliest due first), and settled rows, unknown ones among them
-- (the latest finished first). An index has each of these orders. A filter is evaluated on the rows in this order and needs no index of its own, so a
-- call reads a bounded number of rows of any table, and the next call continues at its cursor.

-- Returns where the rows of a segment are read from: p_parents, SQL of rows for each of which an index is read, or null, and p_join, SQL of the
-- condition on t that this index serves. p_filter: see filter_condition.
create function punctual.row_source(q punctual.queues, p_segment text, p_filter jsonb, out parents text, out joined text)
language plpgsql stable set search_path = '' as $$
declare
  v_levels text := 'generate_series(0, 3) l (level)';
begin
  joined := 'true';
  if p_filter ? 'ids' then
    parents := format('unnest(%L::%s[]) i (id)', punctual.filtered_ids(q, p_filter), q.id_type);
    joined := 't.id = i.id';
  elsif p_filter ? 'action' then
    -- The rows of another queue's action may have ids of another form.
    parents := format('(select r.row_id::%s as id from punctual.actions a join punctual.action_rows r on r.action_id = a.id where a.id = %L and a.queue = %L offset 0) i',
                      q.id_type, p_filter->>'action', q.name);
    joined := 't.id = i.id';
  elsif p_segment <> 'pending' then
    null;
  elsif q.account_column is not null and p_filter ? 'account' then
    parents := v_levels;
    joined := format('t.priority = l.level and t.%I = %L::uuid', q.account_column, p_filter->>'account');
  elsif q.account_column is not null then
    joined := 't.priority + 0 >= 0';
  elsif q.partition_column is null then
    parents := v_levels;
    joined := 't.priority = l.level';
  elsif p_filter ? 'partition' then
    parents := v_levels;
    joined := format('t.priority = l.level and t.%I = %L', q.partition_column, p_filter->>'partition');
  else
    -- The partitions of pending rows, one index lookup each, whether or not they are registered.
    parents := punctual.render_sql(q, $sql$(
      with recursive p (partition) as (
        (select t.{partition} from {table} t where t.{status} = {pending} and t.{partition} is not null order by t.{partition} limit 1)
        union all
        select (select t.{partition} from {table} t where t.{status} = {pending} and t.{partition} > p.partition order by t.{partition} limit 1)
          from p where p.partition is not null)
      select p.partition from p where p.partition is not null) p cross join $sql$) || v_levels;
    joined := format('t.priority = l.level and t.%I = p.partition', q.partition_column);
  end if;
end
$$;

-- Returns SQL that reads up to p_limit rows of a segment in its order after the key p_cursor, with the further column
-- "punctual.at", the instant of the order. p_states: the
-- states of the segment to read. p_desc: in descending order.
create function punctual.segment_sql(
  q punctual.queues, p_segment text, p_states text[], p_desc boolean, p_filter jsonb, p_cursor jsonb, p_limit integer) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_source record := punctual.row_source(q, p_segment, p_filter);
  v_at text := case p_segment when 'running' then 't.lease_expires_at' when 'pending' then format('coalesce(t.next_attempt_at, t.%I)', q.due_column)
                              else 't.finished_at' end;
  v_desc text := case when p_desc then ' desc' else '' end;
  v_range text := case p_segment when 'pending' then punctual.range_condition(v_at, p_filter->>'due_from', p_filter->>'due_to')
                                 when 'settled' then punctual.range_condition(v_at, p_filter->>'finished_from', p_filter->>'finished_to') else 'true' end;
  v_sources text;
begin
  select string_agg(format(case when v_source.parents is null then '(%s)' else '(select x.* from ' || replace(v_source.parents, '%', '%%') || ' cross join lateral (%s) x)' end,
           format('select t.*, %s as "punctual.at" from %I.%I t where t.%I = %L and %s and %s and %s order by %s%s, t.id%s limit %s',
                  v_at, q.table_schema, q.table_name, q.status_column, punctual.word_of_state(q, s), v_source.joined, v_range, c, v_at, v_desc, v_desc, p_limit)),
         ' union all ')
    into v_sources
    from unnest(p_states) s cross join unnest(punctual.after_cursor(array[v_at, 't.id'], array['timestamptz', q.id_type], p_desc, p_cursor)) c;
  return format('select s.* from (%s) s order by s."punctual.at"%s, s.id%s limit %s', v_sources, v_desc, v_desc, p_limit);
end
$$;

-- Returns the segments to read, in order: [{segment, states, desc}]. p_sort: due or finished, with a leading - for descending order; null for each
-- segment's own order. p_back: the whole order reversed. Raises 22023 if a state has no such order.
create function punctual.list_segments(q punctual.queues, p_filter jsonb, p_sort text, p_back boolean default false) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_states text[] := punctual.filter_states(q, p_filter);
  v_allowed text[] := case when p_sort in ('due', '-due') then '{pending}'::text[] when p_sort in ('finished', '-finished') then '{unknown,dead,cancelled,done}' end;
begin
  if p_sort is not null and v_allowed is null then
    raise exception 'rows cannot be sorted by "%"', p_sort using errcode = '22023', detail = 'sort', hint = 'Give due, -due, finished or -finished.';
  end if;
  if coalesce(p_filter->'status', '[]') = '[]' then
    v_states := array(select x from unnest(v_states) x where v_allowed is null or x = any (v_allowed));
  elsif not v_states <@ v_allowed then
    raise exception 'rows of these states cannot be sorted by %', ltrim(p_sort, '-') using errcode = '22023', detail = 'sort',
      hint = case when v_allowed = '{pending}' then format('Only rows that are %s have a due time.', q.pending_word) else 'Only settled rows have an end.' end;
  end if;
  return (
    select coalesce(jsonb_agg(jsonb_build_object('segment', s.segment, 'states', s.states,
                                                 'desc', p_back <> case when p_sort is null then s.segment = 'settled' else p_sort like '-%' end)
                              order by case when p_back then -s.n else s.n end), '[]')
      from (select g.n, g.segment, array(select x from unnest(g.states) x where x = any (v_states)) as states
              from (values (1, 'running', '{running}'::text[]), (2, 'pending', '{pending}'), (3, 'settled', '{unknown,dead,cancelled,done}')) g (n, segment, states)) s
     where s.states <> '{}');
end
$$;

-- Reads rows that match p_filter, in order, until it has p_wanted of them or has read p_reads rows. p_item: SQL of the jsonb that it returns of a row
-- t. $1 is now. p_cursor: `next` of the call before. items: [{item, key}]. next: the key of the last row that it read; null at the
-- end. p_back: from the cursor towards the beginning. Raises 22P02 for a cursor of other segments.
create function punctual.walk_rows(
  q punctual.queues, p_filter jsonb, p_sort text, p_cursor jsonb, p_item text, p_wanted integer, p_reads integer, p_now timestamptz,
  p_back boolean default false, out items jsonb, out next jsonb)
language plpgsql stable set search_path = '' as $$
declare
  v_condition text := punctual.filter_condition(q, p_filter, p_now);
  v_left integer := p_reads;
  v_segment jsonb;
  v_desc boolean;
  v_key jsonb;
  v_batch integer := p_wanted;
  v_read record;
begin
  items := '[]';
  for v_segment in select s from jsonb_array_elements(punctual.list_segments(q, p_filter, p_sort, p_back)) with ordinality e (s, n) order by n loop
    v_desc := (v_segment->>'desc')::boolean;
    -- A cursor begins with the name of its segment. Those before it are read.
    if p_cursor is not null then
      continue when p_cursor->>0 <> v_segment->>'segment';
      v_key := p_cursor - 0;
      p_cursor := null;
    else
      v_key := null;
    end if;
    loop
      execute format($sql$
        with scanned as materialized (%1$s),
        matching as (select %2$s as item, t."punctual.at" as at, t.id from scanned t where %3$s order by 2%4$s, 3%4$s limit $2)
        select (select count(*) from scanned) as count,
               (select jsonb_build_array(t."punctual.at"::text, t.id::text) from scanned t order by t."punctual.at"%5$s, t.id%5$s limit 1) as last,
               (select jsonb_agg(jsonb_build_object('item', m.item, 'key', jsonb_build_array(%6$L::text, m.at::text, m.id::text)) order by m.at%4$s, m.id%4$s)
                  from matching m) as items
        $sql$,
        punctual.segment_sql(q, v_segment->>'segment', array(select jsonb_array_elements_text(v_segment->'states')), v_desc, p_filter, v_key,
                             least(v_batch, v_left)),
        p_item, v_condition, case when v_desc then ' desc' else '' end, case when v_desc then '' else ' desc' end, v_segment->>'segment')
      into v_read using p_now, p_wanted - jsonb_array_length(items);
      items := items || coalesce(v_read.items, '[]');
      if jsonb_array_length(items) >= p_wanted then
        next := items->-1->'key';
        return;
      end if;
      exit when v_read.count < least(v_batch, v_left);
      v_left := v_left - v_read.count;
      v_key := v_read.last;
      if v_left <= 0 then
        next := jsonb_build_array(v_segment->'segment') || v_key;
        return;
      end if;
      -- Few of these rows match: the next batch is larger.
      v_batch := least(5000, v_batch * 4);
    end loop;
  end loop;
  if p_cursor is not null then raise exception 'there is no segment "%"', p_cursor->>0 using errcode = '22P02'; end if;
end
$$;
