-- Removes a worker: its job, its token and its row, and with the last worker the clean-up job. Owner only. Raises PT404 if there is no such worker,
-- and PT409 if another role owns it.
create function punctual.drop_queue_worker(p_name text) returns jsonb
language plpgsql set search_path = '' as $$
declare
  w punctual.queue_workers;
begin
  perform pg_advisory_xact_lock(hashtext('punctual.queue_workers'));
  select * into w from punctual.queue_workers x where x.name = p_name;
  if not found then perform punctual.raise_no_worker(p_name); end if;
  if w.owner <> current_user then
    raise exception 'drop_queue_worker: the worker "%" belongs to the role %', p_name, w.owner
      using errcode = 'PT409', hint = format('Run set role %I; first.', w.owner);
  end if;
  perform punctual.drop_cron_job(p_name);
  if punctual.find_token_place(p_name) = 'vault' then
    execute 'delete from vault.secrets s where s.name = $1' using 'punctual-' || p_name;
  end if;
  delete from punctual.queue_workers x where x.name = p_name;
  if not exists (select from punctual.queue_workers x where x.owner = current_user) then
    perform punctual.drop_cron_job('punctual-clean-up');
  end if;
  return jsonb_build_object('name', p_name, 'dropped', true);
end
$$;
