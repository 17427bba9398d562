-- An outcome of a row. An attempt's outcome is fenced by its claim: `by` is null. Any other was judged under the row's lock: `by` names who did, a
-- sweep, expiry, receipt, check or operator. event and text go to the row's history. was: the state in which the row was judged. ms, kind, code,
-- answer: of the attempt, as in punctual.history. who: the operator's name.
create type punctual.outcome as (
  id text,
  claim_id uuid,
  outcome text,
  error text,
  result jsonb,
  delay_seconds double precision,
  rate_limited boolean,
  limit_scope text,
  refused text,
  refusal text,
  unreadable boolean,
  by text,
  event text,
  text text,
  was text,
  ms integer,
  kind text,
  code text,
  answer text,
  who text
);

-- Returns the outcomes of p_done, which lists the ids of rows done without a result by claim, and of p_records. If an attempt has two outcomes,
-- `done` counts.
create function punctual.list_outcomes(p_done jsonb, p_records jsonb) returns setof punctual.outcome
-- Postgres expects thousands of rows here, and would start parallel workers for ten, which takes 7 ms.
language plpgsql immutable set search_path = '' set max_parallel_workers_per_gather = 0 rows 10 as $$
begin
  return query
    select distinct on (o.id, o.claim_id) o.*
      from (select i as id, (g->>'claim_id')::uuid as claim_id, 'done' as outcome, null::text, null::jsonb, null::double precision, null::boolean,
                   null::text, null::text, null::text, null::boolean, null::text, null::text, null::text, null::text,
                   null::integer, null::text, null::text, null::text, null::text
              from jsonb_array_elements(p_done) g cross join lateral jsonb_array_elements_text(g->'ids') i
            union all
            select r.* from jsonb_populate_recordset(null::punctual.outcome, p_records) r) o
     order by o.id, o.claim_id, o.outcome = 'done' desc;
end
$$;

