-- Does something (SQL; $1: the items, $2: p_now) to many rows at once; where that raises, to each alone, so that one that cannot be done does
-- not keep the others. p_items: [{id, …}]. p_failure: what then stands in the history of a row. Answers the ids of those that were done.
create function punctual.do_isolated(q punctual.queues, p_sql text, p_items jsonb, p_failure text, p_now timestamptz) returns text[]
language plpgsql set search_path = '' as $$
declare
  v_item jsonb;
  v_done text[] := '{}';
begin
  begin
    execute p_sql using p_items, p_now;
    return array(select i->>'id' from jsonb_array_elements(p_items) with ordinality e (i, n) order by n);
  exception when others then
    if jsonb_array_length(p_items) = 1 then
      perform punctual.note_error(q, p_items->0->>'id', format('%s: %s', p_failure, sqlerrm), p_now);
      return '{}';
    end if;
    for v_item in select i from jsonb_array_elements(p_items) with ordinality e (i, n) order by n loop
      begin
        execute p_sql using jsonb_build_array(v_item), p_now;
        v_done := v_done || (v_item->>'id');
      exception when others then
        perform punctual.note_error(q, v_item->>'id', format('%s: %s', p_failure, sqlerrm), p_now);
      end;
    end loop;
    return v_done;
  end;
end
$$;

-- The items of an array, fifty at a time.
create function punctual.by_fifty(p_items jsonb) returns setof jsonb
language plpgsql immutable set search_path = '' as $$
begin
  return query select jsonb_agg(i order by n) from jsonb_array_elements(p_items) with ordinality e (i, n) group by (n - 1) / 50 order by (n - 1) / 50;
end
$$;
