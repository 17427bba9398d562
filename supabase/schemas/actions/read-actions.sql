-- Returns an action without its rows: {id, queue, action, arguments, filter, by, note, state, reason, total, written, skipped, created_at, finished_at}.
create function punctual.describe_action(a punctual.actions) returns jsonb
language sql immutable set search_path = '' as $$
  select to_jsonb(a) - '{key, cursor, actor}'::text[] || jsonb_build_object('id', a.id::text, 'by', a.actor)
$$;

-- Returns an action with what became of its rows: {…, now: {state: count} of the rows that it wrote, skips: [{reason, count}]}; null if there is none.
-- Rows that were deleted since are not counted.
create function punctual.read_action(p_id bigint) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  a punctual.actions;
  q punctual.queues;
  v_now jsonb := '{}';
begin
  select * into a from punctual.actions x where x.id = p_id;
  if a.id is null then return null; end if;
  q := punctual.read_queue(a.queue);
  if q.source = 'table' then
    execute punctual.render_sql(q, $sql$
      select coalesce(jsonb_object_agg(punctual.state_of_word($2, c.word), c.count), '{}')
        from (select t.{status}::text as word, count(*) as count
                from punctual.action_rows r cross join lateral (select x.{status} from {table} x where x.id = r.row_id::{id_type} limit 1) t
               where r.action_id = $1 and r.result = 'written' group by 1) c
      $sql$) into v_now using a.id, q;
  end if;
  return punctual.describe_action(a) || jsonb_build_object('now', v_now, 'skips', (
    select coalesce(jsonb_agg(jsonb_build_object('reason', s.result, 'count', s.count) order by s.count desc, s.result), '[]')
      from (select r.result, count(*) as count from punctual.action_rows r
             where r.action_id = a.id and r.result <> 'written' group by 1 order by 2 desc limit 20) s));
end
$$;

-- Returns a page of the actions, the latest first. p_queue: null for those of all queues.
create function punctual.list_actions(p_queue text default null, p_limit integer default 50, p_cursor jsonb default null) returns jsonb
language sql stable set search_path = '' set statement_timeout = '4s' as $$
  select punctual.page_of(coalesce(jsonb_agg(jsonb_build_object('item', punctual.describe_action(a), 'key', jsonb_build_array(a.id)) order by a.id desc), '[]'), p_limit)
    from (select * from punctual.actions x
           where (p_queue is null or x.queue = p_queue) and (p_cursor is null or x.id < (p_cursor->>0)::bigint)
           order by x.id desc limit p_limit + 1) a
$$;
