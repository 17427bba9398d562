-- Returns the regions, the default one first. monitors: how many active monitors the region checks now. homes: of how many it is the home.
create function punctual.list_regions(p_now timestamptz default null) returns jsonb
language sql stable set search_path = '' set statement_timeout = '4s' as $$
  select coalesce(jsonb_agg(jsonb_build_object('name', s.name, 'is_default', s.is_default, 'is_healthy', s.is_healthy, 'reason', s.reason,
           'last_tick_at', s.last_tick_at, 'unseen_seconds', r.unseen_seconds, 'network_broken_until', r.network_broken_until,
           'monitors', coalesce(n.here, 0), 'homes', coalesce(h.homes, 0)) order by s.is_default desc, s.name), '[]')
    from punctual.region_states(coalesce(p_now, clock_timestamp())) s
    join punctual.regions r on r.name = s.name
    left join (select m.region, count(*) as here from punctual.monitors m where m.is_active group by 1) n on n.region = s.name
    left join (select m.home_region, count(*) as homes from punctual.monitors m where m.is_active group by 1) h on h.home_region = s.name
$$;

-- Adds or changes a region. p_region: {name, is_default, unseen_seconds}; absent fields stay as they are. Returns the region as list_regions does.
create function punctual.save_region(p_region jsonb, p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_default boolean := coalesce((p_region->>'is_default')::boolean, false);
  v_before jsonb := (select to_jsonb(r) from punctual.regions r where r.name = p_region->>'name');
begin
  if v_default then
    update punctual.regions r set is_default = false where r.is_default and r.name <> p_region->>'name';
  end if;
  insert into punctual.regions as r (name, is_default, unseen_seconds)
  values (p_region->>'name', v_default, coalesce((p_region->>'unseen_seconds')::integer, 180))
  on conflict (name) do update set is_default = r.is_default or excluded.is_default,
    unseen_seconds = case when p_region ? 'unseen_seconds' then excluded.unseen_seconds else r.unseen_seconds end;
  perform punctual.note_change(p_by, 'save_region', 'monitors', p_region->>'name', v_before,
    (select to_jsonb(r) from punctual.regions r where r.name = p_region->>'name'), null, p_now);
  return (select e from jsonb_array_elements(punctual.list_regions(p_now)) e where e->>'name' = p_region->>'name');
end
$$;

-- Removes a region, and moves its monitors to the default region or to another one of their only_regions. Returns {name, moved}. Raises PT404 for
-- an unknown region, and PT409 for the default region or for the only region that may check a monitor.
create function punctual.remove_region(p_name text, p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_region punctual.regions;
  v_default text := (select r.name from punctual.regions r where r.is_default);
  v_only text;
  v_moved integer;
begin
  -- Locks in the order of ticks: the partition, the monitors by id, and the region once no monitor is in it.
  perform from punctual.partitions p where p.queue = 'monitors' and p.partition = p_name for update;
  select * into v_region from punctual.regions r where r.name = p_name;
  if not found then raise exception 'there is no region %', p_name using errcode = 'PT404'; end if;
  if v_region.is_default then
    raise exception '% is the default region', p_name using errcode = 'PT409', hint = 'Make another region the default first.';
  end if;
  select m.name into v_only from punctual.monitors m where m.only_regions <@ array[p_name] limit 1;
  if found then
    raise exception 'the monitor "%" may be checked from % only', v_only, p_name
      using errcode = 'PT409', hint = 'Change its only_regions, or delete it.';
  end if;
  perform from punctual.monitors m
    where p_name in (m.preferred_region, m.region, m.home_region) or p_name = any (m.only_regions) order by m.id for no key update;
  update punctual.monitors m set
    preferred_region = case when m.preferred_region = p_name then null else m.preferred_region end,
    only_regions = array_remove(m.only_regions, p_name),
    region = case when m.region = p_name then coalesce((array_remove(m.only_regions, p_name))[1], v_default) else m.region end
   where p_name in (m.preferred_region, m.region, m.home_region) or p_name = any (m.only_regions);
  get diagnostics v_moved = row_count;
  -- The update above leaves the home of monitors that were spread to this region. They are spread again.
  update punctual.monitors m set home_region = m.preferred_region where m.home_region = p_name;
  delete from punctual.partitions p where p.queue = 'monitors' and p.partition = p_name;
  delete from punctual.regions r where r.name = p_name;
  perform punctual.note_act(p_by, 'remove_region', 'monitors', p_name, jsonb_build_object('moved', v_moved), null, p_now);
  return jsonb_build_object('name', p_name, 'moved', v_moved);
end
$$;
