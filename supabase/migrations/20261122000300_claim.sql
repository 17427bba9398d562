-- Taking due rows, and taking back the rows of ticks that died.
--
-- Every statement on a queue's table is dynamic: identifiers and state words stand in its text, values come by
-- USING, so that each is planned for what it is asked and the partial indexes serve. Words as parameters
-- were 150 times slower at 1,000,000 rows.

-- The levels to look through one by one, as a FROM item called punctual_level (the columns of people's tables may have any other name), and
-- the condition on t that goes with them. The index on due
-- times of a queue with accounts has no levels, as the order there is each account's own; add_queue says what its condition is for.
create function punctual.due_levels(q punctual.queues) returns text
language plpgsql stable set search_path = '' as $$
begin
  return case when q.account_column is null then 'generate_series(0, 3) punctual_level' else 'generate_series(0, 0) punctual_level' end;
end
$$;
create function punctual.level_condition(q punctual.queues) returns text
language plpgsql stable set search_path = '' as $$
begin
  return case when q.account_column is null then 't.priority = punctual_level' else 't.priority + 0 >= 0' end;
end
$$;

-- SQL: an account's first row (id, due) that fulfils p_where (SQL on t), level by level: the first that has one wins. Rows whose
-- addressee is held back (p_held: the account's pace.held, p_now: the instant, both as SQL; null where none is) are passed over, 200 of
-- a level at most: an account with more than that for one addressee waits for the addressee. p_lock: the row is locked, or there is none
-- where somebody else has it: the second never goes before it.
create function punctual.head_query(q punctual.queues, p_account text, p_where text, p_held text, p_now text, p_lock boolean) returns text
language plpgsql stable set search_path = '' as $$
begin
  return (
    select punctual.render_sql(q, case when p_lock then
      '(select t.id, coalesce(t.next_attempt_at, t.%1$I) as due from %2$I.%3$I t where t.{status} = %4$L and %5$s and t.id = (select head.id from %6$s head) '
      'for no key update skip locked)'
    else '%6$s' end, q.due_column, q.table_schema, q.table_name, q.pending_word, p_where, first.head)
  from (
    select '(' || string_agg(punctual.render_sql(q, case when q.pair_column is null or p_held is null then
        'select * from (select t.id, coalesce(t.next_attempt_at, t.%1$I) as due from %2$I.%3$I t where t.{status} = %4$L and t.%5$I = %6$s '
        'and t.priority = %7$s and %8$s order by coalesce(t.next_attempt_at, t.%1$I), t.id limit 1) level_%7$s'
      else
        'select f.id, f.due from (select t.id, coalesce(t.next_attempt_at, t.%1$I) as due, t.%9$I as pair from %2$I.%3$I t where t.{status} = %4$L '
        'and t.%5$I = %6$s and t.priority = %7$s and %8$s order by coalesce(t.next_attempt_at, t.%1$I), t.id limit 200) f '
        'where coalesce((%10$s -> f.pair ->> ''until'')::timestamptz <= %11$s, true)'
      end,
      q.due_column, q.table_schema, q.table_name, q.pending_word, q.account_column, p_account, level::text, p_where, q.pair_column, p_held, p_now),
      ' union all ' order by level) || ' limit 1)' as head
      from generate_series(0, 3) level) first);
end
$$;

-- SQL on p_alias: no receipt tells that an earlier attempt of the row was delivered; the next tick makes use of one that does.
create function punctual.receipt_condition(q punctual.queues, p_alias text) returns text
language plpgsql stable set search_path = '' as $$
begin
  return case when q.delivery <> 'at-most-once' then 'true'
              else format('(%1$s.claimed_at is null or not exists (select from punctual.receipts r where r.queue = %2$L and r.row_id = %1$s.id::text '
                          'and r.applied_at is null and r.status in (''sent'', ''delivered'', ''read'')))', p_alias, q.name) end;
end
$$;

-- What separates the partition's rows from the others', as SQL on p_alias.
create function punctual.partition_condition(q punctual.queues, p_partition text, p_alias text default 't') returns text
language plpgsql stable set search_path = '' as $$
begin
  return case when q.partition_column is null then 'true' else format('%s.%I = %L', p_alias, q.partition_column, p_partition) end;
end
$$;

-- SQL on p_alias: the time in which the row may be claimed has not closed, and nobody wants it back. p_now: the instant, as SQL.
create function punctual.closing_condition(q punctual.queues, p_alias text, p_now text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return case when q.closes_column is null then 'true' else format('(%1$s.%2$I is null or %1$s.%2$I > %3$s)', p_alias, q.closes_column, p_now) end
      || case when q.before_claim is null then '' else format(
           ' and not exists (select from punctual.held_rows h where h.queue = %L and h.row_id = %s.id::text)', q.name, p_alias) end;
end
$$;

-- SQL: nothing of the row (its id as text, SQL) has failed for an hour. Rows that cannot be written keep nobody waiting behind them.
create function punctual.unfailed_condition(q punctual.queues, p_row_id text, p_now text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return format('not exists (select from punctual.history h where h.queue = %L and h.row_id = %s and h.event = ''error'' and h.at > %s - interval ''1 hour'')',
                q.name, p_row_id, p_now);
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
  v_any boolean;
begin
  -- There is hardly ever one, and this is less to plan than what follows.
  execute format('select exists (select from %I.%I s where %s)', q.table_schema, q.table_name, p_where) into v_any using p_now;
  if not v_any then return 0; end if;
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

-- What a queue's own function settles by SQL, in another queue, is settled by hand and no settle of ours: see tell_by_hand.
create function punctual.call_after_settle(p_function text, p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_settles text := current_setting('punctual.settles', true);
begin
  perform set_config('punctual.settles', '', true);
  execute format('select %s($1, $2)', p_function) using p_applied, p_now;
  perform set_config('punctual.settles', coalesce(v_settles, ''), true);
end
$$;

-- Tells the queue's after_settle of rows that no settle brought.
create function punctual.tell_after_settle(q punctual.queues, p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if q.after_settle is null or p_applied is null then return; end if;
  perform punctual.do_isolated(q, format('select punctual.call_after_settle(%L, $1, $2)', q.after_settle), p_applied,
                               q.after_settle || ' could not be told of it', p_now);
end
$$;

-- What is known of a row that becomes unknown, by its state before (p_row): {over_at, looks, first_at, claims, account_id, digest}, beside
-- what was known before. From over_at on its attempt is over for certain, whoever made it; first_at and claims are of all its
-- uncertain attempts; account_id and digest are of the row as it was sent.
create function punctual.begin_reconcile(p_queue text, p_row jsonb, p_over_at timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  q punctual.queues;
  v_before jsonb := case when jsonb_typeof(p_row->'reconcile') = 'object' then p_row->'reconcile' else '{}' end;
begin
  select * into q from punctual.queues where name = p_queue;
  return v_before - 'found' || jsonb_build_object(
    'over_at', p_over_at, 'looks', 0,
    -- A tick of a queue without reconcile made it unknown: nobody is going to ask, unless the queue gets one.
    'waits_for_operator', coalesce(current_setting('punctual.reconciles', true) = 'false', false),
    'first_at', coalesce(v_before->'first_at', p_row->'claimed_at'),
    'claims', coalesce(v_before->'claims', '[]') || jsonb_build_array(p_row->'claim_id'),
    'account_id', p_row->q.account_column,
    'digest', punctual.row_digest(q, p_row));
end
$$;

-- Of what somebody asked for: the row without what the engine writes.
create function punctual.row_digest(q punctual.queues, p_row jsonb) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return md5((p_row - array[q.status_column, 'priority', 'attempts', 'max_attempts', 'next_attempt_at', 'claim_id', 'lease_expires_at', 'timeout_seconds',
    'last_error', 'finished_at', 'expires_at', 'claimed_at', 'reconcile_at', 'reconcile', q.due_column] - q.result_columns)::text);
end
$$;

-- When an unknown row is looked at next, after so many looks: in 30 s, then twice as long each time, an hour at most.
create function punctual.next_look_at(p_looks integer, p_now timestamptz) returns timestamptz
language plpgsql immutable set search_path = '' as $$
begin
  return p_now + make_interval(secs => least(3600, 30 * power(2, least(p_looks, 10))));
end
$$;

-- Rows whose lease has passed: their tick died. What it did is unknown under at-most-once; otherwise the row is due again, within
-- base * 4^attempts seconds, another time for each: the row that killed the tick is not to meet the same neighbours again, which count an
-- attempt as well. The mark of the claim and the lease stay, so that a late proof of what happened is still accepted.
create function punctual.sweep_leases(q punctual.queues, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
begin
  if q.source = 'pgmq' then return punctual.sweep_messages(q, p_now); end if;
  return punctual.update_rows(q,
    case when q.delivery = 'at-most-once' then
           punctual.render_sql(q, '{status} = %L, finished_at = $2, reconcile_at = punctual.next_look_at(0, $2), '
                  'reconcile = punctual.begin_reconcile(%L, to_jsonb(t.*), t.lease_expires_at)', q.unknown_word, q.name)
         else punctual.render_sql(q, '{status} = (case when t.attempts >= coalesce(t.max_attempts, %1$s) then %2$L else %3$L end)::%4$s, '
                     -- To within a second, another for each as well: those that are run again come in the order of it.
                     'finished_at = case when t.attempts >= coalesce(t.max_attempts, %1$s) '
                     'then $2 - make_interval(secs => (hashtext(t.id::text || ''/'' || t.attempts) & 1023) / 1024.0) end, '
                     'next_attempt_at = $2 + make_interval(secs => least(%6$s, %5$s * power(4, least(t.attempts, 10))) '
                     '* (hashtext(t.id::text || ''/'' || t.attempts) & 1023) / 1024)',
                     q.max_attempts::text, q.dead_word, q.pending_word, q.status_type, q.backoff_base_seconds::text, q.backoff_cap_seconds::text) end
    || ', last_error = ''the tick died while this row was running''',
    punctual.render_sql(q, 's.{status} = %L and s.lease_expires_at <= $1', q.running_word), 's.lease_expires_at', 200, 'swept', p_now);
end
$$;

-- Rows that nobody wants any more.
create function punctual.expire_rows(q punctual.queues, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
begin
  if q.source = 'pgmq' then return 0; end if;
  return punctual.update_rows(q,
    punctual.render_sql(q, '{status} = %L, last_error = ''expired before it could start'', finished_at = $2', q.dead_word),
    punctual.render_sql(q, 's.{status} = %L and s.expires_at <= $1', q.pending_word), 's.expires_at', 1000, 'expired', p_now);
end
$$;

-- What a partition with max_running lets start now: `most` rows, and of these head_id alone where it is set: it was begun, and is finished
-- before any other. Where nothing may start: why, and until when ('infinity': until something is done about it). The caller
-- that means to claim holds the partition's lock, and asks in a statement of its own: in one that locks and counts the count is stale.
create function punctual.partition_opening(
  q punctual.queues, p_partition punctual.partitions, p_now timestamptz,
  out most integer, out head_id text, out opens_at timestamptz, out reason text)
language plpgsql stable set search_path = '' as $$
declare
  v_head jsonb;
  v_again_at timestamptz;
begin
  opens_at := p_now;
  if p_partition.max_running is null then return; end if;
  if p_partition.max_running = 1 and p_partition.head_id is not null then
    execute format('select to_jsonb(t.*) from %I.%I t where t.id = $1::%s and %s',
                   q.table_schema, q.table_name, q.id_type, punctual.partition_condition(q, p_partition.partition))
    into v_head using p_partition.head_id;
    v_again_at := coalesce(v_head->>'next_attempt_at', v_head->>q.due_column)::timestamptz;
    if v_head->>q.status_column = q.unknown_word then
      most := 0;
      opens_at := 'infinity';
      reason := format('row %s is %s, and has to be resolved first', p_partition.head_id, q.unknown_word);
      return;
    elsif v_head->>q.status_column = q.pending_word and ((v_head->>'attempts')::integer > 0 or v_head->>'next_attempt_at' is not null) then
      head_id := p_partition.head_id;
      most := case when v_again_at <= p_now then 1 else 0 end;
      if v_again_at < 'infinity' and most = 0 then
        opens_at := v_again_at;
        reason := format('row %s failed, is tried again, and goes first', head_id);
      elsif most = 0 then
        opens_at := 'infinity';
        reason := format('row %s was begun and goes first, and its %s is %s', head_id, q.due_column, coalesce(v_again_at::text, 'null'));
      end if;
      return;
    end if;
  end if;
  execute punctual.render_sql(q, 'select count(*), min(r.lease_expires_at) from (select t.lease_expires_at from %I.%I t where t.{status} = %L and %s limit $1) r',
                 q.table_schema, q.table_name, q.running_word, punctual.partition_condition(q, p_partition.partition))
  into most, opens_at using p_partition.max_running;
  most := p_partition.max_running - most;
  if most > 0 then
    opens_at := p_now;
  else
    reason := format('%s %s, and no more run side by side', p_partition.max_running,
                     case p_partition.max_running when 1 then 'row is running' else 'rows are running' end);
  end if;
end
$$;

-- Takes the rows that p_where picks in p_order (SQL on s; $3 is p_now, $5 p_extra), p_want at most. Answers [{id, attempt, timeout_seconds, row}].
create function punctual.take_rows(
  q punctual.queues, p_where text, p_order text, p_set text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_now timestamptz,
  p_extra text default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_taken jsonb;
begin
  execute punctual.render_sql(q,
    'with taken as ('
    '  update %1$I.%2$I t set {status} = %3$L, attempts = t.attempts + 1, claim_id = $1, lease_expires_at = $2, claimed_at = $3 %7$s '
    '   where t.id = any (array(select s.id from %1$I.%2$I s where %4$s order by %5$s limit $4 for no key update skip locked)) returning t.*) '
    'select jsonb_agg(jsonb_build_object(''id'', t.id::text, ''attempt'', t.attempts, ''timeout_seconds'', t.timeout_seconds, '
    '  ''row'', to_jsonb(t.*)) order by coalesce(t.next_attempt_at, t.%6$I), t.id) from taken t',
    q.table_schema, q.table_name, q.running_word, p_where, p_order, q.due_column, p_set)
  into v_taken using p_claim_id, p_lease_until, p_now, p_want, p_extra;
  return coalesce(v_taken, '[]');
end
$$;

-- Due rows, oldest first within one priority. p_only: this row or none.
create function punctual.claim_rows(
  q punctual.queues, p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_now timestamptz, p_only text default null)
returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_rows jsonb := '[]';
  v_where text := punctual.render_sql(q, 's.{status} = %L and %s and coalesce(s.next_attempt_at, s.%I) <= $3 and (s.expires_at is null or s.expires_at > $3) and %s and %s',
    q.pending_word, punctual.partition_condition(q, p_partition, 's'), q.due_column, punctual.closing_condition(q, 's', '$3'),
    punctual.receipt_condition(q, 's'));
  v_order text := format('coalesce(s.next_attempt_at, s.%I), s.id', q.due_column);
begin
  if q.source = 'pgmq' then return punctual.claim_messages(q, p_partition, p_claim_id, p_want, p_lease_until, p_now); end if;
  if p_only is not null then
    return punctual.take_rows(q, format('s.id = $5::%s and %s', q.id_type, v_where), v_order, '', p_claim_id, 1, p_lease_until, p_now, p_only);
  end if;
  -- Level by level: rows of a better priority that are not yet due never stand in the way of the scan.
  for v_level in 0..3 loop
    exit when jsonb_array_length(v_rows) >= p_want;
    v_rows := v_rows || punctual.take_rows(q, format('s.priority = %s and %s', v_level, v_where), v_order, '',
                                           p_claim_id, p_want - jsonb_array_length(v_rows), p_lease_until, p_now);
  end loop;
  return v_rows;
end
$$;

-- Rows that were dead before p_before, for somebody who asked for it: each has one attempt more, the longest dead first. One that comes back
-- unstarted is pending then, in its own partition.
create function punctual.claim_dead_rows(
  q punctual.queues, p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_before timestamptz, p_now timestamptz)
returns jsonb
language plpgsql set search_path = '' as $$
begin
  return punctual.take_rows(q,
    punctual.render_sql(q, 's.{status} = %L and (s.finished_at < $5::timestamptz or s.finished_at is null) and (s.expires_at is null or s.expires_at > $3) and %s',
           q.dead_word, punctual.partition_condition(q, p_partition, 's')),
    's.finished_at, s.id', ', next_attempt_at = null, finished_at = null, max_attempts = t.attempts + 1',
    p_claim_id, p_want, p_lease_until, p_now, p_before::text);
end
$$;

-- Claims in a partition that lets only so many rows run. The caller has locked it: see partition_opening.
create function punctual.claim_limited_rows(
  q punctual.queues, p_partition punctual.partitions, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_dead_before timestamptz,
  p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_opening record;
  v_rows jsonb;
  v_want integer;
begin
  select * into v_opening from punctual.partition_opening(q, p_partition, p_now);
  v_want := least(p_want, v_opening.most);
  if v_want <= 0 then return '[]'; end if;
  if p_dead_before is null then
    v_rows := punctual.claim_rows(q, p_partition.partition, p_claim_id, v_want, p_lease_until, p_now, v_opening.head_id);
  elsif v_opening.head_id is null then
    v_rows := punctual.claim_dead_rows(q, p_partition.partition, p_claim_id, v_want, p_lease_until, p_dead_before, p_now);
  end if;
  if p_partition.max_running = 1 and v_rows <> '[]' then
    update punctual.partitions p set head_id = v_rows->0->>'id' where p.queue = q.name and p.partition = p_partition.partition;
  end if;
  return coalesce(v_rows, '[]');
end
$$;

-- Which providers may be used now, and for how many rows each; probed: those that one row tries, since they failed as a whole and their pause
-- is over. One that somebody else has locked is being noted or tried at this moment, and is left to him: a claim waits for nobody.
create function punctual.open_providers(
  q punctual.queues, p_configured text[], p_want integer, p_now timestamptz, out names text[], out limits integer[], out probed text[])
language plpgsql set search_path = '' as $$
declare
  v_name text;
  v_provider punctual.providers;
begin
  names := p_configured;
  probed := '{}';
  limits := array_fill(p_want, array[coalesce(array_length(p_configured, 1), 0)]);
  for v_name in select v.name from punctual.providers v where v.failures > 0 and v.name = any (p_configured) loop
    select * into v_provider from punctual.providers v where v.name = v_name for no key update skip locked;
    if v_provider.name is null or v_provider.paused_until > p_now or v_provider.probing_until > p_now then
      limits[array_position(names, v_name)] := 0;
    elsif v_provider.failures > 0 then
      probed := probed || v_name;
      limits[array_position(names, v_name)] := 1;
    end if;
  end loop;
end
$$;

-- Due rows of accounts that may go: the longest-ready account first, one row of each, so that an account's rows go out in
-- order and one account's backlog starves no other. The account's state is judged and written under its lock:
-- no number of ticks passes a cap. `more`: there are accounts that it has not come to.
create function punctual.claim_paced_rows(
  q punctual.queues, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_configured text[], p_now timestamptz,
  out claimed jsonb, out more boolean)
language plpgsql set search_path = '' as $$
declare
  v_taken jsonb;
  v_accounts uuid[];
  v_ready timestamptz[];
  v_look integer := p_want;
  v_open record;
  v_claim text;
  -- Hardly ever, and a claim without them is planned in half the time.
  v_held boolean := exists (select from punctual.pace p where p.queue = q.name and p.held is not null);
begin
  claimed := '[]';
  more := false;
  v_claim := punctual.render_sql(q, $sql$
    with candidate as materialized (
      select c.account_id, c.ready_at, a.time_zone, p.used as counted, p.used_until as counted_until, o.open_at, o.reason, p.held,
             greatest(30, coalesce(p.hourly_limit, a.hourly_limit) + 1) as remembered, jsonb_build_object(
               'id', a.id, 'provider', a.provider, 'provider_account_id', a.provider_account_id, 'name', a.name) as account
        from unnest($1::uuid[], $2::timestamptz[]) c (account_id, ready_at)
       -- One by one, by the key: the planner knows nothing of the arrays, and would hash all accounts.
       cross join lateral (select x.* from punctual.pace x where x.queue = $3 and x.account_id = c.account_id limit 1) p
       cross join lateral (select x.* from punctual.accounts x where x.id = c.account_id limit 1) a
       cross join lateral punctual.account_opening(a, p, $4) o
    ),
    found as materialized (
      select c.*, h.id, row_number() over (partition by h.id is null order by c.ready_at, h.id) as place
        from candidate c left join lateral %1$s h on c.open_at <= $4
    ),
    -- An account that has a row beyond what is wanted stays as it is.
    head as materialized (
      select f.*, d.used, d.until
        from found f
       cross join lateral punctual.used_of_day(f.counted, f.counted_until, case when f.id is null then 'UTC' else f.time_zone end, $4) d
       where f.id is null or f.place <= $7
    ),
    taken as (
      update %2$I.%3$I t set {status} = %4$L, attempts = t.attempts + 1, claim_id = $5, lease_expires_at = $6, claimed_at = $4
        from head h where t.id = h.id
      returning t.id, h.ready_at, jsonb_build_object('id', t.id::text, 'attempt', t.attempts, 'timeout_seconds', t.timeout_seconds,
                                               'account', h.account, 'row', to_jsonb(t.*)) as answer
    ),
    paced as (
      update punctual.pace p set
        used = case when h.id is null then p.used else h.used + 1 end,
        used_until = case when h.id is null then p.used_until else h.until end,
        used_since = case when h.id is not null and h.used = 0 then $4 else p.used_since end,
        recent = case when h.id is null then p.recent
                      else (p.recent || $4)[greatest(1, cardinality(p.recent) + 2 - h.remembered):] end,
        claim_id = case when h.id is null then p.claim_id else $5 end,
        busy_until = case when h.id is null then p.busy_until else $6 end,
        next_ok_at = case when h.open_at > $4 then h.open_at else '-infinity' end,
        waiting_for = h.reason,
        ready_at = case when h.open_at > $4 then h.open_at when h.id is not null then $6 else least(n.due, n.held_until) end
        from head h
        -- Nothing to do: look again when its next row falls due, or the first addressee is free.
        left join lateral (select min(f.due) as due,
                                  (select min((v->>'until')::timestamptz) from jsonb_each(h.held) e (k, v) where (v->>'until')::timestamptz > $4) as held_until from unnest(array[0, 1, 2, 3]) punctual_level cross join lateral (
          select coalesce(t.next_attempt_at, t.%5$I) as due from %2$I.%3$I t
           where t.{status} = %6$L and t.%7$I = h.account_id and t.priority = punctual_level and coalesce(t.next_attempt_at, t.%5$I) > $4
           order by coalesce(t.next_attempt_at, t.%5$I), t.id limit 1) f
          where h.open_at <= $4 and h.id is null) n on true
       where p.queue = $3 and p.account_id = h.account_id
    )
    select jsonb_agg(t.answer order by t.ready_at, t.id) from taken t
    $sql$,
    punctual.head_query(q, 'c.account_id', format(
      'coalesce(t.next_attempt_at, t.%I) <= $4 and (t.expires_at is null or t.expires_at > $4) and %s and %s', q.due_column,
      punctual.closing_condition(q, 't', '$4'), punctual.receipt_condition(q, 't')), case when v_held then 'c.held' end, '$4',
      true),
    q.table_schema, q.table_name, q.running_word, q.due_column, q.pending_word, q.account_column);

  -- Accounts that turn out to have nothing to do, or not to be open, are put where they belong, many in a round: there may be
  -- thousands of them before the first that has. There is an end to it, and the next exchange goes on from where this one stopped.
  for v_round in 1..8 loop
    select * into v_open from punctual.open_providers(q, p_configured, v_look, p_now);
    -- First the locks, then, in a statement of its own, the look: what a settle that held an account wrote meanwhile is seen. In one
    -- statement an account's second row could go before its first.
    select array_agg(c.account_id order by c.ready_at), array_agg(c.ready_at order by c.ready_at) into v_accounts, v_ready
      from (select c.account_id, c.ready_at
              from unnest(v_open.names, v_open.limits) v (provider, most)
             cross join lateral (
               select p.account_id, p.ready_at from punctual.pace p
                where p.queue = q.name and p.provider = v.provider and p.ready_at <= p_now
                order by p.ready_at limit v.most for no key update skip locked) c
             order by c.ready_at limit v_look) c;
    more := v_accounts is not null;
    exit when not more;
    if exists (select from punctual.accounts a where a.refused is not null and a.id = any (v_accounts)) then
      -- One row of one queue tries an account that was refused. Who waits for nobody leaves it to him who has it locked.
      select array_agg(c.account_id order by c.n), array_agg(c.ready_at order by c.n) into v_accounts, v_ready
        from unnest(v_accounts, v_ready) with ordinality c (account_id, ready_at, n)
       where not exists (select from punctual.accounts a where a.id = c.account_id and a.refused is not null)
          or c.account_id in (select a.id from punctual.accounts a where a.id = any (v_accounts) and a.refused is not null for no key update skip locked);
    end if;
    execute v_claim into v_taken
      using v_accounts, v_ready, q.name, p_now, p_claim_id, p_lease_until, p_want - jsonb_array_length(claimed);
    claimed := claimed || coalesce(v_taken, '[]');
    if v_open.probed <> '{}' then
      update punctual.providers v set probing_until = p_now + make_interval(secs => q.timeout_seconds + 5)
       where v.name = any (v_open.probed) and v.name in (select r->'account'->>'provider' from jsonb_array_elements(coalesce(v_taken, '[]')) r);
    end if;
    more := jsonb_array_length(claimed) < p_want;
    exit when not more or (v_round > 1 and punctual.is_call_over());
    -- However little is wanted, a call gets on.
    v_look := case when punctual.is_call_over() then 100 else 500 end;
  end loop;
end
$$;

-- Finds the accounts that got work while none was known: new rows tell nobody. Once a tick, a thousand accounts at a time from p_from on.
-- Answers the account to go on with, where the call had taken long enough before it came to all; null where it did.
create function punctual.wake_accounts(q punctual.queues, p_from uuid, p_now timestamptz) returns uuid
language plpgsql set search_path = '' as $$
declare
  v_accounts uuid[];
  v_rows integer;
  v_from uuid := coalesce(p_from, '00000000-0000-0000-0000-000000000000');
begin
  -- Where few rows are due, they say whose they are; else each account without known work is asked for its first.
  execute punctual.render_sql(q,
    'select array_agg(distinct r.account_id) filter (where r.account_id is not null), count(*) from (select t.%I as account_id from %I.%I t '
    'where t.{status} = %L and %s and coalesce(t.next_attempt_at, t.%I) <= $1 limit 1000) r',
    q.account_column, q.table_schema, q.table_name, q.pending_word, punctual.level_condition(q), q.due_column)
  into v_accounts, v_rows using p_now;
  if v_accounts is null then return null; end if;
  if v_rows < 1000 then
    perform punctual.wake_some(q, v_accounts, p_now);
    return null;
  end if;
  loop
    v_accounts := array(select a.id from punctual.accounts a where a.id >= v_from order by a.id limit 1001);
    v_from := v_accounts[1001];
    perform punctual.wake_some(q, v_accounts[:1000], p_now);
    if v_from is null or punctual.is_call_over() then return v_from; end if;
  end loop;
end
$$;

-- Of these accounts, those that have a due row and are not known to. The look itself locks nothing, and an account that is locked at this
-- moment is being judged by somebody else.
create function punctual.wake_some(q punctual.queues, p_accounts uuid[], p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_found uuid[];
  v_due timestamptz[];
begin
  -- An account that came into being unseen (triggers off, a restore) is taken in here.
  insert into punctual.pace (queue, account_id, provider)
  select q.name, a.id, a.provider from punctual.accounts a
   where a.id = any (p_accounts) and not exists (select from punctual.pace p where p.queue = q.name and p.account_id = a.id)
  on conflict do nothing;

  execute format(
    'select array_agg(p.account_id), array_agg(h.due) from punctual.pace p '
    'cross join lateral %s h where p.queue = $2 and p.account_id = any ($3) and p.next_ok_at <= $1 and (p.ready_at is null or p.ready_at > $1) '
    'and (p.busy_until is null or p.busy_until <= $1)',
    punctual.head_query(q, 'p.account_id', format('coalesce(t.next_attempt_at, t.%I) <= $1', q.due_column),
      case when exists (select from punctual.pace p where p.queue = q.name and p.held is not null) then 'p.held' end, '$1', false))
  into v_found, v_due using p_now, q.name, p_accounts;

  with locked as materialized (
    select p.account_id from punctual.pace p
     where p.queue = q.name and p.account_id = any (v_found) and (p.ready_at is null or p.ready_at > p_now)
     order by p.account_id for no key update skip locked)
  update punctual.pace p set ready_at = greatest(f.due, p.next_ok_at)
    from locked l join unnest(v_found, v_due) f (account_id, due) on f.account_id = l.account_id
   where p.queue = q.name and p.account_id = l.account_id;
end
$$;

select punctual.close_to_public();
select punctual.note_migration('20261122000300', 'claim');
