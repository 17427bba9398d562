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
