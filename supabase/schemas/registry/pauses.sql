-- Pauses of queues and partitions. Whoever asks whether one is paused asks here.

-- Returns when a pause that began at p_paused_at ends: null if there is none at p_now, 'infinity' if somebody has to resume. An end that is not after
-- the beginning belongs to an earlier pause, and does not count.
create function punctual.pause_end(p_paused_at timestamptz, p_paused_until timestamptz, p_now timestamptz) returns timestamptz
language plpgsql immutable set search_path = '' as $$
begin
  if p_paused_at is null or p_paused_at > p_now then return null; end if;
  if p_paused_until is null or p_paused_until <= p_paused_at then return 'infinity'; end if;
  return case when p_paused_until > p_now then p_paused_until end;
end
$$;

-- Returns when the pauses of a queue and its partition have ended: null if neither is paused.
create function punctual.pauses_end(q punctual.queues, p_partition punctual.partitions, p_now timestamptz) returns timestamptz
language plpgsql immutable set search_path = '' as $$
begin
  return greatest(punctual.pause_end(q.paused_at, q.paused_until, p_now), punctual.pause_end(p_partition.paused_at, p_partition.paused_until, p_now));
end
$$;

-- Returns a pause for the API: {paused_at, paused_until, paused_reason}, all null if there is none at p_now. paused_until is null if the pause has no
-- end.
create function punctual.describe_pause(p_paused_at timestamptz, p_paused_until timestamptz, p_reason text, p_now timestamptz) returns jsonb
language plpgsql immutable set search_path = '' as $$
declare
  v_end timestamptz := punctual.pause_end(p_paused_at, p_paused_until, p_now);
begin
  return jsonb_build_object(
    'paused_at', case when v_end is not null then p_paused_at end,
    'paused_until', case when v_end < 'infinity' then v_end end,
    'paused_reason', case when v_end is not null then p_reason end);
end
$$;
