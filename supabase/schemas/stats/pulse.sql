-- Returns a value that changes when a page should be rendered anew: {queues: {name: <the first digits of the latest tick that was not idle>.<the number of
-- its exchanges>}, actions: {id: progress} of the open ones, act: the latest act of a person}. One index read for each queue. Writes nothing.
create function punctual.read_pulse(p_now timestamptz default null) returns jsonb
language sql stable set search_path = '' set statement_timeout = '4s' as $$
  select jsonb_build_object('act', (select max(a.id) from punctual.audit a), 'actions', (
           select coalesce(jsonb_object_agg(a.id, a.state || '.' || a.total || '.' || a.written + a.skipped), '{}')
             from (select * from punctual.actions x where x.state in ('collecting', 'running') order by x.id limit 5) a), 'queues', coalesce(jsonb_object_agg(q.name, t.pulse), '{}'))
    from punctual.queues q
    left join lateral (
         select left(x.id::text, 8) || '.' || x.last_seq as pulse from punctual.ticks x
          where x.queue = q.name and (x.outcome is null or x.outcome not in ('idle', 'skipped')) and x.started_at <= coalesce(p_now, 'infinity')
          order by x.started_at desc limit 1) t on true
$$;
