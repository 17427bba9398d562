-- Returns the state of each region. A region is healthy if it has recent ticks, is not paused, and its network is not known to be broken.
-- Otherwise `reason` says why not.
create function punctual.region_states(
  p_now timestamptz, out name text, out is_default boolean, out is_healthy boolean, out reason text, out last_tick_at timestamptz)
returns setof record
language sql stable set search_path = '' as $$
  select r.name, r.is_default, w.reason is null, w.reason, p.last_tick_at
    from punctual.regions r
    left join punctual.partitions p on p.queue = 'monitors' and p.partition = r.name
   cross join lateral (select case
      when punctual.pause_end(p.paused_at, p.paused_until, p_now) is not null then 'it is paused' || coalesce(': ' || p.paused_reason, '')
      when p.last_tick_at is null then 'no tick of it was ever seen'
      when p.last_tick_at < p_now - make_interval(secs => r.unseen_seconds) then 'no tick of it was seen for '
        || case when p_now - p.last_tick_at < interval '2 hours' then round(extract(epoch from p_now - p.last_tick_at) / 60) || ' minutes'
                when p_now - p.last_tick_at < interval '2 days' then round(extract(epoch from p_now - p.last_tick_at) / 3600) || ' hours'
                else round(extract(epoch from p_now - p.last_tick_at) / 86400) || ' days' end
      when r.network_broken_until > p_now then 'none of its canaries answers: its network is broken' end as reason) w
$$;

-- Returns the region that should check a monitor: its home; if that is not healthy, the default region; if that is not healthy or not in p_only,
-- another healthy region of p_only. If there is none, its home. p_healthy: the names of the healthy regions, the default one first if it is healthy.
create function punctual.choose_region(p_id bigint, p_home text, p_only text[], p_healthy text[], p_default text) returns text
language sql immutable set search_path = '' as $$
  select case
    when p_home = any (p_healthy) then p_home
    when p_default = any (p_healthy) and (p_only is null or p_default = any (p_only)) then p_default
    else coalesce((select h from unnest(p_healthy) h where p_only is null or h = any (p_only) order by md5(h || p_id) limit 1), p_home, p_default) end
$$;
