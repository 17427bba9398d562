-- Returns the type of a column, without its length; null if there is no such column.
create function punctual.type_of_column(p_table regclass, p_column text) returns text
language sql stable set search_path = '' as $$
  select format_type(a.atttypid, null) from pg_catalog.pg_attribute a
   where a.attrelid = p_table and a.attname = p_column and not a.attisdropped
$$;

-- Returns the type of a column with its length; null if there is no such column.
create function punctual.full_type_of_column(p_table regclass, p_column text) returns text
language sql stable set search_path = '' as $$
  select format_type(a.atttypid, a.atttypmod) from pg_catalog.pg_attribute a
   where a.attrelid = p_table and a.attname = p_column and not a.attisdropped
$$;

-- Lists the user's columns that could have a row's state: text and enums.
create function punctual.list_text_columns(p_table regclass, q punctual.queues) returns text
language sql stable set search_path = '' as $$
  select coalesce(string_agg(a.attname, ', ' order by a.attnum), 'none is text or an enum')
    from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
   where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped and t.typcategory in ('S', 'E')
     and a.attname not in (select s.name from punctual.standard_columns(q) s)
$$;

-- Returns the type of the table's key. Raises 22023 unless the key is one column id, bigint or uuid.
create function punctual.read_id_type(p_table regclass) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_type text := (
    select format_type(a.atttypid, null)
      from pg_catalog.pg_index i join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
     where i.indrelid = p_table and i.indisprimary and i.indnkeyatts = 1 and a.attname = 'id');
begin
  if v_type in ('bigint', 'uuid') then return v_type; end if;
  raise exception 'add_queue: the primary key of % has to be one column id, bigint or uuid', p_table
    using errcode = '22023', hint = 'To change an integer key: alter table … alter column id type bigint. Otherwise add such a key.';
end
$$;

-- Raises 22023 unless the due column is timestamptz.
create function punctual.check_due_column(p_table regclass, p_column text) returns void
language plpgsql stable set search_path = '' as $$
declare
  v_type text := punctual.type_of_column(p_table, p_column);
begin
  if v_type = 'timestamp with time zone' then return; end if;
  raise exception 'add_queue: the due column % of % is %, and has to be timestamptz', p_column, p_table, coalesce(v_type, 'missing')
    using errcode = '22023', hint = case when v_type is null then 'Name the column that says when a row is due: p_due_column.'
      else 'Run: alter table … alter column … type timestamptz using … at time zone ''UTC''. Without a zone, each reader sees another instant.' end;
end
$$;

-- Raises 22023 for columns that do not fit together.
create function punctual.check_column_uses(p_table regclass, q punctual.queues) returns void
language plpgsql stable set search_path = '' as $$
begin
  if q.proof_column = any (q.jsonb_columns) then
    raise exception 'add_queue: the proof column % is jsonb, and has to be text', q.proof_column
      using errcode = '22023', hint = 'It holds the provider''s id of the message, which is looked up as text.';
  end if;
  if q.account_column is not null and not exists (
    select from pg_catalog.pg_constraint c
      join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attname = q.account_column and c.conkey = array[a.attnum]
     where c.conrelid = p_table and c.contype = 'f' and c.confrelid = 'punctual.accounts'::regclass) then
    -- Without it a row could name a missing account and wait forever.
    raise exception 'add_queue: the account column % of % has to reference punctual.accounts (id)', q.account_column, p_table
      using errcode = '22023', hint = format('alter table %s add foreign key (%I) references punctual.accounts', p_table, q.account_column);
  end if;
  if q.proof_column is not null and not q.proof_column = any (q.result_columns) then
    raise exception 'add_queue: the proof column % is not a result column', q.proof_column
      using errcode = '22023', hint = 'Name it in p_result_columns as well.';
  end if;
  if q.pair_column is not null and q.account_column is null then
    raise exception 'add_queue: a pair column needs an account column'
      using errcode = '22023', hint = 'Name it in p_account_column, or leave out p_pair_column.';
  end if;
end
$$;

