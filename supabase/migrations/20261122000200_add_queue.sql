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
      execute format('select (%L::%s)::text', v_word, v_type) into v_text;
    exception when others then
      v_text := null;
    end;
    -- A cast cuts what is too long without a word.
    if v_text is distinct from v_word then
      raise exception 'add_queue: the column status of % (%) does not take the word "%"', p_table, v_type, v_word
        using errcode = '22023', hint = 'Add it to the type, or name the word your table uses in p_words.';
    end if;
    -- Only checks on status alone can be tried without a row.
    for v_check in
      select c.conname, pg_get_expr(c.conbin, c.conrelid) as expression
        from pg_catalog.pg_constraint c where c.conrelid = p_table and c.contype = 'c' and c.conkey = array[v_attnum]
    loop
      execute format('select (%s) from (select %L::%s as status) s', v_check.expression, v_word, v_type) into v_ok;
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
  v_schema text;
  v_relation text;
  v_id_type text;
  v_due_type text;
  v_key text;
  v_jsonb_columns text[] := '{}';
  v_added text[] := '{}';
  v_notes text[] := '{}';
  v_partition text := case when p_partition_column is null then '' else format('%I, ', p_partition_column) end;
  v_due text := format('coalesce(next_attempt_at, %I)', p_due_column);
  v_prefix text := 'punctual_' || p_name;
  v_default text;
  v_column record;
  v_standard text[] := array['id', 'status', 'priority', 'attempts', 'max_attempts', 'next_attempt_at', 'claim_id', 'lease_expires_at',
                             'timeout_seconds', 'last_error', 'finished_at', 'expires_at', 'idempotency_key', 'claimed_at', 'reconcile_at',
                             'reconcile'];
