-- Claims the first due row of each of these accounts that may send, up to p_want rows, and updates the accounts' pace. An account whose row exceeds
-- p_want stays unchanged. The caller has locked the accounts' rows of pace. p_ready: their ready_at, in the order of p_accounts. Looks each account
-- up by its key, because the planner cannot estimate the arrays and would hash all accounts.
insert into punctual.templates (verb, kinds, text) values ('claim', '{accounts}', $template$
create function {function}(p_accounts uuid[], p_ready timestamptz[], p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_now timestamptz)
returns json[]
language plpgsql {keeps_plan} as $$
declare
  v_rows json[];
begin
  with candidate as materialized (
      select c.account_id, c.ready_at, a.time_zone, p.used as counted, p.used_until as counted_until, o.open_at, o.reason, p.limited_addressees,
             greatest(30, coalesce(p.hourly_limit, a.hourly_limit) + 1) as remembered, {account_summary} as account
        from unnest(p_accounts, p_ready) c (account_id, ready_at)
       cross join lateral (select x.* from punctual.pace x where x.queue = {queue} and x.account_id = c.account_id limit 1) p
       cross join lateral (select x.* from punctual.accounts x where x.id = c.account_id limit 1) a
       cross join lateral punctual.account_opening(a, p, p_now) o),
    found as materialized (
      select c.*, h.id, row_number() over (partition by h.id is null order by c.ready_at, h.id) as place
        from candidate c
        left join lateral (
          -- Locks the first row that the account could send: rows whose addressee the provider limits are passed over. If another session has locked
          -- it, finds none: the second row must not overtake it.
          select t.id from (select x.* from {table} x where x.id = (select f.id from {first_sendable} f) limit 1 for no key update skip locked) t
           where {claimable}) h on c.open_at <= p_now),
    head as materialized (
      select f.*, d.used, d.until
        from found f
       cross join lateral punctual.used_of_day(f.counted, f.counted_until, case when f.id is null then 'UTC' else f.time_zone end, p_now) d
       where f.id is null or f.place <= p_want),
    taken as (
      update {table} u set {take} from head h where u.id = h.id
      returning u.id, h.ready_at, (select row_to_json(c.*) from (select u.id::text as id, u.attempts as attempt, u.timeout_seconds, h.account,
                                                                        row_to_json(x.*) as "row" from {taken_row} x) c) as answer),
    paced as (
      update punctual.pace p set
        used = case when h.id is null then p.used else h.used + 1 end,
        used_until = case when h.id is null then p.used_until else h.until end,
        used_since = case when h.id is not null and h.used = 0 then p_now else p.used_since end,
        recent = case when h.id is null then p.recent
                      else (p.recent || p_now)[greatest(1, cardinality(p.recent) + 2 - h.remembered):] end,
        claim_id = case when h.id is null then p.claim_id else p_claim_id end,
        busy_until = case when h.id is null then p.busy_until else p_lease_until end,
        next_ok_at = case when h.open_at > p_now then h.open_at else '-infinity' end,
        waiting_for = h.reason,
        ready_at = case when h.open_at > p_now then h.open_at when h.id is not null then p_lease_until else least(n.due, n.limited_until) end
        from head h
        -- Finds the account by its key and p by its address, which the caller's lock keeps. With a plan made while pace was empty, a join would read
        -- all of pace for each account.
       cross join lateral (select x.ctid as address from punctual.pace x where x.queue = {queue} and x.account_id = h.account_id limit 1) k
        -- Without a row to send, the account is ready again when its next row falls due or its first limited addressee is free.
        left join lateral (
          select min(f.due) as due,
                 (select min((v->>'until')::timestamptz) from jsonb_each(h.limited_addressees) e (k, v) where (v->>'until')::timestamptz > p_now) as limited_until
            from unnest(array[0, 1, 2, 3]) l (level) cross join lateral (
              select {due_at} as due from {table} t
               where t.{status} = {pending} and t.{account} = h.account_id and t.priority = l.level and {due_at} > p_now
               order by {due_at}, t.id limit 1) f
           where h.open_at <= p_now and h.id is null) n on true
       where p.ctid = k.address)
  select coalesce(array_agg(t.answer order by t.ready_at, t.id), '{}') into v_rows from taken t;
  return v_rows;
end
$$
$template$);

-- Claims up to p_want due rows of accounts that may send, one row of each, the account that has been ready longest first. So an account's rows go out
-- in order, and one account's backlog starves no other. Judges and writes an account's pace under its lock, so limits hold for any number of ticks.
-- p_configured: the configured providers. `more`: fewer than p_want rows were claimed, and ready accounts remain.
--
-- Locks rows of providers, pace, accounts and the queue. Skips those that are locked.
create function punctual.claim_paced_rows(
  q punctual.queues, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_configured text[], p_now timestamptz,
  out claimed json[], out more boolean)
language plpgsql set search_path = '' as $$
declare
  v_taken json[];
  v_accounts uuid[];
  v_ready timestamptz[];
  v_lock_limit integer := p_want;
  v_usable record;
begin
  claimed := '{}';
  more := false;
  -- Accounts without a due row, or that may not send yet, get a new ready_at. Thousands of them may come before the first account with a row, so a
  -- round handles many. After eight rounds the next exchange continues.
  for v_round in 1..8 loop
    select * into v_usable from punctual.open_providers(q, p_configured, v_lock_limit, p_now);
    -- Locks accounts here and judges them in the next statement, which sees what a settle wrote before it released the lock. In a single statement an
    -- account's second row could overtake its first.
    select array_agg(c.account_id order by c.ready_at), array_agg(c.ready_at order by c.ready_at) into v_accounts, v_ready
      from (select c.account_id, c.ready_at
              from unnest(v_usable.names, v_usable.limits) v (provider, most)
             cross join lateral (
               select p.account_id, p.ready_at from punctual.pace p
                where p.queue = q.name and p.provider = v.provider and p.ready_at <= p_now
                order by p.ready_at limit v.most for no key update skip locked) c
             order by c.ready_at limit v_lock_limit) c;
    more := v_accounts is not null;
    exit when not more;
    if exists (select from punctual.accounts a where a.refused is not null and a.id = any (v_accounts)) then
      -- One row of one queue tries a refused account. If another session has locked the account, that session tries it.
      select array_agg(c.account_id order by c.n), array_agg(c.ready_at order by c.n) into v_accounts, v_ready
        from unnest(v_accounts, v_ready) with ordinality c (account_id, ready_at, n)
       where not exists (select from punctual.accounts a where a.id = c.account_id and a.refused is not null)
          or c.account_id in (select a.id from punctual.accounts a where a.id = any (v_accounts) and a.refused is not null for no key update skip locked);
    end if;
    execute format('select punctual.%I($1, $2, $3, $4, $5, $6)', q.name || '.claim') into v_taken
      using v_accounts, v_ready, p_claim_id, p_want - cardinality(claimed), p_lease_until, p_now;
    claimed := claimed || v_taken;
    if v_usable.probed <> '{}' then
      update punctual.providers v set probing_until = p_now + make_interval(secs => q.timeout_seconds + 5)
       where v.name = any (v_usable.probed) and v.name in (select r->'account'->>'provider' from unnest(v_taken) r);
    end if;
    more := cardinality(claimed) < p_want;
    exit when not more or (v_round > 1 and punctual.is_call_over());
    -- Later rounds lock more accounts than p_want, so that a call that wants one row still makes progress.
    v_lock_limit := case when punctual.is_call_over() then 100 else 500 end;
  end loop;
end
$$;
