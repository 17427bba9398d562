-- After the database went back in time (a restore, a recovery to a point in time, a failover that lost the latest writes): what was sent in
-- the lost time stands as not yet sent. docs/restore.md is what an operator follows.

-- One step of mark_rows_unknown: the next 5,000 rows after the id p_after, null being before all. Answers how many, the id of the last of them, and the ids of
-- those for which there is proof of an earlier attempt.
create function punctual.mark_next_rows_unknown(
  q punctual.queues, p_after text, p_since timestamptz, p_over_at timestamptz, p_now timestamptz, out rows integer, out last_id text, out proved text[])
language plpgsql set search_path = '' as $$
declare
  v_ended jsonb;
begin
  execute punctual.render_sql(q, $sql$
    with picked as materialized (
      select t.id, t.{status} = {pending} as was_pending, t.{status} = {unknown} as was_unknown, gen_random_uuid() as claim_id
        from {table} t
       where ($1 is null or t.id > $1::{id_type}) and (t.reconcile->>'restored_to')::timestamptz is distinct from $2
         and (t.{status} = {unknown} or (t.{status} = {running} and t.claimed_at <= $2)
              or (t.{status} = {pending} and {due_at} <= $4 and (t.expires_at is null or t.expires_at > $2)))
       order by t.id limit 5000 for no key update),
    marked as (
      update {table} t set
        {status} = {unknown}, claim_id = p.claim_id, claimed_at = case when p.was_pending then $2 else least(t.claimed_at, $2) end,
        lease_expires_at = null, finished_at = case when p.was_pending then $4 else coalesce(t.finished_at, $4) end, reconcile_at = punctual.next_check_at(0, $4),
        last_error = format('the database went back to %%s: it may have been %%s since', $2, {done}),
        reconcile = punctual.begin_reconcile({queue}, to_jsonb(t.*) || jsonb_build_object('claim_id', coalesce(t.claim_id, p.claim_id)), $3)
          || jsonb_build_object('restored_to', $2,
               'first_at', least((t.reconcile->>'first_at')::timestamptz, case when not p.was_pending then t.claimed_at end, $2))
          -- What was sent is what the row was then, whatever somebody has made of it since.
          || case when p.was_unknown then jsonb_strip_nulls(jsonb_build_object('digest', t.reconcile->'digest', 'account_id', t.reconcile->'account_id')) else '{}' end
        from picked p where t.id = p.id
      returning t.id, t.last_error, p.was_unknown, t.reconcile ? 'late_proof' as is_proved),
    noted as (
      insert into punctual.history (queue, row_id, at, event, text)
      select {queue}, d.id::text, $4, 'restored', d.last_error from marked d order by d.id)
    select count(*), (array_agg(d.id::text order by d.id desc))[1],
           jsonb_agg(jsonb_build_object('id', d.id, 'outcome', 'unknown', 'error', d.last_error, 'rate_limited', false) order by d.id)
             filter (where not d.was_unknown),
           array_agg(d.id::text order by d.id) filter (where d.is_proved)
      from marked d
    $sql$)
  into rows, last_id, v_ended, proved using p_after, p_since, p_over_at, p_now;
  if rows > 0 then perform punctual.tell_after_settle(q, v_ended, p_now); end if;
end
$$;

