-- The type of a column as it is written; null where there is none of that name.
create function punctual.type_of_column(p_table regclass, p_column text) returns text
language sql stable set search_path = '' as $$
  select format_type(a.atttypid, null) from pg_catalog.pg_attribute a
   where a.attrelid = p_table and a.attname = p_column and not a.attisdropped
$$;

-- The same with what it is limited to: its length.
create function punctual.full_type_of_column(p_table regclass, p_column text) returns text
language sql stable set search_path = '' as $$
  select format_type(a.atttypid, a.atttypmod) from pg_catalog.pg_attribute a
   where a.attrelid = p_table and a.attname = p_column and not a.attisdropped
$$;

-- The table's own columns that could say a row's state: text and enums.
create function punctual.list_text_columns(p_table regclass, q punctual.queues) returns text
language sql stable set search_path = '' as $$
  select coalesce(string_agg(a.attname, ', ' order by a.attnum), 'none is text or an enum')
    from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
   where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped and t.typcategory in ('S', 'E')
     and a.attname not in (select s.name from punctual.standard_columns(q) s)
$$;

-- The type of the table's key; refuses any but one column id, bigint or uuid.
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
    using errcode = '22023', hint = 'An integer key becomes one by: alter table … alter column id type bigint. Any other table can be given one.';
end
$$;

-- Refuses a due column that names no instant.
create function punctual.check_due_column(p_table regclass, p_column text) returns void
language plpgsql stable set search_path = '' as $$
declare
  v_type text := punctual.type_of_column(p_table, p_column);
begin
  if v_type = 'timestamp with time zone' then return; end if;
  raise exception 'add_queue: the due column % of % is %, and has to be timestamptz', p_column, p_table, coalesce(v_type, 'missing')
    using errcode = '22023', hint = case when v_type is null then 'Name the column that says when a row is due: p_due_column.'
      else 'alter table … alter column … type timestamptz using … at time zone ''UTC'': without a zone it means another instant to every reader.' end;
end
$$;

-- Refuses columns that do not go together.
create function punctual.check_column_uses(p_table regclass, q punctual.queues) returns void
language plpgsql stable set search_path = '' as $$
begin
  if q.proof_column = any (q.jsonb_columns) then
    raise exception 'add_queue: the proof column % is jsonb, and has to be text', q.proof_column
      using errcode = '22023', hint = 'It bears the provider''s id of what was sent, which is searched for.';
  end if;
  if q.account_column is not null and not exists (
    select from pg_catalog.pg_constraint c
      join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attname = q.account_column and c.conkey = array[a.attnum]
     where c.conrelid = p_table and c.contype = 'f' and c.confrelid = 'punctual.accounts'::regclass) then
    -- Without it a row could name an account that is not there, and wait for ever.
    raise exception 'add_queue: the account column % of % has to reference punctual.accounts (id)', q.account_column, p_table
      using errcode = '22023', hint = format('alter table %s add foreign key (%I) references punctual.accounts', p_table, q.account_column);
  end if;
  if q.proof_column is not null and not q.proof_column = any (q.result_columns) then
    raise exception 'add_queue: the proof column % is none of the result columns', q.proof_column
      using errcode = '22023', hint = 'Name it in p_result_columns as well.';
  end if;
  if q.pair_column is not null and q.account_column is null then
    raise exception 'add_queue: a pair is an account and an addressee, and there is no account column'
      using errcode = '22023', hint = 'Name it in p_account_column, or leave p_pair_column out.';
  end if;
end
$$;

-- The key, the due column, and the columns that the queue is parted and paced by: are they there, and of the right type? Answers q with
-- id_type and jsonb_columns.
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
    -- One of the usual name is added.
    union all select 'status', q.status_column, null where q.status_column <> 'status'
  loop
    v_type := punctual.type_of_column(p_table, v_column.name);
    if v_type is null or v_type <> all (v_column.types) then
      raise exception 'add_queue: the % column % of % is %, and has to be %',
        v_column.role, v_column.name, p_table, coalesce(v_type, 'missing'), coalesce(array_to_string(v_column.types, ' or '), 'there')
        using errcode = '22023', hint = case when v_column.role = 'status'
          then format('Name one that it has: %s. Without p_status_column, a column status is added.', punctual.list_text_columns(p_table, q))
          else 'Add it, name another column, or change its type.' end;
    end if;
    if v_column.role = 'result' and v_type = 'jsonb' then q.jsonb_columns := q.jsonb_columns || v_column.name::text; end if;
  end loop;
  perform punctual.check_column_uses(p_table, q);
  return q;
end
$$;

-- One column, one role, since a settle writes each of them once; and what a tick writes has to be writable.
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
      using errcode = '22023', hint = 'Standard columns cannot be status, due, partition, account, progress or result columns, nor one column two of these.';
  end if;
  select a.attname as name, case when a.attidentity <> '' then 'identity' else 'expression' end as generated into v_column
    from pg_catalog.pg_attribute a
   where a.attrelid = p_table and not a.attisdropped and (a.attgenerated <> '' or a.attidentity <> '') and a.attname <> 'id'
     and a.attname = any (v_standard || q.status_column || q.due_column || q.progress_column || q.result_columns) order by a.attnum limit 1;
  if found then
    raise exception 'add_queue: the column % of % is generated, and ticks have to write it', v_column.name, p_table
      using errcode = '22023',
            hint = format('alter table %s alter column %I drop %s, or rename your column.', p_table, v_column.name, v_column.generated);
  end if;
  select a.attname as name into v_column from pg_catalog.pg_attribute a join punctual.standard_columns(q) s on s.name = a.attname and s.emptied
   where a.attrelid = p_table and not a.attisdropped and a.attnotnull order by a.attnum limit 1;
  if found then
    raise exception 'add_queue: the column % of % is not null, and ticks have to empty it', v_column.name, p_table
      using errcode = '22023', hint = format('alter table %s alter column %I drop not null, or rename your column.', p_table, v_column.name);
  end if;
end
$$;
