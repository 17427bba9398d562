-- add_queue: turns a table into a queue. Owner only. Running it again is harmless: what is there stays,
-- settings that an operator changed stay.

-- Refuses unless the column `status` takes each of the words: by its type, its length, its checks and what it references.
create function punctual.check_status_words(p_table regclass, p_words text[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_type text;
  v_attnum smallint;
  v_word text;
  v_check record;
  v_text text;
  v_ok boolean;
begin
  select format_type(a.atttypid, a.atttypmod), a.attnum into v_type, v_attnum from pg_catalog.pg_attribute a
   where a.attrelid = p_table and a.attname = 'status' and not a.attisdropped;
  foreach v_word in array p_words loop
    begin
      -- As rows are read: a cast cuts what is too long without a word, and char(n) fills up what is too short.
      execute format('select to_jsonb(%L::%s) #>> ''{}''', v_word, v_type) into v_text;
    exception
      when unsafe_new_enum_value_usage then
        raise exception 'add_queue: the word "%" was added to % in this transaction, and cannot be used before its end', v_word, v_type
          using errcode = '22023', hint = 'Add it in a migration of its own, before this one.';
      when others then
        v_text := null;
    end;
    if v_text is distinct from v_word then
      raise exception 'add_queue: the column status of % (%) does not take the word "%"', p_table, v_type, v_word
        using errcode = '22023', hint = 'Add it to the type, or name the word your table uses in p_words.';
    end if;
    -- Only checks on status alone can be tried without a row.
    for v_check in
      select c.conname, pg_get_expr(c.conbin, c.conrelid) as expression
        from pg_catalog.pg_constraint c where c.conrelid = p_table and c.contype = 'c' and c.conkey = array[v_attnum]
    loop
      begin
        execute format('select (%s) from (select %L::%s as status) s', v_check.expression, v_word, v_type) into v_ok;
      exception when others then
        v_ok := false;
      end;
      if v_ok is false then
        raise exception 'add_queue: the check "%" of % does not take the word "%"', v_check.conname, p_table, v_word
          using errcode = '22023', hint = 'Widen the check, or name the word your table uses in p_words.';
      end if;
    end loop;
    for v_check in
      select c.conname, c.confrelid::regclass as target, a.attname as target_column
        from pg_catalog.pg_constraint c
        join pg_catalog.pg_attribute a on a.attrelid = c.confrelid and a.attnum = c.confkey[1]
       where c.conrelid = p_table and c.contype = 'f' and c.conkey = array[v_attnum]
    loop
      execute format('select exists (select from %s where %I::text = %L)', v_check.target, v_check.target_column, v_word) into v_ok;
      if not v_ok then
        raise exception 'add_queue: "%" of % does not take the word "%": it is not in %', v_check.conname, p_table, v_word, v_check.target
          using errcode = '22023', hint = 'Insert it there, or name the word your table uses in p_words.';
      end if;
    end loop;
  end loop;
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

-- p_table      the table, with its schema: 'public.free_trials'. It has one primary key `id`, bigint or uuid.
-- p_due_column the column (timestamptz) that says when a row falls due; null is never.
-- p_words      the table's own words for the six states, where they differ from the usual ones.
-- p_result_columns text or jsonb columns that take what an outcome's result says under their names: provider ids.
-- p_progress_column the jsonb column that takes how far a running row is.
-- p_after_settle  a function (p_applied jsonb, p_now timestamptz) that runs in the transaction of the settle, for what goes
--              beyond the row. p_applied: [{id, claim_id, outcome, result, error, rate_limited, account_id}].
-- p_proof_column  the result column that bears the provider's id of what was sent; reconcile lets each prove one row.
-- p_pair_column   the text column that says to whom, where a provider may limit one addressee of an account.
-- p_evidence   a function (p_ids text[], p_now timestamptz) that answers {id: evidence} for rows that are reconciled.
-- p_settings   the first values of settings (columns of punctual.queues).
--
-- Answers {queue, table, added: [columns], anon: what anon may do there, row_level_security, notes}.
create function punctual.add_queue(
  p_name text,
  p_table text,
  p_due_column text,
  p_delivery text,
  p_words jsonb default '{}',
  p_partition_column text default null,
  p_account_column text default null,
  p_result_columns text[] default '{}',
  p_after_settle text default null,
  p_proof_column text default null,
  p_pair_column text default null,
  p_evidence text default null,
  p_progress_column text default null,
  p_settings jsonb default '{}'
) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_words jsonb := jsonb_build_object('pending', 'pending', 'running', 'running', 'done', 'done',
                                      'dead', 'dead', 'unknown', 'unknown', 'cancelled', 'cancelled') || coalesce(p_words, '{}');
  v_list text[];
  v_table regclass;
  v_parts text[];
  v_before punctual.queues;
  v_schema text;
  v_relation text;
  v_id_type text;
  v_due_type text;
  v_key text;
  v_jsonb_columns text[] := '{}';
  v_added text[] := '{}';
  v_notes text[] := '{}';
  v_partition text := case when p_partition_column is null then '' else format('%I, ', p_partition_column) end;
  v_due text := format('coalesce(next_attempt_at, %I)', coalesce(p_due_column, ''));
  v_prefix text := 'punctual_' || p_name;
  v_default text;
  v_defaults jsonb;
  v_column record;
  v_standard text[] := array['id', 'status', 'priority', 'attempts', 'max_attempts', 'next_attempt_at', 'claim_id', 'lease_expires_at',
                             'timeout_seconds', 'last_error', 'finished_at', 'expires_at', 'idempotency_key', 'claimed_at', 'reconcile_at',
                             'reconcile'];
  -- Those that an outcome empties.
  v_emptied text[] := array['next_attempt_at', 'claim_id', 'lease_expires_at', 'last_error', 'finished_at', 'claimed_at', 'reconcile_at', 'reconcile'];
begin
  p_result_columns := coalesce(p_result_columns, '{}');
  if p_name is null or p_name !~ '^[a-z][a-z0-9_]{0,39}$' then
    raise exception 'add_queue: "%" is no name for a queue', p_name
      using errcode = '22023', hint = 'Use up to 40 lower-case letters, digits and _, beginning with a letter.';
  end if;
  if p_delivery is null or p_delivery not in ('at-most-once', 'at-least-once') then
    raise exception 'add_queue: delivery is "%"', p_delivery
      using errcode = '22023', hint = 'It is ''at-most-once'' or ''at-least-once''.';
  end if;

  -- The table.
  begin
    v_parts := parse_ident(p_table);
  exception when invalid_parameter_value then
    v_parts := null;
  end;
  if array_length(v_parts, 1) is distinct from 2 then
    raise exception 'add_queue: the table "%" has to be named with its schema', p_table
      using errcode = '22023', hint = 'For example ''public.free_trials''.';
  end if;
  v_schema := v_parts[1];
  v_relation := v_parts[2];
  v_table := to_regclass(format('%I.%I', v_schema, v_relation));
  if v_table is null then
    raise exception 'add_queue: there is no table %', p_table
      using errcode = '42P01', hint = 'Look at the spelling; a name with capitals has quotes of its own: ''public."FreeTrials"''.';
  end if;
  if v_schema in ('pg_catalog', 'information_schema') or exists (
    select from pg_catalog.pg_class c where c.oid = v_table and (c.relkind <> 'r' or c.relpersistence <> 'p' or c.relispartition)) then
    raise exception 'add_queue: % is no ordinary table', p_table
      using errcode = '42809', hint = 'Views, partitions, partitioned, foreign, unlogged and system tables cannot be queues.';
  end if;
  if v_schema = 'punctual' and v_relation in ('queues', 'partitions', 'ticks', 'providers', 'accounts', 'pace', 'receipts', 'history') then
    raise exception 'add_queue: % is a table that Punctual keeps for itself', p_table using errcode = '42809', hint = 'Make a table of your own.';
  end if;
  select q.name into v_key from punctual.queues q where q.name <> p_name and q.table_schema = v_schema and q.table_name = v_relation;
  if found then
    raise exception 'add_queue: % is the table of the queue % already', p_table, v_key
      using errcode = '23505', hint = 'A table is one queue: use that one, or remove it first (docs/your-own-table.md).';
  end if;
  select * into v_before from punctual.queues q where q.name = p_name;
  if (v_before.table_schema, v_before.table_name) <> (v_schema, v_relation) then
    raise exception 'add_queue: the queue % has another table, %.%', p_name, v_before.table_schema, v_before.table_name
      using errcode = '23505', hint = 'Choose another name. If the table was renamed, update table_schema and table_name in punctual.queues.';
  end if;

  -- Its key, its due column, and the columns that the queue is parted and paced by.
  select format_type(a.atttypid, null) into v_id_type
    from pg_catalog.pg_index i join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
   where i.indrelid = v_table and i.indisprimary and i.indnkeyatts = 1 and a.attname = 'id';
  if v_id_type is null or v_id_type not in ('bigint', 'uuid') then
    raise exception 'add_queue: the primary key of % has to be one column id, bigint or uuid', p_table
      using errcode = '22023', hint = 'An integer key becomes one by: alter table … alter column id type bigint. Any other table can be given one.';
  end if;
  select format_type(a.atttypid, null) into v_due_type from pg_catalog.pg_attribute a
   where a.attrelid = v_table and a.attname = p_due_column and not a.attisdropped;
  if v_due_type is distinct from 'timestamp with time zone' then
    raise exception 'add_queue: the due column % of % is %, and has to be timestamptz', p_due_column, p_table, coalesce(v_due_type, 'missing')
      using errcode = '22023', hint = 'alter table … alter column … type timestamptz using … at time zone ''UTC'': without a zone it means another instant to every reader.';
  end if;
  for v_column in
    select * from (values ('partition', p_partition_column, array['text']), ('account', p_account_column, array['uuid']),
                          ('pair', p_pair_column, array['text']), ('progress', p_progress_column, array['jsonb'])) c (role, name, types)
     where c.name is not null
    union all select 'result', r, array['text', 'jsonb'] from unnest(p_result_columns) r
  loop
    select format_type(a.atttypid, null) into v_key from pg_catalog.pg_attribute a
     where a.attrelid = v_table and a.attname = v_column.name and not a.attisdropped;
    if v_key is null or v_key <> all (v_column.types) then
      raise exception 'add_queue: the % column % of % is %, and has to be %',
        v_column.role, v_column.name, p_table, coalesce(v_key, 'missing'), array_to_string(v_column.types, ' or ') using errcode = '22023',
        hint = 'Add it, name another column, or change its type.';
    end if;
    if v_column.role = 'result' and v_key = 'jsonb' then v_jsonb_columns := v_jsonb_columns || v_column.name::text; end if;
  end loop;
  if p_proof_column = any (v_jsonb_columns) then
    raise exception 'add_queue: the proof column % is jsonb, and has to be text', p_proof_column
      using errcode = '22023', hint = 'It bears the provider''s id of what was sent, which is searched for.';
  end if;

  if p_account_column is not null and not exists (
    select from pg_catalog.pg_constraint c
      join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attname = p_account_column and c.conkey = array[a.attnum]
     where c.conrelid = v_table and c.contype = 'f' and c.confrelid = 'punctual.accounts'::regclass) then
    -- Without it a row could name an account that is not there, and wait for ever.
    raise exception 'add_queue: the account column % of % has to reference punctual.accounts (id)', p_account_column, p_table
      using errcode = '22023', hint = format('alter table %s add foreign key (%I) references punctual.accounts', p_table, p_account_column);
  end if;

  if p_proof_column is not null and not p_proof_column = any (p_result_columns) then
    raise exception 'add_queue: the proof column % is none of the result columns', p_proof_column
      using errcode = '22023', hint = 'Name it in p_result_columns as well.';
  end if;
  if p_pair_column is not null and p_account_column is null then
    raise exception 'add_queue: a pair is an account and an addressee, and there is no account column'
      using errcode = '22023', hint = 'Name it in p_account_column, or leave p_pair_column out.';
  end if;

  -- One column, one role: a settle writes each of them once.
  select c into v_key
    from unnest(array[p_due_column, p_partition_column, p_account_column, p_progress_column] || p_result_columns) c where c is not null
     and (c = any (v_standard) or (select count(*) from unnest(array[p_due_column, p_partition_column, p_account_column, p_progress_column]
                                                               || p_result_columns) x where x = c) > 1) limit 1;
  if v_key is not null then
    raise exception 'add_queue: the column % has another role already', v_key
      using errcode = '22023', hint = 'Standard columns cannot be due, partition, account, progress or result columns, nor one column two of these.';
  end if;

  -- What a tick writes has to be writable.
  select a.attname into v_key from pg_catalog.pg_attribute a
   where a.attrelid = v_table and not a.attisdropped and a.attgenerated <> ''
     and a.attname = any (v_standard || p_due_column || p_progress_column || p_result_columns) and a.attname <> 'id' limit 1;
  if v_key is not null then
    raise exception 'add_queue: the column % of % is generated, and ticks have to write it', v_key, p_table
      using errcode = '22023', hint = format('alter table %s alter column %I drop expression, or rename your column.', p_table, v_key);
  end if;
  select a.attname into v_key from pg_catalog.pg_attribute a
   where a.attrelid = v_table and not a.attisdropped and a.attnotnull and a.attname = any (v_emptied) limit 1;
  if v_key is not null then
    raise exception 'add_queue: the column % of % is not null, and ticks have to empty it', v_key, p_table
      using errcode = '22023', hint = format('alter table %s alter column %I drop not null, or rename your column.', p_table, v_key);
  end if;

  -- The words.
  if jsonb_typeof(v_words) <> 'object' or exists (select from jsonb_each(v_words) w where jsonb_typeof(w.value) <> 'string') then
    raise exception 'add_queue: p_words is no object of words'
      using errcode = '22023', hint = 'For example ''{"running": "sending", "done": "sent"}''.';
  end if;
  select array_agg(w.value order by w.key) into v_list from jsonb_each_text(v_words) w;
  if (select count(*) from jsonb_object_keys(v_words)) <> 6 then
    raise exception 'add_queue: p_words knows pending, running, done, dead, unknown and cancelled, not %',
      (select string_agg(k, ', ') from jsonb_object_keys(v_words) k
        where k not in ('pending', 'running', 'done', 'dead', 'unknown', 'cancelled'))
      using errcode = '22023', hint = 'Its keys are these six states, its values the words that your table has for them.';
  end if;
  if (select count(distinct w) from unnest(v_list) w where w <> '') <> 6 then
    raise exception 'add_queue: the six state words have to be distinct, and are %', array_to_string(v_list, ', ')
      using errcode = '22023', hint = 'Name six words, none of them empty; add to the column''s check those that it lacks.';
  end if;

  if p_after_settle is not null and to_regprocedure(p_after_settle || '(jsonb, timestamptz)') is null then
    raise exception 'add_queue: there is no function %(p_applied jsonb, p_now timestamptz)', p_after_settle
      using errcode = '42883', hint = 'Create it first, and name it with its schema.';
  end if;
  if p_evidence is not null and to_regprocedure(p_evidence || '(text[], timestamptz)') is null then
    raise exception 'add_queue: there is no function %(p_ids text[], p_now timestamptz)', p_evidence
      using errcode = '42883', hint = 'Create it first, and name it with its schema.';
  end if;

  if (p_after_settle is not null and not has_function_privilege('service_role', p_after_settle || '(jsonb, timestamptz)', 'execute'))
     or (p_evidence is not null and not has_function_privilege('service_role', p_evidence || '(text[], timestamptz)', 'execute')) then
    raise exception 'add_queue: service_role, as which ticks run, may not call %', concat_ws(' or ', p_after_settle, p_evidence)
      using errcode = '42501', hint = 'grant execute on function … to service_role, and on its schema usage.';
  end if;
  if jsonb_typeof(coalesce(p_settings, '{}')) <> 'object' then
    raise exception 'add_queue: p_settings is no object of settings' using errcode = '22023', hint = 'For example ''{"concurrency": 10}''.';
  end if;
  select string_agg(k, ', ') into v_key from jsonb_object_keys(coalesce(p_settings, '{}')) k where k not in (
    'batch_limit', 'concurrency', 'adaptive', 'budget_seconds', 'max_ticks', 'timeout_seconds', 'lease_seconds', 'max_attempts', 'backoff_base_seconds',
    'backoff_cap_seconds', 'retention_days');
  if v_key is not null then
    raise exception 'add_queue: there is no setting %', v_key
      using errcode = '22023', hint = 'p_settings knows batch_limit, concurrency, adaptive, budget_seconds, max_ticks, timeout_seconds, lease_seconds, '
        'max_attempts, backoff_base_seconds, backoff_cap_seconds and retention_days.';
  end if;

  -- What is there and will mean what it means to ticks from now on.
  if v_before.name is null then
    select string_agg(a.attname, ', ' order by a.attnum) into v_key from pg_catalog.pg_attribute a
     where a.attrelid = v_table and not a.attisdropped and a.attname = any (v_standard) and a.attname not in ('id', 'status');
    if v_key is not null then
      v_notes := v_notes || format('these columns were there, and ticks use them as Punctual''s from now on: %s', v_key);
    end if;
  end if;

  -- The standard columns.
  if not exists (select from pg_catalog.pg_attribute a where a.attrelid = v_table and a.attname = 'status' and not a.attisdropped) then
    execute format('alter table %s add column status text not null default %L check (status in (%s))', v_table, v_words->>'pending',
                   (select string_agg(quote_literal(w), ', ') from unnest(v_list) w));
    v_added := v_added || 'status'::text;
  end if;
  perform punctual.check_status_words(v_table, v_list);
  for v_column in
    select c.name, c.type, c.definition from (values
      ('priority', 'smallint', format('smallint not null default 1 constraint %I check (priority between 0 and 3)', v_prefix || '_priority')),
      ('attempts', 'integer', 'integer not null default 0'),
      ('max_attempts', 'integer', 'integer check (max_attempts > 0)'),
      ('next_attempt_at', 'timestamp with time zone', 'timestamptz'),
      ('claim_id', 'uuid', 'uuid'),
      ('lease_expires_at', 'timestamp with time zone', 'timestamptz'),
      ('timeout_seconds', 'integer', 'integer check (timeout_seconds > 0)'),
      ('last_error', 'text', 'text'),
      ('finished_at', 'timestamp with time zone', 'timestamptz'),
      ('expires_at', 'timestamp with time zone', 'timestamptz'),
      ('idempotency_key', 'text', 'text'),
      ('claimed_at', 'timestamp with time zone', 'timestamptz'),
      -- When the provider is asked next what became of an unknown row, and what is known by then.
      ('reconcile_at', 'timestamp with time zone', 'timestamptz'),
      ('reconcile', 'jsonb', 'jsonb')) c (name, type, definition)
     where p_delivery = 'at-most-once' or c.name not in ('reconcile_at', 'reconcile')
  loop
    if punctual.add_column(v_table, v_column.name, v_column.type, v_column.definition) then
      v_added := v_added || v_column.name::text;
    end if;
  end loop;
  select coalesce(jsonb_object_agg(a.attname, true), '{}') into v_defaults
    from pg_catalog.pg_attribute a where a.attrelid = v_table and not a.attisdropped and a.atthasdef;
  if not (v_added @> '{priority}') then
    execute format('select 1 from %s where priority is null or priority not between 0 and 3 limit 1', v_table) into v_key;
    if v_key is not null then
      raise exception 'add_queue: % has rows whose priority is not between 0 and 3', p_table
        using errcode = '22023', hint = format('update %s set priority = 1 where priority is null or priority not between 0 and 3, or rename your column.', p_table);
    end if;
    if not (v_defaults ? 'priority') then execute format('alter table %s alter column priority set default 1', v_table); end if;
    execute format('alter table %s alter column priority set not null', v_table);
    if not exists (select from pg_catalog.pg_constraint where conrelid = v_table and conname = v_prefix || '_priority') then
      execute format('alter table %s add constraint %I check (priority between 0 and 3)', v_table, v_prefix || '_priority');
    end if;
  end if;

  if not (v_added @> '{attempts}') then
    execute format('select 1 from %s where attempts is null or attempts < 0 limit 1', v_table) into v_key;
    if v_key is not null then
      raise exception 'add_queue: % has rows whose attempts are not counted', p_table
        using errcode = '22023', hint = format('update %s set attempts = 0 where attempts is null or attempts < 0, or rename your column.', p_table);
    end if;
    if not (v_defaults ? 'attempts') then execute format('alter table %s alter column attempts set default 0', v_table); end if;
    execute format('alter table %s alter column attempts set not null', v_table);
  end if;

  -- What a tick will meet only when it writes.
  for v_column in
    select format('the check "%s" is over several columns: it has to hold for whatever word a tick writes', c.conname) as name
      from pg_catalog.pg_constraint c
      join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attname = 'status' and a.attnum = any (c.conkey)
     where c.conrelid = v_table and c.contype = 'c' and cardinality(c.conkey) > 1
    union all
    select format('the trigger "%s" runs in ticks, with an empty search_path: give %s() one (set search_path = …), or schemas to the names in it',
                  g.tgname, p.oid::regproc)
      from pg_catalog.pg_trigger g join pg_catalog.pg_proc p on p.oid = g.tgfoid
     where g.tgrelid = v_table and not g.tgisinternal and g.tgenabled <> 'D' and (g.tgtype & 16) <> 0
       and not exists (select from unnest(p.proconfig) o where o like 'search_path=%')
  loop
    v_notes := v_notes || v_column.name;
  end loop;

  -- A new row is pending by itself, or its owner sets the word: say which.
  select pg_get_expr(d.adbin, d.adrelid) into v_default
    from pg_catalog.pg_attribute a left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where a.attrelid = v_table and a.attname = 'status';
  if v_default is null or (v_default <> v_words->>'pending' and not starts_with(v_default, quote_literal(v_words->>'pending') || '::')) then
    v_notes := v_notes || format('status has no default ''%s'': set it on every row that is to be done', v_words->>'pending');
  end if;

  -- A queue that was removed may have left its indexes, and one whose words or columns change needs others.
  for v_column in
    select i.indexrelid::regclass as name, i.indrelid from pg_catalog.pg_index i
      join pg_catalog.pg_class c on c.oid = i.indexrelid
     where c.relnamespace = v_schema::regnamespace
       and c.relname = any (array(select v_prefix || x from unnest(array['_due', '_lease', '_expiry', '_settled', '_account', '_reconcile', '_proof', '_unproved', '_key']) x))
  loop
    if v_column.indrelid <> v_table then
      raise exception 'add_queue: the index % is of %', v_column.name, v_column.indrelid::regclass
        using errcode = '42P07', hint = 'It is of a queue of this name that was removed: drop the indexes of that name.';
    end if;
    if (v_before.due_column, v_before.delivery, v_before.pending_word, v_before.running_word, v_before.done_word, v_before.dead_word,
        v_before.unknown_word, v_before.cancelled_word) <> (p_due_column, p_delivery, v_words->>'pending', v_words->>'running', v_words->>'done',
        v_words->>'dead', v_words->>'unknown', v_words->>'cancelled')
       or (v_before.partition_column, v_before.account_column, v_before.proof_column, v_before.pair_column)
          is distinct from (p_partition_column, p_account_column, p_proof_column, p_pair_column) then
      execute format('drop index %s', v_column.name);
    end if;
  end loop;
  execute format('select idempotency_key from %s where idempotency_key is not null group by 1 having count(*) > 1 limit 1', v_table) into v_key;
  if v_key is not null then
    raise exception 'add_queue: % has two rows whose idempotency_key is "%"', p_table, v_key
      using errcode = '23505', hint = 'It is unique where it is set: empty one of them, or rename your column.';
  end if;

  -- The indexes. Each is partial: what is settled costs the claim nothing.
  if p_account_column is null then
    execute format('create index if not exists %I on %s (%spriority, (%s), id) where status = %L',
                   v_prefix || '_due', v_table, v_partition, v_due, v_words->>'pending');
  else
    -- For the queue as a whole, and never for one account's rows: with stale statistics the planner would walk it once an account. The
    -- condition is always true, and no look-up of an account's rows states it.
    execute format('create index if not exists %I on %s (%s(%s), id) where status = %L and priority + 0 >= 0',
                   v_prefix || '_due', v_table, v_partition, v_due, v_words->>'pending');
  end if;
  execute format('create index if not exists %I on %s (lease_expires_at) where status = %L',
                 v_prefix || '_lease', v_table, v_words->>'running');
  execute format('create index if not exists %I on %s (expires_at) where status = %L and expires_at is not null',
                 v_prefix || '_expiry', v_table, v_words->>'pending');
  execute format('create index if not exists %I on %s (status, finished_at) where status in (%L, %L, %L, %L)',
                 v_prefix || '_settled', v_table, v_words->>'done', v_words->>'dead', v_words->>'unknown', v_words->>'cancelled');
  if p_account_column is not null then
    execute format('create index if not exists %I on %s (%I, priority, (%s), id) where status = %L',
                   v_prefix || '_account', v_table, p_account_column, v_due, v_words->>'pending');
  end if;
  if p_delivery = 'at-most-once' then
    execute format('create index if not exists %I on %s (reconcile_at) where status = %L and reconcile_at is not null',
                   v_prefix || '_reconcile', v_table, v_words->>'unknown');
  end if;
  if p_proof_column is not null then
    execute format('create index if not exists %I on %s (%I) where %3$I is not null', v_prefix || '_proof', v_table, p_proof_column);
    -- What was sent without the provider saying as what, to be kept from proving another row.
    if p_pair_column is not null then
      execute format('create index if not exists %I on %s (%I, %I) where status = %L and %I is null',
                     v_prefix || '_unproved', v_table, p_account_column, p_pair_column, v_words->>'done', p_proof_column);
    end if;
  end if;
  execute format('create unique index if not exists %I on %s (idempotency_key) where idempotency_key is not null',
                 v_prefix || '_key', v_table);

  -- Claims and settles leave dead entries at the head of these indexes; the defaults would let 20 % pile up.
  if v_before.name is null then
    execute format('alter table %s set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, '
                 'autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)', v_table);
  end if;

  begin
    insert into punctual.queues as q (name, table_schema, table_name, id_type, due_column, status_type, partition_column, account_column,
      pending_word, running_word, done_word, dead_word, unknown_word, cancelled_word, delivery, result_columns, jsonb_columns,
      progress_column, after_settle, proof_column, pair_column, evidence, batch_limit, concurrency, adaptive, budget_seconds, max_ticks, timeout_seconds, lease_seconds, max_attempts,
      backoff_base_seconds, backoff_cap_seconds, retention_days)
    select p_name, v_schema, v_relation, v_id_type, p_due_column,
           (select format_type(a.atttypid, a.atttypmod) from pg_catalog.pg_attribute a where a.attrelid = v_table and a.attname = 'status'),
           p_partition_column, p_account_column,
           v_words->>'pending', v_words->>'running', v_words->>'done', v_words->>'dead', v_words->>'unknown', v_words->>'cancelled',
           p_delivery, p_result_columns, v_jsonb_columns, p_progress_column, p_after_settle, p_proof_column, p_pair_column, p_evidence,
           s.batch_limit, s.concurrency, s.adaptive, s.budget_seconds, s.max_ticks, s.timeout_seconds, s.lease_seconds, s.max_attempts,
           s.backoff_base_seconds, s.backoff_cap_seconds, s.retention_days
      from jsonb_to_record(jsonb_build_object(
             'batch_limit', 30, 'concurrency', 5, 'adaptive', false, 'max_ticks', 1, 'timeout_seconds', 15, 'lease_seconds', 90, 'max_attempts', 5,
             'backoff_base_seconds', 30, 'backoff_cap_seconds', 3600,
             -- A table of a person's own holds more than messages: nothing of it is deleted unless that is asked for.
             'retention_days', case when v_schema = 'punctual' then 30 end) || coalesce(p_settings, '{}'))
        as s (batch_limit integer, concurrency integer, adaptive boolean, budget_seconds integer, max_ticks integer, timeout_seconds integer, lease_seconds integer,
              max_attempts integer, backoff_base_seconds integer, backoff_cap_seconds integer, retention_days integer)
    on conflict (name) do update set
      id_type = excluded.id_type, due_column = excluded.due_column, status_type = excluded.status_type,
      partition_column = excluded.partition_column,
      account_column = excluded.account_column, pending_word = excluded.pending_word, running_word = excluded.running_word,
      done_word = excluded.done_word, dead_word = excluded.dead_word, unknown_word = excluded.unknown_word,
      cancelled_word = excluded.cancelled_word, delivery = excluded.delivery, result_columns = excluded.result_columns,
      jsonb_columns = excluded.jsonb_columns, progress_column = excluded.progress_column, after_settle = excluded.after_settle, proof_column = excluded.proof_column, pair_column = excluded.pair_column,
      evidence = excluded.evidence;
  exception when check_violation or not_null_violation or invalid_text_representation or numeric_value_out_of_range then
    raise exception 'add_queue: a setting is out of range: %', sqlerrm
      using errcode = '22023', hint = 'What each may be is said in README.md under Operating it, and by the checks of punctual.queues.';
  end;

  if p_partition_column is null then
    insert into punctual.partitions (queue, partition) values (p_name, 'main') on conflict do nothing;
  else
    execute format('insert into punctual.partitions (queue, partition) '
                   'select distinct %L, t.%I from %s t where t.%I <> '''' on conflict do nothing',
                   p_name, p_partition_column, v_table, p_partition_column);
  end if;
  if p_account_column is not null then
    insert into punctual.pace (queue, account_id, provider)
    select p_name, a.id, a.provider from punctual.accounts a on conflict do nothing;
  end if;

  -- The exchange runs as the service role, with no more rights than it has.
  if not has_schema_privilege('service_role', v_schema, 'usage') then
    execute format('grant usage on schema %I to service_role', v_schema);
  end if;
  execute format('grant select, insert, update, delete on %s to service_role', v_table);
  return jsonb_build_object(
    'queue', p_name,
    'table', v_table::text,
    'added', to_jsonb(v_added),
    'row_level_security', (select c.relrowsecurity from pg_catalog.pg_class c where c.oid = v_table),
    'anon', (select coalesce(jsonb_agg(p), '[]') from unnest(array['select', 'insert', 'update', 'delete']) p
              where has_table_privilege('anon', v_table, p) or (p <> 'delete' and has_any_column_privilege('anon', v_table, p))),
    'notes', to_jsonb(v_notes));
end
$$;

select punctual.close_to_public();
