-- Counts the dead rows of a queue by the group of their error, among the latest 10,000: {group: {rows, accounts}}. accounts: their ids; null in a queue
-- without accounts. more: the queue has more than 10,000 dead rows.
create function punctual.count_dead_by_group(q punctual.queues, out groups jsonb, out more boolean)
language plpgsql stable set search_path = '' as $$
begin
  execute case when q.source = 'pgmq'
    then 'with dead as materialized (select s.last_error, null::uuid as account_id from punctual.set_aside_messages s where s.cancelled_at is null '
         'order by s.set_aside_at desc limit 10001)'
    else punctual.render_sql(q, 'with dead as materialized (select t.last_error, ' || case when q.account_column is null then 'null::uuid' else 't.{account}' end
           || ' as account_id from {table} t where t.{status} = {dead} order by t.finished_at desc limit 10001)') end || $sql$
    -- Rows with one and the same error need one normalization.
    , texts as materialized (
      select d.last_error, punctual.error_group(d.last_error) as id, count(*) as rows, array_agg(distinct d.account_id) as accounts
        from (select * from dead limit 10000) d where d.last_error is not null group by 1)
    select coalesce((select jsonb_object_agg(g.id, jsonb_build_object('rows', g.rows, 'accounts', g.accounts))
                       from (select t.id, sum(t.rows) as rows,
                                    (select jsonb_agg(distinct a) from texts x cross join unnest(x.accounts) a where x.id = t.id and a is not null) as accounts
                               from texts t group by t.id) g), '{}'), (select count(*) > 10000 from dead)
    $sql$ into groups, more;
end
$$;

