-- Closed to everybody but the service role, and what the owner keeps for himself to that as well. Called at the end of every migration that adds functions:
-- default privileges would have to be changed for the whole database, and that is not ours to do.
create function punctual.close_to_public() returns void
language plpgsql set search_path = '' as $$
declare
  v_function record;
begin
  revoke all on all tables in schema punctual from public, anon, authenticated;
  revoke all on all sequences in schema punctual from public, anon, authenticated;
  grant select, insert, update, delete on all tables in schema punctual to service_role;
  grant usage on all sequences in schema punctual to service_role;
  for v_function in
    select p.oid::regprocedure as signature, p.proname as name
      from pg_catalog.pg_proc p where p.pronamespace = 'punctual'::regnamespace
  loop
    execute format('revoke execute on function %s from public, anon, authenticated', v_function.signature);
    if v_function.name not in ('add_queue', 'remove_queue', 'add_message_queue', 'close_to_public', 'create_queue_worker', 'drop_queue_worker', 'save_queue_worker',
                               'list_queue_workers', 'call_queue_worker', 'punctual_install_schedules', 'punctual_remove_schedules', 'keep_token',
                               'read_token', 'find_token_place', 'drop_cron_job', 'prune_worker_runs', 'after_restore', 'note_migration', 'make_functions', 'drop_functions') then
      execute format('grant execute on function %s to service_role', v_function.signature);
    end if;
  end loop;
  for v_function in
    select c.oid::regclass as signature, c.relname as name
      from pg_catalog.pg_class c where c.relnamespace = 'punctual'::regnamespace and c.relkind = 'r'
  loop
    execute format('alter table %s enable row level security', v_function.signature);
    -- Tokens, and where they are sent.
    if v_function.name in ('queue_workers', 'queue_worker_tokens') then
      execute format('revoke all on table %s from service_role', v_function.signature);
    end if;
  end loop;
  -- What a queue is, its functions above all, is the owner's to say: only its settings are anybody else's.
  revoke insert, update, delete on punctual.queues from service_role;
  grant update (batch_limit, concurrency, adaptive, budget_seconds, max_ticks, max_continuations, timeout_seconds, lease_seconds, max_attempts,
                backoff_base_seconds, backoff_cap_seconds, retention_days, paused_at, paused_reason) on punctual.queues to service_role;
  -- So is what migrations it has had, and what its functions are made from.
  revoke insert, update, delete on punctual.schema_migrations from service_role;
  if to_regclass('punctual.templates') is not null then revoke insert, update, delete on punctual.templates from service_role; end if;
end
$$;
