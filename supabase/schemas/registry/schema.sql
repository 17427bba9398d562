-- Punctual's own schema: the registry of queues, the ledger of ticks, the accounts and their pace. Users' tables stay in their own schemas;
-- add_queue() turns them into queues.

-- Supabase has these roles. Another Postgres lacks them.
do $$
begin
  if not exists (select from pg_roles where rolname = 'anon') then create role anon nologin noinherit; end if;
  if not exists (select from pg_roles where rolname = 'authenticated') then create role authenticated nologin noinherit; end if;
  if not exists (select from pg_roles where rolname = 'service_role') then create role service_role nologin noinherit bypassrls; end if;
end
$$;

create schema if not exists punctual;
grant usage on schema punctual to service_role;

-- The migrations applied to this database: Punctual's own, which note themselves under any tool, and the user's own that `npm run migrate` applied.
-- If `npm run migrate` runs first, it creates the same table.
create table if not exists punctual.schema_migrations (
  version text primary key,
  name text not null,
  -- True for Punctual's own migrations.
  engine boolean not null default false,
  -- The checksum of the file's text; null if another tool applied it.
  checksum text,
  applied_at timestamptz not null default now()
);

-- Notes one of Punctual's own migrations as applied. Each of them ends with this call.
create function punctual.note_migration(p_version text, p_name text) returns void
language sql set search_path = '' as $$
  insert into punctual.schema_migrations (version, name, engine) values (p_version, p_name, true)
  on conflict (version) do update set engine = true
$$;

-- Returns the version of the latest of Punctual's own migrations.
create function punctual.schema_version() returns text
language sql stable set search_path = '' as $$
  select max(m.version) from punctual.schema_migrations m where m.engine
$$;

-- Raises PT412 if the database lacks migrations that the caller's code needs. p_needed: the version of the latest migration that it needs. A newer
-- schema serves older code: during a deployment both versions run.
create function punctual.require_schema(p_needed text) returns void
language plpgsql stable set search_path = '' as $$
begin
  if punctual.schema_version() >= p_needed then return; end if;
  raise exception 'the database has Punctual''s migrations up to %, and this code needs %', punctual.schema_version(), p_needed
    using errcode = 'PT412', hint = 'Run `npm run migrate` with this version of the code.';
end
$$;
