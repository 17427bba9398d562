-- Returns a page of acts, the latest first: [{id, at, by, act, queue, target, details, note}]. p_queue, p_by, p_target: only
-- acts on this queue, by this person, on this row, account or other target.
create function punctual.list_audit(
  p_queue text default null, p_by text default null, p_limit integer default 50, p_cursor jsonb default null,
  p_target text default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' as $$
declare
  v_rows jsonb;
begin
  -- A condition that is left out lets Postgres choose the index of the others.
  execute format($sql$
    select coalesce(jsonb_agg(jsonb_build_object('item', to_jsonb(a) || jsonb_build_object('id', a.id::text), 'key', jsonb_build_array(a.id)) order by a.id desc), '[]')
      from (select * from punctual.audit x where %s and %s and %s and %s order by x.id desc limit $1) a
    $sql$,
    case when p_queue is null then 'true' else 'x.queue = $2' end,
    case when p_by is null then 'true' else 'x.by = $3' end,
    case when p_cursor is null then 'true' else 'x.id < $4' end,
    case when p_target is null then 'true' else 'x.target = $5' end)
  into v_rows using p_limit + 1, p_queue, p_by, (p_cursor->>0)::bigint, p_target;
  return punctual.page_of(v_rows, p_limit);
end
$$;
