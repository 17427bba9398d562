-- Returns the `reconcile` of a row that becomes unknown: its value before, with {over_at, checks, waits_for_operator, first_at, claims, account_id,
-- digest}. p_row: the row before. over_at: from then on the attempt is certainly over. first_at, claims: the instant of the first and the claims of
-- all uncertain attempts. account_id, digest: of the row as it was sent.
create function punctual.begin_reconcile(p_queue text, p_row jsonb, p_over_at timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  q punctual.queues;
  v_before jsonb := case when jsonb_typeof(p_row->'reconcile') = 'object' then p_row->'reconcile' else '{}' end;
begin
  select * into q from punctual.queues where name = p_queue;
  return v_before - 'found' || jsonb_build_object(
    'over_at', p_over_at, 'checks', 0,
    -- The queue's code has no `reconcile`, so no tick will check the row.
    'waits_for_operator', coalesce(current_setting('punctual.reconciles', true) = 'false', false),
    'first_at', coalesce(v_before->'first_at', p_row->'claimed_at'),
    'claims', coalesce(v_before->'claims', '[]') || jsonb_build_array(p_row->'claim_id'),
    'account_id', p_row->q.account_column,
    'digest', punctual.row_digest(q, p_row));
end
$$;

-- Returns a digest of the row without the columns that the engine writes.
create function punctual.row_digest(q punctual.queues, p_row jsonb) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return md5((p_row - array[q.status_column, 'priority', 'attempts', 'max_attempts', 'next_attempt_at', 'claim_id', 'lease_expires_at', 'timeout_seconds',
    'last_error', 'finished_at', 'expires_at', 'claimed_at', 'reconcile_at', 'reconcile', q.due_column] - q.result_columns)::text);
end
$$;

-- Returns when an unknown row is checked next, after p_checks checks: in 30 s, then twice as long each time, 1 h at most.
create function punctual.next_check_at(p_checks integer, p_now timestamptz) returns timestamptz
language plpgsql immutable set search_path = '' as $$
begin
  return p_now + make_interval(secs => least(3600, 30 * power(2, least(p_checks, 10))));
end
$$;
