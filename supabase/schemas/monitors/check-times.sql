-- The first instant after p_after of a monitor's own grid. Its phase comes of its id, so that monitors of one interval are spread over it.
-- Intervals of whole minutes keep away from the minute's first 15 and last 5 seconds, which is when schedulers of a minute call: at
-- their margin a scheduler that comes now a little early, now a little late would pass over a check, and make it twice as long in coming.
create function punctual.next_on_grid(p_id bigint, p_interval_seconds integer, p_after timestamptz) returns timestamptz
language plpgsql immutable set search_path = '' as $$
declare
  v_hash bigint := hashint8extended(p_id, 7) & 9007199254740991;
  v_step bigint := p_interval_seconds * 1000::bigint;
  v_after bigint := floor(extract(epoch from p_after) * 1000);
  v_phase bigint;
begin
  v_phase := case when p_interval_seconds % 60 = 0 then (v_hash / 40000) % (p_interval_seconds / 60) * 60000 + 15000 + v_hash % 40000
                  else v_hash % v_step end;
  return timestamptz 'epoch' + (v_phase + ((v_after - v_phase) / v_step + 1) * v_step) * interval '1 millisecond';
end
$$;

-- When a new monitor is checked first: within its interval, and within a minute.
create function punctual.first_check_at(p_id bigint, p_interval_seconds integer, p_now timestamptz) returns timestamptz
language sql immutable set search_path = '' as $$
  select p_now + ((hashint8extended(p_id, 8) & 9007199254740991) % (least(p_interval_seconds, 60) * 1000)) * interval '1 millisecond'
$$;
