-- After the database went back in time (a restore, a recovery to a point in time, a failover that lost the latest writes): what was sent in
-- the lost time stands as not yet sent. docs/restore.md is what an operator follows.

-- Makes rows of an at-most-once queue unknown that may have been attempted in the lost time: those that are due, those that were running,
-- and those that were unknown and may have been decided since. Each gets a claim of its own, so that no outcome of a lost claim moves it;
-- and its attempt counts as over only when no tick that began before p_now can still be at it, for none runs longer than 800 s. Rows that an
-- earlier call for the same instant has seen are left alone. Answers how many.
create function punctual.doubt_rows(q punctual.queues, p_since timestamptz, p_over_at timestamptz, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_count integer := 0;
  v_doubted integer;
  v_last text;
  v_late text[];
  v_ended jsonb;
begin
  loop
    execute punctual.render_sql(q, $sql$
      with picked as materialized (
        select t.id, t.{status} = %4$L as was_pending, t.{status} = %6$L as was_unknown, gen_random_uuid() as claim_id
          from %1$I.%2$I t
         where ($1 is null or t.id > $1::%3$s) and (t.reconcile->>'restored_to')::timestamptz is distinct from $2
           and (t.{status} = %6$L or (t.{status} = %5$L and t.claimed_at <= $2)
                or (t.{status} = %4$L and coalesce(t.next_attempt_at, t.%7$I) <= $4 and (t.expires_at is null or t.expires_at > $2)))
         order by t.id limit 5000 for no key update),
      doubted as (
        update %1$I.%2$I t set
          {status} = %6$L, claim_id = p.claim_id, claimed_at = case when p.was_pending then $2 else least(t.claimed_at, $2) end,
          lease_expires_at = null, finished_at = case when p.was_pending then $4 else coalesce(t.finished_at, $4) end, reconcile_at = punctual.next_check_at(0, $4),
          last_error = format('the database went back to %%s: it may have been %%s since', $2, %9$L),
          reconcile = punctual.begin_reconcile(%8$L, to_jsonb(t.*) || jsonb_build_object('claim_id', coalesce(t.claim_id, p.claim_id)), $3)
            || jsonb_build_object('restored_to', $2,
                 'first_at', least((t.reconcile->>'first_at')::timestamptz, case when not p.was_pending then t.claimed_at end, $2))
            -- What was sent is what the row was then, whatever somebody has made of it since.
            || case when p.was_unknown then jsonb_strip_nulls(jsonb_build_object('digest', t.reconcile->'digest', 'account_id', t.reconcile->'account_id')) else '{}' end
          from picked p where t.id = p.id
        returning t.id, t.last_error, p.was_unknown, t.reconcile ? 'late_proof' as is_proved),
      noted as (
        insert into punctual.history (queue, row_id, at, event, text)
        select %8$L, d.id::text, $4, 'restored', d.last_error from doubted d order by d.id)
      select count(*), (array_agg(d.id::text order by d.id desc))[1],
             jsonb_agg(jsonb_build_object('id', d.id, 'outcome', 'unknown', 'error', d.last_error, 'rate_limited', false) order by d.id)
               filter (where not d.was_unknown),
             array_agg(d.id::text order by d.id) filter (where d.is_proved)
        from doubted d
      $sql$,
      q.table_schema, q.table_name, q.id_type, q.pending_word, q.running_word, q.unknown_word, q.due_column, q.name, q.done_word)
    into v_doubted, v_last, v_ended, v_late using v_last, p_since, p_over_at, p_now;
    exit when v_doubted = 0;
    v_count := v_count + v_doubted;
    perform punctual.tell_after_settle(q, v_ended, p_now);
    -- Proof of an earlier attempt that was kept while the one that is lost was under way.
    perform punctual.apply_late_proof(q, l, p_now) from unnest(v_late) l;
  end loop;

  -- As claims at p_since would have: what is proved absent gives its place back.
  if q.account_column is not null then
    execute punctual.render_sql(q, $sql$
      update punctual.pace p set
        used = (punctual.used_of_day(p.used, p.used_until, d.zone, $1)).used + d.rows,
        used_until = (punctual.used_of_day(p.used, p.used_until, d.zone, $1)).until,
        used_since = case when (punctual.used_of_day(p.used, p.used_until, d.zone, $1)).used = 0 then $1 else p.used_since end
        from (select a.id, c.rows, case when punctual.is_time_zone(a.time_zone) then a.time_zone else 'UTC' end as zone
                from (select t.%3$I as account_id, count(*)::integer as rows from %1$I.%2$I t
                       where t.{status} = %4$L and t.finished_at = $2 and t.claimed_at = $1 group by 1) c
                join punctual.accounts a on a.id = c.account_id) d
       where p.queue = %5$L and p.account_id = d.id
      $sql$, q.table_schema, q.table_name, q.account_column, q.unknown_word, q.name)
    using p_since, p_now;
  end if;
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
  v_hint text := 'Give the instant that the database was put back to, with its zone: ''2026-03-02 14:00:00+00''.';
  v_paused boolean;
  v_rows integer;
  v_messages integer;
  v_accounts integer;
  v_enrolments bigint[];
  v_queues jsonb := '[]';
begin
  if p_since is null then raise exception 'after_restore: since is null' using errcode = '22023', hint = v_hint; end if;
  if p_since > v_now then
    raise exception 'after_restore: % lies in the future: it is %', p_since, v_now using errcode = '22023', hint = v_hint;
  end if;
  if p_since < v_now - interval '1 year' then
    raise exception 'after_restore: % is more than a year ago', p_since
      using errcode = '22023', hint = v_hint || ' No provider can be asked about so long a time: cancel what was due in it.';
  end if;

  lock table punctual.ticks in exclusive mode;
  perform from punctual.accounts a order by a.id for no key update;
  v_messages := punctual.queue_lost_messages(v_now);
  for q in select * from punctual.queues x order by x.name loop
    if q.source = 'table' and to_regclass(format('%I.%I', q.table_schema, q.table_name)) is null then
      raise exception 'after_restore: the table %.% of the queue % is not there', q.table_schema, q.table_name, q.name
        using errcode = '42P01', hint = format('Restore it as well. If it is gone for good: select punctual.remove_queue(%L); then call it again.', q.name);
    end if;
    v_paused := q.paused_at is null or q.paused_at > v_now;
    v_rows := null;
    if v_paused then
      update punctual.queues x set paused_at = v_now, paused_reason = format('restored to %s: see docs/restore.md', p_since) where x.name = q.name;
    end if;
    if q.delivery = 'at-most-once' then
      v_rows := punctual.doubt_rows(q, p_since, v_over_at, v_now);
    elsif q.source = 'table' then
      execute punctual.render_sql(q, 'select count(*) from %I.%I t where t.{status} = %L or (t.{status} = %L and coalesce(t.next_attempt_at, t.%I) <= $1)',
                     q.table_schema, q.table_name, q.running_word, q.pending_word, q.due_column)
      into v_rows using v_now;
    end if;
    v_queues := v_queues || jsonb_build_object(
      'queue', q.name, 'delivery', q.delivery, 'paused', v_paused,
      'unknown', case when q.delivery = 'at-most-once' then v_rows else 0 end,
      'run_again', case when q.delivery = 'at-most-once' then 0 else v_rows end,
      'claimed_since', (select coalesce(sum(t.claimed), 0) from punctual.ticks t where t.queue = q.name and t.started_at > p_since));
  end loop;

  -- Each message comes back to an enrolment that waits: a proved one does not set off its next step, one that was not sent is withdrawn.
  select array_agg(e.id order by e.id) into v_enrolments
    from punctual.dm_queue d join punctual.enrolments e on e.message_id = d.id
   where d.status = 'unknown' and (d.reconcile->>'over_at')::timestamptz = v_over_at and e.paused_at is null and not punctual.is_over(e);
  perform punctual.pause_enrolment(i, v_now) from unnest(v_enrolments) i;

  with next as (
    select a.id, greatest(v_now + interval '1 hour', ((v_now at time zone z.name)::date + 1)::timestamp at time zone z.name) as day
      from punctual.accounts a
     cross join lateral (select case when punctual.is_time_zone(a.time_zone) then a.time_zone else 'UTC' end as name) z)
  -- Clearing the refusal keeps a webhook that reports the account as connected from lifting the pause. An operator's longer pause keeps its reason.
  update punctual.accounts a set
    refused = null,
    paused_until = greatest(a.paused_until, n.day),
    paused_reason = case when a.paused_until > n.day and a.paused_reason <> coalesce(a.refused->>'said', '') then a.paused_reason
                         else format('restored to %s: see docs/restore.md', p_since) end
    from next n where a.id = n.id and (a.refused is not null or coalesce(a.paused_until, '-infinity') < n.day);
  get diagnostics v_accounts = row_count;

  return jsonb_build_object(
    'since', p_since, 'now', v_now, 'last_tick_at', (select max(t.started_at) from punctual.ticks t where t.started_at <= p_since),
    'accounts_paused', v_accounts, 'messages_queued', v_messages, 'enrolments_paused', coalesce(cardinality(v_enrolments), 0),
    'queues', v_queues);
end
$$;

select punctual.close_to_public();
select punctual.note_migration('20261122001900', 'restore');
