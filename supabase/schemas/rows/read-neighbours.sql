-- Returns the place of a row in lists of its queue, [segment, instant]: see segment_sql. Null if there is no such row, or its status is no word of the
-- queue.
create function punctual.place_of_row(q punctual.queues, p_id text) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_place jsonb;
begin
  execute punctual.render_sql(q, $sql$
    select case punctual.state_of($1, t.{status}) when 'running' then jsonb_build_array('running', t.lease_expires_at) when 'pending' then jsonb_build_array('pending', {due_at})
             else case when punctual.state_of($1, t.{status}) is not null then jsonb_build_array('settled', t.finished_at) end end
      from {table} t where t.id = $2::{id_type}
    $sql$)
  into v_place using q, p_id;
  return v_place;
end
$$;

-- Returns the rows before and after a row in the list of the rows that match a filter, in the order of list_rows: {previous, next}, each {id, place} or
-- null. p_place: where the list had the row, [segment, instant]; null for where it is now. A row that has left the list since keeps its neighbours so.
-- Reads 20,000 rows in each direction at most; messages of pgmq have no neighbours. Raises as list_rows does.
create function punctual.read_neighbours(
  p_queue text, p_id text, p_filter jsonb default '{}', p_sort text default null, p_place jsonb default null,
  p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  q punctual.queues := punctual.read_queue(p_queue);
  v_found jsonb := '{}';
  v_cursor jsonb;
  v_walked record;
  v_back boolean;
begin
  if q.source <> 'pgmq' and punctual.is_id(q, p_id) then v_cursor := coalesce(p_place, punctual.place_of_row(q, p_id)) || to_jsonb(p_id); end if;
  if v_cursor is null or not exists (
    select from jsonb_array_elements(punctual.list_segments(q, p_filter, p_sort)) s where s->'segment' = v_cursor->0) then
    return '{"previous": null, "next": null}';
  end if;
  foreach v_back in array '{true,false}'::boolean[] loop
    v_walked := punctual.walk_rows(q, p_filter, p_sort, v_cursor, 'null::jsonb', 2, 20000, coalesce(p_now, clock_timestamp()), v_back);
    v_found := v_found || jsonb_build_object(case when v_back then 'previous' else 'next' end, (
      select jsonb_build_object('id', i->'key'->2, 'place', (i->'key') - 2)
        from jsonb_array_elements(v_walked.items) with ordinality e (i, n)
       -- The row itself may be in another place by now.
       where i->'key'->>2 <> p_id order by n limit 1));
  end loop;
  return v_found;
end
$$;
