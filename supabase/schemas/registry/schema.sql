-- Punctual's own schema: the registry of queues, the ledger of ticks, the accounts and their pace.
-- People's own tables stay where they are; add_queue() makes queues of them.

-- A Postgres that is not Supabase's lacks these; on Supabase they are there.
do $$
begin
  if not exists (select from pg_roles where rolname = 'anon') then create role anon nologin noinherit; end if;
  if not exists (select from pg_roles where rolname = 'authenticated') then create role authenticated nologin noinherit; end if;
  if not exists (select from pg_roles where rolname = 'service_role') then create role service_role nologin noinherit bypassrls; end if;
end
$$;

create schema if not exists punctual;
grant usage on schema punctual to service_role;

-- The migrations that this database has had: Punctual's own, which note themselves whatever tool runs them, and a person's own that
-- `npm run migrate` applied. It creates the same table if it comes first.
create table if not exists punctual.schema_migrations (
  version text primary key,
  name text not null,
  -- One of Punctual's own.
  engine boolean not null default false,
  -- Of the file's text. Null if another tool applied it.
  checksum text,
  applied_at timestamptz not null default now()
);

-- Ends each of Punctual's own migrations.
create function punctual.note_migration(p_version text, p_name text) returns void
language sql set search_path = '' as $$
  insert into punctual.schema_migrations (version, name, engine) values (p_version, p_name, true)
  on conflict (version) do update set engine = true
$$;

-- The version of the latest of Punctual's own migrations.
create function punctual.schema_version() returns text
language sql stable set search_path = '' as $$
  select max(m.version) from punctual.schema_migrations m where m.engine
$$;

-- Raises PT412 if the database lacks migrations that the caller's code needs. p_needed: the version of the latest. A newer schema serves
-- older code: during a deployment both are there.
create function punctual.require_schema(p_needed text) returns void
language plpgsql stable set search_path = '' as $$
begin
  if punctual.schema_version() >= p_needed then return; end if;
  raise exception 'the database has Punctual''s migrations up to %, and this code needs %', punctual.schema_version(), p_needed
    using errcode = 'PT412', hint = 'Run `npm run migrate` of this code against it.';
end
$$;
