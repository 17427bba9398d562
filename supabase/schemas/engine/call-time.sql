-- Returns whether the current call has used up its time. Its loops stop then, and the next call continues where they stopped: a call that the
-- statement timeout ends keeps nothing. The setting punctual.call_ms is the limit in milliseconds, 750 by default. With 0 each loop runs once.
-- Measures by the machine's clock and ignores p_now, because this limits cost.
create function punctual.is_call_over() returns boolean
language plpgsql set search_path = '' as $$
begin
  return clock_timestamp() - statement_timestamp()
      >= coalesce(nullif(current_setting('punctual.call_ms', true), ''), '750')::integer * interval '1 millisecond';
end
$$;
