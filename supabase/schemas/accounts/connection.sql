-- Makes the account ready in each queue and clears its refusals, except those by a whole provider. The next tick tries it with its first row. The
-- caller has locked the account. Locks its rows of pace by queue.
create function punctual.try_account_again(p_account_id uuid, p_now timestamptz) returns void
language sql set search_path = '' as $$
  update punctual.pace p set refused = null, retry_at = null, next_ok_at = '-infinity', ready_at = p_now
    from (select x.queue, x.account_id from punctual.pace x where x.account_id = p_account_id and x.refused->>'what' is distinct from 'provider'
           order by x.queue for no key update) l
   where p.queue = l.queue and p.account_id = l.account_id
$$;

-- Applies a webhook event about an account's connection. p_event: {provider_account_id, connected, said, said_at, ends}. said: the text for people.
-- said_at: the provider's time of the event, or null. ends: codes of refusals that a connection ends.
--
-- A disconnected account counts as refused: it pauses for 4 hours, as after many refusals. Then one row tries it, so a lost event cannot stop it
-- forever. A connected account is tried at once if such an event, or a refusal with a code in `ends`, had paused it. An earlier pause that has not
-- ended applies again, and a pause that a person has set since stays. Events with a time count in that order, others in order of arrival.
--
-- Returns whether anything changed. Does nothing for an unknown account. Locks the account, then its pace.
create function punctual.note_connection(p_provider text, p_event jsonb, p_now timestamptz default null) returns boolean
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  -- A provider's clock that is ahead must not make later events look old.
  v_at timestamptz := least((p_event->>'said_at')::timestamptz, v_now);
  v_said text := left(p_event->>'said', 500);
  v_until timestamptz := v_now + punctual.refusal_wait(10);
  v_queue text;
  v_held jsonb;
  a punctual.accounts;
begin
  select x.* into a from punctual.accounts x
   where x.provider = p_provider and x.provider_account_id = p_event->>'provider_account_id' for no key update;
  if not found or v_at < a.connection_reported_at then return false; end if;
  update punctual.accounts x set connection_reported_at = v_at where x.id = a.id;
  if not (p_event->>'connected')::boolean then
    if a.refused->>'reported' = v_said then return false; end if;
    select p.queue into v_queue from punctual.pace p where p.account_id = a.id order by p.ready_at, p.queue limit 1;
    update punctual.accounts x set
      refused = jsonb_build_object('what', 'account', 'count', 10, 'said', v_said, 'reported', v_said) || punctual.place_refusal(a, v_queue, null, v_now),
      paused_until = greatest(a.paused_until, v_until),
      paused_reason = case when v_until > coalesce(a.paused_until, '-infinity') then v_said else a.paused_reason end
     where x.id = a.id;
    return true;
  end if;
  if (a.refused ? 'reported' or (p_event->'ends' ? (a.refused->>'cause') and v_at >= (a.refused->>'at')::timestamptz)) is not true then
    return false;
  end if;
  if (a.refused->'held'->>'until')::timestamptz > v_now then v_held := a.refused->'held'; end if;
  update punctual.accounts x set paused_until = (v_held->>'until')::timestamptz, paused_reason = v_held->>'reason'
   where x.id = a.id and a.paused_reason = a.refused->>'said'
     -- A refusal's pause is no longer than this. A longer one was set by a person.
     and a.paused_until <= (a.refused->>'at')::timestamptz + punctual.refusal_wait(10);
  update punctual.accounts x set refused = null where x.id = a.id and x.refused is not null;
  perform punctual.try_account_again(a.id, v_now);
  return true;
end
$$;

-- Ends a refusal whose cause a person has removed. The account is tried again at once. Without p_account_id, ends the provider's refusal of all
-- accounts: one row tries the provider first.
-- Raises PT404 if nothing is refused. Locks the account, then pace by queue and account, then the provider.
create function punctual.end_refusal(
  p_provider text, p_account_id uuid default null, p_by text default null, p_now timestamptz default null) returns void
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
      raise exception '% has no refusal to end', p_provider using errcode = 'PT404';
    end if;
    -- Ends only the refusal's own pause. Another pause stays until its setter ends it.
    update punctual.accounts a set paused_until = null, paused_reason = null where a.id = p_account_id and a.paused_reason = any (v_said);
    update punctual.accounts a set refused = null where a.id = p_account_id and a.refused is not null;
    perform punctual.try_account_again(p_account_id, coalesce(p_now, clock_timestamp()));
    perform punctual.note_act(p_by, 'end_refusal', null, p_account_id::text, jsonb_build_object('provider', p_provider), null, p_now);
    return;
  else
    update punctual.pace p set refused = null, retry_at = null, next_ok_at = '-infinity', ready_at = coalesce(p_now, clock_timestamp())
      from (select x.queue, x.account_id from punctual.pace x where x.provider = p_provider and x.refused->>'what' = 'provider'
             order by x.queue, x.account_id for no key update) l
     where p.queue = l.queue and p.account_id = l.account_id;
    update punctual.providers v set refusals = 0, paused_until = null, probing_until = null where v.name = p_provider and v.refusals > 0;
  end if;
  if not found then
    raise exception '% has no refusal to end', p_provider using errcode = 'PT404';
  end if;
  perform punctual.note_act(p_by, 'end_refusal', null, null, jsonb_build_object('provider', p_provider), null, p_now);
end
$$;
