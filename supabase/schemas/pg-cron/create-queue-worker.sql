-- Raises 22023 for an invalid name, URL or token.
create function punctual.check_worker(p_name text, p_url text, p_token text) returns void
language plpgsql stable set search_path = '' as $$
declare
  v_fault text := punctual.fault_of_url(p_url);
begin
  if p_name is null or p_name !~ '^[a-z][a-z0-9_-]{0,59}$' or p_name = 'punctual-clean-up' then
    raise exception 'create_queue_worker: "%" cannot be a worker''s name', p_name
      using errcode = '22023', hint = 'Use up to 60 lower-case letters, digits, _ and -, with a letter first. punctual-clean-up is reserved.';
  end if;
  if v_fault is not null then raise exception 'create_queue_worker: p_url %', v_fault using errcode = '22023'; end if;
  if p_token !~ '^[!-~]+$' then
    raise exception 'create_queue_worker: p_token is empty, or has characters that a header must not have'
      using errcode = '22023', hint = 'Pass the endpoint''s CRON_SECRET: letters, digits and signs of ASCII, without white space.';
  end if;
end
$$;

-- Returns a schedule in pg_cron's form, with one space between its fields. Raises 22023 if the form is wrong, and 0A000 for a schedule of seconds
-- if pg_cron has none.
create function punctual.read_schedule(p_schedule text) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_schedule text := regexp_replace(btrim(p_schedule), '\s+', ' ', 'g');
begin
  if v_schedule ~ '^([1-9]|[1-5][0-9]) seconds$' then
    if punctual.extension_version('pg_cron') < '{1,5}' then
      raise exception 'create_queue_worker: pg_cron % has no schedules of seconds, only of minutes',
        array_to_string(punctual.extension_version('pg_cron'), '.')
        using errcode = '0A000', hint = 'Use ''* * * * *'' for every minute. For seconds, update to pg_cron 1.5 or later: alter extension pg_cron update;';
    end if;
  elsif v_schedule is null or v_schedule !~ '^[0-9A-Za-z*,/$-]+( [0-9A-Za-z*,/$-]+){4}$' then
    raise exception 'create_queue_worker: "%" is not a valid schedule', p_schedule
      using errcode = '22023', hint = 'Use five fields in UTC, for example ''*/5 * * * *'', or ''1 seconds'' to ''59 seconds''.';
  end if;
  return v_schedule;
end
$$;

-- Creates or changes the worker's job, and creates the clean-up job if there is none. A job that somebody paused stays paused.
create function punctual.schedule_worker(p_name text, p_schedule text) returns void
language plpgsql set search_path = '' as $$
declare
  v_command text := format('select punctual.call_queue_worker(%L)', p_name);
  v_is_taken boolean;
begin
  execute 'select exists (select from cron.job j where j.jobname = $1 and j.username = current_user and j.command <> $2)'
  into v_is_taken using p_name, v_command;
  if v_is_taken then
    raise exception 'create_queue_worker: a pg_cron job that is not a worker''s is called "%"', p_name
      using errcode = '23505', hint = 'Choose another name, or remove the job: select cron.unschedule(…).';
  end if;
  begin
    execute 'select cron.schedule($1, $2, $3)' using p_name, p_schedule, v_command;
  exception when others then
    if sqlerrm !~ 'invalid schedule' then raise; end if;
    raise exception 'create_queue_worker: pg_cron does not accept the schedule "%"', p_schedule
      using errcode = '22023', hint = 'Five fields in UTC: minute, hour, day of the month, month, day of the week. For example ''*/5 * * * *''.';
  end;
  if (select j.job_id is null from punctual.find_cron_job('punctual-clean-up') j) then
    execute 'select cron.schedule($1, $2, $3)' using 'punctual-clean-up', '43 3 * * *', 'select punctual.prune_worker_runs()';
  end if;
end
$$;

