-- Writes the progress of running rows. p_progress: [{id, claim_id, progress}]. If the write fails, raises a warning only: outcomes must not wait
-- for it.
create function punctual.note_progress(q punctual.queues, p_progress jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  if q.progress_column is null or coalesce(p_progress, '[]') = '[]' then return; end if;
  execute punctual.render_sql(q,
    'update {table} t set {progress} = p.value->''progress'' from jsonb_array_elements($1) p '
    'where t.id = (p.value->>''id'')::{id_type} and t.claim_id = (p.value->>''claim_id'')::uuid and t.{status} = {running}')
  using p_progress;
exception when others then
  raise warning 'the progress of rows of %.% cannot be written: %', q.table_schema, q.table_name, sqlerrm;
end
$$;
