-- Writing outcomes back, and what they say of the providers.

-- The accounts of settled rows are free again. What for certain had no effect gives its place back: as long as the account bears this
-- claim no later one has counted, so `used` is of the claim's day, and the latest of `recent` is this claim's. What the provider refused
-- gives back its place in the day, as nothing was sent, and not that in the hour and the gap, as it was called.
--
-- p_applied, outcome being lost where the attempt is over and has changed no row: [{account_id, claim_id, claimed_at, outcome, delay_seconds, rate_limited, limit_scope, refused, refusal, unreadable, pair, error}].
create function punctual.free_accounts(q punctual.queues, p_applied jsonb, p_now timestamptz) returns void
-- Planned at each call, as wake_some.
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
begin
  with freed as materialized (
    select p.account_id, r.outcome, r.outcome in ('retry', 'dead', 'release') as refund, r.claimed_at, r.limit_scope, r.pair, r.error,
           coalesce(r.delay_seconds, 0) as delay_seconds, r.limit_scope = 'pair' and r.pair is not null as holds_pair,
           r.refused, r.unreadable, case when r.refused in ('row', 'provider') then punctual.count_refusal(p.refused, r.refused, r.refusal, r.error) end as refusals,
           p.held, coalesce((p.held -> r.pair ->> 'count')::integer, 0) + 1 as held_count
      from jsonb_to_recordset(p_applied) r (account_id uuid, claim_id uuid, claimed_at timestamptz, outcome text, delay_seconds double precision,
             limit_scope text, refused text, refusal text, unreadable boolean, pair text, error text)
      join punctual.pace p on p.queue = q.name and p.account_id = r.account_id and p.claim_id = r.claim_id
     order by p.account_id for no key update of p)
  update punctual.pace p set
    used = case when f.refund then greatest(p.used - 1, 0) else p.used end,
    recent = case when f.refund and p.recent[cardinality(p.recent)] = f.claimed_at and f.refused is null
                  then p.recent[:cardinality(p.recent) - 1] else p.recent end,
    refused = case when f.refused is not null or f.outcome in ('done', 'again') or f.limit_scope is not null then f.refusals else p.refused end,
    limited = case when f.limit_scope = 'account' then p.limited + 1 when f.outcome = 'done' then 0 else p.limited end,
    held = case
      when f.holds_pair then
        coalesce(v.held, '{}') || jsonb_build_object(f.pair, jsonb_build_object('count', f.held_count, 'said', left(f.error, 200), 'until',
          p_now + make_interval(secs => greatest(f.delay_seconds, least(3600, power(4, least(f.held_count, 10)))))))
      when f.outcome = 'done' and f.pair is not null then nullif(v.held - f.pair, '{}')
      else v.held end,
    -- One row that always meets a refusal of everything is not to be what the provider is tried with each time.
    next_ok_at = coalesce(case when f.refused = 'provider' then v.retry_at end, '-infinity'),
    waiting_for = null, claim_id = null, busy_until = null,
    -- Its rows go in order: the whole account waits for the one that is tried again, but for another's addressee, and not for an unreadable one.
    retry_at = v.retry_at, ready_at = greatest(p_now, v.retry_at)
    from freed f
   cross join lateral (select
      case when f.outcome = 'retry' and not coalesce(f.holds_pair, false) and not coalesce(f.unreadable, false)
           then p_now + greatest(make_interval(secs => greatest(f.delay_seconds, case when f.limit_scope = 'pair' then 60 else 0 end)),
                                 case when f.refused = 'provider' then punctual.refusal_pause(f.refusals) end) end as retry_at,
      -- How often in a row is forgotten an hour after the last time.
      (select jsonb_object_agg(h.key, h.value) from jsonb_each(f.held) h where (h.value->>'until')::timestamptz > p_now - interval '1 hour') as held) v
   where p.queue = q.name and p.account_id = f.account_id;
end
$$;

