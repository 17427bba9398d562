-- Accounts for the API. A plain insert or update of punctual.accounts works as well.

-- Returns an account for the API. queues: settings that a queue has of its own for this account, {queue: {setting: value}}.
create function punctual.describe_account(p_account punctual.accounts) returns jsonb
language sql stable set search_path = '' as $$
  select to_jsonb(p_account) - array['created_at', 'refused', 'connection_reported_at'] || jsonb_build_object('queues', (
    select coalesce(jsonb_object_agg(p.queue, o.settings), '{}')
      from punctual.pace p
     cross join lateral (select jsonb_strip_nulls(jsonb_build_object(
       'daily_limit', p.daily_limit, 'hourly_limit', p.hourly_limit, 'gap_seconds', p.gap_seconds,
       'gap_jitter_seconds', p.gap_jitter_seconds, 'hours', p.hours)) as settings) o
     where p.account_id = p_account.id and o.settings <> '{}'))
$$;

-- Adds an account, or changes the one with the same provider_account_id. A setting that is left out stays. Null switches a setting off or back to its
-- default. A new pause without a reason clears the old reason. queues: {queue: {setting: value}}, for settings that a queue may have of its own.
-- Returns as describe_account does. Raises PT404 for a queue without accounts. Locks the account, then its pace by queue.
create function punctual.save_account(p_account jsonb, p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_account punctual.accounts;
  v_before jsonb;
  v_queue record;
begin
  select * into v_account from punctual.accounts a
   where a.provider = p_account->>'provider' and a.provider_account_id = p_account->>'provider_account_id' for no key update;
  if found then v_before := punctual.describe_account(v_account); end if;
  insert into punctual.accounts as a (provider, provider_account_id, name)
  values (p_account->>'provider', p_account->>'provider_account_id', p_account->>'name')
  on conflict (provider, provider_account_id) do update set name = excluded.name
  returning a.* into v_account;
  -- Locks the account before its pace, as settles do.
  update punctual.accounts a set
    (time_zone, daily_limit, hourly_limit, gap_seconds, gap_jitter_seconds, hours, ramp_started_on, ramp_days, ramp_from_percent,
     paused_until, paused_reason)
    = (select coalesce(n.time_zone, 'UTC'), coalesce(n.daily_limit, 30), n.hourly_limit, n.gap_seconds, coalesce(n.gap_jitter_seconds, 0),
              nullif(n.hours, 'null'), n.ramp_started_on, coalesce(n.ramp_days, 14), coalesce(n.ramp_from_percent, 20), n.paused_until, n.paused_reason
         from jsonb_populate_record(a, case when p_account ? 'paused_until' then '{"paused_reason": null}' else '{}' end::jsonb || p_account - 'id') n)
   where a.id = v_account.id
  returning a.* into v_account;
  for v_queue in select k, s from jsonb_each(coalesce(p_account->'queues', '{}')) e (k, s) order by k loop
    update punctual.pace p set (daily_limit, hourly_limit, gap_seconds, gap_jitter_seconds, hours)
      = (select n.daily_limit, n.hourly_limit, n.gap_seconds, n.gap_jitter_seconds, nullif(n.hours, 'null')
           from jsonb_populate_record(p, v_queue.s) n)
     where p.queue = v_queue.k and p.account_id = v_account.id;
    if not found then
      raise exception 'there is no queue "%" with accounts', v_queue.k using errcode = 'PT404';
    end if;
  end loop;
  perform punctual.note_change(p_by, 'save_account', null, v_account.id::text, v_before, punctual.describe_account(v_account), null, p_now);
  return punctual.describe_account(v_account);
end
$$;

-- Returns a page of accounts, by name.
create function punctual.list_accounts(p_limit integer default 50, p_cursor jsonb default null) returns jsonb
language sql stable set search_path = '' set statement_timeout = '4s' as $$
  select punctual.page_of(jsonb_agg(jsonb_build_object('item', punctual.describe_account(a), 'key', jsonb_build_array(a.name, a.id)) order by a.name, a.id), p_limit)
    from (select * from punctual.accounts x where p_cursor is null or (x.name, x.id) > (p_cursor->>0, (p_cursor->>1)::uuid)
           order by x.name, x.id limit p_limit + 1) a
$$;
