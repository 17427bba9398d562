-- Returns whether Postgres has a time zone of that name. Postgres also accepts invented names with an offset (Mars3). Only the list of names, which
-- is slow to read, tells these from the few real names with digits (EST5EDT).
create function punctual.is_time_zone(p_name text) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  return (p_name ~ '^[A-Za-z]+([/_+-][A-Za-z0-9_+-]+)*$' and timezone(p_name, timestamptz '2000-01-01 00:00:00+00') is not null)
      or (p_name ~ '^[A-Z]{3}[0-9][A-Z]{0,3}$' and exists (select from pg_catalog.pg_timezone_names n where n.name = p_name));
exception when invalid_parameter_value then
  return false;
end
$$;

-- Returns whether p_hours are hours by weekday: {"mon": ["09:00-12:00", "13:00-24:00"]}. Each span begins before its end. A missing day is closed.
create function punctual.is_hours(p_hours jsonb) returns boolean
language plpgsql immutable set search_path = '' as $$
declare
  v_day record;
  v_span jsonb;
begin
  if jsonb_typeof(p_hours) <> 'object' then return false; end if;
  for v_day in select * from jsonb_each(p_hours) d (name, spans) loop
    if v_day.name not in ('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun') or jsonb_typeof(v_day.spans) <> 'array' then return false; end if;
    for v_span in select * from jsonb_array_elements(v_day.spans) loop
      if jsonb_typeof(v_span) <> 'string' or v_span #>> '{}' !~ '^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$'
         or split_part(v_span #>> '{}', '-', 1) >= split_part(v_span #>> '{}', '-', 2) then return false; end if;
    end loop;
  end loop;
  return true;
end
$$;
