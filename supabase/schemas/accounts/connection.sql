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
