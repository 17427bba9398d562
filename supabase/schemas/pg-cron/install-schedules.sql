-- pg_cron as the scheduler of everything: a worker for each queue, every minute, and for what vercel.json has besides. Owner only. Run again it
-- gives all of them the new address and token (null: leaves theirs), and makes those of queues that are new; a schedule that was changed by
-- create_queue_worker stays.
--
-- It cannot know of a region of the monitors other than the one that /api/cron/monitors is (main) whether it has an endpoint below
-- p_base_url: one on Vercel has (a file of its own, pinned to its region), one with an agent elsewhere has none, and its monitors must not
-- be checked from the wrong place. So it leaves them out, and says so: what is on Vercel is one create_queue_worker each. A region without
-- a scheduler loses no check: its monitors move to the default region after unseen_seconds.
--
-- Answers {workers, regions_left_out}.
create function punctual.punctual_install_schedules(p_base_url text, p_token text) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_base text := rtrim(p_base_url, '/');
  v_fault text := punctual.fault_of_url(v_base);
  v_clock record;
  v_workers jsonb := '[]';
begin
  v_fault := case when v_base ~ '\?' then 'has a query' else v_fault end;
  if v_fault is not null then
    raise exception 'punctual_install_schedules: p_base_url %', v_fault
      using errcode = '22023', hint = 'Where the app is, such as ''https://your.app'': the paths of its endpoints are added.';
  end if;
  for v_clock in
    select 'punctual-' || x.path as name, x.schedule, '/api/cron/' || x.path as path
      from (select replace(q.name, '_', '-') as path, '* * * * *' as schedule from punctual.queues q
            union values ('reconcile', '*/5 * * * *'), ('analytics', '23 2 * * *'), ('prune', '17 3 * * *')) x
     order by 1
  loop
    v_workers := v_workers || jsonb_build_array(punctual.save_queue_worker(v_clock.name, v_base || v_clock.path, p_token,
      coalesce((select w.schedule from punctual.queue_workers w where w.name = v_clock.name), v_clock.schedule)));
  end loop;
  perform punctual.warn_of_plain_tokens(v_workers);
  return jsonb_build_object('workers', v_workers, 'regions_left_out',
    (select coalesce(jsonb_agg(r.name order by r.name), '[]') from punctual.regions r where r.name <> 'main'));
end
$$;

-- Takes away every worker, those made one by one as well: nothing is called by pg_cron any more. Owner only. Answers their names.
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
