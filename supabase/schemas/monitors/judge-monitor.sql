-- What a monitor's latest checks come to: its state, an incident that opens or closes, and where and when it is checked next while
-- something is being confirmed. p_healthy and p_default as choose_region takes them; p_awake: those of p_healthy that have just been seen,
-- since one that may be gone would keep an alarm waiting.
create function punctual.judge_monitor(m punctual.monitors, p_healthy text[], p_awake text[], p_default text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  -- Failures are confirmed this soon where there is no other region to ask.
  v_confirm_seconds constant integer := 20;
  v_window record;
  v_regions integer := (select greatest(1, count(*)) from unnest(p_awake) h where m.only_regions is null or h = any (m.only_regions));
  v_home text := punctual.choose_region(m.id, m.home_region, m.only_regions, p_healthy, p_default);
  v_next_region text;
  v_state text := m.state;
  v_suspect_since timestamptz := m.suspect_since;
  v_judged_from timestamptz := m.judged_from;
  v_unasked boolean;
  v_asked integer;
begin
  -- verdicts: the newest first; good: how many of the newest in a row were not down, up: were up.
  select array_agg(c.verdict order by c.n) as verdicts,
         count(*) filter (where c.verdict = 'down') as down,
         count(distinct c.region) filter (where c.verdict = 'down') as down_regions,
         array_agg(distinct c.region) filter (where c.verdict = 'down') as failing,
         coalesce(min(c.n) filter (where c.verdict = 'down'), count(*) + 1) - 1 as good,
         coalesce(min(c.n) filter (where c.verdict <> 'up'), count(*) + 1) - 1 as up,
         count(*) filter (where c.verdict <> 'up') as not_up,
         min(c.at) filter (where c.verdict = 'down') as first_down_at,
         max(c.at) as newest_at,
         (array_agg(c.error order by c.n) filter (where c.verdict = 'down'))[1] as cause
    into v_window
    from (select x.*, row_number() over (order by x.id desc) as n
            from (select k.* from punctual.monitor_checks k
                   where k.monitor_id = m.id and k.counted and k.at >= m.judged_from order by k.id desc limit m.confirm_checks) x) c;
  if v_window.verdicts is null then return; end if;
  -- The region that has not been asked for the longest, and whether it was asked since the failures began.
  select h, l.at is null or l.at < coalesce(m.suspect_since, v_window.newest_at) into v_next_region, v_unasked
    from unnest(p_awake) h
    left join lateral (select max(k.n) as n, max(k.at) as at from (
      select c.region, c.id as n, c.at from punctual.monitor_checks c where c.monitor_id = m.id order by c.id desc limit 20) k where k.region = h) l on true
   where h <> m.region and (m.only_regions is null or h = any (m.only_regions))
   order by l.n nulls first, h limit 1;

  if m.state = 'down' then
    if v_window.good < m.confirm_failures then
      -- Good again, perhaps: looked at again soon.
      if v_window.good > 0 then
        update punctual.monitors t set next_check_at = least(t.next_check_at, p_now + make_interval(secs => v_confirm_seconds)) where t.id = m.id;
      elsif v_next_region is not null then
        update punctual.monitors t set region = v_next_region where t.id = m.id;
      end if;
      return;
    end if;
    update punctual.incidents i
       set ended_at = greatest(i.started_at, (select min(c.at) from (select k.at from punctual.monitor_checks k
                         where k.monitor_id = m.id and k.counted and k.at >= m.judged_from order by k.id desc limit v_window.good) c)),
           closed_at = p_now
     where i.monitor_id = m.id and i.closed_at is null returning i.ended_at into v_judged_from;
    v_state := case when v_window.up >= m.confirm_failures then 'up' else 'degraded' end;
  elsif v_window.verdicts[1] = 'down' or m.suspect_since is not null then
    if v_window.down >= m.confirm_failures and v_window.down_regions >= least(m.confirm_failures, v_regions) then
      v_state := 'down';
      v_suspect_since := null;
      insert into punctual.incidents (monitor_id, started_at, opened_at, cause, regions)
      values (m.id, v_window.first_down_at, p_now, v_window.cause, v_window.failing)
      on conflict (monitor_id) where closed_at is null do nothing;
    elsif v_window.good >= m.confirm_failures then
      v_suspect_since := null;
      v_state := case when v_window.up >= m.confirm_failures or v_state is null then v_window.verdicts[1] else v_state end;
    else
      v_suspect_since := coalesce(m.suspect_since, v_window.newest_at);
      -- It fails for some places, and not for enough of them.
      if v_window.down >= m.confirm_failures then v_state := 'degraded'; end if;
    end if;
  elsif v_window.up >= m.confirm_failures or (v_state is null and v_window.verdicts[1] = 'up') then
    v_state := 'up';
  elsif v_window.not_up >= m.confirm_failures or v_state is null then
    v_state := 'degraded';
  end if;

  if v_suspect_since is not null then
    select count(*) into v_asked from punctual.monitor_checks c where c.monitor_id = m.id and c.at >= v_suspect_since
       and c.id in (select x.id from punctual.monitor_checks x where x.monitor_id = m.id order by x.id desc limit 30);
  end if;
  update punctual.monitors t
     set state = v_state, judged_from = coalesce(v_judged_from, t.judged_from),
         state_since = case when v_state is distinct from t.state then p_now else t.state_since end,
         suspect_since = v_suspect_since,
         region = case when v_suspect_since is null then v_home else coalesce(v_next_region, m.region) end,
         next_check_at = case when v_suspect_since is null then t.next_check_at
                              when v_unasked then p_now
                              -- Those who were asked do not agree, and have had their say: it is asked when it is its turn.
                              when v_asked >= m.confirm_checks + v_regions then t.next_check_at
                              else least(t.next_check_at, p_now + make_interval(secs => v_confirm_seconds)) end
   where t.id = m.id;
end
$$;
