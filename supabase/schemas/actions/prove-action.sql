-- Says what the evidence shows of rows that an action wrote: {rows, verdicts: {verdict: count}, next}, for up to p_limit rows after the id p_cursor.
-- The verdicts are those of judge_sent_once; rows of an at-least-once queue have none. next: the cursor of the next call; null at the end. Raises PT404.
create function punctual.prove_action(p_id bigint, p_limit integer default 500, p_cursor jsonb default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  a punctual.actions;
  q punctual.queues;
  v_proved jsonb;
begin
  select * into a from punctual.actions x where x.id = p_id;
  if a.id is null then raise exception 'there is no action %', p_id using errcode = 'PT404'; end if;
  q := punctual.read_queue(a.queue);
  if q.delivery <> 'at-most-once' then return '{"rows": 0, "verdicts": {}, "next": null}'; end if;
  execute punctual.render_sql(q, $sql$
    with page as materialized (
      select r.row_id, r.result from punctual.action_rows r where r.action_id = $1 and r.row_id > $2 order by r.row_id limit $3),
    judged as (
      select punctual.judge_sent_once($4, p.row_id, to_jsonb(t.*), punctual.state_of_word($4, t.{status}::text))->>'verdict' as verdict
        from page p cross join lateral (select x.* from {table} x where x.id = p.row_id::{id_type} limit 1) t
       where p.result = 'written')
    select jsonb_build_object('rows', (select count(*) from judged),
             'verdicts', (select coalesce(jsonb_object_agg(v.verdict, v.count), '{}') from (select j.verdict, count(*) as count from judged j group by 1) v),
             'next', (select case when count(*) = $3 then jsonb_build_array(max(p.row_id)) end from page p))
    $sql$) into v_proved using a.id, coalesce(p_cursor->>0, ''), p_limit, q;
  return v_proved;
end
$$;
