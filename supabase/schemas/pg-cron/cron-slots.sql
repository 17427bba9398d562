-- Whether a field of a cron expression includes the value, as pg_cron (Vixie's cron) reads it: lists, ranges, steps.
create function punctual.cron_field_has(p_field text, p_value integer, p_low integer, p_high integer) returns boolean
language sql immutable set search_path = '' as $$
  select exists (
    select from unnest(string_to_array(p_field, ',')) part,
           regexp_match(part, '^(\*|[0-9]{1,2})(?:-([0-9]{1,2}))?(?:/([0-9]{1,2}))?$') m,
           lateral (select case m[1] when '*' then p_low else m[1]::integer end as first,
                           case m[1] when '*' then p_high else coalesce(m[2], m[1])::integer end as last,
                           coalesce(m[3], '1')::integer as step) r
     where p_value between r.first and r.last and (p_value - r.first) % nullif(r.step, 0) = 0)
$$;

-- Returns the latest instant of a five-field schedule from an hour before p_now up to p_now; null if there is none.
create function punctual.find_cron_slot(p_schedule text, p_now timestamptz, p_zone text default 'GMT') returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_fields text[] := string_to_array(lower(p_schedule), ' ');
  v_names text[];
  v_at timestamptz;
  v_local timestamp;
  v_dates boolean;
  v_weekdays boolean;
begin
  v_names := '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}';
  for n in 1..12 loop v_fields[4] := replace(v_fields[4], v_names[n], n::text); end loop;
  v_names := '{sun,mon,tue,wed,thu,fri,sat}';
  for n in 1..7 loop v_fields[5] := replace(v_fields[5], v_names[n], (n - 1)::text); end loop;
  for v_minutes in 0..60 loop
    v_at := date_trunc('minute', p_now, 'GMT') - make_interval(mins => v_minutes);
    v_local := v_at at time zone p_zone;
    if punctual.cron_field_has(v_fields[1], extract(minute from v_local)::integer, 0, 59)
       and punctual.cron_field_has(v_fields[2], extract(hour from v_local)::integer, 0, 23)
       and punctual.cron_field_has(v_fields[4], extract(month from v_local)::integer, 1, 12) then
      v_dates := punctual.cron_field_has(
        -- $ is the month's last day.
        replace(v_fields[3], '$', extract(day from date_trunc('month', v_local) + interval '1 month - 1 day')::text),
        extract(day from v_local)::integer, 1, 31);
      v_weekdays := punctual.cron_field_has(v_fields[5], extract(dow from v_local)::integer, 0, 7)
                 or (extract(dow from v_local) = 0 and punctual.cron_field_has(v_fields[5], 7, 0, 7));
      -- If the day of the month and the day of the week are both given, one of them is enough.
      if (case when v_fields[3] like '*%' or v_fields[5] like '*%' then v_dates and v_weekdays else v_dates or v_weekdays end) then
        return v_at;
      end if;
    end if;
  end loop;
  return null;
end
$$;
