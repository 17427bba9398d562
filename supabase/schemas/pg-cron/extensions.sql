-- Returns the first of p_schemas with a function of this name and these arguments' names that current_user may call; null if there is none.
-- Only functions of superusers and of current_user count. They receive tokens, and any role can put a function into a schema that is open to all.
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

-- Returns an extension's version as numbers that can be compared; null if it is not installed.
create function punctual.extension_version(p_name text) returns integer[]
language sql stable set search_path = '' as $$
  select regexp_match(x.extversion, '^([0-9]+)\.([0-9]+)')::integer[] from pg_catalog.pg_extension x where x.extname = p_name
$$;

-- Returns the extension that can call an endpoint, and its schema; nulls if there is none. Prefers pg_net, because it does not wait.
create function punctual.find_caller(out via text, out caller_schema text)
language plpgsql stable set search_path = '' as $$
begin
  via := 'pg_net';
  caller_schema := punctual.find_outside_function('{net}', 'http_post', '{url,body,headers,timeout_milliseconds}');
  if caller_schema is null then
    via := 'http';
    -- pgsql-http may be in any schema.
    caller_schema := punctual.find_outside_function(
      array(select n.nspname::text from pg_catalog.pg_extension x join pg_catalog.pg_namespace n on n.oid = x.extnamespace where x.extname = 'http')
        || '{extensions,public}', 'http', '{request}');
  end if;
  if caller_schema is null then via := null; end if;
end
$$;

-- Returns the same as find_caller. Raises 0A000 if no extension can call an endpoint.
create function punctual.need_caller(out via text, out caller_schema text)
language plpgsql stable set search_path = '' as $$
begin
  select * into via, caller_schema from punctual.find_caller();
  if via is null then
    raise exception '% cannot call an endpoint: neither pg_net nor http is available', current_user
      using errcode = '0A000', hint = 'In Supabase''s dashboard: Database, Extensions, pg_net, Enable. Elsewhere: create extension pg_net; or: create extension http;';
  end if;
end
$$;

-- Raises 0A000 if pg_cron is not installed, and 42501 if current_user may not use it.
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

-- Returns the pg_cron job of this name that belongs to current_user; nulls if there is none, or no pg_cron.
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
