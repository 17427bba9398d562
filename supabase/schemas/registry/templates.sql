-- Functions of the queue's own. Each query of an exchange on a queue's table is a function, made when the queue is registered. Its text contains the
-- queue's names and words, so Postgres plans it once a session and an operator can read it: \sf punctual."dm_queue.claim".

-- The texts of these functions. A placeholder in braces stands for a name or a word of the queue: see words_of_queue. {function} stands for the name
-- of the function: the queue's name, a dot and the verb.
create table punctual.templates (
  verb text not null,
  -- The kinds of queue that get this function: see kind_of_queue.
  kinds text[] not null default '{plain,accounts}',
  text text not null,
  unique (verb, kinds)
);

-- Returns SQL that sets each result column to its value in p_result, with a leading comma. p_result: SQL of a jsonb object. A column that it lacks
-- keeps its value.
create function punctual.set_results(q punctual.queues, p_result text) returns text
language plpgsql stable set search_path = '' as $$
begin
  return (
    select coalesce(string_agg(format(', %I = coalesce(%s%s%L, t.%I)', c, p_result, case when c = any (q.jsonb_columns) then '->' else '->>' end, c, c), ''), '')
      from unnest(q.result_columns) c);
end
$$;

-- Returns the SQL of the placeholders: those of names_of_queue, and these. t is a row of the table; p_partition and p_now are parameters of the
-- function.
--
-- {in_partition}  condition with a leading `and`: t is in the partition. Empty in a queue without partitions
-- {levels} {at_level}  the priorities as rows (l.level), and the condition that t has that priority. In a queue with accounts each account has an
--                 order of its own, so the index on due times has no priorities: see queue_indexes
-- {wanted}        condition: t has not expired
-- {claimable}     condition: a claim may take t. The only definition of it
-- {first_sendable}  in a queue with accounts: the first row (id, due) that the account c (account_id, limited_addressees) could send. Skips rows
--                 whose addressee the provider limits, up to 200 at each priority. An account with more such rows waits for the addressee
-- {take} {claimed}  the columns that a claim sets on the row u, and the row t as a claim returns it
-- {row} {taken_row}  a subquery of the row_columns of the row t, or u
-- {outcome}       the outcome that settle writes for the outcome o
-- {is_exhausted}  condition: o would run t again, but t has used up its attempts
-- {spread}        a number from 0 to 1, different for each row and attempt
-- {retry_at} {set_results} {set_reconcile} {old_row} {old_due} {account_id} {pair} {late} {has_consequences} {is_repeated} {is_noted} {event_proof}  parts of the
--                 settle
-- {account_summary}  the account a as json, for the handler of its rows
-- {check_is_due}  condition: the check of the unknown row t is due, by one of p_providers
-- {keeps_plan}    the settings of each function: keep plans and use indexes
-- {unswept} {unexpired} {unapplied}  conditions: to sweep t, to expire t, or to apply the receipt r has not failed within the last hour
create function punctual.words_of_queue(q punctual.queues) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_columns text[] := punctual.row_columns(q);
  -- The instant until which t may be claimed has not passed.
  v_open text := case when q.closes_column is not null then '(t.{closes} is null or t.{closes} > p_now)' end;
  -- The row is not about to be withdrawn: see held_rows.
  v_unheld text := case when q.before_claim is not null then 'not exists (select from punctual.held_rows h where h.queue = {queue} and h.row_id = t.id::text)' end;
  -- No receipt proves that an earlier attempt was delivered. The next tick applies such a receipt.
  v_unproved text := case when q.delivery = 'at-most-once' then $sql$(t.claimed_at is null or not exists (
                           select from punctual.receipts r where r.queue = {queue} and r.row_id = t.id::text
                              and r.applied_at is null and r.status in ('sent', 'delivered', 'read')))$sql$ end;
