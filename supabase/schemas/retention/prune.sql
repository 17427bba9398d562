-- One bounded step of retention: p_limit of each kind of thing, and of each queue's, or less where that takes too long: see is_call_over. What
-- ticks have locked is passed over, and so is a queue that is being rolled up. Rows, checks and pgmq's ticks wait for their roll-up: see prune_before. A queue whose rows cannot be
-- deleted does not hold up the others.
--
-- Answers {rows, ticks, history, receipts, enrolments, checks, hours, incidents, days, problems: [{queue, problem}], more}.
create function punctual.prune(p_limit integer default 1000, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  s punctual.settings;
  q punctual.queues;
  r punctual.rollups;
  v_zone text;
  v_before timestamptz;
  v_counts integer[];
  v_count integer;
  v_last timestamptz;
  v_rows integer := 0;
  v_ticks integer := 0;
  v_history integer := 0;
  v_receipts integer;
  v_users integer;
  v_enrolments integer;
  v_keys integer;
  v_checks integer := 0;
  v_hours integer;
  v_incidents integer;
  v_days integer;
  v_problems jsonb := '[]';
  v_over boolean := false;
  v_more boolean := false;
begin
  if p_limit is null or p_limit not between 1 and 10000 then
    raise exception 'p_limit is between 1 and 10000' using errcode = '22023';
  end if;
  select * into s from punctual.settings;
  v_zone := coalesce(s.time_zone, 'UTC');
  insert into punctual.rollups (queue)
  select x.name from punctual.queues x where not exists (select from punctual.rollups y where y.queue = x.name) on conflict do nothing;

  for q in select * from punctual.queues order by name loop
    -- What a queue has is deleted to the last, step by step, before the next one's.
    v_over := v_rows + v_ticks + v_history + v_checks > 0 and punctual.is_call_over();
    exit when v_over;
    select * into r from punctual.rollups x where x.queue = q.name for no key update skip locked;
    if not found then
      v_more := true;
      continue;
    end if;

    v_before := punctual.prune_before(v_now - make_interval(days => q.retention_days), r, v_zone);
    if v_before is not null then
      begin
        v_counts := punctual.prune_rows(q, v_before, p_limit, v_now);
        v_count := (select sum(c) from unnest(v_counts) c);
        v_rows := v_rows + v_count;
        v_more := v_more or p_limit = any (v_counts);
        if v_count > 0 then r.pruned_until := greatest(r.pruned_until, v_before); end if;
      exception when others then
        v_problems := v_problems || jsonb_build_object('queue', q.name, 'problem', sqlerrm);
      end;
    end if;
    if q.name = 'monitors' then
      v_before := punctual.prune_before(v_now - make_interval(days => s.monitor_checks_days), r, v_zone);
      delete from punctual.monitor_checks c where c.id = any (array(
        select o.id from (select x.id, x.at from punctual.monitor_checks x order by x.id limit p_limit for update skip locked) o where o.at < v_before));
      get diagnostics v_checks = row_count;
      v_more := v_more or v_checks = p_limit;
      if v_checks > 0 then r.pruned_until := greatest(r.pruned_until, v_before); end if;
    end if;

    v_before := v_now - make_interval(days => s.ticks_days);
    if q.source = 'pgmq' then v_before := punctual.prune_before(v_before, r, v_zone); end if;
    with gone as (
      delete from punctual.ticks t where t.id = any (array(
        select x.id from punctual.ticks x
         where x.queue = q.name and x.started_at < v_before order by x.started_at limit p_limit for update skip locked))
      returning t.started_at, t.done
    )
    select count(*), max(g.started_at) filter (where g.done > 0) into v_count, v_last from gone g;
    v_ticks := v_ticks + v_count;
    v_more := v_more or v_count = p_limit;
    delete from punctual.ticks t where t.id = any (array(
      select x.id from punctual.ticks x
       where x.queue = q.name and x.started_at < v_now - make_interval(days => s.idle_ticks_days) and x.outcome in ('idle', 'skipped') and x.done = 0
       order by x.started_at limit p_limit for update skip locked));
    get diagnostics v_count = row_count;
    v_ticks := v_ticks + v_count;
    v_more := v_more or v_count = p_limit;
    if q.source = 'pgmq' then r.pruned_until := greatest(r.pruned_until, v_last + interval '1 microsecond'); end if;
    update punctual.rollups x set pruned_until = r.pruned_until where x.queue = q.name and x.pruned_until is distinct from r.pruned_until;

    delete from punctual.history h where h.id = any (array(
      select x.id from punctual.history x
       where x.queue = q.name and x.at < v_now - make_interval(days => coalesce(q.retention_days, s.history_days))
       order by x.at limit p_limit for update skip locked));
    get diagnostics v_count = row_count;
    v_history := v_history + v_count;
    v_more := v_more or v_count = p_limit;
  end loop;

  -- The rest comes with the next step.
  if v_over then p_limit := 0; end if;
  delete from punctual.receipts t where t.id = any (array(
    select x.id from punctual.receipts x where x.received_at < v_now - make_interval(days => s.receipts_days)
     order by x.received_at limit p_limit for update skip locked));
  get diagnostics v_receipts = row_count;
  -- Of people who are in a sequence it is kept, and looked at again after as many days.
  with old as materialized (
    select u.user_id, u.number from punctual.whatsapp_users u where u.seen_at < v_now - make_interval(days => s.receipts_days)
     order by u.seen_at limit p_limit for update skip locked),
  kept as (
    update punctual.whatsapp_users u set seen_at = v_now from old o
     where u.user_id = o.user_id and exists (
       select from punctual.accounts a join punctual.enrolments e on e.account_id = a.id and (e.number = o.number or e.recipient = o.user_id)
        where a.provider = 'whatsapp_cloud')
    returning u.user_id),
  gone as (
    delete from punctual.whatsapp_users u using old o where u.user_id = o.user_id and u.user_id not in (select k.user_id from kept k))
  select count(*) into v_users from old;
  delete from punctual.spent_keys t where t.ctid = any (array(
    select x.ctid from punctual.spent_keys x where x.spent_at < v_now - make_interval(days => s.idempotency_keys_days)
     order by x.spent_at limit p_limit for update skip locked));
  get diagnostics v_keys = row_count;
  -- Each has a timeline of some twenty events.
  v_enrolments := punctual.prune_enrolment_texts(v_now - make_interval(days => s.enrolment_texts_days), (p_limit + 9) / 10, v_now);
  -- Monitor by monitor, by the key: there is no index on hours alone.
  delete from punctual.monitor_hours t where t.ctid = any (array(
    select h.ctid from punctual.monitors m
     cross join lateral (select x.ctid from punctual.monitor_hours x
                          where x.monitor_id = m.id and x.hour < v_now - make_interval(days => s.monitor_hours_days)
                          limit p_limit for update skip locked) h limit p_limit));
  get diagnostics v_hours = row_count;
  delete from punctual.incidents t where t.id = any (array(
    select x.id from punctual.incidents x where x.closed_at < v_now - make_interval(days => s.incidents_days)
     order by x.closed_at limit p_limit for update skip locked));
  get diagnostics v_incidents = row_count;
  delete from punctual.daily_outcomes t where t.ctid = any (array(
    select x.ctid from punctual.daily_outcomes x where x.day < punctual.day_of(v_now, v_zone) - s.daily_days limit p_limit for update skip locked));
  get diagnostics v_days = row_count;
  delete from punctual.daily_checks t where t.ctid = any (array(
    select x.ctid from punctual.daily_checks x where x.day < punctual.day_of(v_now, v_zone) - s.daily_days limit p_limit for update skip locked));
  get diagnostics v_count = row_count;
  v_more := v_more or p_limit = any (array[v_receipts, v_users, v_keys, v_hours, v_incidents, v_days, v_count]) or v_enrolments = (p_limit + 9) / 10;
  return jsonb_build_object(
    'rows', v_rows, 'ticks', v_ticks, 'history', v_history, 'receipts', v_receipts, 'enrolments', v_enrolments, 'checks', v_checks, 'hours', v_hours,
    'incidents', v_incidents, 'days', v_days + v_count, 'problems', v_problems, 'more', v_more);
end
$$;
