-- SQL: nothing of the row (its id as text, SQL) has failed for an hour. Rows that cannot be written keep nobody waiting behind them.
create function punctual.unfailed_condition(q punctual.queues, p_row_id text, p_now text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return format('not exists (select from punctual.history h where h.queue = %L and h.row_id = %s and h.event = ''error'' and h.at > %s - interval ''1 hour'')',
                q.name, p_row_id, p_now);
end
$$;
