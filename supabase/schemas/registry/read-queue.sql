-- Returns the hint for a queue whose table is gone or cannot be read.
create function punctual.missing_table_hint(p_name text) returns text
language sql immutable set search_path = '' as $$
  select format('Restore it, or remove the queue: select punctual.remove_queue(%L);', p_name)
$$;

-- Returns a queue by name. Raises PT404 if the queue or its table does not exist.
create function punctual.read_queue(p_name text) returns punctual.queues
language plpgsql stable set search_path = '' as $$
declare
  q punctual.queues;
begin
  select * into q from punctual.queues where name = p_name;
  if not found then
    raise exception 'there is no queue "%"', p_name using errcode = 'PT404',
      hint = case p_name when 'pgmq' then 'Add a message queue with add_message_queue().' else 'Add a table as a queue with add_queue().' end;
  end if;
  if q.source = 'table' and to_regclass(format('%I.%I', q.table_schema, q.table_name)) is null then
    raise exception 'the table %.% of the queue % does not exist', q.table_schema, q.table_name, q.name
      using errcode = 'PT404', hint = punctual.missing_table_hint(q.name);
  end if;
  return q;
end
$$;
