-- Returns what the dashboard shows of monitors: counts, regions, 60 monitors at most with the worst first, 20 open and 10 closed incidents.
create function punctual.read_monitoring(p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
begin
  return jsonb_build_object(
    'now', v_now,
    'counts', (select jsonb_build_object(
        'up', count(*) filter (where m.is_active and m.state = 'up'), 'degraded', count(*) filter (where m.is_active and m.state = 'degraded'),
        'down', count(*) filter (where m.is_active and m.state = 'down'), 'new', count(*) filter (where m.is_active and m.state is null),
        'inactive', count(*) filter (where not m.is_active)) from punctual.monitors m),
    'regions', punctual.list_regions(v_now),
    'monitors', (select coalesce(jsonb_agg(punctual.monitor_in_short(l.m, v_now) order by l.n), '[]')
      from (select m, row_number() over (order by not m.is_active, array_position(array['down', 'degraded', 'new', 'up'], coalesce(m.state, 'new')),
                                                  m.suspect_since is null, m.priority, m.name, m.id) as n
              from punctual.monitors m
             where m.id in (select x.id from punctual.monitors x
                             order by not x.is_active, array_position(array['down', 'degraded', 'new', 'up'], coalesce(x.state, 'new')),
                                      x.suspect_since is null, x.priority, x.name, x.id limit 60)) l),
    'incidents', jsonb_build_object(
      'open', punctual.list_incidents(true, null, null, 20, v_now)->'items',
      'recent', (select coalesce(jsonb_agg(punctual.incident_in_short(i, v_now) || jsonb_build_object('monitor', m.name, 'url', m.url) order by i.closed_at desc), '[]')
                   from punctual.incidents i join punctual.monitors m on m.id = i.monitor_id
                  where i.id in (select x.id from punctual.incidents x where x.closed_at is not null order by x.closed_at desc limit 10))));
end
$$;
