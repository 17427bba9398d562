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