-- What outcomes say of accounts: a provider's limit or refusal holds for the whole account, in all queues. A limit whoever's the row is by now;
-- a refusal counts once; any other answer ends it. p_done, p_records: as settle_outcomes takes them.
create function punctual.note_accounts(q punctual.queues, p_done jsonb, p_records jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_said jsonb;
begin
  select jsonb_agg(r) into v_said from jsonb_array_elements(p_records) r where r->>'limit_scope' = 'account' or r->>'refused' in ('row', 'account');
  if exists (select from punctual.accounts a where a.refused is not null) then
    -- What ends a refusal.
    execute punctual.render_sql(q, $sql$
      select coalesce($3, '[]') || coalesce(jsonb_agg(o.said || jsonb_build_object('account_id', t.{account})), '[]')
        from (select r as said from jsonb_array_elements($2) r
              union all
              select jsonb_build_object('id', i, 'claim_id', g->'claim_id', 'outcome', 'done')
                from jsonb_array_elements($1) g cross join lateral jsonb_array_elements_text(g->'ids') i) o
        join {table} t on t.id = (o.said->>'id')::{id_type}
       where t.{account} in (select a.id from punctual.accounts a where a.refused is not null)
         and (o.said->>'outcome' in ('done', 'again') or o.said->>'limit_scope' is not null)
      $sql$)
    into v_said using p_done, p_records, v_said;
  end if;
  if coalesce(v_said, '[]') = '[]' then return; end if;
  -- What an exchange brought whose answer was lost is known, and is brought once more.
  execute punctual.render_sql(q, 'select jsonb_agg(r) from jsonb_array_elements($1) r where not exists (select from {table} t where t.id = (r->>''id'')::{id_type} '
                                 'and t.claim_id = (r->>''claim_id'')::uuid and t.lease_expires_at is null and t.{status} <> {unknown})') into v_said using v_said;
  if v_said is null then return; end if;
  -- In a statement of its own: what others wrote of them until they were locked is counted.
  perform from punctual.accounts a where a.id = any (array(select (r->>'account_id')::uuid from jsonb_array_elements(v_said) r))
    order by a.id for no key update;
  update punctual.accounts a set
    refused = s.refused,
    paused_until = greatest(a.paused_until, s.until),
    paused_reason = case when s.until > coalesce(a.paused_until, '-infinity') then s.reason else a.paused_reason end
    from (select r.account_id as id, max(v.until) as until, (array_agg(v.reason order by v.until desc nulls last))[1] as reason,
                 case when bool_or(v.is_current) then (array_agg(v.refused order by r.outcome = 'done' desc) filter (where v.is_current))[1]
                      else (array_agg(x.refused))[1] end as refused
            from jsonb_to_recordset(v_said) r (account_id uuid, claim_id uuid, outcome text, error text, limit_scope text,
                   account_pause_seconds double precision, refused text, refusal text)
            join punctual.accounts x on x.id = r.account_id
            left join punctual.pace p on p.queue = q.name and p.account_id = x.id
           cross join lateral (
             select coalesce(p.claim_id = r.claim_id, false) as is_current, case when r.refused is not null then punctual.count_refusal(
                      case when r.refused = 'account' then x.refused else p.refused end, r.refused, r.refusal, r.error) end as counted) c
           cross join lateral (
             select c.is_current, case when r.refused = 'account' then c.counted || punctual.place_refusal(x, q.name, r.refusal, p_now) end as refused,
                    case when r.limit_scope = 'account' then p_now + make_interval(secs => coalesce(
                           r.account_pause_seconds, least(3600, 60 * power(2, least(p.limited, 10)))))
                         when c.is_current then p_now + punctual.refusal_pause(c.counted) end as until,
                    case when r.limit_scope = 'account' then r.error else c.counted->>'said' end as reason) v
           group by 1) s
   where a.id = s.id and (a.refused is distinct from s.refused or s.until > coalesce(a.paused_until, '-infinity'));
end
$$;

-- What becomes of a row, and by whom. `by` is null for the row's own attempt, which the claim fences; else who has judged the row under its
-- lock: sweep, expiry, receipt, check or operator. event and text are for its history; was is the state that it was judged in.
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
  was text
);

