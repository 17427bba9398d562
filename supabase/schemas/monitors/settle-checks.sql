-- Returns a JSON number as an integer, rounded and limited to 0..2147483647. Null if it is not a number.
create function punctual.parse_whole_number(p_value jsonb) returns integer
language sql immutable set search_path = '' as $$
  select case when jsonb_typeof(p_value) = 'number' then least(2147483647, greatest(0, round((p_value #>> '{}')::numeric)))::integer end
$$;

-- Returns a check's result as columns of monitor_checks, plus `network`. Malformed values are left out, so that one of them does not prevent the
-- whole write.
create function punctual.read_check(p_result jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object('verdict', p_result->>'verdict', 'network', p_result->>'network', 'error', left(p_result->>'error', 300),
           'address', left(p_result->>'address', 60),
           'certificate_expires_at', case when p_result->>'certificate_expires_at' ~ '^[12][0-9]{3}-(0[1-9]|1[0-2])-([01][0-9]|2[0-8])T[0-9:.]{8,12}Z$'
                                            or p_result->>'certificate_expires_at' ~ '^[12][0-9]{3}-(0[13-9]|1[0-2])-(29|30)T[0-9:.]{8,12}Z$'
                                            or p_result->>'certificate_expires_at' ~ '^[12][0-9]{3}-(0[13578]|1[02])-31T[0-9:.]{8,12}Z$'
                                          then p_result->>'certificate_expires_at' end)
      || (select jsonb_object_agg(k, punctual.parse_whole_number(p_result->k))
            from unnest(array['status_code', 'redirects', 'dns_ms', 'connect_ms', 'tls_ms', 'first_byte_ms', 'total_ms']) k)
$$;

-- Whether at least 80 % of a region's latest checks found their site answering. Counts the last 5 minutes, and needs at least 5 checks.
create function punctual.sites_answer(p_region text, p_now timestamptz) returns boolean
language sql stable set search_path = '' as $$
  select count(*) >= 5 and count(*) filter (where c.verdict <> 'down') >= 0.8 * count(*)
    from (select x.verdict, x.region, x.at from punctual.monitor_checks x order by x.id desc limit 500) c
   where c.region = p_region and c.at > p_now - interval '5 minutes'
$$;

-- Returns the checks in outcomes: [columns of monitor_checks, network, claimed_at], by monitor; null if there are none. Only the outcome `again`
-- has a check.
create function punctual.read_checks(p_applied jsonb, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_checks jsonb;
begin
  select jsonb_agg(punctual.read_check(a.result) || jsonb_build_object('monitor_id', m.id, 'region', m.region,
           'at', greatest(a.claimed_at, p_now - coalesce(punctual.parse_whole_number(a.result->'took_ms'), 0) * interval '1 millisecond'),
           'scheduled_at', a.due, 'claimed_at', a.claimed_at,
           'counted', a.result->>'network' is distinct from 'broken' or a.result->>'verdict' <> 'down') order by m.id)
    into v_checks
    from jsonb_to_recordset(p_applied) a (id bigint, outcome text, result jsonb, claimed_at timestamptz, due timestamptz)
    join punctual.monitors m on m.id = a.id
   where a.outcome = 'again' and a.result->>'verdict' in ('up', 'degraded', 'down');
  if not v_checks @> '[{"network": "broken"}]' then return v_checks; end if;
  -- If nearly all sites answer, the canaries are down and not the network. Then the check counts, so that a dead site cannot hide behind them.
  return (
    select jsonb_agg(case when c->>'network' = 'broken' and w.works then c || '{"network": null, "counted": true}' else c end order by n)
      from jsonb_array_elements(v_checks) with ordinality e (c, n)
      join (select x.region, punctual.sites_answer(x.region, p_now) as works
              from (select distinct d->>'region' as region from jsonb_array_elements(v_checks) d) x) w on w.region = c->>'region');
end
$$;

-- Writes checks and hourly counts, and sets each monitor's next check time.
create function punctual.save_checks(p_checks jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  insert into punctual.monitor_checks (monitor_id, at, scheduled_at, region, verdict, counted, error, status_code, redirects, address, dns_ms,
                                       connect_ms, tls_ms, first_byte_ms, total_ms, certificate_expires_at)
  select c.monitor_id, c.at, c.scheduled_at, c.region, c.verdict, c.counted, c.error, c.status_code, c.redirects, c.address, c.dns_ms,
         c.connect_ms, c.tls_ms, c.first_byte_ms, c.total_ms, c.certificate_expires_at
    from jsonb_populate_recordset(null::punctual.monitor_checks, p_checks) c order by c.monitor_id;
  insert into punctual.monitor_hours as h (monitor_id, hour, up, degraded, down, total_ms)
  select c.monitor_id, date_trunc('hour', c.at, 'UTC'), count(*) filter (where c.verdict = 'up'), count(*) filter (where c.verdict = 'degraded'),
         count(*) filter (where c.verdict = 'down'), coalesce(sum(c.total_ms), 0)
    from jsonb_populate_recordset(null::punctual.monitor_checks, p_checks) c where c.counted group by 1, 2 order by 1, 2
  on conflict (monitor_id, hour) do update set
    up = h.up + excluded.up, degraded = h.degraded + excluded.degraded, down = h.down + excluded.down, total_ms = h.total_ms + excluded.total_ms;
  -- The settle has added the interval to the due time, but a first or a confirming check was not on the grid.
  update punctual.monitors m
     set last_scheduled_at = c.scheduled_at, last_checked_at = c.at,
         next_check_at = punctual.next_on_grid(m.id, m.interval_seconds, c.claimed_at),
         status = case when m.status = 'scheduled' and not m.is_active then 'inactive' else m.status end
    from jsonb_to_recordset(p_checks) c (monitor_id bigint, at timestamptz, scheduled_at timestamptz, claimed_at timestamptz)
   where m.id = c.monitor_id;
end
$$;

-- Marks the networks of regions as working or broken, by what canaries and sites answered. A network counts as broken for 60 s, then twice as
-- long each time, up to 30 minutes.
create function punctual.note_networks(p_checks jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  update punctual.regions r
     set network_failures = case when n.works then 0 else r.network_failures + 1 end,
         network_broken_until = case when n.works then null else p_now + make_interval(secs => least(1800, 60 * power(2, least(r.network_failures, 6)))) end
    from (select c.region, bool_or(c.network = 'ok') as answered, coalesce(bool_or(c.network = 'broken'), false) as broken,
                 coalesce(bool_or(c.network = 'ok'), false) or (bool_or(c.verdict <> 'down') and not coalesce(bool_or(c.network = 'broken'), false)) as works
            from jsonb_to_recordset(p_checks) c (region text, network text, verdict text) group by 1) n
   where r.name = n.region
     -- A canary that answers ends this at once, a site that answers only when the time is over.
     and case when n.works then r.network_failures > 0 and (n.answered or r.network_broken_until <= p_now)
              else n.broken and (r.network_broken_until is null or r.network_broken_until <= p_now) end;
end
$$;

-- The queue's after_settle: keeps the results of checks in the transaction that settles them, and updates their monitors' states. p_applied: see
-- add_queue's p_after_settle; lib/queues/monitors/queue.ts makes the results. The settle holds the monitors' locks. Also locks regions.
create function punctual.settle_checks(p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_checks jsonb;
  v_healthy text[];
  v_awake text[];
  v_default text;
  v_monitor record;
begin
  -- A dead monitor is not checked and has no state.
  update punctual.monitors m set state = null, state_since = null, suspect_since = null
    from jsonb_to_recordset(p_applied) a (id bigint, outcome text) where a.outcome = 'dead' and m.id = a.id;
  v_checks := punctual.read_checks(p_applied, p_now);
  if v_checks is null then return; end if;
  perform punctual.save_checks(v_checks);
  perform punctual.note_networks(v_checks, p_now);

  select coalesce(array_agg(s.name order by s.is_default desc, s.name) filter (where s.is_healthy), '{}'), max(s.name) filter (where s.is_default),
         coalesce(array_agg(s.name order by s.is_default desc, s.name) filter (where s.is_healthy and s.last_tick_at > p_now - interval '90 seconds'), '{}')
    into v_healthy, v_default, v_awake from punctual.region_states(p_now) s;
  for v_monitor in
    select m as monitor, c.counted
      from jsonb_to_recordset(v_checks) c (monitor_id bigint, verdict text, counted boolean)
      join punctual.monitors m on m.id = c.monitor_id
     where m.is_active and (c.verdict <> 'up' or m.state is distinct from 'up' or m.suspect_since is not null)
     order by m.id
  loop
    if v_monitor.counted then
      perform punctual.judge_monitor(v_monitor.monitor, v_healthy, v_awake, v_default, p_now);
    else
      -- The check says nothing about the site: another region checks it at once.
      update punctual.monitors m set region = punctual.choose_region(m.id, m.home_region, m.only_regions, v_healthy, v_default), next_check_at = p_now
       where m.id = (v_monitor.monitor).id
         and m.region <> punctual.choose_region(m.id, m.home_region, m.only_regions, v_healthy, v_default);
    end if;
  end loop;
end
$$;
