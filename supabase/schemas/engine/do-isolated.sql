-- Runs the statement p_sql ($1: the items, $2: p_now) for many rows at once. If it raises, runs it for each item alone, so one bad row cannot block
-- the others. p_items: [{id, …}]. p_failure: the text for the history of a row that fails; the error follows it. Returns the ids of the other items.
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

-- Returns the items of an array in arrays of up to 50.
create function punctual.by_fifty(p_items jsonb) returns setof jsonb
language plpgsql immutable set search_path = '' as $$
begin
  return query select jsonb_agg(i order by n) from jsonb_array_elements(p_items) with ordinality e (i, n) group by (n - 1) / 50 order by (n - 1) / 50;
end
$$;
