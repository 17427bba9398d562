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
