-- Returns a SQL condition: the history has no error of the row since p_since in the last hour. So a row that cannot be written is tried once an hour
-- and does not block others. p_row_id: SQL of the row's id as text. p_since: SQL of an instant.
create function punctual.unfailed_condition(q punctual.queues, p_row_id text, p_since text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return format('not exists (select from punctual.history h where h.queue = %L and h.row_id = %s and h.event = ''error'' and h.at > p_now - interval ''1 hour'' '
                'and h.at >= %s)', q.name, p_row_id, p_since);
end
$$;
