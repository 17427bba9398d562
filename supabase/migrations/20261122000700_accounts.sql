-- Accounts over the API. A plain insert or update of punctual.accounts does as well.

-- queues: where a queue has settings of its own for this account, {queue: {setting: value}}.
create function punctual.describe_account(p_account punctual.accounts) returns jsonb
language sql stable set search_path = '' as $$
  select to_jsonb(p_account) - array['created_at', 'refused', 'connection_told_at'] || jsonb_build_object('queues', (
    select coalesce(jsonb_object_agg(p.queue, o.settings), '{}')
      from punctual.pace p
     cross join lateral (select jsonb_strip_nulls(jsonb_build_object(
       'daily_limit', p.daily_limit, 'hourly_limit', p.hourly_limit, 'gap_seconds', p.gap_seconds,
       'gap_jitter_seconds', p.gap_jitter_seconds, 'hours', p.hours)) as settings) o
     where p.account_id = p_account.id and o.settings <> '{}'))
$$;

-- Adds an account, or changes the one that the provider knows by the same id. What is not named stays as it is; null switches a setting
-- off, or back to its default. A new pause without a reason has none. queues: {queue: {setting: value}}, for the settings that a queue may
-- have of its own.
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
  return punctual.describe_account(v_account);
end
$$;

-- A page of them, by name.
create function punctual.list_accounts(p_limit integer default 50, p_cursor jsonb default null) returns jsonb
language sql stable set search_path = '' set statement_timeout = '4s' as $$
  select punctual.page_of(jsonb_agg(jsonb_build_object('item', punctual.describe_account(a), 'key', jsonb_build_array(a.name, a.id)) order by a.name, a.id), p_limit)
    from (select * from punctual.accounts x where p_cursor is null or (x.name, x.id) > (p_cursor->>0, (p_cursor->>1)::uuid)
           order by x.name, x.id limit p_limit + 1) a
$$;

-- The next tick tries the account with its first row, whatever was refused of it before. The account is locked.
create function punctual.try_account_again(p_account_id uuid, p_now timestamptz) returns void
language sql set search_path = '' as $$
  update punctual.pace p set refused = null, retry_at = null, next_ok_at = '-infinity', ready_at = p_now
    from (select x.queue, x.account_id from punctual.pace x where x.account_id = p_account_id and x.refused->>'what' is distinct from 'provider'
           order by x.queue for no key update) l
   where p.queue = l.queue and p.account_id = l.account_id
$$;

-- Takes what a provider tells by webhook of an account's connection. p_told: {provider_account_id, connected, said, said_at, mends}.
--
-- Lost, the account counts as refused: it pauses for as long as after many refusals, 4 hours, and then one row tries it, so that no event that
-- is lost keeps it for ever. Connected again, it is tried at once if such an event, or a refusal with one of the codes in mends, had paused
-- it; the pause that was there before stands again, and one that a person has set since stays. Events that bear their time count in that
-- order, others as they arrive. Answers whether it changed anything; an unknown account changes nothing.
create function punctual.note_connection(p_provider text, p_told jsonb, p_now timestamptz default null) returns boolean
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  -- A clock that is ahead of ours must not make what comes after it old.
  v_at timestamptz := least((p_told->>'said_at')::timestamptz, v_now);
  v_said text := left(p_told->>'said', 500);
  v_until timestamptz := v_now + punctual.refusal_wait(10);
  v_queue text;
  v_held jsonb;
  a punctual.accounts;
begin
  select x.* into a from punctual.accounts x
   where x.provider = p_provider and x.provider_account_id = p_told->>'provider_account_id' for no key update;
  if not found or v_at < a.connection_told_at then return false; end if;
  update punctual.accounts x set connection_told_at = v_at where x.id = a.id;
  if not (p_told->>'connected')::boolean then
    if a.refused->>'told' = v_said then return false; end if;
    select p.queue into v_queue from punctual.pace p where p.account_id = a.id order by p.ready_at, p.queue limit 1;
    update punctual.accounts x set
      refused = jsonb_build_object('what', 'account', 'count', 10, 'said', v_said, 'told', v_said) || punctual.place_refusal(a, v_queue, null, v_now),
      paused_until = greatest(a.paused_until, v_until),
      paused_reason = case when v_until > coalesce(a.paused_until, '-infinity') then v_said else a.paused_reason end
     where x.id = a.id;
    return true;
  end if;
  if (a.refused ? 'told' or (p_told->'mends' ? (a.refused->>'cause') and v_at >= (a.refused->>'at')::timestamptz)) is not true then
    return false;
  end if;
  if (a.refused->'held'->>'until')::timestamptz > v_now then v_held := a.refused->'held'; end if;
  update punctual.accounts x set paused_until = (v_held->>'until')::timestamptz, paused_reason = v_held->>'reason'
   where x.id = a.id and a.paused_reason = a.refused->>'said'
     -- No refusal's pause is longer: this one is not a person's.
     and a.paused_until <= (a.refused->>'at')::timestamptz + punctual.refusal_wait(10);
  update punctual.accounts x set refused = null where x.id = a.id and x.refused is not null;
  perform punctual.try_account_again(a.id, v_now);
  return true;
end
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
    perform punctual.try_account_again(p_account_id, coalesce(p_now, clock_timestamp()));
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
