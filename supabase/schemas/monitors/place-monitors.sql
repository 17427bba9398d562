-- Spreads the monitors without a preferred region evenly over the healthy regions (p_healthy, the default one first), by setting home_region.
-- Moves as few as possible of those that have a home. Takes 5,000 at most.
create function punctual.spread_monitors(p_healthy text[], p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_limit constant integer := 5000;
  v_spread integer;
begin
  with region as materialized (
    select h as name, n as place, cardinality(p_healthy) as regions from unnest(p_healthy) with ordinality u (h, n)
  ),
  free as materialized (
    select m.id, m.home_region,
           row_number() over (partition by m.home_region order by m.id) as nth
      from punctual.monitors m
     where m.preferred_region is null and m.only_regions is null
       and (m.home_region is null or exists (select from region r where r.name = m.home_region))
  ),
  quota as materialized (
    select r.name, (select count(*) from free) / r.regions
             + case when r.place <= (select count(*) from free) % r.regions then 1 else 0 end as most
      from region r
  ),
  surplus as (
    select f.id, row_number() over (order by f.id) as n
      from free f left join quota q on q.name = f.home_region where f.home_region is null or f.nth > q.most
  ),
  room as (
    -- Takes the regions in turn, so that a few new monitors do not all go to the same one.
    select q.name, row_number() over (order by g.n, q.name) as n
      from quota q
     cross join lateral generate_series(
       (select count(*) from free f where f.home_region = q.name) + 1, q.most) g (n)
  )
  update punctual.monitors m set home_region = room.name
    from surplus join room on room.n = surplus.n where m.id = surplus.id and surplus.n <= v_limit;
  get diagnostics v_spread = row_count;
  -- Monitors with only_regions get one of these as home, a healthy one if there is one.
  update punctual.monitors m
     set home_region = (select o from unnest(m.only_regions) o order by (o = any (p_healthy)) desc, md5(o || m.id) limit 1)
   where m.id in (select x.id from punctual.monitors x
                   where x.home_region is null and x.preferred_region is null and x.only_regions is not null limit v_limit);
  -- The next tick takes the rest.
  if v_spread < v_limit then
    update punctual.regions r set spread_at = p_now where r.spread_at is null and r.name = any (p_healthy);
  end if;
end
$$;

-- The queue's before_claim: moves monitors away from unhealthy regions, and home again, 5,000 at most. Runs in a tick's first exchange, and
-- costs next to nothing if all monitors are at home. Skips locked monitors.
create function punctual.place_monitors(p_partition text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_healthy text[];
  v_unhealthy text[];
  v_default text;
  v_unspread boolean;
begin
  select coalesce(array_agg(s.name order by s.is_default desc, s.name) filter (where s.is_healthy), '{}'),
         coalesce(array_agg(s.name) filter (where not s.is_healthy), '{}'), max(s.name) filter (where s.is_default)
    into v_healthy, v_unhealthy, v_default from punctual.region_states(p_now) s;
  if v_healthy = '{}' then return; end if;
  select exists (select from punctual.monitors m where m.home_region is null)
      or exists (select from punctual.regions r where r.spread_at is null and r.name = any (v_healthy)) into v_unspread;
  -- Only one tick spreads at a time: two would find the same monitors.
  if v_unspread and pg_try_advisory_xact_lock(hashtext('punctual.spread_monitors')) then perform punctual.spread_monitors(v_healthy, p_now); end if;
  update punctual.monitors m set region = punctual.choose_region(m.id, m.home_region, m.only_regions, v_healthy, v_default)
   where m.id = any (array(
     select l.id from punctual.monitors l
      where l.id = any (array(
        (select a.id from punctual.monitors a
          where a.status = 'scheduled' and a.region = any (v_unhealthy)
            -- Leaves monitors that no healthy region may check.
            and (a.only_regions is null or a.only_regions && v_healthy) limit 5000)
        union all
        -- Other regions check a monitor on purpose while it is down or suspected.
        (select h.id from punctual.monitors h
          where h.region <> h.home_region and h.home_region = any (v_healthy) and h.suspect_since is null and h.state is distinct from 'down'
            and h.status = 'scheduled' limit 5000)))
        and l.status = 'scheduled'
      limit 5000 for no key update skip locked));
end
$$;
