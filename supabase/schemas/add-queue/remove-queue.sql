-- Removes a queue: its table becomes a plain table again. Owner only.
--
-- Deletes the queue's ledger, history, partitions, pace and receipts. Drops what add_queue created on the table: triggers, indexes, the check on
-- priority and the autovacuum settings. The rows, columns, defaults and grants stay. Also works if the table is gone.
--
-- p_drop_columns  also drops the columns that add_queue added, with their contents.
--
-- Returns {queue, table: null if it is gone, dropped: [columns]}. Raises PT404 for an unknown queue, 42809 for a queue of Punctual's own, and 55006
-- while a tick holds rows. Locks the ledger first, so that no exchange runs meanwhile.
create function punctual.remove_queue(p_name text, p_drop_columns boolean default false) returns jsonb
language plpgsql set search_path = '' as $$
declare
  q punctual.queues;
  v_table regclass;
  v_is_held boolean := false;
  v_name text;
  v_dropped text[] := '{}';
begin
  select * into q from punctual.queues x where x.name = p_name;
  if not found then raise exception 'remove_queue: there is no queue "%"', p_name using errcode = 'PT404'; end if;
  v_table := to_regclass(format('%I.%I', q.table_schema, q.table_name));
  if q.table_schema = 'punctual' then
    raise exception 'remove_queue: the table of % is Punctual''s own', p_name
      using errcode = '42809', hint = format('Pause it: update punctual.queues set paused_at = now() where name = %L;', p_name);
  end if;
  lock table punctual.ticks in exclusive mode;
  if v_table is not null then
    begin
      execute punctual.render_sql(q, 'select exists (select from {table} t where t.{status} = {running} and t.lease_expires_at > clock_timestamp())') into v_is_held;
    exception when undefined_column then
      null; -- The table was dropped, and another one was created under its name.
    end;
    if v_is_held then
      raise exception 'remove_queue: a tick holds rows of %', p_name using errcode = '55006',
        hint = format('Pause the queue and wait until the rows are settled: update punctual.queues set paused_at = now() where name = %L;', p_name);
    end if;
    for v_name in
      select g.tgname from pg_catalog.pg_trigger g join pg_catalog.pg_proc p on p.oid = g.tgfoid
       where g.tgrelid = v_table and p.pronamespace = 'punctual'::regnamespace and starts_with(g.tgname, 'punctual_')
    loop
      execute format('drop trigger %I on %s', v_name, v_table);
    end loop;
    for v_name in
      select i.indexrelid::regclass from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
       where i.indrelid = v_table and c.relname in (select n.name from punctual.queue_indexes(q) n)
    loop
      execute format('drop index %s', v_name);
    end loop;
    execute format('alter table %s drop constraint if exists %I', v_table, punctual.priority_check(q));
    execute format('alter table %s reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_analyze_scale_factor, '
                   'autovacuum_vacuum_cost_delay)', v_table);
    if p_drop_columns then
      for v_name in
        select c from jsonb_array_elements_text(q.setup->'added') c where punctual.type_of_column(v_table, c) is not null
      loop
        execute format('alter table %s drop column %I', v_table, v_name);
        v_dropped := v_dropped || v_name;
      end loop;
    end if;
  end if;
  perform punctual.drop_functions(p_name);
  delete from punctual.receipts where queue = p_name;
  delete from punctual.queues where name = p_name;
  return jsonb_build_object('queue', p_name, 'table', v_table::text, 'dropped', to_jsonb(v_dropped));
end
$$;
