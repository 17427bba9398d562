-- When an account may go. Plpgsql throughout: it keeps its plans, where a function in SQL that cannot be inlined is planned at each
-- call, a hundred times a claim. Everything here is asked at the claim, under the lock of the account's pace, and by people who want to know
-- why a row has not gone out: there is no other definition.

-- The spans of hours of one day: ["09:00-12:00", …]; null where the day is closed.
create function punctual.spans_on(p_hours jsonb, p_day date) returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
  return p_hours -> (array['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])[extract(isodow from p_day)::integer];
end
$$;

-- Whether an account is open at this local time.
create function punctual.is_open(p_hours jsonb, p_local timestamp) returns boolean
language plpgsql immutable set search_path = '' as $$
declare
  v_spans jsonb := punctual.spans_on(p_hours, p_local::date);
  -- Times of the day of one form compare as text; 24:00 comes after all of them.
  v_time text := to_char(p_local, 'HH24:MI');
begin
  for n in 0 .. coalesce(jsonb_array_length(v_spans), 0) - 1 loop
    if v_time >= left(v_spans->>n, 5) and v_time < right(v_spans->>n, 5) then return true; end if;
  end loop;
  return false;
end
$$;

-- The instant after p_from at which the zone's clocks change, given that they have changed by p_to. By halves, to the second: 20 steps for
-- a week.
create function punctual.clock_change(p_zone text, p_from timestamptz, p_to timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_before bigint := floor(extract(epoch from p_from));
  v_after bigint := ceil(extract(epoch from p_to));
  v_offset interval := (p_from at time zone p_zone) - (p_from at time zone 'UTC');
  v_at timestamptz;
begin
  while v_after - v_before > 1 loop
    v_at := to_timestamp((v_before + v_after) / 2);
    if (v_at at time zone p_zone) - (v_at at time zone 'UTC') = v_offset then
      v_before := (v_before + v_after) / 2;
    else
      v_after := (v_before + v_after) / 2;
    end if;
  end loop;
  return to_timestamp(v_after);
end
$$;

-- The first instant from p_from on at which the hours are open; 'infinity' when they never are.
create function punctual.next_open_at(p_hours jsonb, p_zone text, p_from timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_at timestamptz := p_from;
  v_local timestamp;
  v_opens timestamp;
  v_next timestamptz;
begin
  if punctual.is_open(p_hours, p_from at time zone p_zone) then return p_from; end if;
  -- As though the clocks did not change. Where they do before the hours open, the search goes on from that instant: a local time may come
  -- twice, or never.
  for v_changes in 0..3 loop
    v_local := v_at at time zone p_zone;
    for n in 0..7 loop
      select min(greatest(v_local::date + n + left(s, 5)::time, v_local)) into v_opens
        from jsonb_array_elements_text(punctual.spans_on(p_hours, v_local::date + n)) s where v_local::date + n + right(s, 5)::time > v_local;
      exit when v_opens is not null;
    end loop;
    exit when v_opens is null;
    -- In UTC: days that are added to an instant are days of the session's zone.
    v_next := ((v_at at time zone 'UTC') + (v_opens - v_local)) at time zone 'UTC';
    if v_next at time zone p_zone = v_opens then return v_next; end if;
    v_at := punctual.clock_change(p_zone, v_at, v_next);
  end loop;
  return 'infinity';
end
$$;
