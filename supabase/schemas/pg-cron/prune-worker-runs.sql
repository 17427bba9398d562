-- Deletes pg_cron's records of our jobs' runs after two days; pg_cron itself never does. Finds them by their command, so those of removed jobs too.
-- Keeps the runs of other jobs. Returns how many it deleted.
create function punctual.prune_worker_runs(p_now timestamptz default null) returns integer
language plpgsql set search_path = '' as $$
declare
  v_before timestamptz := coalesce(p_now, now()) - interval '2 days';
  v_deleted integer;
begin
  perform punctual.need_cron();
  execute $sql$
    with ours as (
      select d.runid, coalesce(d.end_time, d.start_time) as at from cron.job_run_details d
       where d.username = current_user
         and (d.command like 'select punctual.call\_queue\_worker(%' or d.command = 'select punctual.prune_worker_runs()'))
    delete from cron.job_run_details d using ours o
     where d.runid = o.runid
       -- A run that the end of the server cut off has no time. Run ids are in the order of time.
       and coalesce(o.at < $1, o.runid < (select max(x.runid) from ours x where x.at < $1))
  $sql$ using v_before;
  get diagnostics v_deleted = row_count;
  return v_deleted;
end
$$;
