-- Returns the names and words of a queue's table as SQL, by the placeholders of render_sql and of templates that they replace:
--
-- {table} {id_type} {queue}       the table, the type of its id, the queue's name
-- {status} {status_type} {due} {account} {partition} {addressee} {progress} {proof} {waits} {closes}  its columns, if it has them
-- {pending} {running} {done} {dead} {unknown} {cancelled}  its words for the states
-- {due_at}                        when the row t is due
create function punctual.names_of_queue(q punctual.queues) returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
  return jsonb_build_object(
    'table', format('%I.%I', q.table_schema, q.table_name), 'id_type', q.id_type, 'queue', quote_literal(q.name),
    'status', quote_ident(q.status_column), 'status_type', q.status_type, 'due', quote_ident(q.due_column),
    'account', quote_ident(q.account_column), 'partition', quote_ident(q.partition_column), 'addressee', quote_ident(q.pair_column),
    'progress', quote_ident(q.progress_column), 'proof', quote_ident(q.proof_column), 'waits', quote_ident(q.waits_column),
    'closes', quote_ident(q.closes_column),
    'pending', quote_literal(q.pending_word), 'running', quote_literal(q.running_word), 'done', quote_literal(q.done_word),
    'dead', quote_literal(q.dead_word), 'unknown', quote_literal(q.unknown_word), 'cancelled', quote_literal(q.cancelled_word),
    'due_at', format('coalesce(t.next_attempt_at, t.%I)', q.due_column));
end
$$;

-- Returns a statement on a queue's table: replaces the placeholders of the template by the queue's names, then formats it with p_args. Written in
-- plpgsql, as is every function that a call needs often: the body of a function in SQL is planned anew in each transaction.
create function punctual.render_sql(q punctual.queues, p_template text, variadic p_args text[] default '{}') returns text
language plpgsql immutable set search_path = '' as $$
declare
  v_text text := p_template;
  v_name record;
begin
  -- A { in a user's name starts no placeholder, and a % in it formats no argument.
  for v_name in select n.key, n.value from jsonb_each_text(punctual.names_of_queue(q)) n where n.value is not null loop
    v_text := replace(v_text, '{' || v_name.key || '}', replace(replace(v_name.value, '%', '%%'), '{', U&'\E000'));
  end loop;
  return format(replace(v_text, U&'\E000', '{'), variadic p_args);
end
$$;
