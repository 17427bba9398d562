-- refuse unknown monitors

drop function punctual.find_monitor(text);

-- Locks the monitor and returns it. Raises PT404 if no monitor has the id. Waits for the monitor's lock.
create or replace function punctual.lock_monitor(p_id text) returns punctual.monitors
language plpgsql set search_path = '' as $$
declare
  m punctual.monitors;
begin
  if punctual.is_id(punctual.read_queue('monitors'), p_id) then
    select * into m from punctual.monitors x where x.id = p_id::bigint for no key update;
  end if;
  if m.id is null then
    raise exception 'there is no monitor %', p_id using errcode = 'PT404';
  end if;
  return m;
end
$$;

-- Deletes a monitor with its checks and incidents. Returns {id}. Raises PT404 if no monitor has the id. Waits for the monitor's lock.
create or replace function punctual.delete_monitor(p_id text) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_monitor punctual.monitors := punctual.lock_monitor(p_id);
begin
  delete from punctual.monitors m where m.id = v_monitor.id;
  return jsonb_build_object('id', p_id);
end
$$;

-- Changes the fields that p_changes names, in the form of create_monitors. Returns the monitor, or {errors: [{field, message}]} if nothing was
-- changed. Raises PT404 if no monitor has the id. Waits for the monitor's lock.
create or replace function punctual.update_monitor(p_id text, p_changes jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_before punctual.monitors := punctual.lock_monitor(p_id);
  m punctual.monitors;
  v_errors jsonb;
begin
  m := jsonb_populate_record(v_before, p_changes);
  v_errors := punctual.find_monitor_faults(jsonb_build_array(to_jsonb(m)));
  if v_errors is not null then
    return jsonb_build_object('errors', (select jsonb_agg(e - 'index') from jsonb_array_elements(v_errors) e));
  end if;
  update punctual.monitors t set
    name = m.name, url = m.url, method = m.method, headers = m.headers, expected_status = m.expected_status, keyword_present = m.keyword_present,
    keyword_absent = m.keyword_absent, timeout_ms = m.timeout_ms, max_redirects = m.max_redirects, degraded_ms = m.degraded_ms,
    certificate_days = m.certificate_days, interval_seconds = m.interval_seconds, criticality = m.criticality, is_active = m.is_active,
    preferred_region = m.preferred_region, only_regions = m.only_regions, confirm_failures = m.confirm_failures, confirm_checks = m.confirm_checks,
    -- A changed monitor is checked soon.
    next_check_at = case when (m.url, m.interval_seconds, m.is_active) is distinct from (v_before.url, v_before.interval_seconds, v_before.is_active)
                         then punctual.first_check_at(m.id, m.interval_seconds, v_now) else t.next_check_at end
   where t.id = m.id;
  return punctual.read_monitor(p_id, v_now);
end
$$;

select punctual.close_to_public();
select punctual.note_migration('20261201001445', 'refuse_unknown_monitors');