-- Counts the rows that mark_rows_unknown has made unknown as claims at p_since would have: what is proved absent gives its place back.
create function punctual.count_restored(q punctual.queues, p_since timestamptz, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  execute punctual.render_sql(q, $sql$
    update punctual.pace p set
      used = d.used + d.rows, used_until = d.until, used_since = case when d.used = 0 then $1 else p.used_since end
      from (select c.account_id, c.rows, u.used, u.until
              from (select t.{account} as account_id, count(*)::integer as rows from {table} t
                     where t.{status} = {unknown} and t.finished_at = $2 and t.claimed_at = $1 group by 1) c
              join punctual.accounts a on a.id = c.account_id
              join punctual.pace x on x.queue = {queue} and x.account_id = c.account_id
             cross join lateral punctual.used_of_day(x.used, x.used_until, case when punctual.is_time_zone(a.time_zone) then a.time_zone else 'UTC' end, $1) u) d
     where p.queue = {queue} and p.account_id = d.account_id
    $sql$)
  using p_since, p_now;
end
$$;

-- Makes rows of an at-most-once queue unknown that may have been attempted in the lost time: those that are due, those that were running,
-- and those that were unknown and may have been decided since. Each gets a claim of its own, so that no outcome of a lost claim moves it;
-- and its attempt counts as over only when no tick that began before p_now can still be at it, for none runs longer than 800 s. Rows that an
-- earlier call for the same instant has seen are left alone. Answers how many.
create function punctual.mark_rows_unknown(q punctual.queues, p_since timestamptz, p_over_at timestamptz, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_count integer := 0;
  v_marked record;
  v_last text;
begin
  loop
    v_marked := punctual.mark_next_rows_unknown(q, v_last, p_since, p_over_at, p_now);
    exit when v_marked.rows = 0;
    v_count := v_count + v_marked.rows;
    v_last := v_marked.last_id;
    -- Proof of an earlier attempt that was kept while the one that is lost was under way.
    perform punctual.apply_late_proof(q, l, p_now) from unnest(v_marked.proved) l;
  end loop;
  if q.account_column is not null then perform punctual.count_restored(q, p_since, p_now); end if;
  return v_count;
end
$$;

-- Queues the messages that due enrolments may have queued, and sent, in the lost time: rows of dm_queue that stand in for those that are gone.
-- Each is written as of the instant that it was due, within its step's hours. Answers how many.
create function punctual.queue_lost_messages(p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_id bigint;
  v_due timestamptz;
  v_message bigint;
  v_count integer := 0;
begin
  for v_id in
    select e.id from punctual.enrolments e where e.status in ('pending', 'running') and e.next_step_at <= p_now order by e.id for no key update
  loop
    continue when punctual.judge_enrolments(array[v_id::text], p_now)->v_id::text->>'outcome' <> 'again';
    update punctual.enrolments e set status = 'pending', claim_id = null, lease_expires_at = null where e.id = v_id;
    loop
      select e.next_step_at, e.message_id into v_due, v_message from punctual.enrolments e where e.id = v_id;
      v_count := v_count + (v_message is not null)::integer;
      -- Where its hours had not begun it has moved to where they do.
      exit when v_due is null or v_due > p_now;
      perform punctual.settle_enrolments(jsonb_build_array(jsonb_build_object('id', v_id, 'outcome', 'again', 'due', v_due)), v_due);
    end loop;
  end loop;
  return v_count;
end
$$;

-- Refuses an instant that the database cannot have been put back to.
create function punctual.check_since(p_since timestamptz, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_hint text := 'Give the instant that the database was put back to, with its zone: ''2026-03-02 14:00:00+00''.';
begin
  if p_since is null then raise exception 'after_restore: since is null' using errcode = '22023', hint = v_hint; end if;
  if p_since > p_now then
    raise exception 'after_restore: % lies in the future: it is %', p_since, p_now using errcode = '22023', hint = v_hint;
  end if;
  if p_since < p_now - interval '1 year' then
    raise exception 'after_restore: % is more than a year ago', p_since
      using errcode = '22023', hint = v_hint || ' No provider can be asked about so long a time: cancel what was due in it.';
  end if;
end
$$;

-- Pauses a queue, and makes its rows unknown that may have been sent since. Answers its line of after_restore's queues.
create function punctual.restore_queue(q punctual.queues, p_since timestamptz, p_over_at timestamptz, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_paused boolean := q.paused_at is null or q.paused_at > p_now;
  v_unknown integer := 0;
  v_run_again integer := 0;
begin
  if q.source = 'table' and to_regclass(format('%I.%I', q.table_schema, q.table_name)) is null then
    raise exception 'after_restore: the table %.% of the queue % is not there', q.table_schema, q.table_name, q.name
      using errcode = '42P01', hint = format('Restore it as well. If it is gone for good: select punctual.remove_queue(%L); then call it again.', q.name);
  end if;
  if v_paused then
    update punctual.queues x set paused_at = p_now, paused_reason = format('restored to %s: see docs/restore.md', p_since) where x.name = q.name;
  end if;
  if q.delivery = 'at-most-once' then
    v_unknown := punctual.mark_rows_unknown(q, p_since, p_over_at, p_now);
  elsif q.source = 'table' then
    execute punctual.render_sql(q, 'select count(*) from {table} t where t.{status} = {running} or (t.{status} = {pending} and {due_at} <= $1)')
      into v_run_again using p_now;
  else
    -- How many messages of pgmq's are handled again nobody knows.
    v_run_again := null;
  end if;
  return jsonb_build_object(
    'queue', q.name, 'delivery', q.delivery, 'paused', v_paused, 'unknown', v_unknown, 'run_again', v_run_again,
    'claimed_since', (select coalesce(sum(t.claimed), 0) from punctual.ticks t where t.queue = q.name and t.started_at > p_since));
end
$$;

-- Pauses the enrolments whose message mark_rows_unknown made unknown. Each message comes back to an enrolment that waits: a proved one does not set off
-- its next step, one that was not sent is withdrawn. Answers how many.
create function punctual.pause_restored_enrolments(p_over_at timestamptz, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_ids bigint[] := array(
    select e.id from punctual.dm_queue d join punctual.enrolments e on e.message_id = d.id
     where d.status = 'unknown' and (d.reconcile->>'over_at')::timestamptz = p_over_at and e.paused_at is null and not punctual.is_over(e)
     order by e.id);
begin
  perform punctual.pause_enrolment(i, p_now) from unnest(v_ids) i;
  return cardinality(v_ids);
end
$$;

-- Pauses accounts until their next day, and for an hour at least. Clearing the refusal keeps a webhook that reports the account as connected from
-- lifting the pause. An operator's longer pause keeps its reason. Answers how many.
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

-- Call it once the database is back, before anything ticks: at the end of this call nothing is claimed until an operator unpauses the queues.
-- Owner only, and without a limit on its time: 1,000,000 due rows took four minutes on two busy cores.
--
-- p_since     the instant that the database was put back to; if in doubt, an earlier one. Raises 22023.
--
-- At-most-once rows that may have been sent since are unknown: reconcile proves them or releases them, or an operator decides. At-least-once
-- rows stay as they are and run again. Accounts are paused until their next day, and for an hour at least, since nobody knows how much they
-- have sent today. Enrolments whose message became unknown are paused: their later steps may have been sent, too.
--
-- Answers {since, now, last_tick_at: the latest tick that the database knows from before, accounts_paused, messages_queued,
-- enrolments_paused, queues: [{queue, delivery, paused: false if it was before, unknown, run_again, claimed_since}]}. claimed_since: rows that
-- ticks took after the restore and before this call. Calling it again changes nothing, except for rows that were inserted meanwhile.
--
-- Locks: the ledger first, so that no exchange runs meanwhile and the next one finds its queue paused; then accounts, rows and pace as always.
-- If somebody else's write makes it fail (40P01), nothing is changed: call it again.
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

select punctual.close_to_public();
select punctual.note_migration('20261122001900', 'restore');