-- Describes an error group: {id, kind, code, text, example, state, rows_dead, rows_dead_more, events_24h, hours, accounts, first_at, last_at, known_at, known_by,
-- known_note}. p_dead: of count_dead_by_group.
--
-- example         the text of its latest event as it came; null if its events are deleted
-- state           gone: no event in the last 24 hours; otherwise known if a person marked it, and new if not
-- rows_dead       rows that are dead with this error now; rows_dead_more: counted among the latest 10,000 dead rows
-- events_24h      failed attempts, counted to 10,000; hours: in each of the last 24 hours, the oldest first
-- accounts        of these attempts and of the dead rows; null in a queue without accounts
create function punctual.describe_error_group(
  q punctual.queues, g punctual.error_groups, p_last_at timestamptz, p_dead jsonb, p_more boolean, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  with events as materialized (
    select h.at, h.account_id from punctual.history h
     where h.queue = q.name and h.error_group = g.id and h.at > p_now - interval '24 hours' and h.at <= p_now order by h.at desc limit 10000)
  select jsonb_build_object(
    'id', g.id, 'kind', g.kind, 'code', g.code, 'text', g.text,
    'example', (select h.text from punctual.history h where h.queue = q.name and h.error_group = g.id order by h.at desc limit 1),
    'state', case when coalesce(p_last_at <= p_now - interval '24 hours', true) then 'gone' when g.known_at is not null then 'known' else 'new' end,
    'rows_dead', coalesce((p_dead->g.id->>'rows')::integer, 0), 'rows_dead_more', p_more,
    'events_24h', (select count(*) from events),
    'hours', (select jsonb_agg(coalesce(c.count, 0) order by n)
                from generate_series(0, 23) n
                left join (select floor(extract(epoch from e.at - (p_now - interval '24 hours')) / 3600)::integer as hour, count(*) as count from events e group by 1) c
                  on least(c.hour, 23) = n),
    'accounts', case when q.account_column is not null then (
      select count(*) from (select e.account_id::text from events e where e.account_id is not null
                            union select jsonb_array_elements_text(case when jsonb_typeof(p_dead->g.id->'accounts') = 'array' then p_dead->g.id->'accounts' else '[]' end)) a) end,
    'first_at', g.first_at, 'last_at', coalesce(p_last_at, g.first_at), 'known_at', g.known_at, 'known_by', g.known_by, 'known_note', g.known_note)
$$;

-- Returns the instant of a group's latest event; null if its events are deleted.
create function punctual.last_event_of_group(p_queue text, p_id text) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return (select h.at from punctual.history h where h.queue = p_queue and h.error_group = p_id order by h.at desc limit 1);
end
$$;

-- Returns a page of a queue's error groups, the latest seen first, as describe_error_group describes them, of the 1,000 that appeared last. p_cursor:
-- `next` of the page before. Raises PT404 for an unknown queue. Takes no locks.
create function punctual.list_error_groups(
  p_queue text, p_limit integer default 50, p_cursor jsonb default null, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  q punctual.queues := punctual.read_queue(p_queue);
  v_dead record;
  v_rows jsonb;
begin
  v_dead := punctual.count_dead_by_group(q);
  with latest as materialized (
    select g.id, coalesce(l.at, g.first_at) as sorts_at, l.at as last_at
      from (select * from punctual.error_groups x where x.queue = q.name order by x.first_at desc, x.id limit 1000) g
     cross join lateral (select punctual.last_event_of_group(q.name, g.id) as at) l)
  select coalesce(jsonb_agg(jsonb_build_object('key', jsonb_build_array(t.sorts_at, t.id),
           'item', punctual.describe_error_group(q, g, t.last_at, v_dead.groups, v_dead.more, v_now)) order by t.sorts_at desc, t.id desc), '[]')
    into v_rows
    from (select * from latest x
           where p_cursor is null or (x.sorts_at, x.id) < ((p_cursor->>0)::timestamptz, p_cursor->>1)
           order by x.sorts_at desc, x.id desc limit p_limit + 1) t
    join punctual.error_groups g on g.queue = q.name and g.id = t.id;
  return punctual.page_of(v_rows, p_limit);
end
$$;

-- Returns one error group of a queue. Raises PT404 if there is none.
create function punctual.find_error_group(p_queue text, p_id text) returns punctual.error_groups
language plpgsql stable set search_path = '' as $$
declare
  g punctual.error_groups;
begin
  select * into g from punctual.error_groups x where x.queue = p_queue and x.id = p_id;
  if not found then
    raise exception 'there is no error group % in %, or retention has deleted it', coalesce(p_id, 'null'), p_queue using errcode = 'PT404';
  end if;
  return g;
end
$$;

-- Returns an error group as list_error_groups lists it, and samples: [{id, at, event, account, code, text, answer}], its latest three events of
-- different rows among the latest 100. Raises PT404. Takes no locks.
create function punctual.read_error_group(p_queue text, p_id text, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  q punctual.queues := punctual.read_queue(p_queue);
  g punctual.error_groups := punctual.find_error_group(q.name, p_id);
  v_dead record := punctual.count_dead_by_group(q);
begin
  return punctual.describe_error_group(q, g, punctual.last_event_of_group(q.name, g.id), v_dead.groups, v_dead.more, v_now)
    || jsonb_build_object('samples', (
      select coalesce(jsonb_agg(jsonb_build_object('id', s.row_id, 'at', s.at, 'event', s.event, 'code', s.code, 'text', s.text, 'answer', s.answer,
               'account', (select jsonb_build_object('id', a.id, 'name', a.name) from punctual.accounts a where a.id = s.account_id)) order by s.at desc, s.id desc), '[]')
        from (select * from (select distinct on (e.row_id) e.* from (
                select * from punctual.history h where h.queue = q.name and h.error_group = g.id order by h.at desc limit 100) e
                order by e.row_id, e.at desc) o order by o.at desc, o.id desc limit 3) s));
end
$$;

-- Marks an error group as known, or as new again. Returns {id, known_at, known_by, known_note}. Raises PT404. Locks the group.
create function punctual.mark_error_group(
  p_queue text, p_id text, p_known boolean, p_by text default null, p_note text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  q punctual.queues := punctual.read_queue(p_queue);
  g punctual.error_groups := punctual.find_error_group(q.name, p_id);
begin
  update punctual.error_groups x set
    known_at = case when p_known then v_now end, known_by = case when p_known then coalesce(p_by, 'an operator') end,
    known_note = case when p_known then left(p_note, 2000) end
   where x.queue = q.name and x.id = p_id returning * into g;
  perform punctual.note_act(p_by, 'mark_error', q.name, p_id, jsonb_build_object('known', p_known), p_note, v_now);
  return jsonb_build_object('id', g.id, 'known_at', g.known_at, 'known_by', g.known_by, 'known_note', g.known_note);
end
$$;
