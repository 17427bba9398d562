-- Sets the columns that follow from those that users set.
create function punctual.prepare_monitor() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.priority := array_position(array['critical', 'high', 'normal', 'low'], new.criticality) - 1;
  -- Adds 3 s for the canaries: see lib/queues/monitors/queue.ts.
  new.timeout_seconds := ceil(new.timeout_ms / 1000.0) + 3;
  if tg_op = 'INSERT' then
    new.home_region := new.preferred_region;
    new.region := coalesce(new.region, new.preferred_region, new.only_regions[1], (select r.name from punctual.regions r where r.is_default));
    new.next_check_at := coalesce(new.next_check_at, punctual.first_check_at(new.id, new.interval_seconds, clock_timestamp()));
  else
    if (new.preferred_region, new.only_regions) is distinct from (old.preferred_region, old.only_regions) then
      new.home_region := new.preferred_region;
      if new.region <> all (new.only_regions) then new.region := coalesce(new.preferred_region, new.only_regions[1]); end if;
    end if;
    if (new.interval_seconds <> old.interval_seconds or (new.is_active and not old.is_active)) and new.next_check_at = old.next_check_at then
      new.next_check_at := punctual.first_check_at(new.id, new.interval_seconds, clock_timestamp());
    end if;
    if (new.url, new.method, new.headers, new.expected_status, new.keyword_present, new.keyword_absent, new.timeout_ms, new.max_redirects)
       is distinct from (old.url, old.method, old.headers, old.expected_status, old.keyword_present, old.keyword_absent, old.timeout_ms, old.max_redirects)
       or new.is_active <> old.is_active then
      new.judged_from := greatest(old.judged_from, old.last_checked_at + interval '1 microsecond');
      new.suspect_since := null;
      if old.status = 'checking' then
        new.status := 'scheduled';
        new.claim_id := null;
        new.lease_expires_at := null;
      end if;
    end if;
    if old.is_active and not new.is_active then
      update punctual.incidents i set ended_at = clock_timestamp(), closed_at = clock_timestamp() where i.monitor_id = new.id and i.closed_at is null;
      new.state := null;
      new.state_since := null;
    end if;
  end if;
  if not new.is_active and new.status = 'scheduled' then
    new.status := 'inactive';
  elsif new.is_active and new.status in ('inactive', 'dead', 'done') then
    new.status := 'scheduled';
    new.attempts := 0;
    new.next_attempt_at := null;
    new.finished_at := null;
    new.last_error := null;
  end if;
  return new;
end
$$;
