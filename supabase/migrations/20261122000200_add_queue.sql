-- add_queue: turns a table into a queue. Owner only. Running it again is harmless: what is there stays,
-- settings that an operator changed stay. It goes step by step, in the order of this file: find the table, check its columns, the words, the
-- functions and the settings, add the columns, make the indexes, write the registry's row. `q` is that row as it will be.

-- Says which words are not taken: the word "a", or the words "a", "b".
create function punctual.name_words(p_words text[]) returns text
language sql immutable set search_path = '' as $$
  select case cardinality(p_words) when 1 then 'the word ' else 'the words ' end || string_agg(format('"%s"', w.word), ', ' order by w.place)
    from unnest(p_words) with ordinality w (word, place)
$$;

-- Refuses unless the type of the status column takes all of the words, unabridged.
create function punctual.check_type_takes(p_table regclass, p_column text, p_type text, p_words text[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_word text;
  v_text text;
  v_lacking text[] := '{}';
begin
  foreach v_word in array p_words loop
    begin
      -- As rows are read: a cast cuts what is too long without a word, and char(n) fills up what is too short.
      execute format('select to_jsonb(%L::%s) #>> ''{}''', v_word, p_type) into v_text;
    exception
      when unsafe_new_enum_value_usage then
        raise exception 'add_queue: the word "%" was added to % in this transaction, and cannot be used before its end', v_word, p_type
          using errcode = '22023', hint = 'Add it in a migration of its own, before this one.';
      when others then
        v_text := null;
    end;
    if v_text is distinct from v_word then v_lacking := v_lacking || v_word; end if;
  end loop;
  if v_lacking <> '{}' then
    raise exception 'add_queue: the column % of % (%) does not take %', p_column, p_table, p_type, punctual.name_words(v_lacking)
      using errcode = '22023', hint = 'Add them to the type, or name the words your table uses in p_words.';
  end if;
end
$$;

-- Refuses unless the checks of the status column take all of the words. Only checks on this column alone can be tried without a row.
create function punctual.check_checks_take(p_table regclass, p_column text, p_type text, p_words text[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_check record;
  v_word text;
  v_ok boolean;
  v_lacking text[] := '{}';
begin
  for v_check in
    select c.conname, pg_get_expr(c.conbin, c.conrelid) as expression
      from pg_catalog.pg_constraint c join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attname = p_column and c.conkey = array[a.attnum]
     where c.conrelid = p_table and c.contype = 'c'
  loop
    foreach v_word in array p_words loop
      begin
        execute format('select (%s) from (select %L::%s as %I) s', v_check.expression, v_word, p_type, p_column) into v_ok;
      exception when others then
        v_ok := false;
      end;
      if v_ok is false then v_lacking := v_lacking || v_word; end if;
    end loop;
    if v_lacking <> '{}' then
      raise exception 'add_queue: the check "%" of % does not take %', v_check.conname, p_table, punctual.name_words(v_lacking)
        using errcode = '22023', hint = 'Widen the check, or name the words your table uses in p_words.';
    end if;
  end loop;
end
$$;

-- Refuses unless the table that the status column references has all of the words.
create function punctual.check_references_take(p_table regclass, p_column text, p_words text[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_key record;
  v_lacking text[];
begin
  for v_key in
    select c.conname, c.confrelid::regclass as target, f.attname as target_column
      from pg_catalog.pg_constraint c
      join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attname = p_column and c.conkey = array[a.attnum]
      join pg_catalog.pg_attribute f on f.attrelid = c.confrelid and f.attnum = c.confkey[1]
     where c.conrelid = p_table and c.contype = 'f'
  loop
    execute format('select array_agg(w order by place) from unnest($1) with ordinality w (w, place) '
                   'where not exists (select from %s where %I::text = w)', v_key.target, v_key.target_column) into v_lacking using p_words;
    if v_lacking is not null then
      raise exception 'add_queue: "%" of % does not take %, which % lacks', v_key.conname, p_table, punctual.name_words(v_lacking), v_key.target
        using errcode = '22023', hint = 'Insert them there, or name the words your table uses in p_words.';
    end if;
  end loop;
end
$$;

-- Refuses unless the status column takes all of the words: by its type, its length, its checks and what it references. Names all that it does
-- not take at once.
create function punctual.check_status_words(p_table regclass, p_column text, p_words text[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_type text := punctual.full_type_of_column(p_table, p_column);
begin
  perform punctual.check_type_takes(p_table, p_column, v_type, p_words);
  perform punctual.check_checks_take(p_table, p_column, v_type, p_words);
  perform punctual.check_references_take(p_table, p_column, p_words);
end
$$;

-- Adds the column if it is missing; refuses one of another type. Answers whether it was added.
create function punctual.add_column(p_table regclass, p_column text, p_type text, p_definition text) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_there text;
begin
  select format_type(a.atttypid, null) into v_there from pg_catalog.pg_attribute a
   where a.attrelid = p_table and a.attname = p_column and not a.attisdropped;
  if v_there is null then
    execute format('alter table %s add column %I %s', p_table, p_column, p_definition);
    return true;
  end if;
  if v_there <> p_type then
    raise exception 'add_queue: the column % of % is %, and has to be %', p_column, p_table, v_there, p_type
      using errcode = '22023', hint = 'Rename your column, or change its type.';
  end if;
  return false;
end
$$;

-- The name of the check that priorities are levels.
create function punctual.priority_check(q punctual.queues) returns text
language sql immutable set search_path = '' as $$
  select 'punctual_' || q.name || '_priority'
$$;

-- The columns that every queue has, besides id and the status column; emptied: an outcome sets it to null.
create function punctual.standard_columns(
  q punctual.queues, out name text, out type text, out emptied boolean, out definition text) returns setof record
language sql stable set search_path = '' as $$
  select * from (values
    ('priority', 'smallint', false, format('smallint not null default 1 constraint %I check (priority between 0 and 3)', punctual.priority_check(q))),
    ('attempts', 'integer', false, 'integer not null default 0'),
    ('max_attempts', 'integer', false, 'integer check (max_attempts > 0)'),
    ('next_attempt_at', 'timestamp with time zone', true, 'timestamptz'),
    ('claim_id', 'uuid', true, 'uuid'),
    ('lease_expires_at', 'timestamp with time zone', true, 'timestamptz'),
    ('timeout_seconds', 'integer', false, 'integer check (timeout_seconds > 0)'),
    ('last_error', 'text', true, 'text'),
    ('finished_at', 'timestamp with time zone', true, 'timestamptz'),
    ('expires_at', 'timestamp with time zone', false, 'timestamptz'),
    ('idempotency_key', 'text', false, 'text'),
    ('claimed_at', 'timestamp with time zone', true, 'timestamptz'),
    -- When the provider is asked next what became of an unknown row, and what is known by then.
    ('reconcile_at', 'timestamp with time zone', true, 'timestamptz'),
    ('reconcile', 'jsonb', true, 'jsonb')) c
$$;

-- Whether code of this role's may run with the rights of Punctual's owner: it has them itself.
create function punctual.is_as_mighty(p_role oid) returns boolean
language sql stable set search_path = '' as $$
  select pg_has_role(p_role, n.nspowner, 'member') from pg_catalog.pg_namespace n where n.nspname = 'punctual'
$$;

-- The table that p_table names. Refuses what cannot be a queue, and what is another's.
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
    raise exception 'add_queue: the table "%" has to be named with its schema', p_table
      using errcode = '22023', hint = 'For example ''public.free_trials''.';
  end if;
  v_table := to_regclass(format('%I.%I', v_parts[1], v_parts[2]));
  if v_table is null then
    raise exception 'add_queue: there is no table %', p_table
      using errcode = '42P01', hint = 'Look at the spelling; a name with capitals has quotes of its own: ''public."FreeTrials"''.';
  end if;
  if v_parts[1] in ('pg_catalog', 'information_schema') or exists (
    select from pg_catalog.pg_class c where c.oid = v_table and (c.relkind <> 'r' or c.relpersistence <> 'p' or c.relispartition)) then
    raise exception 'add_queue: % is no ordinary table', p_table
      using errcode = '42809', hint = 'Views, partitions, partitioned, foreign, unlogged and system tables cannot be queues.';
  end if;
  if exists (select from pg_catalog.pg_class c where c.oid = v_table and not punctual.is_as_mighty(c.relowner)) then
    raise exception 'add_queue: % is of another owner than Punctual, whose triggers on it after_restore would run as Punctual’s', p_table
      using errcode = '42501', hint = 'alter table … owner to the owner of the schema punctual, or make its owner a member of that role.';
  end if;
  if v_parts[1] = 'punctual' and v_parts[2] in ('queues', 'partitions', 'ticks', 'providers', 'accounts', 'pace', 'receipts', 'history', 'regions', 'monitor_checks',
                                                       'monitor_hours', 'incidents', 'settings', 'daily_outcomes', 'daily_checks', 'rollups',
                                                       'sequences', 'sequence_versions', 'enrolment_events', 'held_rows', 'whatsapp_users',
                                                       'queue_workers', 'queue_worker_tokens') then
    raise exception 'add_queue: % is a table that Punctual keeps for itself', p_table using errcode = '42809', hint = 'Make a table of your own.';
  end if;
  select * into v_other from punctual.queues o where o.name <> p_name and (o.table_schema, o.table_name) = (v_parts[1], v_parts[2]);
  if found then
    raise exception 'add_queue: % is the table of the queue % already', p_table, v_other.name
      using errcode = '23505', hint = format('A table is one queue: use that one, or remove it first: select punctual.remove_queue(%L);', v_other.name);
  end if;
  select * into v_other from punctual.queues o where o.name = p_name and (o.table_schema, o.table_name) <> (v_parts[1], v_parts[2]);
  if found then
    raise exception 'add_queue: the queue % has another table, %.%', p_name, v_other.table_schema, v_other.table_name
      using errcode = '23505', hint = 'Choose another name. If the table was renamed, update table_schema and table_name in punctual.queues.';
  end if;
  return v_table;
end
$$;

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

-- Answers q with the table's own words, p_words, and the usual ones for the states that it does not name.
create function punctual.read_words(q punctual.queues, p_words jsonb) returns punctual.queues
language plpgsql set search_path = '' as $$
declare
  v_words jsonb := jsonb_build_object('pending', 'pending', 'running', 'running', 'done', 'done',
                                      'dead', 'dead', 'unknown', 'unknown', 'cancelled', 'cancelled') || coalesce(p_words, '{}');
  v_pairs text;
  v_count integer;
begin
  if jsonb_typeof(v_words) <> 'object' or exists (select from jsonb_each(v_words) w where jsonb_typeof(w.value) <> 'string') then
    raise exception 'add_queue: p_words is no object of words'
      using errcode = '22023', hint = 'For example ''{"running": "sending", "done": "sent"}''.';
  end if;
  if (select count(*) from jsonb_object_keys(v_words)) <> 6 then
    raise exception 'add_queue: p_words knows pending, running, done, dead, unknown and cancelled, not %',
      (select string_agg(k, ', ') from jsonb_object_keys(v_words) k
        where k not in ('pending', 'running', 'done', 'dead', 'unknown', 'cancelled'))
      using errcode = '22023', hint = 'Its keys are these six states, its values the words that your table has for them.';
  end if;
  select string_agg(format('%s "%s"', s.state, w.word), ', ' order by s.place), count(distinct w.word) filter (where w.word <> '')
    into v_pairs, v_count
    from unnest(array['pending', 'running', 'done', 'dead', 'unknown', 'cancelled']) with ordinality s (state, place)
   cross join lateral (select v_words->>s.state as word) w;
  if v_count <> 6 then
    raise exception 'add_queue: the six state words have to be distinct, and are %', v_pairs
      using errcode = '22023', hint = 'Name six words, none of them empty; add to the column''s check those that it lacks.';
  end if;
  return jsonb_populate_record(q, (select jsonb_object_agg(w.key || '_word', w.value) from jsonb_each(v_words) w));
end
$$;

-- Refuses a table without a column status whose own checks or enums have the pending word: that column is likely to say a row's state, and
-- ticks would not heed it.
create function punctual.check_no_state_column(p_table regclass, q punctual.queues) returns void
language plpgsql set search_path = '' as $$
declare
  v_column text;
begin
  if punctual.type_of_column(p_table, q.status_column) is not null then return; end if;
  select a.attname into v_column from pg_catalog.pg_attribute a
   where a.attrelid = p_table and not a.attisdropped
     and (exists (select from pg_catalog.pg_enum e where e.enumtypid = a.atttypid and e.enumlabel = q.pending_word)
       or exists (select from pg_catalog.pg_constraint c
                   where c.conrelid = p_table and c.contype = 'c' and c.conkey = array[a.attnum]
                     and strpos(pg_get_expr(c.conbin, c.conrelid), quote_literal(q.pending_word)) > 0)) order by a.attnum limit 1;
  if v_column is not null then
    raise exception 'add_queue: % has no column status, and a column % that takes the word "%"', p_table, v_column, q.pending_word
      using errcode = '22023',
            hint = format('If it says a row''s state: p_status_column => %L. If not: p_status_column => ''status'', which is added.', v_column);
  end if;
end
$$;

-- The function's name as the registry keeps it; null for none. Refuses one that is not there, that ticks may not call, or that another than
-- the owner could replace: what the owner calls runs it as the owner. p_types: of its arguments; p_said: its arguments as people are told.
create function punctual.check_function(p_function text, p_types text, p_said text) returns punctual.function_name
language plpgsql set search_path = '' as $$
declare
  v_function regprocedure;
begin
  if p_function is null then return null; end if;
  begin
    v_function := to_regprocedure(p_function || p_types);
  exception when others then
    -- What is no name at all is raised as an error of its own.
    v_function := null;
  end;
  if v_function is null then
    raise exception 'add_queue: there is no function %(%)', p_function, p_said
      using errcode = '42883', hint = 'Create it first, and name it with its schema.';
  end if;
  if not has_function_privilege('service_role', v_function, 'execute') then
    raise exception 'add_queue: service_role, as which ticks run, may not call %', p_function
      using errcode = '42501', hint = 'grant execute on function … to service_role, and on its schema usage.';
  end if;
  if exists (select from pg_catalog.pg_proc p where p.oid = v_function and not punctual.is_as_mighty(p.proowner)) then
    raise exception 'add_queue: the owner of %, who could replace it, is not Punctual’s', p_function
      using errcode = '42501', hint = 'alter function … owner to the owner of the schema punctual.';
  end if;
  return (select format('%I.%I', n.nspname, p.proname)
            from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace where p.oid = v_function);
end
$$;

-- Refuses what is no object of settings. What each may be is for the checks of punctual.queues to say.
create function punctual.check_settings(p_settings jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_known text[] := array['batch_limit', 'concurrency', 'adaptive', 'budget_seconds', 'max_ticks', 'timeout_seconds', 'lease_seconds', 'max_attempts',
                          'backoff_base_seconds', 'backoff_cap_seconds', 'retention_days'];
  v_unknown text;
begin
  if jsonb_typeof(p_settings) <> 'object' then
    raise exception 'add_queue: p_settings is no object of settings' using errcode = '22023', hint = 'For example ''{"concurrency": 10}''.';
  end if;
  select string_agg(k, ', ') into v_unknown from jsonb_object_keys(p_settings) k where k <> all (v_known);
  if v_unknown is not null then
    raise exception 'add_queue: there is no setting %', v_unknown
      using errcode = '22023', hint = format('p_settings knows %s and %s.', array_to_string(trim_array(v_known, 1), ', '), v_known[cardinality(v_known)]);
  end if;
end
$$;

-- Adds the missing ones of the status column and the standard columns. Returns their names. Refuses to guess the state of rows that have no status:
-- pending ones would be sent by the first tick.
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
    -- Asked under the lock of ALTER TABLE: no row can be inserted meanwhile.
    execute punctual.render_sql(q, 'select exists (select from {table})') into v_has_rows;
    if v_has_rows and p_existing_rows is null then
      raise exception 'add_queue: % has rows and no column %, so the state of these rows is unknown', p_table, q.status_column
        using errcode = '22023',
              hint = 'Say what state they are in: p_existing_rows => ''done'' (or ''cancelled''), or ''pending'' to have the due ones done by the first tick. '
                     'If another column of yours says it, name it in p_status_column.';
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

-- Columns that were there take on their meaning: refuses values and defaults that ticks cannot work with, and closes priority and attempts
-- to them. p_added: the columns that were not there. Answers notes of what it did.
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
      ('attempts', 'attempts are not counted', 'attempts is null or attempts < 0', 0, true),
      -- The queue's own holds where these are null.
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
        raise exception 'add_queue: % has a default (%) by which %', p_table, v_default, v_column.said
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
    v_notes := v_notes || format('priority has a check from now on, "%s": no row may have another than 0 to 3', punctual.priority_check(q));
  end if;
  return v_notes;
end
$$;

-- What a tick will meet only when it writes, and how a new row becomes pending.
create function punctual.list_table_notes(p_table regclass, q punctual.queues) returns text[]
language plpgsql stable set search_path = '' as $$
declare
  v_notes text[];
  v_default text;
begin
  select array_agg(n.note order by n.place, n.name) into v_notes from (
    select 1 as place, c.conname as name,
           case when bool_or(a.attname = q.status_column) then format('the check "%s" is over several columns: it has to hold for whatever word a tick writes', c.conname)
                else format('the check "%s" is on %s: it has to hold for whatever a tick writes there', c.conname, string_agg(a.attname, ', ' order by a.attnum)) end as note
      from pg_catalog.pg_constraint c
      join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
       and (a.attname in (q.status_column, 'attempts') or a.attname in (select s.name from punctual.standard_columns(q) s where s.emptied))
     where c.conrelid = p_table and c.contype = 'c'
     -- Those on the status column alone have been tried.
     group by c.oid, c.conname, c.conkey having cardinality(c.conkey) > 1 or not bool_or(a.attname = q.status_column)
    union all
    select 2, g.tgname, format('the trigger "%s" runs in ticks, with an empty search_path: give %s() one (set search_path = …), or schemas to the names in it',
                               g.tgname, p.oid::regproc)
      from pg_catalog.pg_trigger g join pg_catalog.pg_proc p on p.oid = g.tgfoid
     where g.tgrelid = p_table and not g.tgisinternal and g.tgenabled <> 'D' and (g.tgtype & 16) <> 0
       and not exists (select from unnest(p.proconfig) o where o like 'search_path=%')) n;
  v_notes := coalesce(v_notes, '{}');
  select pg_get_expr(d.adbin, d.adrelid) into v_default
    from pg_catalog.pg_attribute a left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where a.attrelid = p_table and a.attname = q.status_column;
  if v_default is null or (v_default <> q.pending_word and not starts_with(v_default, quote_literal(q.pending_word) || '::')) then
    v_notes := v_notes || format('%s has no default ''%s'': set it on every row that is to be done', q.status_column, q.pending_word);
  end if;
  return v_notes;
end
$$;

-- Every index that a queue may have; definition: null where this queue has none. Each is partial: what is settled costs the claim nothing.
create function punctual.queue_indexes(q punctual.queues, out name text, out is_unique boolean, out definition text) returns setof record
language sql stable set search_path = '' as $$
  select 'punctual_' || q.name || i.suffix, i.suffix = '_key', punctual.render_sql(q, i.template)
    from (select case when q.partition_column is null then '(' else '({partition}, ' end, '(coalesce(next_attempt_at, {due}))') v (first, due)
   cross join lateral (values
     ('_due', case when q.account_column is null
       then v.first || 'priority, ' || v.due || ', id) where {status} = {pending}'
       -- For the queue as a whole, and never for one account's rows: with stale statistics the planner would walk it once an account. The
       -- condition is always true, and no look-up of an account's rows states it.
       else v.first || v.due || ', id) where {status} = {pending} and priority + 0 >= 0' end),
     ('_lease', '(lease_expires_at) where {status} = {running}'),
     ('_expiry', '(expires_at) where {status} = {pending} and expires_at is not null'),
     ('_settled', '({status}, finished_at) where {status} in ({done}, {dead}, {unknown}, {cancelled})'),
     -- What is run once more is asked for partition by partition, the longest dead first.
     ('_dead', case when q.partition_column is not null then '({partition}, finished_at, id) where {status} = {dead}' end),
     ('_account', case when q.account_column is not null then '({account}, priority, ' || v.due || ', id) where {status} = {pending}' end),
     ('_reconcile', case when q.delivery = 'at-most-once' then '(reconcile_at) where {status} = {unknown} and reconcile_at is not null' end),
     ('_proof', case when q.proof_column is not null then '({proof}) where {proof} is not null' end),
     -- What was sent without the provider saying as what, to be kept from proving another row.
     ('_unproved', case when q.proof_column is not null and q.pair_column is not null
       then '({account}, {addressee}) where {status} = {done} and {proof} is null' end),
     -- Of the many that have no due time, those that nothing will give one.
     ('_stranded', case when q.waits_column is not null then '(id) where {status} = {pending} and ' || v.due || ' is null and {waits} is null' end),
     ('_key', '(idempotency_key) where idempotency_key is not null')) i (suffix, template)
$$;

-- Makes the indexes. One whose words or columns were others goes, and so do those that a removed queue of this name left. p_before: the
-- queue as it was; null where there was none.
create function punctual.make_queue_indexes(p_table regclass, q punctual.queues, p_before punctual.queues) returns void
language plpgsql set search_path = '' as $$
declare
  v_index record;
  v_key text;
begin
  execute format('select idempotency_key from %s where idempotency_key is not null group by 1 having count(*) > 1 limit 1', p_table) into v_key;
  if v_key is not null then
    raise exception 'add_queue: % has two rows whose idempotency_key is "%"', p_table, v_key
      using errcode = '23505', hint = 'It is unique where it is set: empty one of them, or rename your column.';
  end if;
  for v_index in
    select n.*, p_before.name is not null and n.definition is not distinct from b.definition as is_same,
           i.indexrelid::regclass as there, i.indrelid::regclass as its_table
      from punctual.queue_indexes(q) n
      left join punctual.queue_indexes(case when p_before.name is null then q else p_before end) b on b.name = n.name
      join pg_catalog.pg_class t on t.oid = p_table
      left join pg_catalog.pg_class c on c.relname = n.name and c.relnamespace = t.relnamespace
      left join pg_catalog.pg_index i on i.indexrelid = c.oid
  loop
    if v_index.its_table <> p_table then
      raise exception 'add_queue: the index % is of %', v_index.there, v_index.its_table
        using errcode = '42P07', hint = 'It is of a queue of this name that was removed: drop the indexes of that name.';
    end if;
    if v_index.there is not null and not v_index.is_same then execute format('drop index %s', v_index.there); end if;
    if v_index.definition is not null then
      execute format('create %s index if not exists %I on %s %s',
                     case when v_index.is_unique then 'unique' else '' end, v_index.name, p_table, v_index.definition);
    end if;
  end loop;
end
$$;

-- A row that somebody settles by plain SQL comes to its end like any other: it has the time of it, no attempt holds it any more, and the
-- queue's after_settle is told. One that is made due again has no end, and the attempt that it had is remembered: see hear_late. A queue's own
-- writes are told apart by the setting punctual.settles, which is its name.
create function punctual.finish_by_hand() returns trigger
language plpgsql set search_path = '' as $$
begin
  if new.finished_at is null or new.finished_at is not distinct from old.finished_at then new.finished_at := clock_timestamp(); end if;
  new.lease_expires_at := null;
  return new;
end
$$;

create function punctual.requeue_by_hand() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.finished_at := null;
  new.lease_expires_at := null;
  if tg_argv[0] = 'at-most-once' and old.claim_id is not null then
    new.reconcile := jsonb_set(coalesce(new.reconcile, '{}'), '{claims}', coalesce(new.reconcile->'claims', '[]') || to_jsonb(old.claim_id));
  end if;
  return new;
end
$$;

-- As whoever wrote the row, never as the owner: a function of the owner's that anybody's update runs is a way to the owner's rights.
create function punctual.tell_by_hand() returns trigger
language plpgsql set search_path = '' as $$
declare
  v_row jsonb := to_jsonb(new);
begin
  if not has_schema_privilege('punctual', 'usage') then
    -- An account that waits for the row goes on by itself.
    if tg_argv[1] = '' then return null; end if;
    raise exception '% may not settle rows of the queue %, whose after_settle has to be told', current_user, tg_argv[0]
      using errcode = '42501', hint = 'Do it as the owner or as service_role, or let the app do it: POST /api/queues/:queue/rows/:id/resolve.';
  end if;
  perform punctual.end_hold(q, to_jsonb(old), clock_timestamp()) from punctual.queues q where q.name = tg_argv[0];
  if tg_op = 'UPDATE' then
    perform punctual.tell_after_settle(q, jsonb_build_array(jsonb_build_object(
        'id', v_row->'id', 'claim_id', v_row->'claim_id', 'outcome', punctual.state_of_word(q, v_row->>q.status_column), 'error', v_row->'last_error',
        'rate_limited', false, 'claimed_at', v_row->'claimed_at', 'due', v_row->q.due_column, 'account_id', v_row->q.account_column)),
      -- A later trigger of the table's own may have been the one that settled it.
      coalesce(new.finished_at, clock_timestamp())) from punctual.queues q where q.name = tg_argv[0];
  end if;
  return null;
end
$$;

create function punctual.make_queue_triggers(p_table regclass, q punctual.queues) returns void
language plpgsql set search_path = '' as $$
declare
  v_trigger record;
  v_by_hand text := format('current_setting(''punctual.settles'', true) is distinct from %L', q.name);
  v_settled text := punctual.render_sql(q, 'old.{status} is distinct from new.{status} and new.{status} in ({done}, {dead}, {cancelled}) and %s', v_by_hand);
begin
  for v_trigger in
    select * from (values
      ('finish_by_hand', 'before update', v_settled, 'finish_by_hand()', true),
      ('requeue_by_hand', 'before update', punctual.render_sql(q, 'old.{status} is distinct from new.{status} and new.{status} = {pending} and %s', v_by_hand),
       format('requeue_by_hand(%L)', q.delivery), true),
      ('tell_by_hand', 'after update', v_settled, format('tell_by_hand(%L, %L)', q.name, coalesce(q.after_settle, '')),
       q.after_settle is not null or q.account_column is not null),
      ('tell_of_deleted', 'after delete', punctual.render_sql(q, 'old.{status} = {pending} and old.claimed_at is not null and %s', v_by_hand),
       format('tell_by_hand(%L, '''')', q.name), q.account_column is not null),
      ('spent_key', 'after insert', 'new.idempotency_key is not null', format('refuse_spent_key(%L)', q.name), punctual.keeps_keys(q.name)))
      v (name, event, condition, call, is_wanted)
  loop
    if v_trigger.is_wanted then
      execute format('create or replace trigger punctual_%s %s on %s for each row when (%s) execute function punctual.%s',
                     v_trigger.name, v_trigger.event, p_table, v_trigger.condition, v_trigger.call);
    else
      execute format('drop trigger if exists punctual_%s on %s', v_trigger.name, p_table);
    end if;
  end loop;
end
$$;

-- Writes the registry's row, the partitions that there are by now, and a pace for each account. What an operator set stays.
create function punctual.register_queue(q punctual.queues, p_settings jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  begin
    insert into punctual.queues select n.* from jsonb_populate_record(q, jsonb_build_object(
      'source', 'table', 'batch_limit', 30, 'concurrency', 5, 'adaptive', false, 'max_ticks', 1, 'max_continuations', 10, 'timeout_seconds', 15,
      'lease_seconds', 90, 'max_attempts', 5, 'backoff_base_seconds', 30, 'backoff_cap_seconds', 3600,
      -- A table of a person's own holds more than messages: nothing of it is deleted unless that is asked for.
      'retention_days', case when q.table_schema = 'punctual' then 30 end) || p_settings) n
    on conflict (name) do update set
      id_type = excluded.id_type, due_column = excluded.due_column, status_column = excluded.status_column, status_type = excluded.status_type,
      partition_column = excluded.partition_column, account_column = excluded.account_column,
      pending_word = excluded.pending_word, running_word = excluded.running_word, done_word = excluded.done_word,
      dead_word = excluded.dead_word, unknown_word = excluded.unknown_word, cancelled_word = excluded.cancelled_word,
      delivery = excluded.delivery, result_columns = excluded.result_columns, jsonb_columns = excluded.jsonb_columns,
      secret_columns = excluded.secret_columns, progress_column = excluded.progress_column, after_settle = excluded.after_settle, before_claim = excluded.before_claim,
      proof_column = excluded.proof_column, pair_column = excluded.pair_column, evidence = excluded.evidence, facts = excluded.facts,
      waits_column = excluded.waits_column, closes_column = excluded.closes_column, setup = excluded.setup;
  exception when check_violation or not_null_violation or invalid_text_representation or numeric_value_out_of_range then
    raise exception 'add_queue: a setting is out of range: %', sqlerrm
      using errcode = '22023', hint = 'docs/settings.md has the range of each setting.';
  end;
  if q.partition_column is null then
    insert into punctual.partitions (queue, partition) values (q.name, 'main') on conflict do nothing;
  else
    execute punctual.render_sql(q, 'insert into punctual.partitions (queue, partition) '
                                   'select distinct {queue}, t.{partition} from {table} t where t.{partition} <> '''' on conflict do nothing');
  end if;
  if q.account_column is not null then
    insert into punctual.pace (queue, account_id, provider)
    select q.name, a.id, a.provider from punctual.accounts a on conflict do nothing;
  end if;
end
$$;

-- Returns what reaches the table from outside: {row_level_security, anon: what the role anon may do}.
create function punctual.read_table_rights(p_table regclass) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'row_level_security', (select c.relrowsecurity from pg_catalog.pg_class c where c.oid = p_table),
    'anon', (select coalesce(jsonb_agg(p), '[]') from unnest(array['select', 'insert', 'update', 'delete']) p
              where has_table_privilege('anon', p_table, p) or (p <> 'delete' and has_any_column_privilege('anon', p_table, p))))
$$;

-- Says add_queue's answer in notices, which `npm run migrate` prints: a migration shows nobody its answer.
create function punctual.raise_setup(p_answer jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_note text;
  v_head text := format('add_queue: %s is the queue %s', p_answer->>'table', p_answer->>'queue');
begin
  if p_answer->'added' <> '[]' then
    raise notice '%; columns added: %', v_head, (select string_agg(a, ', ') from jsonb_array_elements_text(p_answer->'added') a);
  else
    raise notice '%', v_head;
  end if;
  if not (p_answer->>'row_level_security')::boolean and p_answer->'anon' <> '[]' then
    raise notice 'add_queue: whoever has the public (anon) key may % in %: alter table % enable row level security',
      (select string_agg(a, ', ') from jsonb_array_elements_text(p_answer->'anon') a), p_answer->>'table', p_answer->>'table';
  end if;
  for v_note in select n from jsonb_array_elements_text(p_answer->'notes') n loop
    raise notice 'add_queue: %', v_note;
  end loop;
end
$$;

-- Refuses arguments of add_queue that say nothing.
create function punctual.check_queue_arguments(p_name text, p_delivery text, p_existing_rows text) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if p_name is null or p_name !~ '^[a-z][a-z0-9_]{0,39}$' then
    raise exception 'add_queue: "%" is no name for a queue', p_name
      using errcode = '22023', hint = 'Use up to 40 lower-case letters, digits and _, beginning with a letter.';
  end if;
  if p_delivery is null or p_delivery not in ('at-most-once', 'at-least-once') then
    raise exception 'add_queue: delivery is "%"', p_delivery
      using errcode = '22023', hint = 'It is ''at-most-once'' or ''at-least-once''.';
  end if;
  if p_existing_rows not in ('pending', 'done', 'cancelled') then
    raise exception 'add_queue: p_existing_rows is "%"', p_existing_rows
      using errcode = '22023', hint = 'It is the state of rows that are there already: ''pending'', ''done'' or ''cancelled''.';
  end if;
end
$$;

-- Columns that a table has which becomes a queue, and ticks use from now on; null for none.
create function punctual.note_found_columns(p_table regclass, q punctual.queues, p_added text[]) returns text
language sql stable set search_path = '' as $$
  select 'these columns were there, and ticks use them as Punctual''s from now on: ' || string_agg(a.attname, ', ' order by a.attnum)
    from pg_catalog.pg_attribute a join punctual.standard_columns(q) s on s.name = a.attname
   where a.attrelid = p_table and not a.attisdropped and a.attname <> all (p_added)
$$;

-- Rows that such a table has which are due; null for none.
create function punctual.note_due_rows(q punctual.queues) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_due bigint;
begin
  execute punctual.render_sql(q, 'select count(*) from {table} t where t.{status} = {pending} and {due_at} <= now()') into v_due;
  return case when v_due > 0 then format('rows that were %s and due already, for the first ticks to do: %s', q.pending_word, v_due) end;
end
$$;

-- Makes the queue's indexes and triggers on its table, and lets ticks at it: they run as the service role, with no more rights than it has.
create function punctual.prepare_table(p_table regclass, q punctual.queues, p_before punctual.queues) returns void
language plpgsql set search_path = '' as $$
begin
  perform punctual.make_queue_indexes(p_table, q, p_before);
  perform punctual.make_queue_triggers(p_table, q);
  -- Claims and settles leave dead entries at the head of these indexes; the defaults would let 20 % pile up.
  if p_before.name is null then
    execute format('alter table %s set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, '
                   'autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)', p_table);
  end if;
  if not has_schema_privilege('service_role', q.table_schema, 'usage') then
    execute format('grant usage on schema %I to service_role', q.table_schema);
  end if;
  execute format('grant select, insert, update, delete on %s to service_role', p_table);
end
$$;

-- p_table      the table, with its schema: 'public.free_trials'. It has one primary key `id`, bigint or uuid.
-- p_due_column the column (timestamptz) that says when a row falls due; null is never.
-- p_status_column the column (text or enum) that says a row's state: status, unless said. That one is added if it is missing.
-- p_words      the table's own words for the six states, where they differ from the usual ones.
-- p_result_columns text or jsonb columns that take what an outcome's result says under their names: provider ids.
-- p_progress_column the jsonb column that takes how far a running row is.
-- p_after_settle  a function (p_applied jsonb, p_now timestamptz) that runs in the transaction of the settle, for what goes
--              beyond the row. p_applied: [{id, claim_id, outcome, result, error, rate_limited, account_id, claimed_at, due}], due being
--              the due time that the attempt was for. It is told as well of what settles a row otherwise: that it expired (dead), that its tick died
--              (unknown, or dead where that happened too often), a webhook, a look or an operator, be it by plain SQL (done, dead, pending,
--              cancelled).
-- p_before_claim  a function (p_partition text, p_now timestamptz) that runs in a tick's first exchange, before it claims.
-- p_proof_column  the result column that bears the provider's id of what was sent; reconcile lets each prove one row.
-- p_pair_column   the text column that says to whom, where a provider may limit one addressee of an account.
-- p_evidence   a function (p_ids text[], p_now timestamptz) that answers {id: evidence} for rows that are reconciled.
-- p_facts      a function (p_ids text[], p_now timestamptz) that answers {id: facts} for rows that are claimed.
-- p_waits_column  the text column that says what a row without a due time waits for: it is not shown as one that nobody can reach.
-- p_closes_column the column (timestamptz) after which a row is not claimed, due or not. p_before_claim is where such rows are made due
--              once more.
-- p_secret_columns columns that lists of rows leave out, since whoever may look at rows is not to see them: keys, tokens.
-- p_settings   the first values of settings (columns of punctual.queues).
-- p_existing_rows the state of the rows that are there, if the table has no status column: pending, done or cancelled.
--
-- Returns {queue, table, added: [columns], anon: what anon may do there, row_level_security, notes}, raises it as notices, and keeps it in
-- punctual.queues.setup, with what earlier calls added and changed.
create function punctual.add_queue(
  p_name text, p_table text, p_due_column text, p_delivery text, p_words jsonb default '{}',
  p_partition_column text default null, p_account_column text default null, p_result_columns text[] default '{}',
  p_after_settle text default null, p_before_claim text default null, p_proof_column text default null, p_pair_column text default null,
  p_evidence text default null, p_progress_column text default null, p_secret_columns text[] default '{}', p_facts text default null,
  p_waits_column text default null, p_closes_column text default null, p_settings jsonb default '{}', p_existing_rows text default null,
  p_status_column text default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
  q punctual.queues;
  v_before punctual.queues;
  v_table regclass;
  v_added text[];
  v_changes text[];
  v_notes text[];
  v_answer jsonb;
begin
  perform punctual.check_queue_arguments(p_name, p_delivery, p_existing_rows);
  v_table := punctual.find_queue_table(p_name, p_table);
  select * into v_before from punctual.queues b where b.name = p_name;
  q := jsonb_populate_record(null::punctual.queues, jsonb_build_object(
    'name', p_name, 'due_column', p_due_column, 'delivery', p_delivery, 'status_column', coalesce(p_status_column, 'status'),
    'partition_column', p_partition_column, 'account_column', p_account_column, 'result_columns', coalesce(p_result_columns, '{}'),
    'progress_column', p_progress_column, 'secret_columns', coalesce(p_secret_columns, '{}'), 'proof_column', p_proof_column,
    'pair_column', p_pair_column, 'waits_column', p_waits_column, 'closes_column', p_closes_column));
  select n.nspname, c.relname into q.table_schema, q.table_name
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = v_table;
  if p_existing_rows is not null and v_before.name is null and punctual.type_of_column(v_table, q.status_column) is not null then
    raise exception 'add_queue: p_existing_rows is given, and % has a column %, which says the state of each row', v_table, q.status_column
      using errcode = '22023', hint = 'Leave p_existing_rows out. To change the state of rows, update them first.';
  end if;
  q := punctual.check_queue_columns(v_table, q);
  perform punctual.check_column_roles(v_table, q);
  q := punctual.read_words(q, p_words);
  if p_status_column is null and p_existing_rows is null then perform punctual.check_no_state_column(v_table, q); end if;
  q.after_settle := punctual.check_function(p_after_settle, '(jsonb, timestamptz)', 'p_applied jsonb, p_now timestamptz');
  q.before_claim := punctual.check_function(p_before_claim, '(text, timestamptz)', 'p_partition text, p_now timestamptz');
  q.evidence := punctual.check_function(p_evidence, '(text[], timestamptz)', 'p_ids text[], p_now timestamptz');
  q.facts := punctual.check_function(p_facts, '(text[], timestamptz)', 'p_ids text[], p_now timestamptz');
  perform punctual.check_settings(coalesce(p_settings, '{}'));

  v_added := punctual.add_standard_columns(v_table, q, p_existing_rows);
  q.status_type := punctual.full_type_of_column(v_table, q.status_column);
  v_changes := punctual.take_over_columns(v_table, q, v_added);
  if v_before.name is null then
    v_changes := array_remove(punctual.note_found_columns(v_table, q, v_added) || v_changes || punctual.note_due_rows(q), null);
  end if;
  v_notes := punctual.list_table_notes(v_table, q);
  q.setup := jsonb_build_object('table', v_table::text, 'notes', to_jsonb(v_notes),
    'added', coalesce(v_before.setup->'added', '[]') || to_jsonb(v_added), 'changes', coalesce(v_before.setup->'changes', '[]') || to_jsonb(v_changes));
  perform punctual.prepare_table(v_table, q, v_before);
  perform punctual.register_queue(q, coalesce(p_settings, '{}'));
  perform punctual.make_functions(r) from punctual.queues r where r.name = q.name;
  v_answer := jsonb_build_object('queue', p_name, 'table', v_table::text, 'added', to_jsonb(v_added), 'notes', to_jsonb(v_changes || v_notes))
              || punctual.read_table_rights(v_table);
  if q.table_schema <> 'punctual' then perform punctual.raise_setup(v_answer); end if;
  return v_answer;
end
$$;

select punctual.close_to_public();
select punctual.note_migration('20261122000200', 'add_queue');