begin
  -- Escapes { in the user's names, so that it starts no placeholder: see render.
  q := jsonb_populate_record(q, (select jsonb_object_agg(e.key, case when jsonb_typeof(e.value) in ('string', 'array') then replace(e.value::text, '{', U&'\E000')::jsonb else e.value end)
                                   from jsonb_each(to_jsonb(q) - 'setup') e));
  return punctual.names_of_queue(q) || jsonb_build_object(
    'in_partition', case when q.partition_column is null then '' else format('and t.%I = p_partition', q.partition_column) end,
    'levels', case when q.account_column is null then 'generate_series(0, 3) l (level)' else 'generate_series(0, 0) l (level)' end,
    'at_level', case when q.account_column is null then 't.priority = l.level' else 't.priority + 0 >= 0' end,
    'wanted', '(t.expires_at is null or t.expires_at > p_now)',
    'claimable', concat_ws(E'\n                     and ', 't.{status} = {pending} and {due_at} <= p_now', '{wanted}', v_open, v_unheld, v_unproved),
    'pair', case when q.pair_column is null then 'null::text' else format('t.%I', q.pair_column) end,
    'first_sendable', $sql$(
            select f.id, f.due from generate_series(0, 3) l (level) cross join lateral (
                   select t.id, {due_at} as due, {pair} as pair from {table} t
                    where t.{account} = c.account_id and t.priority = l.level and {claimable}
                    order by {due_at}, t.id limit 200) f
             where coalesce((c.limited_addressees -> f.pair ->> 'until')::timestamptz <= p_now, true) limit 1)$sql$,
    'outcome', case when q.delivery = 'at-most-once' then '(case when o.outcome = ''swept'' then ''unknown'' when {is_exhausted} then ''dead'' else o.outcome end)'
                    else '(case when {is_exhausted} then ''dead'' else o.outcome end)' end,
    'is_exhausted', 'o.outcome in (''retry'', ''swept'') and not o.rate_limited and t.attempts >= coalesce(t.max_attempts, p_max_attempts)',
    'spread', '(hashtext(t.id::text || ''/'' || t.attempts) & 1023) / 1024.0',
    -- In a queue with accounts the account waits and the row keeps its due time. A later one would let other rows overtake it.
    'retry_at', format('case when %s then p_now + make_interval(secs => coalesce(o.delay_seconds, 0)) else t.next_attempt_at end',
                       case when q.account_column is null then 'true' else 'o.unreadable' end),
    'set_results', punctual.set_results(q, 'o.result'),
    'set_reconcile', case when q.delivery <> 'at-most-once' then '' else
      ', reconcile_at = case when {outcome} = ''unknown'' then punctual.next_check_at(0, p_now) end, reconcile = case when {outcome} = ''unknown'' '
      'then punctual.begin_reconcile({queue}, to_jsonb(t.*), coalesce(t.lease_expires_at, p_now)) else t.reconcile end' end,
    'old_row', case when q.after_settle is null then '' else 'cross join lateral (select x.{due} as due from {table} x where x.id = o.id limit 1) before' end,
    'old_due', case when q.after_settle is null then 'null::timestamptz' else 'before.due' end,
    'account_id', case when q.account_column is null then 'null::uuid' else format('t.%I', q.account_column) end,
    'late', case when q.delivery = 'at-most-once' then 't.reconcile ? ''late_proof''' else 'false' end,
    'has_consequences', case when q.account_column is null and q.after_settle is null then 'w.outcome in (''retry'', ''dead'', ''unknown'') or w.late' else 'true' end,
    'is_repeated', case when q.delivery = 'at-most-once' then 't.attempts > 1 or t.reconcile is not null' else 'false' end,
    -- A success of the first attempt is on the row alone. That of a later one is evidence beside what the earlier ones left.
    'is_noted', 'w.outcome in (''retry'', ''dead'', ''unknown'') or w.event is not null or (w.outcome = ''done'' and w.is_repeated)',
    'event_proof', case when q.proof_column is null then 'null::text' else format('case when e.outcome = ''done'' then e.result->>%L end', q.proof_column) end,
    'unswept', punctual.unfailed_condition(q, 't.id::text', 't.lease_expires_at'),
    'unexpired', punctual.unfailed_condition(q, 't.id::text', 't.expires_at'),
    'unapplied', punctual.unfailed_condition(q, 'r.row_id', 'r.received_at'),
    'keeps_plan', 'set search_path = '''' set plan_cache_mode = force_generic_plan set enable_seqscan = off',
    'take', '{status} = {running}, attempts = u.attempts + 1, claim_id = p_claim_id, lease_expires_at = p_lease_until, claimed_at = p_now',
    -- row_to_json takes two thirds of the time of json_build_object, which looks up the type of each argument.
    'claimed', '(select row_to_json(c.*) from (select t.id::text as id, t.attempts as attempt, t.timeout_seconds{claimed_account}, row_to_json(x.*) as "row" from {row} x) c)',
    'row', punctual.select_columns(v_columns, 't'),
    'taken_row', punctual.select_columns(v_columns, 'u'),
    'claimed_account', case when q.account_column is null then '' else ', (select {account_summary} from punctual.accounts a where a.id = t.{account}) as account' end,
    'account_summary', '(select row_to_json(x.*) from (select a.id, a.provider, a.provider_account_id, a.name) x)',
    'check_is_due', 't.{status} = {unknown} and t.reconcile_at <= p_now and t.claim_id is not null and t.reconcile ? ''over_at''' || case when q.account_column is null then ''
         else ' and exists (select from punctual.accounts a where a.id = (t.reconcile->>''account_id'')::uuid and a.provider = any (p_providers))' end);
end
$$;

-- Replaces the placeholders of a template by the queue's names and words, in four rounds, because some of these contain placeholders. Raises if a
-- placeholder is left.
create function punctual.render(p_template text, p_words jsonb) returns text
language plpgsql immutable set search_path = '' as $$
declare
  v_text text := p_template;
  v_word record;
begin
  for v_round in 1..4 loop
    for v_word in select * from jsonb_each_text(p_words) w (name, said) where w.said is not null loop
      v_text := replace(v_text, '{' || v_word.name || '}', v_word.said);
    end loop;
  end loop;
  if v_text ~ '[{][a-z_]+[}]' then
    raise exception 'the placeholder % of a template has no value', substring(v_text from '[{][a-z_]+[}]');
  end if;
  return replace(v_text, U&'\E000', '{');
end
$$;

-- Returns the kind of a queue. plain: rows of a table. accounts: rows of a table that are sent as accounts. pgmq: messages of pgmq.
create function punctual.kind_of_queue(q punctual.queues) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return case when q.source = 'pgmq' then 'pgmq' when q.account_column is null then 'plain' else 'accounts' end;
end
$$;

-- Returns the columns of a queue's table that a claim returns, by name: all but those that say what became of earlier attempts. With these
-- columns, responses would be almost twice as long.
create function punctual.row_columns(q punctual.queues) returns text[]
language plpgsql stable set search_path = '' as $$
begin
  return array(
    select a.attname::text from pg_catalog.pg_attribute a
     where a.attrelid = to_regclass(format('%I.%I', q.table_schema, q.table_name)) and a.attnum > 0 and not a.attisdropped
       and a.attname <> all (punctual.emptied_columns())
     order by a.attname);
end
$$;

-- Returns a subquery of these columns of the row p_alias. Escapes { in their names: see render.
create function punctual.select_columns(p_columns text[], p_alias text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return format('(select %s)',
                replace((select string_agg(format('%I.%I', p_alias, c), ', ' order by n) from unnest(p_columns) with ordinality r (c, n)), '{', U&'\E000'));
end
$$;

-- Creates the queue's functions anew if columns of its table were added, renamed or dropped since. Runs as the owner, because a tick that finds such a
-- change may not create functions. It creates only what the definition of the queue says, which the owner alone may change.
create function punctual.refresh_functions(p_queue text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  q punctual.queues;
begin
  perform pg_advisory_xact_lock(hashtext('punctual.refresh_functions'));
  q := punctual.read_queue(p_queue);
  if q.row_columns is distinct from punctual.row_columns(q) then perform punctual.make_functions(q, true); end if;
end
$$;

-- Creates a queue's functions anew. Runs in add_queue and on any change of the queue's definition: see remake_functions. A migration that changes a
-- template ends with: select punctual.make_functions(q) from punctual.queues q. The functions belong to the schema's owner, whoever calls this.
-- p_replaces: each function has the parameters that it had. It is replaced and never missing, for ticks that run beside this.
create function punctual.make_functions(q punctual.queues, p_replaces boolean default false) returns void
language plpgsql set search_path = '' as $body$
declare
  v_template punctual.templates;
  v_words jsonb := case when q.source = 'table' then punctual.words_of_queue(q) else jsonb_build_object('queue', quote_literal(q.name)) end;
  v_name text;
begin
  if not p_replaces then perform punctual.drop_functions(q.name); end if;
  for v_template in
    select * from punctual.templates t where punctual.kind_of_queue(q) = any (t.kinds) order by t.verb
  loop
    v_name := format('punctual.%I', q.name || '.' || v_template.verb);
    -- Quotes the body as a literal, because a word may be $$. If a column has the name of a parameter, the name means the parameter.
    execute replace(punctual.render(split_part(v_template.text, '$$', 1), v_words || jsonb_build_object('function', v_name)), 'create function', 'create or replace function')
            || quote_literal(E'\n#variable_conflict use_variable' || punctual.render(split_part(v_template.text, '$$', 2), v_words));
    execute format('alter function %s owner to %I', v_name, (select n.nspowner::regrole from pg_catalog.pg_namespace n where n.nspname = 'punctual'));
    execute format('revoke execute on function %s from public, anon, authenticated', v_name);
    execute format('grant execute on function %s to service_role', v_name);
  end loop;
  update punctual.queues x set row_columns = punctual.row_columns(q) where x.name = q.name and q.source = 'table';
end
$body$;

-- Creates a queue's functions anew after an update of its definition.
create function punctual.remake_functions() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform punctual.make_functions(new);
  return null;
end
$$;
create trigger remake_functions
  after update of table_schema, table_name, id_type, due_column, status_column, status_type, partition_column, account_column, pending_word, running_word,
    done_word, dead_word, unknown_word, cancelled_word, delivery, result_columns, jsonb_columns, pair_column, after_settle, before_claim, closes_column
  on punctual.queues for each row when (to_jsonb(old) - 'setup' is distinct from to_jsonb(new) - 'setup') execute function punctual.remake_functions();

-- Drops a queue's functions.
create function punctual.drop_functions(p_queue text) returns void
language plpgsql set search_path = '' as $$
declare
  v_function text;
begin
  for v_function in
    select p.oid::regprocedure from pg_catalog.pg_proc p where p.pronamespace = 'punctual'::regnamespace and starts_with(p.proname, p_queue || '.')
  loop
    execute format('drop function %s', v_function);
  end loop;
end
$$;
