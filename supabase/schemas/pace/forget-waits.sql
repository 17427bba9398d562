-- Returns whether the pending row p_row holds its account: it was claimed, and no other pending row of the account was claimed later.
create function punctual.holds_account(q punctual.queues, p_row jsonb) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_is_last boolean;
begin
  if p_row->>'claimed_at' is null then return false; end if;
  execute punctual.render_sql(q, 'select not exists (select from {table} t where t.{status} = {pending} and t.{account} = $1 and t.claimed_at > $2)')
    into v_is_last using (p_row->>q.account_column)::uuid, (p_row->>'claimed_at')::timestamptz;
  return v_is_last;
end
$$;

-- Ends an account's wait for a row that will not be retried. Other rows' holds stay: only the row that was claimed last holds the account. p_row:
-- the row while it held. Locks the account's row of pace.
create function punctual.end_hold(q punctual.queues, p_row jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if q.account_column is null or p_row->>q.status_column <> q.pending_word or not punctual.holds_account(q, p_row) then return; end if;
  update punctual.pace p set retry_at = null, next_ok_at = '-infinity', waiting_for = null, ready_at = p_now
   where p.queue = q.name and p.account_id = (p_row->>q.account_column)::uuid and p.retry_at > p_now;
end
$$;

-- Trigger: gives a new account a pace in each queue with accounts.
create function punctual.add_account_pace() returns trigger
language plpgsql set search_path = '' as $$
begin
  insert into punctual.pace (queue, account_id, provider)
  select q.name, new.id, new.provider from punctual.queues q where q.account_column is not null
  on conflict (queue, account_id) do nothing;
  return null;
end
$$;
create trigger add_account_pace after insert on punctual.accounts
  for each row execute function punctual.add_account_pace();

-- Trigger: discards the waits that follow from an account's old settings, so that the next tick judges it anew. Locks pace in one statement, in the
-- order that settles use.
create function punctual.forget_account_waits() returns trigger
language plpgsql set search_path = '' as $$
begin
  update punctual.pace p
     set provider = l.provider, next_ok_at = '-infinity', waiting_for = null, ready_at = null,
         -- A person who ends a pause has dealt with its cause: see end_account_refusal.
         refused = case when not l.resumes then p.refused end
    from (select x.queue, x.account_id, n.provider,
                 coalesce(n.paused_until, '-infinity') < coalesce(o.paused_until, '-infinity') as resumes
            from new_accounts n
            join old_accounts o on o.id = n.id
            join punctual.pace x on x.account_id = n.id
           where (o.provider, o.time_zone, o.daily_limit, o.hourly_limit, o.gap_seconds, o.gap_jitter_seconds, o.hours,
                  o.ramp_started_on, o.ramp_days, o.ramp_from_percent, o.paused_until, o.refused is null)
                 is distinct from
                 (n.provider, n.time_zone, n.daily_limit, n.hourly_limit, n.gap_seconds, n.gap_jitter_seconds, n.hours,
                  n.ramp_started_on, n.ramp_days, n.ramp_from_percent, n.paused_until, n.refused is null)
           order by x.queue, x.account_id for no key update of x) l
   where p.queue = l.queue and p.account_id = l.account_id;
  return null;
end
$$;

-- Trigger: ends an account's refusal when its pause is ended or shortened.
create function punctual.end_account_refusal() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.refused := null;
  return new;
end
$$;
create trigger end_account_refusal before update of paused_until on punctual.accounts
  for each row when (old.refused is not null and coalesce(new.paused_until, '-infinity') < coalesce(old.paused_until, '-infinity'))
  execute function punctual.end_account_refusal();

create trigger forget_account_waits after update on punctual.accounts
  referencing old table as old_accounts new table as new_accounts
  for each statement execute function punctual.forget_account_waits();

-- Trigger: the same for a queue's own settings of an account. The trigger names its columns, so claims and settles do not run it.
create function punctual.forget_pace_wait() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.next_ok_at := '-infinity';
  new.waiting_for := null;
  new.ready_at := null;
  return new;
end
$$;
create trigger forget_pace_wait before update of daily_limit, hourly_limit, gap_seconds, gap_jitter_seconds, hours on punctual.pace
  for each row execute function punctual.forget_pace_wait();