begin
  if p_name is null or p_name !~ '^[a-z][a-z0-9_]{0,39}$' then
    raise exception 'add_queue: "%" is no name for a queue', p_name
      using errcode = '22023', hint = 'Use up to 40 lower-case letters, digits and _, beginning with a letter.';
  end if;
  if p_delivery is null or p_delivery not in ('at-most-once', 'at-least-once') then
    raise exception 'add_queue: delivery is "%"', p_delivery
      using errcode = '22023', hint = 'It is ''at-most-once'' or ''at-least-once''.';
  end if;

  -- The table.
  if p_table is null or array_length(parse_ident(p_table), 1) is distinct from 2 then
    raise exception 'add_queue: the table "%" has to be named with its schema', p_table
      using errcode = '22023', hint = 'For example ''public.free_trials''.';
  end if;
  v_schema := (parse_ident(p_table))[1];
  v_relation := (parse_ident(p_table))[2];
  v_table := to_regclass(format('%I.%I', v_schema, v_relation));
  if v_table is null then
    raise exception 'add_queue: there is no table %', p_table using errcode = '42P01';
  end if;
  if v_schema in ('pg_catalog', 'information_schema') or (select relkind from pg_catalog.pg_class where oid = v_table) <> 'r' then
    raise exception 'add_queue: % is no ordinary table', p_table
      using errcode = '42809', hint = 'Views, partitioned, foreign and system tables cannot be queues.';
  end if;
  if exists (select from punctual.queues q where q.name <> p_name and q.table_schema = v_schema and q.table_name = v_relation) then
    raise exception 'add_queue: % is the table of another queue', p_table using errcode = '23505';
  end if;
  if exists (select from punctual.queues q where q.name = p_name and (q.table_schema, q.table_name) <> (v_schema, v_relation)) then
    raise exception 'add_queue: the queue % has another table', p_name using errcode = '23505';
  end if;

  -- Its key, its due column, and the columns that the queue is parted and paced by.
  select format_type(a.atttypid, null) into v_id_type
    from pg_catalog.pg_index i join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
   where i.indrelid = v_table and i.indisprimary and i.indnkeyatts = 1 and a.attname = 'id';
  if v_id_type is null or v_id_type not in ('bigint', 'uuid') then
    raise exception 'add_queue: the primary key of % has to be one column id, bigint or uuid', p_table
      using errcode = '22023', hint = 'An integer key becomes one by: alter table … alter column id type bigint.';
  end if;
  select format_type(a.atttypid, null) into v_due_type from pg_catalog.pg_attribute a
   where a.attrelid = v_table and a.attname = p_due_column and not a.attisdropped;
  if v_due_type is distinct from 'timestamp with time zone' then
    raise exception 'add_queue: the due column % of % is %, and has to be timestamptz', p_due_column, p_table, coalesce(v_due_type, 'missing')
      using errcode = '22023', hint = 'A timestamp without time zone means another instant to every reader.';
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
      using errcode = '22023', hint = 'It bears the provider''s id of what was sent.';
  end if;

  if p_account_column is not null and not exists (
    select from pg_catalog.pg_constraint c
      join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attname = p_account_column and c.conkey = array[a.attnum]
     where c.conrelid = v_table and c.contype = 'f' and c.confrelid = 'punctual.accounts'::regclass) then
    -- Without it a row could name an account that is not there, and wait for ever.
    raise exception 'add_queue: the account column % of % has to reference punctual.accounts (id)', p_account_column, p_table
      using errcode = '22023';
  end if;

  if p_proof_column is not null and not p_proof_column = any (p_result_columns) then
    raise exception 'add_queue: the proof column % is none of the result columns', p_proof_column
      using errcode = '22023', hint = 'Name it in p_result_columns as well.';
  end if;
  if p_pair_column is not null and p_account_column is null then
    raise exception 'add_queue: a pair is an account and an addressee, and there is no account column' using errcode = '22023';
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

  -- The words.
  select array_agg(w.value order by w.key) into v_list from jsonb_each_text(v_words) w;
  if (select count(*) from jsonb_object_keys(v_words)) <> 6 then
    raise exception 'add_queue: p_words knows pending, running, done, dead, unknown and cancelled, not %',
      (select string_agg(k, ', ') from jsonb_object_keys(v_words) k
        where k not in ('pending', 'running', 'done', 'dead', 'unknown', 'cancelled')) using errcode = '22023';
  end if;
  if (select count(distinct w) from unnest(v_list) w where w <> '') <> 6 then
    raise exception 'add_queue: the six state words have to be distinct, and are %', array_to_string(v_list, ', ')
      using errcode = '22023';
  end if;

  if p_after_settle is not null and to_regprocedure(p_after_settle || '(jsonb, timestamptz)') is null then
    raise exception 'add_queue: there is no function %(p_applied jsonb, p_now timestamptz)', p_after_settle
      using errcode = '42883', hint = 'Create it first, and name it with its schema.';
  end if;
  if p_evidence is not null and to_regprocedure(p_evidence || '(text[], timestamptz)') is null then
    raise exception 'add_queue: there is no function %(p_ids text[], p_now timestamptz)', p_evidence
      using errcode = '42883', hint = 'Create it first, and name it with its schema.';
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
      ('priority', 'smallint', 'smallint not null default 1 check (priority between 0 and 3)'),
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
  if not (v_added @> '{priority}') then
    execute format('select 1 from %s where priority is null or priority not between 0 and 3 limit 1', v_table) into v_key;
    if v_key is not null then
      raise exception 'add_queue: % has rows whose priority is not between 0 and 3', p_table using errcode = '22023';
    end if;
    execute format('alter table %s alter column priority set not null', v_table);
    if not exists (select from pg_catalog.pg_constraint where conrelid = v_table and conname = v_prefix || '_priority') then
      execute format('alter table %s add constraint %I check (priority between 0 and 3)', v_table, v_prefix || '_priority');
    end if;
  end if;

  -- A new row is pending by itself, or its owner sets the word: say which.
  select pg_get_expr(d.adbin, d.adrelid) into v_default
    from pg_catalog.pg_attribute a left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where a.attrelid = v_table and a.attname = 'status';
  if v_default is null or v_default not like quote_literal(v_words->>'pending') || '%' then
    v_notes := v_notes || format('status has no default ''%s'': set it on every row that is to be done', v_words->>'pending');
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
  execute format('alter table %s set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, '
                 'autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)', v_table);

  insert into punctual.queues as q (name, table_schema, table_name, id_type, due_column, status_type, partition_column, account_column,
    pending_word, running_word, done_word, dead_word, unknown_word, cancelled_word, delivery, result_columns, jsonb_columns,
    progress_column, after_settle, proof_column, pair_column, evidence, batch_limit, concurrency, adaptive, budget_seconds, max_ticks, timeout_seconds, lease_seconds, max_attempts,
    backoff_base_seconds, backoff_cap_seconds, retention_days)
  select p_name, v_schema, v_relation, v_id_type, p_due_column,
         (select format_type(a.atttypid, null) from pg_catalog.pg_attribute a where a.attrelid = v_table and a.attname = 'status'),
         p_partition_column, p_account_column,
         v_words->>'pending', v_words->>'running', v_words->>'done', v_words->>'dead', v_words->>'unknown', v_words->>'cancelled',
         p_delivery, p_result_columns, v_jsonb_columns, p_progress_column, p_after_settle, p_proof_column, p_pair_column, p_evidence,
         s.batch_limit, s.concurrency, s.adaptive, s.budget_seconds, s.max_ticks, s.timeout_seconds, s.lease_seconds, s.max_attempts,
         s.backoff_base_seconds, s.backoff_cap_seconds, s.retention_days
    from jsonb_to_record(jsonb_build_object(
           'batch_limit', 30, 'concurrency', 5, 'adaptive', false, 'max_ticks', 1, 'timeout_seconds', 15, 'lease_seconds', 90, 'max_attempts', 5,
           'backoff_base_seconds', 30, 'backoff_cap_seconds', 3600, 'retention_days', 30) || coalesce(p_settings, '{}'))
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
              where has_table_privilege('anon', v_table, p)),
    'notes', to_jsonb(v_notes));
end
$$;

select punctual.close_to_public();
