-- Makes pg_cron the scheduler of everything: creates a worker for each queue, every minute, and for the other paths of vercel.json. Owner only.
-- A second call gives all of them the new address and token (a null token keeps theirs), and creates workers for new queues. Schedules that were
-- changed with create_queue_worker stay.
--
-- Leaves out the regions of monitors, except main, which /api/cron/monitors ticks. It cannot know whether another region has an endpoint below
-- p_base_url. A region on Vercel has one, in a route file pinned to it. A region with an agent elsewhere has none, and its monitors must not be
-- checked from the wrong place. Call create_queue_worker for each region on Vercel. A region without a scheduler loses no check: its monitors
-- move to the default region after unseen_seconds.
--
-- Returns {workers, regions_left_out}. Raises 22023 for an invalid p_base_url, and the errors of create_queue_worker.
create function punctual.punctual_install_schedules(p_base_url text, p_token text) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_base text := rtrim(p_base_url, '/');
  v_fault text := punctual.fault_of_url(v_base);
  v_entry record;
  v_workers jsonb := '[]';
begin
  v_fault := case when v_base ~ '\?' then 'has a query' else v_fault end;
  if v_fault is not null then
    raise exception 'punctual_install_schedules: p_base_url %', v_fault
      using errcode = '22023', hint = 'Pass the address of the app, for example ''https://your.app''. The paths of its endpoints are added.';
  end if;
  for v_entry in
    select 'punctual-' || x.path as name, x.schedule, '/api/cron/' || x.path as path
      from (select replace(q.name, '_', '-') as path, '* * * * *' as schedule from punctual.queues q
            union values ('reconcile', '*/5 * * * *'), ('analytics', '23 2 * * *'), ('prune', '17 3 * * *')) x
     order by 1
  loop
    v_workers := v_workers || jsonb_build_array(punctual.save_queue_worker(v_entry.name, v_base || v_entry.path, p_token,
      coalesce((select w.schedule from punctual.queue_workers w where w.name = v_entry.name), v_entry.schedule)));
  end loop;
  perform punctual.warn_of_plain_tokens(v_workers);
  return jsonb_build_object('workers', v_workers, 'regions_left_out',
    (select coalesce(jsonb_agg(r.name order by r.name), '[]') from punctual.regions r where r.name <> 'main'));
end
$$;

-- Removes every worker, also those that were created one by one, so that pg_cron calls no endpoint any more. Owner only. Returns {removed: [name]}.
create function punctual.punctual_remove_schedules() returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_name text;
  v_removed jsonb := '[]';
begin
  perform pg_advisory_xact_lock(hashtext('punctual.queue_workers'));
  for v_name in select w.name from punctual.queue_workers w order by w.name loop
    perform punctual.drop_queue_worker(v_name);
    v_removed := v_removed || to_jsonb(v_name);
  end loop;
  return jsonb_build_object('removed', v_removed);
end
$$;
