-- Returns every worker and its state: [{name, url, schedule, owner, active, via, token, last_run: {at, status, message}, last_answer: {at, status,
-- error}}]. Owner only. `token` says where the token is kept. `active` is null if the job is missing, or belongs to another role.
--
-- last_run is pg_cron's record that the call was made. last_answer is the endpoint's response: 401 means that the token is wrong. pg_net keeps
-- responses for six hours. If a response took longer than 55 s, pg_net has an error for it, although the tick continued.
create function punctual.list_queue_workers() returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_via text := (select c.via from punctual.find_caller() c);
  w punctual.queue_workers;
  v_job record;
  v_run jsonb;
  v_list jsonb := '[]';
begin
  for w in select * from punctual.queue_workers x order by x.name loop
    v_job := punctual.find_cron_job(w.name);
    v_run := punctual.read_last_run(v_job.job_id);
    v_list := v_list || jsonb_build_array(jsonb_build_object('name', w.name, 'url', w.url, 'schedule', w.schedule, 'owner', w.owner,
      'active', v_job.is_active, 'via', v_via, 'token', punctual.find_token_place(w.name), 'last_run', v_run,
      'last_answer', case v_via when 'http' then punctual.answer_of_run(w, v_run) else punctual.read_net_answer(w.request_ids) end));
  end loop;
  return v_list;
end
$$;

-- Returns the last run of a pg_cron job: {at, status, message}; null if there is none.
create function punctual.read_last_run(p_job_id bigint) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_run jsonb;
begin
  if p_job_id is null or punctual.find_outside_function('{cron}', 'schedule', '{job_name,schedule,command}') is null then return null; end if;
  execute $sql$
    select jsonb_build_object('at', d.start_time, 'status', d.status, 'message', d.return_message)
      from cron.job_run_details d where d.jobid = $1 order by d.runid desc limit 1
  $sql$ into v_run using p_job_id;
  return v_run;
end
$$;

-- Returns the endpoint's last response over pgsql-http, for which the run waits: {at, status, error}.
create function punctual.answer_of_run(w punctual.queue_workers, p_run jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select case
    when p_run->>'message' ~ 'the endpoint of the worker "[a-z0-9_-]+" answered [0-9]{3}' then
      jsonb_build_object('at', p_run->'at', 'status', (substring(p_run->>'message' from 'answered ([0-9]{3})'))::integer, 'error', null)
    when w.answered_status is not null then
      jsonb_build_object('at', w.answered_at, 'status', w.answered_status, 'error', null)
    end
$$;

-- Returns the latest response that pg_net keeps for one of these requests: {at, status, error}; null if there is none.
create function punctual.read_net_answer(p_request_ids bigint[]) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_answer jsonb;
begin
  -- This check needs no privilege.
  if not exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                  where n.nspname = 'net' and c.relname = '_http_response' and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select'))
  then return null; end if;
  execute $sql$
    select jsonb_build_object('at', r.created, 'status', r.status_code, 'error', r.error_msg)
      from unnest($1) with ordinality a (id, n) join net._http_response r on r.id = a.id order by a.n limit 1
  $sql$ into v_answer using p_request_ids;
  return v_answer;
end
$$;
