-- When an account may go. Plpgsql throughout: it keeps its plans, where a function in SQL that cannot be inlined is planned at each
-- call, a hundred times a claim. Everything here is asked at the claim, under the lock of the account's pace, and by people who want to know
-- why a row has not gone out: there is no other definition.

-- The spans of hours of one day: ["09:00-12:00", …]; null where the day is closed.
create function punctual.spans_on(p_hours jsonb, p_day date) returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
  return p_hours -> (array['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])[extract(isodow from p_day)::integer];
end
$$;

-- Whether an account is open at this local time.
create function punctual.is_open(p_hours jsonb, p_local timestamp) returns boolean
language plpgsql immutable set search_path = '' as $$
declare
  v_spans jsonb := punctual.spans_on(p_hours, p_local::date);
  -- Times of the day of one form compare as text; 24:00 comes after all of them.
  v_time text := to_char(p_local, 'HH24:MI');
begin
  for n in 0 .. coalesce(jsonb_array_length(v_spans), 0) - 1 loop
    if v_time >= left(v_spans->>n, 5) and v_time < right(v_spans->>n, 5) then return true; end if;
  end loop;
  return false;
end
$$;

-- The instant after p_from at which the zone's clocks change, given that they have changed by p_to. By halves, to the second: 20 steps for
-- a week.
create function punctual.clock_change(p_zone text, p_from timestamptz, p_to timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_before bigint := floor(extract(epoch from p_from));
  v_after bigint := ceil(extract(epoch from p_to));
  v_offset interval := (p_from at time zone p_zone) - (p_from at time zone 'UTC');
  v_at timestamptz;
begin
  while v_after - v_before > 1 loop
    v_at := to_timestamp((v_before + v_after) / 2);
    if (v_at at time zone p_zone) - (v_at at time zone 'UTC') = v_offset then
      v_before := (v_before + v_after) / 2;
    else
      v_after := (v_before + v_after) / 2;
    end if;
  end loop;
  return to_timestamp(v_after);
end
$$;

-- The first instant from p_from on at which the hours are open; 'infinity' when they never are.
create function punctual.next_open_at(p_hours jsonb, p_zone text, p_from timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_at timestamptz := p_from;
  v_local timestamp;
  v_opens timestamp;
  v_next timestamptz;
begin
  if punctual.is_open(p_hours, p_from at time zone p_zone) then return p_from; end if;
  -- As though the clocks did not change. Where they do before the hours open, the search goes on from that instant: a local time may come
  -- twice, or never.
  for v_changes in 0..3 loop
    v_local := v_at at time zone p_zone;
    for n in 0..7 loop
      select min(greatest(v_local::date + n + left(s, 5)::time, v_local)) into v_opens
        from jsonb_array_elements_text(punctual.spans_on(p_hours, v_local::date + n)) s where v_local::date + n + right(s, 5)::time > v_local;
      exit when v_opens is not null;
    end loop;
    exit when v_opens is null;
    -- In UTC: days that are added to an instant are days of the session's zone.
    v_next := ((v_at at time zone 'UTC') + (v_opens - v_local)) at time zone 'UTC';
    if v_next at time zone p_zone = v_opens then return v_next; end if;
    v_at := punctual.clock_change(p_zone, v_at, v_next);
  end loop;
  return 'infinity';
end
$$;

-- The daily limit on a day, in a queue: the account's or the queue's own, grown so far.
create function punctual.daily_limit_on(p_account punctual.accounts, p_pace punctual.pace, p_day date) returns integer
language plpgsql immutable set search_path = '' as $$
declare
  v_full integer := coalesce(p_pace.daily_limit, p_account.daily_limit);
  v_last integer := p_account.ramp_days - 1;
  v_day integer := greatest(0, p_day - p_account.ramp_started_on);
begin
  if v_full = 0 or p_account.ramp_started_on is null or v_day >= v_last then return v_full; end if;
  -- In whole numbers, so that no rounding takes a message away.
  return greatest(1, v_full::bigint * (p_account.ramp_from_percent * v_last + (100 - p_account.ramp_from_percent) * v_day) / (100 * v_last));
end
$$;

-- The first midnight after p_at.
create function punctual.next_midnight(p_zone text, p_at timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return (date_trunc('day', p_at at time zone p_zone) + interval '1 day') at time zone p_zone;
end
$$;

-- What was claimed so far of the day that p_now is in, and when that day ends. One that was counted lasts to the first midnight from its end on,
-- so that a change of time zone wins no second helping.
create function punctual.used_of_day(
  p_used integer, p_until timestamptz, p_zone text, p_now timestamptz, out used integer, out until timestamptz)
language plpgsql stable set search_path = '' as $$
begin
  if p_until > date_trunc('day', p_now, p_zone) then
    used := p_used;
    until := case when p_until > p_now then p_until else punctual.next_midnight(p_zone, p_until - interval '1 microsecond') end;
  else
    used := 0;
    until := punctual.next_midnight(p_zone, p_now);
  end if;
end
$$;

-- Until when an account has used up its day in a queue; null where it has not, 'infinity' where its limit is 0.
create function punctual.day_opens_at(p_account punctual.accounts, p_pace punctual.pace, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_today date := (p_now at time zone p_account.time_zone)::date;
  v_limit integer := punctual.daily_limit_on(p_account, p_pace, v_today);
  v_day record := punctual.used_of_day(p_pace.used, p_pace.used_until, p_account.time_zone, p_now);
  v_until timestamptz;
begin
  if v_limit = 0 then
    return 'infinity';
  elsif v_day.used >= v_limit then
    v_until := punctual.next_midnight(p_account.time_zone, v_day.until - interval '1 microsecond');
    -- The limit of an account that was moved may grow before the day that counts is over.
    if punctual.daily_limit_on(p_account, p_pace, v_today + 1) > v_day.used then
      v_until := least(v_until, punctual.next_midnight(p_account.time_zone, p_now));
    end if;
    -- Where clocks go back over midnight, the next day begins twice.
    return case when v_until <= p_now then p_now + interval '15 minutes' else v_until end;
  end if;
  return null;
end
$$;

-- Until when a row of another queue tries whether the account is still refused; null where none does.
create function punctual.tried_elsewhere_until(p_account punctual.accounts, p_queue text) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return (select max(p.busy_until) from punctual.pace p where p.account_id = p_account.id and p.queue <> p_queue);
end
$$;

-- When an account may go, and all that it waits for until then: [{kind, until, text}]; reason is the last of them in time. open_at is
-- p_now for an account that may go now, and 'infinity' for one that may not before somebody changes something.
create function punctual.account_opening(
  p_account punctual.accounts, p_pace punctual.pace, p_now timestamptz, out open_at timestamptz, out reason text, out waits jsonb)
language plpgsql stable set search_path = '' as $$
declare
  v_claims integer := cardinality(p_pace.recent);
  v_last timestamptz := p_pace.recent[v_claims];
  v_hours jsonb := coalesce(p_pace.hours, p_account.hours);
  v_until timestamptz;
  -- What it may wait for, until when, and how people are told: one of each to a line below. In arrays, as no statement of SQL is as fast.
  v_kinds constant text[] := '{daily_limit,hourly_limit,gap,paused,account_retry,running,running}';
  v_untils timestamptz[];
  v_texts text[];
begin
  v_untils := array[
    punctual.day_opens_at(p_account, p_pace, p_now),
    p_pace.recent[v_claims - coalesce(p_pace.hourly_limit, p_account.hourly_limit) + 1] + interval '1 hour',
    -- The share of the jitter comes from the claim that the gap begins with, so that it is the same whoever asks.
    v_last + make_interval(secs => coalesce(p_pace.gap_seconds, p_account.gap_seconds)
      + coalesce(p_pace.gap_jitter_seconds, p_account.gap_jitter_seconds)
        * (hashtextextended(p_account.id::text || extract(epoch from v_last), 0) & 65535) / 65536.0),
    p_account.paused_until,
    p_pace.retry_at,
    case when p_account.refused is not null then punctual.tried_elsewhere_until(p_account, p_pace.queue) end,
    p_pace.busy_until];
  v_texts := array[
    case when v_untils[1] = 'infinity' then 'daily limit is 0' else 'daily limit reached' end,
    'hourly limit reached',
    'keeps the gap between two messages',
    coalesce('paused: ' || p_account.paused_reason, 'paused'),
    'its next row failed and is tried again',
    'was refused, and is tried with a row of another queue',
    'a row is running'];
  open_at := p_now;
  waits := '[]';
  for n in 1..cardinality(v_kinds) loop
    continue when v_untils[n] is null or v_untils[n] <= p_now;
    waits := waits || jsonb_build_object('kind', v_kinds[n], 'until', v_untils[n], 'text', v_texts[n]);
    if v_untils[n] > open_at then
      open_at := v_untils[n];
      reason := v_texts[n];
    end if;
  end loop;
  -- All else has passed by then; whether the account is open at that hour is another question.
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

-- How long the pause is after so many refused calls in a row: 5 minutes, then twice as long each time, 4 hours at most. So the first hour
-- has no more than five, one after the other or side by side, but for what was under way when the first was refused.
create function punctual.refusal_wait(p_count integer) returns interval
language sql immutable set search_path = '' as $$
  select least(interval '4 hours', interval '5 minutes' * power(2, least(p_count, 10) - 1)) where p_count > 0
$$;

-- The refusals in a row, one more counted: {what, code, count, said}. p_what: account or provider, where any row would have been refused;
-- row, where it was this one's, and only the same p_code again goes on with the row of them.
create function punctual.count_refusal(p_before jsonb, p_what text, p_code text, p_said text) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object('what', p_what, 'code', c.code, 'count', c.count,
           'said', case when p_what = 'row' then format('%s rows in a row were refused: %s', c.count, left(p_said, 500)) else left(p_said, 500) end)
    from (select n.code, case when p_before->>'what' = p_what and p_before->>'code' is not distinct from n.code
                              then (p_before->>'count')::integer else 0 end + 1 as count
            from (select case when p_what = 'row' then left(p_code, 200) end as code) n) c
$$;

-- What else accounts.refused has, beside what count_refusal() answers: {queue, at, cause, held}. queue: which met it last; at: when; cause: the
-- provider's code or event; held: {until, reason} of the pause that the account was under when the first of them came.
create function punctual.place_refusal(p_account punctual.accounts, p_queue text, p_cause text, p_now timestamptz) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_strip_nulls(jsonb_build_object('queue', p_queue, 'at', p_now, 'cause', left(p_cause, 200), 'held',
    case when p_account.refused is not null then p_account.refused->'held'
         when p_account.paused_until > p_now then jsonb_build_object('until', p_account.paused_until, 'reason', p_account.paused_reason) end))
$$;

-- How long the account waits for what count_refusal() answered; null where it goes on. Five rows in a row that are refused alike are the
-- account's fault, whatever is said.
create function punctual.refusal_pause(p_refused jsonb) returns interval
language sql immutable set search_path = '' as $$
  select punctual.refusal_wait((p_refused->>'count')::integer) where p_refused->>'what' <> 'row' or (p_refused->>'count')::integer >= 5
$$;

select punctual.close_to_public();
select punctual.note_migration('20261122000250', 'pace');
