-- Raises add_queue's result as notices, which `npm run migrate` prints. A migration does not show the results of its calls.
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
    raise notice 'add_queue: anyone with the public (anon) key may % in %. To close it: alter table % enable row level security',
      (select string_agg(a, ', ') from jsonb_array_elements_text(p_answer->'anon') a), p_answer->>'table', p_answer->>'table';
  end if;
  for v_note in select n from jsonb_array_elements_text(p_answer->'notes') n loop
    raise notice 'add_queue: %', v_note;
  end loop;
end
$$;

-- Checks the arguments of add_queue that need no table. Raises 22023.
create function punctual.check_queue_arguments(p_name text, p_delivery text, p_existing_rows text) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if p_name is null or p_name !~ '^[a-z][a-z0-9_]{0,39}$' then
    raise exception 'add_queue: "%" is not a valid queue name', p_name
      using errcode = '22023', hint = 'Use up to 40 lower-case letters, digits and _, beginning with a letter.';
  end if;
  if p_delivery is null or p_delivery not in ('at-most-once', 'at-least-once') then
    raise exception 'add_queue: delivery cannot be "%"', p_delivery
      using errcode = '22023', hint = 'Use ''at-most-once'' or ''at-least-once''.';
  end if;
  if p_existing_rows not in ('pending', 'done', 'cancelled') then
    raise exception 'add_queue: p_existing_rows cannot be "%"', p_existing_rows
      using errcode = '22023', hint = 'Use the state of the existing rows: ''pending'', ''done'' or ''cancelled''.';
  end if;
end
$$;

-- Returns a note that lists the standard columns that the table already had; null if it had none.
create function punctual.note_found_columns(p_table regclass, q punctual.queues, p_added text[]) returns text
language sql stable set search_path = '' as $$
  select 'these columns existed already, and ticks use them from now on: ' || string_agg(a.attname, ', ' order by a.attnum)
    from pg_catalog.pg_attribute a join punctual.standard_columns(q) s on s.name = a.attname
   where a.attrelid = p_table and not a.attisdropped and a.attname <> all (p_added)
$$;

-- Returns a note with the number of due rows that the table already had; null if it had none.
create function punctual.note_due_rows(q punctual.queues) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_due bigint;
begin
  execute punctual.render_sql(q, 'select count(*) from {table} t where t.{status} = {pending} and {due_at} <= now()') into v_due;
  return case when v_due > 0 then format('rows that are already %s and due, and run in the first ticks: %s', q.pending_word, v_due) end;
end
$$;

-- Creates the queue's indexes and triggers on its table, tunes autovacuum, and grants the service role, as which ticks run, the rights on it.
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

-- Turns a table into a queue: see check_status_words for the steps.
--
-- p_table      the table, with its schema: 'public.free_trials'. Its primary key is one column `id`, bigint or uuid.
-- p_due_column the timestamptz column of a row's due time; null means never.
-- p_status_column  the text or enum column of a row's state, `status` by default. Only `status` is added if it is missing.
-- p_words      the table's own words for the six states, if they differ from the states' names.
-- p_result_columns  the text or jsonb columns that take values of an outcome's result under their names, for example provider ids.
-- p_progress_column  the jsonb column for a running row's progress.
-- p_after_settle  a function (p_applied jsonb, p_now timestamptz) that runs in the transaction of the settle, for effects beyond the row.
--              p_applied: [{id, claim_id, outcome, result, error, rate_limited, account_id, claimed_at, due}]. due: the due time of the attempt. It
--              also runs for a row that something other than its attempt settles: expiry (dead), a sweep (unknown, or dead if its attempts are used
--              up), a webhook, a check or an operator (done, dead, pending, cancelled), or plain SQL (done, dead, cancelled).
-- p_before_claim  a function (p_partition text, p_now timestamptz) that runs in a tick's first exchange, before the claim.
-- p_proof_column  the result column with the provider's id of the message. Reconciling lets each id prove one row.
-- p_pair_column  the text column of the addressee, if a provider may limit one addressee of an account.
-- p_evidence   a function (p_ids text[], p_now timestamptz) that returns {id: evidence} for rows that are checked.
-- p_facts      a function (p_ids text[], p_now timestamptz) that returns {id: facts} for rows that are claimed.
-- p_waits_column  the text column that names the event that a row without a due time waits for. Such a row is not shown as unreachable.
-- p_closes_column  the timestamptz column of the instant from which a row is not claimed, even if it is due. p_before_claim makes such rows due
--              again.
-- p_secret_columns  columns that lists of rows leave out, because people who may see rows must not see them: keys, tokens.
-- p_settings   initial values of settings (columns of punctual.queues).
-- p_existing_rows  the state of the existing rows, if the table has no status column: pending, done or cancelled.
--
-- Returns {queue, table, added: [columns], anon: [rights of the role anon], row_level_security, notes}. Raises this as notices, and stores it in
-- punctual.queues.setup, together with the columns and changes of earlier calls. Raises an error with a hint for each fault of table or arguments.
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
    raise exception 'add_queue: p_existing_rows does not apply: % has a column % with the state of each row', v_table, q.status_column
      using errcode = '22023', hint = 'Leave out p_existing_rows. To change the state of rows, update them first.';
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
