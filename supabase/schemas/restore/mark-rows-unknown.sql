-- After a restore, a point-in-time recovery or a failover that lost the latest writes, rows that were sent in the lost time look unsent. An operator
-- follows docs/restore.md.

-- Runs one step of mark_rows_unknown: the next 5,000 rows after the id p_after; null begins at the first row. Returns the number of rows, the id of
-- the last one, and the ids of those that keep proof of an earlier attempt.
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
          -- The digest and the account stay those of the row as it was sent, even if the row has changed since.
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
  if rows > 0 then perform punctual.run_after_settle_isolated(q, v_ended, p_now); end if;
end
$$;

-- Adds the rows that mark_rows_unknown made unknown to their accounts' `used`, as claims at p_since. A row that is proved absent gives its place back.
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

-- Makes rows of an at-most-once queue unknown that may have been attempted in the lost time: those that are due, those that were running, and those
-- that were unknown and may have been settled since. Each gets a new claim, so that no outcome of a lost claim changes it. p_over_at: when its
-- attempt is certainly over; no tick that began before p_now runs longer than 800 s. Skips rows that an earlier call for the same instant has
-- marked. Returns how many. Rows that are dead or cancelled stay so, and count as perhaps sent.
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
    -- Proof of an earlier attempt that the row kept while the lost attempt ran.
    perform punctual.apply_late_proof(q, l, p_now) from unnest(v_marked.proved) l;
  end loop;
  -- A row that had failed or been cancelled may have been retried and sent in the lost time. A retry of it asks for confirmation: see action_obstacle.
  execute punctual.render_sql(q, $sql$
    update {table} t set reconcile = coalesce(t.reconcile, '{}') || jsonb_build_object('first_at', coalesce(t.claimed_at, $1))
     where t.{status} in ({dead}, {cancelled}) and not coalesce(t.reconcile ? 'first_at', false)
    $sql$) using p_since;
  if q.account_column is not null then perform punctual.count_restored(q, p_since, p_now); end if;
  return v_count;
end
$$;