-- Creates or changes a worker and its job. Does not warn if the token is kept in plain text.
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
  -- If two calls create the same worker at once, the second changes what the first created. And no concurrent drop of the only other worker
  -- removes the clean-up job.
  perform pg_advisory_xact_lock(hashtext('punctual.queue_workers'));
  select * into w from punctual.queue_workers x where x.name = p_name;
  if w.owner <> current_user then
    -- A second role's job of that name would call beside the first.
    raise exception 'create_queue_worker: the worker "%" belongs to the role %', p_name, w.owner
      using errcode = 'PT409', hint = format('Run set role %I; first, or drop the worker as that role.', w.owner);
  end if;
  v_token := coalesce(p_token, punctual.read_token(p_name));
  if v_token is null then
    raise exception 'create_queue_worker: the worker "%" has no token yet', p_name
      using errcode = '22023', hint = 'Pass the endpoint''s CRON_SECRET as p_token.';
  end if;
  insert into punctual.queue_workers (name, url, schedule) values (p_name, p_url, v_schedule)
    on conflict (name) do update set url = excluded.url, schedule = excluded.schedule;
  perform punctual.save_token(p_name, v_token);
  perform punctual.schedule_worker(p_name, v_schedule);
  return jsonb_build_object('name', p_name, 'url', p_url, 'schedule', v_schedule,
    'active', (select j.is_active from punctual.find_cron_job(p_name) j), 'via', (select c.via from punctual.find_caller() c),
    'token', punctual.find_token_place(p_name));
end
$$;

-- Warns if tokens are kept in plain text.
create function punctual.warn_of_plain_tokens(p_workers jsonb) returns void
language plpgsql stable set search_path = '' as $$
declare
  v_names text := (select string_agg(x->>'name', ', ') from jsonb_array_elements(p_workers) x where x->>'token' = 'table');
begin
  if v_names is null then return; end if;
  raise warning 'Supabase Vault is not available: the token of % is kept in plain text in punctual.queue_worker_tokens. % can read it, and so can members of pg_read_all_data, superusers, and anyone with a backup. The service role, anon and authenticated cannot.',
    v_names, (select c.relowner::regrole from pg_catalog.pg_class c where c.oid = 'punctual.queue_worker_tokens'::regclass)
    using hint = 'To move the token to Vault, run create extension supabase_vault; and then the same call again.';
end
$$;

-- Creates or changes a worker: a pg_cron job that calls an endpoint. Owner only. You can leave out the schema's name.
--
-- p_name      also the job's name. cron.unschedule(p_name) stops the job; drop_queue_worker(p_name) also deletes its token.
-- p_url       https; http only for this machine and its own network. Called by POST.
-- p_token     sent as the bearer token: the endpoint's CRON_SECRET. Null keeps the current one.
-- p_schedule  five fields in UTC; from pg_cron 1.5 on also '[1-59] seconds'.
--
-- The token is kept in Supabase Vault as punctual-<name>. Without Vault it is kept in a table of ours, with a warning. No job's text, response or
-- error contains it. Until pg_net has sent a request, its queue (net.http_request_queue) holds the request's headers.
--
-- Returns {name, url, schedule, active, via: 'pg_net' | 'http', token: 'vault' | 'table'}. Raises 22023 for an invalid argument, 23505 if the job's
-- name is taken, PT409 if another role owns the worker, 0A000 without the extensions, and 42501 without the right to use pg_cron.
create function punctual.create_queue_worker(p_name text, p_url text, p_token text, p_schedule text default '* * * * *') returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_worker jsonb := punctual.save_queue_worker(p_name, p_url, p_token, p_schedule);
begin
  perform punctual.warn_of_plain_tokens(jsonb_build_array(v_worker));
  return v_worker;
end
$$;

-- The same without the schema's name: select create_queue_worker(…). Owner only.
do $do$
begin
  if to_regprocedure('public.create_queue_worker(text, text, text, text)') is not null then
    raise notice 'a function public.create_queue_worker exists already: call Punctual''s as punctual.create_queue_worker';
    return;
  end if;
  create function public.create_queue_worker(p_name text, p_url text, p_token text, p_schedule text default '* * * * *') returns jsonb
  language sql set search_path = '' as $$
    select punctual.create_queue_worker(p_name, p_url, p_token, p_schedule)
  $$;
  revoke execute on function public.create_queue_worker from public, anon, authenticated, service_role;
end
$do$;
