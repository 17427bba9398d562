-- Counts due rows, up to 1,000, and returns their accounts.
insert into punctual.templates (verb, kinds, text) values ('due_accounts', '{accounts}', $template$
create function {function}(p_now timestamptz, out accounts uuid[], out rows integer)
language plpgsql stable {keeps_plan} as $$
begin
  select array_agg(distinct r.account_id) filter (where r.account_id is not null), count(*) into accounts, rows
    from (select t.{account} as account_id from {table} t where t.{status} = {pending} and {at_level} and {due_at} <= p_now
           -- See count_due.
           order by {due_at}, t.id limit 1000) r;
end
$$
$template$),
-- Returns those of the accounts that have a pending row, due or not. Looks each account up by its key, because the planner cannot estimate the array.
('with_rows', '{accounts}', $template$
create function {function}(p_accounts uuid[]) returns uuid[]
language plpgsql stable {keeps_plan} as $$
begin
  return array(
    select c.account_id from unnest(p_accounts) c (account_id)
     cross join lateral (select from {table} t where t.{status} = {pending} and t.{account} = c.account_id limit 1) r);
end
$$
$template$),
-- Returns those of the accounts that have a claimable row but are not ready, with the due time of their first row. Locks nothing.
('awake', '{accounts}', $template$
create function {function}(p_accounts uuid[], p_now timestamptz, out accounts uuid[], out dues timestamptz[])
language plpgsql stable {keeps_plan} as $$
begin
  select array_agg(c.account_id), array_agg(h.due) into accounts, dues
    from unnest(p_accounts) n (account_id)
   cross join lateral (
     select x.account_id, x.limited_addressees from punctual.pace x
      where x.queue = {queue} and x.account_id = n.account_id and x.next_ok_at <= p_now and (x.ready_at is null or x.ready_at > p_now)
        and (x.busy_until is null or x.busy_until <= p_now) limit 1) c
   cross join lateral {first_sendable} h;
end
$$
$template$);

-- Wakes accounts that got a due row while they were not ready: an insert notifies nobody. Runs once a tick. Reads 1,000 accounts at a time, from
-- the account p_from on, and wakes fewer than 2,000 at once. Returns the account to continue with if the call used up its time; null if all were checked.
create function punctual.wake_accounts(q punctual.queues, p_from uuid, p_now timestamptz) returns uuid
language plpgsql set search_path = '' as $$
declare
  v_accounts uuid[];
  v_rows integer;
  v_known integer;
  v_asleep uuid[];
  v_found uuid[] := '{}';
  v_is_over boolean;
  v_from uuid := coalesce(p_from, '00000000-0000-0000-0000-000000000000');
begin
  -- Fewer than 1,000 due rows name all their accounts. With more, each account is checked.
  execute format('select * from punctual.%I($1)', q.name || '.due_accounts') into v_accounts, v_rows using p_now;
  if v_accounts is null then return null; end if;
  if v_rows < 1000 then
    perform punctual.wake_some(q, v_accounts, p_now);
    return null;
  end if;
  loop
    v_accounts := array(select a.id from punctual.accounts a where a.id >= v_from order by a.id limit 1001);
    v_from := v_accounts[1001];
    v_accounts := v_accounts[:1000];
    -- One scan of the range. Most accounts of a queue with so many due rows are ready, or have a row that runs.
    select count(*), array_agg(p.account_id) filter (where p.next_ok_at <= p_now and (p.ready_at is null or p.ready_at > p_now)
                                                       and (p.busy_until is null or p.busy_until <= p_now))
      into v_known, v_asleep
      from punctual.pace p
     where p.queue = q.name and p.account_id between v_accounts[1] and v_accounts[cardinality(v_accounts)];
    if v_known < cardinality(v_accounts) then
      perform punctual.wake_some(q, v_accounts, p_now);
    elsif v_asleep is not null then
      -- Most sleeping accounts have no row. This finds that out at less cost than wake_some.
      execute format('select punctual.%I($1)', q.name || '.with_rows') into v_asleep using v_asleep;
      v_found := v_found || v_asleep;
    end if;
    v_is_over := v_from is null or punctual.is_call_over();
    if v_found <> '{}' and (v_is_over or cardinality(v_found) >= 1000) then
      perform punctual.wake_some(q, v_found, p_now);
      v_found := '{}';
    end if;
    if v_is_over then return v_from; end if;
  end loop;
end
$$;

-- Makes those of the accounts ready that have a claimable row. Locks their rows of pace by account. Skips locked accounts: another session judges
-- them.
create function punctual.wake_some(q punctual.queues, p_accounts uuid[], p_now timestamptz) returns void
-- Planned at each call. A kept plan that was made while pace was empty reads all of pace for each account: 0.6 s for 1,000 of 100,000 accounts.
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
  v_found uuid[];
  v_due timestamptz[];
begin
  -- Adds the pace of accounts that were inserted without their trigger: with triggers off, or by a restore.
  insert into punctual.pace (queue, account_id, provider)
  select q.name, a.id, a.provider from punctual.accounts a
   where a.id = any (p_accounts) and not exists (select from punctual.pace p where p.queue = q.name and p.account_id = a.id)
  on conflict do nothing;

  execute format('select * from punctual.%I($1, $2)', q.name || '.awake') into v_found, v_due using p_accounts, p_now;

  with locked as materialized (
    select p.account_id from punctual.pace p
     where p.queue = q.name and p.account_id = any (v_found) and (p.ready_at is null or p.ready_at > p_now)
     order by p.account_id for no key update skip locked)
  update punctual.pace p set ready_at = greatest(f.due, p.next_ok_at)
    from locked l join unnest(v_found, v_due) f (account_id, due) on f.account_id = l.account_id
   where p.queue = q.name and p.account_id = l.account_id;
end
$$;