-- The outcomes of p_done, rows that were done without a result as ids under their claim, and of p_records. If an attempt brings two outcomes, done
-- is the one that counts.
create function punctual.list_outcomes(p_done jsonb, p_records jsonb) returns setof punctual.outcome
language plpgsql immutable set search_path = '' rows 10 as $$
begin
  return query
    select distinct on (o.id, o.claim_id) o.*
      from (select i as id, (g->>'claim_id')::uuid as claim_id, 'done' as outcome, null::text, null::jsonb, null::double precision, null::boolean,
                   null::text, null::text, null::text, null::boolean, null::text, null::text, null::text, null::text
              from jsonb_array_elements(p_done) g cross join lateral jsonb_array_elements_text(g->'ids') i
            union all
            select r.* from jsonb_populate_recordset(null::punctual.outcome, p_records) r) o
     order by o.id, o.claim_id, o.outcome = 'done' desc;
end
$$;

-- Writes outcomes: the one statement that ends attempts, and rows. That of an attempt only where the row still belongs to the claim. Proof that it
-- was done is the truth, whatever a sweep or an operator has made of the row meanwhile; a row that they have dealt with takes only what it lacks.
--
-- outcome                 the row is then, and besides
-- done, dead, cancelled   that; finished now
-- unknown                 that; checked from 30 s on
-- retry                   pending, due after its delay; dead where its attempts are used up
-- again                   pending, due at its next time; attempts count anew
-- release, pending        pending, due as it was; after release the attempt is not counted
-- swept                   unknown under at-most-once; otherwise as retry. Its claim and its lease stay, so that late proof is known by them
--
-- asked: how many there were; settled: how many rows were written; written: which (id/claim), where that is not all; counts: by outcome;
-- applied: [{id, claim_id, outcome, …}] of those that have consequences; changed: those whose outcome is another than was asked for.
insert into punctual.templates (verb, text) values ('settle', $template$
create function {function}(
  p_done jsonb, p_records jsonb, p_max_attempts integer, p_now timestamptz,
  out asked integer, out settled integer, out written text[], out counts jsonb, out applied jsonb, out changed jsonb)
language plpgsql {keeps_plan} as $$
begin
  with told as materialized (
    select o.id::{id_type} as id, o.claim_id, o.outcome, o.error, o.result, o.delay_seconds, coalesce(o.rate_limited, false) as rate_limited, o.limit_scope,
           o.refused, o.refusal, coalesce(o.unreadable, false) as unreadable, o.by, o.event, o.text, o.was
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
      -- Counted from the last due time, so that lateness does not add up. The next run is the first multiple of the interval after the claim;
      -- missed runs are skipped.
      {due} = case when o.outcome <> 'again' then t.{due}
                   -- From an infinite one, which somebody set by hand, nothing can be counted.
                   when isfinite(t.{due}) then t.{due} + make_interval(secs => o.delay_seconds
                        * (1 + greatest(0, floor(extract(epoch from coalesce(t.claimed_at, p_now) - t.{due}) / o.delay_seconds))))
                   else coalesce(t.claimed_at, p_now) + make_interval(secs => o.delay_seconds) end,
      -- Up to a second earlier for each that was swept: dead rows are retried in this order, and rows that died together are not to meet again.
      finished_at = case when {outcome} in ('done', 'dead', 'unknown', 'cancelled')
                         then p_now - make_interval(secs => case when o.by = 'sweep' and {outcome} = 'dead' then {spread} else 0 end) end,
      last_error = case when o.by is not null or {outcome} in ('retry', 'dead', 'unknown') then left(o.error, 2000)
                        when o.outcome = 'release' then t.last_error end
      {set_results} {set_reconcile}
      from told o {old_row}
     where t.id = o.id
       -- Whoever else says it has judged the row under its lock.
       and case when o.by is null then t.claim_id = o.claim_id
                  and (t.{status} = {running}
                       or (t.{status} = {unknown} and o.outcome not in ('unknown', 'release'))
                       or (o.outcome = 'done' and (t.{status} <> {done} or t.lease_expires_at is not null))
                       -- Swept, or an operator's hand was on it.
                       or (t.{status} = {pending} and t.lease_expires_at is not null and o.outcome in ('dead', 'again')))
                else true end
    returning t.id, t.claim_id, {outcome} as outcome, o.outcome as asked_outcome, o.result, o.error, o.rate_limited, o.limit_scope, o.refused,
              o.refusal, o.unreadable, o.delay_seconds, t.claimed_at, {old_due} as due, {account_id} as account_id, {pair} as pair,
              {late} and coalesce(o.by, 'sweep') = 'sweep' as late, o.by, o.event, o.text, o.was)
  select (select count(*) from told), count(*),
         case when count(*) < (select count(*) from told) then coalesce(array_agg(w.id || '/' || coalesce(w.claim_id::text, '')), '{}') else '{}' end,
         jsonb_build_object(
           'done', count(*) filter (where w.outcome = 'done'), 'retried', count(*) filter (where w.outcome = 'retry'),
           'again', count(*) filter (where w.outcome = 'again'), 'dead', count(*) filter (where w.outcome = 'dead'),
           'unknown', count(*) filter (where w.outcome = 'unknown'), 'released', count(*) filter (where w.outcome = 'release'),
           'limited', count(*) filter (where w.rate_limited and w.refused is null)),
         coalesce(jsonb_agg(to_jsonb(w) - 'asked_outcome' order by w.id) filter (where {has_consequences}), '[]'),
         coalesce(jsonb_agg(jsonb_build_object('id', w.id::text, 'claim_id', w.claim_id, 'verdict', 'applied', 'outcome', w.outcome) order by w.id)
                    filter (where w.outcome <> w.asked_outcome and w.by is null), '[]')
    into asked, settled, written, counts, applied, changed
    from written w;
end
$$
$template$),
-- Of outcomes of which some were not written: which, and why. Asked after settle, whose rows are `already` then and left out by p_written.
-- already: written before, by an exchange whose answer was lost. lost: another claim or an operator has the row.
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

