-- A summary of a monitor's latest counted checks, confirm_checks at most.
create type punctual.check_window as (
  -- The newest first; null: there is no check.
  verdicts text[],
  -- How many of the newest checks in a row were not down, and how many were up.
  good integer,
  up integer,
  -- How many of all checks were not up, and how many were down; the number and names of the regions with a down check.
  not_up integer,
  down integer,
  down_regions integer,
  failing text[],
  first_down_at timestamptz,
  newest_at timestamptz,
  -- The error of the newest down check.
  cause text
);

-- Returns the summary of a monitor's latest checks.
create function punctual.read_window(m punctual.monitors) returns punctual.check_window
language plpgsql stable set search_path = '' as $$
declare
  w punctual.check_window;
begin
  select array_agg(c.verdict order by c.n),
         coalesce(min(c.n) filter (where c.verdict = 'down'), count(*) + 1) - 1, coalesce(min(c.n) filter (where c.verdict <> 'up'), count(*) + 1) - 1,
         count(*) filter (where c.verdict <> 'up'), count(*) filter (where c.verdict = 'down'),
         count(distinct c.region) filter (where c.verdict = 'down'), array_agg(distinct c.region) filter (where c.verdict = 'down'),
         min(c.at) filter (where c.verdict = 'down'), max(c.at), (array_agg(c.error order by c.n) filter (where c.verdict = 'down'))[1]
    into w
    from (select x.*, row_number() over (order by x.id desc) as n
            from (select k.* from punctual.monitor_checks k
                   where k.monitor_id = m.id and k.counted and k.at >= m.judged_from order by k.id desc limit m.confirm_checks) x) c;
  return w;
end
$$;

-- Returns the region of p_awake, other than the monitor's current one, that has not checked the monitor for the longest. is_unchecked: it has not
-- checked it since p_since.
create function punctual.next_region(m punctual.monitors, p_awake text[], p_since timestamptz, out name text, out is_unchecked boolean)
language plpgsql stable set search_path = '' as $$
begin
  select h, l.at is null or l.at < p_since into name, is_unchecked
    from unnest(p_awake) h
    left join lateral (select max(k.n) as n, max(k.at) as at from (
      select c.region, c.id as n, c.at from punctual.monitor_checks c where c.monitor_id = m.id order by c.id desc limit 20) k where k.region = h) l on true
   where h <> m.region and (m.only_regions is null or h = any (m.only_regions))
   order by l.n nulls first, h limit 1;
end
$$;

-- Closes the incident of a monitor that is no longer down. The incident ended with the first good check. Only checks from then on count.
create function punctual.end_incident(inout m punctual.monitors, w punctual.check_window, p_now timestamptz)
language plpgsql set search_path = '' as $$
begin
  update punctual.incidents i
     set ended_at = greatest(i.started_at, (select min(c.at) from (select k.at from punctual.monitor_checks k
                       where k.monitor_id = m.id and k.counted and k.at >= m.judged_from order by k.id desc limit w.good) c)),
         closed_at = p_now
   where i.monitor_id = m.id and i.closed_at is null returning i.ended_at into m.judged_from;
  m.state := case when w.up >= m.confirm_failures then 'up' else 'degraded' end;
end
$$;

-- Sets the state of a monitor that is not down, and since when it is suspected. Opens an incident if enough checks failed, from enough regions.
-- p_regions: how many regions can check it.
create function punctual.judge_window(inout m punctual.monitors, w punctual.check_window, p_regions integer, p_now timestamptz)
language plpgsql set search_path = '' as $$
begin
  if w.verdicts[1] = 'down' or m.suspect_since is not null then
    if w.down >= m.confirm_failures and w.down_regions >= least(m.confirm_failures, p_regions) then
      m.state := 'down';
      m.suspect_since := null;
      insert into punctual.incidents (monitor_id, started_at, opened_at, cause, regions) values (m.id, w.first_down_at, p_now, w.cause, w.failing)
      on conflict (monitor_id) where closed_at is null do nothing;
    elsif w.good >= m.confirm_failures then
      m.suspect_since := null;
      if w.up >= m.confirm_failures or m.state is null then m.state := w.verdicts[1]; end if;
    else
      m.suspect_since := coalesce(m.suspect_since, w.newest_at);
      -- It fails from some regions, but not from enough.
      if w.down >= m.confirm_failures then m.state := 'degraded'; end if;
    end if;
  elsif w.up >= m.confirm_failures or (m.state is null and w.verdicts[1] = 'up') then
    m.state := 'up';
  elsif w.not_up >= m.confirm_failures or m.state is null then
    m.state := 'degraded';
  end if;
end
$$;

-- Applies a monitor's latest checks: sets its state, and opens or closes an incident. While failures are being confirmed, also sets which region
-- checks it next, and when. p_healthy and p_default: see choose_region. p_awake: the regions of p_healthy with a tick in the last 90 s; a region
-- without recent ticks would delay an alarm. The settle holds the monitor's lock.
create function punctual.judge_monitor(m punctual.monitors, p_healthy text[], p_awake text[], p_default text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  -- When a failure is confirmed if there is no other region to ask.
  v_confirm_at constant timestamptz := p_now + interval '20 seconds';
  v_regions integer := (select greatest(1, count(*)) from unnest(p_awake) h where m.only_regions is null or h = any (m.only_regions));
  w punctual.check_window := punctual.read_window(m);
  v_next record := punctual.next_region(m, p_awake, coalesce(m.suspect_since, w.newest_at));
begin
  if w.verdicts is null then return; end if;
  if m.state = 'down' and w.good < m.confirm_failures then
    -- The site may be up again: checks it again soon.
    if w.good > 0 then
      update punctual.monitors t set next_check_at = least(t.next_check_at, v_confirm_at) where t.id = m.id;
    elsif v_next.name is not null then
      update punctual.monitors t set region = v_next.name where t.id = m.id;
    end if;
    return;
  end if;
  m := case when m.state = 'down' then punctual.end_incident(m, w, p_now) else punctual.judge_window(m, w, v_regions, p_now) end;
  update punctual.monitors t
     set state = m.state, judged_from = coalesce(m.judged_from, t.judged_from),
         state_since = case when m.state is distinct from t.state then p_now else t.state_since end,
         suspect_since = m.suspect_since,
         region = case when m.suspect_since is null then punctual.choose_region(m.id, m.home_region, m.only_regions, p_healthy, p_default)
                       else coalesce(v_next.name, m.region) end,
         next_check_at = case when m.suspect_since is null then t.next_check_at
                              when v_next.is_unchecked then p_now
                              -- All regions have checked it and disagree: it waits for its next regular check.
                              when (select count(*) from (select c.at from punctual.monitor_checks c where c.monitor_id = m.id order by c.id desc limit 30) c
                                     where c.at >= m.suspect_since) >= m.confirm_checks + v_regions then t.next_check_at
                              else least(t.next_check_at, v_confirm_at) end
   where t.id = m.id;
end
$$;
