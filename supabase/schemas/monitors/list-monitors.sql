-- Returns a page of monitors by id. p_state: up, degraded, down, new (not checked yet) or inactive; null: all.
create function punctual.list_monitors(p_state text default null, p_cursor jsonb default null, p_limit integer default 50, p_now timestamptz default null)
returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
begin
  return (
    select punctual.page_of(jsonb_agg(jsonb_build_object('item', punctual.monitor_in_short(k.m, v_now), 'key', jsonb_build_array((k.m).id)) order by (k.m).id), p_limit)
      from (select x as m from punctual.monitors x
             where x.id > coalesce((p_cursor->>0)::bigint, 0)
               and case when p_state is null then true when p_state = 'inactive' then not x.is_active
                        when p_state = 'new' then x.is_active and x.state is null else x.is_active and x.state = p_state end
             order by x.id limit p_limit + 1) k);
end
$$;

-- Returns a page of incidents, the newest first. p_open: true for open ones, false for closed ones, null for all.
create function punctual.list_incidents(
  p_open boolean default null, p_monitor text default null, p_cursor jsonb default null, p_limit integer default 50, p_now timestamptz default null)
returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' as $$
declare
  -- Written so that Postgres can use the index of open incidents, or that of a monitor's incidents.
  v_where text := case p_open when true then 'x.closed_at is null' when false then 'x.closed_at is not null' else 'true' end
    || coalesce(' and x.monitor_id = ' || p_monitor::bigint, '') || coalesce(' and x.id < ' || (p_cursor->>0)::bigint, '');
  v_listed punctual.incidents[];
begin
  execute format('select array_agg(k.x order by (k.x).id desc) from (select x from punctual.incidents x where %s order by x.id desc limit $1) k', v_where)
  into v_listed using p_limit + 1;
  return (select punctual.page_of(jsonb_agg(jsonb_build_object('key', jsonb_build_array(i.id), 'item',
                   punctual.incident_in_short(i, coalesce(p_now, clock_timestamp())) || jsonb_build_object('monitor', m.name, 'url', m.url))
                   order by i.id desc), p_limit)
            from unnest(v_listed) i join punctual.monitors m on m.id = i.monitor_id);
end
$$;
