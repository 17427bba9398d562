-- The rules of when an account may send, in pace/*.sql. Claims use them under the lock of the account's pace, and explain_row uses them to say why
-- a row waits. There is no other definition. All are in plpgsql, which keeps its plans: a SQL function that cannot be inlined is planned at each
-- call, a hundred times a claim.

-- Returns the spans of one day's hours, ["09:00-12:00", …]; null if the day is closed.
create function punctual.spans_on(p_hours jsonb, p_day date) returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
  return p_hours -> (array['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])[extract(isodow from p_day)::integer];
end
$$;

-- Returns whether the hours are open at this local time.
create function punctual.is_open(p_hours jsonb, p_local timestamp) returns boolean
language plpgsql immutable set search_path = '' as $$
declare
  v_spans jsonb := punctual.spans_on(p_hours, p_local::date);
  -- Times of day in this format compare as text, and 24:00 is after all of them.
  v_time text := to_char(p_local, 'HH24:MI');
begin
  for n in 0 .. coalesce(jsonb_array_length(v_spans), 0) - 1 loop
    if v_time >= left(v_spans->>n, 5) and v_time < right(v_spans->>n, 5) then return true; end if;
  end loop;
  return false;
end
$$;

-- Returns the instant after p_from at which the zone's clocks change, to the second. They must have changed by p_to. Searches by halves: 20 steps
-- for a week.
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

-- Returns the first instant from p_from on at which the hours are open; 'infinity' if they never are.
create function punctual.next_open_at(p_hours jsonb, p_zone text, p_from timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_at timestamptz := p_from;
  v_local timestamp;
  v_opens timestamp;
  v_next timestamptz;
begin
  if punctual.is_open(p_hours, p_from at time zone p_zone) then return p_from; end if;
  -- Computes as if the clocks did not change. If they change before the hours open, continues from the change: a local time may occur twice or never.
  for v_changes in 0..3 loop
    v_local := v_at at time zone p_zone;
    for n in 0..7 loop
      select min(greatest(v_local::date + n + left(s, 5)::time, v_local)) into v_opens
        from jsonb_array_elements_text(punctual.spans_on(p_hours, v_local::date + n)) s where v_local::date + n + right(s, 5)::time > v_local;
      exit when v_opens is not null;
    end loop;
    exit when v_opens is null;
    -- Adds in UTC, because Postgres adds days to an instant in the session's time zone.
    v_next := ((v_at at time zone 'UTC') + (v_opens - v_local)) at time zone 'UTC';
    if v_next at time zone p_zone = v_opens then return v_next; end if;
    v_at := punctual.clock_change(p_zone, v_at, v_next);
  end loop;
  return 'infinity';
end
$$;

-- Returns for how many seconds the hours are open in each of p_count hours from p_now on, and not before p_from, which is finite. Counts as if the clocks did not change
-- meanwhile. At most a day.
create function punctual.open_seconds(p_hours jsonb, p_zone text, p_from timestamptz, p_count integer, p_now timestamptz) returns integer[]
language plpgsql stable set search_path = '' as $$
declare
  v_local timestamp := p_now at time zone p_zone;
  v_from timestamp := v_local + (p_from - p_now);
begin
  return array(
    select coalesce((
             select sum(greatest(0, extract(epoch from least(d.day + right(s, 5)::time, v_local + n * interval '1 hour')
                                                     - greatest(d.day + left(s, 5)::time, v_local + (n - 1) * interval '1 hour', v_from))))
               from (values (v_local::date), (v_local::date + 1)) d (day) cross join jsonb_array_elements_text(punctual.spans_on(p_hours, d.day)) s), 0)::integer
      from generate_series(1, p_count) n);
end
$$;
