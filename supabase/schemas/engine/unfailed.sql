-- SQL: nothing of the row (its id as text, SQL) has failed for an hour, since this instant (SQL). Rows that cannot be written keep nobody waiting
-- behind them.
create function punctual.unfailed_condition(q punctual.queues, p_row_id text, p_since text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return format('not exists (select from punctual.history h where h.queue = %L and h.row_id = %s and h.event = ''error'' and h.at > p_now - interval ''1 hour'' '
                'and h.at >= %s)', q.name, p_row_id, p_since);
end
$$;
