-- Calls an after_settle function with the setting punctual.settles cleared. Rows of other queues that it settles by SQL then count as settled by
-- hand: see note_settled_by_hand. p_applied: as add_queue describes it. Raises what the function raises.
create function punctual.call_after_settle(p_function text, p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_settles text := current_setting('punctual.settles', true);
begin
  perform set_config('punctual.settles', '', true);
  execute format('select %s($1, $2)', p_function) using p_applied, p_now;
  perform set_config('punctual.settles', coalesce(v_settles, ''), true);
end
$$;

-- Calls the queue's after_settle for rows that were swept, expired, restored or settled by hand. If the batch raises, each row is retried alone, so
-- one bad row cannot block the others. The error goes to that row's history.
create function punctual.run_after_settle_isolated(q punctual.queues, p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if q.after_settle is null or p_applied is null then return; end if;
  perform punctual.do_isolated(q, format('select punctual.call_after_settle(%L, $1, $2)', q.after_settle), p_applied,
                               q.after_settle || ' failed', p_now);
end
$$;
