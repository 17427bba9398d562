-- A statement on a queue's table: format() of the template, in which {status} is the column that says a row's state.
-- In plpgsql, as whatever a call needs many times: the body of a function in SQL is planned anew in each transaction.
create function punctual.render_sql(q punctual.queues, p_template text, variadic p_args text[]) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return format(replace(p_template, '{status}', replace(quote_ident(q.status_column), '%', '%%')), variadic p_args);
end
$$;
