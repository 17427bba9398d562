-- Rows whose lease has passed: their tick died. What it did is unknown under at-most-once; otherwise the row is due again, within
-- base * 4^attempts seconds, another time for each: the row that killed the tick is not to meet the same neighbours again, which count an
-- attempt as well. The mark of the claim and the lease stay, so that a late proof of what happened is still accepted.
create function punctual.sweep_leases(q punctual.queues, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
begin
  if q.source = 'pgmq' then return punctual.sweep_messages(q, p_now); end if;
  if not punctual.has_rows(q, 'has_overdue', p_now) then return 0; end if;
  return punctual.update_rows(q,
    case when q.delivery = 'at-most-once' then
           punctual.render_sql(q, '{status} = %L, finished_at = $2, reconcile_at = punctual.next_check_at(0, $2), '
                  'reconcile = punctual.begin_reconcile(%L, to_jsonb(t.*), t.lease_expires_at)', q.unknown_word, q.name)
         else punctual.render_sql(q, '{status} = (case when t.attempts >= coalesce(t.max_attempts, %1$s) then %2$L else %3$L end)::%4$s, '
                     -- To within a second, another for each as well: those that are run again come in the order of it.
                     'finished_at = case when t.attempts >= coalesce(t.max_attempts, %1$s) '
                     'then $2 - make_interval(secs => (hashtext(t.id::text || ''/'' || t.attempts) & 1023) / 1024.0) end, '
                     'next_attempt_at = $2 + make_interval(secs => least(%6$s, %5$s * power(4, least(t.attempts, 10))) '
                     '* (hashtext(t.id::text || ''/'' || t.attempts) & 1023) / 1024)',
                     q.max_attempts::text, q.dead_word, q.pending_word, q.status_type, q.backoff_base_seconds::text, q.backoff_cap_seconds::text) end
    || ', last_error = ''the tick died while this row was running''',
    punctual.render_sql(q, 's.{status} = %L and s.lease_expires_at <= $1', q.running_word), 's.lease_expires_at', 200, 'swept', p_now);
end
$$;

-- Rows that nobody wants any more.
create function punctual.expire_rows(q punctual.queues, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
begin
  if q.source = 'pgmq' or not punctual.has_rows(q, 'has_expired', p_now) then return 0; end if;
  return punctual.update_rows(q,
    punctual.render_sql(q, '{status} = %L, last_error = ''expired before it could start'', finished_at = $2', q.dead_word),
    punctual.render_sql(q, 's.{status} = %L and s.expires_at <= $1', q.pending_word), 's.expires_at', 1000, 'expired', p_now);
end
$$;

-- Step 3: what no tick is going to finish any more: rows whose tick died, and rows that nobody wants. Answers how many of the former.
create function punctual.sweep(q punctual.queues, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_swept integer := punctual.sweep_leases(q, p_now);
begin
  perform punctual.expire_rows(q, p_now);
  return v_swept;
end
$$;
