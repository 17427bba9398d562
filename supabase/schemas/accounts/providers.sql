-- A provider that failed as a whole, or refuses our set-up, waits, the longer the more often in a row.
create table punctual.providers (
  name text primary key,
  failures integer not null default 0,
  paused_until timestamptz,
  -- After a pause one row at a time tries the provider, until it answers.
  probing_until timestamptz,
  last_error text,
  -- Calls in a row that it refused because our set-up is wrong: a person has to act.
  refusals integer not null default 0
);
