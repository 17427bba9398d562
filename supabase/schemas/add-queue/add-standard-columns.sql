-- Adds the missing status and standard columns, and returns their names. Raises 22023 rather than guess the state of rows without a status: the first
-- tick would send pending ones.
create function punctual.add_standard_columns(p_table regclass, q punctual.queues, p_existing_rows text) returns text[]
language plpgsql set search_path = '' as $$
declare
  v_added text[] := '{}';
  v_column record;
  v_has_rows boolean;
begin
  if punctual.type_of_column(p_table, q.status_column) is null then
    execute punctual.render_sql(q, 'alter table {table} add column {status} text not null default %L '
                                   'check ({status} in ({cancelled}, {dead}, {done}, {pending}, {running}, {unknown}))',
                                punctual.word_of_state(q, coalesce(p_existing_rows, 'pending')));
    execute punctual.render_sql(q, 'alter table {table} alter column {status} set default {pending}');
    -- Reads under the lock of ALTER TABLE, so no row can be inserted meanwhile.
    execute punctual.render_sql(q, 'select exists (select from {table})') into v_has_rows;
    if v_has_rows and p_existing_rows is null then
      raise exception 'add_queue: % has rows and no column %, so the state of these rows is unknown', p_table, q.status_column
        using errcode = '22023',
              hint = 'Name their state: p_existing_rows => ''done'' (or ''cancelled''), or ''pending'' to run the due ones in the first tick. '
                     'If another column has the state, name it in p_status_column.';
    end if;
    v_added := v_added || q.status_column;
  end if;
  perform punctual.check_status_words(p_table, q.status_column,
    array[q.cancelled_word, q.dead_word, q.done_word, q.pending_word, q.running_word, q.unknown_word]);
  for v_column in
    select * from punctual.standard_columns(q) s where q.delivery = 'at-most-once' or s.name not in ('reconcile_at', 'reconcile')
  loop
    if punctual.add_column(p_table, v_column.name, v_column.type, v_column.definition) then
      v_added := v_added || v_column.name;
    end if;
  end loop;
  return v_added;
end
$$;

-- Takes over existing columns. Raises 22023 for values and defaults that ticks cannot use. Gives priority and attempts a default and `not null`, and
-- priority a check. p_added: the columns that were just added. Returns notes of its changes.
create function punctual.take_over_columns(p_table regclass, q punctual.queues, p_added text[]) returns text[]
language plpgsql set search_path = '' as $$
declare
  v_notes text[] := '{}';
  v_column record;
  v_default text;
  v_bad boolean;
begin
  for v_column in
    select c.* from (values
      ('priority', 'priority is not between 0 and 3', 'priority is null or priority not between 0 and 3', 1, true),
      ('attempts', 'attempts are null or negative', 'attempts is null or attempts < 0', 0, true),
      -- If these are null, the queue's settings apply.
      ('max_attempts', 'max_attempts is less than 1', 'max_attempts < 1', 5, false),
      ('timeout_seconds', 'timeout_seconds is less than 1', 'timeout_seconds < 1', 15, false)) c (name, said, bad, remedy, closed)
     where c.name <> all (p_added)
  loop
    execute format('select exists (select from %s where %s)', p_table, v_column.bad) into v_bad;
    if v_bad then
      raise exception 'add_queue: % has rows whose %', p_table, v_column.said
        using errcode = '22023',
              hint = format('update %s set %s = %s where %s, or rename your column.', p_table, v_column.name, v_column.remedy, v_column.bad);
    end if;
    select pg_get_expr(d.adbin, d.adrelid) into v_default
      from pg_catalog.pg_attribute a join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = p_table and a.attname = v_column.name;
    if v_default is not null then
      execute format('select %s from (select %s as %I) d', v_column.bad, v_default, v_column.name) into v_bad;
      if v_bad then
        raise exception 'add_queue: % has an invalid default (%): %', p_table, v_default, v_column.said
          using errcode = '22023',
                hint = format('alter table %s alter column %s set default %s, or rename your column.', p_table, v_column.name, v_column.remedy);
      end if;
    elsif v_column.closed then
      execute format('alter table %s alter column %s set default %s', p_table, v_column.name, v_column.remedy);
    end if;
    if v_column.closed then execute format('alter table %s alter column %s set not null', p_table, v_column.name); end if;
  end loop;
  if 'priority' <> all (p_added)
     and not exists (select from pg_catalog.pg_constraint c where c.conrelid = p_table and c.conname = punctual.priority_check(q)) then
    execute format('alter table %s add constraint %I check (priority between 0 and 3)', p_table, punctual.priority_check(q));
    v_notes := v_notes || format('priority has a new check, "%s": it must be between 0 and 3', punctual.priority_check(q));
  end if;
  return v_notes;
end
$$;
