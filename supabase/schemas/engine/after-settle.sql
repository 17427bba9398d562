-- What a queue's own function settles by SQL, in another queue, is settled by hand and no settle of ours: see tell_by_hand.
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

-- Tells the queue's after_settle of rows that no settle brought.
create function punctual.tell_after_settle(q punctual.queues, p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if q.after_settle is null or p_applied is null then return; end if;
  perform punctual.do_isolated(q, format('select punctual.call_after_settle(%L, $1, $2)', q.after_settle), p_applied,
                               q.after_settle || ' could not be told of it', p_now);
end
$$;
