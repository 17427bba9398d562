insert into punctual.templates (verb, text) values ('pick_looks', $template$
create function {function}(p_want integer, p_providers text[], p_now timestamptz) returns text[]
language plpgsql {keeps_plan} as $$
begin
  return array(
    select t.id::text from {table} t
     where t.{status} = {unknown} and t.reconcile_at <= p_now and t.claim_id is not null and t.reconcile ? 'over_at' {of_providers}
     order by t.reconcile_at, t.id limit p_want for no key update skip locked);
end
$$
$template$);

-- Hands out unknown rows whose provider is to be asked: [{id, claim_id, attempted_at, over_seconds, row, account, evidence}]. attempted_at is
-- of the first of its uncertain attempts, account is who it was sent as, over_seconds how long ago the attempt was over for certain,
-- negative while it is not. Each is handed out again after p_lease_seconds, if nobody has come back with an answer by then.
create function punctual.claim_looks(
  q punctual.queues, p_want integer, p_configured text[], p_lease_seconds double precision, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_ids text[];
  v_looks jsonb;
  v_evidence jsonb := '{}';
begin
  execute format('select punctual.%I($1, $2, $3)', q.name || '.pick_looks') into v_ids using p_want,
    array(select c from unnest(p_configured) c
           where not exists (select from punctual.providers v where v.name = c and v.paused_until > p_now)), p_now;
  if v_ids = '{}' then return '[]'; end if;
  execute format($sql$
    with taken as (
      update %1$I.%2$I t set reconcile_at = $1 + make_interval(secs => $2) where t.id = any (array(select unnest($3)::%3$s)) returning t.*)
    select jsonb_agg(jsonb_build_object('id', t.id::text, 'claim_id', t.claim_id,
                       'attempted_at', coalesce((t.reconcile->>'first_at')::timestamptz, t.claimed_at),
                       'over_seconds', extract(epoch from $1 - (t.reconcile->>'over_at')::timestamptz), 'row', to_jsonb(t.*), 'account', %4$s)
                     order by t.claimed_at, t.id) from taken t
    $sql$,
    q.table_schema, q.table_name, q.id_type,
    case when q.account_column is null then 'null'
         else '(select jsonb_build_object(''id'', a.id, ''provider'', a.provider, ''provider_account_id'', a.provider_account_id, '
              '''name'', a.name) from punctual.accounts a where a.id = (t.reconcile->>''account_id'')::uuid)' end)
  into v_looks using p_now, p_lease_seconds, v_ids;
  if q.evidence is not null then
    execute format('select coalesce(%s($1, $2), ''{}'')', q.evidence)
    into v_evidence using array(select l->>'id' from jsonb_array_elements(v_looks) l), p_now;
  end if;
  return (select jsonb_agg(l || jsonb_build_object('evidence', v_evidence->(l->>'id')) order by n)
            from jsonb_array_elements(v_looks) with ordinality e (l, n));
end
$$;
