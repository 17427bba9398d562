-- Effects of outcomes on accounts and their pace.

-- Updates the pace of the accounts of settled rows: places, retries, limited addressees. Locks their rows of pace by account. An attempt that certainly had no effect gives its place back: while pace
-- has its claim_id, no later claim was counted, so `used` is of the claim's day and the last of `recent` is this claim. An attempt that the
-- provider refused gives back its place in the day, because nothing was sent, but not in the hour and the gap, because the provider was called.
--
-- p_applied: [{account_id, claim_id, claimed_at, outcome, delay_seconds, rate_limited, limit_scope, refused, refusal, unreadable, pair, error}]. The
-- outcome is `lost` if the attempt ended without changing its row.
create function punctual.update_pace(q punctual.queues, p_applied jsonb, p_now timestamptz) returns void
-- Planned at each call: see wake_some.
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
  v_with_rows uuid[];
begin
  if p_applied = '[]' then return; end if;
  execute format('select punctual.%I($1)', q.name || '.with_rows') into v_with_rows
    using array(select distinct (r->>'account_id')::uuid from jsonb_array_elements(p_applied) r where r->>'outcome' = 'done');
  with freed as materialized (
    select p.account_id, r.outcome, r.outcome in ('retry', 'dead', 'release') as refund, r.claimed_at, r.limit_scope, r.pair, r.error,
           coalesce(r.delay_seconds, 0) as delay_seconds, r.limit_scope = 'pair' and r.pair is not null as limits_addressee,
           r.refused, r.unreadable, case when r.refused in ('row', 'provider') then punctual.count_refusal(p.refused, r.refused, r.refusal, r.error) end as refusals,
           p.limited_addressees, coalesce((p.limited_addressees -> r.pair ->> 'count')::integer, 0) + 1 as times_limited
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
    -- 4, 16, 64 … s: Meta's advice for 131056 (developers.facebook.com/docs/whatsapp/cloud-api/overview, "Pair rate limits").
    limited_addressees = case
      when f.limits_addressee then
        coalesce(v.limited_addressees, '{}') || jsonb_build_object(f.pair, jsonb_build_object('count', f.times_limited, 'said', left(f.error, 200), 'until',
          p_now + make_interval(secs => greatest(f.delay_seconds, least(3600, power(4, least(f.times_limited, 10)))))))
      when f.outcome = 'done' and f.pair is not null then nullif(v.limited_addressees - f.pair, '{}')
      else v.limited_addressees end,
    -- After a refusal by the whole provider the account waits, so that the provider is not tried with the same row each time.
    next_ok_at = coalesce(case when f.refused = 'provider' then v.retry_at end, '-infinity'),
    waiting_for = null, claim_id = null, busy_until = null,
    -- An account's rows go out in order, so a retry holds the account. A hold of one addressee and an unreadable row do not.
    -- An account whose row is done, and that has no other, is not ready: the claim would judge it in vain. A later row wakes it: see wake_accounts.
    retry_at = v.retry_at, ready_at = case when f.outcome <> 'done' or v.limited_addressees is not null or p.account_id = any (v_with_rows) then greatest(p_now, v.retry_at) end
    from freed f
   cross join lateral (select
      case when f.outcome = 'retry' and not coalesce(f.limits_addressee, false) and not coalesce(f.unreadable, false)
           -- 60 s: the provider limits the addressee, and the row has none.
           then p_now + greatest(make_interval(secs => greatest(f.delay_seconds, case when f.limit_scope = 'pair' then 60 else 0 end)),
                                 case when f.refused = 'provider' then punctual.refusal_pause(f.refusals) end) end as retry_at,
      -- The count restarts after a success (above), or an hour after `until`.
      (select jsonb_object_agg(h.key, h.value) from jsonb_each(f.limited_addressees) h where (h.value->>'until')::timestamptz > p_now - interval '1 hour') as limited_addressees) v
   where p.queue = q.name and p.account_id = f.account_id;
end
$$;

-- Writes rate limits and refusals of whole accounts from outcomes to the accounts, where they hold for all queues. A limit counts even if another
-- claim has the row by now; a limit of one addressee, in update_pace, does not. A refusal counts once, and any other response of the provider ends it. p_done, p_records: as settle_outcomes takes them.
-- Locks the accounts by id.
create function punctual.note_accounts(q punctual.queues, p_done jsonb, p_records jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_outcomes jsonb;
begin
  select jsonb_agg(r) into v_outcomes from jsonb_array_elements(p_records) r where r->>'limit_scope' = 'account' or r->>'refused' in ('row', 'account');
  if exists (select from punctual.accounts a where a.refused is not null) then
    -- Outcomes that end a refusal.
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
    into v_outcomes using p_done, p_records, v_outcomes;
  end if;
  if coalesce(v_outcomes, '[]') = '[]' then return; end if;
  -- Leaves out outcomes that were written before: an exchange whose response was lost sends them again.
  execute punctual.render_sql(q, 'select jsonb_agg(r) from jsonb_array_elements($1) r where not exists (select from {table} t where t.id = (r->>''id'')::{id_type} '
                                 'and t.claim_id = (r->>''claim_id'')::uuid and t.lease_expires_at is null and t.{status} <> {unknown})') into v_outcomes using v_outcomes;
  if v_outcomes is null then return; end if;
  -- Locks the accounts in a statement of its own, so that the next one counts what others wrote before.
  perform from punctual.accounts a where a.id = any (array(select (r->>'account_id')::uuid from jsonb_array_elements(v_outcomes) r))
    order by a.id for no key update;
  update punctual.accounts a set
    refused = s.refused,
    paused_until = greatest(a.paused_until, s.until),
    paused_reason = case when s.until > coalesce(a.paused_until, '-infinity') then s.reason else a.paused_reason end
    from (select r.account_id as id, max(v.until) as until, (array_agg(v.reason order by v.until desc nulls last))[1] as reason,
                 case when bool_or(v.is_current) then (array_agg(v.refused order by r.outcome = 'done' desc) filter (where v.is_current))[1]
                      else (array_agg(x.refused))[1] end as refused
            from jsonb_to_recordset(v_outcomes) r (account_id uuid, claim_id uuid, outcome text, error text, limit_scope text,
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
