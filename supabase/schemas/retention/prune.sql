-- Deletes WhatsApp's user ids not seen since p_before. Keeps those of people in a sequence and tests them again after the same number of days.
-- Returns how many it tested, up to p_limit.
create function punctual.prune_whatsapp_users(p_before timestamptz, p_limit integer, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_count integer;
begin
  with old as materialized (
    select u.user_id, u.number from punctual.whatsapp_users u where u.seen_at < p_before
     order by u.seen_at limit p_limit for update skip locked),
  kept as (
    update punctual.whatsapp_users u set seen_at = p_now from old o
     where u.user_id = o.user_id and exists (
       select from punctual.accounts a join punctual.enrolments e on e.account_id = a.id and (e.number = o.number or e.recipient = o.user_id)
        where a.provider = 'whatsapp_cloud')
    returning u.user_id),
  gone as (
    delete from punctual.whatsapp_users u using old o where u.user_id = o.user_id and u.user_id not in (select k.user_id from kept k))
  select count(*) into v_count from old;
  return v_count;
end
$$;

-- Deletes monitors' hours before p_before, up to p_limit. Reads them monitor by monitor through the key, because no index begins with the hour.
-- Returns how many.
create function punctual.prune_hours(p_before timestamptz, p_limit integer) returns integer
language sql set search_path = '' as $$
  with gone as (
    delete from punctual.monitor_hours t where t.ctid = any (array(
      select h.ctid from punctual.monitors m
       cross join lateral (select x.ctid from punctual.monitor_hours x
                            where x.monitor_id = m.id and x.hour < p_before limit p_limit for update skip locked) h limit p_limit))
    returning t.hour)
  select count(*)::integer from gone
$$;

-- Deletes daily figures of days before p_before, up to p_limit of each kind. Returns the numbers of both kinds: outcomes, checks.
create function punctual.prune_days(p_before date, p_limit integer) returns integer[]
language sql set search_path = '' as $$
  with outcomes as (
    delete from punctual.daily_outcomes t where t.ctid = any (array(
      select x.ctid from punctual.daily_outcomes x where x.day < p_before limit p_limit for update skip locked)) returning t.day),
  checks as (
    delete from punctual.daily_checks t where t.ctid = any (array(
      select x.ctid from punctual.daily_checks x where x.day < p_before limit p_limit for update skip locked)) returning t.day)
  select array[(select count(*) from outcomes), (select count(*) from checks)]::integer[]
$$;

-- Runs one bounded step of retention for data that belongs to no queue. Returns {receipts, enrolments, hours, incidents, acts, days, more}.
create function punctual.prune_others(s punctual.settings, p_limit integer, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_receipts integer := punctual.delete_old('receipts', 'received_at', p_now - make_interval(days => s.receipts_days), p_limit);
  v_users integer := punctual.prune_whatsapp_users(p_now - make_interval(days => s.receipts_days), p_limit, p_now);
  v_keys integer := punctual.delete_old('spent_keys', 'spent_at', p_now - make_interval(days => s.idempotency_keys_days), p_limit);
  -- Each enrolment has a timeline of about 20 events.
  v_texts integer := punctual.prune_enrolment_texts(p_now - make_interval(days => s.enrolment_texts_days), (p_limit + 9) / 10, p_now);
  v_hours integer := punctual.prune_hours(p_now - make_interval(days => s.monitor_hours_days), p_limit);
  -- Each has up to 100,000 rows.
  v_actions integer := punctual.delete_old('actions', 'finished_at', p_now - make_interval(days => s.audit_days), least(p_limit, 5));
  v_incidents integer := punctual.delete_old('incidents', 'closed_at', p_now - make_interval(days => s.incidents_days), p_limit);
  v_acts integer := punctual.delete_old('audit', 'at', p_now - make_interval(days => s.audit_days), p_limit);
  v_days integer[] := punctual.prune_days(punctual.day_of(p_now, coalesce(s.time_zone, 'UTC')) - s.daily_days, p_limit);
begin
  return jsonb_build_object(
    'receipts', v_receipts, 'enrolments', v_texts, 'hours', v_hours, 'incidents', v_incidents, 'acts', v_acts, 'days', v_days[1] + v_days[2],
    'more', p_limit = any (v_days || array[v_receipts, v_users, v_keys, v_hours, v_incidents, v_acts]) or v_actions = 5 or v_texts = (p_limit + 9) / 10);
end
$$;

-- Runs one bounded step of retention: deletes up to p_limit rows of each kind and queue, or fewer if the call uses up its time: see is_call_over.
-- Skips rows that ticks have locked, and a queue that is being rolled up. Rows, checks and pgmq's ticks wait for their roll-up: see prune_before. A
-- queue whose rows cannot be deleted does not block the others.
--
-- p_limit  1 to 10,000. Raises 22023.
--
-- Returns {rows, ticks, history, receipts, enrolments, checks, hours, incidents, acts, days, problems: [{queue, problem}], more}. more: call it again.
create function punctual.prune(p_limit integer default 1000, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  s punctual.settings;
  q punctual.queues;
  r punctual.rollups;
  v_queues jsonb := '[]';
  v_over boolean := false;
  v_others jsonb;
begin
  if p_limit is null or p_limit not between 1 and 10000 then
    raise exception 'p_limit has to be between 1 and 10000' using errcode = '22023';
  end if;
  select * into s from punctual.settings;
  insert into punctual.rollups (queue)
  select x.name from punctual.queues x where not exists (select from punctual.rollups y where y.queue = x.name) on conflict do nothing;
  for q in select * from punctual.queues order by name loop
    -- Empties one queue, step by step, before the next one.
    v_over := punctual.is_call_over() and exists (
      select from jsonb_to_recordset(v_queues) l (rows integer, checks integer, ticks integer, history integer) where l.rows + l.checks + l.ticks + l.history > 0);
    exit when v_over;
    select * into r from punctual.rollups x where x.queue = q.name for no key update skip locked;
    v_queues := v_queues || case when found then punctual.prune_queue(q, r, s, p_limit, v_now) else '{"more": true}' end;
  end loop;
  -- If the time is used up, the next step deletes the rest.
  v_others := punctual.prune_others(s, case when v_over then 0 else p_limit end, v_now);
  return v_others || (
    select jsonb_build_object('rows', coalesce(sum(l.rows), 0), 'checks', coalesce(sum(l.checks), 0), 'ticks', coalesce(sum(l.ticks), 0),
             'history', coalesce(sum(l.history), 0), 'more', coalesce(bool_or(l.more), false) or (v_others->>'more')::boolean,
             'problems', coalesce(jsonb_agg(jsonb_build_object('queue', l.queue, 'problem', l.problem)) filter (where l.problem is not null), '[]'))
      from jsonb_to_recordset(v_queues) l (queue text, rows integer, checks integer, ticks integer, history integer, problem text, more boolean));
end
$$;
