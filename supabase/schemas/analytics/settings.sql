-- What every queue did, by the day, and the pruning of what is old. The figures are rolled up from rows, checks and the ledger as long as
-- these are there, and outlive them.

-- What an operator may change at any time: one row. Days null: that kind is kept for ever. Settled rows have queues.retention_days.
create table punctual.settings (
  only_row boolean primary key default true check (only_row),
  -- Whose midnight ends a day of the figures. What was rolled up before it was changed stays as it is.
  time_zone text not null default 'UTC' constraint settings_time_zone_exists check (punctual.is_time_zone(time_zone)),
  ticks_days integer default 7 check (ticks_days between 1 and 36500),
  idle_ticks_days integer default 2 check (idle_ticks_days between 1 and 36500),
  -- Of queues whose rows are kept for ever: elsewhere what became of rows goes with them.
  history_days integer default 365 check (history_days between 1 and 36500),
  receipts_days integer default 30 check (receipts_days between 1 and 36500),
  -- Variables, last reply and timeline of an enrolment that is over.
  enrolment_texts_days integer default 90 check (enrolment_texts_days between 1 and 36500),
  -- Idempotency keys of rows that were pruned, from then on.
  idempotency_keys_days integer default 90 check (idempotency_keys_days between 1 and 36500),
  monitor_checks_days integer default 14 check (monitor_checks_days between 1 and 36500),
  -- Uptime over a month is reckoned from them.
  monitor_hours_days integer default 31 check (monitor_hours_days between 1 and 36500),
  incidents_days integer default 365 check (incidents_days between 1 and 36500),
  -- The figures of this file themselves.
  daily_days integer default 730 check (daily_days between 1 and 36500),
  -- The UTC day for which a scheduler with one entry for everything has had the roll-up and retention done.
  maintenance_done_on date
);
insert into punctual.settings default values;
