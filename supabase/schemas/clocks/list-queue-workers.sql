-- Every worker and how it gets on: {name, url, schedule, owner, active, via, token, last_run: {at, status, message}, last_answer: {at, status,
-- error}}. Owner only; the token is not in it. active is null where the job is gone, or another role's.
--
-- last_run is pg_cron's: that the call was made. last_answer is the endpoint's: a 401 says that the token is wrong. pg_net keeps answers for
-- six hours; of one that took longer than 55 s it has an error, though the tick went on.
create function punctual.list_queue_workers() returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_via text := (select c.via from punctual.find_caller() c);
  v_has_cron boolean := punctual.find_outside_function('{cron}', 'schedule', '{job_name,schedule,command}') is not null;
  -- A look that needs no right.
  v_has_answers boolean := exists (
    select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'net' and c.relname = '_http_response' and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select'));
  w punctual.queue_workers;
  v_job record;
  v_run jsonb;
  v_answer jsonb;
  v_list jsonb := '[]';
begin
  for w in select * from punctual.queue_workers x order by x.name loop
    v_run := null;
    v_answer := null;
    v_job := punctual.find_cron_job(w.name);
    if v_has_cron and v_job.job_id is not null then
      execute $sql$
        select jsonb_build_object('at', d.start_time, 'status', d.status, 'message', d.return_message)
          from cron.job_run_details d where d.jobid = $1 order by d.runid desc limit 1
      $sql$ into v_run using v_job.job_id;
    end if;
    if v_via = 'http' then
      v_answer := case
        when v_run->>'message' ~ 'the endpoint of the worker "[a-z0-9_-]+" answered [0-9]{3}' then
          jsonb_build_object('at', v_run->'at', 'status', (substring(v_run->>'message' from 'answered ([0-9]{3})'))::integer, 'error', null)
        when w.answered_status is not null then
          jsonb_build_object('at', w.answered_at, 'status', w.answered_status, 'error', null)
        end;
    elsif v_has_answers then
      execute $sql$
        select jsonb_build_object('at', r.created, 'status', r.status_code, 'error', r.error_msg)
          from unnest($1) with ordinality a (id, n) join net._http_response r on r.id = a.id order by a.n limit 1
      $sql$ into v_answer using w.request_ids;
    end if;
    v_list := v_list || jsonb_build_array(jsonb_build_object('name', w.name, 'url', w.url, 'schedule', w.schedule, 'owner', w.owner,
      'active', v_job.is_active, 'via', v_via, 'token', punctual.find_token_place(w.name), 'last_run', v_run, 'last_answer', v_answer));
  end loop;
  return v_list;
end
$$;
