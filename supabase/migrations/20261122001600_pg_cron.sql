-- pg_cron as a clock: jobs that call the endpoints over HTTP, by pg_net or else pgsql-http, with the token in Supabase Vault where that is
-- there. None of these extensions has to be there when this is applied: they are looked for whenever they are needed.
--
-- Everything here is the owner's alone. Whoever could change a worker's address could have its token sent to himself, so that not even the
-- service role may.

-- One row for each pg_cron job that calls an endpoint; the job's own text is only the row's name.
create table punctual.queue_workers (
  name text primary key check (name ~ '^[a-z][a-z0-9_-]{0,59}$'),
  url text not null,
  -- Five fields, or '<n> seconds'.
  schedule text not null,
  -- Whose job it is: pg_cron knows a job by its name and its role, and runs it as that role.
  owner name not null default current_user,
  -- pg_net's requests, the latest first: the latest may have no answer yet.
  request_ids bigint[] not null default '{}',
  -- pgsql-http's last answer that was a good one; what it says of others is the run's error.
  answered_status integer,
  answered_at timestamptz
);

-- Tokens, in plain text, where there is no Vault.
create table punctual.queue_worker_tokens (
  name text primary key references punctual.queue_workers on delete cascade,
  token text not null
);

-- The schema, of those named, of a function that current_user may call, by its name and its arguments' names; null where there is none.
-- It is handed tokens: one that an ordinary role has put into a schema open to all is none.
create function punctual.find_outside_function(p_schemas text[], p_name text, p_arguments text[]) returns text
language sql stable set search_path = '' as $$
  select n.nspname::text
    from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    join pg_catalog.pg_roles o on o.oid = p.proowner
   where n.nspname = any (p_schemas) and p.proname = p_name and p.proargnames @> p_arguments
     and has_schema_privilege(n.oid, 'usage') and has_function_privilege(p.oid, 'execute')
     and (o.rolsuper or o.rolname = current_user)
   order by array_position(p_schemas, n.nspname::text) limit 1
$$;

-- An extension's version as numbers that can be compared; null where it is not there.
create function punctual.extension_version(p_name text) returns integer[]
language sql stable set search_path = '' as $$
  select regexp_match(x.extversion, '^([0-9]+)\.([0-9]+)')::integer[] from pg_catalog.pg_extension x where x.extname = p_name
$$;

-- By what an endpoint can be called, and in which schema that is; nulls where by nothing. pg_net first: it does not wait.
create function punctual.find_caller(out via text, out caller_schema text)
language plpgsql stable set search_path = '' as $$
begin
  via := 'pg_net';
  caller_schema := punctual.find_outside_function('{net}', 'http_post', '{url,body,headers,timeout_milliseconds}');
  if caller_schema is null then
    via := 'http';
    -- It may be put into any schema.
    caller_schema := punctual.find_outside_function(
      array(select n.nspname::text from pg_catalog.pg_extension x join pg_catalog.pg_namespace n on n.oid = x.extnamespace where x.extname = 'http')
        || '{extensions,public}', 'http', '{request}');
  end if;
  if caller_schema is null then via := null; end if;
end
$$;

create function punctual.need_caller(out via text, out caller_schema text)
language plpgsql stable set search_path = '' as $$
begin
  select * into via, caller_schema from punctual.find_caller();
  if via is null then
    raise exception 'there is no extension by which % could call an endpoint: neither pg_net nor http', current_user
      using errcode = '0A000', hint = 'In Supabase''s dashboard: Database, Extensions, pg_net, Enable. Elsewhere: create extension pg_net; or: create extension http;';
  end if;
end
$$;

-- Raises what stands in the way of making jobs.
create function punctual.need_cron() returns void
language plpgsql stable set search_path = '' as $$
begin
  if punctual.extension_version('pg_cron') is null then
    raise exception 'the extension pg_cron is not turned on' using errcode = '0A000',
      hint = 'In Supabase''s dashboard: Integrations, Cron, Enable. Elsewhere: shared_preload_libraries = ''pg_cron'', and create extension pg_cron;';
  end if;
  if punctual.find_outside_function('{cron}', 'schedule', '{job_name,schedule,command}') is null then
    raise exception '% may not use pg_cron', current_user using errcode = '42501',
      hint = format('As a superuser: grant usage on schema cron to %I;', current_user);
  end if;
end
$$;

