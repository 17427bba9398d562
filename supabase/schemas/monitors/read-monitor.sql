-- Returns the uptime over the last 24 hours, 7 days and 30 days, in whole hours: the share of counted checks that were not down, from 0 to 1.
-- Null without checks.
create function punctual.uptime_of(p_monitor bigint, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
           'day', round(sum(h.good) filter (where h.hour >= v.day)::numeric / nullif(sum(h.checks) filter (where h.hour >= v.day), 0), 5),
           'week', round(sum(h.good) filter (where h.hour >= v.week)::numeric / nullif(sum(h.checks) filter (where h.hour >= v.week), 0), 5),
           'month', round(sum(h.good)::numeric / nullif(sum(h.checks), 0), 5))
    from (select date_trunc('hour', p_now - interval '24 hours', 'UTC') as day, date_trunc('hour', p_now - interval '7 days', 'UTC') as week,
                 date_trunc('hour', p_now - interval '30 days', 'UTC') as month) v
    left join lateral (select x.hour, x.up + x.degraded as good, x.up + x.degraded + x.down as checks
                         from punctual.monitor_hours x where x.monitor_id = p_monitor and x.hour >= v.month) h on true
$$;

-- Returns a check as the API shows it.
create function punctual.check_in_short(c punctual.monitor_checks) returns jsonb
language sql stable set search_path = '' as $$
  select to_jsonb(c) - array['id', 'monitor_id', 'certificate_expires_at']
$$;

-- Returns a monitor as lists show it.
create function punctual.monitor_in_short(m punctual.monitors, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', m.id::text, 'name', m.name, 'url', m.url, 'interval_seconds', m.interval_seconds, 'criticality', m.criticality,
           'is_active', m.is_active, 'status', m.status, 'region', m.region, 'home_region', m.home_region, 'preferred_region', m.preferred_region,
           'state', m.state, 'state_since', m.state_since, 'suspect', m.suspect_since is not null, 'last_checked_at', m.last_checked_at,
           'next_check_at', m.next_check_at, 'last', l.check, 'uptime', punctual.uptime_of(m.id, p_now))
    from (select) one
    left join lateral (select punctual.check_in_short(c) as check from punctual.monitor_checks c
                        where c.monitor_id = m.id order by c.id desc limit 1) l on true
$$;

-- Returns an incident as lists show it. seconds: how long it lasted, or has lasted so far.
create function punctual.incident_in_short(i punctual.incidents, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select to_jsonb(i) || jsonb_build_object('id', i.id::text, 'monitor_id', i.monitor_id::text,
           'seconds', greatest(0, round(extract(epoch from coalesce(i.ended_at, p_now) - i.started_at))))
$$;

-- Returns a monitor with its settings, its latest 20 checks and 10 incidents; null if no monitor has the id. Shows only the names of its headers.
create function punctual.read_monitor(p_id text, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' as $$
declare
  m punctual.monitors;
  v_now timestamptz := coalesce(p_now, clock_timestamp());
begin
  if not punctual.is_id(punctual.read_queue('monitors'), p_id) then return null; end if;
  select * into m from punctual.monitors x where x.id = p_id::bigint;
  if not found then return null; end if;
  return punctual.monitor_in_short(m, v_now) - 'suspect' - 'last'
    || to_jsonb(m) - array['priority', 'attempts', 'max_attempts', 'next_attempt_at', 'claim_id', 'lease_expires_at', 'timeout_seconds', 'last_error',
                           'finished_at', 'expires_at', 'idempotency_key', 'claimed_at', 'reconcile_at', 'reconcile', 'judged_from']
    || jsonb_build_object(
         'id', m.id::text,
         'headers', (select coalesce(jsonb_object_agg(k, '***'), '{}') from jsonb_object_keys(m.headers) k),
         'certificate_expires_at', (select c.certificate_expires_at from punctual.monitor_checks c where c.monitor_id = m.id order by c.id desc limit 1),
         'checks', (select coalesce(jsonb_agg(punctual.check_in_short(l.c) order by (l.c).id desc), '[]')
                      from (select x as c from punctual.monitor_checks x where x.monitor_id = m.id order by x.id desc limit 20) l),
         'incidents', (select coalesce(jsonb_agg(punctual.incident_in_short(l.i, v_now) - 'monitor_id' order by (l.i).id desc), '[]')
                         from (select x as i from punctual.incidents x where x.monitor_id = m.id order by x.id desc limit 10) l));
end
$$;
