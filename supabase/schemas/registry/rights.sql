-- Closes the schema to every role but the owner and the service role, and some functions and tables to the service role too. Runs at the end of each
-- migration: default privileges would affect the whole database.
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
                               'list_queue_workers', 'call_queue_worker', 'punctual_install_schedules', 'punctual_remove_schedules', 'save_token',
                               'read_token', 'find_token_place', 'drop_cron_job', 'prune_worker_runs', 'after_restore', 'note_migration', 'make_functions', 'drop_functions') then
      execute format('grant execute on function %s to service_role', v_function.signature);
    end if;
  end loop;
  for v_function in
    select c.oid::regclass as signature, c.relname as name
      from pg_catalog.pg_class c where c.relnamespace = 'punctual'::regnamespace and c.relkind = 'r'
  loop
    execute format('alter table %s enable row level security', v_function.signature);
    -- Tokens, and the URLs to which they are sent.
    if v_function.name in ('queue_workers', 'queue_worker_tokens') then
      execute format('revoke all on table %s from service_role', v_function.signature);
    end if;
  end loop;
  -- Only the owner may change the definition of a queue, above all its functions. The service role may change its settings.
  revoke insert, update, delete on punctual.queues from service_role;
  grant update (batch_limit, concurrency, adaptive, budget_seconds, max_ticks, max_continuations, timeout_seconds, lease_seconds, max_attempts,
                backoff_base_seconds, backoff_cap_seconds, retention_days, paused_at, paused_until, paused_reason) on punctual.queues to service_role;
  -- Only the owner may change the list of migrations and the templates of functions.
  revoke insert, update, delete on punctual.schema_migrations from service_role;
  if to_regclass('punctual.templates') is not null then revoke insert, update, delete on punctual.templates from service_role; end if;
end
$$;
