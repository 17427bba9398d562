-- Returns whether the role has the rights of Punctual's owner, so that its code may run with them.
create function punctual.has_owner_rights(p_role oid) returns boolean
language sql stable set search_path = '' as $$
  select pg_has_role(p_role, n.nspowner, 'member') from pg_catalog.pg_namespace n where n.nspname = 'punctual'
$$;

-- Returns the table that p_table names. Raises an error with a hint if it cannot become the queue p_name.
create function punctual.find_queue_table(p_name text, p_table text) returns regclass
language plpgsql set search_path = '' as $$
declare
  v_parts text[];
  v_table regclass;
  v_other punctual.queues;
begin
  begin
    v_parts := parse_ident(p_table);
  exception when invalid_parameter_value then
    v_parts := null;
  end;
  if array_length(v_parts, 1) is distinct from 2 then
    raise exception 'add_queue: the table name "%" needs its schema', p_table
      using errcode = '22023', hint = 'For example ''public.free_trials''.';
  end if;
  v_table := to_regclass(format('%I.%I', v_parts[1], v_parts[2]));
  if v_table is null then
    raise exception 'add_queue: there is no table %', p_table
      using errcode = '42P01', hint = 'Check the spelling. A name with capitals needs its own quotes: ''public."FreeTrials"''.';
  end if;
  if v_parts[1] in ('pg_catalog', 'information_schema') or exists (
    select from pg_catalog.pg_class c where c.oid = v_table and (c.relkind <> 'r' or c.relpersistence <> 'p' or c.relispartition)) then
    raise exception 'add_queue: % is not an ordinary table', p_table
      using errcode = '42809', hint = 'Views, partitions, partitioned, foreign, unlogged and system tables cannot be queues.';
  end if;
  if exists (select from pg_catalog.pg_class c where c.oid = v_table and not punctual.has_owner_rights(c.relowner)) then
    raise exception 'add_queue: the owner of % lacks the rights of Punctual’s owner, with which after_restore runs the table’s triggers', p_table
      using errcode = '42501', hint = 'Run: alter table … owner to the owner of the schema punctual. Or make its owner a member of that role.';
  end if;
  if v_parts[1] = 'punctual' and v_parts[2] in ('queues', 'partitions', 'ticks', 'providers', 'accounts', 'pace', 'receipts', 'history', 'regions', 'monitor_checks',
                                                       'monitor_hours', 'incidents', 'settings', 'daily_outcomes', 'daily_checks', 'rollups',
                                                       'sequences', 'sequence_versions', 'enrolment_events', 'held_rows', 'whatsapp_users',
                                                       'queue_workers', 'queue_worker_tokens') then
    raise exception 'add_queue: the table % is reserved for Punctual', p_table using errcode = '42809', hint = 'Create a table of your own.';
  end if;
  select * into v_other from punctual.queues o where o.name <> p_name and (o.table_schema, o.table_name) = (v_parts[1], v_parts[2]);
  if found then
    raise exception 'add_queue: % is already the table of the queue %', p_table, v_other.name
      using errcode = '23505', hint = format('Use that queue, or remove it first: select punctual.remove_queue(%L);', v_other.name);
  end if;
  select * into v_other from punctual.queues o where o.name = p_name and (o.table_schema, o.table_name) <> (v_parts[1], v_parts[2]);
  if found then
    raise exception 'add_queue: the queue % has another table, %.%', p_name, v_other.table_schema, v_other.table_name
      using errcode = '23505', hint = 'Choose another name. If the table was renamed, update table_schema and table_name in punctual.queues.';
  end if;
  return v_table;
end
$$;
