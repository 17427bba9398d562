-- Gives each monitor without a preferred region a home, so that the healthy regions (p_healthy, the default one first) have as many of them each, and
-- moves no more of those that have one than that takes; 5,000 at most.
create function punctual.spread_monitors(p_healthy text[], p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_most constant integer := 5000;
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
    -- By turns, so that a few that come together do not all go to one place.
    select q.name, row_number() over (order by g.n, q.name) as n
      from quota q
     cross join lateral generate_series(
       (select count(*) from free f where f.home_region = q.name) + 1, q.most) g (n)
  )
  update punctual.monitors m set home_region = room.name
    from surplus join room on room.n = surplus.n where m.id = surplus.id and surplus.n <= v_most;
  get diagnostics v_spread = row_count;
  -- Those that may only go to some places are at home in one of them.
  update punctual.monitors m
     set home_region = (select o from unnest(m.only_regions) o order by (o = any (p_healthy)) desc, md5(o || m.id) limit 1)
   where m.id in (select x.id from punctual.monitors x
                   where x.home_region is null and x.preferred_region is null and x.only_regions is not null limit v_most);
  -- What was left comes with the next tick.
  if v_spread < v_most then
    update punctual.regions r set spread_at = p_now where r.spread_at is null and r.name = any (p_healthy);
  end if;
end
$$;

-- Moves monitors to where they can be checked, 5,000 at most: away from regions that are not healthy, and home again. Runs in a tick's
-- first exchange, and costs next to nothing where all are at home.
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
  -- Two ticks at once would both find the same ones.
  if v_unspread and pg_try_advisory_xact_lock(hashtext('punctual.spread_monitors')) then perform punctual.spread_monitors(v_healthy, p_now); end if;
  update punctual.monitors m set region = punctual.choose_region(m.id, m.home_region, m.only_regions, v_healthy, v_default)
   where m.id = any (array(
     select l.id from punctual.monitors l
      where l.id = any (array(
        (select a.id from punctual.monitors a
          where a.status = 'scheduled' and a.region = any (v_unhealthy)
            -- Of those that may go nowhere else nobody asks further.
            and (a.only_regions is null or a.only_regions && v_healthy) limit 5000)
        union all
        -- While it is down, or may be, it is asked from elsewhere on purpose.
        (select h.id from punctual.monitors h
          where h.region <> h.home_region and h.home_region = any (v_healthy) and h.suspect_since is null and h.state is distinct from 'down'
            and h.status = 'scheduled' limit 5000)))
        and l.status = 'scheduled'
      limit 5000 for no key update skip locked));
end
$$;