-- What pg_cron knows of a job of current_user's; nulls where there is none, or no pg_cron.
create function punctual.find_cron_job(p_job text, out job_id bigint, out is_active boolean)
language plpgsql stable set search_path = '' as $$
begin
  if punctual.find_outside_function('{cron}', 'schedule', '{job_name,schedule,command}') is null then return; end if;
  execute 'select j.jobid, j.active from cron.job j where j.jobname = $1 and j.username = current_user' into job_id, is_active using p_job;
end
$$;

create function punctual.drop_cron_job(p_job text) returns void
language plpgsql set search_path = '' as $$
declare
  v_job bigint := (select j.job_id from punctual.find_cron_job(p_job) j);
begin
  if v_job is not null then execute 'select cron.unschedule($1)' using v_job; end if;
end
$$;

-- Whether current_user may keep secrets in Supabase Vault.
create function punctual.has_vault() returns boolean
language sql stable set search_path = '' as $$
  select punctual.find_outside_function('{vault}', 'create_secret', '{new_secret,new_name,new_description}') is not null
     and exists (select from pg_catalog.pg_class c where c.relname = 'decrypted_secrets'
                  and c.relnamespace = (select n.oid from pg_catalog.pg_namespace n where n.nspname = 'vault')
                  and has_table_privilege(c.oid, 'select'))
$$;

-- Where a worker's token is: vault, table, or null for nowhere.
create function punctual.find_token_place(p_name text) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_found boolean := false;
begin
  if punctual.has_vault() then
    execute 'select exists (select from vault.decrypted_secrets s where s.name = $1)' into v_found using 'punctual-' || p_name;
  end if;
  if v_found then return 'vault'; end if;
  return (select 'table' from punctual.queue_worker_tokens t where t.name = p_name);
end
$$;

create function punctual.read_token(p_name text) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_token text;
begin
  if punctual.find_token_place(p_name) = 'vault' then
    execute 'select s.decrypted_secret from vault.decrypted_secrets s where s.name = $1' into v_token using 'punctual-' || p_name;
    return v_token;
  end if;
  return (select t.token from punctual.queue_worker_tokens t where t.name = p_name);
end
$$;

-- Keeps it in Vault where that is, and then nowhere else: one that was in our table moves there.
create function punctual.keep_token(p_name text, p_token text) returns void
language plpgsql set search_path = '' as $$
declare
  v_secret uuid;
begin
  if not punctual.has_vault() then
    insert into punctual.queue_worker_tokens (name, token) values (p_name, p_token) on conflict (name) do update set token = excluded.token;
    return;
  end if;
  execute 'select s.id from vault.decrypted_secrets s where s.name = $1' into v_secret using 'punctual-' || p_name;
  if v_secret is null then
    execute 'select vault.create_secret($1, $2, $3)'
      using p_token, 'punctual-' || p_name, format('What punctual.create_queue_worker(%L, …) was given for a token', p_name);
  else
    execute 'select vault.update_secret($1, $2)' using v_secret, p_token;
  end if;
  delete from punctual.queue_worker_tokens t where t.name = p_name;
end
$$;

-- Says what is wrong with an address; null for nothing. It is not repeated in the answer, since what is wrong may be that it bears a password.
--
-- Over plain http the token could be read on the way, so that this is only for what does not leave the machine or its own network: loopback
-- and private addresses, and names without a dot, such as localhost or a service of docker's.
create function punctual.fault_of_url(p_url text) returns text
language plpgsql immutable set search_path = '' as $$
declare
  -- What stands between // and the path, and the host in it.
  v_authority text := (regexp_match(p_url, '^https?://([^/?]+)', 'i'))[1];
  v_host text := lower((regexp_match(v_authority, '^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?$', 'i'))[1]);
begin
  if p_url is null or v_authority is null then return 'has to begin with https://'; end if;
  if length(p_url) > 2000 then return 'is longer than 2000 characters'; end if;
  if p_url !~ '^[!-~]+$' or p_url ~ '[\\"<>^`{|}#]' then
    return 'has white space, a fragment, or characters that have to be percent-encoded';
  end if;
  if v_authority ~ '@' then return 'has a user or a password in it: the token is what it is called with'; end if;
  if v_host is null then return 'has no host that can be read'; end if;
  if p_url ~* '^http:' and v_host !~ '^(localhost|[a-z][a-z0-9_-]*|([a-z0-9-]+\.)*(localhost|host\.docker\.internal)|\[::1\]|\[f[cd][0-9a-f:]+\])$'
     and v_host !~ '^(127|10)(\.[0-9]{1,3}){3}$|^192\.168(\.[0-9]{1,3}){2}$|^172\.(1[6-9]|2[0-9]|3[01])(\.[0-9]{1,3}){2}$' then
    return 'has to begin with https://: over plain http the token could be read on its way';
  end if;
  return null;
