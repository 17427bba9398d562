-- Providers that failed as a whole or refuse our configuration. Each pauses, longer with each failure in a row.
create table punctual.providers (
  name text primary key,
  failures integer not null default 0,
  paused_until timestamptz,
  -- Until when one row tries the provider after a pause. No other row is sent meanwhile.
  probing_until timestamptz,
  last_error text,
  -- Calls in a row that it refused because our configuration is wrong. A person has to correct it.
  refusals integer not null default 0
);
