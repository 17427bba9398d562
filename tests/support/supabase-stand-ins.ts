import { splitStatements } from '../../lib/store/migrate/sql-statements.ts';
import type { TestDatabase } from './test-database.ts';

/*
 * STAND-INS for extensions that Supabase has and that cannot be installed here. They have the names and signatures of the real ones as far as
 * Punctual uses them. Tests over a stand-in say so.
 */

/** A stand-in for this version of pg_cron (https://github.com/citusdata/pg_cron). It stores jobs and never runs them. */
export const standInForPgCron = (version: string): string => `
  do $$ begin
    perform set_config('allow_system_table_mods', 'on', true);
    insert into pg_catalog.pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
    select 1000000, 'pg_cron', n.nspowner, n.oid, false, '${version}' from pg_catalog.pg_namespace n where n.nspname = 'pg_catalog';
  end $$;
  create schema cron;
  create table cron.job (jobid bigint generated always as identity primary key, jobname text, username name default current_user,
                         schedule text, command text, active boolean default true, unique (jobname, username));
  create table cron.job_run_details (jobid bigint, runid bigint generated always as identity primary key, username name default current_user,
                                     command text, status text, return_message text, start_time timestamptz, end_time timestamptz);
  create function cron.schedule(job_name text, schedule text, command text) returns bigint language sql as $$
    insert into cron.job as j (jobname, schedule, command) values ($1, $2, $3)
    on conflict (jobname, username) do update set schedule = excluded.schedule, command = excluded.command returning j.jobid $$;
  create function cron.unschedule(job_id bigint) returns boolean language sql as $$ delete from cron.job where jobid = $1 returning true $$;
  create function cron.unschedule(job_name text) returns boolean language sql as $$ delete from cron.job where jobname = $1 returning true $$;
`;

const responsesOfPgNet = `
  create schema net;
  create table net._http_response (id bigint, status_code integer, content_type text, headers jsonb, content text, timed_out boolean,
                                   error_msg text, created timestamptz not null default now());
`;

/** A stand-in for pg_net (https://github.com/supabase/pg_net). It stores calls and never makes them. */
export const standInForPgNet = `${responsesOfPgNet}
  create table net.http_request_queue (id bigint generated always as identity primary key, url text, body jsonb, headers jsonb,
                                       timeout_milliseconds integer);
  create function net.http_post(url text, body jsonb default '{}', params jsonb default '{}',
                                headers jsonb default '{"Content-Type": "application/json"}', timeout_milliseconds integer default 5000)
  returns bigint language sql as $$
    insert into net.http_request_queue (url, body, headers, timeout_milliseconds) values ($1, $2, $4, $5) returning id $$;
`;

/**
 * A stand-in for pg_net that makes its calls with curl, on a Postgres whose superuser may run programs. It sends at once and waits for the
 * response. The real one sends when the transaction has ended, and does not wait. The headers go through curl's standard input, so they appear
 * in no list of processes and in no file.
 */
export const standInForPgNetByCurl = `${responsesOfPgNet}
  create sequence public.stand_in_calls;
  create function public.stand_in_call_by_curl(p_url text, p_headers text[], p_timeout_ms integer, out call_id bigint, out status integer)
  language plpgsql security definer set search_path = '' as $$
  declare
    v_lines text[] := array['url = "' || p_url || '"', 'request = POST', 'data = {}', 'max-time = ' || p_timeout_ms / 1000]
                      || array(select 'header = "' || h || '"' from unnest(p_headers) h);
    v_file text;
  begin
    if array_to_string(v_lines, '') ~ E'[\\\\\\\\\\n]' then raise exception 'the stand-in does not escape'; end if;
    call_id := nextval('public.stand_in_calls');
    v_file := 'stand_in_call_' || call_id;
    execute format('copy (select unnest(%L::text[])) to program %L', v_lines,
                   'curl --silent --config - --output /dev/null --write-out %{http_code} > ' || v_file || '; true');
    status := nullif(pg_read_file(v_file)::integer, 0);
  end $$;

  create function net.http_post(url text, body jsonb default '{}', params jsonb default '{}',
                                headers jsonb default '{"Content-Type": "application/json"}', timeout_milliseconds integer default 5000)
  returns bigint language sql as $$
    insert into net._http_response (id, status_code, error_msg)
    select c.call_id, c.status, case when c.status is null then 'no answer' end
      from public.stand_in_call_by_curl($1, array(select h.key || ': ' || h.value from jsonb_each_text($4) h), $5) c
    returning id $$;
  grant usage on schema net to public;
  grant all on net._http_response to public;
`;

/** A stand-in for pgsql-http (https://github.com/pramsey/pgsql-http). It stores calls. It answers 401 to an address that ends with /refuses, and 200 to others. */
export const standInForHttp = `
  create schema if not exists extensions;
  create type extensions.http_header as (field varchar, value varchar);
  create type extensions.http_request as (method text, uri varchar, headers extensions.http_header[], content_type varchar, content varchar);
  create type extensions.http_response as (status integer, content_type varchar, headers extensions.http_header[], content varchar);
  create function extensions.http_header(field varchar, value varchar) returns extensions.http_header language sql as $$ select $1, $2 $$;
  create table extensions.stand_in_calls (method text, uri text, headers jsonb, timeout_ms text);
  create function extensions.http(request extensions.http_request) returns extensions.http_response language plpgsql as $$
  begin
    insert into extensions.stand_in_calls
    select request.method, request.uri, (select jsonb_object_agg(h.field, h.value) from unnest(request.headers) h),
           current_setting('http.curlopt_timeout_msec', true);
    return row(case when request.uri like '%/refuses' then 401 else 200 end, null, null, null)::extensions.http_response;
  end $$;
`;

/** A stand-in for Supabase Vault (https://github.com/supabase/vault). It reverses secrets instead of encrypting them. */
export const standInForVault = `
  create schema vault;
  create table vault.secrets (id uuid primary key default gen_random_uuid(), name text unique, description text, secret text);
  create view vault.decrypted_secrets as select s.*, reverse(s.secret) as decrypted_secret from vault.secrets s;
  create function vault.create_secret(new_secret text, new_name text default null, new_description text default '', new_key_id uuid default null)
  returns uuid language sql security definer as $$
    insert into vault.secrets (name, description, secret) values ($2, $3, reverse($1)) returning id $$;
  create function vault.update_secret(secret_id uuid, new_secret text default null, new_name text default null,
                                      new_description text default null, new_key_id uuid default null)
  returns void language sql security definer as $$ update vault.secrets set secret = reverse($2) where id = $1 $$;
`;

const removal = `
  do $$ begin
    perform set_config('allow_system_table_mods', 'on', true);
    delete from pg_catalog.pg_extension where oid = 1000000;
  end $$;
  drop schema if exists cron, net, vault cascade;
  drop function if exists extensions.http, extensions.http_header;
  drop type if exists extensions.http_response, extensions.http_request, extensions.http_header cascade;
  drop table if exists extensions.stand_in_calls;
`;

export async function addStandIns({ sql }: Pick<TestDatabase, 'sql'>, ...standIns: string[]): Promise<void> {
  for (const { text } of standIns.flatMap(splitStatements)) await sql(text);
}

/** Removes the stand-ins that make no calls. */
export const removeStandIns = (database: Pick<TestDatabase, 'sql'>) => addStandIns(database, removal);
