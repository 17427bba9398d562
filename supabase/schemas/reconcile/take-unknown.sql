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

-- are_checks_due returns whether a row's check is due. take_unknown takes up to p_want rows whose check is due and sets their next check to p_until.
-- Skips locked rows.
insert into punctual.templates (verb, text) values ('are_checks_due', $template$
create function {function}(p_providers text[], p_now timestamptz) returns boolean
language plpgsql stable {keeps_plan} as $$
begin
  return exists (select from {table} t where {check_is_due});
end
$$
$template$), ('take_unknown', $template$
create function {function}(p_want integer, p_providers text[], p_until timestamptz, p_now timestamptz) returns jsonb
language plpgsql {keeps_plan} as $$
declare
  v_rows jsonb;
begin
  with taken as (
    update {table} u set reconcile_at = p_until
     where u.id = any (array(select t.id from {table} t where {check_is_due} order by t.reconcile_at, t.id limit p_want for no key update skip locked))
    returning u.*)
  select coalesce(jsonb_agg(jsonb_build_object(
           'id', t.id::text, 'claim_id', t.claim_id, 'attempted_at', coalesce((t.reconcile->>'first_at')::timestamptz, t.claimed_at),
           'over_seconds', extract(epoch from p_now - (t.reconcile->>'over_at')::timestamptz), 'row', to_jsonb(t.*),
           'account', (select {account_summary} from punctual.accounts a where a.id = (t.reconcile->>'account_id')::uuid))
           order by t.claimed_at, t.id), '[]')
    into v_rows from taken t;
  return v_rows;
end
$$
$template$);

-- Returns the configured providers that are not paused.
create function punctual.awake_providers(p_configured text[], p_now timestamptz) returns text[]
language plpgsql stable set search_path = '' as $$
begin
  return array(select c from unnest(p_configured) c
                where not exists (select from punctual.providers v where v.name = c and v.paused_until > p_now));
end
$$;

-- Returns whether the check of an unknown row is due.
create function punctual.are_checks_due(q punctual.queues, p_configured text[], p_now timestamptz) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_are_due boolean;
begin
  if q.delivery <> 'at-most-once' then return false; end if;
  execute format('select punctual.%I($1, $2)', q.name || '.are_checks_due') into v_are_due using punctual.awake_providers(p_configured, p_now), p_now;
  return v_are_due;
end
$$;

-- Takes up to p_want unknown rows whose check is due; null is the queue's concurrency. Returns [{id, claim_id, attempted_at, over_seconds, row,
-- account, evidence}]. attempted_at: the first of its uncertain attempts. over_seconds: seconds since the attempt was certainly over, negative
-- before. account: as which it was sent. A row without a finding can be taken again after p_lease_seconds. Applies receipts first. Skips locked
-- rows.
create function punctual.take_unknown(
  p_queue text, p_providers text[], p_lease_seconds double precision, p_want integer default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set lock_timeout = '3s'
  set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  q punctual.queues := punctual.read_queue(p_queue);
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_rows jsonb;
  v_evidence jsonb := '{}';
begin
  if q.delivery <> 'at-most-once' then return '[]'; end if;
  perform set_config('punctual.settles', q.name, true);
  -- A row that a receipt settles needs no check.
  perform punctual.apply_receipts(q, null, v_now);
  execute format('select punctual.%I($1, $2, $3, $4)', q.name || '.take_unknown') into v_rows
    using coalesce(p_want, q.concurrency), punctual.awake_providers(p_providers, v_now), v_now + make_interval(secs => p_lease_seconds), v_now;
  if v_rows <> '[]' and q.evidence is not null then
    execute format('select coalesce(%s($1, $2), ''{}'')', q.evidence)
    into v_evidence using array(select r->>'id' from jsonb_array_elements(v_rows) r), v_now;
  end if;
  perform set_config('punctual.settles', '', true);
  return (select coalesce(jsonb_agg(r || jsonb_build_object('evidence', v_evidence->(r->>'id')) order by n), '[]')
            from jsonb_array_elements(v_rows) with ordinality e (r, n));
end
$$;