end
$$;

-- Whether a field of a cron expression has the value, as pg_cron (Vixie's cron) reads it: lists, ranges, steps.
create function punctual.cron_field_has(p_field text, p_value integer, p_low integer, p_high integer) returns boolean
language sql immutable set search_path = '' as $$
  select exists (
    select from unnest(string_to_array(p_field, ',')) part,
           regexp_match(part, '^(\*|[0-9]{1,2})(?:-([0-9]{1,2}))?(?:/([0-9]{1,2}))?$') m,
           lateral (select case m[1] when '*' then p_low else m[1]::integer end as first,
                           case m[1] when '*' then p_high else coalesce(m[2], m[1])::integer end as last,
                           coalesce(m[3], '1')::integer as step) r
     where p_value between r.first and r.last and (p_value - r.first) % nullif(r.step, 0) = 0)
$$;

-- The latest instant of a schedule of five fields that is not after p_now and within an hour before it; null where there is none.
create function punctual.find_cron_slot(p_schedule text, p_now timestamptz, p_zone text default 'GMT') returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_fields text[] := string_to_array(lower(p_schedule), ' ');
  v_names text[];
  v_at timestamptz;
  v_local timestamp;
  v_dates boolean;
  v_weekdays boolean;
begin
  v_names := '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}';
  for n in 1..12 loop v_fields[4] := replace(v_fields[4], v_names[n], n::text); end loop;
  v_names := '{sun,mon,tue,wed,thu,fri,sat}';
  for n in 1..7 loop v_fields[5] := replace(v_fields[5], v_names[n], (n - 1)::text); end loop;
  for v_minutes in 0..60 loop
    v_at := date_trunc('minute', p_now, 'GMT') - make_interval(mins => v_minutes);
    v_local := v_at at time zone p_zone;
    if punctual.cron_field_has(v_fields[1], extract(minute from v_local)::integer, 0, 59)
       and punctual.cron_field_has(v_fields[2], extract(hour from v_local)::integer, 0, 23)
       and punctual.cron_field_has(v_fields[4], extract(month from v_local)::integer, 1, 12) then
      v_dates := punctual.cron_field_has(
        -- $ is the month's last day.
        replace(v_fields[3], '$', extract(day from date_trunc('month', v_local) + interval '1 month - 1 day')::text),
        extract(day from v_local)::integer, 1, 31);
      v_weekdays := punctual.cron_field_has(v_fields[5], extract(dow from v_local)::integer, 0, 7)
                 or (extract(dow from v_local) = 0 and punctual.cron_field_has(v_fields[5], 7, 0, 7));
      -- Where both are given, either will do.
      if (case when v_fields[3] like '*%' or v_fields[5] like '*%' then v_dates and v_weekdays else v_dates or v_weekdays end) then
        return v_at;
      end if;
    end if;
  end loop;
  return null;
end
$$;

-- The headers by which a call name its scheduler and its slot.
--
-- Which slot it names: pg_cron starts a job within a second or so of its minute, and one run of a job at a time. So it is the latest instant
-- of the schedule, by the clock of the database, and exact as long as the run starts before the schedule's next instant. A run that comes
-- later, because the last one still ran or no place was free (cron.max_running_jobs), is taken for that one, which then has two
-- deliveries; the first stays unnamed. Called by hand it names the slot before, too, within an hour. A schedule of seconds has no grid, and
-- so neither slots nor a header that says it.
create function punctual.slot_headers(p_schedule text, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_headers jsonb := '{"x-punctual-scheduler": "pg-cron"}';
  -- pg_cron's, from 1.5 on; before, it was GMT.
  v_zone text := coalesce(nullif(current_setting('cron.timezone', true), ''), 'GMT');
  v_slot timestamptz;
begin
  if p_schedule like '% seconds' then return v_headers; end if;
  v_slot := punctual.find_cron_slot(p_schedule, p_now, v_zone);
  if v_slot is not null then
    v_headers := v_headers || jsonb_build_object('x-punctual-slot', to_char(v_slot at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
  end if;
  -- It is read as UTC.
  if v_zone in ('GMT', 'UTC', 'Etc/UTC', 'Etc/GMT') then
    v_headers := v_headers || jsonb_build_object('x-punctual-schedule', replace(p_schedule, '$', 'L'));
  end if;
  return v_headers;
end
$$;

-- What every worker's job does: calls its address with its token. Owner only; by hand as well, to try it.
--
-- Over pg_net the request goes out when the transaction has ended, and what became of it stands in list_queue_workers(): pg_cron calls the
-- run a success in any case. Over pgsql-http it is waited for, and an answer other than 2xx makes the run a failed one.
create function punctual.call_queue_worker(p_name text, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
  -- In time for the next minute. pg_net takes up new requests, in its older versions, only when all those before are answered; and pg_cron
  -- starts no second run. A tick that takes longer goes on all the same, it is only that its answer is not seen.
  v_timeout_ms constant integer := 55000;
  w punctual.queue_workers;
  v_by record;
  v_token text;
  v_headers jsonb;
  v_request bigint;
  v_status integer;
begin
  select * into w from punctual.queue_workers x where x.name = p_name;
  if not found then perform punctual.raise_no_worker(p_name); end if;
  v_by := punctual.need_caller();
  v_token := punctual.read_token(w.name);
  if v_token is null then
    raise exception 'the token of the worker "%" is gone', w.name using errcode = 'PT404',
      hint = format('Give it again: select punctual.create_queue_worker(%L, %L, ''…'', %L);', w.name, w.url, w.schedule);
  end if;
  v_headers := punctual.slot_headers(w.schedule, coalesce(p_now, now())) || jsonb_build_object('Authorization', 'Bearer ' || v_token);

  if v_by.via = 'pg_net' then
    execute format('select %I.http_post(url := $1, body := ''{}'', headers := $2, timeout_milliseconds := $3)', v_by.caller_schema)
      into v_request using w.url, v_headers || '{"Content-Type": "application/json"}', v_timeout_ms;
    update punctual.queue_workers x set request_ids = (array[v_request] || x.request_ids)[1:3] where x.name = w.name;
    return jsonb_build_object('name', w.name, 'via', v_by.via, 'request', v_request);
  end if;

  perform set_config(case when punctual.extension_version('http') < '{1,7}' then 'http.timeout_msec' else 'http.curlopt_timeout_msec' end,
                     v_timeout_ms::text, true);
  execute format('select r.status from %I.http(row(''POST'', $1, (select array_agg(%I.http_header(h.key, h.value)) from jsonb_each_text($2) h),
                                                ''application/json'', ''{}'')::%I.http_request) r', v_by.caller_schema, v_by.caller_schema, v_by.caller_schema)
    into v_status using w.url, v_headers;
  if v_status is null or v_status not between 200 and 299 then
    -- Its status is found again by these words, by list_queue_workers.
    raise exception 'the endpoint of the worker "%" answered %', w.name, coalesce(v_status::text, 'nothing') using errcode = '08004',
      hint = case v_status when 401 then 'The token is not the one that the endpoint expects.' end;
  end if;
  update punctual.queue_workers x set answered_status = v_status, answered_at = clock_timestamp() where x.name = w.name;
  return jsonb_build_object('name', w.name, 'via', v_by.via, 'status', v_status);
end
$$;

create function punctual.raise_no_worker(p_name text) returns void
language plpgsql stable set search_path = '' as $$
begin
  raise exception 'there is no worker "%"', p_name using errcode = 'PT404',
    hint = coalesce((select 'There are: ' || string_agg(w.name, ', ' order by w.name) || '.' from punctual.queue_workers w), 'There is none.');
end
$$;

-- Deletes what pg_cron keeps of runs of our jobs, which it never does itself, after two days: those of jobs that are gone as well, known by
-- what they called. Other jobs' runs are not ours to delete. Answers how many it deleted.
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
       -- A run that the server's end came before has no time; runs are numbered in order.
       and coalesce(o.at < $1, o.runid < (select max(x.runid) from ours x where x.at < $1))
  $sql$ using v_before;
  get diagnostics v_deleted = row_count;
  return v_deleted;
end
$$;

-- Refuses what cannot be a worker's name, address or token.
create function punctual.check_worker(p_name text, p_url text, p_token text) returns void
language plpgsql stable set search_path = '' as $$
declare
  v_fault text := punctual.fault_of_url(p_url);
begin
  if p_name is null or p_name !~ '^[a-z][a-z0-9_-]{0,59}$' or p_name = 'punctual-clean-up' then
    raise exception 'create_queue_worker: "%" cannot be a worker''s name', p_name
      using errcode = '22023', hint = 'Up to 60 small letters, digits, _ and -, with a letter first; punctual-clean-up is taken.';
  end if;
  if v_fault is not null then raise exception 'create_queue_worker: p_url %', v_fault using errcode = '22023'; end if;
  if p_token !~ '^[!-~]+$' then
    raise exception 'create_queue_worker: p_token is empty, or has characters that no header can bear'
      using errcode = '22023', hint = 'Letters, digits and signs of ASCII, without white space: what the endpoint has as CRON_SECRET.';
  end if;
end
$$;

-- A schedule as pg_cron is given it: one space between its fields. Refuses what has not the form of one, and seconds where pg_cron has none.
create function punctual.read_schedule(p_schedule text) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_schedule text := regexp_replace(btrim(p_schedule), '\s+', ' ', 'g');
begin
  if v_schedule ~ '^([1-9]|[1-5][0-9]) seconds$' then
    if punctual.extension_version('pg_cron') < '{1,5}' then
      raise exception 'create_queue_worker: pg_cron % has no schedules of seconds: minutes are what it can',
        array_to_string(punctual.extension_version('pg_cron'), '.')
        using errcode = '0A000', hint = 'Every minute is ''* * * * *''. Seconds came with pg_cron 1.5: alter extension pg_cron update;';
    end if;
  elsif v_schedule is null or v_schedule !~ '^[0-9A-Za-z*,/$-]+( [0-9A-Za-z*,/$-]+){4}$' then
    raise exception 'create_queue_worker: "%" is no schedule', p_schedule
      using errcode = '22023', hint = 'Five fields in UTC, such as ''*/5 * * * *'', or from ''1 seconds'' to ''59 seconds''.';
  end if;
  return v_schedule;
end
$$;

-- Makes or changes the worker's job, and the clean-up where there is none. A job that somebody has paused stays paused.
create function punctual.schedule_worker(p_name text, p_schedule text) returns void
language plpgsql set search_path = '' as $$
declare
  v_command text := format('select punctual.call_queue_worker(%L)', p_name);
  v_is_taken boolean;
begin
  execute 'select exists (select from cron.job j where j.jobname = $1 and j.username = current_user and j.command <> $2)'
  into v_is_taken using p_name, v_command;
  if v_is_taken then
    raise exception 'create_queue_worker: there is a pg_cron job "%" that is no worker''s', p_name
      using errcode = '23505', hint = 'Choose another name, or take the job away: select cron.unschedule(…).';
  end if;
  begin
    execute 'select cron.schedule($1, $2, $3)' using p_name, p_schedule, v_command;
  exception when others then
    if sqlerrm !~ 'invalid schedule' then raise; end if;
    raise exception 'create_queue_worker: pg_cron does not take the schedule "%"', p_schedule
      using errcode = '22023', hint = 'Five fields in UTC: minute, hour, day of the month, month, day of the week, such as ''*/5 * * * *''.';
  end;
  if (select j.job_id is null from punctual.find_cron_job('punctual-clean-up') j) then
    execute 'select cron.schedule($1, $2, $3)' using 'punctual-clean-up', '43 3 * * *', 'select punctual.prune_worker_runs()';
  end if;
end
$$;

-- Makes or changes a worker and its job, without saying where the token is kept.
create function punctual.save_queue_worker(p_name text, p_url text, p_token text, p_schedule text) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_schedule text;
  v_token text;
  w punctual.queue_workers;
begin
  perform punctual.check_worker(p_name, p_url, p_token);
  perform punctual.need_cron();
  perform punctual.need_caller();
  v_schedule := punctual.read_schedule(p_schedule);
  -- Two who make the same one at once: the second changes what the first has made. And nobody takes the clean-up away meanwhile, because he
  -- drops what he sees as the last worker.
  perform pg_advisory_xact_lock(hashtext('punctual.queue_workers'));
  select * into w from punctual.queue_workers x where x.name = p_name;
  if w.owner <> current_user then
    -- A second job of that name would call beside the first.
    raise exception 'create_queue_worker: the worker "%" is %''s', p_name, w.owner
      using errcode = 'PT409', hint = format('set role %I; or drop it as that role first.', w.owner);
  end if;
  v_token := coalesce(p_token, punctual.read_token(p_name));
  if v_token is null then
    raise exception 'create_queue_worker: the worker "%" has no token yet', p_name
      using errcode = '22023', hint = 'Give it as p_token: what the endpoint has as CRON_SECRET.';
  end if;
  insert into punctual.queue_workers (name, url, schedule) values (p_name, p_url, v_schedule)
    on conflict (name) do update set url = excluded.url, schedule = excluded.schedule;
  perform punctual.keep_token(p_name, v_token);
  perform punctual.schedule_worker(p_name, v_schedule);
  return jsonb_build_object('name', p_name, 'url', p_url, 'schedule', v_schedule,
    'active', (select j.is_active from punctual.find_cron_job(p_name) j), 'via', (select c.via from punctual.find_caller() c),
    'token', punctual.find_token_place(p_name));
end
$$;

-- Says so where tokens are kept in plain text.
create function punctual.warn_of_plain_tokens(p_workers jsonb) returns void
language plpgsql stable set search_path = '' as $$
declare
  v_names text := (select string_agg(x->>'name', ', ') from jsonb_array_elements(p_workers) x where x->>'token' = 'table');
begin
  if v_names is null then return; end if;
  raise warning 'There is no Supabase Vault here: the token of % is kept in plain text, in punctual.queue_worker_tokens. % can read it, members of pg_read_all_data, superusers, and whoever has a backup; the service role, anon and authenticated cannot.',
    v_names, (select c.relowner::regrole from pg_catalog.pg_class c where c.oid = 'punctual.queue_worker_tokens'::regclass)
    using hint = 'With Vault (create extension supabase_vault;) run the same again: the token moves there.';
end
$$;

-- Has pg_cron call an endpoint. Owner only. One of that name is changed. Also to be called without the schema.
--
-- p_name      the job's as well: cron.unschedule(p_name) stops it, drop_queue_worker(p_name) also forgets its token.
-- p_url       https; http for this machine and its own network. Called by POST.
-- p_token     what it is called with, as a bearer: the endpoint's CRON_SECRET. Null leaves that which is there.
-- p_schedule  five fields, UTC; '[1-59] seconds' where pg_cron is 1.5 or later.
--
-- The token is kept in Supabase Vault, as punctual-<name>; where there is none in a table of ours, with a warning. It is in no job's text, no
-- answer and no error. While pg_net has not sent a request yet, its queue (net.http_request_queue) holds the request's headers.
--
-- Answers {name, url, schedule, active, via: 'pg_net' | 'http', token: 'vault' | 'table'}.
create function punctual.create_queue_worker(p_name text, p_url text, p_token text, p_schedule text default '* * * * *') returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_worker jsonb := punctual.save_queue_worker(p_name, p_url, p_token, p_schedule);
begin
  perform punctual.warn_of_plain_tokens(jsonb_build_array(v_worker));
  return v_worker;
end
$$;

-- As people write it: select create_queue_worker(…). Nobody but the owner may.
do $do$
begin
  if to_regprocedure('public.create_queue_worker(text, text, text, text)') is not null then
    raise notice 'there is a function public.create_queue_worker: call Punctual''s as punctual.create_queue_worker';
    return;
  end if;
  create function public.create_queue_worker(p_name text, p_url text, p_token text, p_schedule text default '* * * * *') returns jsonb
  language sql set search_path = '' as $$
    select punctual.create_queue_worker(p_name, p_url, p_token, p_schedule)
  $$;
  revoke execute on function public.create_queue_worker from public, anon, authenticated, service_role;
end
$do$;

-- Undoes create_queue_worker: the job, the token and the row are gone, and with the last worker the clean-up. Owner only. Raises PT404.
create function punctual.drop_queue_worker(p_name text) returns jsonb
language plpgsql set search_path = '' as $$
declare
  w punctual.queue_workers;
begin
  perform pg_advisory_xact_lock(hashtext('punctual.queue_workers'));
  select * into w from punctual.queue_workers x where x.name = p_name;
  if not found then perform punctual.raise_no_worker(p_name); end if;
  if w.owner <> current_user then
    raise exception 'drop_queue_worker: the worker "%" is %''s', p_name, w.owner using errcode = 'PT409', hint = format('set role %I;', w.owner);
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

select punctual.close_to_public();
select punctual.note_migration('20261122001600', 'pg_cron');
