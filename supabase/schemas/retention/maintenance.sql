-- Returns whether the day's roll-up and retention are still to run. One cron entry that does everything runs them once each UTC day.
create function punctual.is_maintenance_due(p_now timestamptz default null) returns boolean
language sql stable set search_path = '' as $$
  select s.maintenance_done_on is distinct from (coalesce(p_now, clock_timestamp()) at time zone 'UTC')::date from punctual.settings s
$$;

-- Notes that the day's roll-up and retention have run.
create function punctual.note_maintenance(p_now timestamptz default null) returns void
language sql set search_path = '' as $$
  update punctual.settings set maintenance_done_on = (coalesce(p_now, clock_timestamp()) at time zone 'UTC')::date
$$;
