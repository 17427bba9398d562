-- Whether the call under way has taken long enough. Its loops stop then, and the next call goes on where they stopped: one that the statement
-- timeout ends has done nothing. punctual.call_ms: how long, 750 unless set; with 0 each loop goes round once. This is cost and not time:
-- the machine's own clock counts, whatever p_now is.
create function punctual.is_call_over() returns boolean
language plpgsql set search_path = '' as $$
begin
  return clock_timestamp() - statement_timestamp()
      >= coalesce(nullif(current_setting('punctual.call_ms', true), ''), '750')::integer * interval '1 millisecond';
end
$$;
