-- pg_cron as the scheduler: its jobs call the endpoints over HTTP, through pg_net or else pgsql-http, with the token in Supabase Vault if that is
-- available. This migration needs none of these extensions. The functions look for them whenever they need them.
--
-- Only the owner may use any of this. A role that can change a worker's URL can have its token sent elsewhere, so not even the service role may.

-- One row per pg_cron job that calls an endpoint. The job's own text holds only the row's name.
create table punctual.queue_workers (
  name text primary key check (name ~ '^[a-z][a-z0-9_-]{0,59}$'),
  url text not null,
  -- Five fields, or '<n> seconds'.
  schedule text not null,
  -- The job's role. pg_cron identifies a job by its name and its role, and runs it as that role.
  owner name not null default current_user,
  -- Ids of pg_net's last three requests, the latest first. The latest may have no response yet.
  request_ids bigint[] not null default '{}',
  -- The last 2xx response over pgsql-http. Any other response is the error of its run.
  answered_status integer,
  answered_at timestamptz
);

-- Tokens in plain text, if Vault is not available.
create table punctual.queue_worker_tokens (
  name text primary key references punctual.queue_workers on delete cascade,
  token text not null
);
