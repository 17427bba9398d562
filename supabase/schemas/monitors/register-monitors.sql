select punctual.add_queue('monitors', 'punctual.monitors', 'next_check_at', 'at-least-once', p_status_column => 'status',
  p_words => '{"pending": "scheduled", "running": "checking", "cancelled": "inactive"}',
  p_partition_column => 'region',
  p_after_settle => 'punctual.settle_checks',
  p_before_claim => 'punctual.place_monitors',
  -- Headers may hold tokens.
  p_secret_columns => '{headers}',
  -- A check mostly waits for the network, so many run side by side. A check is due again within a minute after its tick died, however often that
  -- happens. Inactive monitors are kept.
  p_settings => '{"batch_limit": null, "concurrency": 100, "timeout_seconds": 13, "max_attempts": 1000000, "backoff_base_seconds": 5,
                  "backoff_cap_seconds": 60, "retention_days": null}');

create index monitors_away on punctual.monitors (home_region) where region <> home_region;
create index monitors_homeless on punctual.monitors (id) where home_region is null;

create trigger prepare_monitor before insert or update of
  url, method, headers, expected_status, keyword_present, keyword_absent, timeout_ms, max_redirects, interval_seconds, criticality, is_active,
  preferred_region, only_regions on punctual.monitors
  for each row execute function punctual.prepare_monitor();

-- Deactivates a monitor when an operator cancels its row.
create function punctual.deactivate_monitor() returns trigger
language plpgsql set search_path = '' as $$
begin
  update punctual.monitors m set is_active = false where m.id = new.id;
  return null;
end
$$;
create trigger deactivate_monitor after update of status on punctual.monitors
  for each row when (new.status = 'inactive' and new.is_active) execute function punctual.deactivate_monitor();

-- Adds the partition of a new region.
create function punctual.add_region_partition() returns trigger
language plpgsql set search_path = '' as $$
begin
  insert into punctual.partitions (queue, partition) values ('monitors', new.name) on conflict do nothing;
  return null;
end
$$;
create trigger add_region_partition after insert on punctual.regions for each row execute function punctual.add_region_partition();

insert into punctual.regions (name, is_default) values ('main', true), ('fra1', false), ('sin1', false);
