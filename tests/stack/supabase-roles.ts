/**
 * Makes the roles, memberships and timeouts of a Supabase project, as far as they affect permissions. As on Supabase, migrations run as
 * `postgres`, which owns the database and is not a superuser, and new tables in `public` are granted to no role (since 2026-10-30).
 * Source: https://github.com/supabase/postgres (migrations/db/init-scripts), https://supabase.com/docs/guides/database/postgres/roles
 */
export const supabaseRoles = (password: string): string => `
  create role postgres login createdb createrole replication bypassrls password '${password}';
  create role anon nologin noinherit;
  create role authenticated nologin noinherit;
  create role service_role nologin noinherit bypassrls;
  create role authenticator login noinherit password '${password}';
  grant anon, authenticated, service_role to authenticator;
  grant anon, authenticated, service_role to postgres;

  alter role anon set statement_timeout = '3s';
  alter role authenticated set statement_timeout = '8s';
  alter role authenticator set statement_timeout = '8s';
  alter role authenticator set lock_timeout = '8s';

  alter database postgres owner to postgres;
  create schema extensions authorization postgres;
  grant usage on schema public, extensions to anon, authenticated, service_role;
  alter role postgres set search_path = "$user", public, extensions;
`;
