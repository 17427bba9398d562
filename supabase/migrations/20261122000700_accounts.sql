-- Accounts over the API. A plain insert or update of punctual.accounts does as well.

-- queues: where a queue has settings of its own for this account, {queue: {setting: value}}.
create function punctual.describe_account(p_account punctual.accounts) returns jsonb
language sql stable set search_path = '' as $$
  select to_jsonb(p_account) - array['created_at', 'refused'] || jsonb_build_object('queues', (
    select coalesce(jsonb_object_agg(p.queue, o.settings), '{}')
      from punctual.pace p
     cross join lateral (select jsonb_strip_nulls(jsonb_build_object(
       'daily_limit', p.daily_limit, 'hourly_limit', p.hourly_limit, 'gap_seconds', p.gap_seconds,
       'gap_jitter_seconds', p.gap_jitter_seconds, 'hours', p.hours)) as settings) o
     where p.account_id = p_account.id and o.settings <> '{}'))
$$;

-- Adds an account, or changes the one that the provider knows by the same id. What is not named stays as it is; null switches a setting
-- off, or back to its default. queues: {queue: {setting: value}}, for the settings that a queue may have of its own.
create function punctual.save_account(p_account jsonb) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_account punctual.accounts;
  v_queue record;
begin
  insert into punctual.accounts as a (provider, provider_account_id, name)
  values (p_account->>'provider', p_account->>'provider_account_id', p_account->>'name')
  on conflict (provider, provider_account_id) do update set name = excluded.name
  returning a.* into v_account;
  -- In the order that settles lock in: the account, then its paces.
  update punctual.accounts a set
    (time_zone, daily_limit, hourly_limit, gap_seconds, gap_jitter_seconds, hours, ramp_started_on, ramp_days, ramp_from_percent,
     paused_until, paused_reason)
    = (select coalesce(n.time_zone, 'UTC'), coalesce(n.daily_limit, 30), n.hourly_limit, n.gap_seconds, coalesce(n.gap_jitter_seconds, 0),
              nullif(n.hours, 'null'), n.ramp_started_on, coalesce(n.ramp_days, 14), coalesce(n.ramp_from_percent, 20), n.paused_until, n.paused_reason
         from jsonb_populate_record(a, p_account - 'id') n)
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
  return punctual.describe_account(v_account);
end
$$;

create function punctual.list_accounts() returns jsonb
language sql stable set search_path = '' set statement_timeout = '4s' as $$
  select coalesce(jsonb_agg(punctual.describe_account(a) order by a.name, a.id), '[]')
    from (select * from punctual.accounts order by name, id limit 1000) a
$$;

-- Somebody has mended what a provider refused: the account is tried again at once; where p_account_id is null the provider, with one row
-- first. Raises PT404 where nothing is refused.
create function punctual.end_refusal(p_provider text, p_account_id uuid default null, p_now timestamptz default null) returns void
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_said text[];
begin
  if p_account_id is not null then
    perform from punctual.accounts a where a.id = p_account_id and a.provider = p_provider for no key update;
    select array_agg(r.refused->>'said') into v_said
      from (select a.refused from punctual.accounts a where a.id = p_account_id and a.provider = p_provider
            union all select p.refused from punctual.pace p
             where p.account_id = p_account_id and p.provider = p_provider and p.refused->>'what' = 'row') r
     where punctual.refusal_pause(r.refused) is not null;
    if v_said is null then
      raise exception '% refuses nothing of that', p_provider using errcode = 'PT404';
    end if;
    -- A pause that somebody else has set since is his to end.
    update punctual.accounts a set paused_until = null, paused_reason = null where a.id = p_account_id and a.paused_reason = any (v_said);
    update punctual.accounts a set refused = null where a.id = p_account_id and a.refused is not null;
    update punctual.pace p set refused = null, retry_at = null, next_ok_at = '-infinity', ready_at = coalesce(p_now, clock_timestamp())
      from (select x.queue, x.account_id from punctual.pace x where x.account_id = p_account_id and x.refused->>'what' is distinct from 'provider'
             order by x.queue for no key update) l
     where p.queue = l.queue and p.account_id = l.account_id;
    return;
  else
    update punctual.pace p set refused = null, retry_at = null, next_ok_at = '-infinity', ready_at = coalesce(p_now, clock_timestamp())
      from (select x.queue, x.account_id from punctual.pace x where x.provider = p_provider and x.refused->>'what' = 'provider'
             order by x.queue, x.account_id for no key update) l
     where p.queue = l.queue and p.account_id = l.account_id;
    update punctual.providers v set refusals = 0, paused_until = null, probing_until = null where v.name = p_provider and v.refusals > 0;
  end if;
  if not found then
    raise exception '% refuses nothing of that', p_provider using errcode = 'PT404';
  end if;
end
$$;

select punctual.close_to_public();
select punctual.note_migration('20261122000700', 'accounts');
