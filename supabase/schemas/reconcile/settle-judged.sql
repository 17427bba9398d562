-- Reconciling settles rows with an uncertain attempt by receipts, checks and operators. The row keeps the attempt's claim_id, and `reconcile` keeps
-- those of earlier uncertain attempts, so proof of any of them counts. A finding without proof counts only for its own attempt.

-- Settles a row by a receipt, a check or an operator. p_said: {outcome, error, result, event, text}, as settle takes them. p_state: the state in
-- which the caller has judged the row. The caller holds the row's lock. Raises if the row cannot be written.
create function punctual.settle_judged(q punctual.queues, p_by text, p_id text, p_state text, p_said jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  perform punctual.settle_records(q, '[]', jsonb_build_array(p_said || jsonb_build_object('id', p_id, 'by', p_by, 'was', p_state)), p_now);
end
$$;

-- Locks a row and returns it. content: all of its columns. The id is null if the row does not exist, or if it is locked and p_wait is false.
create type punctual.locked_row as (id text, state text, claim_id uuid, reconcile jsonb, content jsonb);
create function punctual.lock_row(q punctual.queues, p_id text, p_wait boolean) returns punctual.locked_row
language plpgsql set search_path = '' as $$
declare
  r punctual.locked_row;
begin
  execute punctual.render_sql(q, 'select t.id::text, to_jsonb(t.*) from {table} t where t.id = $1::{id_type} for no key update '
                                 || case when p_wait then '' else 'skip locked' end)
  into r.id, r.content using p_id;
  r.state := punctual.state_of_word(q, r.content->>q.status_column);
  r.claim_id := (r.content->>'claim_id')::uuid;
  r.reconcile := case when jsonb_typeof(r.content->'reconcile') = 'object' then r.content->'reconcile' else '{}' end;
  return r;
end
$$;
