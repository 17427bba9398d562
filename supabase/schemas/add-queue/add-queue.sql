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
