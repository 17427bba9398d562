-- Locks the unique keys of the jobs in p_rows until the transaction ends, so that two calls with the same key see each other's jobs. 64 advisory
-- locks stand for all keys: a lock for each of a call's thousand keys would fill the lock table. Locks in a fixed order, so that calls cannot
-- deadlock.
create function punctual.lock_job_keys(p_rows jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_lock integer;
begin
  for v_lock in
    select distinct hashtext(r.name || ':' || r.unique_key) & 63
      from jsonb_to_recordset(p_rows) r (name text, unique_key text) where r.unique_key is not null order by 1
  loop
    perform pg_advisory_xact_lock(hashtext('punctual.jobs'), v_lock);
  end loop;
end
$$;

-- Creates the queues of p_names that do not exist, with the settings of `default`. The API creates no more than 100 queues in all: if they do
-- not fit, creates none. Returns the names that it did not create.
create function punctual.add_job_queues(p_names text[]) returns text[]
language plpgsql set search_path = '' as $$
declare
  v_new text[] := array(select distinct n from unnest(p_names) n
                         where not exists (select from punctual.partitions p where p.queue = 'jobs' and p.partition = n));
  v_room integer;
begin
  if v_new = '{}' then return v_new; end if;
  perform pg_advisory_xact_lock(hashtext('punctual.jobs'), 64);
  -- Another call may have created them while this one waited for the lock. A new statement sees them.
  select 100 - count(*) into v_room from punctual.partitions p where p.queue = 'jobs' and p.partition <> all (v_new);
  if v_room < cardinality(v_new) then return v_new; end if;
  insert into punctual.partitions (queue, partition, batch_limit, concurrency, max_ticks, timeout_seconds, budget_seconds, adaptive)
  select 'jobs', n, d.batch_limit, d.concurrency, d.max_ticks, d.timeout_seconds, d.budget_seconds, d.adaptive
    from unnest(v_new) n left join punctual.partitions d on d.queue = 'jobs' and d.partition = 'default'
  on conflict do nothing;
  return '{}';
end
$$;

-- Returns the jobs with a longer timeout than their queue allows: [{index, field, message}]; null if there are none.
create function punctual.check_job_timeouts(p_rows jsonb) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_agg(jsonb_build_object('index', r.index, 'field', 'timeout_seconds', 'message',
           format('is %s; the queue %s gives a job %s s at most', r.timeout_seconds, r.queue, m.seconds)) order by r.index)
    from (select (n - 1)::integer as index, e->>'queue' as queue, (e->>'timeout_seconds')::integer as timeout_seconds
            from jsonb_array_elements(p_rows) with ordinality a (e, n)) r
   cross join punctual.queues q
    left join punctual.partitions d on d.queue = 'jobs' and d.partition = 'default'
    left join punctual.partitions p on p.queue = 'jobs' and p.partition = r.queue
   -- A queue that does not exist yet gets the settings of `default`.
   cross join lateral (select coalesce(case when p.partition is null then d.timeout_seconds else p.timeout_seconds end, q.timeout_seconds) as seconds) m
   where q.name = 'jobs' and r.timeout_seconds > m.seconds
$$;

-- A job that is to be created, at the place n of the call. kept_id is the job that has its key, in the table or earlier in the call; otherwise its id.
create type punctual.new_job as (
  n integer,
  id bigint,
  kept_id bigint,
  name text,
  queue text,
  payload jsonb,
  run_at timestamptz,
  priority smallint,
  unique_key text,
  unique_seconds integer,
  max_attempts integer,
  timeout_seconds integer,
  most_seconds integer,
  expires_at timestamptz,
  request jsonb
);

-- Reads p_rows, and gives each job a new id. Reads the payload by its key: as a column of the record, a JSON null would become an SQL null.
create function punctual.read_new_jobs(p_rows jsonb) returns punctual.new_job[]
language plpgsql set search_path = '' as $$
declare
  v_sequence regclass := pg_get_serial_sequence('punctual.jobs', 'id');
begin
  return array(
    select (a.n, a.id, a.id, r.name, r.queue, a.e->'payload', r.run_at, r.priority, r.unique_key, r.unique_seconds, r.max_attempts, r.timeout_seconds,
            r.most_seconds, r.expires_at, r.request)::punctual.new_job
      from (select e, n, nextval(v_sequence) as id from jsonb_array_elements(p_rows) with ordinality e (e, n)) a
     cross join lateral jsonb_to_record(a.e) r (name text, queue text, run_at timestamptz, priority smallint, unique_key text, unique_seconds integer,
             max_attempts integer, timeout_seconds integer, most_seconds integer, expires_at timestamptz, request jsonb)
     order by a.n);
end
$$;

-- Sets kept_id for the jobs whose key is taken. The caller holds the keys' locks.
create function punctual.judge_job_keys(p_jobs punctual.new_job[], p_now timestamptz) returns punctual.new_job[]
language plpgsql set search_path = '' as $$
begin
  if not exists (select from unnest(p_jobs) a where a.unique_key is not null) then return p_jobs; end if;
  return array(
    select (a.n, a.id, case when a.unique_key is null then a.id else coalesce(t.id, first_value(a.id) over (partition by a.name, a.unique_key order by a.n)) end,
            a.name, a.queue, a.payload, a.run_at, a.priority, a.unique_key, a.unique_seconds, a.max_attempts, a.timeout_seconds, a.most_seconds,
            a.expires_at, a.request)::punctual.new_job
      from unnest(p_jobs) a
      left join lateral (
        select j.id from punctual.jobs j
         where j.name = a.name and j.unique_key = a.unique_key and j.unique_until > p_now and j.status <> 'cancelled'
         order by j.unique_until limit 1) t on true
     order by a.n);
end
$$;

-- Creates jobs, all or none. p_rows: [{name, queue, payload, run_at, priority, unique_key, unique_seconds, max_attempts, timeout_seconds,
-- most_seconds, expires_at, request}], already validated; most_seconds is the handler's own timeout. If a job's name and key are taken, in the table or
-- earlier in p_rows, returns the job that has them. A cancelled job frees its key.
--
-- Returns {rows: [{id, status, created}]} in the order of p_rows, or {errors: [{index, field, message}]} if nothing was created.
-- Waits for calls with the same keys, and for calls that create queues.
create function punctual.create_jobs(p_rows jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz;
  v_jobs punctual.new_job[];
  v_errors jsonb := punctual.check_job_timeouts(p_rows);
  v_refused text[];
  v_response jsonb;
begin
  if v_errors is not null then return jsonb_build_object('errors', v_errors); end if;
  v_refused := punctual.add_job_queues(array(select e->>'queue' from jsonb_array_elements(p_rows) e));
  if v_refused <> '{}' then
    return jsonb_build_object('errors', (
      select jsonb_agg(jsonb_build_object('index', n - 1, 'field', 'queue', 'message', format(
               'there is no queue "%s", and the API makes no more than 100: insert it into punctual.partitions', e->>'queue')) order by n)
        from jsonb_array_elements(p_rows) with ordinality a (e, n) where e->>'queue' = any (v_refused)));
  end if;
  perform punctual.lock_job_keys(p_rows);
  v_now := coalesce(p_now, clock_timestamp());
  v_jobs := punctual.judge_job_keys(punctual.read_new_jobs(p_rows), v_now);
  insert into punctual.jobs (id, name, queue, payload, run_at, priority, unique_key, unique_until, max_attempts, timeout_seconds, expires_at, created_at, request)
  select a.id, a.name, a.queue, a.payload, coalesce(a.run_at, v_now), coalesce(a.priority, 1), a.unique_key,
         case when a.unique_key is not null then coalesce(v_now + make_interval(secs => a.unique_seconds), 'infinity') end,
         a.max_attempts, coalesce(a.timeout_seconds, a.most_seconds), a.expires_at, v_now, a.request
    from unnest(v_jobs) a where a.id = a.kept_id order by a.n;

  select jsonb_agg(x) into v_response
    from (select j.id::text as id, j.status, a.id = a.kept_id as created
            from unnest(v_jobs) a join punctual.jobs j on j.id = a.kept_id order by a.n) x;
  return jsonb_build_object('rows', coalesce(v_response, '[]'));
end
$$;
