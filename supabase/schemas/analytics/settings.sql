-- Daily figures of every queue, and settings of retention. The figures are rolled up from rows, checks and the ledger while these exist, and
-- outlive them.

-- Settings that an operator may change at any time, in one row. A null number of days keeps that kind forever. For settled rows see
-- queues.retention_days.
create table punctual.settings (
  only_row boolean primary key default true check (only_row),
  -- The zone of the figures' days. A change leaves figures that are already rolled up as they are.
  time_zone text not null default 'UTC' constraint settings_time_zone_exists check (punctual.is_time_zone(time_zone)),
  ticks_days integer default 7 check (ticks_days between 1 and 36500),
  idle_ticks_days integer default 2 check (idle_ticks_days between 1 and 36500),
  -- For queues that keep their rows forever. In other queues an event is deleted after queues.retention_days.
  history_days integer default 365 check (history_days between 1 and 36500),
  receipts_days integer default 30 check (receipts_days between 1 and 36500),
  -- Variables, last reply and timeline of an enrolment that has ended.
  enrolment_texts_days integer default 90 check (enrolment_texts_days between 1 and 36500),
  -- Idempotency keys of pruned rows, from the pruning on.
  idempotency_keys_days integer default 90 check (idempotency_keys_days between 1 and 36500),
  monitor_checks_days integer default 14 check (monitor_checks_days between 1 and 36500),
  -- The uptime over a month is computed from these hours.
  monitor_hours_days integer default 31 check (monitor_hours_days between 1 and 36500),
  incidents_days integer default 365 check (incidents_days between 1 and 36500),
  audit_days integer default 365 check (audit_days between 1 and 36500),
  -- The daily figures.
  daily_days integer default 730 check (daily_days between 1 and 36500),
  -- The UTC day for which roll-up and retention are done, for a scheduler that calls one endpoint for all work.
  maintenance_done_on date,
  -- Inserts notify workers: see notify_worker. A worker on a direct connection sets it.
  notifies_workers boolean not null default false
);
insert into punctual.settings default values;