-- Checks that the key and the named columns exist and have the right type. Returns q with id_type and jsonb_columns. Raises 22023.
create function punctual.check_queue_columns(p_table regclass, q punctual.queues) returns punctual.queues
language plpgsql set search_path = '' as $$
declare
  v_column record;
  v_type text;
begin
  q.id_type := punctual.read_id_type(p_table);
  perform punctual.check_due_column(p_table, q.due_column);
  q.jsonb_columns := '{}';
  for v_column in
    select * from (values ('partition', q.partition_column, array['text']), ('account', q.account_column, array['uuid']),
                          ('pair', q.pair_column, array['text']), ('progress', q.progress_column, array['jsonb']),
                          ('waits', q.waits_column, array['text']), ('closes', q.closes_column, array['timestamp with time zone'])) c (role, name, types)
     where c.name is not null
    union all select 'result', r, array['text', 'jsonb'] from unnest(q.result_columns) r
    union all select 'secret', s, null from unnest(q.secret_columns) s
    -- A column with the usual name is added.
    union all select 'status', q.status_column, null where q.status_column <> 'status'
  loop
    v_type := punctual.type_of_column(p_table, v_column.name);
    if v_type is null or v_type <> all (v_column.types) then
      raise exception 'add_queue: the % column % of % is %, and has to be %',
        v_column.role, v_column.name, p_table, coalesce(v_type, 'missing'), coalesce(array_to_string(v_column.types, ' or '), 'there')
        using errcode = '22023', hint = case when v_column.role = 'status'
          then format('Name an existing column: %s. Without p_status_column, a column status is added.', punctual.list_text_columns(p_table, q))
          else 'Add it, name another column, or change its type.' end;
    end if;
    if v_column.role = 'result' and v_type = 'jsonb' then q.jsonb_columns := q.jsonb_columns || v_column.name::text; end if;
  end loop;
  perform punctual.check_column_uses(p_table, q);
  return q;
end
$$;

-- Raises 22023 if a column has two roles, because a settle writes each column once, or if ticks cannot write a column that they have to write.
create function punctual.check_column_roles(p_table regclass, q punctual.queues) returns void
language plpgsql set search_path = '' as $$
declare
  v_standard text[] := array['id'] || array(select s.name from punctual.standard_columns(q) s);
  v_named text[] := array_remove(array[q.status_column, q.due_column, q.partition_column, q.account_column, q.progress_column] || q.result_columns, null);
  v_column record;
begin
  select n.name into v_column from unnest(v_named) with ordinality n (name, place)
   where n.name = any (v_standard) or n.place > array_position(v_named, n.name) order by n.place limit 1;
  if found then
    raise exception 'add_queue: the column % has another role already', v_column.name
      using errcode = '22023', hint = 'A column has one role: standard, status, due, partition, account, progress or result column.';
  end if;
  select a.attname as name, case when a.attidentity <> '' then 'identity' else 'expression' end as generated into v_column
    from pg_catalog.pg_attribute a
   where a.attrelid = p_table and not a.attisdropped and (a.attgenerated <> '' or a.attidentity <> '') and a.attname <> 'id'
     and a.attname = any (v_standard || q.status_column || q.due_column || q.progress_column || q.result_columns) order by a.attnum limit 1;
  if found then
    raise exception 'add_queue: the column % of % is generated, but ticks have to write it', v_column.name, p_table
      using errcode = '22023',
            hint = format('alter table %s alter column %I drop %s, or rename your column.', p_table, v_column.name, v_column.generated);
  end if;
  select a.attname as name into v_column from pg_catalog.pg_attribute a join punctual.standard_columns(q) s on s.name = a.attname and s.emptied
   where a.attrelid = p_table and not a.attisdropped and a.attnotnull order by a.attnum limit 1;
  if found then
    raise exception 'add_queue: the column % of % is not null, but ticks have to set it to null', v_column.name, p_table
      using errcode = '22023', hint = format('alter table %s alter column %I drop not null, or rename your column.', p_table, v_column.name);
  end if;
end
$$;
