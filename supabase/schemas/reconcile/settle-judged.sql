-- What became of rows whose attempt is uncertain: by what webhooks told, by asking the provider, by an operator. The mark of the attempt
-- (claim_id) stays on the row through all of it, and the marks of earlier uncertain attempts in reconcile, so that proof of any of
-- them is heard, and what is no proof counts for the attempt that it is of, and for no later one.

-- Settles a row as a receipt, a check or an operator says: p_said is {outcome, error, result, event, text}, as settle takes them. The caller holds
-- the row's lock and has judged it in this state. Raises where the row cannot be written.
create function punctual.settle_judged(q punctual.queues, p_by text, p_id text, p_state text, p_said jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  perform punctual.settle_records(q, '[]', jsonb_build_array(p_said || jsonb_build_object('id', p_id, 'by', p_by, 'was', p_state)), p_now);
end
$$;

-- A row as the functions here judge it, locked; nothing where there is none, or somebody else has it and p_wait is false. content is all of
-- its columns.
create function punctual.lock_row(
  q punctual.queues, p_id text, p_wait boolean, out id text, out state text, out claim_id uuid, out reconcile jsonb, out content jsonb)
language plpgsql set search_path = '' as $$
begin
  execute format('select t.id::text, to_jsonb(t.*) from %I.%I t where t.id = $1::%s for no key update %s',
                 q.table_schema, q.table_name, q.id_type, case when p_wait then '' else 'skip locked' end)
  into id, content using p_id;
  state := punctual.state_of_word(q, content->>q.status_column);
  claim_id := (content->>'claim_id')::uuid;
  reconcile := case when jsonb_typeof(content->'reconcile') = 'object' then content->'reconcile' else '{}' end;
end
$$;
