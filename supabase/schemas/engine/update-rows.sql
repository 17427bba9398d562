-- Taking due rows, and taking back the rows of ticks that died.

-- SQL: nothing of the row (its id as text, SQL) has failed for an hour. Rows that cannot be written keep nobody waiting behind them.
create function punctual.unfailed_condition(q punctual.queues, p_row_id text, p_now text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return format('not exists (select from punctual.history h where h.queue = %L and h.row_id = %s and h.event = ''error'' and h.at > %s - interval ''1 hour'')',
                q.name, p_row_id, p_now);
end
$$;

-- There is hardly ever such a row: a look at the index, before what follows is planned.
insert into punctual.templates (verb, text) values ('has_overdue', $template$
create function {function}(p_now timestamptz) returns boolean
language plpgsql stable {keeps_plan} as $$
begin
  return exists (select from {table} t where t.{status} = {running} and t.lease_expires_at <= p_now);
end
$$
$template$), ('has_expired', $template$
create function {function}(p_now timestamptz) returns boolean
language plpgsql stable {keeps_plan} as $$
begin
  return exists (select from {table} t where t.{status} = {pending} and t.expires_at <= p_now);
end
$$
$template$);

-- What the verb of the queue, has_overdue or has_expired, answers.
create function punctual.has_rows(q punctual.queues, p_verb text, p_now timestamptz) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_has boolean;
begin
  execute format('select punctual.%I($1)', q.name || '.' || p_verb) into v_has using p_now;
  return v_has;
end
$$;

-- Updates the rows that p_where picks (SQL on s; $1: p_now), p_limit at most, skipping those that are locked, until the call has taken long
-- enough. Notes p_event in their history, and tells after_settle of those that are dead or unknown now. p_set: SQL on t; $2: p_now. One that
-- cannot be written (a trigger or a check of its table refuses) is left as it is, and tried again in an hour. Answers how many were written.
create function punctual.update_rows(
  q punctual.queues, p_set text, p_where text, p_order text, p_limit integer, p_event text, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_items jsonb;
  v_some jsonb;
  v_ids text[];
  v_late text[];
  v_ended jsonb;
  v_written integer := 0;
begin
  execute format('select jsonb_agg(jsonb_build_object(''id'', p.id::text)) from '
                 '(select s.id from %I.%I s where %s and %s order by %s limit %s for no key update skip locked) p',
                 q.table_schema, q.table_name, p_where, punctual.unfailed_condition(q, 's.id::text', '$1'), p_order, p_limit) into v_items using p_now;
  for v_some in select punctual.by_fifty(v_items) loop
    v_ids := punctual.do_isolated(q, format(
      'with updated as (update %I.%I t set %s where t.id = any (array(select (i->>''id'')::%s from jsonb_array_elements($1) i)) returning t.id, t.last_error) '
      'insert into punctual.history (queue, row_id, at, event, text) select %L, u.id::text, $2, %L, u.last_error from updated u order by u.id',
      q.table_schema, q.table_name, p_set, q.id_type, q.name, p_event), v_some, 'it could not be written', p_now);
    v_written := v_written + cardinality(v_ids);
    if q.delivery = 'at-most-once' then
      -- Proof of an earlier attempt that was kept while this one was under way.
      execute format('select array(select t.id::text from %I.%I t where t.id = any (array(select unnest($1)::%s)) and t.reconcile ? ''late_proof'' order by t.id)',
                     q.table_schema, q.table_name, q.id_type) into v_late using v_ids;
      perform punctual.apply_late_proof(q, l, p_now) from unnest(v_late) l;
    end if;
    if q.after_settle is not null then
      execute punctual.render_sql(q, 'select jsonb_agg(jsonb_build_object(''id'', t.id, ''outcome'', case t.{status} when %L then ''dead'' else ''unknown'' end, '
                     '''error'', t.last_error, ''rate_limited'', false) order by t.id) '
                     'from %I.%I t where t.id = any (array(select unnest($1)::%s)) and t.{status} in (%1$L, %5$L)',
                     q.dead_word, q.table_schema, q.table_name, q.id_type, q.unknown_word)
      into v_ended using v_ids;
      perform punctual.tell_after_settle(q, v_ended, p_now);
    end if;
    exit when punctual.is_call_over();
  end loop;
  return v_written;
end
$$;
