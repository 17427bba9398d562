-- Writes the queue's row of the registry, its current partitions, and a pace for each account. Settings that an operator changed stay. Raises 22023
-- for a setting out of range.
create function punctual.register_queue(q punctual.queues, p_settings jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  begin
    insert into punctual.queues select n.* from jsonb_populate_record(q, jsonb_build_object(
      'source', 'table', 'batch_limit', 30, 'concurrency', 5, 'adaptive', false, 'max_ticks', 1, 'max_continuations', 10, 'timeout_seconds', 15,
      'lease_seconds', 90, 'max_attempts', 5, 'backoff_base_seconds', 30, 'backoff_cap_seconds', 3600,
      -- Rows of a user's table are deleted only if the user sets retention_days.
      'retention_days', case when q.table_schema = 'punctual' then 30 end) || p_settings) n
    on conflict (name) do update set
      id_type = excluded.id_type, due_column = excluded.due_column, status_column = excluded.status_column, status_type = excluded.status_type,
      partition_column = excluded.partition_column, account_column = excluded.account_column,
      pending_word = excluded.pending_word, running_word = excluded.running_word, done_word = excluded.done_word,
      dead_word = excluded.dead_word, unknown_word = excluded.unknown_word, cancelled_word = excluded.cancelled_word,
      delivery = excluded.delivery, result_columns = excluded.result_columns, jsonb_columns = excluded.jsonb_columns,
      secret_columns = excluded.secret_columns, progress_column = excluded.progress_column, after_settle = excluded.after_settle, before_claim = excluded.before_claim,
      proof_column = excluded.proof_column, pair_column = excluded.pair_column, evidence = excluded.evidence, facts = excluded.facts,
      waits_column = excluded.waits_column, closes_column = excluded.closes_column, setup = excluded.setup;
  exception when check_violation or not_null_violation or invalid_text_representation or numeric_value_out_of_range then
    raise exception 'add_queue: a setting is out of range: %', sqlerrm
      using errcode = '22023', hint = 'docs/settings.md has the range of each setting.';
  end;
  if q.partition_column is null then
    insert into punctual.partitions (queue, partition) values (q.name, 'main') on conflict do nothing;
  else
    execute punctual.render_sql(q, 'insert into punctual.partitions (queue, partition) '
                                   'select distinct {queue}, t.{partition} from {table} t where t.{partition} <> '''' on conflict do nothing');
  end if;
  if q.account_column is not null then
    insert into punctual.pace (queue, account_id, provider)
    select q.name, a.id, a.provider from punctual.accounts a on conflict do nothing;
  end if;
end
$$;

-- Returns the rights of the public on the table: {row_level_security, anon: [rights of the role anon]}.
create function punctual.read_table_rights(p_table regclass) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'row_level_security', (select c.relrowsecurity from pg_catalog.pg_class c where c.oid = p_table),
    'anon', (select coalesce(jsonb_agg(p), '[]') from unnest(array['select', 'insert', 'update', 'delete']) p
              where has_table_privilege('anon', p_table, p) or (p <> 'delete' and has_any_column_privilege('anon', p_table, p))))
$$;