-- Writes outcomes. Only this statement and `finish` end attempts and rows. An attempt's outcome is written only while the row belongs to its claim. `done` is
-- proof and prevails over a sweep or an operator's decision. Other outcomes change a row only while it runs, is unknown or was swept.
--
-- outcome                 the row afterwards
-- done, dead, cancelled   has that state; finished now
-- unknown                 unknown; first checked 30 s later
-- retry                   pending, due after its delay; in a queue with accounts the account waits instead. Dead if its attempts are used up. A
--                         rate limit takes the attempt back and never makes the row dead
-- again                   pending, due at its next time; attempts start at 0
-- release, pending        pending, due as before; a release takes the attempt back
-- swept                   unknown under at-most-once, otherwise as for retry; keeps its claim and lease, so that late proof finds it
--
-- Writes the history and new error groups too.
--
-- given: the number of outcomes. settled: the number of rows written. written: their id/claim_id, if fewer than given. counts: by outcome. applied:
-- [{id, claim_id, outcome, …}] of rows with consequences. changed: rows whose outcome differs from the one given.
insert into punctual.templates (verb, text) values ('settle', $template$
create function {function}(
  p_done jsonb, p_records jsonb, p_max_attempts integer, p_now timestamptz,
  out given integer, out settled integer, out written text[], out counts jsonb, out applied jsonb, out changed jsonb)
language plpgsql {keeps_plan} as $$
begin
  with outcomes as materialized (
    select o.id::{id_type} as id, o.claim_id, o.outcome, o.error, o.result, o.delay_seconds, coalesce(o.rate_limited, false) as rate_limited, o.limit_scope,
           o.refused, o.refusal, coalesce(o.unreadable, false) as unreadable, o.by, o.event, o.text, o.was, o.ms, o.kind, o.code, o.answer, o.who
      from punctual.list_outcomes(p_done, p_records) o order by 1),
  written as (
    update {table} t set
      {status} = (case {outcome} when 'done' then {done} when 'dead' then {dead} when 'unknown' then {unknown} when 'cancelled' then {cancelled}
                                 else {pending} end)::{status_type},
      lease_expires_at = case when o.by in ('sweep', 'expiry') then t.lease_expires_at end,
      attempts = case when o.outcome = 'release' or (o.outcome = 'retry' and o.rate_limited) then greatest(t.attempts - 1, 0)
                      when o.outcome = 'again' then 0 else t.attempts end,
      next_attempt_at = case {outcome} when 'retry' then {retry_at} when 'swept' then p_now + make_interval(secs => o.delay_seconds) when 'again' then null
                                       else t.next_attempt_at end,
      -- Counted from the last due time, so that lateness does not add up. The next run is the first multiple of the interval after the claim. Missed
      -- runs are skipped.
      {due} = case when o.outcome <> 'again' then t.{due}
                   -- An infinite due time, set by hand, has no multiple. Counted from the claim instead.
                   when isfinite(t.{due}) then t.{due} + make_interval(secs => o.delay_seconds
                        * (1 + greatest(0, floor(extract(epoch from coalesce(t.claimed_at, p_now) - t.{due}) / o.delay_seconds))))
                   else coalesce(t.claimed_at, p_now) + make_interval(secs => o.delay_seconds) end,
      -- Up to 1 s earlier for a swept row. Dead rows are redriven in this order, so rows that died together do not run together again.
      finished_at = case when {outcome} in ('done', 'dead', 'unknown', 'cancelled')
                         then p_now - make_interval(secs => case when o.by = 'sweep' and {outcome} = 'dead' then {spread} else 0 end) end,
      last_error = case when o.by is not null or {outcome} in ('retry', 'dead', 'unknown') then left(o.error, 2000)
                        when o.outcome = 'release' then t.last_error end
      {set_results} {set_reconcile}
      from outcomes o {old_row}
     where t.id = o.id
       -- Anyone else has judged the row under its lock.
       and case when o.by is null then t.claim_id = o.claim_id
                  and (t.{status} = {running}
                       or (t.{status} = {unknown} and o.outcome not in ('unknown', 'release'))
                       or (o.outcome = 'done' and (t.{status} <> {done} or t.lease_expires_at is not null))
                       -- Swept: its lease is still there.
                       or (t.{status} = {pending} and t.lease_expires_at is not null and o.outcome in ('dead', 'again')))
                else true end
    returning t.id, t.claim_id, {outcome} as outcome, o.outcome as given_outcome, o.result, o.error, o.rate_limited, o.limit_scope, o.refused,
              o.refusal, o.unreadable, o.delay_seconds, t.claimed_at, {old_due} as due, {account_id} as account_id, {pair} as pair,
              {late} and coalesce(o.by, 'sweep') = 'sweep' as late, o.by, o.event, o.text, o.was, o.ms, o.kind, o.code, o.answer, o.who,
              {is_repeated} as is_repeated),
  events as materialized (
    select w.*, coalesce(w.by, 'sweep') = 'sweep' as is_attempt,
           case when w.outcome in ('retry', 'dead', 'unknown', 'swept') and w.by is distinct from 'operator' then punctual.error_group(left(w.error, 2000)) end as error_group
      from written w where {is_noted}),
  noted as (
    insert into punctual.history (queue, row_id, at, event, text, claim_id, claimed_at, duration_ms, kind, code, answer, proof, by, account_id, error_group)
    select {queue}, e.id::text, p_now, coalesce(e.event, e.outcome), left(coalesce(e.text, case when e.outcome <> 'done' then e.error end), 2000),
           case when e.is_attempt or e.event = 'absent' then e.claim_id end, case when e.is_attempt then e.claimed_at end,
           e.ms, e.kind, e.code, left(e.answer, 2048), {event_proof}, coalesce(e.who, e.by), e.account_id, e.error_group
      from events e order by e.id),
  grouped as (
    insert into punctual.error_groups (queue, id, kind, code, text, first_at)
    select {queue}, g.error_group, g.kind, g.code, punctual.error_text(left(g.error, 2000)), p_now
      from (select distinct on (e.error_group) e.* from events e where e.error_group is not null order by e.error_group) g
     where punctual.is_new_group({queue}, g.error_group) on conflict do nothing)
  select (select count(*) from outcomes), count(*),
         case when count(*) < (select count(*) from outcomes) then coalesce(array_agg(w.id || '/' || coalesce(w.claim_id::text, '')), '{}') else '{}' end,
         jsonb_build_object(
           'done', count(*) filter (where w.outcome = 'done'), 'retried', count(*) filter (where w.outcome = 'retry'),
           'again', count(*) filter (where w.outcome = 'again'), 'dead', count(*) filter (where w.outcome = 'dead'),
           'unknown', count(*) filter (where w.outcome = 'unknown'), 'released', count(*) filter (where w.outcome = 'release'),
           'limited', count(*) filter (where w.rate_limited and w.refused is null)),
         coalesce(jsonb_agg((select x from (select w.id, w.claim_id, w.outcome, w.result, w.error, w.rate_limited, w.limit_scope, w.refused, w.refusal,
                                                   w.unreadable, w.delay_seconds, w.claimed_at, w.due, w.account_id, w.pair, w.late, w.by, w.was) x) order by w.id) filter (where {has_consequences}), '[]'),
         coalesce(jsonb_agg(jsonb_build_object('id', w.id::text, 'claim_id', w.claim_id, 'verdict', 'applied', 'outcome', w.outcome) order by w.id)
                    filter (where w.outcome <> w.given_outcome and w.by is null), '[]')
    into given, settled, written, counts, applied, changed
    from written w;
end
$$
$template$),
-- Finds the outcomes that settle did not write. Runs after settle, whose rows would be `already` by now: p_written leaves them out. exceptions: [{id,
-- claim_id, verdict, outcome}]. verdict already: an exchange whose response was lost wrote it. verdict lost: another claim or an operator has the
-- row. late: `done` outcomes that are lost. freed: accounts whose attempt is over.
('judge', $template$
create function {function}(p_done jsonb, p_records jsonb, p_written text[], out exceptions jsonb, out late jsonb, out freed jsonb)
language plpgsql stable {keeps_plan} as $$
begin
  select jsonb_agg(jsonb_build_object('id', j.id, 'claim_id', j.claim_id, 'verdict', j.verdict, 'outcome', case when j.verdict = 'already' then
             case j.status when {done} then 'done' when {dead} then 'dead' when {unknown} then 'unknown' else j.outcome end else j.outcome end) order by j.id),
         jsonb_agg(jsonb_build_object('id', j.id, 'claim_id', j.claim_id, 'result', j.result) order by j.id)
           filter (where j.verdict = 'lost' and j.outcome = 'done'),
         jsonb_agg(jsonb_build_object('account_id', j.account_id, 'claim_id', j.claim_id, 'outcome', 'lost')) filter (where j.account_id is not null)
    into exceptions, late, freed
    from (select o.id, o.claim_id, o.outcome, o.result, t.{status} as status, {account_id} as account_id,
                 case when t.claim_id = o.claim_id and t.lease_expires_at is null then 'already' else 'lost' end as verdict
            from punctual.list_outcomes(p_done, p_records) o
            left join lateral (select t.* from {table} t where t.id = o.id::{id_type} limit 1) t on true
           where o.id || '/' || coalesce(o.claim_id::text, '') <> all (p_written)) j;
end
$$
$template$);