-- Writes outcomes back, fenced by the claim that each row was taken under, and sees to what follows from them. One that cannot be written (a
-- check or a trigger of the person's table refuses, or their after_settle raises) does not hold the others.
--
-- p_outcomes  {done: [{claim_id, ids}], records: [{id, claim_id, outcome, error, result, delay_seconds, rate_limited,
--             limit_scope, account_id, account_pause_seconds, refused, refusal, unreadable}]}; outcome is done, retry, again, dead, unknown or release. limit_scope
--             account: the provider limits the account, for account_pause_seconds, else for as long as it did twice over, from 60 s to
--             1 h; pair: only this addressee, for the longer of delay_seconds and 4^n s, n being how often in a row. refused: the
--             provider refused the row (for refusal), the account, or the provider as a whole; see count_refusal() and refusal_pause().
--             unreadable: the code could not read the row. Only the row waits for its retry, and not its account.
--
-- Answers {done, retried, again, dead, unknown, released, lost, limited, exceptions}: the counts of what was applied, and
-- [{id, claim_id, verdict, outcome}] of all that did not go as it was asked; see judge, and refused: it cannot be written. One that was done and is
-- lost is heard, see hear_late. An exhausted retry is applied as `dead`.
create function punctual.settle_outcomes(q punctual.queues, p_outcomes jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_done jsonb := coalesce(p_outcomes->'done', '[]');
  v_records jsonb := coalesce(p_outcomes->'records', '[]');
begin
  if v_done = '[]' and v_records = '[]' then return punctual.no_counts(); end if;
  return punctual.settle_records(q, v_done, v_records, p_now);
exception when others then
  if punctual.is_of_call(sqlstate) then raise; end if;
  return punctual.settle_singly(q, v_done, v_records, p_now);
end
$$;

create function punctual.no_counts() returns jsonb
language sql immutable set search_path = '' as $$
  select '{"done": 0, "retried": 0, "again": 0, "dead": 0, "unknown": 0, "released": 0, "lost": 0, "limited": 0, "exceptions": []}'::jsonb
$$;

-- Settles each record alone, see settle_one.
create function punctual.settle_singly(q punctual.queues, p_done jsonb, p_records jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_record jsonb;
  v_answers jsonb[] := array[punctual.no_counts()];
begin
  -- As all of them at once would: accounts first, and by their ids.
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
    v_answers := v_answers || punctual.settle_one(q, v_record, p_now);
  end loop;
  return punctual.sum_of_counts(v_answers);
end
$$;

-- As settle_records, of one record. If that fails it is settled without its result, which may be what its column does not take. If that fails
-- too, it is answered as refused. Raises only what is of the call as a whole.
create function punctual.settle_one(q punctual.queues, p_record jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_answer jsonb;
begin
  return punctual.settle_records(q, '[]', jsonb_build_array(p_record), p_now);
exception when others then
  if punctual.is_of_call(sqlstate) then raise; end if;
  if p_record->>'result' is not null then
    v_answer := punctual.settle_one(q, p_record - 'result', p_now);
    if v_answer->'exceptions' = '[]' then
      insert into punctual.history (queue, row_id, at, event, text)
      values (q.name, p_record->>'id', p_now, 'left_out', left(format('its result could not be written, and was left out: %s', sqlerrm), 2000));
    end if;
    return v_answer;
  end if;
  perform punctual.note_error(q, p_record->>'id', format('its outcome could not be written: %s', sqlerrm), p_now);
  return jsonb_build_object('exceptions', jsonb_build_array(jsonb_build_object(
    'id', p_record->'id', 'claim_id', p_record->'claim_id', 'outcome', p_record->'outcome', 'verdict', 'refused')));
end
$$;

-- Whether an error is of the call as a whole, and of no row in it: a lock, a deadlock, a lack of resources, a shutdown, a function or a right that is
-- missing. Source: PostgreSQL, appendix A.
create function punctual.is_of_call(p_sqlstate text) returns boolean
language sql immutable set search_path = '' as $$
  select p_sqlstate ~ '^(40|53|55P03|57|58|XX|25006|42501|42883|42P01|3F000)'
$$;

-- Answers of several settles as one.
create function punctual.sum_of_counts(p_answers jsonb[]) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_object_agg(s.key, s.value)
    from (select e.key, case when e.key <> 'exceptions' then to_jsonb(sum((e.value)::text::integer) filter (where jsonb_typeof(e.value) = 'number'))
                             else coalesce(jsonb_path_query_array(jsonb_agg(e.value), '$[*][*]'), '[]') end as value
            from unnest(p_answers) a cross join lateral jsonb_each(a) e (key, value) group by e.key) s
$$;

-- All of them at once.
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
  -- Before the rows: accounts are locked first. Whoever has judged a row holds it, and has nothing to say of its account.
  if q.account_column is not null and not p_records @? '$[*].by' then perform punctual.note_accounts(q, p_done, p_records, p_now); end if;
  execute format('select * from punctual.%I($1, $2, $3, $4)', q.name || '.settle') into v_settled using p_done, p_records, q.max_attempts, p_now;
  v_exceptions := v_settled.changed;
  if v_settled.settled < v_settled.asked then
    execute format('select * from punctual.%I($1, $2, $3)', q.name || '.judge') into v_missed, v_late, v_freed using p_done, p_records, v_settled.written;
    v_exceptions := v_exceptions || coalesce(v_missed, '[]');
  end if;

  insert into punctual.history (queue, row_id, at, event, text)
  select q.name, r->>'id', p_now, coalesce(r->>'event', r->>'outcome'), left(coalesce(r->>'text', r->>'error'), 2000)
    from jsonb_array_elements(v_settled.applied) r where r->>'event' is not null or r->>'outcome' in ('retry', 'dead', 'unknown');
  if q.account_column is not null then
    -- The attempt of a row that somebody has settled meanwhile is over as well.
    perform punctual.free_accounts(q, jsonb_path_query_array(v_settled.applied, '$[*] ? (@.by == null)') || coalesce(v_freed, '[]'), p_now);
    -- One that had been tried and was to be tried again held its account.
    perform punctual.end_hold(q, jsonb_build_object(q.status_column, q.pending_word, 'claimed_at', r->'claimed_at', q.account_column, r->'account_id'), p_now)
       from jsonb_array_elements(v_settled.applied) r where r->>'was' = 'pending';
  end if;
  if q.delivery = 'at-most-once' then
    -- A webhook or a check may have been here first: what is known by them is known now, and nobody has to check again.
    v_is_known := punctual.apply_receipts(q, array(select r->>'id' from jsonb_array_elements(v_settled.applied) r
                                                    where r->>'by' is null and r->>'outcome' in ('retry', 'dead', 'unknown')), p_now) > 0;
    perform punctual.apply_late_proof(q, r->>'id', p_now) from jsonb_array_elements(v_settled.applied) r where (r->>'late')::boolean;
    v_is_known := v_is_known or found;
    perform punctual.hear_late(q, r->>'id', r->>'claim_id', r->'result', p_now)
       from (select l from jsonb_array_elements(v_late) l order by length(l->>'id'), l->>'id') e (r);
    v_is_known := v_is_known or found;
  end if;
  if q.after_settle is not null then perform punctual.tell_of_settled(q, v_settled.applied, v_is_known, p_now); end if;
  -- A row that was not started may well be somebody else's by now: it is released all the same.
  return v_settled.counts || (
    select jsonb_build_object('lost', count(*) filter (where e->>'outcome' <> 'release'), 'exceptions', v_exceptions,
             'released', (v_settled.counts->>'released')::integer + count(*) filter (where e->>'outcome' = 'release'))
      from jsonb_array_elements(v_exceptions) e where e->>'verdict' = 'lost');
end
$$;

-- Tells after_settle of rows that were settled. p_is_known: it has been told already of what receipts and proof made of some of them in this call.
create function punctual.tell_of_settled(q punctual.queues, p_applied jsonb, p_is_known boolean, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_told jsonb := p_applied;
begin
  if p_is_known then
    execute format('select punctual.%I($1)', q.name || '.as_settled') into v_told using v_told;
  end if;
  -- No attempt brought these: they come to their end whatever it says. One that was swept and goes on is not told.
  perform punctual.tell_after_settle(q, nullif(jsonb_path_query_array(v_told, '$[*] ? ((@.by == "sweep" || @.by == "expiry") && @.outcome != "swept")'), '[]'), p_now);
  v_told := jsonb_path_query_array(v_told, '$[*] ? (@.by != "sweep" && @.by != "expiry")');
  if v_told <> '[]' then perform punctual.call_after_settle(q.after_settle, v_told, p_now); end if;
end
$$;
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

-- How far rows are that run: [{id, claim_id, progress}]. What cannot be written is left out: it is no outcome.
create function punctual.note_progress(q punctual.queues, p_progress jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  if q.progress_column is null or coalesce(p_progress, '[]') = '[]' then return; end if;
  execute punctual.render_sql(q,
    'update {table} t set {progress} = p.value->''progress'' from jsonb_array_elements($1) p '
    'where t.id = (p.value->>''id'')::{id_type} and t.claim_id = (p.value->>''claim_id'')::uuid and t.{status} = {running}')
  using p_progress;
exception when others then
  raise warning 'the progress of rows of %.% cannot be written: %', q.table_schema, q.table_name, sqlerrm;
end
$$;

-- How a provider does, as this tick saw it: [{name, ok, error, refused}]. Each failure as a whole doubles the pause, from 30 seconds
-- to half an hour; each of so many calls (`refused`) that met a refusal of our set-up doubles it as refusal_wait() says, also those that
-- were under way side by side. One answer ends it.
create function punctual.note_providers(p_providers jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_note record;
begin
  for v_note in
    select n->>'name' as name, (n->>'ok')::boolean as ok, n->>'error' as error, (n->>'refused')::integer as refused
      from jsonb_array_elements(coalesce(p_providers, '[]')) n order by 1
  loop
    if v_note.ok then
      update punctual.providers v set failures = 0, refusals = 0, paused_until = null, probing_until = null
       where v.name = v_note.name and v.failures > 0;
    elsif v_note.refused > 0 then
      insert into punctual.providers as v (name, failures, refusals, paused_until, last_error)
      values (v_note.name, 1, v_note.refused, p_now + punctual.refusal_wait(v_note.refused), left(v_note.error, 2000))
      on conflict (name) do update set
        failures = v.failures + 1,
        refusals = v.refusals + v_note.refused,
        paused_until = greatest(v.paused_until, p_now + punctual.refusal_wait(v.refusals + v_note.refused)),
        probing_until = null,
        last_error = excluded.last_error;
    else
      insert into punctual.providers as v (name, failures, paused_until, last_error)
      values (v_note.name, 1, p_now + interval '30 seconds', left(v_note.error, 2000))
      on conflict (name) do update set
        failures = v.failures + 1,
        paused_until = p_now + least(interval '30 seconds' * power(2, least(v.failures, 10)), interval '30 minutes'),
        probing_until = null,
        last_error = excluded.last_error
       -- Ticks that failed side by side saw one failure.
       where v.paused_until is null or v.paused_until <= p_now;
    end if;
  end loop;
end
$$;

select punctual.close_to_public();
select punctual.note_migration('20261122000400', 'settle');
