-- Returns an account's daily limit in a queue on p_day: the queue's own limit, else the account's, reduced during the ramp.
create function punctual.daily_limit_on(p_account punctual.accounts, p_pace punctual.pace, p_day date) returns integer
language plpgsql immutable set search_path = '' as $$
declare
  v_full integer := coalesce(p_pace.daily_limit, p_account.daily_limit);
  v_last integer := p_account.ramp_days - 1;
  v_day integer := greatest(0, p_day - p_account.ramp_started_on);
begin
  if v_full = 0 or p_account.ramp_started_on is null or v_day >= v_last then return v_full; end if;
  -- Whole numbers: rounding errors would cost a message.
  return greatest(1, v_full::bigint * (p_account.ramp_from_percent * v_last + (100 - p_account.ramp_from_percent) * v_day) / (100 * v_last));
end
$$;

-- Returns the first midnight after p_at.
create function punctual.next_midnight(p_zone text, p_at timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return (date_trunc('day', p_at at time zone p_zone) + interval '1 day') at time zone p_zone;
end
$$;

-- Returns the number of claims in the current day, and the end of that day. A counted day lasts until the first midnight at or after its end, so
-- that a change of time zone gives no second daily limit.
create function punctual.used_of_day(
  p_used integer, p_until timestamptz, p_zone text, p_now timestamptz, out used integer, out until timestamptz)
language plpgsql stable set search_path = '' as $$
begin
  if p_until > p_now then
    used := p_used;
    until := p_until;
  elsif p_until > date_trunc('day', p_now, p_zone) then
    used := p_used;
    until := punctual.next_midnight(p_zone, p_until - interval '1 microsecond');
  else
    used := 0;
    until := punctual.next_midnight(p_zone, p_now);
  end if;
end
$$;

-- Returns until when an account has used up its daily limit in a queue: null if it has not, 'infinity' if the limit is 0.
create function punctual.day_opens_at(p_account punctual.accounts, p_pace punctual.pace, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_today date := (p_now at time zone p_account.time_zone)::date;
  v_limit integer := punctual.daily_limit_on(p_account, p_pace, v_today);
  v_day record;
  v_until timestamptz;
begin
  if v_limit = 0 then return 'infinity'; end if;
  -- The current day counts at most what the last counted day did.
  if p_pace.used < v_limit then return null; end if;
  v_day := punctual.used_of_day(p_pace.used, p_pace.used_until, p_account.time_zone, p_now);
  if v_day.used >= v_limit then
    v_until := punctual.next_midnight(p_account.time_zone, v_day.until - interval '1 microsecond');
    -- After a change of time zone, the ramp may raise the limit before the counted day ends.
    if punctual.daily_limit_on(p_account, p_pace, v_today + 1) > v_day.used then
      v_until := least(v_until, punctual.next_midnight(p_account.time_zone, p_now));
    end if;
    -- If clocks go back over midnight, the next day begins twice.
    return case when v_until <= p_now then p_now + interval '15 minutes' else v_until end;
  end if;
  return null;
end
$$;

-- Returns until when a row of another queue tries a refused account; null if none does.
create function punctual.tried_elsewhere_until(p_account punctual.accounts, p_queue text) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return (select max(p.busy_until) from punctual.pace p where p.account_id = p_account.id and p.queue <> p_queue);
end
$$;

-- Returns when an account may send, and every wait until then. open_at: p_now if it may send now, 'infinity' if it may not until a person changes
-- something. waits: [{kind, until, text}]. reason: the text of the wait that ends last.
create function punctual.account_opening(
  p_account punctual.accounts, p_pace punctual.pace, p_now timestamptz, out open_at timestamptz, out reason text, out waits jsonb)
language plpgsql stable set search_path = '' as $$
declare
  v_claims integer := cardinality(p_pace.recent);
  v_last timestamptz := p_pace.recent[v_claims];
  v_hours jsonb := coalesce(p_pace.hours, p_account.hours);
  v_until timestamptz;
  -- The possible waits: kind, end and text, in the same order. Arrays, because a SQL statement is slower.
  v_kinds constant text[] := '{daily_limit,hourly_limit,gap,paused,account_retry,running,running}';
  v_untils timestamptz[];
  v_texts text[];
begin
  v_untils := array[
    punctual.day_opens_at(p_account, p_pace, p_now),
    p_pace.recent[v_claims - coalesce(p_pace.hourly_limit, p_account.hourly_limit) + 1] + interval '1 hour',
    -- The share of the jitter is derived from the account and the last claim, so that each call returns the same gap.
    v_last + make_interval(secs => coalesce(p_pace.gap_seconds, p_account.gap_seconds)
      + coalesce(p_pace.gap_jitter_seconds, p_account.gap_jitter_seconds)
        * (hashtextextended(p_account.id::text || extract(epoch from v_last), 0) & 65535) / 65536.0),
    p_account.paused_until,
    p_pace.retry_at,
    case when p_account.refused is not null then punctual.tried_elsewhere_until(p_account, p_pace.queue) end,
    p_pace.busy_until];
  open_at := p_now;
  waits := '[]';
  if p_now < any (v_untils) then
    v_texts := array[
      case when v_untils[1] = 'infinity' then 'daily limit is 0' else 'daily limit reached' end,
      'hourly limit reached',
      'keeps the gap between two messages',
      coalesce('paused: ' || p_account.paused_reason, 'paused'),
      'its next row failed and is tried again',
      'was refused, and is tried with a row of another queue',
      'a row is running'];
    for n in 1..cardinality(v_kinds) loop
      continue when v_untils[n] is null or v_untils[n] <= p_now;
      waits := waits || jsonb_build_object('kind', v_kinds[n], 'until', v_untils[n], 'text', v_texts[n]);
      if v_untils[n] > open_at then
        open_at := v_untils[n];
        reason := v_texts[n];
      end if;
    end loop;
  end if;
  -- The other waits are over by open_at. The sending hours are tested at that instant.
  if v_hours is not null and open_at < 'infinity' then
    v_until := punctual.next_open_at(v_hours, p_account.time_zone, open_at);
    if v_until > open_at then
      open_at := v_until;
      reason := case when v_until < 'infinity' then 'outside its hours' else 'it has no hours' end;
      waits := waits || jsonb_build_object('kind', 'hours', 'until', v_until, 'text', reason);
    end if;
  end if;
exception when invalid_parameter_value then
  open_at := 'infinity';
  reason := format('time zone "%s" is unknown', p_account.time_zone);
  waits := jsonb_build_array(jsonb_build_object('kind', 'time_zone', 'until', open_at, 'text', reason));
end
$$;