-- Writes that rows are done, without a result, if they still run under their claim. The most common outcome, and a quarter quicker than by settle.
-- Only for queues in which it has no consequences: see settle_outcomes. finished: the number of rows written. rest: the others, in the form of p_done.
insert into punctual.templates (verb, kinds, text) values ('finish', '{plain}', $template$
create function {function}(p_done jsonb, p_now timestamptz, out finished integer, out rest jsonb)
language plpgsql {keeps_plan} as $$
declare
  v_group jsonb;
  v_ids {id_type}[];
  v_finished {id_type}[];
begin
  finished := 0;
  rest := '[]';
  for v_group in select g from jsonb_array_elements(p_done) g loop
    v_ids := array(select i::{id_type} from jsonb_array_elements_text(v_group->'ids') i);
    with written as (
      update {table} t set {status} = {done}, lease_expires_at = null, finished_at = p_now, last_error = null
       -- A condition on the status that Postgres cannot match with the index on leases: by that index, it would read every running row of the queue.
       where t.id = any (v_ids) and t.claim_id = (v_group->>'claim_id')::uuid and case when t.{status} = {running} then true end
      returning t.id)
    select array_agg(w.id) into v_finished from written w;
    finished := finished + coalesce(cardinality(v_finished), 0);
    if v_finished is null or cardinality(v_finished) < cardinality(v_ids) then
      rest := rest || jsonb_build_array(jsonb_build_object('claim_id', v_group->'claim_id', 'ids', array(
                select i::text from unnest(v_ids) i where i = any (v_finished) is not true)));
    end if;
  end loop;
end
$$
$template$);

