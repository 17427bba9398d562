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
  p_name text,
  p_table text,
  p_due_column text,
  p_delivery text,
  p_words jsonb default '{}',
  p_partition_column text default null,
  p_account_column text default null,
  p_result_columns text[] default '{}',
  p_after_settle text default null,
  p_before_claim text default null,
  p_proof_column text default null,
  p_pair_column text default null,
  p_evidence text default null,
  p_progress_column text default null,
  p_secret_columns text[] default '{}',
  p_facts text default null,
  p_waits_column text default null,
  p_closes_column text default null,
  p_settings jsonb default '{}',
  p_existing_rows text default null,
  p_status_column text default null
) returns jsonb
language plpgsql set search_path = '' as $$
declare
  q punctual.queues;
  v_before punctual.queues;
  v_table regclass;
  v_settings jsonb := coalesce(p_settings, '{}');
  v_added text[];
  v_there text;
  v_due bigint;
  v_changes text[] := '{}';
  v_notes text[];
  v_answer jsonb;
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
  v_table := punctual.find_queue_table(p_name, p_table);
  select * into v_before from punctual.queues b where b.name = p_name;
  q.status_column := coalesce(p_status_column, 'status');
  if p_existing_rows is not null and v_before.name is null and punctual.type_of_column(v_table, q.status_column) is not null then
    raise exception 'add_queue: p_existing_rows is given, and % has a column %, which says the state of each row', v_table, q.status_column
      using errcode = '22023', hint = 'Leave p_existing_rows out. To change the state of rows, update them first.';
  end if;

  select n.nspname, c.relname into q.table_schema, q.table_name
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = v_table;
  q.name := p_name;
  q.due_column := p_due_column;
  q.delivery := p_delivery;
  q.partition_column := p_partition_column;
  q.account_column := p_account_column;
  q.result_columns := coalesce(p_result_columns, '{}');
  q.progress_column := p_progress_column;
  q.secret_columns := coalesce(p_secret_columns, '{}');
  q.proof_column := p_proof_column;
  q.pair_column := p_pair_column;
  q.waits_column := p_waits_column;
  q.closes_column := p_closes_column;

  q := punctual.check_queue_columns(v_table, q);
  perform punctual.check_column_roles(v_table, q);
  q := punctual.read_words(q, p_words);
  if p_status_column is null and p_existing_rows is null then perform punctual.check_no_state_column(v_table, q); end if;
  q.after_settle := punctual.check_function(p_after_settle, '(jsonb, timestamptz)', 'p_applied jsonb, p_now timestamptz');
  q.before_claim := punctual.check_function(p_before_claim, '(text, timestamptz)', 'p_partition text, p_now timestamptz');
  q.evidence := punctual.check_function(p_evidence, '(text[], timestamptz)', 'p_ids text[], p_now timestamptz');
  q.facts := punctual.check_function(p_facts, '(text[], timestamptz)', 'p_ids text[], p_now timestamptz');
  perform punctual.check_settings(v_settings);

  v_added := punctual.add_standard_columns(v_table, q, p_existing_rows);
  if v_before.name is null then
    select string_agg(a.attname, ', ' order by a.attnum) into v_there
      from pg_catalog.pg_attribute a join punctual.standard_columns(q) s on s.name = a.attname
     where a.attrelid = v_table and not a.attisdropped and a.attname <> all (v_added);
    if v_there is not null then
      v_changes := v_changes || format('these columns were there, and ticks use them as Punctual''s from now on: %s', v_there);
    end if;
  end if;
  v_changes := v_changes || punctual.take_over_columns(v_table, q, v_added);
  if v_before.name is null then
    execute punctual.render_sql(q, 'select count(*) from %s t where t.{status} = %L and coalesce(t.next_attempt_at, t.%I) <= now()',
                                v_table::text, q.pending_word, q.due_column) into v_due;
    if v_due > 0 then
      v_changes := v_changes || format('rows that were %s and due already, for the first ticks to do: %s', q.pending_word, v_due);
    end if;
  end if;
  v_notes := punctual.list_table_notes(v_table, q);
  select format_type(a.atttypid, a.atttypmod) into q.status_type
    from pg_catalog.pg_attribute a where a.attrelid = v_table and a.attname = q.status_column;

  perform punctual.make_queue_indexes(v_table, q, v_before);
  perform punctual.make_queue_triggers(v_table, q);
  -- Claims and settles leave dead entries at the head of these indexes; the defaults would let 20 % pile up.
  if v_before.name is null then
    execute format('alter table %s set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, '
                   'autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)', v_table);
  end if;
  q.setup := jsonb_build_object('table', v_table::text, 'notes', to_jsonb(v_notes),
    'added', coalesce(v_before.setup->'added', '[]') || to_jsonb(v_added),
    'changes', coalesce(v_before.setup->'changes', '[]') || to_jsonb(v_changes));
  perform punctual.register_queue(v_table, q, v_settings);
  perform punctual.make_functions(r) from punctual.queues r where r.name = q.name;

  -- The exchange runs as the service role, with no more rights than it has.
  if not has_schema_privilege('service_role', q.table_schema, 'usage') then
    execute format('grant usage on schema %I to service_role', q.table_schema);
  end if;
  execute format('grant select, insert, update, delete on %s to service_role', v_table);
  v_answer := jsonb_build_object('queue', p_name, 'table', v_table::text, 'added', to_jsonb(v_added), 'notes', to_jsonb(v_changes || v_notes))
              || punctual.read_table_rights(v_table);
  if q.table_schema <> 'punctual' then perform punctual.raise_setup(v_answer); end if;
  return v_answer;
end
$$;
