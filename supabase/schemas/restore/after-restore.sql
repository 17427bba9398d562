-- Raises 22023 for an instant to which the database cannot have been restored.
create function punctual.check_since(p_since timestamptz, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_hint text := 'Give the instant to which the database was restored, with its zone: ''2026-03-02 14:00:00+00''.';
begin
  if p_since is null then raise exception 'after_restore: p_since is null' using errcode = '22023', hint = v_hint; end if;
  if p_since > p_now then
    raise exception 'after_restore: % is in the future: now is %', p_since, p_now using errcode = '22023', hint = v_hint;
  end if;
  if p_since < p_now - interval '1 year' then
    raise exception 'after_restore: % is more than a year ago', p_since
      using errcode = '22023', hint = v_hint || ' No provider can be asked about so long a time. Cancel the rows that were due in it.';
  end if;
end
$$;

-- Pauses a queue, and makes rows unknown that may have been sent since p_since. Returns the queue's entry in the result of after_restore.
create function punctual.restore_queue(q punctual.queues, p_since timestamptz, p_over_at timestamptz, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  -- A pause that ends by itself would end before somebody resumes.
  v_paused boolean := punctual.pause_end(q.paused_at, q.paused_until, p_now) is distinct from 'infinity';
  v_unknown integer := 0;
  v_run_again integer := 0;
begin
  if q.source = 'table' and to_regclass(format('%I.%I', q.table_schema, q.table_name)) is null then
    raise exception 'after_restore: the table %.% of the queue % does not exist', q.table_schema, q.table_name, q.name
      using errcode = '42P01', hint = format('Restore it as well, or remove the queue: select punctual.remove_queue(%L); Then call after_restore again.', q.name);
  end if;
  if v_paused then
    update punctual.queues x set paused_at = p_now, paused_until = null, paused_reason = format('restored to %s: see docs/restore.md', p_since) where x.name = q.name;
  end if;
  if q.delivery = 'at-most-once' then
    v_unknown := punctual.mark_rows_unknown(q, p_since, p_over_at, p_now);
  elsif q.source = 'table' then
    execute punctual.render_sql(q, 'select count(*) from {table} t where t.{status} = {running} or (t.{status} = {pending} and {due_at} <= $1)')
      into v_run_again using p_now;
  else
    -- The number of pgmq's messages that run again is not known.
    v_run_again := null;
  end if;
  return jsonb_build_object(
    'queue', q.name, 'delivery', q.delivery, 'paused', v_paused, 'unknown', v_unknown, 'run_again', v_run_again,
    'claimed_since', (select coalesce(sum(t.claimed), 0) from punctual.ticks t where t.queue = q.name and t.started_at > p_since));
end
$$;

-- Pauses enrolments whose message mark_rows_unknown made unknown, and returns their number. A paused enrolment starts no next step when its message
-- is proved, and withdraws the message if it was not sent.
create function punctual.pause_restored_enrolments(p_over_at timestamptz, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_ids bigint[] := array(
    select e.id from punctual.dm_queue d join punctual.enrolments e on e.message_id = d.id
     where d.status = 'unknown' and (d.reconcile->>'over_at')::timestamptz = p_over_at and e.paused_at is null and not punctual.is_over(e)
     order by e.id);
begin
  perform punctual.pause_enrolment(i, 'after_restore', p_now) from unnest(v_ids) i;
  return cardinality(v_ids);
end
$$;

-- Pauses accounts until their next day, and for at least an hour. Returns how many. Clears the refusal, so that a webhook that reports the account as
-- connected does not end the pause. An operator's longer pause keeps its reason.
create function punctual.pause_restored_accounts(p_since timestamptz, p_now timestamptz) returns integer
language sql set search_path = '' as $$
  with next as (
    select a.id, greatest(p_now + interval '1 hour', ((p_now at time zone z.name)::date + 1)::timestamp at time zone z.name) as day
      from punctual.accounts a
     cross join lateral (select case when punctual.is_time_zone(a.time_zone) then a.time_zone else 'UTC' end as name) z),
  paused as (
    update punctual.accounts a set
      refused = null,
      paused_until = greatest(a.paused_until, n.day),
      paused_reason = case when a.paused_until > n.day and a.paused_reason <> coalesce(a.refused->>'said', '') then a.paused_reason
                           else format('restored to %s: see docs/restore.md', p_since) end
      from next n where a.id = n.id and (a.refused is not null or coalesce(a.paused_until, '-infinity') < n.day)
    returning a.id)
  select count(*)::integer from paused
$$;

-- Repairs the state after a restore of the database. Call it before anything ticks. After this call nothing is claimed until an operator resumes the
-- queues. Owner only. Has no time limit: 1,000,000 due rows took four minutes on two busy cores.
--
-- p_since     the instant to which the database was restored; if in doubt, an earlier one. Raises 22023 for an instant that is not possible.
--
-- At-most-once rows that may have been sent since become unknown: checks prove them or put them back, or an operator decides. At-least-once rows
-- stay as they are and run again. Accounts are paused until their next day, and for at least an hour, because the number that they have sent today
-- is not known. Enrolments whose message became unknown are paused: their later steps may have been sent too.
--
-- Returns {since, now, last_tick_at: the latest tick in the database from before, accounts_paused, messages_queued, enrolments_paused, queues:
-- [{queue, delivery, paused: false if it was paused before, unknown, run_again, claimed_since}]}. claimed_since: rows that ticks claimed after the
-- restore and before this call. A second call changes only rows that were inserted meanwhile.
--
-- Locks the ledger first, so that no exchange runs meanwhile and the next one finds its queue paused; then accounts, rows and pace as exchanges do.
-- If a write of another session makes it fail (40P01), nothing has changed: call it again.
create function punctual.after_restore(p_since timestamptz, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
  q punctual.queues;
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_over_at timestamptz := v_now + interval '15 minutes';
  v_messages integer;
  v_queues jsonb := '[]';
begin
  perform punctual.check_since(p_since, v_now);
  lock table punctual.ticks in exclusive mode;
  perform from punctual.accounts a order by a.id for no key update;
  v_messages := punctual.queue_lost_messages(v_now);
  for q in select * from punctual.queues x order by x.name loop
    v_queues := v_queues || punctual.restore_queue(q, p_since, v_over_at, v_now);
  end loop;
  return jsonb_build_object(
    'since', p_since, 'now', v_now, 'last_tick_at', (select max(t.started_at) from punctual.ticks t where t.started_at <= p_since),
    'messages_queued', v_messages, 'queues', v_queues, 'enrolments_paused', punctual.pause_restored_enrolments(v_over_at, v_now),
    'accounts_paused', punctual.pause_restored_accounts(p_since, v_now));
end
$$;
