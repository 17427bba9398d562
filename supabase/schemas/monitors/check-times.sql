-- Returns a monitor's next check time after p_after. The check times form a grid with the monitor's interval. The grid's phase follows from the
-- id, so that the monitors of one interval are spread over it. With an interval of whole minutes, no check falls into a minute's first 15 or last
-- 5 seconds. Minutely schedulers call then, a little early or late each time. A call just before a due check would miss it and double its wait.
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

-- Returns when a new monitor is checked first: within its interval, and within a minute.
create function punctual.first_check_at(p_id bigint, p_interval_seconds integer, p_now timestamptz) returns timestamptz
language sql immutable set search_path = '' as $$
  select p_now + ((hashint8extended(p_id, 8) & 9007199254740991) % (least(p_interval_seconds, 60) * 1000)) * interval '1 millisecond'
$$;
