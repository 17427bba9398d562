-- Writing outcomes back, and what they say of the providers.

-- SQL: `, column = what p_result (SQL, jsonb) says of it` for each result column.
create function punctual.set_results(q punctual.queues, p_result text) returns text
language plpgsql stable set search_path = '' as $$
begin
  return (
    select coalesce(string_agg(format(case when c = any (q.jsonb_columns) then ', %1$I = coalesce(%2$s->%1$L, t.%1$I)'
                                         else ', %1$I = coalesce(%2$s->>%1$L, t.%1$I)' end, c, p_result), ''), '')
    from unnest(q.result_columns) c);
end
$$;

-- The accounts of settled rows are free again. What for certain had no effect gives its place back: as long as the account bears this
-- claim no later one has counted, so `used` is of the claim's day, and the latest of `recent` is this claim's. What the provider refused
-- gives back its place in the day, as nothing was sent, and not that in the hour and the gap, as it was called.
--
-- p_applied, outcome being lost where the attempt is over and has changed no row: [{account_id, claim_id, claimed_at, outcome, delay_seconds, rate_limited, limit_scope, refused, refusal, unreadable, pair, error}].
create function punctual.free_accounts(q punctual.queues, p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
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
-- a refusal counts once; any other answer ends it. p_records: as settle_outcomes takes them.
create function punctual.note_accounts(q punctual.queues, p_records jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_said jsonb;
begin
  select jsonb_agg(r) into v_said from jsonb_array_elements(p_records) r where r->>'limit_scope' = 'account' or r->>'refused' in ('row', 'account');
  if exists (select from punctual.accounts a where a.refused is not null) then
    execute format('select coalesce($2, ''[]'') || coalesce(jsonb_agg(r || jsonb_build_object(''account_id'', t.%1$I)), ''[]'') '
                   'from jsonb_array_elements($1) r join %2$I.%3$I t on t.id = (r->>''id'')::%4$s '
                   'where t.%1$I in (select a.id from punctual.accounts a where a.refused is not null) '
                   'and (r->>''outcome'' in (''done'', ''again'') or r->>''limit_scope'' is not null)',
                   q.account_column, q.table_schema, q.table_name, q.id_type)
    into v_said using p_records, v_said;
  end if;
  if coalesce(v_said, '[]') = '[]' then return; end if;
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

-- Writes outcomes back, fenced by the claim that each row was taken under.
--
-- p_outcomes  {done: [{claim_id, ids}], records: [{id, claim_id, outcome, error, result, delay_seconds, rate_limited,
--             limit_scope, account_id, account_pause_seconds, refused, refusal, unreadable}]}; outcome is done, retry, again, dead, unknown or release. limit_scope
--             account: the provider limits the account, for account_pause_seconds, else for as long as it did twice over, from 60 s to
--             1 h; pair: only this addressee, for the longer of delay_seconds and 4^n s, n being how often in a row. refused: the
--             provider refused the row (for refusal), the account, or the provider as a whole; see count_refusal() and refusal_pause().
--             unreadable: the code could not read the row. Only the row waits for its retry, and not its account.
--
-- Answers {done, retried, again, dead, unknown, released, lost, limited, exceptions}: the counts of what was applied, and
-- [{id, claim_id, verdict, outcome}] of all that did not go as it was asked. `already`: applied before, by an exchange whose answer
-- was lost. `lost`: another claim or an operator has the row; that one was done all the same is heard, see hear_late. An exhausted retry is
-- applied as `dead`.
create function punctual.settle_outcomes(q punctual.queues, p_outcomes jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_records jsonb := coalesce(p_outcomes->'records', '[]');
  v_group record;
  v_done integer := 0;
  v_count integer;
  v_judged jsonb;
  v_applied jsonb;
  v_late jsonb;
  v_over jsonb;
  v_told jsonb;
begin
  if q.source = 'pgmq' then return punctual.settle_messages(q, p_outcomes, p_now); end if;
  for v_group in
    select (g->>'claim_id')::uuid as claim_id, g->'ids' as ids, jsonb_array_length(g->'ids') as asked
      from jsonb_array_elements(coalesce(p_outcomes->'done', '[]')) g where g ? 'ids'
  loop
    if q.account_column is null and q.after_settle is null then
      -- The common outcome of a plain queue: one fence and the primary key, no look at the row before.
      execute punctual.render_sql(q,
        'update %I.%I t set {status} = %L, lease_expires_at = null, finished_at = $1, last_error = null '
        'where t.id = any (array(select jsonb_array_elements_text($2)::%s)) and t.claim_id = $3 and t.lease_expires_at is not null',
        q.table_schema, q.table_name, q.done_word, q.id_type)
      using p_now, v_group.ids, v_group.claim_id;
      get diagnostics v_count = row_count;
      v_done := v_done + v_count;
      continue when v_count = v_group.asked;
      -- Some were not ours any more, or done before: find out which, row by row. Those just done are `already` then.
      v_records := v_records || (select jsonb_agg(jsonb_build_object('id', i, 'claim_id', v_group.claim_id, 'outcome', 'done'))
                                   from jsonb_array_elements_text(v_group.ids) i);
    else
      v_records := v_records || (select coalesce(jsonb_agg(jsonb_build_object('id', i, 'claim_id', v_group.claim_id, 'outcome', 'done')), '[]')
                                   from jsonb_array_elements_text(v_group.ids) i);
    end if;
  end loop;

  if v_records = '[]' then
    return jsonb_build_object('done', v_done, 'retried', 0, 'again', 0, 'dead', 0, 'unknown', 0, 'released', 0, 'lost', 0, 'limited', 0,
                              'exceptions', jsonb '[]');
  end if;

  -- Before the rows: accounts are locked first.
  if q.account_column is not null then perform punctual.note_accounts(q, v_records, p_now); end if;

  execute punctual.render_sql(q, $sql$
    with asked as materialized (
      select distinct on (id, claim_id) (r->>'id')::%1$s as id, (r->>'claim_id')::uuid as claim_id, r->>'outcome' as outcome, r->>'error' as error,
             r->'result' as result, (r->>'delay_seconds')::double precision as delay_seconds,
             coalesce((r->>'rate_limited')::boolean, false) as rate_limited, r->>'limit_scope' as limit_scope,
             r->>'refused' as refused, r->>'refusal' as refusal, coalesce((r->>'unreadable')::boolean, false) as unreadable
        from jsonb_array_elements($1) r
       -- Told twice by one claim: that it was done is the truth.
       order by id, claim_id, r->>'outcome' = 'done' desc
    ),
    before as materialized (
      select t.id, t.{status} as status, t.claim_id, t.lease_expires_at, t.attempts, t.max_attempts, t.claimed_at, t.%2$I as due, %15$s as account_id
        from %3$I.%4$I t where t.id = any (array(select a.id from asked a)) order by t.id for no key update
    ),
    judged as materialized (
      select a.id, a.claim_id, a.error, a.result, a.delay_seconds, a.rate_limited, a.limit_scope, a.refused, a.refusal, a.unreadable, b.attempts, b.due,
             coalesce(b.claimed_at, $3) as claimed_at, b.account_id,
             case when b.claim_id is distinct from a.claim_id then 'lost'
                  when b.status = %13$L then 'applied'
                  when b.status = %5$L and a.outcome not in ('unknown', 'release') then 'applied'
                  -- Proof that it was done is the truth, whatever a sweep or an operator has made of the row meanwhile.
                  when a.outcome = 'done' and (b.status <> %6$L or b.lease_expires_at is not null) then 'applied'
                  -- Settled before: the lease is gone.
                  when b.lease_expires_at is null then 'already'
                  -- Swept, or an operator's hand was on it.
                  when b.status = %8$L and a.outcome in ('dead', 'again') then 'applied'
                  else 'lost' end as verdict,
             case when a.outcome = 'retry' and not a.rate_limited and b.attempts >= coalesce(b.max_attempts, $2) then 'dead'
                  else a.outcome end as outcome,
             a.outcome as asked_outcome,
             b.status as status_before
        from asked a left join before b on b.id = a.id
    ),
    applied as (
      update %3$I.%4$I t set
        {status} = (case j.outcome when 'done' then %6$L when 'dead' then %7$L when 'unknown' then %5$L else %8$L end)::%11$s,
        lease_expires_at = null,
        attempts = case when j.outcome = 'release' or (j.outcome = 'retry' and j.rate_limited) then greatest(t.attempts - 1, 0)
                        when j.outcome = 'again' then 0 else t.attempts end,
        next_attempt_at = case j.outcome when 'retry' then %12$s when 'again' then null else t.next_attempt_at end,
        -- Anchored on the last due time: lateness does not add up, and slots that were missed are not made up for. The first after the
        -- claim, not after now: work that goes on past its next slot does not lose it.
        %2$I = case when j.outcome <> 'again' then t.%2$I
                    -- A due time that is none, by somebody's hand, is no anchor.
                    when isfinite(t.%2$I) then t.%2$I + make_interval(secs => j.delay_seconds
                         * (1 + greatest(0, floor(extract(epoch from j.claimed_at - t.%2$I) / j.delay_seconds))))
                    else j.claimed_at + make_interval(secs => j.delay_seconds) end,
        finished_at = case when j.outcome in ('done', 'dead', 'unknown') then $3 end,
        last_error = case when j.outcome in ('retry', 'dead', 'unknown') then left(j.error, 2000)
                          when j.outcome = 'release' then t.last_error end
        %10$s %14$s
        from judged j where t.id = j.id and j.verdict = 'applied'
      returning t.id, j.claim_id, j.outcome, j.result, j.error, j.rate_limited, j.limit_scope, j.refused, j.refusal, j.unreadable, j.delay_seconds, t.claimed_at, j.due %9$s
    )
    select (select jsonb_agg(jsonb_build_object('id', j.id::text, 'claim_id', j.claim_id, 'verdict', j.verdict,
                      'outcome', case when j.verdict = 'already' then
                        case j.status_before when %6$L then 'done' when %7$L then 'dead' when %5$L then 'unknown' else j.asked_outcome end
                        else j.outcome end))
              from judged j where j.verdict <> 'applied' or j.outcome <> j.asked_outcome),
           (select jsonb_agg(to_jsonb(a)) from applied a),
           (select jsonb_agg(jsonb_build_object('id', j.id::text, 'claim_id', j.claim_id, 'result', j.result) order by j.id)
              from judged j where j.verdict = 'lost' and j.asked_outcome = 'done'),
           (select jsonb_agg(jsonb_build_object('account_id', j.account_id, 'claim_id', j.claim_id, 'outcome', 'lost'))
              from judged j where j.verdict <> 'applied' and j.account_id is not null)
    $sql$,
    q.id_type, q.due_column, q.table_schema, q.table_name, q.unknown_word, q.done_word, q.dead_word, q.pending_word,
    case when q.account_column is null then '' else format(', t.%I as account_id', q.account_column) end
      || case when q.pair_column is null then ', null as pair' else format(', t.%I as pair', q.pair_column) end
      || case when q.delivery = 'at-most-once' then ', t.reconcile ? ''late_proof'' as late' else ', false as late' end,
    punctual.set_results(q, 'j.result'),
    q.status_type,
    -- In a queue with accounts the account waits, and the row keeps its place at the head: behind it others would overtake.
    format('case when %s then $3 + make_interval(secs => coalesce(j.delay_seconds, 0)) else t.next_attempt_at end',
           case when q.account_column is null then 'true' else 'j.unreadable' end),
    q.running_word,
    case when q.delivery = 'at-most-once' then
      ', reconcile_at = case when j.outcome = ''unknown'' then punctual.next_look_at(0, $3) end, '
      'reconcile = case when j.outcome = ''unknown'' then punctual.begin_reconcile(' || quote_literal(q.name)
      || ', to_jsonb(t.*), coalesce(t.lease_expires_at, $3)) else t.reconcile end' end,
    case when q.account_column is null then 'null::uuid' else format('t.%I', q.account_column) end)
  into v_judged, v_applied, v_late, v_over using v_records, q.max_attempts, p_now;

  v_judged := coalesce(v_judged, '[]');
  v_applied := coalesce(v_applied, '[]');

  insert into punctual.history (queue, row_id, at, event, text)
  select q.name, r->>'id', p_now, r->>'outcome', left(r->>'error', 2000)
    from jsonb_array_elements(v_applied) r where r->>'outcome' in ('retry', 'dead', 'unknown');
  if q.account_column is not null then
    -- The attempt of a row that somebody has settled meanwhile is over as well.
    perform punctual.free_accounts(q, v_applied || coalesce(v_over, '[]'), p_now);
  end if;
  if q.delivery = 'at-most-once' then
    -- A webhook or a look may have been here first: what is known by them is known now, and nobody has to look again.
    perform punctual.apply_receipts(q, array(select r->>'id' from jsonb_array_elements(v_applied) r
                                              where r->>'outcome' in ('retry', 'dead', 'unknown')), p_now);
    perform punctual.apply_late_proof(q, r->>'id', p_now) from jsonb_array_elements(v_applied) r where (r->>'late')::boolean;
    perform punctual.hear_late(q, r->>'id', r->>'claim_id', r->'result', p_now) from jsonb_array_elements(v_late) r;
  end if;

  if q.after_settle is not null and v_applied <> '[]' then
    v_told := v_applied;
    if q.delivery = 'at-most-once' then
      -- It has been told already of what receipts and proofs made of a row just now.
      execute punctual.render_sql(q,
        'select coalesce(jsonb_agg(a order by n), ''[]'') from jsonb_array_elements($1) with ordinality e (a, n) join %I.%I t on t.id = (a->>''id'')::%s '
        'where t.{status} = (case a->>''outcome'' when ''done'' then %L when ''dead'' then %L when ''unknown'' then %L else %L end)::%s',
        q.table_schema, q.table_name, q.id_type, q.done_word, q.dead_word, q.unknown_word, q.pending_word, q.status_type)
      into v_told using v_applied;
    end if;
    if v_told <> '[]' then perform punctual.call_after_settle(q.after_settle, v_told, p_now); end if;
  end if;

  return (
    select jsonb_build_object(
      'done', v_done + count(*) filter (where r->>'outcome' = 'done'),
      'retried', count(*) filter (where r->>'outcome' = 'retry'),
      'again', count(*) filter (where r->>'outcome' = 'again'),
      'dead', count(*) filter (where r->>'outcome' = 'dead'),
      'unknown', count(*) filter (where r->>'outcome' = 'unknown'),
      'released', count(*) filter (where r->>'outcome' = 'release'),
      'lost', (select count(*) from jsonb_array_elements(v_judged) j where j->>'verdict' = 'lost'),
      'limited', count(*) filter (where (r->>'rate_limited')::boolean and r->>'refused' is null),
      'exceptions', v_judged)
    from jsonb_array_elements(v_applied) r);
end
$$;

-- How far rows are that run: [{id, claim_id, progress}]. What cannot be written is left out: it is no outcome.
create function punctual.note_progress(q punctual.queues, p_progress jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  if q.progress_column is null or coalesce(p_progress, '[]') = '[]' then return; end if;
  execute punctual.render_sql(q,
    'update %1$I.%2$I t set %3$I = p.value->''progress'' from jsonb_array_elements($1) p '
    'where t.id = (p.value->>''id'')::%4$s and t.claim_id = (p.value->>''claim_id'')::uuid and t.{status} = %5$L',
    q.table_schema, q.table_name, q.progress_column, q.id_type, q.running_word)
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