-- Writes outcomes, fenced by each row's claim, and their consequences: see settle_records. If an outcome cannot be written, because a check or a
-- trigger of the table or the queue's after_settle raises, the others are still written.
--
-- p_outcomes  {done: [{claim_id, ids}], records: [{id, claim_id, outcome, error, result, delay_seconds, rate_limited, limit_scope, account_id,
--             account_pause_seconds, refused, refusal, unreadable, ms, kind, code, answer}]}. The last four describe the attempt: see
--             punctual.history. Code of an earlier version sends none of them.
--             outcome: done, retry, again, dead, unknown or release.
--             limit_scope: `account` if the provider limits the account, for account_pause_seconds; if null, for 60 s and twice as long each time in
--             a row, 1 h at most. `pair` if it limits only this addressee, for delay_seconds or 4^n s, whichever is longer. n counts the limits in a
--             row; 4^n is 1 h at most.
--             refused: `row` (with refusal as the reason), `account` or `provider`, by the scope of the provider's refusal. See count_refusal() and
--             refusal_pause().
--             unreadable: the code could not read the row. The row waits for its retry, but its account does not.
--
-- Returns {done, retried, again, dead, unknown, released, lost, limited, exceptions}: the counts of applied outcomes, and [{id, claim_id, verdict,
-- outcome}] of outcomes that were not written as given. verdict: `applied` as another outcome (an exhausted retry is `dead`), `already` or `lost`
-- (see judge), `refused` if it cannot be written. A lost `done` is kept as late proof: see accept_late_proof.
--
-- Locks accounts by id, rows by id, then pace by account. Raises only an error of the whole call: see is_of_call.
create function punctual.settle_outcomes(q punctual.queues, p_outcomes jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_done jsonb := coalesce(p_outcomes->'done', '[]');
  v_records jsonb := coalesce(p_outcomes->'records', '[]');
  v_rest jsonb := v_done;
  v_finished integer := 0;
  v_settled jsonb;
begin
  -- In a plain queue under at-least-once, without after_settle, `done` has no consequences. Beside records, settle writes it: it locks all rows in
  -- one order.
  if v_records = '[]' and v_done <> '[]' and punctual.kind_of_queue(q) = 'plain' and q.delivery = 'at-least-once' and q.after_settle is null then
    execute format('select * from punctual.%I($1, $2)', q.name || '.finish') into v_finished, v_rest using v_done, p_now;
  end if;
  if v_rest = '[]' and v_records = '[]' then return punctual.zero_counts() || jsonb_build_object('done', v_finished); end if;
  v_settled := punctual.settle_records(q, v_rest, v_records, p_now);
  return v_settled || jsonb_build_object('done', v_finished + (v_settled->>'done')::integer);
exception when others then
  if punctual.is_of_call(sqlstate) then raise; end if;
  return punctual.settle_singly(q, v_done, v_records, p_now);
end
$$;

-- Returns the result of a settle without outcomes.
create function punctual.zero_counts() returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
  return '{"done": 0, "retried": 0, "again": 0, "dead": 0, "unknown": 0, "released": 0, "lost": 0, "limited": 0, "exceptions": []}'::jsonb;
end
$$;

-- Settles each record alone, after all at once failed: see settle_one.
create function punctual.settle_singly(q punctual.queues, p_done jsonb, p_records jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_record jsonb;
  v_settled jsonb[] := array[punctual.zero_counts()];
begin
  -- Locks accounts before rows and by id, as settle_records does.
  perform from punctual.accounts a
    where a.id in (select (r->>'account_id')::uuid from jsonb_array_elements(p_records) r where r->>'limit_scope' = 'account' or r->>'refused' is not null)
    order by a.id for no key update;
  for v_record in
    select r from (select r from jsonb_array_elements(p_records) r
                   union all
                   select jsonb_build_object('id', i, 'claim_id', g->'claim_id', 'outcome', 'done')
                     from jsonb_array_elements(p_done) g cross join lateral jsonb_array_elements_text(g->'ids') i) o
     order by length(r->>'id'), r->>'id'
  loop
    v_settled := v_settled || punctual.settle_one(q, v_record, p_now);
  end loop;
  return punctual.sum_of_counts(v_settled);
end
$$;

-- Settles one record. If that fails, settles it without its result, which its column may not accept. If that fails too, returns the verdict
-- `refused`. Raises only an error of the whole call: see is_of_call.
create function punctual.settle_one(q punctual.queues, p_record jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_settled jsonb;
begin
  return punctual.settle_records(q, '[]', jsonb_build_array(p_record), p_now);
exception when others then
  if punctual.is_of_call(sqlstate) then raise; end if;
  if p_record->>'result' is not null then
    v_settled := punctual.settle_one(q, p_record - 'result', p_now);
    if v_settled->'exceptions' = '[]' then
      insert into punctual.history (queue, row_id, at, event, text)
      values (q.name, p_record->>'id', p_now, 'left_out', left(format('its result could not be written, and was left out: %s', sqlerrm), 2000));
    end if;
    return v_settled;
  end if;
  perform punctual.note_error(q, p_record->>'id', format('its outcome could not be written: %s', sqlerrm), p_now);
  return jsonb_build_object('exceptions', jsonb_build_array(jsonb_build_object(
    'id', p_record->'id', 'claim_id', p_record->'claim_id', 'outcome', p_record->'outcome', 'verdict', 'refused')));
end
$$;

-- Returns whether an error concerns the whole call and no single row: a lock, a deadlock, a lack of resources, a shutdown, or a missing function or
-- right. Source: PostgreSQL, appendix A.
create function punctual.is_of_call(p_sqlstate text) returns boolean
language sql immutable set search_path = '' as $$
  select p_sqlstate ~ '^(40|53|55P03|57|58|XX|25006|42501|42883|42P01|3F000)'
$$;

-- Adds up the results of several settles.
create function punctual.sum_of_counts(p_answers jsonb[]) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_object_agg(s.key, s.value)
    from (select e.key, case when e.key <> 'exceptions' then to_jsonb(sum((e.value)::text::integer) filter (where jsonb_typeof(e.value) = 'number'))
                             else coalesce(jsonb_path_query_array(jsonb_agg(e.value), '$[*][*]'), '[]') end as value
            from unnest(p_answers) a cross join lateral jsonb_each(a) e (key, value) group by e.key) s
$$;

-- Settles all records at once, with their consequences: frees accounts, applies receipts and late proof, and calls after_settle.
-- Raises if any of them fails. p_done, p_records, result and locks: as for settle_outcomes. Records with `by` hold the lock of their row already.
create function punctual.settle_records(q punctual.queues, p_done jsonb, p_records jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_settled record;
  v_exceptions jsonb;
  v_is_known boolean := false;
  v_missed jsonb;
  v_late jsonb;
  v_freed jsonb;
begin
  -- Locks accounts before rows. Records with `by` have locked their row already, and carry nothing about its account.
  if q.account_column is not null and not p_records @? '$[*].by' then perform punctual.note_accounts(q, p_done, p_records, p_now); end if;
  execute format('select * from punctual.%I($1, $2, $3, $4)', q.name || '.settle') into v_settled using p_done, p_records, q.max_attempts, p_now;
  v_exceptions := v_settled.changed;
  if v_settled.settled < v_settled.given then
    execute format('select * from punctual.%I($1, $2, $3)', q.name || '.judge') into v_missed, v_late, v_freed using p_done, p_records, v_settled.written;
    v_exceptions := v_exceptions || coalesce(v_missed, '[]');
  end if;
  if q.account_column is not null then
    -- Also frees the account of a row that someone settled while its attempt ran.
    perform punctual.update_pace(q, jsonb_path_query_array(v_settled.applied, '$[*] ? (@.by == null)') || coalesce(v_freed, '[]'), p_now);
    -- A pending row that had been attempted held its account.
    perform punctual.end_hold(q, jsonb_build_object(q.status_column, q.pending_word, 'claimed_at', r->'claimed_at', q.account_column, r->'account_id'), p_now)
       from jsonb_array_elements(v_settled.applied) r where r->>'was' = 'pending';
  end if;
  if q.delivery = 'at-most-once' then
    -- Receipts and proof may have come while the attempt ran. Applying them now saves a check.
    v_is_known := punctual.apply_receipts(q, array(select r->>'id' from jsonb_array_elements(v_settled.applied) r
                                                    where r->>'by' is null and r->>'outcome' in ('retry', 'dead', 'unknown')), p_now) > 0;
    perform punctual.apply_late_proof(q, r->>'id', p_now) from jsonb_array_elements(v_settled.applied) r where (r->>'late')::boolean;
    v_is_known := v_is_known or found;
    perform punctual.accept_late_proof(q, r->>'id', r->>'claim_id', r->'result', p_now)
       from (select l from jsonb_array_elements(v_late) l order by length(l->>'id'), l->>'id') e (r);
    v_is_known := v_is_known or found;
  end if;
  if q.after_settle is not null then perform punctual.run_after_settle(q, v_settled.applied, v_is_known, p_now); end if;
  -- A released row may belong to another claim by now. It counts as released, not as lost.
  return v_settled.counts || (
    select jsonb_build_object('lost', count(*) filter (where e->>'outcome' <> 'release'), 'exceptions', v_exceptions,
             'released', (v_settled.counts->>'released')::integer + count(*) filter (where e->>'outcome' = 'release'))
      from jsonb_array_elements(v_exceptions) e where e->>'verdict' = 'lost');
end
$$;

-- Calls after_settle for settled rows. p_is_known: receipts or proof have changed some of these rows in this call, and after_settle has run for
-- them. So rows whose state no longer matches their outcome are left out.
create function punctual.run_after_settle(q punctual.queues, p_applied jsonb, p_is_known boolean, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_current jsonb := p_applied;
begin
  if p_is_known then
    execute format('select punctual.%I($1)', q.name || '.as_settled') into v_current using v_current;
  end if;
  -- Swept and expired rows stay settled even if after_settle raises. It is not called for a swept row that will run again.
  perform punctual.run_after_settle_isolated(q, nullif(jsonb_path_query_array(v_current, '$[*] ? ((@.by == "sweep" || @.by == "expiry") && @.outcome != "swept")'), '[]'), p_now);
  v_current := jsonb_path_query_array(v_current, '$[*] ? (@.by != "sweep" && @.by != "expiry")');
  if v_current <> '[]' then perform punctual.call_after_settle(q.after_settle, v_current, p_now); end if;
end
$$;
-- Returns those of the applied outcomes whose row still has the state of its outcome.
insert into punctual.templates (verb, text) values ('as_settled', $template$
create function {function}(p_applied jsonb) returns jsonb
language plpgsql stable {keeps_plan} as $$
begin
  return (
    select coalesce(jsonb_agg(a.item order by a.n), '[]')
      from jsonb_array_elements(p_applied) with ordinality a (item, n) join {table} t on t.id = (a.item->>'id')::{id_type}
     where t.{status} = (case a.item->>'outcome' when 'done' then {done} when 'dead' then {dead} when 'unknown' then {unknown} else {pending} end)::{status_type});
end
$$
$template$);
