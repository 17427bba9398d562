-- Returns the request of a job as the API shows it, {method, url, headers}, with the values of its headers and its query hidden. Null for null.
create function punctual.shown_request(p_request jsonb) returns jsonb
language sql immutable strict set search_path = '' as $$
  select jsonb_build_object('method', coalesce(p_request->>'method', 'POST'), 'url', regexp_replace(p_request->>'url', '\?.*', '?***'), 'headers',
           (select coalesce(jsonb_object_agg(k, '***'), '{}')
              from jsonb_object_keys(case when jsonb_typeof(p_request->'headers') = 'object' then p_request->'headers' else '{}' end) k))
$$;

-- Returns a job as the API shows it, or null if no job has the id or the id is malformed.
create function punctual.read_job(p_id text) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' as $$
declare
  q punctual.queues := punctual.read_queue('jobs');
begin
  if not punctual.is_id(q, p_id) then return null; end if;
  return (
    select jsonb_build_object('id', j.id::text, 'name', j.name, 'request', punctual.shown_request(j.request), 'queue', j.queue,
             'status', j.status, 'payload', j.payload, 'run_at', j.run_at,
             'priority', j.priority, 'attempts', j.attempts, 'max_attempts', coalesce(j.max_attempts, q.max_attempts),
             'timeout_seconds', least(j.timeout_seconds, coalesce(p.timeout_seconds, q.timeout_seconds)),
             'progress', j.progress, 'result', j.result, 'last_error', j.last_error, 'unique_key', j.unique_key, 'created_at', j.created_at,
             'started_at', j.claimed_at, 'finished_at', j.finished_at)
      from punctual.jobs j left join punctual.partitions p on p.queue = 'jobs' and p.partition = j.queue
     where j.id = p_id::bigint);
end
$$;

-- Returns the named queues: [{queue, timeout_seconds, has_failed}]. Queues with failed jobs come first, the oldest failure first; failed jobs
-- without a time, set by hand, come after those. Queues without failed jobs come last.
create function punctual.list_job_queues() returns jsonb
language sql stable set search_path = '' set statement_timeout = '4s' as $$
  select coalesce(jsonb_agg(jsonb_build_object('queue', p.partition, 'timeout_seconds', coalesce(p.timeout_seconds, q.timeout_seconds),
           'has_failed', f.id is not null) order by f.id is null, f.finished_at nulls last, p.partition), '[]')
    from punctual.partitions p
    join punctual.queues q on q.name = p.queue
    left join lateral (select j.id, j.finished_at from punctual.jobs j where j.queue = p.partition and j.status = 'failed'
                        order by j.finished_at limit 1) f on true
   where p.queue = 'jobs'
$$;
