-- Every worker and how it gets on: {name, url, schedule, owner, active, via, token, last_run: {at, status, message}, last_answer: {at, status,
-- error}}. Owner only; the token is not in it. active is null where the job is gone, or another role's.
--
-- last_run is pg_cron's: that the call was made. last_answer is the endpoint's: a 401 says that the token is wrong. pg_net keeps answers for
-- six hours; of one that took longer than 55 s it has an error, though the tick went on.
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

-- The last run of a job of pg_cron's: {at, status, message}.
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

-- What the endpoint answered where a run waits for it: {at, status, error}.
create function punctual.answer_of_run(w punctual.queue_workers, p_run jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select case
    when p_run->>'message' ~ 'the endpoint of the worker "[a-z0-9_-]+" answered [0-9]{3}' then
      jsonb_build_object('at', p_run->'at', 'status', (substring(p_run->>'message' from 'answered ([0-9]{3})'))::integer, 'error', null)
    when w.answered_status is not null then
      jsonb_build_object('at', w.answered_at, 'status', w.answered_status, 'error', null)
    end
$$;

-- The latest answer that pg_net keeps to one of these requests: {at, status, error}.
create function punctual.read_net_answer(p_request_ids bigint[]) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_answer jsonb;
begin
  -- A look that needs no right.
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
