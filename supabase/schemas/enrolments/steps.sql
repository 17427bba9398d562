-- Returns the first instant from p_at on that is within a step's hours; null hours are always open. 'infinity' if there is no such instant, or
-- if the zone is unknown.
create function punctual.step_opens_at(p_hours jsonb, p_zone text, p_at timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  if p_hours is null or jsonb_typeof(p_hours) = 'null' then return p_at; end if;
  return punctual.next_open_at(p_hours, p_zone, p_at);
exception when invalid_parameter_value then
  -- A zone that this Postgres does not know, or not any more.
  return 'infinity';
end
$$;

-- Returns the end of the span of hours that contains p_at, p_at itself if none does, or null if the step has no hours.
create function punctual.step_closes_at(p_hours jsonb, p_zone text, p_at timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_at timestamptz := p_at;
  v_local timestamp;
  v_end timestamp;
  v_closes timestamptz;
begin
  if p_hours is null or jsonb_typeof(p_hours) = 'null' then return null; end if;
  -- If the clocks change before the end, the search continues from the change. See next_open_at.
  for v_changes in 0..3 loop
    v_local := v_at at time zone p_zone;
    select min(v_local::date + right(s, 5)::time) into v_end from jsonb_array_elements_text(punctual.spans_on(p_hours, v_local::date)) s
     where v_local::date + left(s, 5)::time <= v_local and v_local::date + right(s, 5)::time > v_local;
    exit when v_end is null;
    v_closes := ((v_at at time zone 'UTC') + (v_end - v_local)) at time zone 'UTC';
    if v_closes at time zone p_zone = v_end then return v_closes; end if;
    v_at := punctual.clock_change(p_zone, v_at, v_closes);
  end loop;
  return v_at;
end
$$;

create function punctual.read_step(p_sequence_id bigint, p_version integer, p_step integer) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (select v.steps->(p_step - 1) from punctual.sequence_versions v where v.sequence_id = p_sequence_id and v.version = p_version);
end
$$;
