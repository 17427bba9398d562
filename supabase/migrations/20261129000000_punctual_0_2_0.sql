-- The schema of 0.2.0, made from supabase/schemas. Never edited again: later migrations change it.

-- Stops if the database has Punctual's tables already. This migration does not follow an earlier version.
do $$
declare
  v_version text;
begin
  if to_regclass('punctual.queues') is null then return; end if;
  -- 0.1.0 has no such table.
  if to_regclass('punctual.schema_migrations') is not null then
    select max(m.version) into v_version from punctual.schema_migrations m where m.engine;
  end if;
  if v_version >= '20261129000000' then
    raise exception 'the database has this migration already: its schema is at %', v_version
      using hint = 'Record it: supabase migration repair --status applied 20261129000000';
  end if;
  raise exception 'the database has Punctual''s schema from before 0.2.0, which cannot be upgraded'
    using hint = 'Create a new database, run the migrations there, and move your rows. In development, delete the folder .data.';
end
$$;

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

-- A function's name with its schema, quoted as Postgres quotes names. Statements contain it verbatim. When the owner calls a tick's functions, this
-- function runs as the owner.
create domain punctual.function_name as text check (value ~ '^("([^"]|"")+"|[a-z_][a-z0-9_]*)\.("([^"]|"")+"|[a-z_][a-z0-9_]*)$');

-- The registry: one row a queue.
create table punctual.queues (
  name text primary key check (name ~ '^[a-z][a-z0-9_]{0,39}$'),
  -- Where the rows are: in the table named below, or in pgmq, where each of its queues is a partition.
  source text not null default 'table' check (source in ('table', 'pgmq')),
  table_schema text not null,
  table_name text not null,
  id_type text not null check (id_type in ('bigint', 'uuid')),
  due_column text not null,
  -- The column of a row's state, and its type: text or an enum.
  status_column text not null default 'status',
  status_type text not null,
  partition_column text,
  account_column text,
  pending_word text not null,
  running_word text not null,
  done_word text not null,
  dead_word text not null,
  unknown_word text not null,
  cancelled_word text not null,
  delivery text not null check (delivery in ('at-most-once', 'at-least-once')),
  -- Columns that take the values of an outcome's result under their names, and those of them that are jsonb. The others are text.
  result_columns text[] not null default '{}',
  jsonb_columns text[] not null default '{}',
  -- Columns that lists and the dashboard leave out.
  secret_columns text[] not null default '{}',
  -- The jsonb column for a running row's progress.
  progress_column text,
  -- The result column with the provider's id of the message. A message proves at most one row.
  proof_column text,
  -- The addressee's column. A provider may limit one pair of account and addressee.
  pair_column text,
  -- A function (p_ids text[], p_now timestamptz) -> {id: evidence}: the database's evidence about rows that are checked.
  evidence punctual.function_name,
  -- A function (p_ids text[], p_now timestamptz) -> {id: facts}: facts about claimed rows for the handler, besides the row.
  facts punctual.function_name,
  -- The text column that names the event that a row without a due time waits for. If it is null, no tick can reach such a row.
  waits_column text,
  -- The timestamptz column of the instant until which a due row may be claimed. Code that makes the row due later also moves this instant.
  closes_column text,
  -- A function (p_applied jsonb, p_now timestamptz) that runs in the transaction of the settle.
  after_settle punctual.function_name,
  -- A function (p_partition text, p_now timestamptz) that runs in a tick's first exchange, before the claim.
  before_claim punctual.function_name,
  -- The results of add_queue: {table, added: [columns], changes: [its changes to the table], notes: [its findings]}.
  setup jsonb,

  -- Settings that an operator may change at any time. The next exchange uses them.
  batch_limit integer default 30 check (batch_limit > 0),
  concurrency integer not null default 5 check (concurrency between 1 and 1000),
  adaptive boolean not null default false,
  budget_seconds integer check (budget_seconds > 0),
  max_ticks integer not null default 1 check (max_ticks between 1 and 100),
  max_continuations integer not null default 10 check (max_continuations between 0 and 1000),
  timeout_seconds integer not null default 15 check (timeout_seconds between 1 and 785),
  lease_seconds integer not null default 90 check (lease_seconds >= 31),
  max_attempts integer not null default 5 check (max_attempts between 1 and 1000000),
  backoff_base_seconds integer not null default 30 check (backoff_base_seconds >= 1),
  backoff_cap_seconds integer not null default 3600,
  -- Up to 100 years, here and in punctual.settings, so that now minus the retention stays a valid instant.
  retention_days integer default 30 check (retention_days between 1 and 36500),
  paused_at timestamptz,
  paused_reason text,

  unique (table_schema, table_name),
  check (backoff_cap_seconds >= backoff_base_seconds)
);
comment on column punctual.queues.batch_limit is 'Maximum rows that one tick claims; null for no limit.';
comment on column punctual.queues.adaptive is 'Batch limit and concurrency follow the backlog and the providers'' rate limits.';
comment on column punctual.queues.budget_seconds is 'Maximum seconds that a tick works; null for all that its limit leaves.';
comment on column punctual.queues.max_continuations is 'Maximum continuations of one call while rows are due; 0 for none.';
comment on column punctual.queues.retention_days is 'Days after which settled rows are deleted; null to keep them forever.';

-- A named part of a queue with ticks of its own. A setting that is null is the queue's.
create table punctual.partitions (
  queue text not null references punctual.queues on delete cascade,
  partition text not null check (partition <> ''),
  batch_limit integer check (batch_limit > 0),
  concurrency integer check (concurrency between 1 and 1000),
  adaptive boolean,
  budget_seconds integer check (budget_seconds > 0),
  max_ticks integer check (max_ticks between 1 and 100),
  timeout_seconds integer check (timeout_seconds between 1 and 785),
  -- Maximum rows that run at once, for any number of ticks. 1 makes the partition blocking.
  max_running integer check (max_running > 0),
  -- In a blocking partition: the row that was claimed last. Until it is finished, no other is claimed.
  head_id text,
  paused_at timestamptz,
  paused_reason text,
  last_tick_at timestamptz,
  -- The account with which wake_accounts continues, if a call ended before it had checked all.
  wakes_from uuid,
  primary key (queue, partition),
  -- pgmq decides which message is next, so no message can wait for another.
  constraint partitions_pgmq_has_no_order check (queue <> 'pgmq' or max_running is null)
);

-- The ledger: one row a tick.
create table punctual.ticks (
  id uuid primary key,
  queue text not null references punctual.queues on delete cascade,
  partition text not null,
  scheduler text not null,
  -- The path of the endpoint, and the cron expression in UTC, if known.
  path text,
  schedule text,
  slot timestamptz,
  -- 0 for the scheduler's tick. Each continuation has the next number and the same run id.
  continuation integer not null default 0,
  run_id uuid not null default gen_random_uuid(),
  -- The slot was delivered before. Harmless.
  duplicate boolean not null default false,
  -- The state of the rows that a person asked for; null for a scheduler's tick.
  asked_for text check (asked_for in ('pending', 'dead')),
  -- False if max_ticks other ticks were open, or one held the lock. Such a tick claims nothing.
  admitted boolean not null,
  started_at timestamptz not null,
  deadline_at timestamptz not null,
  closed_at timestamptz,
  outcome text check (outcome in ('ran', 'idle', 'skipped', 'paused', 'died')),
  claimed integer not null default 0,
  done integer not null default 0,
  retried integer not null default 0,
  again integer not null default 0,
  dead integer not null default 0,
  unknown integer not null default 0,
  released integer not null default 0,
  lost integer not null default 0,
  swept integer not null default 0,
  -- Outcomes in which a provider reported a rate limit.
  limited integer not null default 0,
  -- The adaptive step; null if the settings are not adaptive.
  step smallint,
  -- The number of the latest exchange. An exchange whose number is not above it claims nothing.
  last_seq integer not null default 0,
  -- The lease of the rows that were claimed last, by which a repeated exchange finds them.
  lease_until timestamptz,
  -- The tick's own report, without these columns.
  report jsonb
);
create unique index ticks_slot on punctual.ticks (queue, partition, coalesce(asked_for, ''), slot, continuation, scheduler, coalesce(path, ''))
  where slot is not null and not duplicate;
create index ticks_recent on punctual.ticks (queue, started_at desc);
create index ticks_idle on punctual.ticks (queue, started_at) where outcome in ('idle', 'skipped') and done = 0;
create index ticks_open on punctual.ticks (queue, partition) where closed_at is null;

-- Providers that failed as a whole or refuse our configuration. Each pauses, longer with each failure in a row.
create table punctual.providers (
  name text primary key,
  failures integer not null default 0,
  paused_until timestamptz,
  -- Until when one row tries the provider after a pause. No other row is sent meanwhile.
  probing_until timestamptz,
  last_error text,
  -- Calls in a row that it refused because our configuration is wrong. A person has to correct it.
  refusals integer not null default 0
);

-- Returns whether Postgres has a time zone of that name. Postgres also accepts invented names with an offset (Mars3). Only the list of names, which
-- is slow to read, tells these from the few real names with digits (EST5EDT).
create function punctual.is_time_zone(p_name text) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  return (p_name ~ '^[A-Za-z]+([/_+-][A-Za-z0-9_+-]+)*$' and timezone(p_name, timestamptz '2000-01-01 00:00:00+00') is not null)
      or (p_name ~ '^[A-Z]{3}[0-9][A-Z]{0,3}$' and exists (select from pg_catalog.pg_timezone_names n where n.name = p_name));
exception when invalid_parameter_value then
  return false;
end
$$;

-- Returns whether p_hours are hours by weekday: {"mon": ["09:00-12:00", "13:00-24:00"]}. Each span begins before its end. A missing day is closed.
create function punctual.is_hours(p_hours jsonb) returns boolean
language plpgsql immutable set search_path = '' as $$
declare
  v_day record;
  v_span jsonb;
begin
  if jsonb_typeof(p_hours) <> 'object' then return false; end if;
  for v_day in select * from jsonb_each(p_hours) d (name, spans) loop
    if v_day.name not in ('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun') or jsonb_typeof(v_day.spans) <> 'array' then return false; end if;
    for v_span in select * from jsonb_array_elements(v_day.spans) loop
      if jsonb_typeof(v_span) <> 'string' or v_span #>> '{}' !~ '^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$'
         or split_part(v_span #>> '{}', '-', 1) >= split_part(v_span #>> '{}', '-', 2) then return false; end if;
    end loop;
  end loop;
  return true;
end
$$;

-- Accounts as which rows are sent, and their limits: null is no limit. Each queue with accounts counts by itself.
create table punctual.accounts (
  id uuid primary key default gen_random_uuid(),
  provider text not null check (provider <> ''),
  provider_account_id text not null check (provider_account_id <> ''),
  name text not null,
  time_zone text not null default 'UTC',
  -- For a day in the account's time zone.
  daily_limit integer not null default 30 check (daily_limit >= 0),
  -- For any 60 minutes.
  hourly_limit integer check (hourly_limit between 1 and 1000),
  -- The minimum from one claim to the next. A share of the jitter, different each time, is added.
  gap_seconds integer check (gap_seconds between 0 and 86400),
  gap_jitter_seconds integer not null default 0 check (gap_jitter_seconds between 0 and 86400),
  hours jsonb check (hours is null or punctual.is_hours(hours)),
  -- From this day a new account's daily limit grows from ramp_from_percent to 100 percent, over ramp_days days.
  ramp_started_on date,
  ramp_days integer not null default 14 check (ramp_days between 1 and 365),
  ramp_from_percent integer not null default 20 check (ramp_from_percent between 1 and 100),
  paused_until timestamptz,
  paused_reason text,
  -- The provider's refusals of the account in a row: see count_refusal() and place_refusal(). Null after any other response.
  refused jsonb,
  -- The instant of the latest webhook event about the account's connection: see note_connection().
  connection_reported_at timestamptz,
  created_at timestamptz not null default now(),
  unique (provider, provider_account_id),
  constraint accounts_time_zone_exists check (punctual.is_time_zone(time_zone))
);

create index accounts_refused on punctual.accounts (id) where refused is not null;

-- The pace of each account in each queue: its recent claims, its waits, and the queue's own settings for it, if set.
--
-- A claim finds accounts by ready_at. Then account_opening() decides under the lock of this row whether the account may send.
create table punctual.pace (
  queue text not null references punctual.queues on delete cascade,
  account_id uuid not null references punctual.accounts on delete cascade,
  provider text not null,
  daily_limit integer check (daily_limit >= 0),
  hourly_limit integer check (hourly_limit between 1 and 1000),
  gap_seconds integer check (gap_seconds between 0 and 86400),
  gap_jitter_seconds integer check (gap_jitter_seconds between 0 and 86400),
  hours jsonb check (hours is null or punctual.is_hours(hours)),
  -- The number of claims in the current day, the end of that day, and the instant of its first claim.
  used integer not null default 0,
  used_until timestamptz,
  used_since timestamptz,
  -- The instants of the latest claims, oldest first: one more than the hourly limit, and 30 at least. A claim without effect is removed.
  recent timestamptz[] not null default '{}',
  -- Rate limits of the account in a row.
  limited integer not null default 0,
  -- The provider's latest refusals in a row, of this queue's rows or of every row: see count_refusal(). Null after any other response.
  refused jsonb,
  -- Addressees that the provider limits: {addressee: {until, count, said}}.
  limited_addressees jsonb,
  -- The account may not send before this instant; '-infinity' if unknown.
  next_ok_at timestamptz not null default '-infinity',
  waiting_for text,
  -- Since when the account has had a row to send. In the future if that is when it gets one; null if no row is known.
  ready_at timestamptz,
  -- The claim of the account's running row, and the end of its lease.
  claim_id uuid,
  busy_until timestamptz,
  -- When the account's first row is retried. The rows behind it wait, because they go out in order.
  retry_at timestamptz,
  primary key (queue, account_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500);
-- Begins with the provider, so that no plan uses it to find one account's row.
create index pace_ready on punctual.pace (provider, queue, ready_at);
create index pace_limited_addressees on punctual.pace (queue) where limited_addressees is not null;
create index pace_refused on punctual.pace (queue) where refused is not null;

-- Returns the names and words of a queue's table as SQL, by the placeholders of render_sql and of templates that they replace:
--
-- {table} {id_type} {queue}       the table, the type of its id, the queue's name
-- {status} {status_type} {due} {account} {partition} {addressee} {progress} {proof} {waits} {closes}  its columns, if it has them
-- {pending} {running} {done} {dead} {unknown} {cancelled}  its words for the states
-- {due_at}                        when the row t is due
create function punctual.names_of_queue(q punctual.queues) returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
  return jsonb_build_object(
    'table', format('%I.%I', q.table_schema, q.table_name), 'id_type', q.id_type, 'queue', quote_literal(q.name),
    'status', quote_ident(q.status_column), 'status_type', q.status_type, 'due', quote_ident(q.due_column),
    'account', quote_ident(q.account_column), 'partition', quote_ident(q.partition_column), 'addressee', quote_ident(q.pair_column),
    'progress', quote_ident(q.progress_column), 'proof', quote_ident(q.proof_column), 'waits', quote_ident(q.waits_column),
    'closes', quote_ident(q.closes_column),
    'pending', quote_literal(q.pending_word), 'running', quote_literal(q.running_word), 'done', quote_literal(q.done_word),
    'dead', quote_literal(q.dead_word), 'unknown', quote_literal(q.unknown_word), 'cancelled', quote_literal(q.cancelled_word),
    'due_at', format('coalesce(t.next_attempt_at, t.%I)', q.due_column));
end
$$;

-- Returns a statement on a queue's table: replaces the placeholders of the template by the queue's names, then formats it with p_args. Written in
-- plpgsql, as is every function that a call needs often: the body of a function in SQL is planned anew in each transaction.
create function punctual.render_sql(q punctual.queues, p_template text, variadic p_args text[] default '{}') returns text
language plpgsql immutable set search_path = '' as $$
declare
  v_text text := p_template;
  v_name record;
begin
  -- A { in a user's name starts no placeholder, and a % in it formats no argument.
  for v_name in select n.key, n.value from jsonb_each_text(punctual.names_of_queue(q)) n where n.value is not null loop
    v_text := replace(v_text, '{' || v_name.key || '}', replace(replace(v_name.value, '%', '%%'), '{', U&'\E000'));
  end loop;
  return format(replace(v_text, U&'\E000', '{'), variadic p_args);
end
$$;

-- Returns whether the pending row p_row holds its account: it was claimed, and no other pending row of the account was claimed later.
create function punctual.holds_account(q punctual.queues, p_row jsonb) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_is_last boolean;
begin
  if p_row->>'claimed_at' is null then return false; end if;
  execute punctual.render_sql(q, 'select not exists (select from {table} t where t.{status} = {pending} and t.{account} = $1 and t.claimed_at > $2)')
    into v_is_last using (p_row->>q.account_column)::uuid, (p_row->>'claimed_at')::timestamptz;
  return v_is_last;
end
$$;

-- Ends an account's wait for a row that will not be retried. Other rows' holds stay: only the row that was claimed last holds the account. p_row:
-- the row while it held. Locks the account's row of pace.
create function punctual.end_hold(q punctual.queues, p_row jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if q.account_column is null or p_row->>q.status_column <> q.pending_word or not punctual.holds_account(q, p_row) then return; end if;
  update punctual.pace p set retry_at = null, next_ok_at = '-infinity', waiting_for = null, ready_at = p_now
   where p.queue = q.name and p.account_id = (p_row->>q.account_column)::uuid and p.retry_at > p_now;
end
$$;

-- Trigger: gives a new account a pace in each queue with accounts.
create function punctual.add_account_pace() returns trigger
language plpgsql set search_path = '' as $$
begin
  insert into punctual.pace (queue, account_id, provider)
  select q.name, new.id, new.provider from punctual.queues q where q.account_column is not null
  on conflict (queue, account_id) do nothing;
  return null;
end
$$;
create trigger add_account_pace after insert on punctual.accounts
  for each row execute function punctual.add_account_pace();

-- Trigger: discards the waits that follow from an account's old settings, so that the next tick judges it anew. Locks pace in one statement, in the
-- order that settles use.
create function punctual.forget_account_waits() returns trigger
language plpgsql set search_path = '' as $$
begin
  update punctual.pace p
     set provider = l.provider, next_ok_at = '-infinity', waiting_for = null, ready_at = null,
         -- A person who ends a pause has dealt with its cause: see end_account_refusal.
         refused = case when not l.resumes then p.refused end
    from (select x.queue, x.account_id, n.provider,
                 coalesce(n.paused_until, '-infinity') < coalesce(o.paused_until, '-infinity') as resumes
            from new_accounts n
            join old_accounts o on o.id = n.id
            join punctual.pace x on x.account_id = n.id
           where (o.provider, o.time_zone, o.daily_limit, o.hourly_limit, o.gap_seconds, o.gap_jitter_seconds, o.hours,
                  o.ramp_started_on, o.ramp_days, o.ramp_from_percent, o.paused_until, o.refused is null)
                 is distinct from
                 (n.provider, n.time_zone, n.daily_limit, n.hourly_limit, n.gap_seconds, n.gap_jitter_seconds, n.hours,
                  n.ramp_started_on, n.ramp_days, n.ramp_from_percent, n.paused_until, n.refused is null)
           order by x.queue, x.account_id for no key update of x) l
   where p.queue = l.queue and p.account_id = l.account_id;
  return null;
end
$$;

-- Trigger: ends an account's refusal when its pause is ended or shortened.
create function punctual.end_account_refusal() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.refused := null;
  return new;
end
$$;
create trigger end_account_refusal before update of paused_until on punctual.accounts
  for each row when (old.refused is not null and coalesce(new.paused_until, '-infinity') < coalesce(old.paused_until, '-infinity'))
  execute function punctual.end_account_refusal();

create trigger forget_account_waits after update on punctual.accounts
  referencing old table as old_accounts new table as new_accounts
  for each statement execute function punctual.forget_account_waits();

-- Trigger: the same for a queue's own settings of an account. The trigger names its columns, so claims and settles do not run it.
create function punctual.forget_pace_wait() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.next_ok_at := '-infinity';
  new.waiting_for := null;
  new.ready_at := null;
  return new;
end
$$;
create trigger forget_pace_wait before update of daily_limit, hourly_limit, gap_seconds, gap_jitter_seconds, hours on punctual.pace
  for each row execute function punctual.forget_pace_wait();

-- Events of rows other than a plain success: failures, uncertainty, and every step of reconciling.
create table punctual.history (
  id bigint generated by default as identity primary key,
  queue text not null references punctual.queues on delete cascade,
  row_id text not null,
  at timestamptz not null,
  -- retry, dead, unknown, swept, expired, restored; checked, proved, absent, receipt, decided, late; twice: delivered twice; left_out: the result
  -- could not be written; error: an operation on the row failed and the others continued.
  event text not null,
  text text
);
create index history_row on punctual.history (queue, row_id, id);
create index history_old on punctual.history (queue, at);
create index history_trouble on punctual.history (queue, event, at) where event in ('twice', 'error');

-- Writes an error of one row to the history; the caller continues with the others. Writes the same text once an hour, because the operation may fail
-- in each tick. p_row_id: '' for an error of the queue.
create function punctual.note_error(q punctual.queues, p_row_id text, p_text text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if not exists (select from punctual.history h where h.queue = q.name and h.row_id = p_row_id and h.event = 'error'
                    and h.at > p_now - interval '1 hour' and h.text = left(p_text, 2000)) then
    insert into punctual.history (queue, row_id, at, event, text) values (q.name, p_row_id, p_now, 'error', left(p_text, 2000));
  end if;
end
$$;

-- Runs the statement p_sql ($1: the items, $2: p_now) for many rows at once. If it raises, runs it for each item alone, so one bad row cannot block
-- the others. p_items: [{id, …}]. p_failure: the text for the history of a row that fails; the error follows it. Returns the ids of the other items.
create function punctual.do_isolated(q punctual.queues, p_sql text, p_items jsonb, p_failure text, p_now timestamptz) returns text[]
language plpgsql set search_path = '' as $$
declare
  v_item jsonb;
  v_done text[] := '{}';
begin
  begin
    execute p_sql using p_items, p_now;
    return array(select i->>'id' from jsonb_array_elements(p_items) with ordinality e (i, n) order by n);
  exception when others then
    if jsonb_array_length(p_items) = 1 then
      perform punctual.note_error(q, p_items->0->>'id', format('%s: %s', p_failure, sqlerrm), p_now);
      return '{}';
    end if;
    for v_item in select i from jsonb_array_elements(p_items) with ordinality e (i, n) order by n loop
      begin
        execute p_sql using jsonb_build_array(v_item), p_now;
        v_done := v_done || (v_item->>'id');
      exception when others then
        perform punctual.note_error(q, v_item->>'id', format('%s: %s', p_failure, sqlerrm), p_now);
      end;
    end loop;
    return v_done;
  end;
end
$$;

-- Returns the items of an array in arrays of up to 50.
create function punctual.by_fifty(p_items jsonb) returns setof jsonb
language plpgsql immutable set search_path = '' as $$
begin
  return query select jsonb_agg(i order by n) from jsonb_array_elements(p_items) with ordinality e (i, n) group by (n - 1) / 50 order by (n - 1) / 50;
end
$$;

-- Receipts: what providers report by webhook. A webhook changes no row; ticks apply the receipts. A message has each status once, however often the
-- provider sends it.
create table punctual.receipts (
  id bigint generated by default as identity primary key,
  provider text not null,
  kind text not null check (kind in ('status', 'message')),
  status text not null check (status in ('sent', 'delivered', 'read', 'failed', 'received')),
  message_id text not null,
  -- The reference that we sent with the message, queue/row id/claim id, and the row that it names.
  reference text,
  queue text,
  row_id text,
  provider_account_id text,
  chat_id text,
  recipient text,
  -- Null outside our conversations.
  body text,
  error text,
  -- By the provider's clock.
  said_at timestamptz,
  received_at timestamptz not null,
  -- When a tick applied it.
  applied_at timestamptz,
  unique (message_id, provider, kind, status)
);
-- The indexes begin with the message, the row, the person or the chat, because forget_person() searches for each of them alone.
create index receipts_new on punctual.receipts (queue, row_id) where applied_at is null and queue is not null;
create index receipts_row on punctual.receipts (row_id, queue) where row_id is not null;
create index receipts_recipient on punctual.receipts (recipient, provider_account_id, kind, status) where recipient is not null;
create index receipts_chat on punctual.receipts (chat_id, provider_account_id, kind, status) where chat_id is not null;
create index receipts_latest_unmatched on punctual.receipts (id) where kind = 'message' and status = 'received' and applied_at is null;
create index receipts_old on punctual.receipts (received_at);

-- Returns whether the current call has used up its time. Its loops stop then, and the next call continues where they stopped: a call that the
-- statement timeout ends keeps nothing. The setting punctual.call_ms is the limit in milliseconds, 750 by default. With 0 each loop runs once.
-- Measures by the machine's clock and ignores p_now, because this limits cost.
create function punctual.is_call_over() returns boolean
language plpgsql set search_path = '' as $$
begin
  return clock_timestamp() - statement_timestamp()
      >= coalesce(nullif(current_setting('punctual.call_ms', true), ''), '750')::integer * interval '1 millisecond';
end
$$;

-- Returns SQL conditions on the rows after the key p_cursor; null for all rows. p_exprs, p_types: the expressions of the order and their types.
-- p_desc: descending. A row meets at most one condition. Each is an index condition if an index has that order. Null is the greatest value, as
-- Postgres sorts it. Only the first of p_exprs may be null.
create function punctual.after_cursor(p_exprs text[], p_types text[], p_desc boolean, p_cursor jsonb) returns text[]
language plpgsql immutable set search_path = '' as $$
declare
  v_operator text := case when p_desc then '<' else '>' end;
  v_values text[] := array(select format('%L::%s', p_cursor->>(n - 1), p_types[n]) from generate_subscripts(p_exprs, 1) n);
begin
  if p_cursor is null then return '{true}'; end if;
  if p_cursor->>0 is not null then
    return array[format('(%s) %s (%s)', array_to_string(p_exprs, ', '), v_operator, array_to_string(v_values, ', '))]
      || case when p_desc then '{}' else array[format('(%s) is null', p_exprs[1])] end;
  end if;
  return array[format('(%s) is null and (%s) %s (%s)', p_exprs[1], array_to_string(p_exprs[2:], ', '), v_operator, array_to_string(v_values[2:], ', '))]
    || case when p_desc then array[format('(%s) is not null', p_exprs[1])] else '{}' end;
end
$$;

-- Returns a page of a list: {items, next}. p_rows: [{item, key}] in order, one more than p_limit if there are more. next: the key of the last item,
-- for p_cursor of the next page; null at the end.
create function punctual.page_of(p_rows jsonb, p_limit integer) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object(
    'items', (select coalesce(jsonb_agg(r->'item' order by n), '[]') from jsonb_array_elements(p_rows) with ordinality e (r, n) where n <= p_limit),
    'next', case when jsonb_array_length(p_rows) > p_limit then p_rows->(p_limit - 1)->'key' end)
$$;

-- Returns the hint for a queue whose table is gone or cannot be read.
create function punctual.missing_table_hint(p_name text) returns text
language sql immutable set search_path = '' as $$
  select format('Restore it, or remove the queue: select punctual.remove_queue(%L);', p_name)
$$;

-- Returns a queue by name. Raises PT404 if the queue or its table does not exist.
create function punctual.read_queue(p_name text) returns punctual.queues
language plpgsql stable set search_path = '' as $$
declare
  q punctual.queues;
begin
  select * into q from punctual.queues where name = p_name;
  if not found then
    raise exception 'there is no queue "%"', p_name using errcode = 'PT404',
      hint = case p_name when 'pgmq' then 'Add a message queue with add_message_queue().' else 'Add a table as a queue with add_queue().' end;
  end if;
  if q.source = 'table' and to_regclass(format('%I.%I', q.table_schema, q.table_name)) is null then
    raise exception 'the table %.% of the queue % does not exist', q.table_schema, q.table_name, q.name
      using errcode = 'PT404', hint = punctual.missing_table_hint(q.name);
  end if;
  return q;
end
$$;

-- Returns the queue's words in the order pending, running, done, dead, unknown, cancelled.
create function punctual.list_words(q punctual.queues) returns text[]
language plpgsql immutable set search_path = '' as $$
begin
  return array[q.pending_word, q.running_word, q.done_word, q.dead_word, q.unknown_word, q.cancelled_word];
end
$$;

-- Returns the state of a word; null if the queue has no such word.
create function punctual.state_of_word(q punctual.queues, p_word text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return (array['pending', 'running', 'done', 'dead', 'unknown', 'cancelled'])[array_position(punctual.list_words(q), p_word)];
end
$$;

-- Returns the queue's word for a state; null if it is not a state.
create function punctual.word_of_state(q punctual.queues, p_state text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return (punctual.list_words(q))[array_position(array['pending', 'running', 'done', 'dead', 'unknown', 'cancelled'], p_state)];
end
$$;

-- Returns the state that a caller names by the queue's word or by the state's own name; null if it is neither.
create function punctual.state_of(q punctual.queues, p_said text) returns text
language sql immutable set search_path = '' as $$
  select coalesce(punctual.state_of_word(q, p_said),
                  case when p_said in ('pending', 'running', 'done', 'dead', 'unknown', 'cancelled') then p_said end)
$$;

-- Returns whether a row's id can have this form.
create function punctual.is_id(q punctual.queues, p_id text) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  -- Later versions of Postgres also read 0x1 and 1_0.
  if q.id_type = 'bigint' then return coalesce(p_id ~ '^-?[0-9]+$' and p_id::bigint is not null, false); end if;
  return p_id::uuid is not null;
exception when others then
  return false;
end
$$;

-- Pending rows to withdraw that another session had locked. No claim takes them until their queue's before_claim has judged them.
create table punctual.held_rows (
  queue text not null references punctual.queues on delete cascade,
  row_id text not null,
  primary key (queue, row_id)
);

-- Idempotency keys of pruned rows. Each stands for its row for settings.idempotency_keys_days.
create table punctual.spent_keys (
  queue text not null references punctual.queues on delete cascade,
  key text not null,
  row_id text not null,
  status text not null,
  spent_at timestamptz not null,
  primary key (queue, key)
);
create index spent_keys_old on punctual.spent_keys (spent_at);

-- Returns whether the queue's idempotency keys outlive their rows. Code that inserts rows of other queues does not check spent keys.
create function punctual.keeps_keys(p_queue text) returns boolean
language sql immutable set search_path = '' as $$
  select p_queue in ('dm_queue', 'posts')
$$;

-- Keeps retention from deleting rows with these keys, and these spent keys, until this transaction ends. Locks the rows by id, then the spent keys by
-- key, both `for key share`. Waits for a deletion that is under way; the next statement then sees the spent key that it left. p_queue: dm_queue or
-- posts. p_rows: [{idempotency_key}].
create function punctual.hold_keys(p_queue text, p_rows jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_keys text[] := array(select r->>'idempotency_key' from jsonb_array_elements(p_rows) r where r->>'idempotency_key' is not null);
begin
  execute format('select from punctual.%I t where t.idempotency_key = any ($1) order by t.id for key share', p_queue) using v_keys;
  perform from punctual.spent_keys k where k.queue = p_queue and k.key = any (v_keys) order by k.key for key share;
end
$$;

-- Refuses an insert with a spent key (PT409). Runs after the insert, so that an insert that waited while the row was pruned sees the spent key too.
-- Runs as the owner: row-level security hides spent keys from a role that may only insert, and the message would go out again. It calls no other
-- code. tg_argv[0]: the queue.
create function punctual.refuse_spent_key() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_spent punctual.spent_keys;
begin
  select * into v_spent from punctual.spent_keys s where s.queue = tg_argv[0] and s.key = new.idempotency_key;
  if found then
    raise exception 'the idempotency_key "%" was used for row %, which is % and was pruned', v_spent.key, v_spent.row_id, v_spent.status
      using errcode = 'PT409', hint = 'To run it again, use another key or none.';
  end if;
  return null;
end
$$;

-- Closes the schema to every role but the owner and the service role, and some functions and tables to the service role too. Runs at the end of each
-- migration: default privileges would affect the whole database.
create function punctual.close_to_public() returns void
language plpgsql set search_path = '' as $$
declare
  v_function record;
begin
  revoke all on all tables in schema punctual from public, anon, authenticated;
  revoke all on all sequences in schema punctual from public, anon, authenticated;
  grant select, insert, update, delete on all tables in schema punctual to service_role;
  grant usage on all sequences in schema punctual to service_role;
  for v_function in
    select p.oid::regprocedure as signature, p.proname as name
      from pg_catalog.pg_proc p where p.pronamespace = 'punctual'::regnamespace
  loop
    execute format('revoke execute on function %s from public, anon, authenticated', v_function.signature);
    if v_function.name not in ('add_queue', 'remove_queue', 'add_message_queue', 'close_to_public', 'create_queue_worker', 'drop_queue_worker', 'save_queue_worker',
                               'list_queue_workers', 'call_queue_worker', 'punctual_install_schedules', 'punctual_remove_schedules', 'save_token',
                               'read_token', 'find_token_place', 'drop_cron_job', 'prune_worker_runs', 'after_restore', 'note_migration', 'make_functions', 'drop_functions') then
      execute format('grant execute on function %s to service_role', v_function.signature);
    end if;
  end loop;
  for v_function in
    select c.oid::regclass as signature, c.relname as name
      from pg_catalog.pg_class c where c.relnamespace = 'punctual'::regnamespace and c.relkind = 'r'
  loop
    execute format('alter table %s enable row level security', v_function.signature);
    -- Tokens, and the URLs to which they are sent.
    if v_function.name in ('queue_workers', 'queue_worker_tokens') then
      execute format('revoke all on table %s from service_role', v_function.signature);
    end if;
  end loop;
  -- Only the owner may change the definition of a queue, above all its functions. The service role may change its settings.
  revoke insert, update, delete on punctual.queues from service_role;
  grant update (batch_limit, concurrency, adaptive, budget_seconds, max_ticks, max_continuations, timeout_seconds, lease_seconds, max_attempts,
                backoff_base_seconds, backoff_cap_seconds, retention_days, paused_at, paused_reason) on punctual.queues to service_role;
  -- Only the owner may change the list of migrations and the templates of functions.
  revoke insert, update, delete on punctual.schema_migrations from service_role;
  if to_regclass('punctual.templates') is not null then revoke insert, update, delete on punctual.templates from service_role; end if;
end
$$;

-- Functions of the queue's own. Each query of an exchange on a queue's table is a function, made when the queue is registered. Its text contains the
-- queue's names and words, so Postgres plans it once a session and an operator can read it: \sf punctual."dm_queue.claim".

-- The texts of these functions. A placeholder in braces stands for a name or a word of the queue: see words_of_queue. {function} stands for the name
-- of the function: the queue's name, a dot and the verb.
create table punctual.templates (
  verb text not null,
  -- The kinds of queue that get this function: see kind_of_queue.
  kinds text[] not null default '{plain,accounts}',
  text text not null,
  unique (verb, kinds)
);

-- Returns SQL that sets each result column to its value in p_result, with a leading comma. p_result: SQL of a jsonb object. A column that it lacks
-- keeps its value.
create function punctual.set_results(q punctual.queues, p_result text) returns text
language plpgsql stable set search_path = '' as $$
begin
  return (
    select coalesce(string_agg(format(', %I = coalesce(%s%s%L, t.%I)', c, p_result, case when c = any (q.jsonb_columns) then '->' else '->>' end, c, c), ''), '')
      from unnest(q.result_columns) c);
end
$$;

-- Returns the SQL of the placeholders: those of names_of_queue, and these. t is a row of the table; p_partition and p_now are parameters of the
-- function.
--
-- {in_partition}  condition with a leading `and`: t is in the partition. Empty in a queue without partitions
-- {levels} {at_level}  the priorities as rows (l.level), and the condition that t has that priority. In a queue with accounts each account has an
--                 order of its own, so the index on due times has no priorities: see queue_indexes
-- {wanted}        condition: t has not expired
-- {claimable}     condition: a claim may take t. The only definition of it
-- {first_sendable}  in a queue with accounts: the first row (id, due) that the account c (account_id, limited_addressees) could send. Skips rows
--                 whose addressee the provider limits, up to 200 at each priority. An account with more such rows waits for the addressee
-- {take} {claimed}  the columns that a claim sets on the row u, and the row t as a claim returns it
-- {outcome}       the outcome that settle writes for the outcome o
-- {is_exhausted}  condition: o would run t again, but t has used up its attempts
-- {spread}        a number from 0 to 1, different for each row and attempt
-- {retry_at} {set_results} {set_reconcile} {old_row} {old_due} {account_id} {pair} {late} {has_consequences}  parts of the settle
-- {account_summary}  the account a as json, for the handler of its rows
-- {check_is_due}  condition: the check of the unknown row t is due, by one of p_providers
-- {keeps_plan}    the settings of each function: keep plans and use indexes
-- {unswept} {unexpired} {unapplied}  conditions: to sweep t, to expire t, or to apply the receipt r has not failed within the last hour
create function punctual.words_of_queue(q punctual.queues) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  -- The instant until which t may be claimed has not passed.
  v_open text := case when q.closes_column is not null then '(t.{closes} is null or t.{closes} > p_now)' end;
  -- The row is not about to be withdrawn: see held_rows.
  v_unheld text := case when q.before_claim is not null then 'not exists (select from punctual.held_rows h where h.queue = {queue} and h.row_id = t.id::text)' end;
  -- No receipt proves that an earlier attempt was delivered. The next tick applies such a receipt.
  v_unproved text := case when q.delivery = 'at-most-once' then $sql$(t.claimed_at is null or not exists (
                           select from punctual.receipts r where r.queue = {queue} and r.row_id = t.id::text
                              and r.applied_at is null and r.status in ('sent', 'delivered', 'read')))$sql$ end;
begin
  -- Escapes { in the user's names, so that it starts no placeholder: see render.
  q := jsonb_populate_record(q, (select jsonb_object_agg(e.key, case when jsonb_typeof(e.value) in ('string', 'array') then replace(e.value::text, '{', U&'\E000')::jsonb else e.value end)
                                   from jsonb_each(to_jsonb(q) - 'setup') e));
  return punctual.names_of_queue(q) || jsonb_build_object(
    'in_partition', case when q.partition_column is null then '' else format('and t.%I = p_partition', q.partition_column) end,
    'levels', case when q.account_column is null then 'generate_series(0, 3) l (level)' else 'generate_series(0, 0) l (level)' end,
    'at_level', case when q.account_column is null then 't.priority = l.level' else 't.priority + 0 >= 0' end,
    'wanted', '(t.expires_at is null or t.expires_at > p_now)',
    'claimable', concat_ws(E'\n                     and ', 't.{status} = {pending} and {due_at} <= p_now', '{wanted}', v_open, v_unheld, v_unproved),
    'pair', case when q.pair_column is null then 'null::text' else format('t.%I', q.pair_column) end,
    'first_sendable', $sql$(
            select f.id, f.due from generate_series(0, 3) l (level) cross join lateral (
                   select t.id, {due_at} as due, {pair} as pair from {table} t
                    where t.{account} = c.account_id and t.priority = l.level and {claimable}
                    order by {due_at}, t.id limit 200) f
             where coalesce((c.limited_addressees -> f.pair ->> 'until')::timestamptz <= p_now, true) limit 1)$sql$,
    'outcome', case when q.delivery = 'at-most-once' then '(case when o.outcome = ''swept'' then ''unknown'' when {is_exhausted} then ''dead'' else o.outcome end)'
                    else '(case when {is_exhausted} then ''dead'' else o.outcome end)' end,
    'is_exhausted', 'o.outcome in (''retry'', ''swept'') and not o.rate_limited and t.attempts >= coalesce(t.max_attempts, p_max_attempts)',
    'spread', '(hashtext(t.id::text || ''/'' || t.attempts) & 1023) / 1024.0',
    -- In a queue with accounts the account waits and the row keeps its due time. A later one would let other rows overtake it.
    'retry_at', format('case when %s then p_now + make_interval(secs => coalesce(o.delay_seconds, 0)) else t.next_attempt_at end',
                       case when q.account_column is null then 'true' else 'o.unreadable' end),
    'set_results', punctual.set_results(q, 'o.result'),
    'set_reconcile', case when q.delivery <> 'at-most-once' then '' else
      ', reconcile_at = case when {outcome} = ''unknown'' then punctual.next_check_at(0, p_now) end, reconcile = case when {outcome} = ''unknown'' '
      'then punctual.begin_reconcile({queue}, to_jsonb(t.*), coalesce(t.lease_expires_at, p_now)) else t.reconcile end' end,
    'old_row', case when q.after_settle is null then '' else 'cross join lateral (select x.{due} as due from {table} x where x.id = o.id limit 1) before' end,
    'old_due', case when q.after_settle is null then 'null::timestamptz' else 'before.due' end,
    'account_id', case when q.account_column is null then 'null::uuid' else format('t.%I', q.account_column) end,
    'late', case when q.delivery = 'at-most-once' then 't.reconcile ? ''late_proof''' else 'false' end,
    'has_consequences', case when q.account_column is null and q.after_settle is null then 'w.outcome in (''retry'', ''dead'', ''unknown'') or w.event is not null or w.late' else 'true' end,
    'unswept', punctual.unfailed_condition(q, 't.id::text', 't.lease_expires_at'),
    'unexpired', punctual.unfailed_condition(q, 't.id::text', 't.expires_at'),
    'unapplied', punctual.unfailed_condition(q, 'r.row_id', 'r.received_at'),
    'keeps_plan', 'set search_path = '''' set plan_cache_mode = force_generic_plan set enable_seqscan = off',
    'take', '{status} = {running}, attempts = u.attempts + 1, claim_id = p_claim_id, lease_expires_at = p_lease_until, claimed_at = p_now',
    'claimed', 'json_build_object(''id'', t.id::text, ''attempt'', t.attempts, ''timeout_seconds'', t.timeout_seconds{claimed_account}, ''row'', row_to_json(t.*))',
    'claimed_account', case when q.account_column is null then '' else ', ''account'', (select {account_summary} from punctual.accounts a where a.id = t.{account})' end,
    'account_summary', 'json_build_object(''id'', a.id, ''provider'', a.provider, ''provider_account_id'', a.provider_account_id, ''name'', a.name)',
    'check_is_due', 't.{status} = {unknown} and t.reconcile_at <= p_now and t.claim_id is not null and t.reconcile ? ''over_at''' || case when q.account_column is null then ''
         else ' and exists (select from punctual.accounts a where a.id = (t.reconcile->>''account_id'')::uuid and a.provider = any (p_providers))' end);
end
$$;

-- Replaces the placeholders of a template by the queue's names and words, in four rounds, because some of these contain placeholders. Raises if a
-- placeholder is left.
create function punctual.render(p_template text, p_words jsonb) returns text
language plpgsql immutable set search_path = '' as $$
declare
  v_text text := p_template;
  v_word record;
begin
  for v_round in 1..4 loop
    for v_word in select * from jsonb_each_text(p_words) w (name, said) where w.said is not null loop
      v_text := replace(v_text, '{' || v_word.name || '}', v_word.said);
    end loop;
  end loop;
  if v_text ~ '[{][a-z_]+[}]' then
    raise exception 'the placeholder % of a template has no value', substring(v_text from '[{][a-z_]+[}]');
  end if;
  return replace(v_text, U&'\E000', '{');
end
$$;

-- Returns the kind of a queue. plain: rows of a table. accounts: rows of a table that are sent as accounts. pgmq: messages of pgmq.
create function punctual.kind_of_queue(q punctual.queues) returns text
language sql immutable set search_path = '' as $$
  select case when q.source = 'pgmq' then 'pgmq' when q.account_column is null then 'plain' else 'accounts' end
$$;

-- Creates a queue's functions anew. Runs in add_queue and on any change of the queue's definition: see remake_functions. A migration that changes a
-- template ends with: select punctual.make_functions(q) from punctual.queues q. The functions belong to the schema's owner, whoever calls this.
create function punctual.make_functions(q punctual.queues) returns void
language plpgsql set search_path = '' as $body$
declare
  v_template punctual.templates;
  v_words jsonb := case when q.source = 'table' then punctual.words_of_queue(q) else jsonb_build_object('queue', quote_literal(q.name)) end;
  v_name text;
begin
  perform punctual.drop_functions(q.name);
  for v_template in
    select * from punctual.templates t where punctual.kind_of_queue(q) = any (t.kinds) order by t.verb
  loop
    v_name := format('punctual.%I', q.name || '.' || v_template.verb);
    -- Quotes the body as a literal, because a word may be $$. If a column has the name of a parameter, the name means the parameter.
    execute punctual.render(split_part(v_template.text, '$$', 1), v_words || jsonb_build_object('function', v_name))
            || quote_literal(E'\n#variable_conflict use_variable' || punctual.render(split_part(v_template.text, '$$', 2), v_words));
    execute format('alter function %s owner to %I', v_name, (select n.nspowner::regrole from pg_catalog.pg_namespace n where n.nspname = 'punctual'));
    execute format('revoke execute on function %s from public, anon, authenticated', v_name);
    execute format('grant execute on function %s to service_role', v_name);
  end loop;
end
$body$;

-- Creates a queue's functions anew after an update of its definition.
create function punctual.remake_functions() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform punctual.make_functions(new);
  return null;
end
$$;
create trigger remake_functions
  after update of table_schema, table_name, id_type, due_column, status_column, status_type, partition_column, account_column, pending_word, running_word,
    done_word, dead_word, unknown_word, cancelled_word, delivery, result_columns, jsonb_columns, pair_column, after_settle, before_claim, closes_column
  on punctual.queues for each row when (to_jsonb(old) - 'setup' is distinct from to_jsonb(new) - 'setup') execute function punctual.remake_functions();

-- Drops a queue's functions.
create function punctual.drop_functions(p_queue text) returns void
language plpgsql set search_path = '' as $$
declare
  v_function text;
begin
  for v_function in
    select p.oid::regprocedure from pg_catalog.pg_proc p where p.pronamespace = 'punctual'::regnamespace and starts_with(p.proname, p_queue || '.')
  loop
    execute format('drop function %s', v_function);
  end loop;
end
$$;

-- add_queue turns a table into a queue. Owner only. A second call is harmless: existing columns stay, and so do settings that an operator changed.
-- The steps are: find the table; check its columns, the words, the functions and the settings; add the columns; create the indexes; write the
-- registry's row. `q` is that row as it will be.

-- Returns the words for a message: the word "a", or the words "a", "b".
create function punctual.name_words(p_words text[]) returns text
language sql immutable set search_path = '' as $$
  select case cardinality(p_words) when 1 then 'the word ' else 'the words ' end || string_agg(format('"%s"', w.word), ', ' order by w.place)
    from unnest(p_words) with ordinality w (word, place)
$$;

-- Raises 22023 unless the type of the status column can store all of the words in full.
create function punctual.check_type_takes(p_table regclass, p_column text, p_type text, p_words text[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_word text;
  v_text text;
  v_lacking text[] := '{}';
begin
  foreach v_word in array p_words loop
    begin
      -- Reads the word back as rows are read: a cast silently cuts a long word, and char(n) pads a short one.
      execute format('select to_jsonb(%L::%s) #>> ''{}''', v_word, p_type) into v_text;
    exception
      when unsafe_new_enum_value_usage then
        raise exception 'add_queue: the word "%" was added to % in this transaction, and cannot be used before its end', v_word, p_type
          using errcode = '22023', hint = 'Add it in a migration of its own, before this one.';
      when others then
        v_text := null;
    end;
    if v_text is distinct from v_word then v_lacking := v_lacking || v_word; end if;
  end loop;
  if v_lacking <> '{}' then
    raise exception 'add_queue: the column % of % (%) does not take %', p_column, p_table, p_type, punctual.name_words(v_lacking)
      using errcode = '22023', hint = 'Add them to the type, or name the words your table uses in p_words.';
  end if;
end
$$;

-- Raises 22023 unless the checks of the status column allow all of the words. Tests only checks on this column alone: others need a row.
create function punctual.check_checks_take(p_table regclass, p_column text, p_type text, p_words text[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_check record;
  v_word text;
  v_ok boolean;
  v_lacking text[] := '{}';
begin
  for v_check in
    select c.conname, pg_get_expr(c.conbin, c.conrelid) as expression
      from pg_catalog.pg_constraint c join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attname = p_column and c.conkey = array[a.attnum]
     where c.conrelid = p_table and c.contype = 'c'
  loop
    foreach v_word in array p_words loop
      begin
        execute format('select (%s) from (select %L::%s as %I) s', v_check.expression, v_word, p_type, p_column) into v_ok;
      exception when others then
        v_ok := false;
      end;
      if v_ok is false then v_lacking := v_lacking || v_word; end if;
    end loop;
    if v_lacking <> '{}' then
      raise exception 'add_queue: the check "%" of % does not take %', v_check.conname, p_table, punctual.name_words(v_lacking)
        using errcode = '22023', hint = 'Widen the check, or name the words your table uses in p_words.';
    end if;
  end loop;
end
$$;

-- Raises 22023 unless the table that the status column references has all of the words.
create function punctual.check_references_take(p_table regclass, p_column text, p_words text[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_key record;
  v_lacking text[];
begin
  for v_key in
    select c.conname, c.confrelid::regclass as target, f.attname as target_column
      from pg_catalog.pg_constraint c
      join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attname = p_column and c.conkey = array[a.attnum]
      join pg_catalog.pg_attribute f on f.attrelid = c.confrelid and f.attnum = c.confkey[1]
     where c.conrelid = p_table and c.contype = 'f'
  loop
    execute format('select array_agg(w order by place) from unnest($1) with ordinality w (w, place) '
                   'where not exists (select from %s where %I::text = w)', v_key.target, v_key.target_column) into v_lacking using p_words;
    if v_lacking is not null then
      raise exception 'add_queue: "%" of % does not take %, which % lacks', v_key.conname, p_table, punctual.name_words(v_lacking), v_key.target
        using errcode = '22023', hint = 'Insert them there, or name the words your table uses in p_words.';
    end if;
  end loop;
end
$$;

-- Raises 22023 unless the status column accepts all of the words by its type, its length, its checks and its foreign keys. The message names all
-- words that one of these does not accept.
create function punctual.check_status_words(p_table regclass, p_column text, p_words text[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_type text := punctual.full_type_of_column(p_table, p_column);
begin
  perform punctual.check_type_takes(p_table, p_column, v_type, p_words);
  perform punctual.check_checks_take(p_table, p_column, v_type, p_words);
  perform punctual.check_references_take(p_table, p_column, p_words);
end
$$;

-- Adds the column if it is missing. Returns whether it was added. Raises 22023 if it exists with another type.
create function punctual.add_column(p_table regclass, p_column text, p_type text, p_definition text) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_there text;
begin
  select format_type(a.atttypid, null) into v_there from pg_catalog.pg_attribute a
   where a.attrelid = p_table and a.attname = p_column and not a.attisdropped;
  if v_there is null then
    execute format('alter table %s add column %I %s', p_table, p_column, p_definition);
    return true;
  end if;
  if v_there <> p_type then
    raise exception 'add_queue: the column % of % is %, and has to be %', p_column, p_table, v_there, p_type
      using errcode = '22023', hint = 'Rename your column, or change its type.';
  end if;
  return false;
end
$$;

-- Returns the name of the check on priorities.
create function punctual.priority_check(q punctual.queues) returns text
language sql immutable set search_path = '' as $$
  select 'punctual_' || q.name || '_priority'
$$;

-- Lists the columns that every queue has besides id and the status column. emptied: an outcome may set the column to null.
create function punctual.standard_columns(
  q punctual.queues, out name text, out type text, out emptied boolean, out definition text) returns setof record
language sql stable set search_path = '' as $$
  select * from (values
    ('priority', 'smallint', false, format('smallint not null default 1 constraint %I check (priority between 0 and 3)', punctual.priority_check(q))),
    ('attempts', 'integer', false, 'integer not null default 0'),
    ('max_attempts', 'integer', false, 'integer check (max_attempts > 0)'),
    ('next_attempt_at', 'timestamp with time zone', true, 'timestamptz'),
    ('claim_id', 'uuid', true, 'uuid'),
    ('lease_expires_at', 'timestamp with time zone', true, 'timestamptz'),
    ('timeout_seconds', 'integer', false, 'integer check (timeout_seconds > 0)'),
    ('last_error', 'text', true, 'text'),
    ('finished_at', 'timestamp with time zone', true, 'timestamptz'),
    ('expires_at', 'timestamp with time zone', false, 'timestamptz'),
    ('idempotency_key', 'text', false, 'text'),
    ('claimed_at', 'timestamp with time zone', true, 'timestamptz'),
    -- When an unknown row is checked next, and the evidence so far.
    ('reconcile_at', 'timestamp with time zone', true, 'timestamptz'),
    ('reconcile', 'jsonb', true, 'jsonb')) c
$$;

-- Returns whether the role has the rights of Punctual's owner, so that its code may run with them.
create function punctual.has_owner_rights(p_role oid) returns boolean
language sql stable set search_path = '' as $$
  select pg_has_role(p_role, n.nspowner, 'member') from pg_catalog.pg_namespace n where n.nspname = 'punctual'
$$;

-- Returns the table that p_table names. Raises an error with a hint if it cannot become the queue p_name.
create function punctual.find_queue_table(p_name text, p_table text) returns regclass
language plpgsql set search_path = '' as $$
declare
  v_parts text[];
  v_table regclass;
  v_other punctual.queues;
begin
  begin
    v_parts := parse_ident(p_table);
  exception when invalid_parameter_value then
    v_parts := null;
  end;
  if array_length(v_parts, 1) is distinct from 2 then
    raise exception 'add_queue: the table name "%" needs its schema', p_table
      using errcode = '22023', hint = 'For example ''public.free_trials''.';
  end if;
  v_table := to_regclass(format('%I.%I', v_parts[1], v_parts[2]));
  if v_table is null then
    raise exception 'add_queue: there is no table %', p_table
      using errcode = '42P01', hint = 'Check the spelling. A name with capitals needs its own quotes: ''public."FreeTrials"''.';
  end if;
  if v_parts[1] in ('pg_catalog', 'information_schema') or exists (
    select from pg_catalog.pg_class c where c.oid = v_table and (c.relkind <> 'r' or c.relpersistence <> 'p' or c.relispartition)) then
    raise exception 'add_queue: % is not an ordinary table', p_table
      using errcode = '42809', hint = 'Views, partitions, partitioned, foreign, unlogged and system tables cannot be queues.';
  end if;
  if exists (select from pg_catalog.pg_class c where c.oid = v_table and not punctual.has_owner_rights(c.relowner)) then
    raise exception 'add_queue: the owner of % lacks the rights of Punctual’s owner, with which after_restore runs the table’s triggers', p_table
      using errcode = '42501', hint = 'Run: alter table … owner to the owner of the schema punctual. Or make its owner a member of that role.';
  end if;
  if v_parts[1] = 'punctual' and v_parts[2] in ('queues', 'partitions', 'ticks', 'providers', 'accounts', 'pace', 'receipts', 'history', 'regions', 'monitor_checks',
                                                       'monitor_hours', 'incidents', 'settings', 'daily_outcomes', 'daily_checks', 'rollups',
                                                       'sequences', 'sequence_versions', 'enrolment_events', 'held_rows', 'whatsapp_users',
                                                       'queue_workers', 'queue_worker_tokens') then
    raise exception 'add_queue: the table % is reserved for Punctual', p_table using errcode = '42809', hint = 'Create a table of your own.';
  end if;
  select * into v_other from punctual.queues o where o.name <> p_name and (o.table_schema, o.table_name) = (v_parts[1], v_parts[2]);
  if found then
    raise exception 'add_queue: % is already the table of the queue %', p_table, v_other.name
      using errcode = '23505', hint = format('Use that queue, or remove it first: select punctual.remove_queue(%L);', v_other.name);
  end if;
  select * into v_other from punctual.queues o where o.name = p_name and (o.table_schema, o.table_name) <> (v_parts[1], v_parts[2]);
  if found then
    raise exception 'add_queue: the queue % has another table, %.%', p_name, v_other.table_schema, v_other.table_name
      using errcode = '23505', hint = 'Choose another name. If the table was renamed, update table_schema and table_name in punctual.queues.';
  end if;
  return v_table;
end
$$;

-- Returns the type of a column, without its length; null if there is no such column.
create function punctual.type_of_column(p_table regclass, p_column text) returns text
language sql stable set search_path = '' as $$
  select format_type(a.atttypid, null) from pg_catalog.pg_attribute a
   where a.attrelid = p_table and a.attname = p_column and not a.attisdropped
$$;

-- Returns the type of a column with its length; null if there is no such column.
create function punctual.full_type_of_column(p_table regclass, p_column text) returns text
language sql stable set search_path = '' as $$
  select format_type(a.atttypid, a.atttypmod) from pg_catalog.pg_attribute a
   where a.attrelid = p_table and a.attname = p_column and not a.attisdropped
$$;

-- Lists the user's columns that could have a row's state: text and enums.
create function punctual.list_text_columns(p_table regclass, q punctual.queues) returns text
language sql stable set search_path = '' as $$
  select coalesce(string_agg(a.attname, ', ' order by a.attnum), 'none is text or an enum')
    from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
   where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped and t.typcategory in ('S', 'E')
     and a.attname not in (select s.name from punctual.standard_columns(q) s)
$$;

-- Returns the type of the table's key. Raises 22023 unless the key is one column id, bigint or uuid.
create function punctual.read_id_type(p_table regclass) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_type text := (
    select format_type(a.atttypid, null)
      from pg_catalog.pg_index i join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
     where i.indrelid = p_table and i.indisprimary and i.indnkeyatts = 1 and a.attname = 'id');
begin
  if v_type in ('bigint', 'uuid') then return v_type; end if;
  raise exception 'add_queue: the primary key of % has to be one column id, bigint or uuid', p_table
    using errcode = '22023', hint = 'To change an integer key: alter table … alter column id type bigint. Otherwise add such a key.';
end
$$;

-- Raises 22023 unless the due column is timestamptz.
create function punctual.check_due_column(p_table regclass, p_column text) returns void
language plpgsql stable set search_path = '' as $$
declare
  v_type text := punctual.type_of_column(p_table, p_column);
begin
  if v_type = 'timestamp with time zone' then return; end if;
  raise exception 'add_queue: the due column % of % is %, and has to be timestamptz', p_column, p_table, coalesce(v_type, 'missing')
    using errcode = '22023', hint = case when v_type is null then 'Name the column that says when a row is due: p_due_column.'
      else 'Run: alter table … alter column … type timestamptz using … at time zone ''UTC''. Without a zone, each reader sees another instant.' end;
end
$$;

-- Raises 22023 for columns that do not fit together.
create function punctual.check_column_uses(p_table regclass, q punctual.queues) returns void
language plpgsql stable set search_path = '' as $$
begin
  if q.proof_column = any (q.jsonb_columns) then
    raise exception 'add_queue: the proof column % is jsonb, and has to be text', q.proof_column
      using errcode = '22023', hint = 'It holds the provider''s id of the message, which is looked up as text.';
  end if;
  if q.account_column is not null and not exists (
    select from pg_catalog.pg_constraint c
      join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attname = q.account_column and c.conkey = array[a.attnum]
     where c.conrelid = p_table and c.contype = 'f' and c.confrelid = 'punctual.accounts'::regclass) then
    -- Without it a row could name a missing account and wait forever.
    raise exception 'add_queue: the account column % of % has to reference punctual.accounts (id)', q.account_column, p_table
      using errcode = '22023', hint = format('alter table %s add foreign key (%I) references punctual.accounts', p_table, q.account_column);
  end if;
  if q.proof_column is not null and not q.proof_column = any (q.result_columns) then
    raise exception 'add_queue: the proof column % is not a result column', q.proof_column
      using errcode = '22023', hint = 'Name it in p_result_columns as well.';
  end if;
  if q.pair_column is not null and q.account_column is null then
    raise exception 'add_queue: a pair column needs an account column'
      using errcode = '22023', hint = 'Name it in p_account_column, or leave out p_pair_column.';
  end if;
end
$$;

-- Checks that the key and the named columns exist and have the right type. Returns q with id_type and jsonb_columns. Raises 22023.
create function punctual.check_queue_columns(p_table regclass, q punctual.queues) returns punctual.queues
language plpgsql set search_path = '' as $$
declare
  v_column record;
  v_type text;
begin
  q.id_type := punctual.read_id_type(p_table);
  perform punctual.check_due_column(p_table, q.due_column);
  q.jsonb_columns := '{}';
  for v_column in
    select * from (values ('partition', q.partition_column, array['text']), ('account', q.account_column, array['uuid']),
                          ('pair', q.pair_column, array['text']), ('progress', q.progress_column, array['jsonb']),
                          ('waits', q.waits_column, array['text']), ('closes', q.closes_column, array['timestamp with time zone'])) c (role, name, types)
     where c.name is not null
    union all select 'result', r, array['text', 'jsonb'] from unnest(q.result_columns) r
    union all select 'secret', s, null from unnest(q.secret_columns) s
    -- A column with the usual name is added.
    union all select 'status', q.status_column, null where q.status_column <> 'status'
  loop
    v_type := punctual.type_of_column(p_table, v_column.name);
    if v_type is null or v_type <> all (v_column.types) then
      raise exception 'add_queue: the % column % of % is %, and has to be %',
        v_column.role, v_column.name, p_table, coalesce(v_type, 'missing'), coalesce(array_to_string(v_column.types, ' or '), 'there')
        using errcode = '22023', hint = case when v_column.role = 'status'
          then format('Name an existing column: %s. Without p_status_column, a column status is added.', punctual.list_text_columns(p_table, q))
          else 'Add it, name another column, or change its type.' end;
    end if;
    if v_column.role = 'result' and v_type = 'jsonb' then q.jsonb_columns := q.jsonb_columns || v_column.name::text; end if;
  end loop;
  perform punctual.check_column_uses(p_table, q);
  return q;
end
$$;

-- Raises 22023 if a column has two roles, because a settle writes each column once, or if ticks cannot write a column that they have to write.
create function punctual.check_column_roles(p_table regclass, q punctual.queues) returns void
language plpgsql set search_path = '' as $$
declare
  v_standard text[] := array['id'] || array(select s.name from punctual.standard_columns(q) s);
  v_named text[] := array_remove(array[q.status_column, q.due_column, q.partition_column, q.account_column, q.progress_column] || q.result_columns, null);
  v_column record;
begin
  select n.name into v_column from unnest(v_named) with ordinality n (name, place)
   where n.name = any (v_standard) or n.place > array_position(v_named, n.name) order by n.place limit 1;
  if found then
    raise exception 'add_queue: the column % has another role already', v_column.name
      using errcode = '22023', hint = 'A column has one role: standard, status, due, partition, account, progress or result column.';
  end if;
  select a.attname as name, case when a.attidentity <> '' then 'identity' else 'expression' end as generated into v_column
    from pg_catalog.pg_attribute a
   where a.attrelid = p_table and not a.attisdropped and (a.attgenerated <> '' or a.attidentity <> '') and a.attname <> 'id'
     and a.attname = any (v_standard || q.status_column || q.due_column || q.progress_column || q.result_columns) order by a.attnum limit 1;
  if found then
    raise exception 'add_queue: the column % of % is generated, but ticks have to write it', v_column.name, p_table
      using errcode = '22023',
            hint = format('alter table %s alter column %I drop %s, or rename your column.', p_table, v_column.name, v_column.generated);
  end if;
  select a.attname as name into v_column from pg_catalog.pg_attribute a join punctual.standard_columns(q) s on s.name = a.attname and s.emptied
   where a.attrelid = p_table and not a.attisdropped and a.attnotnull order by a.attnum limit 1;
  if found then
    raise exception 'add_queue: the column % of % is not null, but ticks have to set it to null', v_column.name, p_table
      using errcode = '22023', hint = format('alter table %s alter column %I drop not null, or rename your column.', p_table, v_column.name);
  end if;
end
$$;

-- Returns q with the words of p_words, and with the state's name for each state that p_words lacks. Raises 22023.
create function punctual.read_words(q punctual.queues, p_words jsonb) returns punctual.queues
language plpgsql set search_path = '' as $$
declare
  v_words jsonb := jsonb_build_object('pending', 'pending', 'running', 'running', 'done', 'done',
                                      'dead', 'dead', 'unknown', 'unknown', 'cancelled', 'cancelled') || coalesce(p_words, '{}');
  v_pairs text;
  v_count integer;
begin
  if jsonb_typeof(v_words) <> 'object' or exists (select from jsonb_each(v_words) w where jsonb_typeof(w.value) <> 'string') then
    raise exception 'add_queue: p_words is not an object of words'
      using errcode = '22023', hint = 'For example ''{"running": "sending", "done": "sent"}''.';
  end if;
  if (select count(*) from jsonb_object_keys(v_words)) <> 6 then
    raise exception 'add_queue: p_words has unknown states: %',
      (select string_agg(k, ', ') from jsonb_object_keys(v_words) k
        where k not in ('pending', 'running', 'done', 'dead', 'unknown', 'cancelled'))
      using errcode = '22023', hint = 'Its keys are pending, running, done, dead, unknown and cancelled. Its values are your table''s words for them.';
  end if;
  select string_agg(format('%s "%s"', s.state, w.word), ', ' order by s.place), count(distinct w.word) filter (where w.word <> '')
    into v_pairs, v_count
    from unnest(array['pending', 'running', 'done', 'dead', 'unknown', 'cancelled']) with ordinality s (state, place)
   cross join lateral (select v_words->>s.state as word) w;
  if v_count <> 6 then
    raise exception 'add_queue: the six state words have to be distinct, and are %', v_pairs
      using errcode = '22023', hint = 'Name six words, none of them empty. Add missing ones to the column''s check.';
  end if;
  return jsonb_populate_record(q, (select jsonb_object_agg(w.key || '_word', w.value) from jsonb_each(v_words) w));
end
$$;

-- Raises 22023 for a table without the status column if another column probably has the row's state, which ticks would ignore: its check or enum
-- has the pending word, or it is called state and has a check or an enum with text.
create function punctual.check_no_state_column(p_table regclass, q punctual.queues) returns void
language plpgsql set search_path = '' as $$
declare
  v_column text;
  v_accepts boolean;
begin
  if punctual.type_of_column(p_table, q.status_column) is not null then return; end if;
  select a.attname, strpos(w.words, quote_literal(q.pending_word)) > 0 into v_column, v_accepts
    from pg_catalog.pg_attribute a
   cross join lateral (
     select string_agg(quote_literal(e.enumlabel), ' ') from pg_catalog.pg_enum e where e.enumtypid = a.atttypid
     union all
     select pg_get_expr(c.conbin, c.conrelid) from pg_catalog.pg_constraint c
      where c.conrelid = p_table and c.contype = 'c' and c.conkey = array[a.attnum]) w (words)
   where a.attrelid = p_table and not a.attisdropped
     and (strpos(w.words, quote_literal(q.pending_word)) > 0 or (a.attname = 'state' and strpos(w.words, '''') > 0))
   order by 2 desc, a.attnum limit 1;
  if v_column is not null then
    raise exception 'add_queue: % has no column status, but a column % that %', p_table, v_column,
        case when v_accepts then format('accepts the word "%s"', q.pending_word) else 'has a check or an enum of its own' end
      using errcode = '22023',
            hint = format('If it has the row''s state: p_status_column => %L. If not: p_status_column => ''status'', which add_queue adds.', v_column);
  end if;
end
$$;

-- Returns the function's name as the registry stores it; null for null. p_types: the types of its arguments. p_said: its arguments for messages.
-- Raises 42883 if it does not exist, and 42501 if ticks may not call it or if its owner lacks the rights of Punctual's owner: calls by Punctual's
-- owner run it with these rights, and its owner could replace it.
create function punctual.check_function(p_function text, p_types text, p_said text) returns punctual.function_name
language plpgsql set search_path = '' as $$
declare
  v_function regprocedure;
begin
  if p_function is null then return null; end if;
  begin
    v_function := to_regprocedure(p_function || p_types);
  exception when others then
    -- Text that is not a name raises here.
    v_function := null;
  end;
  if v_function is null then
    raise exception 'add_queue: there is no function %(%)', p_function, p_said
      using errcode = '42883', hint = 'Create it first, and name it with its schema.';
  end if;
  if not has_function_privilege('service_role', v_function, 'execute') then
    raise exception 'add_queue: ticks run as service_role, which may not call %', p_function
      using errcode = '42501', hint = 'Run: grant execute on function … to service_role; grant usage on schema … to service_role.';
  end if;
  if exists (select from pg_catalog.pg_proc p where p.oid = v_function and not punctual.has_owner_rights(p.proowner)) then
    raise exception 'add_queue: the owner of % lacks the rights of Punctual’s owner', p_function
      using errcode = '42501', hint = 'Run: alter function … owner to the owner of the schema punctual.';
  end if;
  return (select format('%I.%I', n.nspname, p.proname)
            from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace where p.oid = v_function);
end
$$;

-- Raises 22023 unless p_settings is an object of known settings. The checks of punctual.queues test their values.
create function punctual.check_settings(p_settings jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_known text[] := array['batch_limit', 'concurrency', 'adaptive', 'budget_seconds', 'max_ticks', 'timeout_seconds', 'lease_seconds', 'max_attempts',
                          'backoff_base_seconds', 'backoff_cap_seconds', 'retention_days'];
  v_unknown text;
begin
  if jsonb_typeof(p_settings) <> 'object' then
    raise exception 'add_queue: p_settings is not an object of settings' using errcode = '22023', hint = 'For example ''{"concurrency": 10}''.';
  end if;
  select string_agg(k, ', ') into v_unknown from jsonb_object_keys(p_settings) k where k <> all (v_known);
  if v_unknown is not null then
    raise exception 'add_queue: there is no setting %', v_unknown
      using errcode = '22023', hint = format('The settings are %s and %s.', array_to_string(trim_array(v_known, 1), ', '), v_known[cardinality(v_known)]);
  end if;
end
$$;

-- Adds the missing status and standard columns, and returns their names. Raises 22023 rather than guess the state of rows without a status: the first
-- tick would send pending ones.
create function punctual.add_standard_columns(p_table regclass, q punctual.queues, p_existing_rows text) returns text[]
language plpgsql set search_path = '' as $$
declare
  v_added text[] := '{}';
  v_column record;
  v_has_rows boolean;
begin
  if punctual.type_of_column(p_table, q.status_column) is null then
    execute punctual.render_sql(q, 'alter table {table} add column {status} text not null default %L '
                                   'check ({status} in ({cancelled}, {dead}, {done}, {pending}, {running}, {unknown}))',
                                punctual.word_of_state(q, coalesce(p_existing_rows, 'pending')));
    execute punctual.render_sql(q, 'alter table {table} alter column {status} set default {pending}');
    -- Reads under the lock of ALTER TABLE, so no row can be inserted meanwhile.
    execute punctual.render_sql(q, 'select exists (select from {table})') into v_has_rows;
    if v_has_rows and p_existing_rows is null then
      raise exception 'add_queue: % has rows and no column %, so the state of these rows is unknown', p_table, q.status_column
        using errcode = '22023',
              hint = 'Name their state: p_existing_rows => ''done'' (or ''cancelled''), or ''pending'' to run the due ones in the first tick. '
                     'If another column has the state, name it in p_status_column.';
    end if;
    v_added := v_added || q.status_column;
  end if;
  perform punctual.check_status_words(p_table, q.status_column,
    array[q.cancelled_word, q.dead_word, q.done_word, q.pending_word, q.running_word, q.unknown_word]);
  for v_column in
    select * from punctual.standard_columns(q) s where q.delivery = 'at-most-once' or s.name not in ('reconcile_at', 'reconcile')
  loop
    if punctual.add_column(p_table, v_column.name, v_column.type, v_column.definition) then
      v_added := v_added || v_column.name;
    end if;
  end loop;
  return v_added;
end
$$;

-- Takes over existing columns. Raises 22023 for values and defaults that ticks cannot use. Gives priority and attempts a default and `not null`, and
-- priority a check. p_added: the columns that were just added. Returns notes of its changes.
create function punctual.take_over_columns(p_table regclass, q punctual.queues, p_added text[]) returns text[]
language plpgsql set search_path = '' as $$
declare
  v_notes text[] := '{}';
  v_column record;
  v_default text;
  v_bad boolean;
begin
  for v_column in
    select c.* from (values
      ('priority', 'priority is not between 0 and 3', 'priority is null or priority not between 0 and 3', 1, true),
      ('attempts', 'attempts are null or negative', 'attempts is null or attempts < 0', 0, true),
      -- If these are null, the queue's settings apply.
      ('max_attempts', 'max_attempts is less than 1', 'max_attempts < 1', 5, false),
      ('timeout_seconds', 'timeout_seconds is less than 1', 'timeout_seconds < 1', 15, false)) c (name, said, bad, remedy, closed)
     where c.name <> all (p_added)
  loop
    execute format('select exists (select from %s where %s)', p_table, v_column.bad) into v_bad;
    if v_bad then
      raise exception 'add_queue: % has rows whose %', p_table, v_column.said
        using errcode = '22023',
              hint = format('update %s set %s = %s where %s, or rename your column.', p_table, v_column.name, v_column.remedy, v_column.bad);
    end if;
    select pg_get_expr(d.adbin, d.adrelid) into v_default
      from pg_catalog.pg_attribute a join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = p_table and a.attname = v_column.name;
    if v_default is not null then
      execute format('select %s from (select %s as %I) d', v_column.bad, v_default, v_column.name) into v_bad;
      if v_bad then
        raise exception 'add_queue: % has an invalid default (%): %', p_table, v_default, v_column.said
          using errcode = '22023',
                hint = format('alter table %s alter column %s set default %s, or rename your column.', p_table, v_column.name, v_column.remedy);
      end if;
    elsif v_column.closed then
      execute format('alter table %s alter column %s set default %s', p_table, v_column.name, v_column.remedy);
    end if;
    if v_column.closed then execute format('alter table %s alter column %s set not null', p_table, v_column.name); end if;
  end loop;
  if 'priority' <> all (p_added)
     and not exists (select from pg_catalog.pg_constraint c where c.conrelid = p_table and c.conname = punctual.priority_check(q)) then
    execute format('alter table %s add constraint %I check (priority between 0 and 3)', p_table, punctual.priority_check(q));
    v_notes := v_notes || format('priority has a new check, "%s": it must be between 0 and 3', punctual.priority_check(q));
  end if;
  return v_notes;
end
$$;

-- Returns notes about checks and triggers of the table that only a tick's write would test, and about a missing default of the status column.
create function punctual.list_table_notes(p_table regclass, q punctual.queues) returns text[]
language plpgsql stable set search_path = '' as $$
declare
  v_notes text[];
  v_default text;
begin
  select array_agg(n.note order by n.place, n.name) into v_notes from (
    select 1 as place, c.conname as name,
           case when bool_or(a.attname = q.status_column) then format('the check "%s" covers several columns: it must allow every word that a tick writes', c.conname)
                else format('the check "%s" is on %s: it must allow every value that a tick writes there', c.conname, string_agg(a.attname, ', ' order by a.attnum)) end as note
      from pg_catalog.pg_constraint c
      join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
       and (a.attname in (q.status_column, 'attempts') or a.attname in (select s.name from punctual.standard_columns(q) s where s.emptied))
     where c.conrelid = p_table and c.contype = 'c'
     -- check_status_words has tested the checks on the status column alone.
     group by c.oid, c.conname, c.conkey having cardinality(c.conkey) > 1 or not bool_or(a.attname = q.status_column)
    union all
    select 2, g.tgname, format('the trigger "%s" runs in ticks with an empty search_path: give %s() its own (set search_path = …), or qualify its names',
                               g.tgname, p.oid::regproc)
      from pg_catalog.pg_trigger g join pg_catalog.pg_proc p on p.oid = g.tgfoid
     where g.tgrelid = p_table and not g.tgisinternal and g.tgenabled <> 'D' and (g.tgtype & 16) <> 0
       and not exists (select from unnest(p.proconfig) o where o like 'search_path=%')) n;
  v_notes := coalesce(v_notes, '{}');
  select pg_get_expr(d.adbin, d.adrelid) into v_default
    from pg_catalog.pg_attribute a left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where a.attrelid = p_table and a.attname = q.status_column;
  if v_default is null or (v_default <> q.pending_word and not starts_with(v_default, quote_literal(q.pending_word) || '::')) then
    v_notes := v_notes || format('%s has no default ''%s'': set it on every row that should run', q.status_column, q.pending_word);
  end if;
  return v_notes;
end
$$;

-- Lists every index that a queue may have. definition: null if this queue lacks it. Each is partial, so settled rows do not slow a claim.
create function punctual.queue_indexes(q punctual.queues, out name text, out is_unique boolean, out definition text) returns setof record
language sql stable set search_path = '' as $$
  select 'punctual_' || q.name || i.suffix, i.suffix = '_key', punctual.render_sql(q, i.template)
    from (select case when q.partition_column is null then '(' else '({partition}, ' end, '(coalesce(next_attempt_at, {due}))') v (first, due)
   cross join lateral (values
     ('_due', case when q.account_column is null
       then v.first || 'priority, ' || v.due || ', id) where {status} = {pending}'
       -- For queries on the whole queue, never on one account's rows: with stale statistics the planner would scan it once for each account. The
       -- condition on priority is always true. Queries on an account's rows do not state it, so they cannot use this index.
       else v.first || v.due || ', id) where {status} = {pending} and priority + 0 >= 0' end),
     ('_lease', '(lease_expires_at) where {status} = {running}'),
     ('_expiry', '(expires_at) where {status} = {pending} and expires_at is not null'),
     ('_settled', '({status}, finished_at) where {status} in ({done}, {dead}, {unknown}, {cancelled})'),
     -- Dead rows are redriven by partition, the longest dead first.
     ('_dead', case when q.partition_column is not null then '({partition}, finished_at, id) where {status} = {dead}' end),
     ('_account', case when q.account_column is not null then '({account}, priority, ' || v.due || ', id) where {status} = {pending}' end),
     ('_reconcile', case when q.delivery = 'at-most-once' then '(reconcile_at) where {status} = {unknown} and reconcile_at is not null' end),
     ('_proof', case when q.proof_column is not null then '({proof}) where {proof} is not null' end),
     -- Rows that were sent without a provider's id. Their message must not prove another row.
     ('_unproved', case when q.proof_column is not null and q.pair_column is not null
       then '({account}, {addressee}) where {status} = {done} and {proof} is null' end),
     -- Rows without a due time that wait for no event, among the many that do.
     ('_stranded', case when q.waits_column is not null then '(id) where {status} = {pending} and ' || v.due || ' is null and {waits} is null' end),
     ('_key', '(idempotency_key) where idempotency_key is not null')) i (suffix, template)
$$;

-- Creates the queue's indexes. Drops an index whose words or columns have changed, and those that a removed queue of this name left on this table.
-- p_before: the queue as it was; null if there was none. Raises 23505 for a duplicate idempotency_key, and 42P07 if an index of that name is on
-- another table.
create function punctual.make_queue_indexes(p_table regclass, q punctual.queues, p_before punctual.queues) returns void
language plpgsql set search_path = '' as $$
declare
  v_index record;
  v_key text;
begin
  execute format('select idempotency_key from %s where idempotency_key is not null group by 1 having count(*) > 1 limit 1', p_table) into v_key;
  if v_key is not null then
    raise exception 'add_queue: two rows of % have the idempotency_key "%"', p_table, v_key
      using errcode = '23505', hint = 'Keys must be unique: set one of them to null, or rename your column.';
  end if;
  for v_index in
    select n.*, p_before.name is not null and n.definition is not distinct from b.definition as is_same,
           i.indexrelid::regclass as there, i.indrelid::regclass as its_table
      from punctual.queue_indexes(q) n
      left join punctual.queue_indexes(case when p_before.name is null then q else p_before end) b on b.name = n.name
      join pg_catalog.pg_class t on t.oid = p_table
      left join pg_catalog.pg_class c on c.relname = n.name and c.relnamespace = t.relnamespace
      left join pg_catalog.pg_index i on i.indexrelid = c.oid
  loop
    if v_index.its_table <> p_table then
      raise exception 'add_queue: the index % belongs to %', v_index.there, v_index.its_table
        using errcode = '42P07', hint = 'A removed queue of this name left it. Drop its indexes.';
    end if;
    if v_index.there is not null and not v_index.is_same then execute format('drop index %s', v_index.there); end if;
    if v_index.definition is not null then
      execute format('create %s index if not exists %I on %s %s',
                     case when v_index.is_unique then 'unique' else '' end, v_index.name, p_table, v_index.definition);
    end if;
  end loop;
end
$$;

-- Triggers for rows that are settled by plain SQL. Such a row gets a finished_at and loses its lease, and the queue's after_settle runs. A row that
-- is made pending again loses its finished_at, and its attempt's claim is remembered: see accept_late_proof. The engine's own writes set punctual.settles
-- to the queue's name, and these triggers ignore them.

-- Trigger before a row becomes done, dead or cancelled.
create function punctual.finish_by_hand() returns trigger
language plpgsql set search_path = '' as $$
begin
  if new.finished_at is null or new.finished_at is not distinct from old.finished_at then new.finished_at := clock_timestamp(); end if;
  new.lease_expires_at := null;
  return new;
end
$$;

-- Trigger before a row becomes pending. tg_argv[0]: the queue's delivery.
create function punctual.requeue_by_hand() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.finished_at := null;
  new.lease_expires_at := null;
  if tg_argv[0] = 'at-most-once' and old.claim_id is not null then
    new.reconcile := jsonb_set(coalesce(new.reconcile, '{}'), '{claims}', coalesce(new.reconcile->'claims', '[]') || to_jsonb(old.claim_id));
  end if;
  return new;
end
$$;

-- Trigger after a row becomes done, dead or cancelled, or a pending row is deleted: ends its account's wait and calls after_settle. tg_argv: the
-- queue's name and its after_settle, or ''. Runs as the role that writes the row: run as the owner, it would give that role the owner's rights.
create function punctual.note_settled_by_hand() returns trigger
language plpgsql set search_path = '' as $$
declare
  v_row jsonb := to_jsonb(new);
begin
  if not has_schema_privilege('punctual', 'usage') then
    -- An account that waits for the row continues by itself when its wait ends.
    if tg_argv[1] = '' then return null; end if;
    raise exception '% may not settle rows of the queue %: that role cannot call its after_settle', current_user, tg_argv[0]
      using errcode = '42501', hint = 'Settle the row as the owner, as service_role, or by POST /api/queues/:queue/rows/:id/resolve.';
  end if;
  perform punctual.end_hold(q, to_jsonb(old), clock_timestamp()) from punctual.queues q where q.name = tg_argv[0];
  if tg_op = 'UPDATE' then
    perform punctual.run_after_settle_isolated(q, jsonb_build_array(jsonb_build_object(
        'id', v_row->'id', 'claim_id', v_row->'claim_id', 'outcome', punctual.state_of_word(q, v_row->>q.status_column), 'error', v_row->'last_error',
        'rate_limited', false, 'claimed_at', v_row->'claimed_at', 'due', v_row->q.due_column, 'account_id', v_row->q.account_column)),
      -- Null if a later trigger of the table has settled the row.
      coalesce(new.finished_at, clock_timestamp())) from punctual.queues q where q.name = tg_argv[0];
  end if;
  return null;
end
$$;

-- Trigger after an insert: tells listening workers that the queue has rows, if any worker ever listened. Commits that notify wait for each other, so
-- databases without such a worker do without it. Runs as the owner, because the role that inserts may not read the settings. tg_argv[0]: the queue's
-- name.
create function punctual.notify_worker() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if (select s.notifies_workers from punctual.settings s) then perform pg_notify('punctual', tg_argv[0]); end if;
  return null;
end
$$;

-- Has the inserts of all queues notify workers. A worker calls it when it begins to listen.
create function punctual.listen_for_inserts() returns void
language plpgsql set search_path = '' as $$
begin
  update punctual.settings set notifies_workers = true where not notifies_workers;
end
$$;

-- Creates the queue's triggers on its table, and drops those that it does not need.
create function punctual.make_queue_triggers(p_table regclass, q punctual.queues) returns void
language plpgsql set search_path = '' as $$
declare
  v_trigger record;
  v_by_hand text := format('current_setting(''punctual.settles'', true) is distinct from %L', q.name);
  v_settled text := punctual.render_sql(q, 'old.{status} is distinct from new.{status} and new.{status} in ({done}, {dead}, {cancelled}) and %s', v_by_hand);
begin
  for v_trigger in
    select * from (values
      ('finish_by_hand', 'before update', v_settled, 'finish_by_hand()', true),
      ('requeue_by_hand', 'before update', punctual.render_sql(q, 'old.{status} is distinct from new.{status} and new.{status} = {pending} and %s', v_by_hand),
       format('requeue_by_hand(%L)', q.delivery), true),
      ('note_settled_by_hand', 'after update', v_settled, format('note_settled_by_hand(%L, %L)', q.name, coalesce(q.after_settle, '')),
       q.after_settle is not null or q.account_column is not null),
      ('note_deleted_by_hand', 'after delete', punctual.render_sql(q, 'old.{status} = {pending} and old.claimed_at is not null and %s', v_by_hand),
       format('note_settled_by_hand(%L, '''')', q.name), q.account_column is not null),
      ('spent_key', 'after insert', 'new.idempotency_key is not null', format('refuse_spent_key(%L)', q.name), punctual.keeps_keys(q.name)))
      v (name, event, condition, call, is_wanted)
  loop
    if v_trigger.is_wanted then
      execute format('create or replace trigger punctual_%s %s on %s for each row when (%s) execute function punctual.%s',
                     v_trigger.name, v_trigger.event, p_table, v_trigger.condition, v_trigger.call);
    else
      execute format('drop trigger if exists punctual_%s on %s', v_trigger.name, p_table);
    end if;
  end loop;
  execute format('create or replace trigger punctual_notify_worker after insert on %s for each statement execute function punctual.notify_worker(%L)', p_table, q.name);
end
$$;

-- Writes the queue's row of the registry, its current partitions, and a pace for each account. Settings that an operator changed stay. Raises 22023
-- for a setting out of range.
create function punctual.register_queue(q punctual.queues, p_settings jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  begin
    insert into punctual.queues select n.* from jsonb_populate_record(q, jsonb_build_object(
      'source', 'table', 'batch_limit', 30, 'concurrency', 5, 'adaptive', false, 'max_ticks', 1, 'max_continuations', 10, 'timeout_seconds', 15,
      'lease_seconds', 90, 'max_attempts', 5, 'backoff_base_seconds', 30, 'backoff_cap_seconds', 3600,
      -- Rows of a user's table are deleted only if the user sets retention_days.
      'retention_days', case when q.table_schema = 'punctual' then 30 end) || p_settings) n
    on conflict (name) do update set
      id_type = excluded.id_type, due_column = excluded.due_column, status_column = excluded.status_column, status_type = excluded.status_type,
      partition_column = excluded.partition_column, account_column = excluded.account_column,
      pending_word = excluded.pending_word, running_word = excluded.running_word, done_word = excluded.done_word,
      dead_word = excluded.dead_word, unknown_word = excluded.unknown_word, cancelled_word = excluded.cancelled_word,
      delivery = excluded.delivery, result_columns = excluded.result_columns, jsonb_columns = excluded.jsonb_columns,
      secret_columns = excluded.secret_columns, progress_column = excluded.progress_column, after_settle = excluded.after_settle, before_claim = excluded.before_claim,
      proof_column = excluded.proof_column, pair_column = excluded.pair_column, evidence = excluded.evidence, facts = excluded.facts,
      waits_column = excluded.waits_column, closes_column = excluded.closes_column, setup = excluded.setup;
  exception when check_violation or not_null_violation or invalid_text_representation or numeric_value_out_of_range then
    raise exception 'add_queue: a setting is out of range: %', sqlerrm
      using errcode = '22023', hint = 'docs/settings.md has the range of each setting.';
  end;
  if q.partition_column is null then
    insert into punctual.partitions (queue, partition) values (q.name, 'main') on conflict do nothing;
  else
    execute punctual.render_sql(q, 'insert into punctual.partitions (queue, partition) '
                                   'select distinct {queue}, t.{partition} from {table} t where t.{partition} <> '''' on conflict do nothing');
  end if;
  if q.account_column is not null then
    insert into punctual.pace (queue, account_id, provider)
    select q.name, a.id, a.provider from punctual.accounts a on conflict do nothing;
  end if;
end
$$;

-- Returns the rights of the public on the table: {row_level_security, anon: [rights of the role anon]}.
create function punctual.read_table_rights(p_table regclass) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'row_level_security', (select c.relrowsecurity from pg_catalog.pg_class c where c.oid = p_table),
    'anon', (select coalesce(jsonb_agg(p), '[]') from unnest(array['select', 'insert', 'update', 'delete']) p
              where has_table_privilege('anon', p_table, p) or (p <> 'delete' and has_any_column_privilege('anon', p_table, p))))
$$;

-- Raises add_queue's result as notices, which `npm run migrate` prints. A migration does not show the results of its calls.
create function punctual.raise_setup(p_answer jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_note text;
  v_head text := format('add_queue: %s is the queue %s', p_answer->>'table', p_answer->>'queue');
begin
  if p_answer->'added' <> '[]' then
    raise notice '%; columns added: %', v_head, (select string_agg(a, ', ') from jsonb_array_elements_text(p_answer->'added') a);
  else
    raise notice '%', v_head;
  end if;
  if not (p_answer->>'row_level_security')::boolean and p_answer->'anon' <> '[]' then
    raise notice 'add_queue: anyone with the public (anon) key may % in %. To close it: alter table % enable row level security',
      (select string_agg(a, ', ') from jsonb_array_elements_text(p_answer->'anon') a), p_answer->>'table', p_answer->>'table';
  end if;
  for v_note in select n from jsonb_array_elements_text(p_answer->'notes') n loop
    raise notice 'add_queue: %', v_note;
  end loop;
end
$$;

-- Checks the arguments of add_queue that need no table. Raises 22023.
create function punctual.check_queue_arguments(p_name text, p_delivery text, p_existing_rows text) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if p_name is null or p_name !~ '^[a-z][a-z0-9_]{0,39}$' then
    raise exception 'add_queue: "%" is not a valid queue name', p_name
      using errcode = '22023', hint = 'Use up to 40 lower-case letters, digits and _, beginning with a letter.';
  end if;
  if p_delivery is null or p_delivery not in ('at-most-once', 'at-least-once') then
    raise exception 'add_queue: delivery cannot be "%"', p_delivery
      using errcode = '22023', hint = 'Use ''at-most-once'' or ''at-least-once''.';
  end if;
  if p_existing_rows not in ('pending', 'done', 'cancelled') then
    raise exception 'add_queue: p_existing_rows cannot be "%"', p_existing_rows
      using errcode = '22023', hint = 'Use the state of the existing rows: ''pending'', ''done'' or ''cancelled''.';
  end if;
end
$$;

-- Returns a note that lists the standard columns that the table already had; null if it had none.
create function punctual.note_found_columns(p_table regclass, q punctual.queues, p_added text[]) returns text
language sql stable set search_path = '' as $$
  select 'these columns existed already, and ticks use them from now on: ' || string_agg(a.attname, ', ' order by a.attnum)
    from pg_catalog.pg_attribute a join punctual.standard_columns(q) s on s.name = a.attname
   where a.attrelid = p_table and not a.attisdropped and a.attname <> all (p_added)
$$;

-- Returns a note with the number of due rows that the table already had; null if it had none.
create function punctual.note_due_rows(q punctual.queues) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_due bigint;
begin
  execute punctual.render_sql(q, 'select count(*) from {table} t where t.{status} = {pending} and {due_at} <= now()') into v_due;
  return case when v_due > 0 then format('rows that are already %s and due, and run in the first ticks: %s', q.pending_word, v_due) end;
end
$$;

-- Creates the queue's indexes and triggers on its table, tunes autovacuum, and grants the service role, as which ticks run, the rights on it.
create function punctual.prepare_table(p_table regclass, q punctual.queues, p_before punctual.queues) returns void
language plpgsql set search_path = '' as $$
begin
  perform punctual.make_queue_indexes(p_table, q, p_before);
  perform punctual.make_queue_triggers(p_table, q);
  -- Claims and settles leave dead entries at the head of these indexes; the defaults would let 20 % pile up.
  if p_before.name is null then
    execute format('alter table %s set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, '
                   'autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)', p_table);
  end if;
  if not has_schema_privilege('service_role', q.table_schema, 'usage') then
    execute format('grant usage on schema %I to service_role', q.table_schema);
  end if;
  execute format('grant select, insert, update, delete on %s to service_role', p_table);
end
$$;

-- Turns a table into a queue: see check_status_words for the steps.
--
-- p_table      the table, with its schema: 'public.free_trials'. Its primary key is one column `id`, bigint or uuid.
-- p_due_column the timestamptz column of a row's due time; null means never.
-- p_status_column  the text or enum column of a row's state, `status` by default. Only `status` is added if it is missing.
-- p_words      the table's own words for the six states, if they differ from the states' names.
-- p_result_columns  the text or jsonb columns that take values of an outcome's result under their names, for example provider ids.
-- p_progress_column  the jsonb column for a running row's progress.
-- p_after_settle  a function (p_applied jsonb, p_now timestamptz) that runs in the transaction of the settle, for effects beyond the row.
--              p_applied: [{id, claim_id, outcome, result, error, rate_limited, account_id, claimed_at, due}]. due: the due time of the attempt. It
--              also runs for a row that something other than its attempt settles: expiry (dead), a sweep (unknown, or dead if its attempts are used
--              up), a webhook, a check or an operator (done, dead, pending, cancelled), or plain SQL (done, dead, cancelled).
-- p_before_claim  a function (p_partition text, p_now timestamptz) that runs in a tick's first exchange, before the claim.
-- p_proof_column  the result column with the provider's id of the message. Reconciling lets each id prove one row.
-- p_pair_column  the text column of the addressee, if a provider may limit one addressee of an account.
-- p_evidence   a function (p_ids text[], p_now timestamptz) that returns {id: evidence} for rows that are checked.
-- p_facts      a function (p_ids text[], p_now timestamptz) that returns {id: facts} for rows that are claimed.
-- p_waits_column  the text column that names the event that a row without a due time waits for. Such a row is not shown as unreachable.
-- p_closes_column  the timestamptz column of the instant from which a row is not claimed, even if it is due. p_before_claim makes such rows due
--              again.
-- p_secret_columns  columns that lists of rows leave out, because people who may see rows must not see them: keys, tokens.
-- p_settings   initial values of settings (columns of punctual.queues).
-- p_existing_rows  the state of the existing rows, if the table has no status column: pending, done or cancelled.
--
-- Returns {queue, table, added: [columns], anon: [rights of the role anon], row_level_security, notes}. Raises this as notices, and stores it in
-- punctual.queues.setup, together with the columns and changes of earlier calls. Raises an error with a hint for each fault of table or arguments.
create function punctual.add_queue(
  p_name text, p_table text, p_due_column text, p_delivery text, p_words jsonb default '{}',
  p_partition_column text default null, p_account_column text default null, p_result_columns text[] default '{}',
  p_after_settle text default null, p_before_claim text default null, p_proof_column text default null, p_pair_column text default null,
  p_evidence text default null, p_progress_column text default null, p_secret_columns text[] default '{}', p_facts text default null,
  p_waits_column text default null, p_closes_column text default null, p_settings jsonb default '{}', p_existing_rows text default null,
  p_status_column text default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
  q punctual.queues;
  v_before punctual.queues;
  v_table regclass;
  v_added text[];
  v_changes text[];
  v_notes text[];
  v_answer jsonb;
begin
  perform punctual.check_queue_arguments(p_name, p_delivery, p_existing_rows);
  v_table := punctual.find_queue_table(p_name, p_table);
  select * into v_before from punctual.queues b where b.name = p_name;
  q := jsonb_populate_record(null::punctual.queues, jsonb_build_object(
    'name', p_name, 'due_column', p_due_column, 'delivery', p_delivery, 'status_column', coalesce(p_status_column, 'status'),
    'partition_column', p_partition_column, 'account_column', p_account_column, 'result_columns', coalesce(p_result_columns, '{}'),
    'progress_column', p_progress_column, 'secret_columns', coalesce(p_secret_columns, '{}'), 'proof_column', p_proof_column,
    'pair_column', p_pair_column, 'waits_column', p_waits_column, 'closes_column', p_closes_column));
  select n.nspname, c.relname into q.table_schema, q.table_name
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = v_table;
  if p_existing_rows is not null and v_before.name is null and punctual.type_of_column(v_table, q.status_column) is not null then
    raise exception 'add_queue: p_existing_rows does not apply: % has a column % with the state of each row', v_table, q.status_column
      using errcode = '22023', hint = 'Leave out p_existing_rows. To change the state of rows, update them first.';
  end if;
  q := punctual.check_queue_columns(v_table, q);
  perform punctual.check_column_roles(v_table, q);
  q := punctual.read_words(q, p_words);
  if p_status_column is null and p_existing_rows is null then perform punctual.check_no_state_column(v_table, q); end if;
  q.after_settle := punctual.check_function(p_after_settle, '(jsonb, timestamptz)', 'p_applied jsonb, p_now timestamptz');
  q.before_claim := punctual.check_function(p_before_claim, '(text, timestamptz)', 'p_partition text, p_now timestamptz');
  q.evidence := punctual.check_function(p_evidence, '(text[], timestamptz)', 'p_ids text[], p_now timestamptz');
  q.facts := punctual.check_function(p_facts, '(text[], timestamptz)', 'p_ids text[], p_now timestamptz');
  perform punctual.check_settings(coalesce(p_settings, '{}'));

  v_added := punctual.add_standard_columns(v_table, q, p_existing_rows);
  q.status_type := punctual.full_type_of_column(v_table, q.status_column);
  v_changes := punctual.take_over_columns(v_table, q, v_added);
  if v_before.name is null then
    v_changes := array_remove(punctual.note_found_columns(v_table, q, v_added) || v_changes || punctual.note_due_rows(q), null);
  end if;
  v_notes := punctual.list_table_notes(v_table, q);
  q.setup := jsonb_build_object('table', v_table::text, 'notes', to_jsonb(v_notes),
    'added', coalesce(v_before.setup->'added', '[]') || to_jsonb(v_added), 'changes', coalesce(v_before.setup->'changes', '[]') || to_jsonb(v_changes));
  perform punctual.prepare_table(v_table, q, v_before);
  perform punctual.register_queue(q, coalesce(p_settings, '{}'));
  perform punctual.make_functions(r) from punctual.queues r where r.name = q.name;
  v_answer := jsonb_build_object('queue', p_name, 'table', v_table::text, 'added', to_jsonb(v_added), 'notes', to_jsonb(v_changes || v_notes))
              || punctual.read_table_rights(v_table);
  if q.table_schema <> 'punctual' then perform punctual.raise_setup(v_answer); end if;
  return v_answer;
end
$$;

-- Removes a queue: its table becomes a plain table again. Owner only.
--
-- Deletes the queue's ledger, history, partitions, pace and receipts. Drops what add_queue created on the table: triggers, indexes, the check on
-- priority and the autovacuum settings. The rows, columns, defaults and grants stay. Also works if the table is gone.
--
-- p_drop_columns  also drops the columns that add_queue added, with their contents.
--
-- Returns {queue, table: null if it is gone, dropped: [columns]}. Raises PT404 for an unknown queue, 42809 for a queue of Punctual's own, and 55006
-- while a tick holds rows. Locks the ledger first, so that no exchange runs meanwhile.
create function punctual.remove_queue(p_name text, p_drop_columns boolean default false) returns jsonb
language plpgsql set search_path = '' as $$
declare
  q punctual.queues;
  v_table regclass;
  v_is_held boolean := false;
  v_name text;
  v_dropped text[] := '{}';
begin
  select * into q from punctual.queues x where x.name = p_name;
  if not found then raise exception 'remove_queue: there is no queue "%"', p_name using errcode = 'PT404'; end if;
  v_table := to_regclass(format('%I.%I', q.table_schema, q.table_name));
  if q.table_schema = 'punctual' then
    raise exception 'remove_queue: the table of % is Punctual''s own', p_name
      using errcode = '42809', hint = format('Pause it: update punctual.queues set paused_at = now() where name = %L;', p_name);
  end if;
  lock table punctual.ticks in exclusive mode;
  if v_table is not null then
    begin
      execute punctual.render_sql(q, 'select exists (select from {table} t where t.{status} = {running} and t.lease_expires_at > clock_timestamp())') into v_is_held;
    exception when undefined_column then
      null; -- The table was dropped, and another one was created under its name.
    end;
    if v_is_held then
      raise exception 'remove_queue: a tick holds rows of %', p_name using errcode = '55006',
        hint = format('Pause the queue and wait until the rows are settled: update punctual.queues set paused_at = now() where name = %L;', p_name);
    end if;
    for v_name in
      select g.tgname from pg_catalog.pg_trigger g join pg_catalog.pg_proc p on p.oid = g.tgfoid
       where g.tgrelid = v_table and p.pronamespace = 'punctual'::regnamespace and starts_with(g.tgname, 'punctual_')
    loop
      execute format('drop trigger %I on %s', v_name, v_table);
    end loop;
    for v_name in
      select i.indexrelid::regclass from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
       where i.indrelid = v_table and c.relname in (select n.name from punctual.queue_indexes(q) n)
    loop
      execute format('drop index %s', v_name);
    end loop;
    execute format('alter table %s drop constraint if exists %I', v_table, punctual.priority_check(q));
    execute format('alter table %s reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_analyze_scale_factor, '
                   'autovacuum_vacuum_cost_delay)', v_table);
    if p_drop_columns then
      for v_name in
        select c from jsonb_array_elements_text(q.setup->'added') c where punctual.type_of_column(v_table, c) is not null
      loop
        execute format('alter table %s drop column %I', v_table, v_name);
        v_dropped := v_dropped || v_name;
      end loop;
    end if;
  end if;
  perform punctual.drop_functions(p_name);
  delete from punctual.receipts where queue = p_name;
  delete from punctual.queues where name = p_name;
  return jsonb_build_object('queue', p_name, 'table', v_table::text, 'dropped', to_jsonb(v_dropped));
end
$$;

-- The rules of when an account may send, in pace/*.sql. Claims use them under the lock of the account's pace, and explain_row uses them to say why
-- a row waits. There is no other definition. All are in plpgsql, which keeps its plans: a SQL function that cannot be inlined is planned at each
-- call, a hundred times a claim.

-- Returns the spans of one day's hours, ["09:00-12:00", …]; null if the day is closed.
create function punctual.spans_on(p_hours jsonb, p_day date) returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
  return p_hours -> (array['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])[extract(isodow from p_day)::integer];
end
$$;

-- Returns whether the hours are open at this local time.
create function punctual.is_open(p_hours jsonb, p_local timestamp) returns boolean
language plpgsql immutable set search_path = '' as $$
declare
  v_spans jsonb := punctual.spans_on(p_hours, p_local::date);
  -- Times of day in this format compare as text, and 24:00 is after all of them.
  v_time text := to_char(p_local, 'HH24:MI');
begin
  for n in 0 .. coalesce(jsonb_array_length(v_spans), 0) - 1 loop
    if v_time >= left(v_spans->>n, 5) and v_time < right(v_spans->>n, 5) then return true; end if;
  end loop;
  return false;
end
$$;

-- Returns the instant after p_from at which the zone's clocks change, to the second. They must have changed by p_to. Searches by halves: 20 steps
-- for a week.
create function punctual.clock_change(p_zone text, p_from timestamptz, p_to timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_before bigint := floor(extract(epoch from p_from));
  v_after bigint := ceil(extract(epoch from p_to));
  v_offset interval := (p_from at time zone p_zone) - (p_from at time zone 'UTC');
  v_at timestamptz;
begin
  while v_after - v_before > 1 loop
    v_at := to_timestamp((v_before + v_after) / 2);
    if (v_at at time zone p_zone) - (v_at at time zone 'UTC') = v_offset then
      v_before := (v_before + v_after) / 2;
    else
      v_after := (v_before + v_after) / 2;
    end if;
  end loop;
  return to_timestamp(v_after);
end
$$;

-- Returns the first instant from p_from on at which the hours are open; 'infinity' if they never are.
create function punctual.next_open_at(p_hours jsonb, p_zone text, p_from timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_at timestamptz := p_from;
  v_local timestamp;
  v_opens timestamp;
  v_next timestamptz;
begin
  if punctual.is_open(p_hours, p_from at time zone p_zone) then return p_from; end if;
  -- Computes as if the clocks did not change. If they change before the hours open, continues from the change: a local time may occur twice or never.
  for v_changes in 0..3 loop
    v_local := v_at at time zone p_zone;
    for n in 0..7 loop
      select min(greatest(v_local::date + n + left(s, 5)::time, v_local)) into v_opens
        from jsonb_array_elements_text(punctual.spans_on(p_hours, v_local::date + n)) s where v_local::date + n + right(s, 5)::time > v_local;
      exit when v_opens is not null;
    end loop;
    exit when v_opens is null;
    -- Adds in UTC, because Postgres adds days to an instant in the session's time zone.
    v_next := ((v_at at time zone 'UTC') + (v_opens - v_local)) at time zone 'UTC';
    if v_next at time zone p_zone = v_opens then return v_next; end if;
    v_at := punctual.clock_change(p_zone, v_at, v_next);
  end loop;
  return 'infinity';
end
$$;

-- Returns an account's daily limit in a queue on p_day: the queue's own limit, else the account's, reduced during the ramp.
create function punctual.daily_limit_on(p_account punctual.accounts, p_pace punctual.pace, p_day date) returns integer
language plpgsql immutable set search_path = '' as $$
declare
  v_full integer := coalesce(p_pace.daily_limit, p_account.daily_limit);
  v_last integer := p_account.ramp_days - 1;
  v_day integer := greatest(0, p_day - p_account.ramp_started_on);
begin
  if v_full = 0 or p_account.ramp_started_on is null or v_day >= v_last then return v_full; end if;
  -- Whole numbers: rounding errors would cost a message.
  return greatest(1, v_full::bigint * (p_account.ramp_from_percent * v_last + (100 - p_account.ramp_from_percent) * v_day) / (100 * v_last));
end
$$;

-- Returns the first midnight after p_at.
create function punctual.next_midnight(p_zone text, p_at timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return (date_trunc('day', p_at at time zone p_zone) + interval '1 day') at time zone p_zone;
end
$$;

-- Returns the number of claims in the current day, and the end of that day. A counted day lasts until the first midnight at or after its end, so
-- that a change of time zone gives no second daily limit.
create function punctual.used_of_day(
  p_used integer, p_until timestamptz, p_zone text, p_now timestamptz, out used integer, out until timestamptz)
language plpgsql stable set search_path = '' as $$
begin
  if p_until > date_trunc('day', p_now, p_zone) then
    used := p_used;
    until := case when p_until > p_now then p_until else punctual.next_midnight(p_zone, p_until - interval '1 microsecond') end;
  else
    used := 0;
    until := punctual.next_midnight(p_zone, p_now);
  end if;
end
$$;

-- Returns until when an account has used up its daily limit in a queue: null if it has not, 'infinity' if the limit is 0.
create function punctual.day_opens_at(p_account punctual.accounts, p_pace punctual.pace, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_today date := (p_now at time zone p_account.time_zone)::date;
  v_limit integer := punctual.daily_limit_on(p_account, p_pace, v_today);
  v_day record := punctual.used_of_day(p_pace.used, p_pace.used_until, p_account.time_zone, p_now);
  v_until timestamptz;
begin
  if v_limit = 0 then
    return 'infinity';
  elsif v_day.used >= v_limit then
    v_until := punctual.next_midnight(p_account.time_zone, v_day.until - interval '1 microsecond');
    -- After a change of time zone, the ramp may raise the limit before the counted day ends.
    if punctual.daily_limit_on(p_account, p_pace, v_today + 1) > v_day.used then
      v_until := least(v_until, punctual.next_midnight(p_account.time_zone, p_now));
    end if;
    -- If clocks go back over midnight, the next day begins twice.
    return case when v_until <= p_now then p_now + interval '15 minutes' else v_until end;
  end if;
  return null;
end
$$;

-- Returns until when a row of another queue tries a refused account; null if none does.
create function punctual.tried_elsewhere_until(p_account punctual.accounts, p_queue text) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return (select max(p.busy_until) from punctual.pace p where p.account_id = p_account.id and p.queue <> p_queue);
end
$$;

-- Returns when an account may send, and every wait until then. open_at: p_now if it may send now, 'infinity' if it may not until a person changes
-- something. waits: [{kind, until, text}]. reason: the text of the wait that ends last.
create function punctual.account_opening(
  p_account punctual.accounts, p_pace punctual.pace, p_now timestamptz, out open_at timestamptz, out reason text, out waits jsonb)
language plpgsql stable set search_path = '' as $$
declare
  v_claims integer := cardinality(p_pace.recent);
  v_last timestamptz := p_pace.recent[v_claims];
  v_hours jsonb := coalesce(p_pace.hours, p_account.hours);
  v_until timestamptz;
  -- The possible waits: kind, end and text, in the same order. Arrays, because a SQL statement is slower.
  v_kinds constant text[] := '{daily_limit,hourly_limit,gap,paused,account_retry,running,running}';
  v_untils timestamptz[];
  v_texts text[];
begin
  v_untils := array[
    punctual.day_opens_at(p_account, p_pace, p_now),
    p_pace.recent[v_claims - coalesce(p_pace.hourly_limit, p_account.hourly_limit) + 1] + interval '1 hour',
    -- The share of the jitter is derived from the account and the last claim, so that each call returns the same gap.
    v_last + make_interval(secs => coalesce(p_pace.gap_seconds, p_account.gap_seconds)
      + coalesce(p_pace.gap_jitter_seconds, p_account.gap_jitter_seconds)
        * (hashtextextended(p_account.id::text || extract(epoch from v_last), 0) & 65535) / 65536.0),
    p_account.paused_until,
    p_pace.retry_at,
    case when p_account.refused is not null then punctual.tried_elsewhere_until(p_account, p_pace.queue) end,
    p_pace.busy_until];
  v_texts := array[
    case when v_untils[1] = 'infinity' then 'daily limit is 0' else 'daily limit reached' end,
    'hourly limit reached',
    'keeps the gap between two messages',
    coalesce('paused: ' || p_account.paused_reason, 'paused'),
    'its next row failed and is tried again',
    'was refused, and is tried with a row of another queue',
    'a row is running'];
  open_at := p_now;
  waits := '[]';
  for n in 1..cardinality(v_kinds) loop
    continue when v_untils[n] is null or v_untils[n] <= p_now;
    waits := waits || jsonb_build_object('kind', v_kinds[n], 'until', v_untils[n], 'text', v_texts[n]);
    if v_untils[n] > open_at then
      open_at := v_untils[n];
      reason := v_texts[n];
    end if;
  end loop;
  -- The other waits are over by open_at. The sending hours are tested at that instant.
  if v_hours is not null and open_at < 'infinity' then
    v_until := punctual.next_open_at(v_hours, p_account.time_zone, open_at);
    if v_until > open_at then
      open_at := v_until;
      reason := case when v_until < 'infinity' then 'outside its hours' else 'it has no hours' end;
      waits := waits || jsonb_build_object('kind', 'hours', 'until', v_until, 'text', reason);
    end if;
  end if;
exception when invalid_parameter_value then
  open_at := 'infinity';
  reason := format('time zone "%s" is unknown', p_account.time_zone);
  waits := jsonb_build_array(jsonb_build_object('kind', 'time_zone', 'until', open_at, 'text', reason));
end
$$;

-- Returns the pause after p_count refused calls in a row: 5 minutes, then twice as long each time, 4 hours at most. So the first hour has at most
-- five such calls, besides those that were under way at the first refusal.
create function punctual.refusal_wait(p_count integer) returns interval
language sql immutable set search_path = '' as $$
  select least(interval '4 hours', interval '5 minutes' * power(2, least(p_count, 10) - 1)) where p_count > 0
$$;

-- Counts one more refusal in a row: returns {what, code, count, said}. p_before: the refusals so far. p_what: `account` or `provider` if every row
-- would have been refused, `row` if only this one was. For `row` a different p_code starts a new count. p_said: the provider's text.
create function punctual.count_refusal(p_before jsonb, p_what text, p_code text, p_said text) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object('what', p_what, 'code', c.code, 'count', c.count,
           'said', case when p_what = 'row' then format('%s rows in a row were refused: %s', c.count, left(p_said, 500)) else left(p_said, 500) end)
    from (select n.code, case when p_before->>'what' = p_what and p_before->>'code' is not distinct from n.code
                              then (p_before->>'count')::integer else 0 end + 1 as count
            from (select case when p_what = 'row' then left(p_code, 200) end as code) n) c
$$;

-- Returns the other fields of accounts.refused, besides those of count_refusal(): {queue, at, cause, held}. queue, at: where and when the latest
-- refusal came. cause: the provider's code or event. held: {until, reason} of the pause in force at the first of these refusals.
create function punctual.place_refusal(p_account punctual.accounts, p_queue text, p_cause text, p_now timestamptz) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_strip_nulls(jsonb_build_object('queue', p_queue, 'at', p_now, 'cause', left(p_cause, 200), 'held',
    case when p_account.refused is not null then p_account.refused->'held'
         when p_account.paused_until > p_now then jsonb_build_object('until', p_account.paused_until, 'reason', p_account.paused_reason) end))
$$;

-- Returns how long an account pauses for the refusals of count_refusal(); null if it does not pause. Five rows in a row refused with the same code
-- count against the account.
create function punctual.refusal_pause(p_refused jsonb) returns interval
language sql immutable set search_path = '' as $$
  select punctual.refusal_wait((p_refused->>'count')::integer) where p_refused->>'what' <> 'row' or (p_refused->>'count')::integer >= 5
$$;

-- Returns a SQL condition: the history has no error of the row since p_since in the last hour. So a row that cannot be written is tried once an hour
-- and does not block others. p_row_id: SQL of the row's id as text. p_since: SQL of an instant.
create function punctual.unfailed_condition(q punctual.queues, p_row_id text, p_since text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return format('not exists (select from punctual.history h where h.queue = %L and h.row_id = %s and h.event = ''error'' and h.at > p_now - interval ''1 hour'' '
                'and h.at >= %s)', q.name, p_row_id, p_since);
end
$$;

-- Calls an after_settle function with the setting punctual.settles cleared. Rows of other queues that it settles by SQL then count as settled by
-- hand: see note_settled_by_hand. p_applied: as add_queue describes it. Raises what the function raises.
create function punctual.call_after_settle(p_function text, p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_settles text := current_setting('punctual.settles', true);
begin
  perform set_config('punctual.settles', '', true);
  execute format('select %s($1, $2)', p_function) using p_applied, p_now;
  perform set_config('punctual.settles', coalesce(v_settles, ''), true);
end
$$;

-- Calls the queue's after_settle for rows that were swept, expired, restored or settled by hand. If the batch raises, each row is retried alone, so
-- one bad row cannot block the others. The error goes to that row's history.
create function punctual.run_after_settle_isolated(q punctual.queues, p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if q.after_settle is null or p_applied is null then return; end if;
  perform punctual.do_isolated(q, format('select punctual.call_after_settle(%L, $1, $2)', q.after_settle), p_applied,
                               q.after_settle || ' failed', p_now);
end
$$;

-- Returns the `reconcile` of a row that becomes unknown: its value before, with {over_at, checks, waits_for_operator, first_at, claims, account_id,
-- digest}. p_row: the row before. over_at: from then on the attempt is certainly over. first_at, claims: the instant of the first and the claims of
-- all uncertain attempts. account_id, digest: of the row as it was sent.
create function punctual.begin_reconcile(p_queue text, p_row jsonb, p_over_at timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  q punctual.queues;
  v_before jsonb := case when jsonb_typeof(p_row->'reconcile') = 'object' then p_row->'reconcile' else '{}' end;
begin
  select * into q from punctual.queues where name = p_queue;
  return v_before - 'found' || jsonb_build_object(
    'over_at', p_over_at, 'checks', 0,
    -- The queue's code has no `reconcile`, so no tick will check the row.
    'waits_for_operator', coalesce(current_setting('punctual.reconciles', true) = 'false', false),
    'first_at', coalesce(v_before->'first_at', p_row->'claimed_at'),
    'claims', coalesce(v_before->'claims', '[]') || jsonb_build_array(p_row->'claim_id'),
    'account_id', p_row->q.account_column,
    'digest', punctual.row_digest(q, p_row));
end
$$;

-- Returns a digest of the row without the columns that the engine writes.
create function punctual.row_digest(q punctual.queues, p_row jsonb) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return md5((p_row - array[q.status_column, 'priority', 'attempts', 'max_attempts', 'next_attempt_at', 'claim_id', 'lease_expires_at', 'timeout_seconds',
    'last_error', 'finished_at', 'expires_at', 'claimed_at', 'reconcile_at', 'reconcile', q.due_column] - q.result_columns)::text);
end
$$;

-- Returns when an unknown row is checked next, after p_checks checks: in 30 s, then twice as long each time, 1 h at most.
create function punctual.next_check_at(p_checks integer, p_now timestamptz) returns timestamptz
language plpgsql immutable set search_path = '' as $$
begin
  return p_now + make_interval(secs => least(3600, 30 * power(2, least(p_checks, 10))));
end
$$;

-- Picks up to 200 running rows whose lease has passed, because their tick died, as records of the outcome `swept`. Under at-most-once such a row
-- becomes unknown. Otherwise it is due again within p_backoff_base * 4^attempts seconds, p_backoff_cap at most. {spread} gives each row its own
-- delay, so that a row that kills its tick does not run with the same neighbours again and use up their attempts. Skips locked rows, and for an
-- hour rows that could not be written.
insert into punctual.templates (verb, text) values ('pick_overdue', $template$
create function {function}(p_backoff_base integer, p_backoff_cap integer, p_now timestamptz) returns jsonb
language plpgsql {keeps_plan} as $$
begin
  return (
    select jsonb_agg(jsonb_build_object('id', r.id::text, 'claim_id', r.claim_id, 'outcome', 'swept', 'by', 'sweep', 'event', 'swept',
             'error', 'the tick died while this row was running', 'delay_seconds', least(p_backoff_cap, p_backoff_base * power(4, least(r.attempts, 10))) * r.spread))
      from (select t.id, t.claim_id, t.attempts, {spread} as spread from {table} t
             where t.{status} = {running} and t.lease_expires_at <= p_now and {unswept}
             order by t.lease_expires_at limit 200 for no key update skip locked) r);
end
$$
$template$),
-- Picks up to 1,000 pending rows whose expires_at has passed, as records of the outcome `dead`. Skips locked rows, and for an hour rows that could
-- not be written.
('pick_expired', $template$
create function {function}(p_now timestamptz) returns jsonb
language plpgsql {keeps_plan} as $$
begin
  return (
    select jsonb_agg(jsonb_build_object('id', r.id::text, 'claim_id', r.claim_id, 'outcome', 'dead', 'by', 'expiry', 'event', 'expired',
             'error', 'expired before it could start'))
      from (select t.id, t.claim_id from {table} t
             where t.{status} = {pending} and t.expires_at <= p_now and {unexpired}
             order by t.expires_at limit 1000 for no key update skip locked) r);
end
$$
$template$),
('sweep', $template$
create function {function}(q punctual.queues, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
begin
  return punctual.sweep_rows(q, p_now);
end
$$
$template$);

-- Settles overdue and expired rows. Returns how many overdue rows it recovered.
create function punctual.sweep_rows(q punctual.queues, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_overdue jsonb;
  v_expired jsonb;
  v_swept integer;
begin
  execute format('select punctual.%I($1, $2, $3)', q.name || '.pick_overdue') into v_overdue using q.backoff_base_seconds, q.backoff_cap_seconds, p_now;
  v_swept := punctual.settle_by_fifty(q, v_overdue, p_now);
  execute format('select punctual.%I($1)', q.name || '.pick_expired') into v_expired using p_now;
  perform punctual.settle_by_fifty(q, v_expired, p_now);
  return v_swept;
end
$$;

-- Settles records, 50 at a time, until the call has used up its time. Returns how many were written.
create function punctual.settle_by_fifty(q punctual.queues, p_records jsonb, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_some jsonb;
  v_settled jsonb;
  v_written integer := 0;
begin
  for v_some in select punctual.by_fifty(p_records) loop
    begin
      v_settled := punctual.settle_outcomes(q, jsonb_build_object('records', v_some), p_now);
    exception when lock_not_available or deadlock_detected then
      -- The next exchange sweeps again. Outcomes must not wait for this lock.
      exit;
    end;
    v_written := v_written + jsonb_array_length(v_some) - jsonb_array_length(v_settled->'exceptions');
    exit when punctual.is_call_over();
  end loop;
  return v_written;
end
$$;

-- Counts the running rows of a partition, up to p_most. first_ends_at: the earliest end of their leases.
insert into punctual.templates (verb, text) values ('count_running', $template$
create function {function}(p_partition text, p_most integer, out count integer, out first_ends_at timestamptz)
language plpgsql stable {keeps_plan} as $$
begin
  select count(*), min(r.lease_expires_at) into count, first_ends_at
    from (select t.lease_expires_at from {table} t where t.{status} = {running} {in_partition} limit p_most) r;
end
$$
$template$);

-- Returns how many rows a partition may start now: `most`, null without max_running. If head_id is set, only that row may start: it was attempted
-- before and finishes before any other. If none may start, `reason` says why and opens_at until when ('infinity': until a person acts).
--
-- Takes no locks. A caller that claims has locked the partition in an earlier statement: a statement that locks and counts would count stale rows.
create function punctual.partition_opening(
  q punctual.queues, p_partition punctual.partitions, p_now timestamptz,
  out most integer, out head_id text, out opens_at timestamptz, out reason text)
language plpgsql stable set search_path = '' as $$
declare
  v_head jsonb;
  v_again_at timestamptz;
begin
  opens_at := p_now;
  if p_partition.max_running is null then return; end if;
  if p_partition.max_running = 1 and p_partition.head_id is not null then
    execute format('select to_jsonb(t.*) from %I.%I t where t.id = $1::%s %s', q.table_schema, q.table_name, q.id_type,
                   case when q.partition_column is not null then format('and t.%I = $2', q.partition_column) end)
    into v_head using p_partition.head_id, p_partition.partition;
    v_again_at := coalesce(v_head->>'next_attempt_at', v_head->>q.due_column)::timestamptz;
    if v_head->>q.status_column = q.unknown_word then
      most := 0;
      opens_at := 'infinity';
      reason := format('row %s is %s, and has to be resolved first', p_partition.head_id, q.unknown_word);
      return;
    elsif v_head->>q.status_column = q.pending_word and ((v_head->>'attempts')::integer > 0 or v_head->>'next_attempt_at' is not null) then
      head_id := p_partition.head_id;
      most := case when v_again_at <= p_now then 1 else 0 end;
      if v_again_at < 'infinity' and most = 0 then
        opens_at := v_again_at;
        reason := format('row %s failed, will be retried, and goes first', head_id);
      elsif most = 0 then
        opens_at := 'infinity';
        reason := format('row %s has been attempted and goes first, but its %s is %s', head_id, q.due_column, coalesce(v_again_at::text, 'null'));
      end if;
      return;
    end if;
  end if;
  execute format('select * from punctual.%I($1, $2)', q.name || '.count_running') into most, opens_at using p_partition.partition, p_partition.max_running;
  most := p_partition.max_running - most;
  if most > 0 then
    opens_at := p_now;
  else
    reason := format('%s %s, and no more run side by side', p_partition.max_running,
                     case p_partition.max_running when 1 then 'row is running' else 'rows are running' end);
  end if;
end
$$;

-- Claims up to p_want claimable rows of a partition, best priority first, then oldest. Skips locked rows. Scans one priority level after the other,
-- so that rows of a better priority that are not yet due cost nothing. Selects through an array: the planner assumes that an unknown limit returns
-- a tenth of the table, and would join all of it.
insert into punctual.templates (verb, kinds, text) values ('claim', '{plain}', $template$
create function {function}(p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_now timestamptz) returns json[]
language plpgsql {keeps_plan} as $$
declare
  v_rows json[];
begin
  with taken as (
      update {table} u set {take}
       where u.id = any (array(
               select d.id from {levels} cross join lateral (
                 select t.id from {table} t where {at_level} {in_partition} and {claimable}
                  order by {due_at}, t.id limit p_want for no key update skip locked) d
                limit p_want))
      returning u.*)
  select coalesce(array_agg({claimed} order by t.priority, {due_at}, t.id), '{}') into v_rows from taken t;
  return v_rows;
end
$$
$template$),
-- Claims the row p_id. Claims none if it is locked or not claimable.
('claim_one', '{plain}', $template$
create function {function}(p_id text, p_partition text, p_claim_id uuid, p_lease_until timestamptz, p_now timestamptz) returns json[]
language plpgsql {keeps_plan} as $$
declare
  v_rows json[];
begin
  with taken as (
      update {table} u set {take}
       where u.id = (select t.id from (select x.* from {table} x where x.id = p_id::{id_type} limit 1 for no key update skip locked) t
                      where {claimable} {in_partition})
      returning u.*)
  select coalesce(array_agg({claimed}), '{}') into v_rows from taken t;
  return v_rows;
end
$$
$template$),
-- Claims up to p_want rows that were dead before p_before, the longest dead first: a person redrives them. Each gets one more attempt. A row that is
-- released becomes pending in its own partition. Skips locked rows.
('claim_dead', '{plain}', $template$
create function {function}(p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_before timestamptz, p_now timestamptz)
returns json[]
language plpgsql {keeps_plan} as $$
declare
  v_rows json[];
begin
  with taken as (
      update {table} u set {take}, next_attempt_at = null, finished_at = null, max_attempts = u.attempts + 1
       where u.id = any (array(
               select t.id from {table} t
                where t.{status} = {dead} and (t.finished_at < p_before or t.finished_at is null) and {wanted} {in_partition}
                order by t.finished_at, t.id limit p_want for no key update skip locked))
      returning u.*)
  select coalesce(array_agg({claimed} order by {due_at}, t.id), '{}') into v_rows from taken t;
  return v_rows;
end
$$
$template$);

-- Claims due rows of a partition. p_only: the id of the only row that may be claimed; null for any.
create function punctual.claim_rows(
  q punctual.queues, p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_now timestamptz, p_only text default null)
returns json[]
language plpgsql set search_path = '' as $$
declare
  v_rows json[];
begin
  if p_only is null then
    execute format('select punctual.%I($1, $2, $3, $4, $5)', q.name || '.claim') into v_rows using p_partition, p_claim_id, p_want, p_lease_until, p_now;
  else
    execute format('select punctual.%I($1, $2, $3, $4, $5)', q.name || '.claim_one') into v_rows using p_only, p_partition, p_claim_id, p_lease_until, p_now;
  end if;
  return v_rows;
end
$$;

-- Claims rows that were dead before p_before.
create function punctual.claim_dead_rows(
  q punctual.queues, p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_before timestamptz, p_now timestamptz)
returns json[]
language plpgsql set search_path = '' as $$
declare
  v_rows json[];
begin
  execute format('select punctual.%I($1, $2, $3, $4, $5, $6)', q.name || '.claim_dead')
  into v_rows using p_partition, p_claim_id, p_want, p_lease_until, p_before, p_now;
  return v_rows;
end
$$;

-- Claims rows of a partition with max_running: dead rows if p_dead_before is set, else due rows. The caller has locked the partition: see
-- partition_opening. In a blocking partition (max_running = 1) the claimed row becomes head_id.
create function punctual.claim_limited_rows(
  q punctual.queues, p_partition punctual.partitions, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_dead_before timestamptz,
  p_now timestamptz) returns json[]
language plpgsql set search_path = '' as $$
declare
  v_opening record;
  v_rows json[] := '{}';
  v_want integer;
begin
  select * into v_opening from punctual.partition_opening(q, p_partition, p_now);
  v_want := least(p_want, v_opening.most);
  if v_want <= 0 then return v_rows; end if;
  if p_dead_before is null then
    v_rows := punctual.claim_rows(q, p_partition.partition, p_claim_id, v_want, p_lease_until, p_now, v_opening.head_id);
  elsif v_opening.head_id is null then
    v_rows := punctual.claim_dead_rows(q, p_partition.partition, p_claim_id, v_want, p_lease_until, p_dead_before, p_now);
  end if;
  if p_partition.max_running = 1 and cardinality(v_rows) > 0 then
    update punctual.partitions p set head_id = v_rows[1]->>'id' where p.queue = q.name and p.partition = p_partition.partition;
  end if;
  return v_rows;
end
$$;

-- Returns the configured providers and for how many rows each may be used now. probed: failed providers whose pause is over, which one row tries.
-- Locks failed providers. One that another session has locked is not used: a claim waits for no lock.
create function punctual.open_providers(
  q punctual.queues, p_configured text[], p_want integer, p_now timestamptz, out names text[], out limits integer[], out probed text[])
language plpgsql set search_path = '' as $$
declare
  v_name text;
  v_provider punctual.providers;
begin
  names := p_configured;
  probed := '{}';
  limits := array_fill(p_want, array[coalesce(array_length(p_configured, 1), 0)]);
  for v_name in select v.name from punctual.providers v where v.failures > 0 and v.name = any (p_configured) loop
    select * into v_provider from punctual.providers v where v.name = v_name for no key update skip locked;
    if v_provider.name is null or v_provider.paused_until > p_now or v_provider.probing_until > p_now then
      limits[array_position(names, v_name)] := 0;
    elsif v_provider.failures > 0 then
      probed := probed || v_name;
      limits[array_position(names, v_name)] := 1;
    end if;
  end loop;
end
$$;

-- Claims the first due row of each of these accounts that may send, up to p_want rows, and updates the accounts' pace. An account whose row exceeds
-- p_want stays unchanged. The caller has locked the accounts' rows of pace. p_ready: their ready_at, in the order of p_accounts. Looks each account
-- up by its key, because the planner cannot estimate the arrays and would hash all accounts.
insert into punctual.templates (verb, kinds, text) values ('claim', '{accounts}', $template$
create function {function}(p_accounts uuid[], p_ready timestamptz[], p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_now timestamptz)
returns json[]
language plpgsql {keeps_plan} as $$
declare
  v_rows json[];
begin
  with candidate as materialized (
      select c.account_id, c.ready_at, a.time_zone, p.used as counted, p.used_until as counted_until, o.open_at, o.reason, p.limited_addressees,
             greatest(30, coalesce(p.hourly_limit, a.hourly_limit) + 1) as remembered, {account_summary} as account
        from unnest(p_accounts, p_ready) c (account_id, ready_at)
       cross join lateral (select x.* from punctual.pace x where x.queue = {queue} and x.account_id = c.account_id limit 1) p
       cross join lateral (select x.* from punctual.accounts x where x.id = c.account_id limit 1) a
       cross join lateral punctual.account_opening(a, p, p_now) o),
    found as materialized (
      select c.*, h.id, row_number() over (partition by h.id is null order by c.ready_at, h.id) as place
        from candidate c
        left join lateral (
          -- Locks the first row that the account could send: rows whose addressee the provider limits are passed over. If another session has locked
          -- it, finds none: the second row must not overtake it.
          select t.id from (select x.* from {table} x where x.id = (select f.id from {first_sendable} f) limit 1 for no key update skip locked) t
           where {claimable}) h on c.open_at <= p_now),
    head as materialized (
      select f.*, d.used, d.until
        from found f
       cross join lateral punctual.used_of_day(f.counted, f.counted_until, case when f.id is null then 'UTC' else f.time_zone end, p_now) d
       where f.id is null or f.place <= p_want),
    taken as (
      update {table} u set {take} from head h where u.id = h.id
      returning u.id, h.ready_at, json_build_object('id', u.id::text, 'attempt', u.attempts, 'timeout_seconds', u.timeout_seconds,
                                                    'account', h.account, 'row', row_to_json(u.*)) as answer),
    paced as (
      update punctual.pace p set
        used = case when h.id is null then p.used else h.used + 1 end,
        used_until = case when h.id is null then p.used_until else h.until end,
        used_since = case when h.id is not null and h.used = 0 then p_now else p.used_since end,
        recent = case when h.id is null then p.recent
                      else (p.recent || p_now)[greatest(1, cardinality(p.recent) + 2 - h.remembered):] end,
        claim_id = case when h.id is null then p.claim_id else p_claim_id end,
        busy_until = case when h.id is null then p.busy_until else p_lease_until end,
        next_ok_at = case when h.open_at > p_now then h.open_at else '-infinity' end,
        waiting_for = h.reason,
        ready_at = case when h.open_at > p_now then h.open_at when h.id is not null then p_lease_until else least(n.due, n.limited_until) end
        from head h
        -- Without a row to send, the account is ready again when its next row falls due or its first limited addressee is free.
        left join lateral (
          select min(f.due) as due,
                 (select min((v->>'until')::timestamptz) from jsonb_each(h.limited_addressees) e (k, v) where (v->>'until')::timestamptz > p_now) as limited_until
            from unnest(array[0, 1, 2, 3]) l (level) cross join lateral (
              select {due_at} as due from {table} t
               where t.{status} = {pending} and t.{account} = h.account_id and t.priority = l.level and {due_at} > p_now
               order by {due_at}, t.id limit 1) f
           where h.open_at <= p_now and h.id is null) n on true
       where p.queue = {queue} and p.account_id = h.account_id)
  select coalesce(array_agg(t.answer order by t.ready_at, t.id), '{}') into v_rows from taken t;
  return v_rows;
end
$$
$template$);

-- Claims up to p_want due rows of accounts that may send, one row of each, the account that has been ready longest first. So an account's rows go out
-- in order, and one account's backlog starves no other. Judges and writes an account's pace under its lock, so limits hold for any number of ticks.
-- p_configured: the configured providers. `more`: fewer than p_want rows were claimed, and ready accounts remain.
--
-- Locks rows of providers, pace, accounts and the queue. Skips those that are locked.
create function punctual.claim_paced_rows(
  q punctual.queues, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_configured text[], p_now timestamptz,
  out claimed json[], out more boolean)
language plpgsql set search_path = '' as $$
declare
  v_taken json[];
  v_accounts uuid[];
  v_ready timestamptz[];
  v_lock_limit integer := p_want;
  v_usable record;
begin
  claimed := '{}';
  more := false;
  -- Accounts without a due row, or that may not send yet, get a new ready_at. Thousands of them may come before the first account with a row, so a
  -- round handles many. After eight rounds the next exchange continues.
  for v_round in 1..8 loop
    select * into v_usable from punctual.open_providers(q, p_configured, v_lock_limit, p_now);
    -- Locks accounts here and judges them in the next statement, which sees what a settle wrote before it released the lock. In a single statement an
    -- account's second row could overtake its first.
    select array_agg(c.account_id order by c.ready_at), array_agg(c.ready_at order by c.ready_at) into v_accounts, v_ready
      from (select c.account_id, c.ready_at
              from unnest(v_usable.names, v_usable.limits) v (provider, most)
             cross join lateral (
               select p.account_id, p.ready_at from punctual.pace p
                where p.queue = q.name and p.provider = v.provider and p.ready_at <= p_now
                order by p.ready_at limit v.most for no key update skip locked) c
             order by c.ready_at limit v_lock_limit) c;
    more := v_accounts is not null;
    exit when not more;
    if exists (select from punctual.accounts a where a.refused is not null and a.id = any (v_accounts)) then
      -- One row of one queue tries a refused account. If another session has locked the account, that session tries it.
      select array_agg(c.account_id order by c.n), array_agg(c.ready_at order by c.n) into v_accounts, v_ready
        from unnest(v_accounts, v_ready) with ordinality c (account_id, ready_at, n)
       where not exists (select from punctual.accounts a where a.id = c.account_id and a.refused is not null)
          or c.account_id in (select a.id from punctual.accounts a where a.id = any (v_accounts) and a.refused is not null for no key update skip locked);
    end if;
    execute format('select punctual.%I($1, $2, $3, $4, $5, $6)', q.name || '.claim') into v_taken
      using v_accounts, v_ready, p_claim_id, p_want - cardinality(claimed), p_lease_until, p_now;
    claimed := claimed || v_taken;
    if v_usable.probed <> '{}' then
      update punctual.providers v set probing_until = p_now + make_interval(secs => q.timeout_seconds + 5)
       where v.name = any (v_usable.probed) and v.name in (select r->'account'->>'provider' from unnest(v_taken) r);
    end if;
    more := cardinality(claimed) < p_want;
    exit when not more or (v_round > 1 and punctual.is_call_over());
    -- Later rounds lock more accounts than p_want, so that a call that wants one row still makes progress.
    v_lock_limit := case when punctual.is_call_over() then 100 else 500 end;
  end loop;
end
$$;

-- Counts due rows, up to 1,000, and returns their accounts.
insert into punctual.templates (verb, kinds, text) values ('due_accounts', '{accounts}', $template$
create function {function}(p_now timestamptz, out accounts uuid[], out rows integer)
language plpgsql stable {keeps_plan} as $$
begin
  select array_agg(distinct r.account_id) filter (where r.account_id is not null), count(*) into accounts, rows
    from (select t.{account} as account_id from {table} t where t.{status} = {pending} and {at_level} and {due_at} <= p_now limit 1000) r;
end
$$
$template$),
-- Returns those of the accounts that have a claimable row but are not ready, with the due time of their first row. Locks nothing.
('awake', '{accounts}', $template$
create function {function}(p_accounts uuid[], p_now timestamptz, out accounts uuid[], out dues timestamptz[])
language plpgsql stable {keeps_plan} as $$
begin
  select array_agg(c.account_id), array_agg(h.due) into accounts, dues
    from unnest(p_accounts) n (account_id)
   cross join lateral (
     select x.account_id, x.limited_addressees from punctual.pace x
      where x.queue = {queue} and x.account_id = n.account_id and x.next_ok_at <= p_now and (x.ready_at is null or x.ready_at > p_now)
        and (x.busy_until is null or x.busy_until <= p_now) limit 1) c
   cross join lateral {first_sendable} h;
end
$$
$template$);

-- Wakes accounts that got a due row while they were not ready: an insert notifies nobody. Runs once a tick, 1,000 accounts at a time, from the
-- account p_from on. Returns the account to continue with if the call used up its time; null if all were checked.
create function punctual.wake_accounts(q punctual.queues, p_from uuid, p_now timestamptz) returns uuid
language plpgsql set search_path = '' as $$
declare
  v_accounts uuid[];
  v_rows integer;
  v_from uuid := coalesce(p_from, '00000000-0000-0000-0000-000000000000');
begin
  -- Fewer than 1,000 due rows name all their accounts. With more, each account is checked.
  execute format('select * from punctual.%I($1)', q.name || '.due_accounts') into v_accounts, v_rows using p_now;
  if v_accounts is null then return null; end if;
  if v_rows < 1000 then
    perform punctual.wake_some(q, v_accounts, p_now);
    return null;
  end if;
  loop
    v_accounts := array(select a.id from punctual.accounts a where a.id >= v_from order by a.id limit 1001);
    v_from := v_accounts[1001];
    perform punctual.wake_some(q, v_accounts[:1000], p_now);
    if v_from is null or punctual.is_call_over() then return v_from; end if;
  end loop;
end
$$;

-- Makes those of the accounts ready that have a claimable row. Locks their rows of pace by account. Skips locked accounts: another session judges
-- them.
create function punctual.wake_some(q punctual.queues, p_accounts uuid[], p_now timestamptz) returns void
-- Planned at each call. A kept plan that was made while pace was empty reads all of pace for each account: 0.6 s for 1,000 of 100,000 accounts.
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
  v_found uuid[];
  v_due timestamptz[];
begin
  -- Adds the pace of accounts that were inserted without their trigger: with triggers off, or by a restore.
  insert into punctual.pace (queue, account_id, provider)
  select q.name, a.id, a.provider from punctual.accounts a
   where a.id = any (p_accounts) and not exists (select from punctual.pace p where p.queue = q.name and p.account_id = a.id)
  on conflict do nothing;

  execute format('select * from punctual.%I($1, $2)', q.name || '.awake') into v_found, v_due using p_accounts, p_now;

  with locked as materialized (
    select p.account_id from punctual.pace p
     where p.queue = q.name and p.account_id = any (v_found) and (p.ready_at is null or p.ready_at > p_now)
     order by p.account_id for no key update skip locked)
  update punctual.pace p set ready_at = greatest(f.due, p.next_ok_at)
    from locked l join unnest(v_found, v_due) f (account_id, due) on f.account_id = l.account_id
   where p.queue = q.name and p.account_id = l.account_id;
end
$$;

-- Effects of outcomes on accounts and their pace.

-- Updates the pace of the accounts of settled rows: places, retries, limited addressees. Locks their rows of pace by account. An attempt that certainly had no effect gives its place back: while pace
-- has its claim_id, no later claim was counted, so `used` is of the claim's day and the last of `recent` is this claim. An attempt that the
-- provider refused gives back its place in the day, because nothing was sent, but not in the hour and the gap, because the provider was called.
--
-- p_applied: [{account_id, claim_id, claimed_at, outcome, delay_seconds, rate_limited, limit_scope, refused, refusal, unreadable, pair, error}]. The
-- outcome is `lost` if the attempt ended without changing its row.
create function punctual.update_pace(q punctual.queues, p_applied jsonb, p_now timestamptz) returns void
-- Planned at each call: see wake_some.
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
begin
  with freed as materialized (
    select p.account_id, r.outcome, r.outcome in ('retry', 'dead', 'release') as refund, r.claimed_at, r.limit_scope, r.pair, r.error,
           coalesce(r.delay_seconds, 0) as delay_seconds, r.limit_scope = 'pair' and r.pair is not null as limits_addressee,
           r.refused, r.unreadable, case when r.refused in ('row', 'provider') then punctual.count_refusal(p.refused, r.refused, r.refusal, r.error) end as refusals,
           p.limited_addressees, coalesce((p.limited_addressees -> r.pair ->> 'count')::integer, 0) + 1 as times_limited
      from jsonb_to_recordset(p_applied) r (account_id uuid, claim_id uuid, claimed_at timestamptz, outcome text, delay_seconds double precision,
             limit_scope text, refused text, refusal text, unreadable boolean, pair text, error text)
      join punctual.pace p on p.queue = q.name and p.account_id = r.account_id and p.claim_id = r.claim_id
     order by p.account_id for no key update of p)
  update punctual.pace p set
    used = case when f.refund then greatest(p.used - 1, 0) else p.used end,
    recent = case when f.refund and p.recent[cardinality(p.recent)] = f.claimed_at and f.refused is null
                  then p.recent[:cardinality(p.recent) - 1] else p.recent end,
    refused = case when f.refused is not null or f.outcome in ('done', 'again') or f.limit_scope is not null then f.refusals else p.refused end,
    limited = case when f.limit_scope = 'account' then p.limited + 1 when f.outcome = 'done' then 0 else p.limited end,
    -- 4, 16, 64 … s: Meta's advice for 131056 (developers.facebook.com/docs/whatsapp/cloud-api/overview, "Pair rate limits").
    limited_addressees = case
      when f.limits_addressee then
        coalesce(v.limited_addressees, '{}') || jsonb_build_object(f.pair, jsonb_build_object('count', f.times_limited, 'said', left(f.error, 200), 'until',
          p_now + make_interval(secs => greatest(f.delay_seconds, least(3600, power(4, least(f.times_limited, 10)))))))
      when f.outcome = 'done' and f.pair is not null then nullif(v.limited_addressees - f.pair, '{}')
      else v.limited_addressees end,
    -- After a refusal by the whole provider the account waits, so that the provider is not tried with the same row each time.
    next_ok_at = coalesce(case when f.refused = 'provider' then v.retry_at end, '-infinity'),
    waiting_for = null, claim_id = null, busy_until = null,
    -- An account's rows go out in order, so a retry holds the account. A hold of one addressee and an unreadable row do not.
    retry_at = v.retry_at, ready_at = greatest(p_now, v.retry_at)
    from freed f
   cross join lateral (select
      case when f.outcome = 'retry' and not coalesce(f.limits_addressee, false) and not coalesce(f.unreadable, false)
           -- 60 s: the provider limits the addressee, and the row has none.
           then p_now + greatest(make_interval(secs => greatest(f.delay_seconds, case when f.limit_scope = 'pair' then 60 else 0 end)),
                                 case when f.refused = 'provider' then punctual.refusal_pause(f.refusals) end) end as retry_at,
      -- The count restarts after a success (above), or an hour after `until`.
      (select jsonb_object_agg(h.key, h.value) from jsonb_each(f.limited_addressees) h where (h.value->>'until')::timestamptz > p_now - interval '1 hour') as limited_addressees) v
   where p.queue = q.name and p.account_id = f.account_id;
end
$$;

-- Writes rate limits and refusals of whole accounts from outcomes to the accounts, where they hold for all queues. A limit counts even if another
-- claim has the row by now; a limit of one addressee, in update_pace, does not. A refusal counts once, and any other response of the provider ends it. p_done, p_records: as settle_outcomes takes them.
-- Locks the accounts by id.
create function punctual.note_accounts(q punctual.queues, p_done jsonb, p_records jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_outcomes jsonb;
begin
  select jsonb_agg(r) into v_outcomes from jsonb_array_elements(p_records) r where r->>'limit_scope' = 'account' or r->>'refused' in ('row', 'account');
  if exists (select from punctual.accounts a where a.refused is not null) then
    -- Outcomes that end a refusal.
    execute punctual.render_sql(q, $sql$
      select coalesce($3, '[]') || coalesce(jsonb_agg(o.said || jsonb_build_object('account_id', t.{account})), '[]')
        from (select r as said from jsonb_array_elements($2) r
              union all
              select jsonb_build_object('id', i, 'claim_id', g->'claim_id', 'outcome', 'done')
                from jsonb_array_elements($1) g cross join lateral jsonb_array_elements_text(g->'ids') i) o
        join {table} t on t.id = (o.said->>'id')::{id_type}
       where t.{account} in (select a.id from punctual.accounts a where a.refused is not null)
         and (o.said->>'outcome' in ('done', 'again') or o.said->>'limit_scope' is not null)
      $sql$)
    into v_outcomes using p_done, p_records, v_outcomes;
  end if;
  if coalesce(v_outcomes, '[]') = '[]' then return; end if;
  -- Leaves out outcomes that were written before: an exchange whose response was lost sends them again.
  execute punctual.render_sql(q, 'select jsonb_agg(r) from jsonb_array_elements($1) r where not exists (select from {table} t where t.id = (r->>''id'')::{id_type} '
                                 'and t.claim_id = (r->>''claim_id'')::uuid and t.lease_expires_at is null and t.{status} <> {unknown})') into v_outcomes using v_outcomes;
  if v_outcomes is null then return; end if;
  -- Locks the accounts in a statement of its own, so that the next one counts what others wrote before.
  perform from punctual.accounts a where a.id = any (array(select (r->>'account_id')::uuid from jsonb_array_elements(v_outcomes) r))
    order by a.id for no key update;
  update punctual.accounts a set
    refused = s.refused,
    paused_until = greatest(a.paused_until, s.until),
    paused_reason = case when s.until > coalesce(a.paused_until, '-infinity') then s.reason else a.paused_reason end
    from (select r.account_id as id, max(v.until) as until, (array_agg(v.reason order by v.until desc nulls last))[1] as reason,
                 case when bool_or(v.is_current) then (array_agg(v.refused order by r.outcome = 'done' desc) filter (where v.is_current))[1]
                      else (array_agg(x.refused))[1] end as refused
            from jsonb_to_recordset(v_outcomes) r (account_id uuid, claim_id uuid, outcome text, error text, limit_scope text,
                   account_pause_seconds double precision, refused text, refusal text)
            join punctual.accounts x on x.id = r.account_id
            left join punctual.pace p on p.queue = q.name and p.account_id = x.id
           cross join lateral (
             select coalesce(p.claim_id = r.claim_id, false) as is_current, case when r.refused is not null then punctual.count_refusal(
                      case when r.refused = 'account' then x.refused else p.refused end, r.refused, r.refusal, r.error) end as counted) c
           cross join lateral (
             select c.is_current, case when r.refused = 'account' then c.counted || punctual.place_refusal(x, q.name, r.refusal, p_now) end as refused,
                    case when r.limit_scope = 'account' then p_now + make_interval(secs => coalesce(
                           r.account_pause_seconds, least(3600, 60 * power(2, least(p.limited, 10)))))
                         when c.is_current then p_now + punctual.refusal_pause(c.counted) end as until,
                    case when r.limit_scope = 'account' then r.error else c.counted->>'said' end as reason) v
           group by 1) s
   where a.id = s.id and (a.refused is distinct from s.refused or s.until > coalesce(a.paused_until, '-infinity'));
end
$$;

-- An outcome of a row. An attempt's outcome is fenced by its claim: `by` is null. Any other was judged under the row's lock: `by` names who did, a
-- sweep, expiry, receipt, check or operator. event and text go to the row's history. was: the state in which the row was judged.
create type punctual.outcome as (
  id text,
  claim_id uuid,
  outcome text,
  error text,
  result jsonb,
  delay_seconds double precision,
  rate_limited boolean,
  limit_scope text,
  refused text,
  refusal text,
  unreadable boolean,
  by text,
  event text,
  text text,
  was text
);

-- Returns the outcomes of p_done, which lists the ids of rows done without a result by claim, and of p_records. If an attempt has two outcomes,
-- `done` counts.
create function punctual.list_outcomes(p_done jsonb, p_records jsonb) returns setof punctual.outcome
language plpgsql immutable set search_path = '' rows 10 as $$
begin
  return query
    select distinct on (o.id, o.claim_id) o.*
      from (select i as id, (g->>'claim_id')::uuid as claim_id, 'done' as outcome, null::text, null::jsonb, null::double precision, null::boolean,
                   null::text, null::text, null::text, null::boolean, null::text, null::text, null::text, null::text
              from jsonb_array_elements(p_done) g cross join lateral jsonb_array_elements_text(g->'ids') i
            union all
            select r.* from jsonb_populate_recordset(null::punctual.outcome, p_records) r) o
     order by o.id, o.claim_id, o.outcome = 'done' desc;
end
$$;

-- Writes outcomes. Only this statement ends attempts and rows. An attempt's outcome is written only while the row belongs to its claim. `done` is
-- proof and prevails over a sweep or an operator's decision. Other outcomes change a row only while it runs, is unknown or was swept.
--
-- outcome                 the row afterwards
-- done, dead, cancelled   has that state; finished now
-- unknown                 unknown; first checked 30 s later
-- retry                   pending, due after its delay; in a queue with accounts the account waits instead. Dead if its attempts are used up. A
--                         rate limit takes the attempt back and never makes the row dead
-- again                   pending, due at its next time; attempts start at 0
-- release, pending        pending, due as before; a release takes the attempt back
-- swept                   unknown under at-most-once, otherwise as for retry; keeps its claim and lease, by which late proof is recognised
--
-- given: the number of outcomes. settled: the number of rows written. written: their id/claim_id, if fewer than given. counts: by outcome. applied:
-- [{id, claim_id, outcome, …}] of rows with consequences. changed: rows whose outcome differs from the one given.
insert into punctual.templates (verb, text) values ('settle', $template$
create function {function}(
  p_done jsonb, p_records jsonb, p_max_attempts integer, p_now timestamptz,
  out given integer, out settled integer, out written text[], out counts jsonb, out applied jsonb, out changed jsonb)
language plpgsql {keeps_plan} as $$
begin
  with outcomes as materialized (
    select o.id::{id_type} as id, o.claim_id, o.outcome, o.error, o.result, o.delay_seconds, coalesce(o.rate_limited, false) as rate_limited, o.limit_scope,
           o.refused, o.refusal, coalesce(o.unreadable, false) as unreadable, o.by, o.event, o.text, o.was
      from punctual.list_outcomes(p_done, p_records) o order by 1),
  written as (
    update {table} t set
      {status} = (case {outcome} when 'done' then {done} when 'dead' then {dead} when 'unknown' then {unknown} when 'cancelled' then {cancelled}
                                 else {pending} end)::{status_type},
      lease_expires_at = case when o.by in ('sweep', 'expiry') then t.lease_expires_at end,
      attempts = case when o.outcome = 'release' or (o.outcome = 'retry' and o.rate_limited) then greatest(t.attempts - 1, 0)
                      when o.outcome = 'again' then 0 else t.attempts end,
      next_attempt_at = case {outcome} when 'retry' then {retry_at} when 'swept' then p_now + make_interval(secs => o.delay_seconds) when 'again' then null
                                       else t.next_attempt_at end,
      -- Counted from the last due time, so that lateness does not add up. The next run is the first multiple of the interval after the claim. Missed
      -- runs are skipped.
      {due} = case when o.outcome <> 'again' then t.{due}
                   -- An infinite due time, set by hand, has no multiple. Counted from the claim instead.
                   when isfinite(t.{due}) then t.{due} + make_interval(secs => o.delay_seconds
                        * (1 + greatest(0, floor(extract(epoch from coalesce(t.claimed_at, p_now) - t.{due}) / o.delay_seconds))))
                   else coalesce(t.claimed_at, p_now) + make_interval(secs => o.delay_seconds) end,
      -- Up to 1 s earlier for a swept row. Dead rows are redriven in this order, so rows that died together do not run together again.
      finished_at = case when {outcome} in ('done', 'dead', 'unknown', 'cancelled')
                         then p_now - make_interval(secs => case when o.by = 'sweep' and {outcome} = 'dead' then {spread} else 0 end) end,
      last_error = case when o.by is not null or {outcome} in ('retry', 'dead', 'unknown') then left(o.error, 2000)
                        when o.outcome = 'release' then t.last_error end
      {set_results} {set_reconcile}
      from outcomes o {old_row}
     where t.id = o.id
       -- Anyone else has judged the row under its lock.
       and case when o.by is null then t.claim_id = o.claim_id
                  and (t.{status} = {running}
                       or (t.{status} = {unknown} and o.outcome not in ('unknown', 'release'))
                       or (o.outcome = 'done' and (t.{status} <> {done} or t.lease_expires_at is not null))
                       -- Swept: its lease is still there.
                       or (t.{status} = {pending} and t.lease_expires_at is not null and o.outcome in ('dead', 'again')))
                else true end
    returning t.id, t.claim_id, {outcome} as outcome, o.outcome as given_outcome, o.result, o.error, o.rate_limited, o.limit_scope, o.refused,
              o.refusal, o.unreadable, o.delay_seconds, t.claimed_at, {old_due} as due, {account_id} as account_id, {pair} as pair,
              {late} and coalesce(o.by, 'sweep') = 'sweep' as late, o.by, o.event, o.text, o.was)
  select (select count(*) from outcomes), count(*),
         case when count(*) < (select count(*) from outcomes) then coalesce(array_agg(w.id || '/' || coalesce(w.claim_id::text, '')), '{}') else '{}' end,
         jsonb_build_object(
           'done', count(*) filter (where w.outcome = 'done'), 'retried', count(*) filter (where w.outcome = 'retry'),
           'again', count(*) filter (where w.outcome = 'again'), 'dead', count(*) filter (where w.outcome = 'dead'),
           'unknown', count(*) filter (where w.outcome = 'unknown'), 'released', count(*) filter (where w.outcome = 'release'),
           'limited', count(*) filter (where w.rate_limited and w.refused is null)),
         coalesce(jsonb_agg(to_jsonb(w) - 'given_outcome' order by w.id) filter (where {has_consequences}), '[]'),
         coalesce(jsonb_agg(jsonb_build_object('id', w.id::text, 'claim_id', w.claim_id, 'verdict', 'applied', 'outcome', w.outcome) order by w.id)
                    filter (where w.outcome <> w.given_outcome and w.by is null), '[]')
    into given, settled, written, counts, applied, changed
    from written w;
end
$$
$template$),
-- Finds the outcomes that settle did not write. Runs after settle, whose rows would be `already` by now: p_written leaves them out. exceptions: [{id,
-- claim_id, verdict, outcome}]. verdict already: an exchange whose response was lost wrote it. verdict lost: another claim or an operator has the
-- row. late: `done` outcomes that are lost. freed: accounts whose attempt is over.
('judge', $template$
create function {function}(p_done jsonb, p_records jsonb, p_written text[], out exceptions jsonb, out late jsonb, out freed jsonb)
language plpgsql stable {keeps_plan} as $$
begin
  select jsonb_agg(jsonb_build_object('id', j.id, 'claim_id', j.claim_id, 'verdict', j.verdict, 'outcome', case when j.verdict = 'already' then
             case j.status when {done} then 'done' when {dead} then 'dead' when {unknown} then 'unknown' else j.outcome end else j.outcome end) order by j.id),
         jsonb_agg(jsonb_build_object('id', j.id, 'claim_id', j.claim_id, 'result', j.result) order by j.id)
           filter (where j.verdict = 'lost' and j.outcome = 'done'),
         jsonb_agg(jsonb_build_object('account_id', j.account_id, 'claim_id', j.claim_id, 'outcome', 'lost')) filter (where j.account_id is not null)
    into exceptions, late, freed
    from (select o.id, o.claim_id, o.outcome, o.result, t.{status} as status, {account_id} as account_id,
                 case when t.claim_id = o.claim_id and t.lease_expires_at is null then 'already' else 'lost' end as verdict
            from punctual.list_outcomes(p_done, p_records) o
            left join lateral (select t.* from {table} t where t.id = o.id::{id_type} limit 1) t on true
           where o.id || '/' || coalesce(o.claim_id::text, '') <> all (p_written)) j;
end
$$
$template$);

-- Writes outcomes, fenced by each row's claim, and their consequences: see settle_records. If an outcome cannot be written, because a check or a
-- trigger of the table or the queue's after_settle raises, the others are still written.
--
-- p_outcomes  {done: [{claim_id, ids}], records: [{id, claim_id, outcome, error, result, delay_seconds, rate_limited, limit_scope, account_id,
--             account_pause_seconds, refused, refusal, unreadable}]}
--             outcome: done, retry, again, dead, unknown or release.
--             limit_scope: `account` if the provider limits the account, for account_pause_seconds; if null, for 60 s and twice as long each time in
--             a row, 1 h at most. `pair` if it limits only this addressee, for delay_seconds or 4^n s, whichever is longer. n counts the limits in a
--             row; 4^n is 1 h at most.
--             refused: `row` (with refusal as the reason), `account` or `provider`, by the scope of the provider's refusal. See count_refusal() and
--             refusal_pause().
--             unreadable: the code could not read the row. The row waits for its retry, but its account does not.
--
-- Returns {done, retried, again, dead, unknown, released, lost, limited, exceptions}: the counts of applied outcomes, and [{id, claim_id, verdict,
-- outcome}] of outcomes that were not written as given. verdict: `applied` as another outcome (an exhausted retry is `dead`), `already` or `lost`
-- (see judge), `refused` if it cannot be written. A lost `done` is kept as late proof: see accept_late_proof.
--
-- Locks accounts by id, rows by id, then pace by account. Raises only an error of the whole call: see is_of_call.
create function punctual.settle_outcomes(q punctual.queues, p_outcomes jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_done jsonb := coalesce(p_outcomes->'done', '[]');
  v_records jsonb := coalesce(p_outcomes->'records', '[]');
begin
  if v_done = '[]' and v_records = '[]' then return punctual.zero_counts(); end if;
  return punctual.settle_records(q, v_done, v_records, p_now);
exception when others then
  if punctual.is_of_call(sqlstate) then raise; end if;
  return punctual.settle_singly(q, v_done, v_records, p_now);
end
$$;

-- Returns the result of a settle without outcomes.
create function punctual.zero_counts() returns jsonb
language sql immutable set search_path = '' as $$
  select '{"done": 0, "retried": 0, "again": 0, "dead": 0, "unknown": 0, "released": 0, "lost": 0, "limited": 0, "exceptions": []}'::jsonb
$$;

-- Settles each record alone, after all at once failed: see settle_one.
create function punctual.settle_singly(q punctual.queues, p_done jsonb, p_records jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_record jsonb;
  v_settled jsonb[] := array[punctual.zero_counts()];
begin
  -- Locks accounts before rows and by id, as settle_records does.
  perform from punctual.accounts a
    where a.id in (select (r->>'account_id')::uuid from jsonb_array_elements(p_records) r where r->>'limit_scope' = 'account' or r->>'refused' is not null)
    order by a.id for no key update;
  for v_record in
    select r from (select r from jsonb_array_elements(p_records) r
                   union all
                   select jsonb_build_object('id', i, 'claim_id', g->'claim_id', 'outcome', 'done')
                     from jsonb_array_elements(p_done) g cross join lateral jsonb_array_elements_text(g->'ids') i) o
     order by length(r->>'id'), r->>'id'
  loop
    v_settled := v_settled || punctual.settle_one(q, v_record, p_now);
  end loop;
  return punctual.sum_of_counts(v_settled);
end
$$;

-- Settles one record. If that fails, settles it without its result, which its column may not accept. If that fails too, returns the verdict
-- `refused`. Raises only an error of the whole call: see is_of_call.
create function punctual.settle_one(q punctual.queues, p_record jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_settled jsonb;
begin
  return punctual.settle_records(q, '[]', jsonb_build_array(p_record), p_now);
exception when others then
  if punctual.is_of_call(sqlstate) then raise; end if;
  if p_record->>'result' is not null then
    v_settled := punctual.settle_one(q, p_record - 'result', p_now);
    if v_settled->'exceptions' = '[]' then
      insert into punctual.history (queue, row_id, at, event, text)
      values (q.name, p_record->>'id', p_now, 'left_out', left(format('its result could not be written, and was left out: %s', sqlerrm), 2000));
    end if;
    return v_settled;
  end if;
  perform punctual.note_error(q, p_record->>'id', format('its outcome could not be written: %s', sqlerrm), p_now);
  return jsonb_build_object('exceptions', jsonb_build_array(jsonb_build_object(
    'id', p_record->'id', 'claim_id', p_record->'claim_id', 'outcome', p_record->'outcome', 'verdict', 'refused')));
end
$$;

-- Returns whether an error concerns the whole call and no single row: a lock, a deadlock, a lack of resources, a shutdown, or a missing function or
-- right. Source: PostgreSQL, appendix A.
create function punctual.is_of_call(p_sqlstate text) returns boolean
language sql immutable set search_path = '' as $$
  select p_sqlstate ~ '^(40|53|55P03|57|58|XX|25006|42501|42883|42P01|3F000)'
$$;

-- Adds up the results of several settles.
create function punctual.sum_of_counts(p_answers jsonb[]) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_object_agg(s.key, s.value)
    from (select e.key, case when e.key <> 'exceptions' then to_jsonb(sum((e.value)::text::integer) filter (where jsonb_typeof(e.value) = 'number'))
                             else coalesce(jsonb_path_query_array(jsonb_agg(e.value), '$[*][*]'), '[]') end as value
            from unnest(p_answers) a cross join lateral jsonb_each(a) e (key, value) group by e.key) s
$$;

-- Settles all records at once, with their consequences: writes the history, frees accounts, applies receipts and late proof, and calls after_settle.
-- Raises if any of them fails. p_done, p_records, result and locks: as for settle_outcomes. Records with `by` hold the lock of their row already.
create function punctual.settle_records(q punctual.queues, p_done jsonb, p_records jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_settled record;
  v_exceptions jsonb;
  v_is_known boolean := false;
  v_missed jsonb;
  v_late jsonb;
  v_freed jsonb;
begin
  -- Locks accounts before rows. Records with `by` have locked their row already, and carry nothing about its account.
  if q.account_column is not null and not p_records @? '$[*].by' then perform punctual.note_accounts(q, p_done, p_records, p_now); end if;
  execute format('select * from punctual.%I($1, $2, $3, $4)', q.name || '.settle') into v_settled using p_done, p_records, q.max_attempts, p_now;
  v_exceptions := v_settled.changed;
  if v_settled.settled < v_settled.given then
    execute format('select * from punctual.%I($1, $2, $3)', q.name || '.judge') into v_missed, v_late, v_freed using p_done, p_records, v_settled.written;
    v_exceptions := v_exceptions || coalesce(v_missed, '[]');
  end if;

  insert into punctual.history (queue, row_id, at, event, text)
  select q.name, r->>'id', p_now, coalesce(r->>'event', r->>'outcome'), left(coalesce(r->>'text', r->>'error'), 2000)
    from jsonb_array_elements(v_settled.applied) r where r->>'event' is not null or r->>'outcome' in ('retry', 'dead', 'unknown');
  if q.account_column is not null then
    -- Also frees the account of a row that someone settled while its attempt ran.
    perform punctual.update_pace(q, jsonb_path_query_array(v_settled.applied, '$[*] ? (@.by == null)') || coalesce(v_freed, '[]'), p_now);
    -- A pending row that had been attempted held its account.
    perform punctual.end_hold(q, jsonb_build_object(q.status_column, q.pending_word, 'claimed_at', r->'claimed_at', q.account_column, r->'account_id'), p_now)
       from jsonb_array_elements(v_settled.applied) r where r->>'was' = 'pending';
  end if;
  if q.delivery = 'at-most-once' then
    -- Receipts and proof may have come while the attempt ran. Applying them now saves a check.
    v_is_known := punctual.apply_receipts(q, array(select r->>'id' from jsonb_array_elements(v_settled.applied) r
                                                    where r->>'by' is null and r->>'outcome' in ('retry', 'dead', 'unknown')), p_now) > 0;
    perform punctual.apply_late_proof(q, r->>'id', p_now) from jsonb_array_elements(v_settled.applied) r where (r->>'late')::boolean;
    v_is_known := v_is_known or found;
    perform punctual.accept_late_proof(q, r->>'id', r->>'claim_id', r->'result', p_now)
       from (select l from jsonb_array_elements(v_late) l order by length(l->>'id'), l->>'id') e (r);
    v_is_known := v_is_known or found;
  end if;
  if q.after_settle is not null then perform punctual.run_after_settle(q, v_settled.applied, v_is_known, p_now); end if;
  -- A released row may belong to another claim by now. It counts as released, not as lost.
  return v_settled.counts || (
    select jsonb_build_object('lost', count(*) filter (where e->>'outcome' <> 'release'), 'exceptions', v_exceptions,
             'released', (v_settled.counts->>'released')::integer + count(*) filter (where e->>'outcome' = 'release'))
      from jsonb_array_elements(v_exceptions) e where e->>'verdict' = 'lost');
end
$$;

-- Calls after_settle for settled rows. p_is_known: receipts or proof have changed some of these rows in this call, and after_settle has run for
-- them. So rows whose state no longer matches their outcome are left out.
create function punctual.run_after_settle(q punctual.queues, p_applied jsonb, p_is_known boolean, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_current jsonb := p_applied;
begin
  if p_is_known then
    execute format('select punctual.%I($1)', q.name || '.as_settled') into v_current using v_current;
  end if;
  -- Swept and expired rows stay settled even if after_settle raises. It is not called for a swept row that will run again.
  perform punctual.run_after_settle_isolated(q, nullif(jsonb_path_query_array(v_current, '$[*] ? ((@.by == "sweep" || @.by == "expiry") && @.outcome != "swept")'), '[]'), p_now);
  v_current := jsonb_path_query_array(v_current, '$[*] ? (@.by != "sweep" && @.by != "expiry")');
  if v_current <> '[]' then perform punctual.call_after_settle(q.after_settle, v_current, p_now); end if;
end
$$;
-- Returns those of the applied outcomes whose row still has the state of its outcome.
insert into punctual.templates (verb, text) values ('as_settled', $template$
create function {function}(p_applied jsonb) returns jsonb
language plpgsql stable {keeps_plan} as $$
begin
  return (
    select coalesce(jsonb_agg(a.item order by a.n), '[]')
      from jsonb_array_elements(p_applied) with ordinality a (item, n) join {table} t on t.id = (a.item->>'id')::{id_type}
     where t.{status} = (case a.item->>'outcome' when 'done' then {done} when 'dead' then {dead} when 'unknown' then {unknown} else {pending} end)::{status_type});
end
$$
$template$);

-- Writes the progress of running rows. p_progress: [{id, claim_id, progress}]. If the write fails, raises a warning only: outcomes must not wait
-- for it.
create function punctual.note_progress(q punctual.queues, p_progress jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  if q.progress_column is null or coalesce(p_progress, '[]') = '[]' then return; end if;
  execute punctual.render_sql(q,
    'update {table} t set {progress} = p.value->''progress'' from jsonb_array_elements($1) p '
    'where t.id = (p.value->>''id'')::{id_type} and t.claim_id = (p.value->>''claim_id'')::uuid and t.{status} = {running}')
  using p_progress;
exception when others then
  raise warning 'the progress of rows of %.% cannot be written: %', q.table_schema, q.table_name, sqlerrm;
end
$$;

-- Applies a tick's notes about providers. p_providers: [{name, ok, error, refused}]. A failure of the whole provider pauses it for 30 s, then twice
-- as long each time, 30 minutes at most. `refused` is the number of calls in which the provider refused our configuration: each of them, also side
-- by side, lengthens the pause as refusal_wait() defines. `ok`, any other response, ends both. Locks providers by name.
create function punctual.note_providers(p_providers jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_note record;
begin
  for v_note in
    select n->>'name' as name, (n->>'ok')::boolean as ok, n->>'error' as error, (n->>'refused')::integer as refused
      from jsonb_array_elements(coalesce(p_providers, '[]')) n order by 1
  loop
    if v_note.ok then
      update punctual.providers v set failures = 0, refusals = 0, paused_until = null, probing_until = null
       where v.name = v_note.name and v.failures > 0;
    elsif v_note.refused > 0 then
      insert into punctual.providers as v (name, failures, refusals, paused_until, last_error)
      values (v_note.name, 1, v_note.refused, p_now + punctual.refusal_wait(v_note.refused), left(v_note.error, 2000))
      on conflict (name) do update set
        failures = v.failures + 1,
        refusals = v.refusals + v_note.refused,
        paused_until = greatest(v.paused_until, p_now + punctual.refusal_wait(v.refusals + v_note.refused)),
        probing_until = null,
        last_error = excluded.last_error;
    else
      insert into punctual.providers as v (name, failures, paused_until, last_error)
      values (v_note.name, 1, p_now + interval '30 seconds', left(v_note.error, 2000))
      on conflict (name) do update set
        failures = v.failures + 1,
        paused_until = p_now + least(interval '30 seconds' * power(2, least(v.failures, 10)), interval '30 minutes'),
        probing_until = null,
        last_error = excluded.last_error
       -- Ticks that failed side by side met one failure, which counts once.
       where v.paused_until is null or v.paused_until <= p_now;
    end if;
  end loop;
end
$$;

-- Reconciling settles rows with an uncertain attempt by receipts, checks and operators. The row keeps the attempt's claim_id, and `reconcile` keeps
-- those of earlier uncertain attempts, so proof of any of them counts. A finding without proof counts only for its own attempt.

-- Settles a row by a receipt, a check or an operator. p_said: {outcome, error, result, event, text}, as settle takes them. p_state: the state in
-- which the caller has judged the row. The caller holds the row's lock. Raises if the row cannot be written.
create function punctual.settle_judged(q punctual.queues, p_by text, p_id text, p_state text, p_said jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  perform punctual.settle_records(q, '[]', jsonb_build_array(p_said || jsonb_build_object('id', p_id, 'by', p_by, 'was', p_state)), p_now);
end
$$;

-- Locks a row and returns it. content: all of its columns. The id is null if the row does not exist, or if it is locked and p_wait is false.
create type punctual.locked_row as (id text, state text, claim_id uuid, reconcile jsonb, content jsonb);
create function punctual.lock_row(q punctual.queues, p_id text, p_wait boolean) returns punctual.locked_row
language plpgsql set search_path = '' as $$
declare
  r punctual.locked_row;
begin
  execute punctual.render_sql(q, 'select t.id::text, to_jsonb(t.*) from {table} t where t.id = $1::{id_type} for no key update '
                                 || case when p_wait then '' else 'skip locked' end)
  into r.id, r.content using p_id;
  r.state := punctual.state_of_word(q, r.content->>q.status_column);
  r.claim_id := (r.content->>'claim_id')::uuid;
  r.reconcile := case when jsonb_typeof(r.content->'reconcile') = 'object' then r.content->'reconcile' else '{}' end;
  return r;
end
$$;

-- Stores the receipts of a webhook. p_receipts: [{kind, status, message_id, reference, provider_account_id, chat_id, recipient, body, error, said_at,
-- user_id}]. Ignores receipts that came before or come twice in one call. An inbox reports everybody's messages: the text is stored only in our
-- conversations (see is_our_conversation), otherwise only who, where and when. Replies stop or advance their enrolments at once: after this call
-- none of their messages is claimed. Returns {received, new}.
create function punctual.receive_receipts(p_provider text, p_receipts jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_new integer;
  v_replies bigint[];
begin
  -- One call may bring a reply without a number, and another the number of its user id. They wait for each other, and the second sees both.
  perform pg_advisory_xact_lock(hashtextextended('punctual user ' || n.user_id, 0))
     from (select distinct r.user_id from jsonb_to_recordset(p_receipts) r (user_id text)
            where r.user_id is not null and not exists (select from punctual.whatsapp_users u where u.user_id = r.user_id) order by 1) n;
  with written as (
  insert into punctual.receipts (provider, kind, status, message_id, reference, queue, row_id, provider_account_id, chat_id, recipient, body,
                                 error, said_at, received_at)
  select p_provider, r.kind, r.status, r.message_id, r.reference, q.name, case when q.name is not null then split_part(r.reference, '/', 2) end,
         r.provider_account_id, r.chat_id, r.recipient,
         case when r.body is not null and punctual.is_our_conversation(p_provider, r.provider_account_id, r.chat_id,
                punctual.names_of(r.recipient) || punctual.names_of(r.user_id), v_now) then r.body end,
         left(r.error, 2000), r.said_at, v_now
    from jsonb_to_recordset(p_receipts) r (kind text, status text, message_id text, reference text, provider_account_id text, chat_id text,
           recipient text, body text, error text, said_at timestamptz, user_id text)
    -- A foreign reference names no row of ours. Only an id in the queue's format can be looked up.
    left join punctual.queues q on q.name = split_part(r.reference, '/', 1)
      and split_part(r.reference, '/', 2) ~ case q.id_type when 'bigint' then '^[0-9]{1,18}$' else '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' end
   -- One order, so that two calls with the same receipts do not deadlock.
   order by r.message_id, r.kind, r.status
  on conflict (provider, message_id, kind, status) do nothing returning id, kind, status)
  select count(*), array_agg(w.id order by w.id) filter (where w.kind = 'message' and w.status = 'received') into v_new, v_replies from written w;
  v_replies := v_replies || punctual.save_whatsapp_users(p_receipts, v_now);
  if v_replies is not null then perform punctual.apply_replies(v_replies, v_now); end if;
  return jsonb_build_object('received', jsonb_array_length(p_receipts), 'new', v_new);
end
$$;

-- Returns up to 200 receipts to apply to rows. First marks receipts of rows that are already done as applied, except `failed` ones, up to 2,000 at
-- once: a message has up to three. Looks each row up by its key, in any state: a plan with a join may read all rows of a state for each receipt.
-- Skips locked receipts.
insert into punctual.templates (verb, text) values ('pick_receipts', $template$
create function {function}(p_now timestamptz) returns bigint[]
language plpgsql {keeps_plan} as $$
begin
  update punctual.receipts r set applied_at = p_now
   where r.id = any (array(
           select x.id from punctual.receipts x
            cross join lateral (select o.{status} as status from {table} o where o.id = x.row_id::{id_type} limit 1) t
            where x.queue = {queue} and x.applied_at is null and x.status <> 'failed' and t.status = {done}
            limit 2000 for no key update of x skip locked));
  return array(
    select r.id from punctual.receipts r
      left join lateral (select o.{status} as status from {table} o where o.id = r.row_id::{id_type} limit 1) t on true
     where r.queue = {queue} and r.applied_at is null and (t.status = {running}) is not true and {unapplied}
     order by r.row_id limit 200);
end
$$
$template$);

-- Applies receipts to rows: those of the rows p_ids or, if null, a bounded number of all receipts that are not applied yet. Leaves running rows to
-- their own settle, which calls this function. A row that could not be written is tried again after an hour. Returns how many rows it settled.
-- Skips locked receipts and rows.
create function punctual.apply_receipts(q punctual.queues, p_ids text[], p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_receipt punctual.receipts;
  v_ids bigint[];
  v_count integer := 0;
begin
  if p_ids = '{}' then return 0; end if;
  if p_ids is null then
    -- The common case: reads an index and plans nothing.
    if not exists (select from punctual.receipts r where r.queue = q.name and r.applied_at is null) then return 0; end if;
    execute format('select punctual.%I($1)', q.name || '.pick_receipts') into v_ids using p_now;
  else
    v_ids := array(select r.id from punctual.receipts r where r.queue = q.name and r.applied_at is null and r.row_id = any (p_ids));
  end if;
  for v_receipt in
    select * from punctual.receipts r
     where r.id = any (v_ids) order by r.id for no key update skip locked
  loop
    begin
      v_count := v_count + punctual.apply_receipt(q, v_receipt, p_now)::integer;
    exception when others then
      -- A row that the table's triggers or checks refuse must not block the others.
      perform punctual.note_error(q, v_receipt.row_id, format('its receipt could not be applied: %s', sqlerrm), p_now);
    end;
    exit when punctual.is_call_over();
  end loop;
  return v_count;
end
$$;

-- Applies one receipt. Returns whether it settled the row.
create function punctual.apply_receipt(q punctual.queues, p_receipt punctual.receipts, p_now timestamptz) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_row record;
  v_settles boolean := false;
begin
  select * into v_row from punctual.lock_row(q, p_receipt.row_id, false);
  -- Running, or locked by a settle: a later call applies it.
  if v_row.state = 'running' or (v_row.id is null and punctual.row_exists(q, p_receipt.row_id)) then return false; end if;
  -- Another database with the same provider may have a row with the same id. So the receipt must be of an attempt of this row, as this account.
  if v_row.id is not null and punctual.is_own(q, v_row.content, v_row.reconcile, p_receipt) then
    if p_receipt.status = 'failed' then
      -- The provider accepted the latest attempt and could not deliver it. A receipt of its delivery prevails.
      v_settles := v_row.state in ('unknown', 'done') and v_row.claim_id::text = split_part(p_receipt.reference, '/', 3)
               and coalesce(v_row.content->>q.proof_column = p_receipt.message_id, true) and not punctual.has_receipt(p_receipt, '{delivered, read}');
      if v_settles then
        perform punctual.settle_judged(q, 'receipt', v_row.id, v_row.state, jsonb_build_object(
          'outcome', 'dead', 'error', coalesce(p_receipt.error, 'the provider could not deliver it'), 'event', 'receipt',
          'text', format('the provider says that it could not deliver it: %s', coalesce(p_receipt.error, 'no reason given'))), p_now);
      end if;
    elsif p_receipt.status in ('sent', 'delivered', 'read') then
      v_settles := v_row.state in ('unknown', 'pending', 'dead', 'cancelled')
               and (p_receipt.status <> 'sent' or not punctual.has_receipt(p_receipt, '{failed}'));
      if v_settles then
        perform punctual.settle_judged(q, 'receipt', v_row.id, v_row.state, jsonb_build_object(
          'outcome', 'done', 'result', case when q.proof_column is not null then jsonb_build_object(q.proof_column, p_receipt.message_id) end,
          'event', 'receipt', 'text', format('the provider says that it is %s', p_receipt.status)), p_now);
      end if;
    end if;
  end if;
  update punctual.receipts r set applied_at = p_now where r.id = p_receipt.id;
  return coalesce(v_settles, false);
end
$$;

-- Returns whether a receipt is of an attempt of this row, as its account: of the latest attempt, of an uncertain one, or of one that a restore of the
-- database has lost. The last is recognised by the row and the recipient of the receipt.
create function punctual.is_own(q punctual.queues, p_content jsonb, p_reconcile jsonb, p_receipt punctual.receipts) returns boolean
language sql stable set search_path = '' as $$
  select (coalesce(p_content->>'claim_id' = c.claim, false) or coalesce(p_reconcile->'claims' ? c.claim, false)
          or coalesce(p_reconcile ? 'restored_to'
                      and p_receipt.recipient in (p_content->>q.pair_column, regexp_replace(p_content->>q.pair_column, '[^0-9]|^00', '', 'g')), false))
     and (q.account_column is null or exists (
       select from punctual.accounts a
        where a.id = coalesce(p_reconcile->>'account_id', p_content->>q.account_column)::uuid and a.provider = p_receipt.provider
          and coalesce(a.provider_account_id = p_receipt.provider_account_id, true)))
    from (select split_part(p_receipt.reference, '/', 3) as claim) c
$$;

-- Handles late proof: the outcome `done` of an attempt whose row another claim has by now, because its machine was suspended or its outcome came
-- late. The message went out all the same. A running row keeps the proof until its attempt ends. Any other row that is not done becomes done. A row
-- that is done as another message gets the event `twice`. p_result: the outcome's result. Waits for the row's lock.
create function punctual.accept_late_proof(q punctual.queues, p_id text, p_claim_id text, p_result jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_row record;
  v_message text := p_result->>q.proof_column;
begin
  -- Waits for the row: the proof comes only once.
  select * into v_row from punctual.lock_row(q, p_id, true);
  if v_row.id is null or punctual.is_taken(q, v_message, p_id) then return; end if;
  -- Ignores an attempt of another row: after a restore, ids are used again.
  if (v_row.reconcile->'claims' ? p_claim_id) is not true then return; end if;
  if v_row.state = 'running' then
    perform punctual.save_late_proof(q, p_id, v_message, p_result, p_now);
  elsif v_row.state <> 'done' then
    perform punctual.settle_judged(q, 'receipt', p_id, v_row.state,
      jsonb_build_object('outcome', 'done', 'result', p_result, 'event', 'proved', 'text', 'an earlier attempt was delivered'), p_now);
  elsif (v_row.content->>q.proof_column = v_message) is not true then
    perform punctual.note_twice(q, p_id, v_message, p_now);
  end if;
end
$$;

-- Keeps the proof of an earlier attempt on a running row. apply_late_proof uses it when the attempt under way has ended.
create function punctual.save_late_proof(q punctual.queues, p_id text, p_message_id text, p_result jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  execute format('update %I.%I t set reconcile = coalesce(t.reconcile, ''{}'') || $1 where t.id = $2::%s', q.table_schema, q.table_name, q.id_type)
  using jsonb_build_object('late_proof', jsonb_build_object('message_id', p_message_id, 'result', p_result)), p_id;
  insert into punctual.history (queue, row_id, at, event, text)
  values (q.name, p_id, p_now, 'late', format('an earlier attempt was delivered after all%s', ', as ' || p_message_id));
end
$$;

-- Applies the late proof that a row keeps, once its attempt has ended. Skips a locked row.
create function punctual.apply_late_proof(q punctual.queues, p_id text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_row record;
  v_proof jsonb;
begin
  select * into v_row from punctual.lock_row(q, p_id, false);
  v_proof := v_row.reconcile->'late_proof';
  if punctual.is_taken(q, v_proof->>'message_id', p_id) then return; end if;
  if v_row.state = 'done' and v_row.content->>q.proof_column is distinct from v_proof->>'message_id' then
    perform punctual.note_twice(q, p_id, v_proof->>'message_id', p_now);
  elsif v_row.state in ('pending', 'unknown', 'dead') then
    perform punctual.settle_judged(q, 'receipt', p_id, v_row.state,
      jsonb_build_object('outcome', 'done', 'result', v_proof->'result', 'event', 'proved', 'text', 'an earlier attempt was delivered'), p_now);
  end if;
end
$$;

-- Writes the event `twice`: an earlier attempt of the row was delivered as well.
create function punctual.note_twice(q punctual.queues, p_id text, p_message_id text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  insert into punctual.history (queue, row_id, at, event, text)
  select q.name, p_id, p_now, 'twice', v.text
    from (select format('an earlier attempt was delivered as well%s', ', as ' || p_message_id) as text) v
   -- An exchange whose response was lost sends the outcome again.
   where not exists (select from punctual.history h where h.queue = q.name and h.row_id = p_id and h.event = 'twice' and h.text = v.text);
end
$$;

-- Returns whether a receipt of the same message has one of p_statuses.
create function punctual.has_receipt(p_receipt punctual.receipts, p_statuses text[]) returns boolean
language sql stable set search_path = '' as $$
  select exists (select from punctual.receipts r where r.provider = p_receipt.provider and r.message_id = p_receipt.message_id
                    and r.kind = p_receipt.kind and r.status = any (p_statuses))
$$;

-- Returns whether the queue has a row with this id, locked or not.
create function punctual.row_exists(q punctual.queues, p_id text) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_exists boolean;
begin
  execute format('select exists (select from %I.%I t where t.id = $1::%s)', q.table_schema, q.table_name, q.id_type) into v_exists using p_id;
  return v_exists;
end
$$;

-- are_checks_due returns whether a row's check is due. take_unknown takes up to p_want rows whose check is due and sets their next check to p_until.
-- Skips locked rows.
insert into punctual.templates (verb, text) values ('are_checks_due', $template$
create function {function}(p_providers text[], p_now timestamptz) returns boolean
language plpgsql stable {keeps_plan} as $$
begin
  return exists (select from {table} t where {check_is_due});
end
$$
$template$), ('take_unknown', $template$
create function {function}(p_want integer, p_providers text[], p_until timestamptz, p_now timestamptz) returns jsonb
language plpgsql {keeps_plan} as $$
declare
  v_rows jsonb;
begin
  with taken as (
    update {table} u set reconcile_at = p_until
     where u.id = any (array(select t.id from {table} t where {check_is_due} order by t.reconcile_at, t.id limit p_want for no key update skip locked))
    returning u.*)
  select coalesce(jsonb_agg(jsonb_build_object(
           'id', t.id::text, 'claim_id', t.claim_id, 'attempted_at', coalesce((t.reconcile->>'first_at')::timestamptz, t.claimed_at),
           'over_seconds', extract(epoch from p_now - (t.reconcile->>'over_at')::timestamptz), 'row', to_jsonb(t.*),
           'account', (select {account_summary} from punctual.accounts a where a.id = (t.reconcile->>'account_id')::uuid))
           order by t.claimed_at, t.id), '[]')
    into v_rows from taken t;
  return v_rows;
end
$$
$template$);

-- Returns the configured providers that are not paused.
create function punctual.awake_providers(p_configured text[], p_now timestamptz) returns text[]
language plpgsql stable set search_path = '' as $$
begin
  return array(select c from unnest(p_configured) c
                where not exists (select from punctual.providers v where v.name = c and v.paused_until > p_now));
end
$$;

-- Returns whether the check of an unknown row is due.
create function punctual.are_checks_due(q punctual.queues, p_configured text[], p_now timestamptz) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_are_due boolean;
begin
  if q.delivery <> 'at-most-once' then return false; end if;
  execute format('select punctual.%I($1, $2)', q.name || '.are_checks_due') into v_are_due using punctual.awake_providers(p_configured, p_now), p_now;
  return v_are_due;
end
$$;

-- Takes up to p_want unknown rows whose check is due; null is the queue's concurrency. Returns [{id, claim_id, attempted_at, over_seconds, row,
-- account, evidence}]. attempted_at: the first of its uncertain attempts. over_seconds: seconds since the attempt was certainly over, negative
-- before. account: as which it was sent. A row without a finding can be taken again after p_lease_seconds. Applies receipts first. Skips locked
-- rows.
create function punctual.take_unknown(
  p_queue text, p_providers text[], p_lease_seconds double precision, p_want integer default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set lock_timeout = '3s'
  set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  q punctual.queues := punctual.read_queue(p_queue);
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_rows jsonb;
  v_evidence jsonb := '{}';
begin
  if q.delivery <> 'at-most-once' then return '[]'; end if;
  perform set_config('punctual.settles', q.name, true);
  -- A row that a receipt settles needs no check.
  perform punctual.apply_receipts(q, null, v_now);
  execute format('select punctual.%I($1, $2, $3, $4)', q.name || '.take_unknown') into v_rows
    using coalesce(p_want, q.concurrency), punctual.awake_providers(p_providers, v_now), v_now + make_interval(secs => p_lease_seconds), v_now;
  if v_rows <> '[]' and q.evidence is not null then
    execute format('select coalesce(%s($1, $2), ''{}'')', q.evidence)
    into v_evidence using array(select r->>'id' from jsonb_array_elements(v_rows) r), v_now;
  end if;
  perform set_config('punctual.settles', '', true);
  return (select coalesce(jsonb_agg(r || jsonb_build_object('evidence', v_evidence->(r->>'id')) order by n), '[]')
            from jsonb_array_elements(v_rows) with ordinality e (r, n));
end
$$;

-- Judges the findings of checks of unknown rows. p_findings: [{id, claim_id, over_seconds, proof: [{message_id, result}], candidates: [message_id],
-- absent_after_seconds, text, failed}]. over_seconds: as take_unknown returned it. absent_after_seconds: null if finding nothing proves nothing.
-- failed: the check failed. p_call_ms: see is_call_over.
--
-- Returns {checked, done, absent, dead}. Locks the messages by id, then the rows by id. Waits for no row and no account: a locked row is checked
-- again.
create function punctual.settle_findings(p_queue text, p_findings jsonb, p_call_ms integer default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set lock_timeout = '3s'
  set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  q punctual.queues := punctual.read_queue(p_queue);
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_finding jsonb;
  v_message text;
  v_verdict text;
  v_counts jsonb := '{"checked": 0, "done": 0, "absent": 0, "dead": 0}';
begin
  perform set_config('punctual.settles', q.name, true);
  if p_call_ms is not null then perform set_config('punctual.call_ms', p_call_ms::text, true); end if;
  -- A message proves one row. Calls with the same message wait for each other here.
  for v_message in
    select distinct m from jsonb_array_elements(p_findings) l cross join lateral (
      select p->>'message_id' as m from jsonb_array_elements(l->'proof') p union all select jsonb_array_elements_text(l->'candidates')) x order by 1
  loop
    perform pg_advisory_xact_lock(hashtextextended('punctual message ' || v_message, 0));
  end loop;
  -- By id, as settles lock rows.
  for v_finding in select l from jsonb_array_elements(p_findings) l order by length(l->>'id'), l->>'id' loop
    begin
      v_verdict := punctual.settle_finding(q, v_finding, v_now);
    exception when others then
      perform punctual.note_error(q, v_finding->>'id', format('its finding could not be written: %s', sqlerrm), v_now);
      v_verdict := null;
    end;
    -- Also a finding that is sent again because the response was lost.
    continue when v_verdict = 'stale';
    v_counts := v_counts || jsonb_build_object('checked', (v_counts->>'checked')::integer + 1);
    if v_verdict is not null then
      v_counts := v_counts || jsonb_build_object(v_verdict, (v_counts->>v_verdict)::integer + 1);
    end if;
    -- The other rows are checked again.
    exit when punctual.is_call_over();
  end loop;
  perform set_config('punctual.settles', '', true);
  return v_counts;
end
$$;

-- Judges one finding. Returns done, absent or dead; stale if the row no longer needs the finding; null if it stays unknown or is locked.
create function punctual.settle_finding(q punctual.queues, p_finding jsonb, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  r punctual.locked_row := punctual.lock_row(q, p_finding->>'id', false);
  v_proof jsonb;
  v_has_candidate boolean;
  v_text text := p_finding->>'text';
begin
  if r.state = 'done' then return 'stale'; end if;
  if r.id is null then return null; end if;
  v_proof := (select p from jsonb_array_elements(p_finding->'proof') with ordinality e (p, n)
               where not punctual.is_taken(q, p->>'message_id', r.id) order by n limit 1);
  v_has_candidate := exists (select from jsonb_array_elements_text(p_finding->'candidates') d where not punctual.is_taken(q, d, r.id));
  if v_proof is not null and r.state <> 'running' and punctual.is_ambiguous(q, r.content) then
    v_proof := null;
    v_has_candidate := true;
    v_text := 'the message that was found may be another row''s, which is running or was sent without the provider''s id: check with the provider';
  end if;
  if v_proof is not null then return punctual.settle_proof(q, r, v_proof, v_text, p_now); end if;
  -- The row was settled or claimed since. Without proof, the finding no longer counts.
  if r.state <> 'unknown' or r.claim_id is distinct from (p_finding->>'claim_id')::uuid then return 'stale'; end if;
  if r.reconcile->>'digest' <> punctual.row_digest(q, r.content) then
    v_has_candidate := true;
    v_text := 'the row was changed after it was sent, so a check cannot find its message';
  end if;
  if not v_has_candidate and (p_finding->>'over_seconds')::double precision >= (p_finding->>'absent_after_seconds')::double precision then
    return punctual.settle_absence(q, r, v_text, p_now);
  end if;
  perform punctual.check_again(q, r, p_finding, v_has_candidate, v_text, p_now);
  return null;
end
$$;

-- Settles a row as done by proof. A running row keeps the proof until its attempt ends. Returns done, or null for a running row.
create function punctual.settle_proof(q punctual.queues, r punctual.locked_row, p_proof jsonb, p_text text, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  v_result jsonb := coalesce(p_proof->'result', '{}')
    || case when q.proof_column is null then '{}' else jsonb_build_object(q.proof_column, p_proof->>'message_id') end;
begin
  if r.state = 'running' then
    perform punctual.save_late_proof(q, r.id, p_proof->>'message_id', v_result, p_now);
    return null;
  end if;
  perform punctual.settle_judged(q, 'check', r.id, r.state,
    jsonb_build_object('outcome', 'done', 'result', v_result, 'event', 'proved', 'text', p_text), p_now);
  return 'done';
end
$$;

-- Settles a row whose attempt had no effect: pending, or dead if its attempts are used up. Returns absent or dead, or null if the account is locked
-- and its place cannot be given back now.
create function punctual.settle_absence(q punctual.queues, r punctual.locked_row, p_text text, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  v_is_used_up boolean := (r.content->>'attempts')::integer >= coalesce((r.content->>'max_attempts')::integer, q.max_attempts);
begin
  if not punctual.refund_place(q, r.content, p_now) then return null; end if;
  perform punctual.settle_judged(q, 'check', r.id, r.state, jsonb_build_object('event', 'absent', 'text', p_text,
    'outcome', case when v_is_used_up then 'dead' else 'pending' end,
    'error', format(case when v_is_used_up then 'it was not %s, and its attempts are used up' else 'it was not %s: the provider knows nothing of it' end,
                    q.done_word)), p_now);
  return case when v_is_used_up then 'dead' else 'absent' end;
end
$$;

-- Stores the finding on a row that stays unknown, and when it is checked next.
create function punctual.check_again(
  q punctual.queues, r punctual.locked_row, p_finding jsonb, p_has_candidate boolean, p_text text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_failed boolean := coalesce((p_finding->>'failed')::boolean, false);
  v_over_seconds double precision := (p_finding->>'over_seconds')::double precision;
  v_checks integer := (r.reconcile->>'checks')::integer + 1;
  -- A check that succeeds but cannot settle the row is repeated for one day, a failed one without end. Receipts still count after that.
  v_waits_for_operator boolean := p_has_candidate or (v_failed and v_over_seconds > 86400)
    or (not v_failed and p_finding->>'absent_after_seconds' is null and v_over_seconds > 3600);
begin
  execute punctual.render_sql(q, 'update {table} t set reconcile_at = $1, reconcile = t.reconcile || $2 where t.id = $3::{id_type}')
  using case when not (v_waits_for_operator and not v_failed and v_over_seconds > 86400) then punctual.next_check_at(v_checks, p_now) end,
        jsonb_build_object('checks', v_checks, 'checked_at', p_now, 'found', left(p_text, 2000), 'waits_for_operator', v_waits_for_operator), r.id;
  -- People read this history, so the same finding is written once.
  if left(p_text, 2000) is distinct from r.reconcile->>'found' then
    insert into punctual.history (queue, row_id, at, event, text) values (q.name, r.id, p_now, 'checked', left(p_text, 2000));
  end if;
end
$$;

-- Returns whether another row has this message as its proof.
create function punctual.is_taken(q punctual.queues, p_message_id text, p_id text) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_taken boolean := false;
begin
  if q.proof_column is not null then
    execute format('select exists (select from %I.%I t where t.%I = $1 and t.id <> $2::%s)', q.table_schema, q.table_name, q.proof_column, q.id_type)
    into v_taken using p_message_id, p_id;
  end if;
  return v_taken;
end
$$;

-- Returns whether another row of the same account and addressee is running, or was sent since this row's attempt without a provider's id. Then the
-- message that a check found may be that row's.
create function punctual.is_ambiguous(q punctual.queues, p_content jsonb) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_found boolean := false;
begin
  if q.pair_column is not null then
    execute punctual.render_sql(q, 'select exists (select from {table} t where t.{account} = $1 and t.{addressee} = $2 and t.id <> $3::{id_type} and '
      || case when q.proof_column is null then 't.{status} = {running})'
              else '(t.{status} = {running} or (t.{status} = {done} and t.{proof} is null and t.finished_at >= $4)))' end)
    into v_found using (p_content->>q.account_column)::uuid, p_content->>q.pair_column, p_content->>'id',
                       coalesce(p_content->'reconcile'->>'first_at', p_content->>'claimed_at')::timestamptz;
  end if;
  return v_found;
end
$$;

-- Refunds the account's place for a claim that had no effect. Returns false if the account's row of pace is locked.
create function punctual.refund_place(q punctual.queues, p_content jsonb, p_now timestamptz) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_account uuid := (p_content->'reconcile'->>'account_id')::uuid;
  v_claimed_at timestamptz := (p_content->>'claimed_at')::timestamptz;
begin
  if q.account_column is null then return true; end if;
  perform from punctual.pace p where p.queue = q.name and p.account_id = v_account for no key update skip locked;
  if not found then return not exists (select from punctual.pace p where p.queue = q.name and p.account_id = v_account); end if;
  update punctual.pace p set
    -- A claim of an earlier day is not in `used`.
    used = case when v_claimed_at >= p.used_since then greatest(p.used - 1, 0) else p.used end,
    recent = coalesce(p.recent[:array_position(p.recent, v_claimed_at) - 1] || p.recent[array_position(p.recent, v_claimed_at) + 1:], p.recent),
    next_ok_at = '-infinity', waiting_for = null, ready_at = case when p.busy_until > p_now then p.ready_at else p_now end
   where p.queue = q.name and p.account_id = v_account;
  return true;
end
$$;

-- Returns a hint on how to retry a dead row. An enrolment resumes at the step that failed, so that its message is not also sent by itself. Any other
-- row is made pending by hand: see requeue_by_hand. p_row: all of its columns.
create function punctual.redo_hint(q punctual.queues, p_row jsonb) returns text
language plpgsql immutable set search_path = '' as $$
declare
  v_enrolment text := case q.name when 'enrolments' then p_row->>'id' when 'dm_queue' then p_row->>'enrolment_id' end;
begin
  if v_enrolment is not null then return format('To retry its step: POST /api/enrolments/%s/resume.', v_enrolment); end if;
  return punctual.render_sql(q, 'To retry it, run: update {table} set {status} = {pending}, attempts = 0 where id = %L', p_row->>'id');
end
$$;

-- Settles an unknown row by an operator's decision: done, pending (it is sent again), dead or cancelled, or the queue's word for one of these. Also
-- cancels a pending row. Proof that comes later still prevails. Returns {status}.
--
-- p_attempt  the number of the attempt that the decision is about; null for any.
-- p_by, p_note  who decided, and a remark, for the history.
--
-- Raises 22023 for another decision, PT404 for an unknown queue or row, and PT409 if the row cannot be decided or has had another attempt. Locks
-- the row.
create function punctual.resolve_row(
  p_queue text, p_id text, p_decision text, p_by text default null, p_note text default null, p_attempt integer default null,
  p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  q punctual.queues := punctual.read_queue(p_queue);
  v_decision text := punctual.state_of(q, p_decision);
  v_row record;
begin
  if v_decision is null or v_decision not in ('done', 'pending', 'dead', 'cancelled') then
    raise exception 'the decision cannot be "%"', p_decision
      using errcode = '22023', hint = format('Send %s, %s, %s or %s.', q.done_word, q.pending_word, q.dead_word, q.cancelled_word);
  end if;
  if q.source = 'pgmq' then return punctual.resolve_message(q, p_id, v_decision, p_by, p_note, v_now); end if;
  if not punctual.is_id(q, p_id) then raise exception 'there is no row % in %', p_id, p_queue using errcode = 'PT404'; end if;
  perform set_config('punctual.settles', q.name, true);
  select * into v_row from punctual.lock_row(q, p_id, true);
  if v_row.id is null then raise exception 'there is no row % in %', p_id, p_queue using errcode = 'PT404'; end if;
  -- A receipt may settle the row. Then this call is refused and rolled back, and the next tick applies the receipt.
  if q.delivery = 'at-most-once' and punctual.apply_receipts(q, array[p_id], v_now) > 0 then
    select * into v_row from punctual.lock_row(q, p_id, true);
  end if;
  if v_row.state is distinct from 'unknown' and not (v_row.state = 'pending' and v_decision = 'cancelled') then
    raise exception 'the row is %', v_row.content->>q.status_column using errcode = 'PT409', detail = v_row.content->>q.status_column,
      hint = case when v_row.state = 'dead' and v_decision <> 'cancelled' then punctual.redo_hint(q, v_row.content) else '' end;
  end if;
  if p_attempt <> (v_row.content->>'attempts')::integer then
    raise exception 'the row has had another attempt since, and is %', v_row.content->>q.status_column
      using errcode = 'PT409', detail = v_row.content->>q.status_column;
  end if;
  perform punctual.settle_judged(q, 'operator', p_id, v_row.state, jsonb_build_object('outcome', v_decision, 'event', 'decided',
    'error', case when v_decision in ('dead', 'cancelled') then coalesce(p_note, 'decided by an operator') end,
    'text', format('%s decided: %s%s', coalesce(p_by, 'an operator'), case v_decision when 'done' then 'it was ' || q.done_word when 'pending' then 'try it again'
                   when 'dead' then 'mark it dead' else 'cancel it' end, coalesce(' (' || p_note || ')', ''))), v_now);
  perform set_config('punctual.settles', '', true);
  return jsonb_build_object('status', punctual.word_of_state(q, v_decision));
end
$$;

-- exchange() is the protocol between a tick and the database: one call of five steps, which open the tick, settle, sweep, claim and note.

-- count_due counts the due rows of a partition, up to 1,000; expired rows count until they are swept. first_due_at returns the first due time up to
-- now, next_due_at the first one after now. Both are null if there is none.
insert into punctual.templates (verb, text) values ('count_due', $template$
create function {function}(p_partition text, p_now timestamptz) returns integer
language plpgsql stable {keeps_plan} as $$
begin
  return (
    select count(*) from (
      select from {levels} cross join lateral (
        select from {table} t where t.{status} = {pending} {in_partition} and {at_level} and {due_at} <= p_now limit 1000) r
       limit 1000) c);
end
$$
$template$), ('first_due_at', $template$
create function {function}(p_partition text, p_now timestamptz) returns timestamptz
language plpgsql stable {keeps_plan} as $$
begin
  return (
    select min(r.due) from {levels} cross join lateral (
      select {due_at} as due from {table} t where t.{status} = {pending} {in_partition} and {at_level} and {due_at} <= p_now
       order by {due_at}, t.id limit 1) r);
end
$$
$template$), ('next_due_at', $template$
create function {function}(p_partition text, p_now timestamptz) returns timestamptz
language plpgsql stable {keeps_plan} as $$
begin
  return (
    select min(r.due) from {levels} cross join lateral (
      select {due_at} as due from {table} t where t.{status} = {pending} {in_partition} and {at_level} and {due_at} > p_now
       order by {due_at}, t.id limit 1) r
     where r.due < 'infinity');
end
$$
$template$);

-- Counts the due rows of a partition, up to 1,000.
create function punctual.count_due(q punctual.queues, p_partition text, p_now timestamptz) returns integer
language plpgsql stable set search_path = '' as $$
declare
  v_count integer;
begin
  execute format('select punctual.%I($1, $2)', q.name || '.count_due') into v_count using p_partition, p_now;
  return v_count;
end
$$;

-- Returns the first due time of a partition: up to now if p_past, else after now. Null if there is none.
create function punctual.first_due_at(q punctual.queues, p_partition text, p_past boolean, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_at timestamptz;
begin
  execute format('select punctual.%I($1, $2)', q.name || case when p_past then '.first_due_at' else '.next_due_at' end)
  into v_at using p_partition, p_now;
  return v_at;
end
$$;

-- Returns when the next row falls due or the next account of one of these providers (null: of any provider) is ready, whichever is first. Null if
-- nothing waits.
create function punctual.next_due_at(q punctual.queues, p_partition text, p_providers text[], p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return least(punctual.first_due_at(q, p_partition, false, p_now),
               (select min(r.ready_at)
                  from unnest(coalesce(p_providers, (select array_agg(distinct a.provider) from punctual.accounts a))) v (provider)
                 cross join lateral (
                   select p.ready_at from punctual.pace p
                    where p.queue = q.name and p.provider = v.provider and p.ready_at > p_now and p.ready_at < 'infinity'
                    order by p.ready_at limit 1) r));
end
$$;

-- Returns whether an account of a configured provider that is not paused is ready now.
create function punctual.is_account_ready(q punctual.queues, p_configured text[], p_now timestamptz) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  return exists (select from unnest(p_configured) c (provider)
                  cross join lateral (select from punctual.pace p where p.queue = q.name and p.provider = c.provider and p.ready_at <= p_now limit 1) r
                  where not exists (select from punctual.providers v where v.name = c.provider and v.paused_until > p_now));
end
$$;

-- Lists the partitions that a call for the whole queue ticks: those that are not paused and have a row that could start now, the longest not ticked
-- first. If there is none, lists the partition that has not been ticked for the longest time, paused or not, because a tick must sweep rows whose
-- tick died. Returns [{partition, timeout_seconds, due_seconds}]. due_seconds: how long the first row has been due; null if none is. A
-- partition whose message table has a fault comes last. p_only: lists this partition in any case, without due_seconds. Raises PT404 if it does not
-- exist.
create function punctual.list_due_partitions(p_queue text, p_only text default null, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  q punctual.queues := punctual.read_queue(p_queue);
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_partition punctual.partitions;
  v_due_at timestamptz;
  v_due jsonb := '[]';
  v_one jsonb;
  v_idle jsonb;
  v_broken jsonb;
begin
  if p_only is not null then
    select * into v_partition from punctual.partitions p where p.queue = q.name and p.partition = p_only;
    if not found then
      raise exception 'there is no partition "%" of %', p_only, q.name
        using errcode = 'PT404', hint = coalesce(
          'Its partitions: ' || (select string_agg(p.partition, ', ' order by p.partition) from punctual.partitions p where p.queue = q.name),
          'It has no partitions. Insert them into punctual.partitions.');
    end if;
    return jsonb_build_array(jsonb_build_object('partition', p_only, 'timeout_seconds', coalesce(v_partition.timeout_seconds, q.timeout_seconds)));
  end if;
  for v_partition in
    select * from punctual.partitions p where p.queue = q.name order by p.last_tick_at nulls first, p.partition
  loop
    v_one := jsonb_build_object('partition', v_partition.partition, 'due_seconds', null,
                                'timeout_seconds', coalesce(v_partition.timeout_seconds, q.timeout_seconds));
    -- A partition whose message table has a fault comes last: other partitions keep their ticks. If there is no other, its tick reports the fault.
    if q.source = 'table' or (select f.fault is null from punctual.find_message_table(v_partition.partition) f) then
      v_idle := coalesce(v_idle, v_one);
    else
      v_broken := coalesce(v_broken, v_one);
    end if;
    continue when v_partition.paused_at <= v_now or q.paused_at <= v_now;
    exit when v_due <> '[]' and punctual.is_call_over();
    v_due_at := punctual.first_due_at(q, v_partition.partition, true, v_now);
    continue when v_due_at is null;
    continue when v_partition.max_running is not null
              and (select o.most <= 0 from punctual.partition_opening(q, v_partition, v_now) o);
    v_due := v_due || jsonb_build_object('partition', v_partition.partition,
      'timeout_seconds', coalesce(v_partition.timeout_seconds, q.timeout_seconds), 'due_seconds', case when v_due_at > '-infinity' then round(extract(epoch from v_now - v_due_at)) else 0 end);
  end loop;
  v_idle := coalesce(v_idle, v_broken);
  return case when v_due = '[]' and v_idle is not null then jsonb_build_array(v_idle) else v_due end;
end
$$;

-- Returns {queue: max_continuations} for all queues.
create function punctual.list_continuation_limits() returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_object_agg(q.name, q.max_continuations), '{}') from punctual.queues q
$$;

-- Returns when a person asked for the tick's rows. If a slot is delivered twice, the first delivery counts.
create function punctual.requested_at(p_tick punctual.ticks) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return (
    select least(p_tick.started_at, min(t.started_at)) from punctual.ticks t
   where p_tick.slot is not null and t.queue = p_tick.queue and t.started_at > p_tick.started_at - interval '1 day'
     and t.partition = p_tick.partition and t.asked_for = p_tick.asked_for and t.slot = p_tick.slot);
end
$$;

-- Returns the tick's row of the ledger, locked. Inserts it on the tick's first call, under the partition's lock. Raises 55P03 if two copies of the
-- first call run at once and the other one holds the tick: repeat the call.
create function punctual.open_tick(
  q punctual.queues, p_partition punctual.partitions, p_tick jsonb, p_now timestamptz, out tick punctual.ticks, out is_new boolean)
language plpgsql set search_path = '' as $$
declare
  v_max integer := coalesce(p_partition.max_ticks, q.max_ticks);
  v_asked_for text := p_tick->>'asked_for';
  v_now timestamptz;
  v_live integer;
begin
  is_new := false;
  select * into tick from punctual.ticks t where t.id = (p_tick->>'id')::uuid for no key update;
  if found then return; end if;

  perform from punctual.partitions p where p.queue = q.name and p.partition = p_partition.partition for no key update;
  -- A copy of this call may have inserted the tick while this one waited. A new statement sees that. The copy may hold the tick and wait for this
  -- partition, so this call does not wait for the tick.
  select * into tick from punctual.ticks t where t.id = (p_tick->>'id')::uuid for no key update nowait;
  if found then return; end if;

  v_now := coalesce(p_now, clock_timestamp());
  update punctual.ticks t set outcome = 'died', closed_at = t.deadline_at
   where t.id in (select d.id from punctual.ticks d where d.queue = q.name and d.partition = p_partition.partition
                     and d.closed_at is null and d.deadline_at <= v_now for no key update skip locked);
  select count(*) into v_live from punctual.ticks t
   where t.queue = q.name and t.partition = p_partition.partition and t.closed_at is null and t.admitted and t.deadline_at > v_now
     -- Ticks that a person asked for do not count.
     and t.asked_for is null;

  insert into punctual.ticks as t (id, queue, partition, scheduler, path, schedule, slot, continuation, run_id, asked_for, step, duplicate, admitted, started_at, deadline_at)
  values ((p_tick->>'id')::uuid, q.name, p_partition.partition, coalesce(p_tick->>'scheduler', 'http'), p_tick->>'path', p_tick->>'schedule',
          (p_tick->>'slot')::timestamptz, coalesce((p_tick->>'continuation')::integer, 0), coalesce(p_tick->>'run_id', p_tick->>'id')::uuid, v_asked_for,
          case when coalesce(p_partition.adaptive, q.adaptive) then punctual.adaptive_step(q, p_partition.partition, v_now) end,
          exists (select from punctual.ticks s where s.queue = q.name and s.partition = p_partition.partition and not s.duplicate
                     and s.asked_for is not distinct from v_asked_for
                     and s.slot = (p_tick->>'slot')::timestamptz and s.continuation = coalesce((p_tick->>'continuation')::integer, 0)
                     -- Two schedulers may have the same slot, and one scheduler may have it twice, under two paths.
                     and s.scheduler = coalesce(p_tick->>'scheduler', 'http') and coalesce(s.path, '') = coalesce(p_tick->>'path', '')),
          v_asked_for is not null or (v_live < v_max and (p_tick->>'lock' is distinct from 'held' or v_max > 1)),
          v_now, v_now + make_interval(secs => (p_tick->>'limit_seconds')::double precision))
  returning t.* into tick;
  if v_asked_for is null then
    update punctual.partitions p set last_tick_at = v_now where p.queue = q.name and p.partition = p_partition.partition;
  end if;
  is_new := true;
end
$$;

-- One call of exchange(), passed from step to step.
create type punctual.call as (
  queue punctual.queues,
  partition punctual.partitions,
  tick punctual.ticks,
  -- The call has inserted its tick into the ledger.
  is_new boolean,
  -- The number of the exchange. If it is not above the tick's last_seq, the call is late or repeated and claims nothing new.
  seq integer,
  -- seq equals last_seq: the call returns the rows that still run under that claim.
  is_repeated boolean,
  -- The id under which this call claims. It names the tick and the exchange: see claim_id_of.
  claim_id uuid,
  -- Why the partition or the queue is paused; null if neither is.
  paused text,
  -- The configured providers, for queues with accounts.
  providers text[],
  lease_until timestamptz,
  now timestamptz
);

-- Sets the session settings of this call. Raises PT412 if the schema is behind, and 22023 without limit_seconds.
create function punctual.begin_call(p_tick jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  perform set_config('punctual.settles', p_tick->>'queue', true);
  -- For begin_reconcile. A tick of an older version does not send it.
  perform set_config('punctual.reconciles', coalesce(p_tick->>'reconciles', ''), true);
  if p_tick ? 'call_ms' then perform set_config('punctual.call_ms', p_tick->>'call_ms', true); end if;
  if p_tick ? 'schema' then perform punctual.require_schema(p_tick->>'schema'); end if;
  if (p_tick->>'limit_seconds')::double precision is null then
    raise exception 'the tick has no limit_seconds' using errcode = '22023';
  end if;
end
$$;

-- Step 1: opens and locks the tick, and locks the partition if the call needs it. p_claims: the call may claim rows. Raises PT404 for an unknown
-- queue or partition, and 22023 for a state that cannot be asked for.
create function punctual.open_call(p_tick jsonb, p_seq integer, p_claims boolean, p_now timestamptz) returns punctual.call
language plpgsql set search_path = '' as $$
declare
  q punctual.queues;
  v_partition punctual.partitions;
  v_opened record;
  c punctual.call;
begin
  perform punctual.begin_call(p_tick);
  q := punctual.read_queue(p_tick->>'queue');
  select * into v_partition from punctual.partitions p where p.queue = q.name and p.partition = p_tick->>'partition';
  if not found then
    raise exception 'the queue % has no partition "%"', q.name, p_tick->>'partition'
      using errcode = 'PT404', hint = 'Insert it into punctual.partitions.';
  end if;
  perform punctual.require_askable(q, p_tick->>'asked_for');
  select o.tick, o.is_new into v_opened from punctual.open_tick(q, v_partition, p_tick, p_now) o;
  c.tick := v_opened.tick;
  c.is_new := v_opened.is_new;
  if (v_partition.max_running is not null or v_partition.wakes_from is not null) and p_claims then
    select * into v_partition from punctual.partitions p where p.queue = q.name and p.partition = v_partition.partition for no key update;
  end if;
  -- after_restore may have held the ledger while this call waited, and paused the queue.
  q := punctual.read_queue(q.name);
  c.queue := q;
  c.partition := v_partition;
  c.now := coalesce(p_now, clock_timestamp());
  c.seq := coalesce(p_seq, (c.tick).last_seq + 1);
  c.is_repeated := c.seq = (c.tick).last_seq;
  c.claim_id := punctual.claim_id_of(c.tick, c.seq);
  c.paused := case when v_partition.paused_at <= c.now then coalesce(v_partition.paused_reason, 'the partition is paused')
                   when q.paused_at <= c.now then coalesce(q.paused_reason, 'the queue is paused') end;
  c.providers := array(select jsonb_array_elements_text(coalesce(p_tick->'providers', '[]')));
  -- Longer than any run of the function, so that no handler is still at work when the lease ends.
  c.lease_until := c.now + make_interval(secs => greatest(q.lease_seconds, (p_tick->>'limit_seconds')::double precision + 30));
  return c;
end
$$;

-- Raises 22023 if a person cannot ask for rows of this state.
create function punctual.require_askable(q punctual.queues, p_asked_for text) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if p_asked_for is null
     or (p_asked_for in ('pending', 'dead') and q.account_column is null and q.source = 'table'
         -- A queue whose rows wait for events has its own way to redrive.
         and (p_asked_for = 'pending' or q.waits_column is null)) then return; end if;
  raise exception '% rows of % cannot be asked for', p_asked_for, q.name
    using errcode = '22023', hint = 'Ask for pending or dead rows of a queue with a table and no accounts. For dead rows it must have no waits_column.';
end
$$;

-- Returns the id of a claim: the tick's id with the number of the exchange as its first eight hexadecimal digits. See tick_of_claim.
create function punctual.claim_id_of(p_tick punctual.ticks, p_seq integer) returns uuid
language sql immutable set search_path = '' as $$
  select overlay(p_tick.id::text placing lpad(to_hex(p_seq), 8, '0') from 1)::uuid
$$;

-- Finds the tick that claimed under this id, among the queue's latest 200 ticks.
create function punctual.tick_of_claim(p_queue text, p_claim_id uuid) returns punctual.ticks
language sql stable set search_path = '' as $$
  select t.* from (select * from punctual.ticks x where x.queue = p_queue order by x.started_at desc limit 200) t
   where right(t.id::text, 27) = right(p_claim_id::text, 27) limit 1
$$;

-- Returns whether the call is the tick's next exchange: neither late nor repeated.
create function punctual.is_next(c punctual.call) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  return c.seq > (c.tick).last_seq;
end
$$;

-- Returns whether the call may claim rows.
create function punctual.may_claim(c punctual.call) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  return punctual.is_next(c) and (c.tick).admitted and (c.tick).closed_at is null and (c.tick).deadline_at > c.now;
end
$$;

-- Returns the batch limit and concurrency of an adaptive queue by its step, 0 to 3. Null for no step.
create function punctual.adaptive_settings(p_step integer, out batch_limit integer, out concurrency integer)
language sql immutable set search_path = '' as $$
  select s.batch_limit, s.concurrency from (values (0, 20, 3), (1, 30, 5), (2, 40, 7), (3, 50, 10)) s (step, batch_limit, concurrency)
   where s.step = least(3, greatest(0, p_step)) and p_step is not null
$$;

-- Returns the adaptive step of a new tick: 0 for fewer than 10 due rows, 1 up to 50, 2 up to 100, then 3. Of the last three ticks
-- with rows within 10 minutes, each that met a rate limit subtracts 1.
create function punctual.adaptive_step(q punctual.queues, p_partition text, p_now timestamptz) returns integer
language plpgsql stable set search_path = '' as $$
declare
  v_due integer := punctual.count_due(q, p_partition, p_now);
  v_limited integer;
begin
  select count(*) filter (where t.limited > 0) into v_limited
    from (select x.limited from punctual.ticks x
           where x.queue = q.name and x.partition = p_partition and x.started_at > p_now - interval '10 minutes' and x.claimed > 0
           order by x.started_at desc limit 3) t;
  return greatest(0, case when v_due < 10 then 0 when v_due <= 50 then 1 when v_due <= 100 then 2 else 3 end - v_limited);
end
$$;

-- The settings in force for a tick.
create type punctual.tick_settings as (
  delivery text,
  batch_limit integer,
  concurrency integer,
  timeout_seconds integer,
  budget_seconds integer,
  lease_seconds double precision,
  max_ticks integer,
  max_continuations integer,
  backoff_base_seconds integer,
  backoff_cap_seconds integer
);

-- Returns the settings in force: the partition's own, else the adaptive ones, else the queue's. p_settled: the result of this call's settle; a rate
-- limit in it lowers the adaptive step at once. p_asked_limit: the batch limit of a tick that a person asked for.
create function punctual.settings_of(c punctual.call, p_settled jsonb, p_asked_limit integer) returns punctual.tick_settings
language plpgsql stable set search_path = '' as $$
declare
  q punctual.queues := c.queue;
  p punctual.partitions := c.partition;
  v_has_met_limit boolean := (c.tick).limited + (p_settled->>'limited')::integer > 0;
  v_adaptive record;
begin
  select * into v_adaptive from punctual.adaptive_settings((c.tick).step - v_has_met_limit::integer);
  return (
    q.delivery,
    coalesce(p_asked_limit, p.batch_limit, v_adaptive.batch_limit, q.batch_limit),
    coalesce(p.concurrency, v_adaptive.concurrency, q.concurrency),
    coalesce(p.timeout_seconds, q.timeout_seconds),
    coalesce(p.budget_seconds, q.budget_seconds),
    extract(epoch from c.lease_until - c.now),
    coalesce(p.max_ticks, q.max_ticks), q.max_continuations,
    q.backoff_base_seconds, q.backoff_cap_seconds)::punctual.tick_settings;
end
$$;

-- Step 2: writes progress and outcomes. Returns as settle_outcomes does.
create function punctual.settle_call(c punctual.call, p_outcomes jsonb) returns jsonb
language plpgsql set search_path = '' as $$
begin
  perform punctual.note_progress(c.queue, p_outcomes->'progress');
  return punctual.settle_outcomes(c.queue, p_outcomes, c.now);
end
$$;

-- Step 3: runs arrive() for a new tick, then sweeps. Sweeps a paused queue too, so that rows whose tick died do not seem to run. Returns how many
-- overdue rows it recovered.
create function punctual.sweep_call(c punctual.call, p_want integer) returns integer
language plpgsql set search_path = '' as $$
declare
  v_swept integer := 0;
begin
  if not punctual.may_claim(c) then return 0; end if;
  if c.is_new then perform punctual.arrive(c); end if;
  if p_want > 0 then
    execute format('select punctual.%I($1, $2)', (c.queue).name || '.sweep') into v_swept using c.queue, c.now;
  end if;
  return v_swept;
end
$$;

-- Applies receipts, and runs the queue's before_claim. An error of before_claim goes to the queue's history, and the tick continues.
create function punctual.arrive(c punctual.call) returns void
language plpgsql set search_path = '' as $$
declare
  q punctual.queues := c.queue;
begin
  if q.delivery = 'at-most-once' then perform punctual.apply_receipts(q, null, c.now); end if;
  if q.before_claim is null then return; end if;
  perform set_config('punctual.settles', '', true);
  begin
    execute format('select %s($1, $2)', q.before_claim) using (c.partition).partition, c.now;
  exception when others then
    perform punctual.note_error(q, '', format('%s failed: %s', q.before_claim, sqlerrm), c.now);
  end;
  perform set_config('punctual.settles', q.name, true);
end
$$;

-- The rows that a call returns. more: ready accounts remain that the call did not reach.
create type punctual.claimed as (rows json[], more boolean);

-- Step 4: claims up to p_want rows. A repeated call returns the rows of its claim that still run instead.
create function punctual.claim_call(c punctual.call, p_want integer) returns punctual.claimed
language plpgsql set search_path = '' as $$
declare
  v_claimed punctual.claimed := ('{}', false);
begin
  if c.is_repeated then
    v_claimed.rows := punctual.list_claimed(c);
  elsif p_want > 0 and c.paused is null and punctual.may_claim(c) then
    execute format('select * from punctual.%I($1, $2)', (c.queue).name || '.take') into v_claimed using c, p_want;
  end if;
  v_claimed.rows := punctual.add_facts(c.queue, v_claimed.rows, c.now);
  return v_claimed;
end
$$;

insert into punctual.templates (verb, kinds, text) values ('take', '{plain,pgmq}', $template$
create function {function}(c punctual.call, p_want integer) returns punctual.claimed
language plpgsql set search_path = '' as $$
begin
  return (punctual.claim_plain(c, p_want), false)::punctual.claimed;
end
$$
$template$), ('take', '{accounts}', $template$
create function {function}(c punctual.call, p_want integer) returns punctual.claimed
language plpgsql set search_path = '' as $$
begin
  return punctual.claim_of_accounts(c, p_want);
end
$$
$template$);

-- Claims rows of a queue without accounts.
create function punctual.claim_plain(c punctual.call, p_want integer) returns json[]
language plpgsql set search_path = '' as $$
declare
  q punctual.queues := c.queue;
  p punctual.partitions := c.partition;
  v_dead_before timestamptz := case when (c.tick).asked_for = 'dead' then punctual.requested_at(c.tick) end;
begin
  if p.max_running is not null then
    return punctual.claim_limited_rows(q, p, c.claim_id, p_want, c.lease_until, v_dead_before, c.now);
  end if;
  if (c.tick).asked_for = 'dead' then
    return punctual.claim_dead_rows(q, p.partition, c.claim_id, p_want, c.lease_until, v_dead_before, c.now);
  end if;
  return punctual.claim_rows(q, p.partition, c.claim_id, p_want, c.lease_until, c.now);
end
$$;

-- Claims rows of a queue with accounts. Wakes accounts first, once a tick.
create function punctual.claim_of_accounts(c punctual.call, p_want integer) returns punctual.claimed
language plpgsql set search_path = '' as $$
declare
  q punctual.queues := c.queue;
  p punctual.partitions := c.partition;
  v_claimed punctual.claimed := ('{}', false);
  v_wakes_from uuid;
begin
  if c.is_new or p.wakes_from is not null then
    v_wakes_from := punctual.wake_accounts(q, p.wakes_from, c.now);
    update punctual.partitions x set wakes_from = v_wakes_from
     where x.queue = q.name and x.partition = p.partition and x.wakes_from is distinct from v_wakes_from;
    -- Still claims up to 50 rows: accounts that are not woken yet must not delay the others.
    if punctual.is_call_over() then p_want := least(p_want, 50); end if;
  end if;
  if p.max_running is not null then
    p_want := least(p_want, (select o.most from punctual.partition_opening(q, p, c.now) o));
  end if;
  if p_want > 0 then
    select r.claimed, r.more into v_claimed from punctual.claim_paced_rows(q, c.claim_id, p_want, c.lease_until, c.providers, c.now) r;
  end if;
  v_claimed.more := v_claimed.more or v_wakes_from is not null;
  return v_claimed;
end
$$;

-- Returns the rows that still run under the call's claim. Uses the index on leases: all rows of a claim have the same lease.
create function punctual.list_claimed(c punctual.call) returns json[]
language plpgsql stable set search_path = '' as $$
declare
  v_rows json[];
begin
  execute format('select punctual.%I($1, $2)', (c.queue).name || '.list_claimed') into v_rows using c.claim_id, (c.tick).lease_until;
  return v_rows;
end
$$;
insert into punctual.templates (verb, text) values ('list_claimed', $template$
create function {function}(p_claim_id uuid, p_lease_until timestamptz) returns json[]
language plpgsql stable {keeps_plan} as $$
begin
  return array(
    select {claimed} from {table} t
     where t.{status} = {running} and t.lease_expires_at = p_lease_until and t.claim_id = p_claim_id
     order by t.priority, {due_at}, t.id);
end
$$
$template$);

-- Adds to each claimed row the facts that the queue's `facts` function returns for it.
create function punctual.add_facts(q punctual.queues, p_rows json[], p_now timestamptz) returns json[]
language plpgsql set search_path = '' as $$
declare
  v_facts jsonb;
begin
  if q.facts is null or cardinality(p_rows) = 0 then return p_rows; end if;
  execute format('select %s($1, $2)', q.facts) into v_facts using array(select r->>'id' from unnest(p_rows) r), p_now;
  if v_facts is null then return p_rows; end if;
  return array(select case when v_facts ? (r->>'id') then (r::jsonb || jsonb_build_object('facts', v_facts->(r->>'id')))::json else r end
                 from unnest(p_rows) with ordinality e (r, n) order by n);
end
$$;

-- Returns in how many milliseconds a row can start: 0 for now, null if nothing waits. p_due: the number of due rows.
create function punctual.next_due_in_ms(c punctual.call, p_due integer) returns bigint
language plpgsql stable set search_path = '' as $$
declare
  q punctual.queues := c.queue;
  v_opening record;
begin
  select * into v_opening from punctual.partition_opening(q, c.partition, c.now);
  return case
    when v_opening.most <= 0 then case when v_opening.opens_at < 'infinity' then round(extract(epoch from v_opening.opens_at - c.now) * 1000) end
    when c.paused is null
      and case when q.account_column is null then p_due > 0 else punctual.is_account_ready(q, c.providers, c.now) end then 0
    else round(extract(epoch from punctual.next_due_at(q, (c.partition).partition, c.providers, c.now) - c.now) * 1000) end;
end
$$;

-- Step 5: adds the call's counts to the ledger. Only the ledger counts. Closes a tick that was not admitted. Closes any other tick if the call
-- returns no row, reached every ready account, and either p_close is true or it is the first call of a tick whose queue or partition is paused.
-- p_report: the tick's own report, written before it knew the result of this call.
create function punctual.note_call(
  c punctual.call, p_settled jsonb, p_swept integer, p_claimed punctual.claimed, p_close boolean, p_report jsonb) returns punctual.ticks
language plpgsql set search_path = '' as $$
declare
  t punctual.ticks := c.tick;
  v_rows integer := cardinality(p_claimed.rows);
  v_new integer := case when c.is_repeated then 0 else v_rows end;
begin
  t.last_seq := greatest(t.last_seq, c.seq);
  if v_new > 0 then t.lease_until := c.lease_until; end if;
  t.claimed := t.claimed + v_new;
  t.done := t.done + (p_settled->>'done')::integer;
  t.retried := t.retried + (p_settled->>'retried')::integer;
  t.again := t.again + (p_settled->>'again')::integer;
  t.dead := t.dead + (p_settled->>'dead')::integer;
  t.unknown := t.unknown + (p_settled->>'unknown')::integer;
  t.released := least(t.claimed, t.released + (p_settled->>'released')::integer);
  t.lost := t.lost + (p_settled->>'lost')::integer;
  t.limited := t.limited + (p_settled->>'limited')::integer;
  t.swept := t.swept + p_swept;
  -- A delayed copy of an older call closes nothing.
  if t.closed_at is null and c.seq = t.last_seq
     and (not t.admitted or (v_rows = 0 and not p_claimed.more and (p_close or (c.is_new and c.paused is not null)))) then
    t := punctual.closed_tick(c, t, p_report);
  end if;
  update punctual.ticks x set
    last_seq = t.last_seq, lease_until = t.lease_until, claimed = t.claimed, done = t.done, retried = t.retried, again = t.again, dead = t.dead,
    unknown = t.unknown, released = t.released, lost = t.lost, limited = t.limited, swept = t.swept, closed_at = t.closed_at, outcome = t.outcome,
    report = t.report
   where x.id = t.id;
  return t;
end
$$;

-- Returns the tick as closed: with its outcome and its final report.
create function punctual.closed_tick(c punctual.call, t punctual.ticks, p_report jsonb) returns punctual.ticks
language plpgsql stable set search_path = '' as $$
declare
  v_due integer := punctual.count_due(c.queue, t.partition, c.now);
begin
  t.closed_at := c.now;
  t.outcome := case when not t.admitted then 'skipped'
                    when c.paused is not null and t.claimed = 0 then 'paused'
                    when t.claimed = 0 and t.swept = 0 then 'idle'
                    else 'ran' end;
  t.report := coalesce(p_report, '{}') - array['queue', 'partition', 'tick', 'scheduler', 'slot', 'continuation', 'runId', 'outcome', 'counts', 'duplicate', 'checks']
    || jsonb_build_object('backlogDue', v_due, 'nextDueInMs', punctual.next_due_in_ms(c, v_due),
         'ended', case t.outcome when 'skipped' then null when 'paused' then 'paused' else p_report->>'ended' end);
  return t;
end
$$;

-- Runs one exchange of a tick in one transaction: opens the tick, settles, sweeps, claims, and notes the counts in the ledger.
--
-- p_tick      {id, queue, partition, scheduler, path, schedule, slot, continuation, run_id, limit_seconds, lock, providers, reconciles, asked_for,
--             asked_limit, call_ms, schema}
--             providers: the configured providers, for queues with accounts.
--             reconciles: the queue can check unknown rows. If false, such a row waits for an operator at once.
--             asked_for: 'pending' or 'dead' if a person asks for due rows or redrives dead ones, up to asked_limit. Null for a scheduler.
--             call_ms: the time of this call in milliseconds: see is_call_over.
--             schema: the version that the code needs: see require_schema. A process sends it until an exchange is answered.
-- p_seq       1 for a tick's first exchange, and 1 more for each answered exchange. An unanswered exchange is repeated under its number, with the
--             same providers and any outcomes. A repeated exchange claims nothing and returns the rows that still run under its claim.
-- p_outcomes  {done, records} as settle_outcomes takes them, providers as note_providers takes them, progress as note_progress takes it.
-- p_want      the maximum number of rows to claim; null for the concurrency. The batch limit always applies.
-- p_close     closes the tick if this call returns no row.
-- p_report    stored in the ledger when the tick closes.
-- p_now       for tests. Production never sends it.
--
-- Returns {admitted, duplicate, paused, settings, claim_id, rows, settled, counts, swept, closed, outcome, probing, due, next_due_in_ms, checks_due,
-- schema}. counts: the tick's totals so far. due, next_due_in_ms and checks_due (unknown rows can be checked now) are set if the tick is closed.
-- schema, the database's version, is set if the tick sent one.
--
-- Raises PT404 for an unknown queue or partition, PT412 if the schema is behind, and 22023 for a tick without limit_seconds or for a state that
-- cannot be asked for.
--
-- Locks, in this order: the tick; the partition, if the tick is new, if the partition limits how many rows run, or if accounts remain to be woken;
-- accounts by id; rows by id; pace by account; providers by name. Claims and receipts wait for no lock: they skip locked rows.
create function punctual.exchange(
  p_tick jsonb,
  p_seq integer default null,
  p_outcomes jsonb default '{}',
  p_want integer default 0,
  p_close boolean default false,
  p_report jsonb default null,
  p_now timestamptz default null
) returns json
language plpgsql
set search_path = ''
set statement_timeout = '4s'
set lock_timeout = '3s'
-- Every query here uses an index and reads few rows. Compiling one took 30 ms, and a sequential scan reads a million rows to count ten. Plans are
-- kept.
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  c punctual.call := punctual.open_call(p_tick, p_seq, p_want is distinct from 0, p_now);
  v_settled jsonb := punctual.settle_call(c, coalesce(p_outcomes, '{}'));
  v_settings punctual.tick_settings := punctual.settings_of(c, v_settled, (p_tick->>'asked_limit')::integer);
  v_want integer := least(coalesce(p_want, v_settings.concurrency), v_settings.batch_limit - (c.tick).claimed);
  v_swept integer := punctual.sweep_call(c, v_want);
  v_claimed punctual.claimed;
begin
  -- Locks providers after every step that may wait for a row, so that no session waits for a row while it holds a provider.
  if punctual.is_next(c) then perform punctual.note_providers(p_outcomes->'providers', c.now); end if;
  v_claimed := punctual.claim_call(c, v_want);
  c.tick := punctual.note_call(c, v_settled, v_swept, v_claimed, p_close, p_report);
  perform set_config('punctual.settles', '', true);
  return punctual.answer(c, v_settings, v_settled, v_swept, v_claimed, p_tick ? 'schema');
end
$$;

-- Builds the response of an exchange. The rows stay json: as jsonb each would be built twice.
create function punctual.answer(
  c punctual.call, p_settings punctual.tick_settings, p_settled jsonb, p_swept integer, p_claimed punctual.claimed, p_says_schema boolean) returns json
language plpgsql stable set search_path = '' as $$
declare
  t punctual.ticks := c.tick;
  v_has_closed boolean := t.closed_at is not null;
begin
  return json_build_object(
    'admitted', t.admitted, 'duplicate', t.duplicate, 'paused', c.paused, 'settings', to_json(p_settings),
    'claim_id', c.claim_id, 'rows', p_claimed.rows,
    'settled', p_settled, 'counts', punctual.counts_of(t), 'swept', p_swept,
    'closed', v_has_closed, 'outcome', t.outcome,
    'probing', array(select v.name from punctual.providers v where v.failures > 0 order by v.name),
    'due', t.report->'backlogDue', 'next_due_in_ms', t.report->'nextDueInMs',
    'checks_due', v_has_closed and t.admitted and punctual.are_checks_due(c.queue, c.providers, c.now),
    'schema', case when p_says_schema then punctual.schema_version() end);
end
$$;

-- Returns the counts of a tick from its row in the ledger.
create function punctual.counts_of(t punctual.ticks) returns json
language plpgsql immutable set search_path = '' as $$
begin
  return json_build_object('claimed', t.claimed, 'done', t.done, 'retried', t.retried, 'again', t.again, 'dead', t.dead, 'unknown', t.unknown,
                           'released', t.released, 'lost', t.lost, 'swept', t.swept);
end
$$;

-- Figures for the dashboard. Their cost does not grow with the tables: counts are exact up to 10,000, and the planner's estimate above.

-- Returns {count, approximate} of the rows that match p_where (SQL on t). p_word: their state's word, for the estimate.
create function punctual.count_rows(q punctual.queues, p_where text, p_word text default null) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_count bigint;
  v_estimate double precision;
begin
  execute format('select count(*) from (select from %I.%I t where %s limit 10001) r', q.table_schema, q.table_name, p_where) into v_count;
  if v_count <= 10000 then
    return jsonb_build_object('count', v_count, 'approximate', false);
  end if;
  select c.reltuples * f.frequency into v_estimate
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = q.status_column
   cross join lateral unnest(s.most_common_vals::text::text[], s.most_common_freqs) f (word, frequency)
   where n.nspname = q.table_schema and c.relname = q.table_name and f.word = p_word;
  return jsonb_build_object('count', greatest(10000, round(coalesce(v_estimate, 0))), 'approximate', true);
end
$$;

-- Returns a condition for all priority levels, written so that Postgres can use the index on due times.
create function punctual.any_level_condition(q punctual.queues) returns text
language sql stable set search_path = '' as $$
  select case when q.account_column is null then 't.priority in (0, 1, 2, 3)' else 't.priority + 0 >= 0' end
$$;

-- Returns {state: {count, approximate}} of a queue's rows.
create function punctual.count_states(q punctual.queues) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  if q.source = 'pgmq' then return punctual.count_message_states(q); end if;
  return (select jsonb_object_agg(punctual.state_of_word(q, w), punctual.count_rows(q, punctual.render_sql(q, 't.{status} = %L', w), w)) from unnest(punctual.list_words(q)) w);
end
$$;

-- Returns {count, approximate} of the due rows.
create function punctual.count_due_rows(q punctual.queues, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  if q.source = 'pgmq' then
    return (select jsonb_build_object('count', coalesce(sum(d.due), 0), 'approximate', coalesce(bool_or(d.due >= 1000), false))
              from punctual.partitions p cross join lateral punctual.count_due(q, p.partition, p_now) d (due) where p.queue = q.name);
  end if;
  return punctual.count_rows(q, punctual.render_sql(q, 't.{status} = {pending} and %s and {due_at} <= %L', punctual.any_level_condition(q), p_now::text),
                             q.pending_word);
end
$$;

-- Returns the partitions of a queue with a partition column: [{name, due, oldest_due_seconds, max_running, paused_at, paused_reason, last_tick_at,
-- waiting}]. due is counted up to 1,000. waiting says why a partition with max_running lets no row start.
create function punctual.list_partitions(q punctual.queues, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  if q.source = 'table' and q.partition_column is null then return '[]'; end if;
  return (select coalesce(jsonb_agg(jsonb_build_object(
            'name', p.partition, 'due', punctual.count_due(q, p.partition, p_now),
            'oldest_due_seconds', case when f.at > '-infinity' then round(extract(epoch from p_now - f.at)) end,
            'max_running', p.max_running, 'paused_at', p.paused_at, 'paused_reason', p.paused_reason, 'last_tick_at', p.last_tick_at,
            'waiting', (select o.reason from punctual.partition_opening(q, p, p_now) o)) order by p.partition), '[]')
     from punctual.partitions p
    cross join lateral punctual.first_due_at(q, p.partition, true, p_now) f (at)
    where p.queue = q.name);
end
$$;

-- Returns a reason why no tick can reach rows, and the number of these rows: {reason, rows}. p_where: SQL on t, a template of render_sql.
create function punctual.count_unreachable(q punctual.queues, p_reason text, p_where text, variadic p_args text[] default '{}') returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('reason', p_reason, 'rows', punctual.count_rows(q, punctual.render_sql(q, p_where, variadic p_args))->'count')
$$;

-- Returns the rows that no tick can reach now, counted up to 10,000: [{reason, rows}]. p_configured: the configured providers; null if unknown.
create function punctual.list_unreachable(q punctual.queues, p_configured text[]) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_reasons jsonb := '[]';
  v_level text := punctual.any_level_condition(q);
  v_account record;
  v_rows bigint;
  v_partition text;
begin
  if q.source = 'pgmq' then return punctual.list_unreachable_messages(q); end if;
  v_reasons := v_reasons
    || punctual.count_unreachable(q, format('%s is null', q.due_column), 't.{status} = {pending} and %s and {due_at} is null '
         || case when q.waits_column is not null then 'and t.{waits} is null' else '' end, v_level)
    || punctual.count_unreachable(q, format('%s is infinity', q.due_column), 't.{status} = {pending} and %s and {due_at} = ''infinity''', v_level)
    || punctual.count_unreachable(q, format('%s without a lease: set by hand, or by another program', q.running_word),
         't.{status} = {running} and t.lease_expires_at is null');
  if q.account_column is not null then
    v_reasons := v_reasons || punctual.count_unreachable(q, 'no account', 't.{status} = {pending} and t.{account} is null');
    for v_account in
      select * from (
        select a.provider, 'a.provider = ' || quote_literal(a.provider) as condition, format('the provider %s is not configured', a.provider) as reason
          from punctual.accounts a where a.provider <> all (p_configured) group by 1
        union all select null, 'coalesce(p.daily_limit, a.daily_limit) = 0', 'the account''s daily limit is 0') c
    loop
      execute punctual.render_sql(q, 'select count(*) from (select from punctual.accounts a left join punctual.pace p on p.queue = $1 and p.account_id = a.id '
                     'cross join lateral (select from {table} t where t.{status} = {pending} and t.{account} = a.id limit 10000) r where %s limit 10000) c',
                     v_account.condition) into v_rows using q.name;
      v_reasons := v_reasons || jsonb_build_object('reason', v_account.reason, 'rows', v_rows);
    end loop;
  end if;
  if q.partition_column is not null then
    -- Steps from one partition to the next by the index, instead of reading all rows.
    v_partition := '';
    loop
      execute punctual.render_sql(q, 'select min(t.{partition}) from {table} t where t.{status} = {pending} and t.{partition} > $1')
        into v_partition using v_partition;
      exit when v_partition is null;
      if not exists (select from punctual.partitions p where p.queue = q.name and p.partition = v_partition) then
        v_reasons := v_reasons || punctual.count_unreachable(q, format('the partition "%s" is unknown', v_partition),
                                                             't.{status} = {pending} and t.{partition} = %L', v_partition);
      end if;
    end loop;
    v_reasons := v_reasons || punctual.count_unreachable(q, 'no partition', 't.{status} = {pending} and (t.{partition} is null or t.{partition} = '''')');
  end if;
  return (select coalesce(jsonb_agg(r), '[]') from jsonb_array_elements(v_reasons) r where (r->>'rows')::bigint > 0);
end
$$;

-- Returns why accounts with due rows may not send now: [{reason, accounts, until}].
create function punctual.list_waiting(q punctual.queues, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('reason', w.reason, 'accounts', w.accounts,
           'until', case when w.until < 'infinity' then w.until end) order by w.reason), '[]')
    from (select p.waiting_for as reason, count(*) as accounts, min(p.next_ok_at) as until
            from punctual.pace p where p.queue = q.name and p.waiting_for is not null and p.next_ok_at > p_now group by 1
          union all
          select format('the provider %s %s', v.name, case when v.refusals > 0 then 'refuses our configuration' else 'failed and is paused' end), count(*), max(v.paused_until)
            from punctual.pace p join punctual.providers v on v.name = p.provider
           -- The account with the refused row waits as long as the provider rests.
           where p.queue = q.name and v.paused_until > p_now and (p.ready_at <= p_now or (p.retry_at > p_now and p.refused->>'what' = 'provider'))
           group by v.name) w
$$;

-- Returns events of the last 24 hours that a person should know of: [{event, rows, row_id, text}]. event: twice (a row was delivered twice) or error
-- (a part of the work failed). rows: counted among the latest 1,000 events. row_id and text: of the latest event; row_id is null if it has no row.
create function punctual.list_noted(q punctual.queues, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('event', n.event, 'rows', n.rows, 'row_id', nullif(n.row_id, ''), 'text', n.text) order by n.event desc), '[]')
    from (select e.event, count(distinct h.row_id) as rows, (array_agg(h.row_id order by h.at desc, h.id desc))[1] as row_id,
                 (array_agg(h.text order by h.at desc, h.id desc))[1] as text
            from (values ('twice'), ('error')) e (event)
           cross join lateral (
             select x.id, x.at, x.row_id, x.text from punctual.history x
              where x.queue = q.name and x.event = e.event and x.event in ('twice', 'error') and x.at > p_now - interval '24 hours'
              order by x.at desc limit 1000) h
           group by e.event) n
$$;

-- Returns the refusals by providers that only a person can resolve: [{provider, account, name, said, until}], 50 accounts at most. account and name
-- are null if the provider refuses all accounts; these come first. A refusal stays until the provider gives another answer, or a person ends the
-- pause.
create function punctual.list_refused(q punctual.queues, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('provider', r.provider, 'account', r.account, 'name', r.name, 'said', r.said,
           'until', case when r.until > p_now then r.until end) order by r.account is not null, r.name, r.account), '[]')
    from (select v.name as provider, null::uuid as account, null as name, v.last_error as said, v.paused_until as until
            from punctual.providers v
           where v.refusals > 0 and exists (select from punctual.pace p where p.queue = q.name and p.provider = v.name)
          union all
          (select a.provider, a.id, a.name, f.refused->>'said', a.paused_until
             from (select p.account_id, p.refused from punctual.pace p
                    where p.queue = q.name and p.refused is not null and p.refused->>'what' = 'row' and punctual.refusal_pause(p.refused) is not null
                   union all
                   select x.id, x.refused from punctual.accounts x where x.refused is not null and x.refused->>'queue' = q.name) f
             join punctual.accounts a on a.id = f.account_id
            order by a.name, a.id limit 50)) r
$$;

-- Returns the latest ticks that did something, and the very latest tick in any case: 12 at most, of the last two days.
create function punctual.list_ticks(q punctual.queues, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object(
           'id', t.id, 'partition', t.partition, 'scheduler', t.scheduler, 'path', t.path, 'schedule', t.schedule,
           'slot', t.slot, 'continuation', t.continuation, 'run_id', t.run_id, 'started_at', t.started_at, 'closed_at', t.closed_at,
           'outcome', case when t.closed_at is not null then t.outcome when t.deadline_at > p_now then 'running' else 'died' end,
           'duplicate', t.duplicate, 'claimed', t.claimed, 'done', t.done, 'retried', t.retried, 'again', t.again, 'dead', t.dead,
           'unknown', t.unknown, 'released', t.released, 'lost', t.lost, 'swept', t.swept,
           'asked_for', t.asked_for,
           'report', t.report)
           order by t.started_at desc), '[]')
    from (select * from (select x.*, row_number() over (order by x.started_at desc) as n
                           from punctual.ticks x where x.queue = q.name and x.started_at > p_now - interval '2 days'
                          order by x.started_at desc limit 500) recent
           where recent.n = 1 or recent.outcome is null or recent.outcome not in ('idle', 'skipped') order by recent.started_at desc limit 12) t
$$;

-- Returns the outcomes of the last hour's ticks, by the minute in which a tick closed: [{minute, done, retried, dead, unknown}].
create function punctual.list_throughput(q punctual.queues, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(to_jsonb(m) order by m.minute), '[]')
    from (select date_trunc('minute', coalesce(t.closed_at, p_now)) as minute, sum(t.done + t.again) as done, sum(t.retried) as retried,
                 sum(t.dead) as dead, sum(t.unknown) as unknown
            from punctual.ticks t
           where t.queue = q.name and t.started_at > p_now - interval '1 hour'
           group by 1 having sum(t.done + t.again + t.retried + t.dead + t.unknown) > 0) m
$$;

-- Returns the slots that schedulers delivered in the last p_hours, by scheduler, path and schedule:
-- [{scheduler, path, schedule, queues, first_slot, last_slot, slots: [[slot, late_seconds, deliveries, ran]]}].
--   slot          seconds since 1970
--   late_seconds  how late its first delivery was
--   deliveries    how many calls named it
--   ran           false if each of these calls found another tick running
--   first_slot    the first slot of the last 49 hours: yesterday's slot of a daily schedule shows that one is due today
--   last_slot     the last slot, even if it is before p_hours
-- lib/cron/slots/slot-account.ts finds the missed slots from the schedule.
create function punctual.read_slots(p_hours integer default 24, p_now timestamptz default null) returns jsonb
language sql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
  with calls as (
    select t.scheduler, t.path, t.schedule, t.slot, t.run_id, min(t.started_at) as at, bool_or(t.admitted) as ran, array_agg(distinct t.queue) as queues
      from punctual.queues q
     cross join lateral (
           select * from punctual.ticks x
            where x.queue = q.name and x.started_at > coalesce(p_now, clock_timestamp()) - interval '49 hours'
              and x.slot is not null and x.path is not null and x.schedule is not null
              and x.continuation = 0 and x.asked_for is null) t
     group by t.scheduler, t.path, t.schedule, t.slot, t.run_id),
  slots as (
    select c.scheduler, c.path, c.schedule, c.slot, min(c.at) as at, count(*) as deliveries, bool_or(c.ran) as ran
      from calls c group by c.scheduler, c.path, c.schedule, c.slot),
  entries as (
    select s.scheduler, s.path, s.schedule, min(s.slot) as first_slot, max(s.slot) as last_slot,
           coalesce(jsonb_agg(jsonb_build_array(extract(epoch from s.slot), round(extract(epoch from s.at - s.slot)::numeric, 3), s.deliveries, s.ran)
                              order by s.slot)
             filter (where s.slot > coalesce(p_now, clock_timestamp()) - make_interval(hours => p_hours)), '[]') as slots
      from slots s group by s.scheduler, s.path, s.schedule)
  select coalesce(jsonb_agg(jsonb_build_object('scheduler', e.scheduler, 'path', e.path, 'schedule', e.schedule, 'first_slot', e.first_slot,
           'last_slot', e.last_slot, 'slots', e.slots,
           'queues', (select jsonb_agg(distinct u.queue order by u.queue) from calls c cross join lateral unnest(c.queues) u (queue)
                       where (c.scheduler, c.path, c.schedule) = (e.scheduler, e.path, e.schedule)))
           order by e.path, e.scheduler, e.schedule), '[]')
    from entries e
$$;

-- Returns the figures that are read from a queue's table, and problem: null. p_configured: see list_unreachable.
create function punctual.read_row_figures(q punctual.queues, p_configured text[], p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_oldest timestamptz := (select min(punctual.first_due_at(q, p.partition, true, p_now)) from punctual.partitions p where p.queue = q.name);
  v_next timestamptz := (select min(punctual.next_due_at(q, p.partition, p_configured, p_now)) from punctual.partitions p where p.queue = q.name);
begin
  return jsonb_build_object(
    'problem', null,
    'states', punctual.count_states(q),
    'partitions', punctual.list_partitions(q, p_now),
    'due_now', punctual.count_due_rows(q, p_now),
    'oldest_due_seconds', case when v_oldest > '-infinity' then round(extract(epoch from p_now - v_oldest)) end,
    'next_due_seconds', round(extract(epoch from v_next - p_now)),
    'unreachable', punctual.list_unreachable(q, p_configured),
    'setup', case when q.table_schema <> 'punctual'
               then q.setup || punctual.read_table_rights(to_regclass(format('%I.%I', q.table_schema, q.table_name))) end);
end
$$;

-- Returns the dashboard's figures. p_configured: see list_unreachable. If a queue's table is missing or cannot be read, the queue has a `problem` and
-- no figures of its rows. The other queues have theirs.
create function punctual.read_stats(p_configured text[] default null, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_queues jsonb := '[]';
  v_none jsonb := '{"count": 0, "approximate": false}';
  q punctual.queues;
  v_rows jsonb;
begin
  for q in select * from punctual.queues order by name loop
    begin
      v_rows := punctual.read_row_figures(q, p_configured, v_now);
    exception when others then
      v_rows := jsonb_build_object(
        'problem', format('%s.%s cannot be read: %s. %s', q.table_schema, q.table_name, sqlerrm, punctual.missing_table_hint(q.name)),
        'states', jsonb_build_object('pending', v_none, 'running', v_none, 'done', v_none, 'dead', v_none, 'unknown', v_none, 'cancelled', v_none),
        'partitions', '[]'::jsonb, 'due_now', v_none, 'oldest_due_seconds', null, 'next_due_seconds', null, 'unreachable', '[]'::jsonb, 'setup', null);
    end;
    v_queues := v_queues || (v_rows || jsonb_build_object(
      'name', q.name,
      'delivery', q.delivery,
      'paused_at', q.paused_at,
      'paused_reason', q.paused_reason,
      'words', jsonb_build_object('pending', q.pending_word, 'running', q.running_word, 'done', q.done_word, 'dead', q.dead_word,
                                  'unknown', q.unknown_word, 'cancelled', q.cancelled_word),
      'settings', jsonb_build_object('batch_limit', q.batch_limit, 'concurrency', q.concurrency, 'adaptive', q.adaptive,
                                     'budget_seconds', q.budget_seconds),
      'waiting', punctual.list_waiting(q, v_now),
      'refused', punctual.list_refused(q, v_now),
      'noted', punctual.list_noted(q, v_now),
      'throughput', punctual.list_throughput(q, v_now),
      'ticks', punctual.list_ticks(q, v_now)));
  end loop;
  return jsonb_build_object('now', v_now, 'schema', punctual.schema_version(), 'queues', v_queues, 'providers', (
    select coalesce(jsonb_agg(jsonb_build_object('name', v.name, 'paused_until', v.paused_until, 'last_error', v.last_error) order by v.name), '[]')
      from punctual.providers v where v.paused_until > v_now and v.refusals = 0));
end
$$;

-- Returns {schema, queues: [{name, last_tick_seconds}]}. last_tick_seconds is null if the queue never had a tick.
create function punctual.read_health(p_now timestamptz default null) returns jsonb
language sql stable set search_path = '' set statement_timeout = '4s' as $$
  select jsonb_build_object('schema', punctual.schema_version(), 'queues', coalesce(jsonb_agg(jsonb_build_object('name', h.queue,
           'last_tick_seconds', round(extract(epoch from coalesce(p_now, clock_timestamp()) - h.at))) order by h.queue), '[]'))
    from (select p.queue, max(p.last_tick_at) as at from punctual.partitions p group by 1) h
$$;

-- Accounts for the API. A plain insert or update of punctual.accounts works as well.

-- Returns an account for the API. queues: settings that a queue has of its own for this account, {queue: {setting: value}}.
create function punctual.describe_account(p_account punctual.accounts) returns jsonb
language sql stable set search_path = '' as $$
  select to_jsonb(p_account) - array['created_at', 'refused', 'connection_reported_at'] || jsonb_build_object('queues', (
    select coalesce(jsonb_object_agg(p.queue, o.settings), '{}')
      from punctual.pace p
     cross join lateral (select jsonb_strip_nulls(jsonb_build_object(
       'daily_limit', p.daily_limit, 'hourly_limit', p.hourly_limit, 'gap_seconds', p.gap_seconds,
       'gap_jitter_seconds', p.gap_jitter_seconds, 'hours', p.hours)) as settings) o
     where p.account_id = p_account.id and o.settings <> '{}'))
$$;

-- Adds an account, or changes the one with the same provider_account_id. A setting that is left out stays. Null switches a setting off or back to its
-- default. A new pause without a reason clears the old reason. queues: {queue: {setting: value}}, for settings that a queue may have of its own.
-- Returns as describe_account does. Raises PT404 for a queue without accounts. Locks the account, then its pace by queue.
create function punctual.save_account(p_account jsonb) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_account punctual.accounts;
  v_queue record;
begin
  insert into punctual.accounts as a (provider, provider_account_id, name)
  values (p_account->>'provider', p_account->>'provider_account_id', p_account->>'name')
  on conflict (provider, provider_account_id) do update set name = excluded.name
  returning a.* into v_account;
  -- Locks the account before its pace, as settles do.
  update punctual.accounts a set
    (time_zone, daily_limit, hourly_limit, gap_seconds, gap_jitter_seconds, hours, ramp_started_on, ramp_days, ramp_from_percent,
     paused_until, paused_reason)
    = (select coalesce(n.time_zone, 'UTC'), coalesce(n.daily_limit, 30), n.hourly_limit, n.gap_seconds, coalesce(n.gap_jitter_seconds, 0),
              nullif(n.hours, 'null'), n.ramp_started_on, coalesce(n.ramp_days, 14), coalesce(n.ramp_from_percent, 20), n.paused_until, n.paused_reason
         from jsonb_populate_record(a, case when p_account ? 'paused_until' then '{"paused_reason": null}' else '{}' end::jsonb || p_account - 'id') n)
   where a.id = v_account.id
  returning a.* into v_account;
  for v_queue in select k, s from jsonb_each(coalesce(p_account->'queues', '{}')) e (k, s) order by k loop
    update punctual.pace p set (daily_limit, hourly_limit, gap_seconds, gap_jitter_seconds, hours)
      = (select n.daily_limit, n.hourly_limit, n.gap_seconds, n.gap_jitter_seconds, nullif(n.hours, 'null')
           from jsonb_populate_record(p, v_queue.s) n)
     where p.queue = v_queue.k and p.account_id = v_account.id;
    if not found then
      raise exception 'there is no queue "%" with accounts', v_queue.k using errcode = 'PT404';
    end if;
  end loop;
  return punctual.describe_account(v_account);
end
$$;

-- Returns a page of accounts, by name.
create function punctual.list_accounts(p_limit integer default 50, p_cursor jsonb default null) returns jsonb
language sql stable set search_path = '' set statement_timeout = '4s' as $$
  select punctual.page_of(jsonb_agg(jsonb_build_object('item', punctual.describe_account(a), 'key', jsonb_build_array(a.name, a.id)) order by a.name, a.id), p_limit)
    from (select * from punctual.accounts x where p_cursor is null or (x.name, x.id) > (p_cursor->>0, (p_cursor->>1)::uuid)
           order by x.name, x.id limit p_limit + 1) a
$$;

-- Makes the account ready in each queue and clears its refusals, except those by a whole provider. The next tick tries it with its first row. The
-- caller has locked the account. Locks its rows of pace by queue.
create function punctual.try_account_again(p_account_id uuid, p_now timestamptz) returns void
language sql set search_path = '' as $$
  update punctual.pace p set refused = null, retry_at = null, next_ok_at = '-infinity', ready_at = p_now
    from (select x.queue, x.account_id from punctual.pace x where x.account_id = p_account_id and x.refused->>'what' is distinct from 'provider'
           order by x.queue for no key update) l
   where p.queue = l.queue and p.account_id = l.account_id
$$;

-- Applies a webhook event about an account's connection. p_event: {provider_account_id, connected, said, said_at, ends}. said: the text for people.
-- said_at: the provider's time of the event, or null. ends: codes of refusals that a connection ends.
--
-- A disconnected account counts as refused: it pauses for 4 hours, as after many refusals. Then one row tries it, so a lost event cannot stop it
-- forever. A connected account is tried at once if such an event, or a refusal with a code in `ends`, had paused it. An earlier pause that has not
-- ended applies again, and a pause that a person has set since stays. Events with a time count in that order, others in order of arrival.
--
-- Returns whether anything changed. Does nothing for an unknown account. Locks the account, then its pace.
create function punctual.note_connection(p_provider text, p_event jsonb, p_now timestamptz default null) returns boolean
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  -- A provider's clock that is ahead must not make later events look old.
  v_at timestamptz := least((p_event->>'said_at')::timestamptz, v_now);
  v_said text := left(p_event->>'said', 500);
  v_until timestamptz := v_now + punctual.refusal_wait(10);
  v_queue text;
  v_held jsonb;
  a punctual.accounts;
begin
  select x.* into a from punctual.accounts x
   where x.provider = p_provider and x.provider_account_id = p_event->>'provider_account_id' for no key update;
  if not found or v_at < a.connection_reported_at then return false; end if;
  update punctual.accounts x set connection_reported_at = v_at where x.id = a.id;
  if not (p_event->>'connected')::boolean then
    if a.refused->>'reported' = v_said then return false; end if;
    select p.queue into v_queue from punctual.pace p where p.account_id = a.id order by p.ready_at, p.queue limit 1;
    update punctual.accounts x set
      refused = jsonb_build_object('what', 'account', 'count', 10, 'said', v_said, 'reported', v_said) || punctual.place_refusal(a, v_queue, null, v_now),
      paused_until = greatest(a.paused_until, v_until),
      paused_reason = case when v_until > coalesce(a.paused_until, '-infinity') then v_said else a.paused_reason end
     where x.id = a.id;
    return true;
  end if;
  if (a.refused ? 'reported' or (p_event->'ends' ? (a.refused->>'cause') and v_at >= (a.refused->>'at')::timestamptz)) is not true then
    return false;
  end if;
  if (a.refused->'held'->>'until')::timestamptz > v_now then v_held := a.refused->'held'; end if;
  update punctual.accounts x set paused_until = (v_held->>'until')::timestamptz, paused_reason = v_held->>'reason'
   where x.id = a.id and a.paused_reason = a.refused->>'said'
     -- A refusal's pause is no longer than this. A longer one was set by a person.
     and a.paused_until <= (a.refused->>'at')::timestamptz + punctual.refusal_wait(10);
  update punctual.accounts x set refused = null where x.id = a.id and x.refused is not null;
  perform punctual.try_account_again(a.id, v_now);
  return true;
end
$$;

-- Ends a refusal whose cause a person has removed. The account is tried again at once. Without p_account_id, ends the provider's refusal of all
-- accounts: one row tries the provider first.
-- Raises PT404 if nothing is refused. Locks the account, then pace by queue and account, then the provider.
create function punctual.end_refusal(p_provider text, p_account_id uuid default null, p_now timestamptz default null) returns void
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_said text[];
begin
  if p_account_id is not null then
    perform from punctual.accounts a where a.id = p_account_id and a.provider = p_provider for no key update;
    select array_agg(r.refused->>'said') into v_said
      from (select a.refused from punctual.accounts a where a.id = p_account_id and a.provider = p_provider
            union all select p.refused from punctual.pace p
             where p.account_id = p_account_id and p.provider = p_provider and p.refused->>'what' = 'row') r
     where punctual.refusal_pause(r.refused) is not null;
    if v_said is null then
      raise exception '% has no refusal to end', p_provider using errcode = 'PT404';
    end if;
    -- Ends only the refusal's own pause. Another pause stays until its setter ends it.
    update punctual.accounts a set paused_until = null, paused_reason = null where a.id = p_account_id and a.paused_reason = any (v_said);
    update punctual.accounts a set refused = null where a.id = p_account_id and a.refused is not null;
    perform punctual.try_account_again(p_account_id, coalesce(p_now, clock_timestamp()));
    return;
  else
    update punctual.pace p set refused = null, retry_at = null, next_ok_at = '-infinity', ready_at = coalesce(p_now, clock_timestamp())
      from (select x.queue, x.account_id from punctual.pace x where x.provider = p_provider and x.refused->>'what' = 'provider'
             order by x.queue, x.account_id for no key update) l
     where p.queue = l.queue and p.account_id = l.account_id;
    update punctual.providers v set refusals = 0, paused_until = null, probing_until = null where v.name = p_provider and v.refusals > 0;
  end if;
  if not found then
    raise exception '% has no refusal to end', p_provider using errcode = 'PT404';
  end if;
end
$$;

-- Explains why a row waits, by the same rules as claims: account_opening() and the rows of pace, queues and providers.

-- Returns a list with one wait. p_until: 'infinity' becomes null.
create function punctual.wait_of(p_kind text, p_until timestamptz, p_text text) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_array(jsonb_build_object('kind', p_kind, 'until', case when p_until < 'infinity' then p_until end, 'text', p_text))
$$;

-- Returns the waits for a paused queue or partition.
create function punctual.list_pauses(q punctual.queues, p_partition punctual.partitions, p_now timestamptz) returns jsonb
language sql immutable set search_path = '' as $$
  select case when q.paused_at <= p_now
              then punctual.wait_of('queue_paused', null, 'the queue is paused' || coalesce(': ' || q.paused_reason, '')) else '[]' end
      || case when p_partition.paused_at <= p_now
              then punctual.wait_of('partition_paused', null, 'the partition is paused' || coalesce(': ' || p_partition.paused_reason, '')) else '[]' end
$$;

-- Returns the wait of a row that the next tick can claim.
create function punctual.wait_for_tick(p_partition punctual.partitions) returns jsonb
language sql immutable set search_path = '' as $$
  select punctual.wait_of('tick', null, case when p_partition.last_tick_at is null then 'no tick has come yet' else 'the next tick takes it' end)
$$;

-- Returns the tick that runs a row, and until when: {waits, tick}. p_row: with claim_id and lease_expires_at.
create function punctual.explain_running(q punctual.queues, p_row jsonb) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'waits', punctual.wait_of('lease', (p_row->>'lease_expires_at')::timestamptz, 'a tick runs it until then, or died'),
    'tick', (select jsonb_build_object('id', t.id, 'scheduler', t.scheduler, 'started_at', t.started_at, 'deadline_at', t.deadline_at)
               from punctual.tick_of_claim(q.name, (p_row->>'claim_id')::uuid) t where t.id is not null))
$$;

-- Returns the latest 200 events of a row's history, the oldest first: [{at, event, text}].
create function punctual.list_history(q punctual.queues, p_id text) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('at', h.at, 'event', h.event, 'text', h.text) order by h.id), '[]')
    from (select * from punctual.history x where x.queue = q.name and x.row_id = p_id order by x.id desc limit 200) h
$$;

-- Returns a SQL condition on t: the provider does not limit its addressee. p_limited: the account's pace.limited_addressees, p_now: the instant,
-- both as SQL.
create function punctual.pair_condition(q punctual.queues, p_limited text, p_now text) returns text
language sql stable set search_path = '' as $$
  select case when q.pair_column is null then 'true'
              else format('coalesce((%s -> t.%I ->> ''until'')::timestamptz <= %s, true)', p_limited, q.pair_column, p_now) end
$$;

-- Returns the rows of its account that go before a pending row: {count, ids}. Counts up to 1,000 and names the first ten.
create function punctual.list_ahead(q punctual.queues, p_row jsonb, p_limited jsonb, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_ahead jsonb;
begin
  -- By the time when this row is due: rows of a better priority, and earlier rows of the same priority.
  execute punctual.render_sql(q, $sql$
    select jsonb_build_object('count', count(*), 'ids', coalesce(jsonb_agg(a.id::text order by a.priority, a.due, a.id) filter (where a.n <= 10), '[]'))
      from (select o.*, row_number() over (order by o.priority, o.due, o.id) as n
              from generate_series(0, $1) punctual_level cross join lateral (
                select t.id, t.priority, {due_at} as due from {table} t
                 where t.{status} = {pending} and t.{account} = $2 and t.priority = punctual_level and t.id <> $3::{id_type}
                   and (t.expires_at is null or t.expires_at > $5)
                   and case when punctual_level = $1 then ({due_at}, t.id) < ($4, $3::{id_type}) else {due_at} <= greatest($4, $5) end
                   -- Follows from the condition above. For the index.
                   and {due_at} <= greatest($4, $5)
                   and %s
                 order by {due_at}, t.id limit 1000) o limit 1000) a
    $sql$, punctual.pair_condition(q, '$6', '$5'))
  into v_ahead
  using (p_row->>'priority')::integer, (p_row->>q.account_column)::uuid, p_row->>'id',
        coalesce((p_row->>'next_attempt_at')::timestamptz, (p_row->>q.due_column)::timestamptz), p_now, p_limited;
  return v_ahead;
end
$$;

-- Returns the earliest instant at which an account can claim a row with p_ahead rows before it. Simulates each claim by the rules of claims. Null
-- if that never happens under the current settings, or if more than 500 claims come before. p_from: no claim of the row itself is before this.
create function punctual.expect_claim_at(
  p_account punctual.accounts, p_pace punctual.pace, p_ahead integer, p_from timestamptz, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_at timestamptz := p_now;
  v_open timestamptz;
  v_day record;
begin
  if p_ahead > 500 then return null; end if;
  for n in 0..p_ahead loop
    if n = p_ahead then v_at := greatest(v_at, p_from); end if;
    loop
      select o.open_at into v_open from punctual.account_opening(p_account, p_pace, v_at) o;
      if v_open = 'infinity' then return null; end if;
      exit when v_open <= v_at;
      v_at := v_open;
    end loop;
    select * into v_day from punctual.used_of_day(p_pace.used, p_pace.used_until, p_account.time_zone, v_at);
    p_pace.used := v_day.used + 1;
    p_pace.used_until := v_day.until;
    p_pace.recent := p_pace.recent || v_at;
    p_pace.retry_at := null;
    p_pace.busy_until := null;
  end loop;
  return v_at;
end
$$;

-- Returns a pending row's waits for its due time, a retry, an event or nothing at all, and its expiry: [{kind, until, text}].
create function punctual.list_due_waits(q punctual.queues, p_row jsonb, p_due timestamptz, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select case
      when p_due is null and p_row->>q.waits_column is not null then punctual.wait_of('event', null, format('waits for %s', p_row->>q.waits_column))
      when p_due is null or p_due = 'infinity' then punctual.wait_of('never_due', null, format('%s is %s', q.due_column, coalesce(p_due::text, 'null')))
      when p_due <= p_now then '[]'
      when p_row->>'next_attempt_at' is null then punctual.wait_of('due', p_due, 'not due yet')
      else punctual.wait_of('retry', p_due, 'its last attempt failed; it is tried again') end
    || case when (p_row->>'expires_at')::timestamptz <= p_now then punctual.wait_of('expired', null, 'expired: it is not tried any more') else '[]' end
$$;

-- Returns a pending row's waits that its account does not cause: pauses of the queue and the partition, and rows that run before it there.
create function punctual.list_partition_waits(q punctual.queues, p_partition punctual.partitions, p_row jsonb, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_opening record := punctual.partition_opening(q, p_partition, p_now);
begin
  return case when p_partition.queue is null
         then punctual.wait_of('partition_paused', null, format('the partition "%s" is unknown', p_row->>q.partition_column)) else '[]' end
    || punctual.list_pauses(q, p_partition, p_now)
    || case when v_opening.most <= 0 or v_opening.head_id <> p_row->>'id' then punctual.wait_of('blocked', v_opening.opens_at,
              coalesce(v_opening.reason, format('row %s of the partition has been attempted and must finish first', v_opening.head_id))) else '[]' end;
end
$$;

-- Returns the waits of a pending row's account. p_configured: the configured providers; null if not known.
create function punctual.list_account_waits(
  q punctual.queues, p_account punctual.accounts, p_pace punctual.pace, p_row jsonb, p_configured text[], p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_provider punctual.providers;
  v_waits jsonb := '[]';
  -- The account waits for a retry of this row: see end_hold.
  v_is_held_by_row boolean := coalesce(p_pace.retry_at > p_now, false) and punctual.holds_account(q, p_row);
  v_held jsonb := p_pace.limited_addressees -> (p_row->>q.pair_column);
begin
  if p_account.id is null then return punctual.wait_of('no_account', null, 'it has no account'); end if;
  if p_account.provider <> all (p_configured) then
    v_waits := punctual.wait_of('provider_not_configured', null, format('the provider %s is not configured', p_account.provider));
  end if;
  select * into v_provider from punctual.providers v where v.name = p_account.provider;
  if v_provider.paused_until > p_now then
    v_waits := v_waits || punctual.wait_of('provider_resting', v_provider.paused_until,
      format('the provider %s %s: %s', p_account.provider,
             case when v_provider.refusals > 0 then 'refuses our configuration: correct it' else 'failed and is paused' end, v_provider.last_error));
  end if;
  v_waits := v_waits || coalesce((
    select jsonb_agg(case when w->>'until' = 'infinity' then jsonb_set(w, '{until}', 'null')
                          when v_is_held_by_row and w->>'kind' = 'account_retry' then w || '{"text": "it failed and is tried again"}' else w end)
      from punctual.account_opening(p_account, p_pace, p_now) o cross join lateral jsonb_array_elements(o.waits) w), '[]');
  if (v_held->>'until')::timestamptz > p_now then
    v_waits := v_waits || punctual.wait_of('pair', (v_held->>'until')::timestamptz,
      'the provider limits messages to this addressee: ' || (v_held->>'said'));
  end if;
  return v_waits;
end
$$;

-- Returns all waits of a pending row: {waits, ahead, expected_at}.
create function punctual.explain_pending(q punctual.queues, p_row jsonb, p_due timestamptz, p_configured text[], p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_partition punctual.partitions;
  v_account punctual.accounts;
  v_pace punctual.pace;
  v_waits jsonb := punctual.list_due_waits(q, p_row, p_due, p_now);
  v_ahead jsonb;
  v_expected timestamptz;
begin
  select * into v_partition from punctual.partitions p
   where p.queue = q.name and p.partition = coalesce(case when q.partition_column is null then 'main' else p_row->>q.partition_column end, '');
  v_waits := v_waits || punctual.list_partition_waits(q, v_partition, p_row, p_now);
  if q.account_column is not null then
    select * into v_account from punctual.accounts a where a.id = (p_row->>q.account_column)::uuid;
    select * into v_pace from punctual.pace p where p.queue = q.name and p.account_id = v_account.id;
    if v_pace.queue is null then v_pace := jsonb_populate_record(null::punctual.pace, '{"recent": [], "used": 0}'); end if;
    v_waits := v_waits || punctual.list_account_waits(q, v_account, v_pace, p_row, p_configured, p_now);
  end if;
  if v_account.id is not null then v_ahead := punctual.list_ahead(q, p_row, v_pace.limited_addressees, p_now); end if;
  -- The earliest instant: after the last wait, if each has an end.
  if not v_waits @> '[{"until": null}]' then
    v_expected := (select greatest(p_now, max((w->>'until')::timestamptz)) from jsonb_array_elements(v_waits) w);
    if v_account.id is not null then
      v_expected := punctual.expect_claim_at(v_account, v_pace, (v_ahead->>'count')::integer, v_expected, p_now);
    end if;
  end if;
  if (v_ahead->>'count')::integer > 0 then
    v_waits := v_waits || punctual.wait_of('behind', null, format('%s of its account before it', v_ahead->>'count'));
  end if;
  return jsonb_build_object('waits', case when v_waits = '[]' then punctual.wait_for_tick(v_partition) else v_waits end,
                            'ahead', v_ahead, 'expected_at', v_expected);
end
$$;

-- Returns the progress of an unknown row's checks, for people.
create function punctual.describe_reconcile(p_row jsonb, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('checks', coalesce((p_row->'reconcile'->>'checks')::integer, 0), 'checked_at', p_row->'reconcile'->>'checked_at',
    'next_check_at', p_row->>'reconcile_at', 'found', p_row->'reconcile'->>'found',
    'waits_for_operator', p_row->>'reconcile_at' is null or coalesce((p_row->'reconcile'->>'waits_for_operator')::boolean, false)
      -- No check has come: the provider is not configured, or the queue has no `reconcile`.
      or (p_row->>'reconcile_at')::timestamptz < p_now - interval '1 hour')
$$;

-- Returns whether a check or an operator decides on an unknown row, and when: {waits, reconcile}.
create function punctual.explain_unknown(q punctual.queues, p_row jsonb, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_reconcile jsonb := punctual.describe_reconcile(p_row, p_now);
begin
  return jsonb_build_object('reconcile', v_reconcile, 'waits', case when (v_reconcile->>'waits_for_operator')::boolean
    then punctual.wait_of('operator', null, format('it may have been %s: an operator has to decide', q.done_word))
    else punctual.wait_of('reconcile', (p_row->>'reconcile_at')::timestamptz, format('it may have been %s, or not: it is checked', q.done_word)) end);
end
$$;

-- Explains why a row waits, or where it is: returns {id, queue, status, state, due_at, attempts, max_attempts, last_error, finished_at, waits:
-- [{kind, until, text}], ahead, expected_at, tick, lease_expires_at, reconcile, history}; null if the row does not exist. p_configured: the
-- configured providers; null if not known. expected_at: the earliest instant of its claim, if a tick runs then. Raises PT404 for an unknown queue,
-- and PT409 for a row whose status is no word of the queue. Takes no locks.
create function punctual.explain_row(p_queue text, p_id text, p_configured text[] default null, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  q punctual.queues := punctual.read_queue(p_queue);
  v_row jsonb;
  v_state text;
  v_due timestamptz;
begin
  if q.source = 'pgmq' then return punctual.explain_message(q, p_id, v_now); end if;
  if not punctual.is_id(q, p_id) then return null; end if;
  execute punctual.render_sql(q, 'select to_jsonb(t.*) from {table} t where t.id = $1::{id_type}') into v_row using p_id;
  if v_row is null then return null; end if;
  v_state := punctual.state_of_word(q, v_row->>q.status_column);
  if v_state is null then
    raise exception 'row % is %, which is no word of %: ticks ignore it', p_id, coalesce(quote_ident(v_row->>q.status_column), 'null'), q.name
      using errcode = 'PT409';
  end if;
  v_due := coalesce((v_row->>'next_attempt_at')::timestamptz, (v_row->>q.due_column)::timestamptz);
  return jsonb_build_object(
      'id', p_id, 'queue', q.name, 'status', v_row->>q.status_column, 'state', v_state, 'due_at', case when isfinite(v_due) then v_due end,
      'attempts', (v_row->>'attempts')::integer, 'max_attempts', coalesce((v_row->>'max_attempts')::integer, q.max_attempts),
      'last_error', v_row->>'last_error', 'finished_at', v_row->>'finished_at', 'lease_expires_at', v_row->>'lease_expires_at',
      'waits', jsonb '[]', 'ahead', null, 'expected_at', null, 'tick', null, 'reconcile', null, 'history', punctual.list_history(q, p_id))
    || case v_state
         when 'pending' then punctual.explain_pending(q, v_row, v_due, p_configured, v_now)
         when 'running' then punctual.explain_running(q, v_row)
         when 'unknown' then punctual.explain_unknown(q, v_row, v_now)
         else '{}' end;
end
$$;

-- Returns a SQL condition on t, an unknown row: it waits for an operator. $2 is now.
create function punctual.operator_condition(q punctual.queues) returns text
language sql stable set search_path = '' as $$
  select case when q.delivery = 'at-most-once' then 't.reconcile_at is null or coalesce((t.reconcile->>''waits_for_operator'')::boolean, false) '
                                                    'or t.reconcile_at < $2 - interval ''1 hour'''
              else 'true' end
$$;

-- Returns a page of the rows in one state, named by the state or the queue's word: the oldest first, settled rows the latest first. Unknown rows
-- that wait for an operator come before the others. p_cursor: `next` of the page before. Raises 22023 for an unknown state.
create function punctual.list_rows(
  p_queue text, p_state text, p_limit integer default 50, p_cursor jsonb default null, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  q punctual.queues := punctual.read_queue(p_queue);
  v_state text := punctual.state_of(q, p_state);
  v_word text := punctual.word_of_state(q, v_state);
  v_exprs text[];
  v_types text[] := '{timestamptz}';
  v_desc boolean := v_state in ('done', 'dead', 'cancelled');
  v_order text;
  v_rows jsonb;
begin
  if v_word is null then
    raise exception '%', case when coalesce(p_state, '') = '' then 'the status is missing' else format('there is no status "%s"', p_state) end
      using errcode = '22023', hint = format('Give one of %s.', array_to_string(punctual.list_words(q), ', '));
  end if;
  if q.source = 'pgmq' then return punctual.list_messages(q, v_state, p_limit, p_cursor, coalesce(p_now, clock_timestamp())); end if;
  -- Each order is that of an index of the queue. Only pending rows of several priorities or partitions are sorted.
  v_exprs := array[case v_state when 'pending' then format('coalesce(t.next_attempt_at, t.%I)', q.due_column) when 'running' then 't.lease_expires_at'
                                else 't.finished_at' end];
  if v_state = 'unknown' and q.delivery = 'at-most-once' then
    v_exprs := array[format('not (%s)', punctual.operator_condition(q)), 'coalesce(t.finished_at, ''infinity'')'];
    v_types := '{boolean, timestamptz}';
  end if;
  v_exprs := v_exprs || 't.id'::text;
  v_types := v_types || q.id_type;
  select string_agg(format('(%s)%s', e, case when v_desc then ' desc' end), ', ' order by n) into v_order
    from unnest(v_exprs) with ordinality k (e, n);
  execute punctual.render_sql(q, $sql$
    select jsonb_agg(jsonb_build_object('item', r.listed, 'key', r.key) order by r.place)
      from (select jsonb_build_object('id', t.id::text, 'status', t.{status}, 'due_at', {due_at},
                     'attempts', t.attempts, 'last_error', t.last_error, 'finished_at', t.finished_at, 'account', %s, 'reconcile', %s,
                     'row', to_jsonb(t.*) - $3) as listed, row_number() over (order by %s) as place, jsonb_build_array(%s) as key
              from (%s) t order by place limit $1) r
    $sql$,
    case when q.account_column is null then 'null::jsonb' else format(
      '(select jsonb_build_object(''id'', a.id, ''name'', a.name) from punctual.accounts a where a.id = t.%I)', q.account_column) end,
    case when v_state = 'unknown' and q.delivery = 'at-most-once' then 'punctual.describe_reconcile(to_jsonb(t.*), $2)' else 'null::jsonb' end,
    v_order,
    (select string_agg(format('(%s)::text', e), ', ' order by n) from unnest(v_exprs) with ordinality k (e, n)),
    (select string_agg(punctual.render_sql(q, '(select t.* from {table} t where t.{status} = %L and %s and %s order by %s limit $1)', v_word,
              case when v_state = 'pending' then punctual.any_level_condition(q) else 'true' end, c, v_order), ' union all ')
       from unnest(punctual.after_cursor(v_exprs, v_types, v_desc, p_cursor)) c))
  into v_rows using p_limit + 1, coalesce(p_now, clock_timestamp()), q.secret_columns;
  return punctual.page_of(v_rows, p_limit);
end
$$;

-- The queue `dm_queue`: direct messages (DMs) over LinkedIn or WhatsApp.

create table punctual.dm_queue (
  id bigint generated by default as identity primary key,
  account_id uuid not null references punctual.accounts,
  channel text not null check (channel in ('linkedin', 'whatsapp')),
  -- An existing chat, or the person to open one with: the provider's id of the person, or a telephone number.
  chat_id text,
  recipient text,
  -- Identifies the addressee, for a provider that limits one addressee.
  addressee text generated always as (coalesce(recipient, chat_id)) stored,
  body text not null,
  -- WhatsApp: sent if the person has not written for 24 hours. {name, language, parameters: [text]}.
  template jsonb,
  send_at timestamptz not null default now(),
  -- Not claimed after this instant: its step's hours are closed, and it waits for the next ones.
  open_until timestamptz,
  provider_message_id text,
  created_at timestamptz not null default now(),
  constraint dm_queue_has_addressee check (chat_id is not null or recipient is not null)
);

-- The queue's `evidence`: returns {id: {receipts, others}} about messages that the account sent to the same chat or person.
-- receipts: messages that webhooks reported as sent, received from an hour before the attempt's claim on. said_at is by the provider's clock, which
-- may be off.
-- others: the bodies of the other messages that are unknown too.
create function punctual.find_dm_evidence(p_ids text[], p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (select jsonb_object_agg(d.id::text, jsonb_build_object('receipts', coalesce(r.receipts, '[]'), 'others', coalesce(o.others, '[]')))
    from punctual.dm_queue d
    join punctual.accounts a on a.id = d.account_id
   cross join lateral (
     select jsonb_agg(jsonb_build_object('message_id', x.message_id, 'chat_id', x.chat_id, 'body', x.body, 'said_at', x.said_at) order by x.id) as receipts
       from punctual.receipts x
      where x.provider = a.provider and x.provider_account_id = a.provider_account_id and x.kind = 'message' and x.status = 'sent'
        and (x.chat_id = d.chat_id or x.recipient = d.recipient)
        and x.received_at > d.claimed_at - interval '1 hour') r
   cross join lateral (
     select jsonb_agg(x.body order by x.id) as others from punctual.dm_queue x
      where x.status = 'unknown' and x.account_id = d.account_id and x.id <> d.id
        and (x.chat_id = d.chat_id or x.recipient = d.recipient)) o
   where d.id = any (array(select unnest(p_ids)::bigint)));
end
$$;

-- Whether p_recipient is a business-scoped user id of WhatsApp: a country code, a dot and an id.
create function punctual.is_user_id(p_recipient text) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  return p_recipient ~ '^[A-Z]{2}[.]';
end
$$;

-- Returns a telephone number in the form of WhatsApp's webhooks: only its digits, without the part after an @ and without a leading 00, which
-- stands for +. Null for a user id.
create function punctual.digits_of(p_number text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  if punctual.is_user_id(p_number) then return null; end if;
  return nullif(regexp_replace(regexp_replace(split_part(p_number, '@', 1), '[^0-9]', '', 'g'), '^00', ''), '');
end
$$;

-- Which number and which business-scoped user id are one person's. Webhooks leave out the number of people with a user name. One number may
-- have several ids: each Meta portfolio has its own id for a person, and a later owner of the number has another.
create table punctual.whatsapp_users (
  user_id text primary key,
  number text not null,
  -- Accurate to a day.
  seen_at timestamptz not null
);
create index whatsapp_users_number on punctual.whatsapp_users (number);
create index whatsapp_users_old on punctual.whatsapp_users (seen_at);

-- Returns the names that a person may have in rows and receipts: p_recipient, its digits if it is a number, and the numbers and user ids that
-- are known to be the same person's.
create function punctual.names_of(p_recipient text) returns text[]
language sql stable set search_path = '' as $$
  with numbers (name) as (
    select punctual.digits_of(p_recipient) union select u.number from punctual.whatsapp_users u where u.user_id = p_recipient)
  select array_agg(n.name) from (
    select p_recipient as name union select x.name from numbers x
     union select u.user_id from numbers x join punctual.whatsapp_users u on u.number = x.name) n
   where n.name is not null
$$;

-- Returns a message's recipient as replies name the person: for WhatsApp, the digits of the number.
create function punctual.dm_person(p_channel text, p_recipient text) returns text
language sql immutable set search_path = '' as $$
  select coalesce(case when p_channel = 'whatsapp' then punctual.digits_of(p_recipient) end, p_recipient)
$$;
create index dm_queue_chat on punctual.dm_queue (chat_id, account_id) where chat_id is not null;
create index dm_queue_person on punctual.dm_queue (punctual.dm_person(channel, recipient), account_id) where recipient is not null;

-- Whether the account has written or will write to this chat, or to the person under one of p_names. It has if there is an enrolment that still
-- has its texts, or a message that is open or was settled within receipts_days.
create function punctual.is_our_conversation(
  p_provider text, p_provider_account_id text, p_chat_id text, p_names text[], p_now timestamptz) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_account uuid := (select a.id from punctual.accounts a where a.provider = p_provider and a.provider_account_id = p_provider_account_id);
  v_since timestamptz := p_now - make_interval(days => (select s.receipts_days from punctual.settings s));
begin
  return exists (select from punctual.enrolments e where e.account_id = v_account and e.chat_id = p_chat_id and e.texts_gone_at is null)
      or exists (select from punctual.enrolments e where e.account_id = v_account and e.recipient = any (p_names) and e.texts_gone_at is null)
      or exists (select from punctual.enrolments e where e.account_id = v_account and e.number = any (p_names) and e.texts_gone_at is null)
      or exists (select from punctual.dm_queue d
                  where d.account_id = v_account and d.chat_id = p_chat_id and coalesce(d.finished_at > v_since, true))
      or exists (select from punctual.dm_queue d
                  where d.account_id = v_account and d.recipient is not null and punctual.dm_person(d.channel, d.recipient) = any (p_names)
                    and coalesce(d.finished_at > v_since, true));
end
$$;

-- Saves which number and user id are one person's, from receipts that have both. Returns the ids of these people's replies: they may have come
-- before that was known.
create function punctual.save_whatsapp_users(p_receipts jsonb, p_now timestamptz) returns bigint[]
language plpgsql set search_path = '' as $$
declare
  v_names text[];
begin
  with saved as (
    insert into punctual.whatsapp_users as u (user_id, number, seen_at)
    select distinct on (r.user_id) r.user_id, punctual.digits_of(r.recipient), p_now
      from jsonb_to_recordset(p_receipts) r (recipient text, user_id text)
     where punctual.is_user_id(r.user_id) and punctual.digits_of(r.recipient) is not null order by r.user_id
    on conflict (user_id) do update set number = excluded.number, seen_at = excluded.seen_at
     where u.number <> excluded.number or u.seen_at < excluded.seen_at - interval '1 day'
    returning u.user_id, u.number)
  select array_agg(x) into v_names from saved l cross join lateral unnest(array[l.user_id, l.number]) x;
  return (
    select array_agg(r.id) from punctual.accounts a
      join punctual.receipts r on r.provider_account_id = a.provider_account_id and r.recipient = any (v_names) and r.provider = a.provider
       and r.kind = 'message' and r.status = 'received'
     where a.provider = 'whatsapp_cloud' and v_names is not null);
end
$$;

-- The queue's `facts`: returns {id: {last_reply_at, in_window}} for claimed messages over WhatsApp's Cloud API.
-- last_reply_at: when the person last wrote to the account.
-- in_window: whether that was less than 24 hours ago, with a minute left for the call. Null if that cannot be known, because the account's
-- webhooks did not reach us within these 24 hours: WhatsApp accepted a message over a minute ago, and no webhook has reported it. Only the
-- account's latest 1,000 messages of the day are checked, or 20 if the call's time is over.
create function punctual.read_dm_facts(p_ids text[], p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    with messages as materialized (
      select d.id, d.account_id, h.at, coalesce(h.at > p_now - interval '24 hours' + interval '1 minute', false) as is_open
        from punctual.dm_queue d
        join punctual.accounts a on a.id = d.account_id and a.provider = 'whatsapp_cloud'
       cross join lateral (select punctual.names_of(d.recipient) as names) n
       cross join lateral (
         select max(least(x.said_at, x.received_at)) as at from punctual.receipts x
          where x.provider_account_id = a.provider_account_id and x.kind = 'message' and x.status = 'received'
            and x.recipient = any (n.names) and x.provider = a.provider) h
       where d.id = any (array(select unnest(p_ids)::bigint))),
    unreported as materialized (
      select c.account_id from (select distinct k.account_id from messages k where not k.is_open) c
       where exists (
         select from (select d.provider_message_id from punctual.dm_queue d
                       where d.account_id = c.account_id and d.sent_at between p_now - interval '24 hours' and p_now - interval '1 minute'
                         and d.provider_message_id is not null
                       order by d.sent_at desc limit case when punctual.is_call_over() then 20 else 1000 end) s
          -- Looks up each message by its key: planned as a join, this reads the receipts of all messages.
          cross join lateral (select count(*) from (select from punctual.receipts x
                               where x.provider = 'whatsapp_cloud' and x.message_id = s.provider_message_id and x.kind = 'status' limit 1) t) reports
          where reports.count = 0))
    select jsonb_object_agg(k.id::text, jsonb_build_object(
             'last_reply_at', k.at, 'in_window', case when k.is_open or k.account_id not in (select u.account_id from unreported u) then k.is_open end))
      from messages k);
end
$$;

-- Its after_settle and before_claim belong to sequences: see enrolments/reopen-messages.sql.
select punctual.add_queue('dm_queue', 'punctual.dm_queue', 'send_at', 'at-most-once',
  p_words => '{"running": "sending", "done": "sent", "dead": "failed"}',
  p_account_column => 'account_id',
  p_result_columns => '{provider_message_id, chat_id}',
  p_proof_column => 'provider_message_id',
  p_pair_column => 'addressee',
  p_evidence => 'punctual.find_dm_evidence',
  p_facts => 'punctual.read_dm_facts',
  p_closes_column => 'open_until');

-- When the message was sent; null if it was not. A generated column, so that it always agrees with the state.
alter table punctual.dm_queue add column sent_at timestamptz generated always as (case when status = 'sent' then finished_at end) stored;
create index dm_queue_sent on punctual.dm_queue (account_id, sent_at) where sent_at is not null;

-- Returns the messages of p_rows with an idempotency key that a different message has, in the table or in p_rows: [{index, field, message}];
-- null if there are none.
create function punctual.find_key_conflicts(p_rows jsonb) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_agg(distinct jsonb_build_object('index', r.index, 'field', 'idempotency_key', 'message',
           'the key was used before, for a message that differs in account, channel, addressee, body or template'))
    from jsonb_to_recordset(p_rows) r (index integer, account_id uuid, channel text, chat_id text, recipient text, body text, template jsonb,
           idempotency_key text)
    join (
      select d.idempotency_key, d.account_id, d.channel, d.chat_id, d.recipient, d.body, d.template
        from punctual.dm_queue d where d.idempotency_key in (select i->>'idempotency_key' from jsonb_array_elements(p_rows) i)
         -- A message of a forgotten person has no text left to compare.
         and not (d.body = '' and d.template is null)
      union all
      select i.idempotency_key, i.account_id, i.channel, i.chat_id, i.recipient, i.body, i.template
        from jsonb_to_recordset(p_rows) i (account_id uuid, channel text, chat_id text, recipient text, body text, template jsonb, idempotency_key text)
    ) o on o.idempotency_key = r.idempotency_key
   -- The send may have set the id of the chat since.
   where (o.account_id, o.channel, o.recipient, o.body, o.template) is distinct from (r.account_id, r.channel, r.recipient, r.body, r.template)
      or (r.chat_id is not null and o.chat_id is distinct from r.chat_id)
$$;

-- Inserts DMs, all or none. p_rows: [{account_id, channel, chat_id, recipient, body, template, send_at, priority, expires_at, idempotency_key}],
-- already validated. If the key is known, returns the row that has it. That row may be pruned; then its text is gone and is not compared.
--
-- Returns {rows: [{id, status, created}]} in the order of p_rows, or {errors: [{index, field, message}]} if nothing was inserted. Raises PT409
-- with these errors as its detail if a concurrent call used a key for a different message. Waits for calls with the same keys.
create function punctual.enqueue_dms(p_rows jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_errors jsonb;
  v_rows jsonb;
  v_response jsonb;
begin
  -- Gives each row its index and a new id. Afterwards the id shows whether the row was inserted.
  select jsonb_agg(r || jsonb_build_object('index', n - 1, 'id', nextval(pg_get_serial_sequence('punctual.dm_queue', 'id'))) order by n)
    into v_rows from jsonb_array_elements(p_rows) with ordinality e (r, n);

  select jsonb_agg(jsonb_build_object('index', r.index, 'field', 'account_id', 'message', 'there is no such account') order by r.index)
    into v_errors
    from jsonb_to_recordset(v_rows) r (index integer, account_id uuid)
   where not exists (select from punctual.accounts a where a.id = r.account_id);
  v_errors := coalesce(v_errors, '[]') || coalesce(punctual.find_key_conflicts(v_rows), '[]');
  if v_errors <> '[]' then
    return jsonb_build_object('errors', v_errors);
  end if;

  perform punctual.hold_keys('dm_queue', v_rows);
  insert into punctual.dm_queue (id, account_id, channel, chat_id, recipient, body, template, send_at, priority, expires_at, idempotency_key, created_at)
  select r.id, r.account_id, r.channel, r.chat_id, r.recipient, r.body, r.template, coalesce(r.send_at, v_now), coalesce(r.priority, 1), r.expires_at,
         r.idempotency_key, v_now
    from jsonb_to_recordset(v_rows) r (index integer, id bigint, account_id uuid, channel text, chat_id text, recipient text, body text, template jsonb,
           send_at timestamptz, priority smallint, expires_at timestamptz, idempotency_key text)
   where not exists (select from punctual.spent_keys k where k.queue = 'dm_queue' and k.key = r.idempotency_key)
   -- Inserts in the order of the keys, so that two calls with the same keys cannot deadlock.
   order by r.idempotency_key, r.index
  on conflict (idempotency_key) where idempotency_key is not null do nothing;

  -- A concurrent call may have inserted one of the keys since the first check. Then nothing of this call is kept.
  v_errors := punctual.find_key_conflicts(v_rows);
  if v_errors is not null then
    raise exception 'another call has just used the same idempotency_key for a different message' using errcode = 'PT409', detail = v_errors::text;
  end if;

  select jsonb_agg(jsonb_build_object('id', d.id::text, 'status', d.status, 'created', d.id = r.id) order by r.index) into v_response
    from jsonb_to_recordset(v_rows) r (index integer, id bigint, idempotency_key text)
   cross join lateral (
     select x.id, x.status from punctual.dm_queue x where x.id = r.id or x.idempotency_key = r.idempotency_key
      union all
     select k.row_id::bigint, k.status from punctual.spent_keys k where k.queue = 'dm_queue' and k.key = r.idempotency_key) d;
  return jsonb_build_object('rows', coalesce(v_response, '[]'));
end
$$;

-- The queue `posts`: posts that an account publishes on its own profile.

create table punctual.posts (
  id bigint generated by default as identity primary key,
  account_id uuid not null references punctual.accounts,
  body text not null,
  media_urls text[] not null default '{}',
  scheduled_for timestamptz not null default now(),
  -- The place of publication. A check tells an account's posts in the same feed apart before it accepts one in the feed as proof.
  feed text not null default 'profile' check (feed = 'profile'),
  provider_post_id text,
  permalink text,
  created_at timestamptz not null default now()
);

-- The queue's `evidence`: returns the account's other rows that may have left a post in the same feed, claimed from 25 hours before the first
-- uncertain attempt on: {id: [{status, body, provider_post_id, permalink}]}.
create function punctual.find_post_evidence(p_ids text[], p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (select jsonb_object_agg(p.id::text, o.others)
    from punctual.posts p
   cross join lateral (
     select jsonb_agg(jsonb_build_object('status', x.status, 'body', x.body, 'provider_post_id', x.provider_post_id, 'permalink', x.permalink)
                      order by x.id) as others
       from punctual.posts x
      where x.account_id = coalesce((p.reconcile->>'account_id')::uuid, p.account_id) and x.feed = p.feed and x.id <> p.id
        and x.status in ('publishing', 'published', 'unknown')
        and x.claimed_at > coalesce((p.reconcile->>'first_at')::timestamptz, p.claimed_at) - interval '25 hours') o
   where p.id = any (array(select unnest(p_ids)::bigint)) and o.others is not null);
end
$$;

select punctual.add_queue('posts', 'punctual.posts', 'scheduled_for', 'at-most-once',
  p_words => '{"pending": "scheduled", "running": "publishing", "done": "published", "dead": "failed"}',
  p_account_column => 'account_id',
  p_result_columns => '{provider_post_id, permalink}',
  p_proof_column => 'provider_post_id',
  p_pair_column => 'feed',
  p_evidence => 'punctual.find_post_evidence',
  -- The timeout includes the download and upload of media.
  p_settings => '{"timeout_seconds": 30}');

create index posts_claimed on punctual.posts (account_id, claimed_at) where claimed_at is not null;

-- When the post was published; null if it was not. A generated column, so that it always agrees with the state.
alter table punctual.posts add column published_at timestamptz generated always as (case when status = 'published' then finished_at end) stored;

-- Returns the posts of p_rows with an idempotency key that a different post has, in the table or in p_rows: [{index, field, message}]; null if
-- there are none.
create function punctual.find_post_key_conflicts(p_rows jsonb) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_agg(distinct jsonb_build_object('index', r.index, 'field', 'idempotency_key', 'message',
           'the key was used before, for a post that differs in account, body or media'))
    from jsonb_to_recordset(p_rows) r (index integer, account_id uuid, body text, media_urls text[], idempotency_key text)
    join (
      select p.idempotency_key, p.account_id, p.body, p.media_urls
        from punctual.posts p where p.idempotency_key in (select i->>'idempotency_key' from jsonb_array_elements(p_rows) i)
      union all
      select i.idempotency_key, i.account_id, i.body, coalesce(i.media_urls, '{}')
        from jsonb_to_recordset(p_rows) i (account_id uuid, body text, media_urls text[], idempotency_key text)
    ) o on o.idempotency_key = r.idempotency_key
   where (o.account_id, o.body, o.media_urls) is distinct from (r.account_id, r.body, coalesce(r.media_urls, '{}'))
$$;

-- Inserts posts, all or none. p_rows: [{account_id, body, media_urls, scheduled_for, priority, expires_at, idempotency_key}], already validated.
-- If the key is known, returns the row that has it. That row may be pruned; then its text is gone and is not compared.
--
-- Returns {rows: [{id, status, created}]} in the order of p_rows, or {errors: [{index, field, message}]} if nothing was inserted. Raises PT409
-- with these errors as its detail if a concurrent call used a key for a different post. Waits for calls with the same keys.
create function punctual.enqueue_posts(p_rows jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_errors jsonb;
  v_rows jsonb;
  v_response jsonb;
begin
  -- Gives each row its index and a new id. Afterwards the id shows whether the row was inserted.
  select jsonb_agg(r || jsonb_build_object('index', n - 1, 'id', nextval(pg_get_serial_sequence('punctual.posts', 'id'))) order by n)
    into v_rows from jsonb_array_elements(p_rows) with ordinality e (r, n);

  select jsonb_agg(jsonb_build_object('index', r.index, 'field', 'account_id', 'message',
           coalesce('posts go out over unipile, and this account is of ' || a.provider, 'there is no such account')) order by r.index)
    into v_errors
    from jsonb_to_recordset(v_rows) r (index integer, account_id uuid)
    left join punctual.accounts a on a.id = r.account_id
   where a.provider is distinct from 'unipile';
  v_errors := coalesce(v_errors, '[]') || coalesce(punctual.find_post_key_conflicts(v_rows), '[]');
  if v_errors <> '[]' then
    return jsonb_build_object('errors', v_errors);
  end if;

  perform punctual.hold_keys('posts', v_rows);
  insert into punctual.posts (id, account_id, body, media_urls, scheduled_for, priority, expires_at, idempotency_key, created_at)
  select r.id, r.account_id, r.body, coalesce(r.media_urls, '{}'), coalesce(r.scheduled_for, v_now), coalesce(r.priority, 1), r.expires_at,
         r.idempotency_key, v_now
    from jsonb_to_recordset(v_rows) r (index integer, id bigint, account_id uuid, body text, media_urls text[], scheduled_for timestamptz,
           priority smallint, expires_at timestamptz, idempotency_key text)
   where not exists (select from punctual.spent_keys k where k.queue = 'posts' and k.key = r.idempotency_key)
   -- Inserts in the order of the keys, so that two calls with the same keys cannot deadlock.
   order by r.idempotency_key, r.index
  on conflict (idempotency_key) where idempotency_key is not null do nothing;

  -- A concurrent call may have inserted one of the keys since the first check. Then nothing of this call is kept.
  v_errors := punctual.find_post_key_conflicts(v_rows);
  if v_errors is not null then
    raise exception 'another call has just used the same idempotency_key for a different post' using errcode = 'PT409', detail = v_errors::text;
  end if;

  select jsonb_agg(jsonb_build_object('id', p.id::text, 'status', p.status, 'created', p.id = r.id) order by r.index) into v_response
    from jsonb_to_recordset(v_rows) r (index integer, id bigint, idempotency_key text)
   cross join lateral (
     select x.id, x.status from punctual.posts x where x.id = r.id or x.idempotency_key = r.idempotency_key
      union all
     select k.row_id::bigint, k.status from punctual.spent_keys k where k.queue = 'posts' and k.key = r.idempotency_key) p;
  return jsonb_build_object('rows', coalesce(v_response, '[]'));
end
$$;

-- Returns a post as the API shows it.
create function punctual.describe_post(p_post punctual.posts) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', p_post.id::text, 'account_id', p_post.account_id, 'status', p_post.status, 'body', p_post.body,
    'media_urls', p_post.media_urls, 'scheduled_for', p_post.scheduled_for, 'published_at', p_post.published_at,
    'provider_post_id', p_post.provider_post_id, 'permalink', p_post.permalink, 'priority', p_post.priority, 'expires_at', p_post.expires_at,
    'attempts', p_post.attempts, 'last_error', p_post.last_error, 'created_at', p_post.created_at, 'finished_at', p_post.finished_at)
$$;

-- Returns the id as a number. Raises PT404 if it is malformed.
create function punctual.post_id(p_id text) returns bigint
language plpgsql immutable set search_path = '' as $$
begin
  if p_id ~ '^[0-9]{1,18}$' then return p_id::bigint; end if;
  raise exception 'there is no post %', left(p_id, 100) using errcode = 'PT404';
end
$$;

-- Returns a post. Raises PT404 if no post has the id.
create function punctual.read_post(p_id text) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' as $$
declare
  v_post punctual.posts;
begin
  select * into v_post from punctual.posts p where p.id = punctual.post_id(p_id);
  if not found then raise exception 'there is no post %', p_id using errcode = 'PT404'; end if;
  return punctual.describe_post(v_post);
end
$$;

-- Waits for the post's lock and takes it, so that no tick can claim the post before this transaction ends. Raises PT404 if there is no such post,
-- and PT409 if it is no longer scheduled.
create function punctual.lock_scheduled_post(p_id text) returns void
language plpgsql set search_path = '' as $$
declare
  v_status text;
begin
  select p.status into v_status from punctual.posts p where p.id = punctual.post_id(p_id) for no key update;
  if v_status is null then raise exception 'there is no post %', p_id using errcode = 'PT404'; end if;
  if v_status <> 'scheduled' then
    raise exception 'the post is %', v_status using errcode = 'PT409', detail = v_status;
  end if;
end
$$;

-- Changes a post that is still scheduled. p_changes: some of {body, media_urls, scheduled_for, expires_at, priority}, already validated. An accepted
-- change is always published. Returns the post as read_post does. Raises PT404 and PT409 as lock_scheduled_post does.
create function punctual.update_post(p_id text, p_changes jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_post punctual.posts;
begin
  perform punctual.lock_scheduled_post(p_id);
  update punctual.posts p set
    (body, media_urls, scheduled_for, expires_at, priority)
    = (select n.body, n.media_urls, n.scheduled_for, n.expires_at, n.priority from jsonb_populate_record(p, p_changes) n),
    next_attempt_at = case when p_changes ? 'scheduled_for' then null else p.next_attempt_at end
   where p.id = p_id::bigint
  returning p.* into v_post;
  -- If the account waits for this post, the posts behind it need not wait for the new time.
  if p_changes ? 'scheduled_for' then perform punctual.end_hold(punctual.read_queue('posts'), to_jsonb(v_post), v_now); end if;
  return punctual.describe_post(v_post);
end
$$;

-- Cancels a post that is still scheduled. Returns {id, status}. Raises PT404 and PT409 as lock_scheduled_post does.
create function punctual.cancel_post(p_id text, p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
begin
  perform punctual.lock_scheduled_post(p_id);
  return jsonb_build_object('id', p_id::bigint::text)
    || punctual.resolve_row('posts', p_id::bigint::text, 'cancelled', p_by, 'cancelled before it went out', null, p_now);
end
$$;

-- The queue `jobs`: background jobs in named queues. Each named queue is a partition. A job's name selects its handler (lib/jobs).

create table punctual.jobs (
  id bigint generated by default as identity primary key,
  name text not null,
  queue text not null default 'default',
  payload jsonb not null default '{}',
  run_at timestamptz not null default now(),
  -- The handler's return value, and the latest progress that it reported.
  result jsonb,
  progress jsonb,
  -- Before unique_until, no other job with this name and key is created. 'infinity': for as long as this job is kept.
  unique_key text,
  unique_until timestamptz,
  created_at timestamptz not null default now(),
  constraint jobs_unique_until check ((unique_key is null) = (unique_until is null))
);

select punctual.add_queue('jobs', 'punctual.jobs', 'run_at', 'at-least-once',
  p_words => '{"dead": "failed"}',
  p_partition_column => 'queue',
  p_result_columns => '{result}',
  p_progress_column => 'progress');

-- No queue may be called "failed": that name means the failed jobs of all queues.
alter table punctual.jobs add constraint jobs_queue_is_a_place check (queue <> 'failed');
insert into punctual.partitions (queue, partition, max_running) values ('jobs', 'default', null), ('jobs', 'blocking', 1);

create index jobs_key on punctual.jobs (name, unique_key, unique_until) where unique_key is not null;

-- Locks the unique keys of the jobs in p_rows until the transaction ends, so that two calls with the same key see each other's jobs. 64 advisory
-- locks stand for all keys: a lock for each of a call's thousand keys would fill the lock table. Locks in a fixed order, so that calls cannot
-- deadlock.
create function punctual.lock_job_keys(p_rows jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_lock integer;
begin
  for v_lock in
    select distinct hashtext(r.name || ':' || r.unique_key) & 63
      from jsonb_to_recordset(p_rows) r (name text, unique_key text) where r.unique_key is not null order by 1
  loop
    perform pg_advisory_xact_lock(hashtext('punctual.jobs'), v_lock);
  end loop;
end
$$;

-- Creates the queues of p_names that do not exist, with the settings of `default`. The API creates no more than 100 queues in all: if they do
-- not fit, creates none. Returns the names that it did not create.
create function punctual.add_job_queues(p_names text[]) returns text[]
language plpgsql set search_path = '' as $$
declare
  v_new text[] := array(select distinct n from unnest(p_names) n
                         where not exists (select from punctual.partitions p where p.queue = 'jobs' and p.partition = n));
  v_room integer;
begin
  if v_new = '{}' then return v_new; end if;
  perform pg_advisory_xact_lock(hashtext('punctual.jobs'), 64);
  -- Another call may have created them while this one waited for the lock. A new statement sees them.
  select 100 - count(*) into v_room from punctual.partitions p where p.queue = 'jobs' and p.partition <> all (v_new);
  if v_room < cardinality(v_new) then return v_new; end if;
  insert into punctual.partitions (queue, partition, batch_limit, concurrency, max_ticks, timeout_seconds, budget_seconds, adaptive)
  select 'jobs', n, d.batch_limit, d.concurrency, d.max_ticks, d.timeout_seconds, d.budget_seconds, d.adaptive
    from unnest(v_new) n left join punctual.partitions d on d.queue = 'jobs' and d.partition = 'default'
  on conflict do nothing;
  return '{}';
end
$$;

-- Returns the jobs with a longer timeout than their queue allows: [{index, field, message}]; null if there are none.
create function punctual.check_job_timeouts(p_rows jsonb) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_agg(jsonb_build_object('index', r.index, 'field', 'timeout_seconds', 'message',
           format('is %s; the queue %s gives a job %s s at most', r.timeout_seconds, r.queue, m.seconds)) order by r.index)
    from (select (n - 1)::integer as index, e->>'queue' as queue, (e->>'timeout_seconds')::integer as timeout_seconds
            from jsonb_array_elements(p_rows) with ordinality a (e, n)) r
   cross join punctual.queues q
    left join punctual.partitions d on d.queue = 'jobs' and d.partition = 'default'
    left join punctual.partitions p on p.queue = 'jobs' and p.partition = r.queue
   -- A queue that does not exist yet gets the settings of `default`.
   cross join lateral (select coalesce(case when p.partition is null then d.timeout_seconds else p.timeout_seconds end, q.timeout_seconds) as seconds) m
   where q.name = 'jobs' and r.timeout_seconds > m.seconds
$$;

-- Gives each job of p_rows a new id, and finds the jobs with a key that is taken. Returns [{n, id, row, kept_id}] in the order of p_rows. kept_id
-- is the job that has the key, in the table or earlier in p_rows; otherwise it is the new id. The caller holds the keys' locks.
create function punctual.judge_job_keys(p_rows jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_jobs jsonb;
begin
  with numbered as materialized (
    select e, n, nextval(pg_get_serial_sequence('punctual.jobs', 'id')) as id from jsonb_array_elements(p_rows) with ordinality a (e, n)),
  judged as (
    select a.*, t.id as taken_by,
           first_value(a.id) over (partition by a.e->>'name', a.e->>'unique_key' order by a.n) as first_id
      from numbered a
      left join lateral (
        select j.id from punctual.jobs j
         where j.name = a.e->>'name' and j.unique_key = a.e->>'unique_key' and j.unique_until > p_now and j.status <> 'cancelled'
         order by j.unique_until limit 1) t on true)
  select jsonb_agg(jsonb_build_object('n', j.n, 'id', j.id, 'row', j.e, 'kept_id',
           case when j.e->>'unique_key' is null then j.id else coalesce(j.taken_by, j.first_id) end) order by j.n)
    into v_jobs from judged j;
  return v_jobs;
end
$$;

-- Creates jobs, all or none. p_rows: [{name, queue, payload, run_at, priority, unique_key, unique_seconds, max_attempts, timeout_seconds,
-- most_seconds, expires_at}], already validated; most_seconds is the handler's own timeout. If a job's name and key are taken, in the table or
-- earlier in p_rows, returns the job that has them. A cancelled job frees its key.
--
-- Returns {rows: [{id, status, created}]} in the order of p_rows, or {errors: [{index, field, message}]} if nothing was created.
-- Waits for calls with the same keys, and for calls that create queues.
create function punctual.create_jobs(p_rows jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz;
  v_jobs jsonb;
  v_errors jsonb := punctual.check_job_timeouts(p_rows);
  v_refused text[];
  v_response jsonb;
begin
  if v_errors is not null then return jsonb_build_object('errors', v_errors); end if;
  v_refused := punctual.add_job_queues(array(select e->>'queue' from jsonb_array_elements(p_rows) e));
  if v_refused <> '{}' then
    return jsonb_build_object('errors', (
      select jsonb_agg(jsonb_build_object('index', n - 1, 'field', 'queue', 'message', format(
               'there is no queue "%s", and the API makes no more than 100: insert it into punctual.partitions', e->>'queue')) order by n)
        from jsonb_array_elements(p_rows) with ordinality a (e, n) where e->>'queue' = any (v_refused)));
  end if;
  perform punctual.lock_job_keys(p_rows);
  v_now := coalesce(p_now, clock_timestamp());
  v_jobs := punctual.judge_job_keys(p_rows, v_now);
  -- Reads the payload by its key: as a column of the record, a JSON null would become an SQL null.
  insert into punctual.jobs (id, name, queue, payload, run_at, priority, unique_key, unique_until, max_attempts, timeout_seconds, expires_at, created_at)
  select a.id, r.name, r.queue, a."row"->'payload', coalesce(r.run_at, v_now), coalesce(r.priority, 1), r.unique_key,
         case when r.unique_key is not null then coalesce(v_now + make_interval(secs => r.unique_seconds), 'infinity') end,
         r.max_attempts, coalesce(r.timeout_seconds, r.most_seconds), r.expires_at, v_now
    from jsonb_to_recordset(v_jobs) a (n integer, id bigint, kept_id bigint, "row" jsonb)
   cross join lateral jsonb_to_record(a."row") r (name text, queue text, run_at timestamptz, priority smallint, unique_key text,
           unique_seconds integer, max_attempts integer, timeout_seconds integer, most_seconds integer, expires_at timestamptz)
   where a.id = a.kept_id
   order by a.n;

  select jsonb_agg(jsonb_build_object('id', j.id::text, 'status', j.status, 'created', a.id = a.kept_id) order by a.n) into v_response
    from jsonb_to_recordset(v_jobs) a (n integer, id bigint, kept_id bigint)
    join punctual.jobs j on j.id = a.kept_id;
  return jsonb_build_object('rows', coalesce(v_response, '[]'));
end
$$;

-- Returns a job as the API shows it, or null if no job has the id or the id is malformed.
create function punctual.read_job(p_id text) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' as $$
declare
  q punctual.queues := punctual.read_queue('jobs');
begin
  if not punctual.is_id(q, p_id) then return null; end if;
  return (
    select jsonb_build_object('id', j.id::text, 'name', j.name, 'queue', j.queue, 'status', j.status, 'payload', j.payload, 'run_at', j.run_at,
             'priority', j.priority, 'attempts', j.attempts, 'max_attempts', coalesce(j.max_attempts, q.max_attempts),
             'timeout_seconds', least(j.timeout_seconds, coalesce(p.timeout_seconds, q.timeout_seconds)),
             'progress', j.progress, 'result', j.result, 'last_error', j.last_error, 'unique_key', j.unique_key, 'created_at', j.created_at,
             'started_at', j.claimed_at, 'finished_at', j.finished_at)
      from punctual.jobs j left join punctual.partitions p on p.queue = 'jobs' and p.partition = j.queue
     where j.id = p_id::bigint);
end
$$;

-- Returns the named queues: [{queue, timeout_seconds, has_failed}]. Queues with failed jobs come first, the oldest failure first; failed jobs
-- without a time, set by hand, come after those. Queues without failed jobs come last.
create function punctual.list_job_queues() returns jsonb
language sql stable set search_path = '' set statement_timeout = '4s' as $$
  select coalesce(jsonb_agg(jsonb_build_object('queue', p.partition, 'timeout_seconds', coalesce(p.timeout_seconds, q.timeout_seconds),
           'has_failed', f.id is not null) order by f.id is null, f.finished_at nulls last, p.partition), '[]')
    from punctual.partitions p
    join punctual.queues q on q.name = p.queue
    left join lateral (select j.id, j.finished_at from punctual.jobs j where j.queue = p.partition and j.status = 'failed'
                        order by j.finished_at limit 1) f on true
   where p.queue = 'jobs'
$$;

-- pgmq (Supabase Queues) as a source of rows. The registry's queue `pgmq` has no table of rows: each pgmq queue that was added is a partition of
-- it. The functions here do for messages what the engine does on a queue's table.
--
-- pgmq's visibility timeout is the lease. It is set with pgmq's own functions read, set_vt, archive and delete. pgmq always uses the database's
-- clock. So p_now reaches pgmq only as a duration: the time until p_lease_until, or since a message's vt.
--
-- Locks: messages by number, then their lines in punctual.messages. A line is written only under the lock of its message, or if the message is gone.
-- So a claim, which skips locked messages, never waits for a line.

-- The settings with which each pgmq queue was added.
create table punctual.message_queues (
  queue text not null default 'pgmq' check (queue = 'pgmq'),
  partition text primary key,
  -- Every message is this job's payload. Null: each message names its own job.
  job text check (job <> ''),
  on_done text not null check (on_done in ('archive', 'delete')),
  -- Null: the queue's.
  max_attempts integer check (max_attempts between 1 and 1000),
  foreign key (queue, partition) references punctual.partitions on delete cascade
);

-- A line for each claimed message, until an hour after it has finished, so that a repeated outcome is recognised.
create table punctual.messages (
  partition text not null,
  msg_id bigint not null,
  -- Tells the message from those of a recreated pgmq queue, which counts from 1 again.
  enqueued_at timestamptz not null,
  state text not null check (state in ('pending', 'running', 'done', 'dead')),
  -- The fence. It stays after a sweep, as the lease does, so that a late `done` is recognised.
  claim_id uuid not null,
  lease_expires_at timestamptz,
  claimed_at timestamptz not null,
  -- Does not count released attempts. pgmq's read_ct counts every read.
  attempts integer not null,
  -- pgmq's read_ct at our claim. If it is higher now, another consumer has read the message since.
  read_ct integer not null,
  last_error text,
  finished_at timestamptz,
  primary key (partition, msg_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
create index messages_lease on punctual.messages (lease_expires_at) where state = 'running';
create index messages_finished on punctual.messages (finished_at) where finished_at is not null;

-- Dead messages, moved out of their pgmq queues. An operator sends them back or throws them away.
create table punctual.set_aside_messages (
  partition text not null,
  msg_id bigint not null,
  enqueued_at timestamptz not null,
  message jsonb,
  headers jsonb,
  read_ct integer not null,
  attempts integer not null,
  last_error text,
  set_aside_at timestamptz not null,
  -- When it was thrown away. The row stays until retention deletes it.
  cancelled_at timestamptz,
  primary key (partition, msg_id, enqueued_at)
);
create index set_aside_messages_old on punctual.set_aside_messages (set_aside_at);

-- Returns the tables of a pgmq queue, from the catalog. Needs no privilege and raises no error. fault: why the caller cannot use the queue; null if
-- it can. remedy: what to do then.
create function punctual.find_message_table(p_partition text, out message_table text, out archive_table text, out fault text, out remedy text)
language plpgsql stable set search_path = '' as $$
declare
  v_schema oid := (select n.oid from pg_catalog.pg_namespace n where n.nspname = 'pgmq');
  v_messages pg_catalog.pg_class;
  v_archive oid;
begin
  message_table := lower('q_' || p_partition);
  archive_table := lower('a_' || p_partition);
  if v_schema is null then
    fault := 'the extension pgmq is not turned on';
    remedy := 'In Supabase''s dashboard: Integrations, Queues, Enable. Elsewhere: create extension pgmq;';
    return;
  end if;
  select * into v_messages from pg_catalog.pg_class c where c.relnamespace = v_schema and c.relname = message_table;
  select c.oid into v_archive from pg_catalog.pg_class c where c.relnamespace = v_schema and c.relname = archive_table;
  if v_messages.oid is null or v_archive is null then
    fault := format('there is no pgmq queue "%s"', p_partition);
    remedy := format('Create it in the dashboard, or: select pgmq.create(%L);', p_partition);
  elsif v_messages.relkind <> 'r' then
    fault := format('the pgmq queue "%s" is partitioned, which Punctual does not support', p_partition);
    remedy := 'Create a basic or an unlogged queue: select pgmq.create(''…'');';
  elsif not (has_schema_privilege(v_schema, 'usage') and has_table_privilege(v_messages.oid, 'select')
             and has_table_privilege(v_messages.oid, 'insert') and has_table_privilege(v_messages.oid, 'update')
             and has_table_privilege(v_messages.oid, 'delete') and has_table_privilege(v_archive, 'select')
             and has_table_privilege(v_archive, 'insert')) then
    fault := format('%s may not use the pgmq queue "%s"', current_user, p_partition);
    remedy := format('It may have been recreated. Run again: select punctual.add_message_queue(%L);', p_partition);
  end if;
end
$$;

-- Returns the name of a queue's message table. Raises PT404 with the fault and its remedy if the caller cannot use the queue.
create function punctual.need_message_table(p_partition text) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_found record;
begin
  select * into v_found from punctual.find_message_table(p_partition);
  if v_found.fault is not null then
    raise exception '%', v_found.fault using errcode = 'PT404', hint = v_found.remedy;
  end if;
  return v_found.message_table;
end
$$;

-- Splits a row's id, <pgmq queue>:<msg_id>. Nulls if it has another form.
create function punctual.split_message_id(p_id text, out partition text, out msg_id bigint)
language sql immutable set search_path = '' as $$
  select m[1], m[2]::bigint from (select regexp_match(p_id, '^(.+):([0-9]{1,18})$') as m) r
$$;

-- Returns a message as handlers and the dashboard get it. p_message: its row in pgmq's table or in set_aside_messages.
create function punctual.describe_message(p_partition text, p_job text, p_message jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object('id', p_partition || ':' || (p_message->>'msg_id'), 'partition', p_partition, 'job', p_job,
    'message', p_message->'message', 'headers', p_message->'headers', 'msg_id', p_message->'msg_id', 'read_ct', p_message->'read_ct',
    'enqueued_at', p_message->'enqueued_at')
$$;

create function punctual.max_message_attempts(q punctual.queues, p_partition text) returns integer
language sql stable set search_path = '' as $$
  select coalesce((select m.max_attempts from punctual.message_queues m where m.partition = p_partition), q.max_attempts)
$$;

-- Raises 22023 if p_settings is not an object with settings of a message queue.
create function punctual.check_message_settings(p_settings jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_unknown text;
begin
  if jsonb_typeof(p_settings) <> 'object' then
    raise exception 'add_message_queue: p_settings must be an object' using errcode = '22023';
  end if;
  select k into v_unknown from jsonb_object_keys(p_settings) k
   where k not in ('max_attempts', 'adaptive', 'batch_limit', 'budget_seconds', 'concurrency', 'max_ticks', 'timeout_seconds') limit 1;
  if v_unknown is not null then
    raise exception 'add_message_queue: "%" is not a setting of a message queue', v_unknown using errcode = '22023', hint =
      'Its settings are max_attempts, adaptive, batch_limit, budget_seconds, concurrency, max_ticks, timeout_seconds. '
      'Others apply to all message queues: update punctual.queues set … where name = ''pgmq'';';
  end if;
end
$$;

-- Grants the service role the rights on the pgmq queue's tables that ticks need. The exchange runs as that role, with its rights only. Raises 42501
-- if the caller may not grant them.
create function punctual.grant_message_queue(p_name text, p_message_table text, p_archive_table text) returns void
language plpgsql set search_path = '' as $$
declare
  v_function regprocedure;
begin
  grant usage on schema pgmq to service_role;
  execute format('grant select, insert, update, delete on pgmq.%I to service_role', p_message_table);
  execute format('grant select, insert on pgmq.%I to service_role', p_archive_table);
  for v_function in
    select p.oid from pg_catalog.pg_proc p where p.pronamespace = 'pgmq'::regnamespace
       and p.proname in ('format_table_name', 'read', 'set_vt', 'archive', 'delete')
  loop
    execute format('grant execute on function %s to service_role', v_function);
  end loop;
  -- Postgres only warns if the caller may not grant a right.
  if not (has_schema_privilege('service_role', 'pgmq', 'usage')
          and has_table_privilege('service_role', format('pgmq.%I', p_message_table), 'delete')
          and has_table_privilege('service_role', format('pgmq.%I', p_archive_table), 'insert')) then
    raise exception 'add_message_queue: % may not grant service_role the use of the pgmq queue "%"', current_user, p_name
      using errcode = '42501', hint = 'Run it as the owner of the queue''s tables.';
  end if;
end
$$;

-- Adds a pgmq queue as a partition of the queue `pgmq`. Owner only. Safe to repeat: a repeated call sets p_job and p_on_done, and grants again.
--
-- p_job       every message is the payload of this job; null: each message is {"name": …, "payload": …}.
-- p_on_done   archive: pgmq.archive; delete: pgmq.delete.
-- p_settings  the queue's own settings: columns of punctual.partitions (batch_limit, concurrency, max_ticks, …) and max_attempts. Absent
--             settings stay as they are.
--
-- Returns {queue, partition, job, on_done}. Raises 22023 for an invalid argument or a missing pgmq queue, 23505 if another queue is called "pgmq",
-- and 42501 if the caller may not grant the rights.
create function punctual.add_message_queue(
  p_name text, p_job text default null, p_on_done text default 'archive', p_settings jsonb default '{}') returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_found record;
  v_name text;
  v_settings jsonb := coalesce(p_settings, '{}');
begin
  if p_on_done is null or p_on_done not in ('archive', 'delete') then
    raise exception 'add_message_queue: p_on_done is "%", and must be archive or delete', p_on_done using errcode = '22023';
  end if;
  if p_name is null or p_name !~ '^[A-Za-z0-9_.-]{1,80}$' then
    raise exception 'add_message_queue: a queue with the name "%" cannot be called over HTTP', p_name
      using errcode = '22023', hint = 'Create a pgmq queue with a name of up to 80 letters, digits, _, - and dots.';
  end if;
  select * into v_found from punctual.find_message_table(p_name);
  if v_found.fault is not null then
    raise exception 'add_message_queue: %', v_found.fault using errcode = '22023', hint = v_found.remedy;
  end if;
  perform punctual.check_message_settings(v_settings);
  -- The name as it was created: pgmq ignores upper and lower case, and a partition has one name.
  execute 'select m.queue_name from pgmq.meta m where lower(m.queue_name) = lower($1)' into v_name using p_name;
  v_name := coalesce(v_name, p_name);

  insert into punctual.queues (name, source, table_schema, table_name, id_type, due_column, status_type, partition_column,
    pending_word, running_word, done_word, dead_word, unknown_word, cancelled_word, delivery)
  values ('pgmq', 'pgmq', 'punctual', 'messages', 'bigint', 'vt', 'text', 'partition',
    'pending', 'running', 'done', 'set_aside', 'unknown', 'cancelled', 'at-least-once')
  on conflict (name) do nothing;
  if not exists (select from punctual.queues q where q.name = 'pgmq' and q.source = 'pgmq') then
    raise exception 'add_message_queue: there is already a queue "pgmq" with a table of its own' using errcode = '23505';
  end if;
  insert into punctual.partitions (queue, partition) values ('pgmq', v_name) on conflict do nothing;
  update punctual.partitions p set (batch_limit, concurrency, adaptive, budget_seconds, max_ticks, timeout_seconds) = (
    select s.batch_limit, s.concurrency, s.adaptive, s.budget_seconds, s.max_ticks, s.timeout_seconds from jsonb_populate_record(p, v_settings) s)
   where p.queue = 'pgmq' and p.partition = v_name;
  insert into punctual.message_queues as m (partition, job, on_done, max_attempts)
  values (v_name, p_job, p_on_done, (v_settings->>'max_attempts')::integer)
  on conflict (partition) do update set job = excluded.job, on_done = excluded.on_done,
    max_attempts = case when v_settings ? 'max_attempts' then excluded.max_attempts else m.max_attempts end;
  perform punctual.grant_message_queue(p_name, v_found.message_table, v_found.archive_table);
  return jsonb_build_object('queue', 'pgmq', 'partition', v_name, 'job', p_job, 'on_done', p_on_done);
end
$$;

-- Claims up to p_want visible messages, in pgmq's order. Returns [{id, attempt, timeout_seconds, row}]. Raises PT404 if the message queue was not
-- added or cannot be used. pgmq.read skips locked messages.
create function punctual.claim_messages(
  q punctual.queues, p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_settings punctual.message_queues;
  v_read jsonb;
  v_exhausted bigint[];
  v_claimed jsonb;
begin
  perform punctual.need_message_table(p_partition);
  select * into v_settings from punctual.message_queues m where m.partition = p_partition;
  if not found then
    raise exception 'the message queue "%" was not added', p_partition
      using errcode = 'PT404', hint = format('Run: select punctual.add_message_queue(%L);', p_partition);
  end if;
  -- Whole seconds, rounded up: the visibility timeout must not be shorter than the lease.
  select jsonb_agg(to_jsonb(m)) into v_read
    from pgmq.read(p_partition, ceil(extract(epoch from p_lease_until - p_now))::integer, p_want) m;
  if v_read is null then return '[]'; end if;

  -- The ticks of these messages died at every attempt, and no sweep has reached them yet.
  select array_agg(m.msg_id) into v_exhausted
    from jsonb_to_recordset(v_read) r (msg_id bigint, enqueued_at timestamptz)
    join punctual.messages m on m.partition = p_partition and m.msg_id = r.msg_id and m.enqueued_at = r.enqueued_at
   where m.state = 'running' and m.attempts >= coalesce(v_settings.max_attempts, q.max_attempts);
  if v_exhausted is not null then
    update punctual.messages m set state = 'dead', finished_at = p_now, last_error = punctual.died_message()
     where m.partition = p_partition and m.msg_id = any (v_exhausted);
    perform punctual.set_messages_aside(q, p_partition, v_exhausted, 'swept', p_now);
  end if;

  with read as materialized (
    select r.msg_id, r.read_ct, r.enqueued_at, e as message
      from jsonb_array_elements(v_read) e cross join lateral jsonb_to_record(e) r (msg_id bigint, read_ct integer, enqueued_at timestamptz)
     where r.msg_id <> all (coalesce(v_exhausted, '{}'))
  ),
  claimed as (
    insert into punctual.messages as m (partition, msg_id, enqueued_at, state, claim_id, lease_expires_at, claimed_at, attempts, read_ct)
    select p_partition, r.msg_id, r.enqueued_at, 'running', p_claim_id, p_lease_until, p_now, 1, r.read_ct from read r order by r.msg_id
    on conflict (partition, msg_id) do update set
      enqueued_at = excluded.enqueued_at, state = 'running', claim_id = excluded.claim_id, lease_expires_at = excluded.lease_expires_at,
      claimed_at = excluded.claimed_at, read_ct = excluded.read_ct, finished_at = null,
      attempts = case when m.enqueued_at = excluded.enqueued_at then m.attempts + 1 else 1 end,
      last_error = case when m.enqueued_at = excluded.enqueued_at then m.last_error end
    returning m.msg_id, m.attempts
  )
  select jsonb_agg(jsonb_build_object('id', p_partition || ':' || c.msg_id, 'attempt', c.attempts, 'timeout_seconds', null,
           'row', punctual.describe_message(p_partition, v_settings.job, r.message)) order by c.msg_id)
    into v_claimed from claimed c join read r on r.msg_id = c.msg_id;
  return coalesce(v_claimed, '[]');
end
$$;

create function punctual.died_message() returns text
language sql immutable set search_path = '' as $$
  select 'the tick died while this message was being handled'
$$;

-- Moves messages with `dead` lines from their pgmq queue to set_aside_messages, where an operator finds them, and notes p_event in the history.
create function punctual.set_messages_aside(q punctual.queues, p_partition text, p_ids bigint[], p_event text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  execute format(
    'insert into punctual.set_aside_messages (partition, msg_id, enqueued_at, message, headers, read_ct, attempts, last_error, set_aside_at) '
    'select m.partition, t.msg_id, t.enqueued_at, t.message, to_jsonb(t)->''headers'', t.read_ct, m.attempts, m.last_error, $3 '
    'from pgmq.%I t join punctual.messages m on m.partition = $1 and m.msg_id = t.msg_id where t.msg_id = any ($2)',
    punctual.need_message_table(p_partition)) using p_partition, p_ids, p_now;
  perform from pgmq.delete(p_partition, p_ids);
  insert into punctual.history (queue, row_id, at, event, text)
  select q.name, m.partition || ':' || m.msg_id, p_now, p_event, m.last_error
    from punctual.messages m where m.partition = p_partition and m.msg_id = any (p_ids) order by m.msg_id;
end
$$;

-- Puts a message that was set aside back into its pgmq queue, visible and under its old number. Returns false if another message has the number.
create function punctual.return_message(p_partition text, p_msg_id bigint, p_enqueued_at timestamptz) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_table text := punctual.need_message_table(p_partition);
  -- Messages have headers since pgmq 1.5.
  v_headers text := case when exists (
    select from pg_catalog.pg_attribute a where a.attrelid = format('pgmq.%I', v_table)::regclass and a.attname = 'headers') then ', headers' else '' end;
  v_count integer;
begin
  execute format(
    'insert into pgmq.%I (msg_id, read_ct, enqueued_at, vt, message%s) overriding system value '
    'select s.msg_id, s.read_ct, s.enqueued_at, clock_timestamp(), s.message%s from punctual.set_aside_messages s '
    'where s.partition = $1 and s.msg_id = $2 and s.enqueued_at = $3 on conflict do nothing', v_table, v_headers, v_headers)
  using p_partition, p_msg_id, p_enqueued_at;
  get diagnostics v_count = row_count;
  if v_count > 0 then
    delete from punctual.set_aside_messages s where s.partition = p_partition and s.msg_id = p_msg_id and s.enqueued_at = p_enqueued_at;
  end if;
  return v_count > 0;
end
$$;

-- Writes outcomes to pgmq. Takes and returns the same as settle_outcomes. `retry`: visible again after its delay. `again`: the same, and its attempts
-- start from zero. `dead` and `unknown`: set aside. Locks messages by partition and number.
create function punctual.settle_messages(q punctual.queues, p_outcomes jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_records jsonb;
  v_partition text;
  v_judged jsonb := '[]';
begin
  select coalesce(jsonb_agg(r || jsonb_build_object('partition', s.partition, 'msg_id', s.msg_id)), '[]') into v_records
    from (select jsonb_build_object('id', i, 'claim_id', g->'claim_id', 'outcome', 'done') as r
            from jsonb_array_elements(coalesce(p_outcomes->'done', '[]')) g cross join lateral jsonb_array_elements_text(g->'ids') i
          union all select r from jsonb_array_elements(coalesce(p_outcomes->'records', '[]')) r) a
   cross join lateral punctual.split_message_id(r->>'id') s;
  for v_partition in select distinct r->>'partition' from jsonb_array_elements(v_records) r order by 1 loop
    v_judged := v_judged || case when v_partition is null
      then (select jsonb_agg(r || '{"verdict": "lost", "applied": null}') from jsonb_array_elements(v_records) r where r->>'partition' is null)
      else punctual.settle_partition(q, v_partition,
             (select jsonb_agg(r) from jsonb_array_elements(v_records) r where r->>'partition' = v_partition), p_now) end;
  end loop;
  return (
    select jsonb_build_object(
      'done', count(*) filter (where j->>'applied' = 'done'),
      'retried', count(*) filter (where j->>'applied' = 'retry'),
      'again', count(*) filter (where j->>'applied' = 'again'),
      'dead', count(*) filter (where j->>'applied' = 'dead'),
      'unknown', 0,
      'released', count(*) filter (where j->>'applied' = 'release'),
      'lost', count(*) filter (where j->>'verdict' = 'lost'),
      'limited', count(*) filter (where j->>'applied' is not null and (j->>'rate_limited')::boolean),
      'exceptions', coalesce(jsonb_agg(jsonb_build_object('id', j->'id', 'claim_id', j->'claim_id', 'verdict', j->'verdict',
          'outcome', coalesce(j->>'applied', j->>'was', j->>'outcome')))
        filter (where j->>'verdict' <> 'applied' or j->>'applied' <> j->>'outcome'), '[]'))
      from jsonb_array_elements(v_judged) j);
end
$$;

-- Locks the messages of one pgmq queue by number, and decides which of their outcomes may be written. p_records: records with msg_id. Returns them with
--   verdict      applied, already or lost
--   applied      the outcome to write; null if there is none
--   was          the outcome that was written before
--   enqueued_at
--   set_aside    the message was set aside and must be put back
create function punctual.judge_messages(q punctual.queues, p_partition text, p_records jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_table text := punctual.need_message_table(p_partition);
  v_ids bigint[] := array(select (r->>'msg_id')::bigint from jsonb_array_elements(p_records) r);
  v_judged jsonb;
begin
  execute format('select 1 from pgmq.%I t where t.msg_id = any ($1) order by t.msg_id for update', v_table) using v_ids;
  perform from punctual.messages m where m.partition = p_partition and m.msg_id = any (v_ids) order by m.msg_id for no key update;
  -- A new statement under the locks: it sees what others wrote during the wait.
  execute format($sql$
    select jsonb_agg(a.record || jsonb_build_object('verdict', v.verdict, 'enqueued_at', m.enqueued_at,
             'was', case m.state when 'done' then 'done' when 'dead' then 'dead' else a.outcome end,
             'set_aside', m.state = 'dead' and v.verdict = 'applied',
             'applied', case when v.verdict <> 'applied' then null
                             when a.outcome = 'unknown' then 'dead'
                             when a.outcome = 'retry' and m.attempts >= $3 and not coalesce((a.record->>'rate_limited')::boolean, false) then 'dead'
                             else a.outcome end) order by a.msg_id)
      from (select distinct on (r->>'msg_id', r->>'claim_id') r as record, (r->>'msg_id')::bigint as msg_id, (r->>'claim_id')::uuid as claim_id, r->>'outcome' as outcome
              from jsonb_array_elements($1) r) a
      left join punctual.messages m on m.partition = $2 and m.msg_id = a.msg_id
      left join pgmq.%I t on t.msg_id = m.msg_id and t.enqueued_at = m.enqueued_at
     cross join lateral (select case
         when m.claim_id is distinct from a.claim_id then 'lost'
         -- Late proof for a message that is dead by now.
         when m.state = 'dead' and a.outcome = 'done' and exists (
           select from punctual.set_aside_messages s where s.partition = $2 and s.msg_id = m.msg_id and s.enqueued_at = m.enqueued_at
              and s.cancelled_at is null)
           -- Not if the queue was recreated and another message has the number.
           and not exists (select from pgmq.%I x where x.msg_id = a.msg_id) then 'applied'
         when m.lease_expires_at is null and (m.state <> 'pending' or a.outcome <> 'done') then 'already'
         -- The message is gone, or another consumer has read it since our lease ended and owns it now.
         when t.msg_id is null or t.read_ct <> m.read_ct then 'lost'
         when m.state = 'running' then 'applied'
         -- The message was swept, or an outcome was written before. Nobody has read it since.
         when m.state = 'pending' and a.outcome in ('done', 'dead', 'again') then 'applied'
         else 'lost' end as verdict) v
    $sql$, v_table, v_table) into v_judged using p_records, p_partition, punctual.max_message_attempts(q, p_partition);
  return v_judged;
end
$$;

-- Settles the messages of one pgmq queue. Takes and returns the records of judge_messages.
create function punctual.settle_partition(q punctual.queues, p_partition text, p_records jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_judged jsonb := punctual.judge_messages(q, p_partition, p_records);
  v_done bigint[];
  v_dead bigint[];
begin
  perform punctual.return_message(p_partition, j.msg_id, j.enqueued_at)
     from jsonb_to_recordset(v_judged) j (msg_id bigint, enqueued_at timestamptz, set_aside boolean) where j.set_aside;
  update punctual.messages m set
    state = case j.applied when 'done' then 'done' when 'dead' then 'dead' else 'pending' end,
    lease_expires_at = null,
    attempts = case when j.applied = 'again' then 0
                    when j.applied = 'release' or (j.applied = 'retry' and j.rate_limited) then greatest(m.attempts - 1, 0)
                    else m.attempts end,
    finished_at = case when j.applied in ('done', 'dead') then p_now end,
    last_error = case j.applied when 'release' then m.last_error when 'done' then null when 'again' then null else left(j.error, 2000) end
    from jsonb_to_recordset(v_judged) j (msg_id bigint, applied text, rate_limited boolean, error text)
   where m.partition = p_partition and m.msg_id = j.msg_id and j.applied is not null;

  select coalesce(array_agg(j.msg_id) filter (where j.applied = 'done'), '{}'), coalesce(array_agg(j.msg_id) filter (where j.applied = 'dead'), '{}')
    into v_done, v_dead from jsonb_to_recordset(v_judged) j (msg_id bigint, applied text);
  if v_done = '{}' then
    null;
  elsif (select m.on_done from punctual.message_queues m where m.partition = p_partition) = 'delete' then
    perform from pgmq.delete(p_partition, v_done);
  else
    perform from pgmq.archive(p_partition, v_done);
  end if;
  if v_dead <> '{}' then perform punctual.set_messages_aside(q, p_partition, v_dead, 'dead', p_now); end if;
  perform from jsonb_to_recordset(v_judged) j (msg_id bigint, applied text, delay_seconds double precision)
    cross join lateral pgmq.set_vt(p_partition, j.msg_id, case when j.applied = 'release' then 0 else ceil(coalesce(j.delay_seconds, 0))::integer end)
    where j.applied in ('retry', 'again', 'release');
  insert into punctual.history (queue, row_id, at, event, text)
  select q.name, j.id, p_now, 'retry', left(j.error, 2000)
    from jsonb_to_recordset(v_judged) j (id text, applied text, error text) where j.applied = 'retry';
  return v_judged;
end
$$;

-- The templates of pgmq queues: the functions that an exchange calls, with the same verbs as those of tables.
insert into punctual.templates (verb, kinds, text) values ('claim', '{pgmq}', $template$
create function {function}(p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_now timestamptz) returns json[]
language plpgsql set search_path = '' as $$
begin
  return array(select m::json from jsonb_array_elements(
    punctual.claim_messages(punctual.read_queue({queue}), p_partition, p_claim_id, p_want, p_lease_until, p_now)) m);
end
$$
$template$), ('list_claimed', '{pgmq}', $template$
create function {function}(p_claim_id uuid, p_lease_until timestamptz) returns json[]
language plpgsql stable set search_path = '' as $$
begin
  return punctual.list_claimed_messages(p_claim_id, p_lease_until);
end
$$
$template$), ('settle', '{pgmq}', $template$
create function {function}(p_done jsonb, p_records jsonb, p_max_attempts integer, p_now timestamptz,
  out given integer, out settled integer, out written text[], out counts jsonb, out applied jsonb, out changed jsonb)
language plpgsql set search_path = '' as $$
begin
  counts := punctual.settle_messages(punctual.read_queue({queue}), jsonb_build_object('done', p_done, 'records', p_records), p_now);
  changed := counts->'exceptions';
  applied := '[]';
end
$$
$template$), ('sweep', '{pgmq}', $template$
create function {function}(q punctual.queues, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
begin
  return punctual.sweep_messages(q, p_now);
end
$$
$template$), ('count_due', '{pgmq}', $template$
create function {function}(p_partition text, p_now timestamptz) returns integer
language plpgsql stable set search_path = '' as $$
begin
  return punctual.count_due_messages(p_partition);
end
$$
$template$), ('first_due_at', '{pgmq}', $template$
create function {function}(p_partition text, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return punctual.first_due_message_at(p_partition, true, p_now);
end
$$
$template$), ('next_due_at', '{pgmq}', $template$
create function {function}(p_partition text, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return punctual.first_due_message_at(p_partition, false, p_now);
end
$$
$template$);
create trigger make_functions after insert on punctual.queues for each row when (new.source = 'pgmq') execute function punctual.remake_functions();

-- Returns the messages that still run under a claim: [{id, attempt, timeout_seconds, row}].
create function punctual.list_claimed_messages(p_claim_id uuid, p_lease_until timestamptz) returns json[]
language plpgsql stable set search_path = '' as $$
declare
  v_partition text;
  v_rows json[];
begin
  -- All messages of a claim are in one partition.
  select m.partition into v_partition from punctual.messages m
   where m.state = 'running' and m.lease_expires_at = p_lease_until and m.claim_id = p_claim_id limit 1;
  if v_partition is null then return '{}'; end if;
  execute format($sql$
    select array_agg(json_build_object('id', m.partition || ':' || m.msg_id, 'attempt', m.attempts, 'timeout_seconds', null,
             'row', punctual.describe_message(m.partition, (select x.job from punctual.message_queues x where x.partition = $3), to_jsonb(t))) order by m.msg_id)
      from punctual.messages m join pgmq.%I t on t.msg_id = m.msg_id and t.enqueued_at = m.enqueued_at and t.read_ct = m.read_ct
     where m.state = 'running' and m.lease_expires_at = $1 and m.claim_id = $2 and m.partition = $3
    $sql$, punctual.need_message_table(v_partition))
  into v_rows using p_lease_until, p_claim_id, v_partition;
  return coalesce(v_rows, '{}');
end
$$;

-- Sweeps up to 200 messages of one pgmq queue. Skips locked messages. Returns how many became visible again or were set aside.
create function punctual.sweep_message_queue(q punctual.queues, p_partition text, p_table text, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_ids bigint[] := array(
    select m.msg_id from punctual.messages m where m.partition = p_partition and m.state = 'running' and m.lease_expires_at <= p_now
     order by m.lease_expires_at limit 200);
  v_swept jsonb;
  v_dead bigint[];
begin
  -- Deletes the lines of messages that another consumer removed.
  execute format(
    'delete from punctual.messages m using (select x.msg_id from punctual.messages x where x.partition = $1 and x.msg_id = any ($2) '
    'and x.state = ''running'' and x.lease_expires_at <= $3 and not exists (select from pgmq.%I t where t.msg_id = x.msg_id) '
    'for update skip locked) gone where m.partition = $1 and m.msg_id = gone.msg_id', p_table)
  using p_partition, v_ids, p_now;
  execute format('select array(select t.msg_id from pgmq.%I t where t.msg_id = any ($1) order by t.msg_id for update skip locked)', p_table)
    into v_ids using v_ids;
  execute format($sql$
    with swept as (
      update punctual.messages m set
        state = case when m.attempts >= $4 and t.read_ct = m.read_ct then 'dead' else 'pending' end,
        finished_at = case when m.attempts >= $4 and t.read_ct = m.read_ct then $3 end,
        last_error = punctual.died_message()
        from pgmq.%I t
       where m.partition = $1 and m.msg_id = any ($2) and m.state = 'running' and m.lease_expires_at <= $3 and t.msg_id = m.msg_id
      returning m.msg_id, m.state, m.attempts, t.read_ct = m.read_ct as ours)
    select coalesce(jsonb_agg(to_jsonb(s) order by s.msg_id), '[]') from swept s
    $sql$, p_table)
  into v_swept using p_partition, v_ids, p_now, punctual.max_message_attempts(q, p_partition);
  perform from jsonb_to_recordset(v_swept) s (msg_id bigint, state text, attempts integer, ours boolean)
    cross join lateral pgmq.set_vt(p_partition, s.msg_id, punctual.message_backoff(q, p_partition, s.msg_id, s.attempts))
    where s.state = 'pending' and s.ours;
  insert into punctual.history (queue, row_id, at, event, text)
  select q.name, p_partition || ':' || s.msg_id, p_now, 'swept', punctual.died_message()
    from jsonb_to_recordset(v_swept) s (msg_id bigint, state text) where s.state = 'pending' order by s.msg_id;
  v_dead := array(select (s->>'msg_id')::bigint from jsonb_array_elements(v_swept) s where s->>'state' = 'dead');
  if v_dead <> '{}' then perform punctual.set_messages_aside(q, p_partition, v_dead, 'swept', p_now); end if;
  return jsonb_array_length(v_swept);
end
$$;

-- Sweeps messages with an expired lease, up to 200 per pgmq queue: their tick died. Each becomes visible again after a backoff of its own, or is set
-- aside after its last attempt. With the same backoff for all, a message that kills its process would take its neighbours with it at every attempt.
-- Also deletes lines that finished over an hour ago, up to 1,000. Stops between queues when the call's time is over.
create function punctual.sweep_messages(q punctual.queues, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_partition text;
  v_found record;
  v_count integer := 0;
begin
  delete from punctual.messages m using (
    select x.partition, x.msg_id from punctual.messages x where x.finished_at < p_now - interval '1 hour'
     order by x.finished_at limit 1000 for update skip locked) old
   where m.partition = old.partition and m.msg_id = old.msg_id;
  for v_partition in
    select distinct r.partition from (select m.partition from punctual.messages m where m.state = 'running' and m.lease_expires_at <= p_now
                                       order by m.lease_expires_at limit 200) r order by 1
  loop
    select * into v_found from punctual.find_message_table(v_partition);
    continue when v_found.fault is not null;
    v_count := v_count + punctual.sweep_message_queue(q, v_partition, v_found.message_table, p_now);
    exit when punctual.is_call_over();
  end loop;
  return v_count;
end
$$;

-- Returns a backoff in seconds. Its maximum is four times as long with each attempt, up to backoff_cap_seconds, and the value is anything up to
-- that. The same message and attempt have the same backoff. Even with a tick a minute, messages that died together are soon apart.
create function punctual.message_backoff(q punctual.queues, p_partition text, p_msg_id bigint, p_attempts integer) returns integer
language sql immutable set search_path = '' as $$
  select ceil(least(q.backoff_cap_seconds, q.backoff_base_seconds * power(4, least(p_attempts, 10)))
              * (hashtextextended(p_partition || ':' || p_msg_id || ':' || p_attempts, 0) & 65535) / 65536.0)::integer
$$;

-- Counts the messages that are visible now, up to 1,000.
create function punctual.count_due_messages(p_partition text) returns integer
language plpgsql stable set search_path = '' as $$
declare
  v_found record;
  v_count integer;
begin
  select * into v_found from punctual.find_message_table(p_partition);
  if v_found.fault is not null then return 0; end if;
  execute format('select count(*) from (select from pgmq.%I t where t.vt <= $1 limit 1000) r', v_found.message_table)
  into v_count using clock_timestamp();
  return v_count;
end
$$;

-- Returns when the first message became visible (p_past), or when the next one will; null if there is none. A message under a lease of ours is not
-- the next one.
create function punctual.first_due_message_at(p_partition text, p_past boolean, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_found record;
  v_at timestamptz;
  -- Read once: Postgres uses no index for a condition with a volatile function.
  v_clock timestamptz := clock_timestamp();
begin
  select * into v_found from punctual.find_message_table(p_partition);
  if v_found.fault is not null then return null; end if;
  execute format(
    'select $1 + (t.vt - $3) from pgmq.%I t where t.vt %s $3 and t.vt < ''infinity'' and t.vt > ''-infinity'' %s '
    'order by t.vt limit 1', v_found.message_table, case when p_past then '<=' else '>' end,
    case when p_past then '' else 'and not exists (select from punctual.messages m where m.partition = $2 and m.msg_id = t.msg_id '
                                  'and m.state = ''running'')' end)
  into v_at using p_now, p_partition, v_clock;
  return v_at;
end
$$;

-- Returns {count, approximate} of a table of pgmq: exact up to 10,000, the planner's estimate above.
create function punctual.count_pgmq_rows(p_table text) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_count bigint;
begin
  execute format('select count(*) from (select from pgmq.%I limit 10001) r', p_table) into v_count;
  if v_count <= 10000 then return jsonb_build_object('count', v_count, 'approximate', false); end if;
  return jsonb_build_object('approximate', true, 'count', (
    select greatest(10000, round(c.reltuples)) from pg_catalog.pg_class c
     where c.relnamespace = 'pgmq'::regnamespace and c.relname = p_table));
end
$$;

-- Returns {pending: {count, approximate}, running, done, dead, unknown, cancelled}. done: the messages in the archives, also those that other
-- consumers archived.
create function punctual.count_message_states(q punctual.queues) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select jsonb_build_object(
             'pending', jsonb_build_object('count', greatest(0, l.messages - r.running), 'approximate', l.is_about),
             'running', jsonb_build_object('count', r.running, 'approximate', false),
             'done', jsonb_build_object('count', l.archived, 'approximate', l.is_archive_about),
             'dead', jsonb_build_object('count', s.dead, 'approximate', false),
             'unknown', jsonb '{"count": 0, "approximate": false}',
             'cancelled', jsonb_build_object('count', s.cancelled, 'approximate', false))
      from (select coalesce(sum((m->>'count')::bigint), 0) as messages, coalesce(bool_or((m->>'approximate')::boolean), false) as is_about,
                   coalesce(sum((a->>'count')::bigint), 0) as archived, coalesce(bool_or((a->>'approximate')::boolean), false) as is_archive_about
              from punctual.partitions p
             cross join lateral punctual.find_message_table(p.partition) f
             cross join lateral (select case when f.fault is null then punctual.count_pgmq_rows(f.message_table) end as m,
                                        case when f.fault is null then punctual.count_pgmq_rows(f.archive_table) end as a offset 0) c
             where p.queue = q.name) l
     cross join (select count(*) as running from punctual.messages m where m.state = 'running') r
     cross join (select count(*) filter (where s.cancelled_at is null) as dead, count(s.cancelled_at) as cancelled from punctual.set_aside_messages s) s);
end
$$;

-- Returns why messages cannot be reached: [{reason, rows}]. rows: the known messages, possibly 0.
create function punctual.list_unreachable_messages(q punctual.queues) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_partition text;
  v_found record;
  v_rows bigint;
  v_reasons jsonb := '[]';
begin
  for v_partition in select p.partition from punctual.partitions p where p.queue = q.name order by 1 loop
    select * into v_found from punctual.find_message_table(v_partition);
    if v_found.fault is not null then
      v_reasons := v_reasons || jsonb_build_object('reason', v_found.fault || ': ' || v_found.remedy, 'rows',
        (select count(*) from punctual.messages m where m.partition = v_partition and m.finished_at is null));
      continue;
    end if;
    if not exists (select from punctual.message_queues m where m.partition = v_partition) then
      v_reasons := v_reasons || jsonb_build_object('rows', punctual.count_pgmq_rows(v_found.message_table)->'count', 'reason',
        format('the message queue "%s" was not added: select punctual.add_message_queue(%L);', v_partition, v_partition));
    end if;
    execute format('select count(*) from (select from pgmq.%I t where t.vt = ''infinity'' limit 10000) r', v_found.message_table) into v_rows;
    if v_rows > 0 then
      v_reasons := v_reasons || jsonb_build_object('reason', format('vt is infinity in the pgmq queue "%s"', v_partition), 'rows', v_rows);
    end if;
  end loop;
  return v_reasons;
end
$$;

-- Returns a page of the messages in one state, in the form of list_rows. Pending and running messages are in the order in which they become visible,
-- others are newest first. Their times are never null, so the first condition of after_cursor() is enough.
create function punctual.list_messages(q punctual.queues, p_state text, p_limit integer, p_cursor jsonb, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_desc boolean := p_state not in ('pending', 'running');
  v_at text := case p_state when 'dead' then 't.set_aside_at' when 'cancelled' then 't.cancelled_at' when 'done' then 't.archived_at' else 't.vt' end;
  v_order text := case when v_desc then 'desc' else 'asc' end;
  v_partition text;
  v_found record;
  v_listed jsonb;
  v_rows jsonb := '[]';
begin
  if p_state in ('dead', 'cancelled') then
    execute format($sql$
      select jsonb_agg(jsonb_build_object('key', jsonb_build_array(t.listed_at, t.partition, t.msg_id), 'attempts', t.attempts, 'last_error', t.last_error,
               'finished_at', coalesce(t.cancelled_at, t.set_aside_at), 'due_at', null,
               'row', punctual.describe_message(t.partition, (select m.job from punctual.message_queues m where m.partition = t.partition), to_jsonb(t))))
        from (select t.*, %s as listed_at from punctual.set_aside_messages t where (t.cancelled_at is not null) = ($2 = 'cancelled') and %s
               order by listed_at desc, t.partition desc, t.msg_id desc limit $1) t
      $sql$, v_at, (punctual.after_cursor(array[v_at, 't.partition', 't.msg_id'], '{timestamptz, text, bigint}', true, p_cursor))[1])
    into v_rows using p_limit + 1, p_state;
  elsif p_state in ('pending', 'running', 'done') then
    for v_partition in select p.partition from punctual.partitions p where p.queue = q.name loop
      select * into v_found from punctual.find_message_table(v_partition);
      continue when v_found.fault is not null;
      execute format($sql$
        select jsonb_agg(jsonb_build_object('key', jsonb_build_array(t.listed_at, $1, t.msg_id), 'attempts', coalesce(m.attempts, 0),
                 'last_error', m.last_error, 'finished_at', case when $4 then t.listed_at end,
                 'due_at', case when isfinite(t.vt) then $3 + (t.vt - clock_timestamp()) end,
                 'row', punctual.describe_message($1, (select x.job from punctual.message_queues x where x.partition = $1), to_jsonb(t))))
          from (select t.*, %s as listed_at from pgmq.%I t where %s and %s order by listed_at %s, t.msg_id %s limit $2) t
          left join punctual.messages m on m.partition = $1 and m.msg_id = t.msg_id and m.enqueued_at = t.enqueued_at
        $sql$,
        v_at, case when v_desc then v_found.archive_table else v_found.message_table end,
        case p_state when 'done' then 'true' else case p_state when 'pending' then 'not ' else '' end
          || 'exists (select from punctual.messages m where m.partition = $1 and m.msg_id = t.msg_id and m.state = ''running'')' end,
        (punctual.after_cursor(array[v_at, '$1', 't.msg_id'], '{timestamptz, text, bigint}', v_desc, p_cursor))[1], v_order, v_order)
      into v_listed using v_partition, p_limit + 1, p_now, v_desc;
      v_rows := v_rows || coalesce(v_listed, '[]');
    end loop;
  end if;
  return (
    select punctual.page_of(jsonb_agg(jsonb_build_object('key', r.row->'key', 'item', jsonb_build_object(
             'id', r.row->'key'->>1 || ':' || (r.row->'key'->>2), 'due_at', case when not v_desc then r.row->'due_at' end,
             'status', punctual.word_of_state(q, p_state),
             'attempts', r.row->'attempts', 'last_error', r.row->'last_error', 'finished_at', r.row->'finished_at',
             'account', null, 'reconcile', null, 'row', r.row->'row')) order by r.n), p_limit)
      from (select x.row, row_number() over (order by case when not v_desc then k.at end, case when v_desc then k.at end desc,
                     case when not v_desc then k.part end, case when v_desc then k.part end desc,
                     case when v_desc then -k.msg_id else k.msg_id end) as n
              from jsonb_array_elements(v_rows) x (row)
             cross join lateral (select (x.row->'key'->>0)::timestamptz as at, x.row->'key'->>1 as part, (x.row->'key'->>2)::bigint as msg_id) k) r
     where r.n <= p_limit + 1);
end
$$;

-- Returns a message in its pgmq queue, set aside or archived: {state, partition, attempts, last_error, finished_at, …}. One in its queue also has
-- {vt, read_by_another, lease_expires_at, claim_id}; one set aside has {enqueued_at}. Null if there is none.
create function punctual.find_message(q punctual.queues, p_id text) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_partition text;
  v_msg_id bigint;
  v_found record;
  v_line punctual.messages;
  v_message jsonb;
  v_aside punctual.set_aside_messages;
begin
  select s.partition, s.msg_id into v_partition, v_msg_id from punctual.split_message_id(p_id) s;
  if v_partition is null then return null; end if;
  select * into v_line from punctual.messages m where m.partition = v_partition and m.msg_id = v_msg_id;
  select * into v_found from punctual.find_message_table(v_partition);
  if v_found.fault is null and exists (select from punctual.partitions p where p.queue = q.name and p.partition = v_partition) then
    execute format('select to_jsonb(t) from pgmq.%I t where t.msg_id = $1', v_found.message_table) into v_message using v_msg_id;
    if v_message is not null then
      if v_line.enqueued_at is distinct from (v_message->>'enqueued_at')::timestamptz then v_line := null; end if;
      return jsonb_build_object('state', case when v_line.state = 'running' then 'running' else 'pending' end, 'partition', v_partition,
        'vt', v_message->'vt', 'read_by_another', v_line.read_ct is not null and (v_message->>'read_ct')::integer <> v_line.read_ct,
        'attempts', coalesce(v_line.attempts, 0), 'last_error', v_line.last_error, 'lease_expires_at', v_line.lease_expires_at, 'claim_id', v_line.claim_id);
    end if;
  end if;
  select * into v_aside from punctual.set_aside_messages s where s.partition = v_partition and s.msg_id = v_msg_id order by s.set_aside_at desc limit 1;
  if found then
    return jsonb_build_object('state', case when v_aside.cancelled_at is null then 'dead' else 'cancelled' end, 'partition', v_partition,
      'attempts', v_aside.attempts, 'last_error', v_aside.last_error, 'finished_at', coalesce(v_aside.cancelled_at, v_aside.set_aside_at),
      'enqueued_at', v_aside.enqueued_at);
  end if;
  if v_line.state = 'done' then
    return jsonb_build_object('state', 'done', 'partition', v_partition, 'attempts', v_line.attempts, 'finished_at', v_line.finished_at);
  end if;
  if v_found.fault is null then
    execute format('select to_jsonb(t) from pgmq.%I t where t.msg_id = $1', v_found.archive_table) into v_message using v_msg_id;
    if v_message is not null then
      return jsonb_build_object('state', 'done', 'partition', v_partition, 'attempts', 0, 'finished_at', v_message->'archived_at');
    end if;
  end if;
  return null;
end
$$;

-- Returns the result of explain_row for a message.
create function punctual.explain_message(q punctual.queues, p_id text, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_message jsonb := punctual.find_message(q, p_id);
  v_state text := v_message->>'state';
  v_partition punctual.partitions;
  v_due timestamptz;
  v_waits jsonb := '[]';
begin
  if v_message is null then return null; end if;
  select * into v_partition from punctual.partitions p where p.queue = q.name and p.partition = v_message->>'partition';
  v_due := case when (v_message->>'vt')::timestamptz in ('infinity', '-infinity') then null
                else p_now + ((v_message->>'vt')::timestamptz - clock_timestamp()) end;
  if v_state = 'pending' then
    if (v_message->>'vt')::timestamptz = 'infinity' then
      v_waits := v_waits || punctual.wait_of('never_due', null, 'vt is infinity');
    elsif v_due > p_now then
      v_waits := v_waits || case
        when (v_message->>'read_by_another')::boolean then punctual.wait_of('due', v_due, 'not visible: another consumer has read it')
        when (v_message->>'attempts')::integer > 0 then punctual.wait_of('retry', v_due, 'its last attempt failed; it is visible again then')
        else punctual.wait_of('due', v_due, 'not visible yet: delayed, or read by another consumer') end;
    end if;
    v_waits := v_waits || punctual.list_pauses(q, v_partition, p_now);
    if v_waits = '[]' then v_waits := punctual.wait_for_tick(v_partition); end if;
  elsif v_state = 'dead' then
    v_waits := punctual.wait_of('operator', null, 'it was set aside: send it back, or throw it away');
  end if;
  return jsonb_build_object(
    'id', p_id, 'queue', q.name, 'state', v_state, 'status', punctual.word_of_state(q, v_state), 'due_at', v_due, 'attempts', (v_message->>'attempts')::integer, 'max_attempts', punctual.max_message_attempts(q, v_message->>'partition'),
    'last_error', v_message->>'last_error', 'finished_at', v_message->>'finished_at', 'waits', v_waits, 'ahead', null,
    'expected_at', case when v_state = 'pending' and not v_waits @> '[{"until": null}]' then greatest(v_due, p_now)
                        when v_state = 'pending' and v_waits->0->>'kind' = 'tick' then p_now end,
    'tick', null, 'lease_expires_at', case when v_state = 'running' then v_message->>'lease_expires_at' end, 'reconcile', null,
    'history', punctual.list_history(q, p_id)) || case when v_state = 'running' then punctual.explain_running(q, v_message) else '{}' end;
end
$$;

-- Applies an operator's decision on a message that was set aside. `pending` sends it back to its pgmq queue, and its attempts start from zero.
-- `cancelled` throws it away. Returns {status}. Raises PT404 if there is no such message, and PT409 if it was not set aside or if another message
-- has its number by now. Waits for the lock of the set-aside message.
create function punctual.resolve_message(
  q punctual.queues, p_id text, p_decision text, p_by text, p_note text, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_partition text;
  v_msg_id bigint;
  v_message jsonb;
  v_word text;
begin
  select s.partition, s.msg_id into v_partition, v_msg_id from punctual.split_message_id(p_id) s;
  perform from punctual.set_aside_messages s where s.partition = v_partition and s.msg_id = v_msg_id for update;
  v_message := punctual.find_message(q, p_id);
  if v_message is null then raise exception 'there is no row % in %', p_id, q.name using errcode = 'PT404'; end if;
  v_word := punctual.word_of_state(q, v_message->>'state');
  if v_message->>'state' <> 'dead' or p_decision is null or p_decision not in ('pending', 'cancelled') then
    raise exception 'the row is %', v_word using errcode = 'PT409', detail = v_word,
      hint = 'Only a message that was set aside can be sent back (pending) or thrown away (cancelled).';
  end if;
  if p_decision = 'pending' then
    if not punctual.return_message(v_partition, v_msg_id, (v_message->>'enqueued_at')::timestamptz) then
      raise exception 'another message has the number % in the pgmq queue "%" by now', v_msg_id, v_partition using errcode = 'PT409', detail = v_word,
        hint = 'The queue was recreated. Send the message by hand: its text is in punctual.set_aside_messages.';
    end if;
    delete from punctual.messages m where m.partition = v_partition and m.msg_id = v_msg_id;
  else
    update punctual.set_aside_messages s set cancelled_at = p_now
     where s.partition = v_partition and s.msg_id = v_msg_id and s.enqueued_at = (v_message->>'enqueued_at')::timestamptz;
  end if;
  insert into punctual.history (queue, row_id, at, event, text) values (q.name, p_id, p_now, 'decided', left(
    format('%s decided: %s%s', coalesce(p_by, 'an operator'), case when p_decision = 'pending' then 'send it back' else 'throw it away' end,
           coalesce(' (' || p_note || ')', '')), 2000));
  return jsonb_build_object('status', case when p_decision = 'pending' then q.pending_word else q.cancelled_word end);
end
$$;

-- Runs one bounded step of retention. Deletes up to p_limit messages that were set aside or thrown away before p_before, and lines of messages that
-- another consumer removed. Leaves pgmq's archives to their owner. Skips locked rows. Returns how many set-aside messages it deleted.
create function punctual.prune_messages(q punctual.queues, p_before timestamptz, p_limit integer) returns integer
language plpgsql set search_path = '' as $$
declare
  v_partition text;
  v_found record;
  v_count integer;
begin
  delete from punctual.set_aside_messages s using (
    select x.partition, x.msg_id, x.enqueued_at from punctual.set_aside_messages x
     where x.set_aside_at < p_before and coalesce(x.cancelled_at < p_before, true)
     order by x.set_aside_at limit p_limit for update skip locked) old
   where s.partition = old.partition and s.msg_id = old.msg_id and s.enqueued_at = old.enqueued_at;
  get diagnostics v_count = row_count;
  for v_partition in select p.partition from punctual.partitions p where p.queue = q.name loop
    select * into v_found from punctual.find_message_table(v_partition);
    continue when v_found.fault is not null;
    execute format(
      'delete from punctual.messages m using (select x.msg_id from punctual.messages x where x.partition = $1 and x.state = ''pending'' '
      'and x.claimed_at < $2 and not exists (select from pgmq.%I t where t.msg_id = x.msg_id) limit $3 for update skip locked) gone '
      'where m.partition = $1 and m.msg_id = gone.msg_id', v_found.message_table)
    using v_partition, p_before, p_limit;
  end loop;
  return v_count;
end
$$;

-- The queue `monitors`: sites that are checked at intervals, from regions. The results of checks are kept. Failures are confirmed before an
-- incident opens. A region with a broken network says nothing about sites.

-- A place from which sites are checked. Each region is a partition of the queue, with ticks of its own.
create table punctual.regions (
  name text primary key check (name ~ '^[a-z][a-z0-9-]{0,39}$'),
  -- Takes over monitors while their own region cannot check them.
  is_default boolean not null default false,
  -- After so many seconds without a tick, its monitors move to the default region.
  unseen_seconds integer not null default 180 check (unseen_seconds between 30 and 86400),
  -- Set when checks fail and none of the region's canaries answers. Until then the region counts as unhealthy.
  network_broken_until timestamptz,
  -- How often in a row that happened.
  network_failures integer not null default 0,
  -- When monitors without a preferred region were first spread over the regions including this one; null before.
  spread_at timestamptz,
  created_at timestamptz not null default now()
);
create unique index regions_default on punctual.regions (is_default) where is_default;

create table punctual.monitors (
  id bigint generated by default as identity primary key,
  name text not null check (name <> ''),
  -- The scheme is the kind of check: http, https, tcp or tls.
  url text not null check (url ~ '^(https?|tcp|tls)://'),
  method text not null default 'GET',
  headers jsonb not null default '{}' check (jsonb_typeof(headers) = 'object'),
  -- Status codes and ranges, separated by commas: 200-299,301.
  expected_status text not null default '200-299',
  keyword_present text,
  keyword_absent text,
  timeout_ms integer not null default 10000 check (timeout_ms between 100 and 30000),
  max_redirects integer not null default 5 check (max_redirects between 0 and 10),
  -- A slower check is degraded.
  degraded_ms integer check (degraded_ms > 0),
  -- A check is degraded if the certificate expires within so many days.
  certificate_days integer default 14 check (certificate_days > 0),
  interval_seconds integer not null default 60 check (interval_seconds between 10 and 86400),
  criticality text not null default 'normal' check (criticality in ('critical', 'high', 'normal', 'low')),
  is_active boolean not null default true,
  preferred_region text references punctual.regions,
  -- The only regions that may check it; null: all.
  only_regions text[] check (cardinality(only_regions) > 0),
  -- The monitor is down once confirm_failures of its last confirm_checks checks failed, from as many regions, or from all if there are fewer.
  confirm_failures integer not null default 2 check (confirm_failures between 1 and 10),
  confirm_checks integer not null default 3 check (confirm_checks between 1 and 10),
  -- region checks it now. home_region is its preferred region, or the one that the even spread gave it.
  region text not null references punctual.regions,
  home_region text references punctual.regions,
  next_check_at timestamptz not null check (isfinite(next_check_at)),
  -- When its last check was due.
  last_scheduled_at timestamptz,
  last_checked_at timestamptz,
  -- Null before its first check, and while it is inactive or dead.
  state text check (state in ('up', 'degraded', 'down')),
  state_since timestamptz,
  -- Since when its failures are being confirmed.
  suspect_since timestamptz,
  -- Earlier checks do not count for its state: its settings were changed since, or an incident ended.
  judged_from timestamptz not null default '-infinity',
  created_at timestamptz not null default now(),
  constraint monitors_confirm check (confirm_failures <= confirm_checks),
  constraint monitors_preferred_is_allowed check (only_regions is null or preferred_region is null or preferred_region = any (only_regions))
);

-- The result of each check. Ids grow with time: pruning finds the oldest rows by id.
create table punctual.monitor_checks (
  id bigint generated by default as identity primary key,
  monitor_id bigint not null references punctual.monitors on delete cascade,
  -- When it began, and when it was due.
  at timestamptz not null,
  scheduled_at timestamptz,
  region text not null,
  verdict text not null check (verdict in ('up', 'degraded', 'down')),
  -- False: it failed, and none of the region's canaries answered either.
  counted boolean not null default true,
  error text,
  status_code integer,
  redirects integer,
  address text,
  dns_ms integer,
  connect_ms integer,
  tls_ms integer,
  first_byte_ms integer,
  total_ms integer,
  certificate_expires_at timestamptz
);
create index monitor_checks_latest on punctual.monitor_checks (monitor_id, id desc);
-- Rows are stored in the order of time, so a small brin index finds the rows of a day.
create index monitor_checks_at on punctual.monitor_checks using brin (at) with (pages_per_range = 32);

-- Hourly counts of a monitor's counted checks, for its uptime.
create table punctual.monitor_hours (
  monitor_id bigint not null references punctual.monitors on delete cascade,
  hour timestamptz not null,
  up integer not null default 0,
  degraded integer not null default 0,
  down integer not null default 0,
  total_ms bigint not null default 0,
  primary key (monitor_id, hour)
);

create table punctual.incidents (
  id bigint generated by default as identity primary key,
  monitor_id bigint not null references punctual.monitors on delete cascade,
  -- When the first failed check began, and when enough checks had failed.
  started_at timestamptz not null,
  opened_at timestamptz not null,
  -- When the first good check after the failures began, and when enough checks were good.
  ended_at timestamptz,
  closed_at timestamptz,
  cause text,
  regions text[] not null
);
create unique index incidents_open on punctual.incidents (monitor_id) where closed_at is null;
create index incidents_of on punctual.incidents (monitor_id, id desc);
create index incidents_closed on punctual.incidents (closed_at desc) where closed_at is not null;

-- Returns a monitor's next check time after p_after. The check times form a grid with the monitor's interval. The grid's phase follows from the
-- id, so that the monitors of one interval are spread over it. With an interval of whole minutes, no check falls into a minute's first 15 or last
-- 5 seconds. Minutely schedulers call then, a little early or late each time. A call just before a due check would miss it and double its wait.
create function punctual.next_on_grid(p_id bigint, p_interval_seconds integer, p_after timestamptz) returns timestamptz
language plpgsql immutable set search_path = '' as $$
declare
  v_hash bigint := hashint8extended(p_id, 7) & 9007199254740991;
  v_step bigint := p_interval_seconds * 1000::bigint;
  v_after bigint := floor(extract(epoch from p_after) * 1000);
  v_phase bigint;
begin
  v_phase := case when p_interval_seconds % 60 = 0 then (v_hash / 40000) % (p_interval_seconds / 60) * 60000 + 15000 + v_hash % 40000
                  else v_hash % v_step end;
  return timestamptz 'epoch' + (v_phase + ((v_after - v_phase) / v_step + 1) * v_step) * interval '1 millisecond';
end
$$;

-- Returns when a new monitor is checked first: within its interval, and within a minute.
create function punctual.first_check_at(p_id bigint, p_interval_seconds integer, p_now timestamptz) returns timestamptz
language sql immutable set search_path = '' as $$
  select p_now + ((hashint8extended(p_id, 8) & 9007199254740991) % (least(p_interval_seconds, 60) * 1000)) * interval '1 millisecond'
$$;

-- Returns the state of each region. A region is healthy if it has recent ticks, is not paused, and its network is not known to be broken.
-- Otherwise `reason` says why not.
create function punctual.region_states(
  p_now timestamptz, out name text, out is_default boolean, out is_healthy boolean, out reason text, out last_tick_at timestamptz)
returns setof record
language sql stable set search_path = '' as $$
  select r.name, r.is_default, w.reason is null, w.reason, p.last_tick_at
    from punctual.regions r
    left join punctual.partitions p on p.queue = 'monitors' and p.partition = r.name
   cross join lateral (select case
      when p.paused_at <= p_now then 'it is paused' || coalesce(': ' || p.paused_reason, '')
      when p.last_tick_at is null then 'no tick of it was ever seen'
      when p.last_tick_at < p_now - make_interval(secs => r.unseen_seconds) then 'no tick of it was seen for '
        || case when p_now - p.last_tick_at < interval '2 hours' then round(extract(epoch from p_now - p.last_tick_at) / 60) || ' minutes'
                when p_now - p.last_tick_at < interval '2 days' then round(extract(epoch from p_now - p.last_tick_at) / 3600) || ' hours'
                else round(extract(epoch from p_now - p.last_tick_at) / 86400) || ' days' end
      when r.network_broken_until > p_now then 'none of its canaries answers: its network is broken' end as reason) w
$$;

-- Returns the region that should check a monitor: its home; if that is not healthy, the default region; if that is not healthy or not in p_only,
-- another healthy region of p_only. If there is none, its home. p_healthy: the names of the healthy regions, the default one first if it is healthy.
create function punctual.choose_region(p_id bigint, p_home text, p_only text[], p_healthy text[], p_default text) returns text
language sql immutable set search_path = '' as $$
  select case
    when p_home = any (p_healthy) then p_home
    when p_default = any (p_healthy) and (p_only is null or p_default = any (p_only)) then p_default
    else coalesce((select h from unnest(p_healthy) h where p_only is null or h = any (p_only) order by md5(h || p_id) limit 1), p_home, p_default) end
$$;

-- Sets the columns that follow from those that users set.
create function punctual.prepare_monitor() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.priority := array_position(array['critical', 'high', 'normal', 'low'], new.criticality) - 1;
  -- Adds 3 s for the canaries: see lib/queues/monitors/queue.ts.
  new.timeout_seconds := ceil(new.timeout_ms / 1000.0) + 3;
  if tg_op = 'INSERT' then
    new.home_region := new.preferred_region;
    new.region := coalesce(new.region, new.preferred_region, new.only_regions[1], (select r.name from punctual.regions r where r.is_default));
    new.next_check_at := coalesce(new.next_check_at, punctual.first_check_at(new.id, new.interval_seconds, clock_timestamp()));
  else
    if (new.preferred_region, new.only_regions) is distinct from (old.preferred_region, old.only_regions) then
      new.home_region := new.preferred_region;
      if new.region <> all (new.only_regions) then new.region := coalesce(new.preferred_region, new.only_regions[1]); end if;
    end if;
    if (new.interval_seconds <> old.interval_seconds or (new.is_active and not old.is_active)) and new.next_check_at = old.next_check_at then
      new.next_check_at := punctual.first_check_at(new.id, new.interval_seconds, clock_timestamp());
    end if;
    if (new.url, new.method, new.headers, new.expected_status, new.keyword_present, new.keyword_absent, new.timeout_ms, new.max_redirects)
       is distinct from (old.url, old.method, old.headers, old.expected_status, old.keyword_present, old.keyword_absent, old.timeout_ms, old.max_redirects)
       or new.is_active <> old.is_active then
      new.judged_from := greatest(old.judged_from, old.last_checked_at + interval '1 microsecond');
      new.suspect_since := null;
      if old.status = 'checking' then
        new.status := 'scheduled';
        new.claim_id := null;
        new.lease_expires_at := null;
      end if;
    end if;
    if old.is_active and not new.is_active then
      update punctual.incidents i set ended_at = clock_timestamp(), closed_at = clock_timestamp() where i.monitor_id = new.id and i.closed_at is null;
      new.state := null;
      new.state_since := null;
    end if;
  end if;
  if not new.is_active and new.status = 'scheduled' then
    new.status := 'inactive';
  elsif new.is_active and new.status in ('inactive', 'dead', 'done') then
    new.status := 'scheduled';
    new.attempts := 0;
    new.next_attempt_at := null;
    new.finished_at := null;
    new.last_error := null;
  end if;
  return new;
end
$$;

-- Spreads the monitors without a preferred region evenly over the healthy regions (p_healthy, the default one first), by setting home_region.
-- Moves as few as possible of those that have a home. Takes 5,000 at most.
create function punctual.spread_monitors(p_healthy text[], p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_limit constant integer := 5000;
  v_spread integer;
begin
  with region as materialized (
    select h as name, n as place, cardinality(p_healthy) as regions from unnest(p_healthy) with ordinality u (h, n)
  ),
  free as materialized (
    select m.id, m.home_region,
           row_number() over (partition by m.home_region order by m.id) as nth
      from punctual.monitors m
     where m.preferred_region is null and m.only_regions is null
       and (m.home_region is null or exists (select from region r where r.name = m.home_region))
  ),
  quota as materialized (
    select r.name, (select count(*) from free) / r.regions
             + case when r.place <= (select count(*) from free) % r.regions then 1 else 0 end as most
      from region r
  ),
  surplus as (
    select f.id, row_number() over (order by f.id) as n
      from free f left join quota q on q.name = f.home_region where f.home_region is null or f.nth > q.most
  ),
  room as (
    -- Takes the regions in turn, so that a few new monitors do not all go to the same one.
    select q.name, row_number() over (order by g.n, q.name) as n
      from quota q
     cross join lateral generate_series(
       (select count(*) from free f where f.home_region = q.name) + 1, q.most) g (n)
  )
  update punctual.monitors m set home_region = room.name
    from surplus join room on room.n = surplus.n where m.id = surplus.id and surplus.n <= v_limit;
  get diagnostics v_spread = row_count;
  -- Monitors with only_regions get one of these as home, a healthy one if there is one.
  update punctual.monitors m
     set home_region = (select o from unnest(m.only_regions) o order by (o = any (p_healthy)) desc, md5(o || m.id) limit 1)
   where m.id in (select x.id from punctual.monitors x
                   where x.home_region is null and x.preferred_region is null and x.only_regions is not null limit v_limit);
  -- The next tick takes the rest.
  if v_spread < v_limit then
    update punctual.regions r set spread_at = p_now where r.spread_at is null and r.name = any (p_healthy);
  end if;
end
$$;

-- The queue's before_claim: moves monitors away from unhealthy regions, and home again, 5,000 at most. Runs in a tick's first exchange, and
-- costs next to nothing if all monitors are at home. Skips locked monitors.
create function punctual.place_monitors(p_partition text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_healthy text[];
  v_unhealthy text[];
  v_default text;
  v_unspread boolean;
begin
  select coalesce(array_agg(s.name order by s.is_default desc, s.name) filter (where s.is_healthy), '{}'),
         coalesce(array_agg(s.name) filter (where not s.is_healthy), '{}'), max(s.name) filter (where s.is_default)
    into v_healthy, v_unhealthy, v_default from punctual.region_states(p_now) s;
  if v_healthy = '{}' then return; end if;
  select exists (select from punctual.monitors m where m.home_region is null)
      or exists (select from punctual.regions r where r.spread_at is null and r.name = any (v_healthy)) into v_unspread;
  -- Only one tick spreads at a time: two would find the same monitors.
  if v_unspread and pg_try_advisory_xact_lock(hashtext('punctual.spread_monitors')) then perform punctual.spread_monitors(v_healthy, p_now); end if;
  update punctual.monitors m set region = punctual.choose_region(m.id, m.home_region, m.only_regions, v_healthy, v_default)
   where m.id = any (array(
     select l.id from punctual.monitors l
      where l.id = any (array(
        (select a.id from punctual.monitors a
          where a.status = 'scheduled' and a.region = any (v_unhealthy)
            -- Leaves monitors that no healthy region may check.
            and (a.only_regions is null or a.only_regions && v_healthy) limit 5000)
        union all
        -- Other regions check a monitor on purpose while it is down or suspected.
        (select h.id from punctual.monitors h
          where h.region <> h.home_region and h.home_region = any (v_healthy) and h.suspect_since is null and h.state is distinct from 'down'
            and h.status = 'scheduled' limit 5000)))
        and l.status = 'scheduled'
      limit 5000 for no key update skip locked));
end
$$;

-- A summary of a monitor's latest counted checks, confirm_checks at most.
create type punctual.check_window as (
  -- The newest first; null: there is no check.
  verdicts text[],
  -- How many of the newest checks in a row were not down, and how many were up.
  good integer,
  up integer,
  -- How many of all checks were not up, and how many were down; the number and names of the regions with a down check.
  not_up integer,
  down integer,
  down_regions integer,
  failing text[],
  first_down_at timestamptz,
  newest_at timestamptz,
  -- The error of the newest down check.
  cause text
);

-- Returns the summary of a monitor's latest checks.
create function punctual.read_window(m punctual.monitors) returns punctual.check_window
language plpgsql stable set search_path = '' as $$
declare
  w punctual.check_window;
begin
  select array_agg(c.verdict order by c.n),
         coalesce(min(c.n) filter (where c.verdict = 'down'), count(*) + 1) - 1, coalesce(min(c.n) filter (where c.verdict <> 'up'), count(*) + 1) - 1,
         count(*) filter (where c.verdict <> 'up'), count(*) filter (where c.verdict = 'down'),
         count(distinct c.region) filter (where c.verdict = 'down'), array_agg(distinct c.region) filter (where c.verdict = 'down'),
         min(c.at) filter (where c.verdict = 'down'), max(c.at), (array_agg(c.error order by c.n) filter (where c.verdict = 'down'))[1]
    into w
    from (select x.*, row_number() over (order by x.id desc) as n
            from (select k.* from punctual.monitor_checks k
                   where k.monitor_id = m.id and k.counted and k.at >= m.judged_from order by k.id desc limit m.confirm_checks) x) c;
  return w;
end
$$;

-- Returns the region of p_awake, other than the monitor's current one, that has not checked the monitor for the longest. is_unchecked: it has not
-- checked it since p_since.
create function punctual.next_region(m punctual.monitors, p_awake text[], p_since timestamptz, out name text, out is_unchecked boolean)
language plpgsql stable set search_path = '' as $$
begin
  select h, l.at is null or l.at < p_since into name, is_unchecked
    from unnest(p_awake) h
    left join lateral (select max(k.n) as n, max(k.at) as at from (
      select c.region, c.id as n, c.at from punctual.monitor_checks c where c.monitor_id = m.id order by c.id desc limit 20) k where k.region = h) l on true
   where h <> m.region and (m.only_regions is null or h = any (m.only_regions))
   order by l.n nulls first, h limit 1;
end
$$;

-- Closes the incident of a monitor that is no longer down. The incident ended with the first good check. Only checks from then on count.
create function punctual.end_incident(inout m punctual.monitors, w punctual.check_window, p_now timestamptz)
language plpgsql set search_path = '' as $$
begin
  update punctual.incidents i
     set ended_at = greatest(i.started_at, (select min(c.at) from (select k.at from punctual.monitor_checks k
                       where k.monitor_id = m.id and k.counted and k.at >= m.judged_from order by k.id desc limit w.good) c)),
         closed_at = p_now
   where i.monitor_id = m.id and i.closed_at is null returning i.ended_at into m.judged_from;
  m.state := case when w.up >= m.confirm_failures then 'up' else 'degraded' end;
end
$$;

-- Sets the state of a monitor that is not down, and since when it is suspected. Opens an incident if enough checks failed, from enough regions.
-- p_regions: how many regions can check it.
create function punctual.judge_window(inout m punctual.monitors, w punctual.check_window, p_regions integer, p_now timestamptz)
language plpgsql set search_path = '' as $$
begin
  if w.verdicts[1] = 'down' or m.suspect_since is not null then
    if w.down >= m.confirm_failures and w.down_regions >= least(m.confirm_failures, p_regions) then
      m.state := 'down';
      m.suspect_since := null;
      insert into punctual.incidents (monitor_id, started_at, opened_at, cause, regions) values (m.id, w.first_down_at, p_now, w.cause, w.failing)
      on conflict (monitor_id) where closed_at is null do nothing;
    elsif w.good >= m.confirm_failures then
      m.suspect_since := null;
      if w.up >= m.confirm_failures or m.state is null then m.state := w.verdicts[1]; end if;
    else
      m.suspect_since := coalesce(m.suspect_since, w.newest_at);
      -- It fails from some regions, but not from enough.
      if w.down >= m.confirm_failures then m.state := 'degraded'; end if;
    end if;
  elsif w.up >= m.confirm_failures or (m.state is null and w.verdicts[1] = 'up') then
    m.state := 'up';
  elsif w.not_up >= m.confirm_failures or m.state is null then
    m.state := 'degraded';
  end if;
end
$$;

-- Applies a monitor's latest checks: sets its state, and opens or closes an incident. While failures are being confirmed, also sets which region
-- checks it next, and when. p_healthy and p_default: see choose_region. p_awake: the regions of p_healthy with a tick in the last 90 s; a region
-- without recent ticks would delay an alarm. The settle holds the monitor's lock.
create function punctual.judge_monitor(m punctual.monitors, p_healthy text[], p_awake text[], p_default text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  -- When a failure is confirmed if there is no other region to ask.
  v_confirm_at constant timestamptz := p_now + interval '20 seconds';
  v_regions integer := (select greatest(1, count(*)) from unnest(p_awake) h where m.only_regions is null or h = any (m.only_regions));
  w punctual.check_window := punctual.read_window(m);
  v_next record := punctual.next_region(m, p_awake, coalesce(m.suspect_since, w.newest_at));
begin
  if w.verdicts is null then return; end if;
  if m.state = 'down' and w.good < m.confirm_failures then
    -- The site may be up again: checks it again soon.
    if w.good > 0 then
      update punctual.monitors t set next_check_at = least(t.next_check_at, v_confirm_at) where t.id = m.id;
    elsif v_next.name is not null then
      update punctual.monitors t set region = v_next.name where t.id = m.id;
    end if;
    return;
  end if;
  m := case when m.state = 'down' then punctual.end_incident(m, w, p_now) else punctual.judge_window(m, w, v_regions, p_now) end;
  update punctual.monitors t
     set state = m.state, judged_from = coalesce(m.judged_from, t.judged_from),
         state_since = case when m.state is distinct from t.state then p_now else t.state_since end,
         suspect_since = m.suspect_since,
         region = case when m.suspect_since is null then punctual.choose_region(m.id, m.home_region, m.only_regions, p_healthy, p_default)
                       else coalesce(v_next.name, m.region) end,
         next_check_at = case when m.suspect_since is null then t.next_check_at
                              when v_next.is_unchecked then p_now
                              -- All regions have checked it and disagree: it waits for its next regular check.
                              when (select count(*) from (select c.at from punctual.monitor_checks c where c.monitor_id = m.id order by c.id desc limit 30) c
                                     where c.at >= m.suspect_since) >= m.confirm_checks + v_regions then t.next_check_at
                              else least(t.next_check_at, v_confirm_at) end
   where t.id = m.id;
end
$$;

-- Returns a JSON number as an integer, rounded and limited to 0..2147483647. Null if it is not a number.
create function punctual.parse_whole_number(p_value jsonb) returns integer
language sql immutable set search_path = '' as $$
  select case when jsonb_typeof(p_value) = 'number' then least(2147483647, greatest(0, round((p_value #>> '{}')::numeric)))::integer end
$$;

-- Returns a check's result as columns of monitor_checks, plus `network`. Malformed values are left out, so that one of them does not prevent the
-- whole write.
create function punctual.read_check(p_result jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object('verdict', p_result->>'verdict', 'network', p_result->>'network', 'error', left(p_result->>'error', 300),
           'address', left(p_result->>'address', 60),
           'certificate_expires_at', case when p_result->>'certificate_expires_at' ~ '^[12][0-9]{3}-(0[1-9]|1[0-2])-([01][0-9]|2[0-8])T[0-9:.]{8,12}Z$'
                                            or p_result->>'certificate_expires_at' ~ '^[12][0-9]{3}-(0[13-9]|1[0-2])-(29|30)T[0-9:.]{8,12}Z$'
                                            or p_result->>'certificate_expires_at' ~ '^[12][0-9]{3}-(0[13578]|1[02])-31T[0-9:.]{8,12}Z$'
                                          then p_result->>'certificate_expires_at' end)
      || (select jsonb_object_agg(k, punctual.parse_whole_number(p_result->k))
            from unnest(array['status_code', 'redirects', 'dns_ms', 'connect_ms', 'tls_ms', 'first_byte_ms', 'total_ms']) k)
$$;

-- Whether at least 80 % of a region's latest checks found their site answering. Counts the last 5 minutes, and needs at least 5 checks.
create function punctual.sites_answer(p_region text, p_now timestamptz) returns boolean
language sql stable set search_path = '' as $$
  select count(*) >= 5 and count(*) filter (where c.verdict <> 'down') >= 0.8 * count(*)
    from (select x.verdict, x.region, x.at from punctual.monitor_checks x order by x.id desc limit 500) c
   where c.region = p_region and c.at > p_now - interval '5 minutes'
$$;

-- Returns the checks in outcomes: [columns of monitor_checks, network, claimed_at], by monitor; null if there are none. Only the outcome `again`
-- has a check.
create function punctual.read_checks(p_applied jsonb, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_checks jsonb;
begin
  select jsonb_agg(punctual.read_check(a.result) || jsonb_build_object('monitor_id', m.id, 'region', m.region,
           'at', greatest(a.claimed_at, p_now - coalesce(punctual.parse_whole_number(a.result->'took_ms'), 0) * interval '1 millisecond'),
           'scheduled_at', a.due, 'claimed_at', a.claimed_at,
           'counted', a.result->>'network' is distinct from 'broken' or a.result->>'verdict' <> 'down') order by m.id)
    into v_checks
    from jsonb_to_recordset(p_applied) a (id bigint, outcome text, result jsonb, claimed_at timestamptz, due timestamptz)
    join punctual.monitors m on m.id = a.id
   where a.outcome = 'again' and a.result->>'verdict' in ('up', 'degraded', 'down');
  if not v_checks @> '[{"network": "broken"}]' then return v_checks; end if;
  -- If nearly all sites answer, the canaries are down and not the network. Then the check counts, so that a dead site cannot hide behind them.
  return (
    select jsonb_agg(case when c->>'network' = 'broken' and w.works then c || '{"network": null, "counted": true}' else c end order by n)
      from jsonb_array_elements(v_checks) with ordinality e (c, n)
      join (select x.region, punctual.sites_answer(x.region, p_now) as works
              from (select distinct d->>'region' as region from jsonb_array_elements(v_checks) d) x) w on w.region = c->>'region');
end
$$;

-- Writes checks and hourly counts, and sets each monitor's next check time.
create function punctual.save_checks(p_checks jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  insert into punctual.monitor_checks (monitor_id, at, scheduled_at, region, verdict, counted, error, status_code, redirects, address, dns_ms,
                                       connect_ms, tls_ms, first_byte_ms, total_ms, certificate_expires_at)
  select c.monitor_id, c.at, c.scheduled_at, c.region, c.verdict, c.counted, c.error, c.status_code, c.redirects, c.address, c.dns_ms,
         c.connect_ms, c.tls_ms, c.first_byte_ms, c.total_ms, c.certificate_expires_at
    from jsonb_populate_recordset(null::punctual.monitor_checks, p_checks) c order by c.monitor_id;
  insert into punctual.monitor_hours as h (monitor_id, hour, up, degraded, down, total_ms)
  select c.monitor_id, date_trunc('hour', c.at, 'UTC'), count(*) filter (where c.verdict = 'up'), count(*) filter (where c.verdict = 'degraded'),
         count(*) filter (where c.verdict = 'down'), coalesce(sum(c.total_ms), 0)
    from jsonb_populate_recordset(null::punctual.monitor_checks, p_checks) c where c.counted group by 1, 2 order by 1, 2
  on conflict (monitor_id, hour) do update set
    up = h.up + excluded.up, degraded = h.degraded + excluded.degraded, down = h.down + excluded.down, total_ms = h.total_ms + excluded.total_ms;
  -- The settle has added the interval to the due time, but a first or a confirming check was not on the grid.
  update punctual.monitors m
     set last_scheduled_at = c.scheduled_at, last_checked_at = c.at,
         next_check_at = punctual.next_on_grid(m.id, m.interval_seconds, c.claimed_at),
         status = case when m.status = 'scheduled' and not m.is_active then 'inactive' else m.status end
    from jsonb_to_recordset(p_checks) c (monitor_id bigint, at timestamptz, scheduled_at timestamptz, claimed_at timestamptz)
   where m.id = c.monitor_id;
end
$$;

-- Marks the networks of regions as working or broken, by what canaries and sites answered. A network counts as broken for 60 s, then twice as
-- long each time, up to 30 minutes.
create function punctual.note_networks(p_checks jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  update punctual.regions r
     set network_failures = case when n.works then 0 else r.network_failures + 1 end,
         network_broken_until = case when n.works then null else p_now + make_interval(secs => least(1800, 60 * power(2, least(r.network_failures, 6)))) end
    from (select c.region, bool_or(c.network = 'ok') as answered, coalesce(bool_or(c.network = 'broken'), false) as broken,
                 coalesce(bool_or(c.network = 'ok'), false) or (bool_or(c.verdict <> 'down') and not coalesce(bool_or(c.network = 'broken'), false)) as works
            from jsonb_to_recordset(p_checks) c (region text, network text, verdict text) group by 1) n
   where r.name = n.region
     -- A canary that answers ends this at once, a site that answers only when the time is over.
     and case when n.works then r.network_failures > 0 and (n.answered or r.network_broken_until <= p_now)
              else n.broken and (r.network_broken_until is null or r.network_broken_until <= p_now) end;
end
$$;

-- The queue's after_settle: keeps the results of checks in the transaction that settles them, and updates their monitors' states. p_applied: see
-- add_queue's p_after_settle; lib/queues/monitors/queue.ts makes the results. The settle holds the monitors' locks. Also locks regions.
create function punctual.settle_checks(p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_checks jsonb;
  v_healthy text[];
  v_awake text[];
  v_default text;
  v_monitor record;
begin
  -- A dead monitor is not checked and has no state.
  update punctual.monitors m set state = null, state_since = null, suspect_since = null
    from jsonb_to_recordset(p_applied) a (id bigint, outcome text) where a.outcome = 'dead' and m.id = a.id;
  v_checks := punctual.read_checks(p_applied, p_now);
  if v_checks is null then return; end if;
  perform punctual.save_checks(v_checks);
  perform punctual.note_networks(v_checks, p_now);

  select coalesce(array_agg(s.name order by s.is_default desc, s.name) filter (where s.is_healthy), '{}'), max(s.name) filter (where s.is_default),
         coalesce(array_agg(s.name order by s.is_default desc, s.name) filter (where s.is_healthy and s.last_tick_at > p_now - interval '90 seconds'), '{}')
    into v_healthy, v_default, v_awake from punctual.region_states(p_now) s;
  for v_monitor in
    select m as monitor, c.counted
      from jsonb_to_recordset(v_checks) c (monitor_id bigint, verdict text, counted boolean)
      join punctual.monitors m on m.id = c.monitor_id
     where m.is_active and (c.verdict <> 'up' or m.state is distinct from 'up' or m.suspect_since is not null)
     order by m.id
  loop
    if v_monitor.counted then
      perform punctual.judge_monitor(v_monitor.monitor, v_healthy, v_awake, v_default, p_now);
    else
      -- The check says nothing about the site: another region checks it at once.
      update punctual.monitors m set region = punctual.choose_region(m.id, m.home_region, m.only_regions, v_healthy, v_default), next_check_at = p_now
       where m.id = (v_monitor.monitor).id
         and m.region <> punctual.choose_region(m.id, m.home_region, m.only_regions, v_healthy, v_default);
    end if;
  end loop;
end
$$;

select punctual.add_queue('monitors', 'punctual.monitors', 'next_check_at', 'at-least-once', p_status_column => 'status',
  p_words => '{"pending": "scheduled", "running": "checking", "cancelled": "inactive"}',
  p_partition_column => 'region',
  p_after_settle => 'punctual.settle_checks',
  p_before_claim => 'punctual.place_monitors',
  -- Headers may hold tokens.
  p_secret_columns => '{headers}',
  -- A check mostly waits for the network, so many run side by side. A check is due again within a minute after its tick died, however often that
  -- happens. Inactive monitors are kept.
  p_settings => '{"batch_limit": null, "concurrency": 100, "timeout_seconds": 13, "max_attempts": 1000000, "backoff_base_seconds": 5,
                  "backoff_cap_seconds": 60, "retention_days": null}');

create index monitors_away on punctual.monitors (home_region) where region <> home_region;
create index monitors_homeless on punctual.monitors (id) where home_region is null;

create trigger prepare_monitor before insert or update of
  url, method, headers, expected_status, keyword_present, keyword_absent, timeout_ms, max_redirects, interval_seconds, criticality, is_active,
  preferred_region, only_regions on punctual.monitors
  for each row execute function punctual.prepare_monitor();

-- Deactivates a monitor when an operator cancels its row.
create function punctual.deactivate_monitor() returns trigger
language plpgsql set search_path = '' as $$
begin
  update punctual.monitors m set is_active = false where m.id = new.id;
  return null;
end
$$;
create trigger deactivate_monitor after update of status on punctual.monitors
  for each row when (new.status = 'inactive' and new.is_active) execute function punctual.deactivate_monitor();

-- Adds the partition of a new region.
create function punctual.add_region_partition() returns trigger
language plpgsql set search_path = '' as $$
begin
  insert into punctual.partitions (queue, partition) values ('monitors', new.name) on conflict do nothing;
  return null;
end
$$;
create trigger add_region_partition after insert on punctual.regions for each row execute function punctual.add_region_partition();

insert into punctual.regions (name, is_default) values ('main', true), ('fra1', false), ('sin1', false);

-- Returns the uptime over the last 24 hours, 7 days and 30 days, in whole hours: the share of counted checks that were not down, from 0 to 1.
-- Null without checks.
create function punctual.uptime_of(p_monitor bigint, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
           'day', round(sum(h.good) filter (where h.hour >= v.day)::numeric / nullif(sum(h.checks) filter (where h.hour >= v.day), 0), 5),
           'week', round(sum(h.good) filter (where h.hour >= v.week)::numeric / nullif(sum(h.checks) filter (where h.hour >= v.week), 0), 5),
           'month', round(sum(h.good)::numeric / nullif(sum(h.checks), 0), 5))
    from (select date_trunc('hour', p_now - interval '24 hours', 'UTC') as day, date_trunc('hour', p_now - interval '7 days', 'UTC') as week,
                 date_trunc('hour', p_now - interval '30 days', 'UTC') as month) v
    left join lateral (select x.hour, x.up + x.degraded as good, x.up + x.degraded + x.down as checks
                         from punctual.monitor_hours x where x.monitor_id = p_monitor and x.hour >= v.month) h on true
$$;

-- Returns a check as the API shows it.
create function punctual.check_in_short(c punctual.monitor_checks) returns jsonb
language sql stable set search_path = '' as $$
  select to_jsonb(c) - array['id', 'monitor_id', 'certificate_expires_at']
$$;

-- Returns a monitor as lists show it.
create function punctual.monitor_in_short(m punctual.monitors, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', m.id::text, 'name', m.name, 'url', m.url, 'interval_seconds', m.interval_seconds, 'criticality', m.criticality,
           'is_active', m.is_active, 'status', m.status, 'region', m.region, 'home_region', m.home_region, 'preferred_region', m.preferred_region,
           'state', m.state, 'state_since', m.state_since, 'suspect', m.suspect_since is not null, 'last_checked_at', m.last_checked_at,
           'next_check_at', m.next_check_at, 'last', l.check, 'uptime', punctual.uptime_of(m.id, p_now))
    from (select) one
    left join lateral (select punctual.check_in_short(c) as check from punctual.monitor_checks c
                        where c.monitor_id = m.id order by c.id desc limit 1) l on true
$$;

-- Returns an incident as lists show it. seconds: how long it lasted, or has lasted so far.
create function punctual.incident_in_short(i punctual.incidents, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select to_jsonb(i) || jsonb_build_object('id', i.id::text, 'monitor_id', i.monitor_id::text,
           'seconds', greatest(0, round(extract(epoch from coalesce(i.ended_at, p_now) - i.started_at))))
$$;

-- Returns a monitor with its settings, its latest 20 checks and 10 incidents; null if no monitor has the id. Shows only the names of its headers.
create function punctual.read_monitor(p_id text, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' as $$
declare
  m punctual.monitors;
  v_now timestamptz := coalesce(p_now, clock_timestamp());
begin
  if not punctual.is_id(punctual.read_queue('monitors'), p_id) then return null; end if;
  select * into m from punctual.monitors x where x.id = p_id::bigint;
  if not found then return null; end if;
  return punctual.monitor_in_short(m, v_now) - 'suspect' - 'last'
    || to_jsonb(m) - array['priority', 'attempts', 'max_attempts', 'next_attempt_at', 'claim_id', 'lease_expires_at', 'timeout_seconds', 'last_error',
                           'finished_at', 'expires_at', 'idempotency_key', 'claimed_at', 'reconcile_at', 'reconcile', 'judged_from']
    || jsonb_build_object(
         'id', m.id::text,
         'headers', (select coalesce(jsonb_object_agg(k, '***'), '{}') from jsonb_object_keys(m.headers) k),
         'certificate_expires_at', (select c.certificate_expires_at from punctual.monitor_checks c where c.monitor_id = m.id order by c.id desc limit 1),
         'checks', (select coalesce(jsonb_agg(punctual.check_in_short(l.c) order by (l.c).id desc), '[]')
                      from (select x as c from punctual.monitor_checks x where x.monitor_id = m.id order by x.id desc limit 20) l),
         'incidents', (select coalesce(jsonb_agg(punctual.incident_in_short(l.i, v_now) - 'monitor_id' order by (l.i).id desc), '[]')
                         from (select x as i from punctual.incidents x where x.monitor_id = m.id order by x.id desc limit 10) l));
end
$$;

-- Checks monitors for faults that no single field shows. p_rows: monitors as they would be saved. Returns [{index, field, message}], or null if
-- there is no fault.
create function punctual.find_monitor_faults(p_rows jsonb) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_agg(jsonb_build_object('index', r.index, 'field', f.field, 'message', f.message) order by r.index, f.field)
    from jsonb_to_recordset(p_rows) r (index integer, preferred_region text, only_regions text[], timeout_ms integer,
           confirm_failures integer, confirm_checks integer)
   cross join punctual.queues q
   cross join (select string_agg(g.name, ', ' order by g.name) as names from punctual.regions g) known
   cross join lateral (
     select 'preferred_region' as field, format('there is no region "%s"; there is %s', r.preferred_region, known.names) as message
      where r.preferred_region is not null and not exists (select from punctual.regions g where g.name = r.preferred_region)
     union all
     select 'only_regions', format('there is no region "%s"; there is %s', o, known.names)
       from unnest(r.only_regions) o where not exists (select from punctual.regions g where g.name = o)
     union all
     select 'preferred_region', 'is none of only_regions'
      where r.preferred_region <> all (r.only_regions)
     union all
     select 'timeout_ms', format('is %s; the queue gives a check %s at most: timeout_seconds in punctual.queues, less 3 s', r.timeout_ms, (q.timeout_seconds - 3) * 1000)
      where r.timeout_ms > (q.timeout_seconds - 3) * 1000
     union all
     select 'confirm_failures', format('is %s, and more than confirm_checks, which is %s', coalesce(r.confirm_failures, 2), coalesce(r.confirm_checks, 3))
      where coalesce(r.confirm_failures, 2) > coalesce(r.confirm_checks, 3)) f
   where q.name = 'monitors'
$$;

-- Returns the monitors of p_rows with an idempotency key that a different monitor has, in the table or in p_rows: [{index, field, message}];
-- null if there are none.
create function punctual.find_monitor_key_conflicts(p_rows jsonb) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_agg(distinct jsonb_build_object('index', r.index, 'field', 'idempotency_key', 'message',
           'the key was used before, for a monitor that differs in name, url, method, headers or interval'))
    from jsonb_to_recordset(p_rows) r (index integer, name text, url text, method text, headers jsonb, interval_seconds integer, idempotency_key text)
    join (
      select m.idempotency_key, m.name, m.url, m.method, m.headers, m.interval_seconds
        from punctual.monitors m where m.idempotency_key in (select i->>'idempotency_key' from jsonb_array_elements(p_rows) i)
      union all
      select i.idempotency_key, i.name, i.url, coalesce(i.method, 'GET'), coalesce(i.headers, '{}'), coalesce(i.interval_seconds, 60)
        from jsonb_to_recordset(p_rows) i (name text, url text, method text, headers jsonb, interval_seconds integer, idempotency_key text)
    ) o on o.idempotency_key = r.idempotency_key
   where (o.name, o.url, o.method, o.headers, o.interval_seconds)
         is distinct from (r.name, r.url, coalesce(r.method, 'GET'), coalesce(r.headers, '{}'), coalesce(r.interval_seconds, 60))
$$;

-- Creates monitors, all or none. p_rows: objects with the columns that users set, and idempotency_key; already validated. If a monitor has the
-- key, returns that monitor.
--
-- Returns {rows: [{id, status, created}]} in the order of p_rows, or {errors: [{index, field, message}]} if nothing was created. Raises PT409
-- with these errors as its detail if a concurrent call used a key for a different monitor. Waits for calls with the same keys.
create function punctual.create_monitors(p_rows jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_rows jsonb;
  v_errors jsonb;
  v_response jsonb;
begin
  select jsonb_agg(r || jsonb_build_object('index', n - 1, 'id', nextval(pg_get_serial_sequence('punctual.monitors', 'id'))) order by n)
    into v_rows from jsonb_array_elements(p_rows) with ordinality e (r, n);
  v_errors := coalesce(punctual.find_monitor_faults(v_rows), '[]') || coalesce(punctual.find_monitor_key_conflicts(v_rows), '[]');
  if v_errors <> '[]' then return jsonb_build_object('errors', v_errors); end if;

  insert into punctual.monitors (id, name, url, method, headers, expected_status, keyword_present, keyword_absent, timeout_ms, max_redirects, degraded_ms,
    certificate_days, interval_seconds, criticality, is_active, preferred_region, only_regions, confirm_failures, confirm_checks, idempotency_key,
    next_check_at, created_at)
  select r.id, r.name, r.url, coalesce(r.method, 'GET'), coalesce(r.headers, '{}'), coalesce(r.expected_status, '200-299'), r.keyword_present,
         r.keyword_absent, coalesce(r.timeout_ms, 10000), coalesce(r.max_redirects, 5), r.degraded_ms,
         case when a.e ? 'certificate_days' then r.certificate_days else 14 end, coalesce(r.interval_seconds, 60), coalesce(r.criticality, 'normal'),
         coalesce(r.is_active, true), r.preferred_region, r.only_regions, coalesce(r.confirm_failures, 2), coalesce(r.confirm_checks, 3),
         r.idempotency_key, punctual.first_check_at(r.id, coalesce(r.interval_seconds, 60), v_now), v_now
    from jsonb_array_elements(v_rows) a (e)
   cross join lateral jsonb_to_record(a.e) r (index integer, id bigint, name text, url text, method text, headers jsonb, expected_status text,
     keyword_present text, keyword_absent text, timeout_ms integer, max_redirects integer, degraded_ms integer, certificate_days integer,
     interval_seconds integer, criticality text, is_active boolean, preferred_region text, only_regions text[], confirm_failures integer,
     confirm_checks integer, idempotency_key text)
   -- Inserts in the order of the keys, so that two calls with the same keys cannot deadlock.
   order by r.idempotency_key, r.index
  on conflict (idempotency_key) where idempotency_key is not null do nothing;

  -- A concurrent call may have inserted one of the keys since the first check. Then nothing of this call is kept.
  v_errors := punctual.find_monitor_key_conflicts(v_rows);
  if v_errors is not null then
    raise exception 'another call has just used the same idempotency_key for a different monitor' using errcode = 'PT409', detail = v_errors::text;
  end if;
  select jsonb_agg(jsonb_build_object('id', m.id::text, 'status', m.status, 'created', m.id = r.id) order by r.index) into v_response
    from jsonb_to_recordset(v_rows) r (index integer, id bigint, idempotency_key text)
    join punctual.monitors m on m.id = r.id or m.idempotency_key = r.idempotency_key;
  return jsonb_build_object('rows', coalesce(v_response, '[]'));
end
$$;

-- Returns the id as a number. Raises PT404 if no monitor has it.
create function punctual.find_monitor(p_id text) returns bigint
language plpgsql stable set search_path = '' as $$
begin
  if punctual.is_id(punctual.read_queue('monitors'), p_id) and exists (select from punctual.monitors m where m.id = p_id::bigint) then
    return p_id::bigint;
  end if;
  raise exception 'there is no monitor %', p_id using errcode = 'PT404';
end
$$;

-- Changes the fields that p_changes names, in the form of create_monitors. Returns the monitor, or {errors: [{field, message}]} if nothing was
-- changed. Raises PT404 if no monitor has the id. Waits for the monitor's lock.
create function punctual.update_monitor(p_id text, p_changes jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_before punctual.monitors;
  m punctual.monitors;
  v_errors jsonb;
begin
  select * into v_before from punctual.monitors x where x.id = punctual.find_monitor(p_id) for no key update;
  m := jsonb_populate_record(v_before, p_changes);
  v_errors := punctual.find_monitor_faults(jsonb_build_array(to_jsonb(m)));
  if v_errors is not null then
    return jsonb_build_object('errors', (select jsonb_agg(e - 'index') from jsonb_array_elements(v_errors) e));
  end if;
  update punctual.monitors t set
    name = m.name, url = m.url, method = m.method, headers = m.headers, expected_status = m.expected_status, keyword_present = m.keyword_present,
    keyword_absent = m.keyword_absent, timeout_ms = m.timeout_ms, max_redirects = m.max_redirects, degraded_ms = m.degraded_ms,
    certificate_days = m.certificate_days, interval_seconds = m.interval_seconds, criticality = m.criticality, is_active = m.is_active,
    preferred_region = m.preferred_region, only_regions = m.only_regions, confirm_failures = m.confirm_failures, confirm_checks = m.confirm_checks,
    -- A changed monitor is checked soon.
    next_check_at = case when (m.url, m.interval_seconds, m.is_active) is distinct from (v_before.url, v_before.interval_seconds, v_before.is_active)
                         then punctual.first_check_at(m.id, m.interval_seconds, v_now) else t.next_check_at end
   where t.id = m.id;
  return punctual.read_monitor(p_id, v_now);
end
$$;

-- Deletes a monitor with its checks and incidents. Returns {id}. Raises PT404 if no monitor has the id.
create function punctual.delete_monitor(p_id text) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
begin
  delete from punctual.monitors m where m.id = punctual.find_monitor(p_id);
  return jsonb_build_object('id', p_id);
end
$$;

-- Returns a page of monitors by id. p_state: up, degraded, down, new (not checked yet) or inactive; null: all.
create function punctual.list_monitors(p_state text default null, p_cursor jsonb default null, p_limit integer default 50, p_now timestamptz default null)
returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
begin
  return (
    select punctual.page_of(jsonb_agg(jsonb_build_object('item', punctual.monitor_in_short(k.m, v_now), 'key', jsonb_build_array((k.m).id)) order by (k.m).id), p_limit)
      from (select x as m from punctual.monitors x
             where x.id > coalesce((p_cursor->>0)::bigint, 0)
               and case when p_state is null then true when p_state = 'inactive' then not x.is_active
                        when p_state = 'new' then x.is_active and x.state is null else x.is_active and x.state = p_state end
             order by x.id limit p_limit + 1) k);
end
$$;

-- Returns a page of incidents, the newest first. p_open: true for open ones, false for closed ones, null for all.
create function punctual.list_incidents(
  p_open boolean default null, p_monitor text default null, p_cursor jsonb default null, p_limit integer default 50, p_now timestamptz default null)
returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' as $$
declare
  -- Written so that Postgres can use the index of open incidents, or that of a monitor's incidents.
  v_where text := case p_open when true then 'x.closed_at is null' when false then 'x.closed_at is not null' else 'true' end
    || coalesce(' and x.monitor_id = ' || p_monitor::bigint, '') || coalesce(' and x.id < ' || (p_cursor->>0)::bigint, '');
  v_listed punctual.incidents[];
begin
  execute format('select array_agg(k.x order by (k.x).id desc) from (select x from punctual.incidents x where %s order by x.id desc limit $1) k', v_where)
  into v_listed using p_limit + 1;
  return (select punctual.page_of(jsonb_agg(jsonb_build_object('key', jsonb_build_array(i.id), 'item',
                   punctual.incident_in_short(i, coalesce(p_now, clock_timestamp())) || jsonb_build_object('monitor', m.name, 'url', m.url))
                   order by i.id desc), p_limit)
            from unnest(v_listed) i join punctual.monitors m on m.id = i.monitor_id);
end
$$;

-- Returns the regions, the default one first. monitors: how many active monitors the region checks now. homes: of how many it is the home.
create function punctual.list_regions(p_now timestamptz default null) returns jsonb
language sql stable set search_path = '' set statement_timeout = '4s' as $$
  select coalesce(jsonb_agg(jsonb_build_object('name', s.name, 'is_default', s.is_default, 'is_healthy', s.is_healthy, 'reason', s.reason,
           'last_tick_at', s.last_tick_at, 'unseen_seconds', r.unseen_seconds, 'network_broken_until', r.network_broken_until,
           'monitors', coalesce(n.here, 0), 'homes', coalesce(h.homes, 0)) order by s.is_default desc, s.name), '[]')
    from punctual.region_states(coalesce(p_now, clock_timestamp())) s
    join punctual.regions r on r.name = s.name
    left join (select m.region, count(*) as here from punctual.monitors m where m.is_active group by 1) n on n.region = s.name
    left join (select m.home_region, count(*) as homes from punctual.monitors m where m.is_active group by 1) h on h.home_region = s.name
$$;

-- Adds or changes a region. p_region: {name, is_default, unseen_seconds}; absent fields stay as they are. Returns the region as list_regions does.
create function punctual.save_region(p_region jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_default boolean := coalesce((p_region->>'is_default')::boolean, false);
begin
  if v_default then
    update punctual.regions r set is_default = false where r.is_default and r.name <> p_region->>'name';
  end if;
  insert into punctual.regions as r (name, is_default, unseen_seconds)
  values (p_region->>'name', v_default, coalesce((p_region->>'unseen_seconds')::integer, 180))
  on conflict (name) do update set is_default = r.is_default or excluded.is_default,
    unseen_seconds = case when p_region ? 'unseen_seconds' then excluded.unseen_seconds else r.unseen_seconds end;
  return (select e from jsonb_array_elements(punctual.list_regions(p_now)) e where e->>'name' = p_region->>'name');
end
$$;

-- Removes a region, and moves its monitors to the default region or to another one of their only_regions. Returns {name, moved}. Raises PT404 for
-- an unknown region, and PT409 for the default region or for the only region that may check a monitor.
create function punctual.remove_region(p_name text) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_region punctual.regions;
  v_default text := (select r.name from punctual.regions r where r.is_default);
  v_only text;
  v_moved integer;
begin
  -- Locks in the order of ticks: the partition, the monitors by id, and the region once no monitor is in it.
  perform from punctual.partitions p where p.queue = 'monitors' and p.partition = p_name for update;
  select * into v_region from punctual.regions r where r.name = p_name;
  if not found then raise exception 'there is no region %', p_name using errcode = 'PT404'; end if;
  if v_region.is_default then
    raise exception '% is the default region', p_name using errcode = 'PT409', hint = 'Make another region the default first.';
  end if;
  select m.name into v_only from punctual.monitors m where m.only_regions <@ array[p_name] limit 1;
  if found then
    raise exception 'the monitor "%" may be checked from % only', v_only, p_name
      using errcode = 'PT409', hint = 'Change its only_regions, or delete it.';
  end if;
  perform from punctual.monitors m
    where p_name in (m.preferred_region, m.region, m.home_region) or p_name = any (m.only_regions) order by m.id for no key update;
  update punctual.monitors m set
    preferred_region = case when m.preferred_region = p_name then null else m.preferred_region end,
    only_regions = array_remove(m.only_regions, p_name),
    region = case when m.region = p_name then coalesce((array_remove(m.only_regions, p_name))[1], v_default) else m.region end
   where p_name in (m.preferred_region, m.region, m.home_region) or p_name = any (m.only_regions);
  get diagnostics v_moved = row_count;
  -- The update above leaves the home of monitors that were spread to this region. They are spread again.
  update punctual.monitors m set home_region = m.preferred_region where m.home_region = p_name;
  delete from punctual.partitions p where p.queue = 'monitors' and p.partition = p_name;
  delete from punctual.regions r where r.name = p_name;
  return jsonb_build_object('name', p_name, 'moved', v_moved);
end
$$;

-- Returns what the dashboard shows of monitors: counts, regions, 60 monitors at most with the worst first, 20 open and 10 closed incidents.
create function punctual.read_monitoring(p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
begin
  return jsonb_build_object(
    'now', v_now,
    'counts', (select jsonb_build_object(
        'up', count(*) filter (where m.is_active and m.state = 'up'), 'degraded', count(*) filter (where m.is_active and m.state = 'degraded'),
        'down', count(*) filter (where m.is_active and m.state = 'down'), 'new', count(*) filter (where m.is_active and m.state is null),
        'inactive', count(*) filter (where not m.is_active)) from punctual.monitors m),
    'regions', punctual.list_regions(v_now),
    'monitors', (select coalesce(jsonb_agg(punctual.monitor_in_short(l.m, v_now) order by l.n), '[]')
      from (select m, row_number() over (order by not m.is_active, array_position(array['down', 'degraded', 'new', 'up'], coalesce(m.state, 'new')),
                                                  m.suspect_since is null, m.priority, m.name, m.id) as n
              from punctual.monitors m
             where m.id in (select x.id from punctual.monitors x
                             order by not x.is_active, array_position(array['down', 'degraded', 'new', 'up'], coalesce(x.state, 'new')),
                                      x.suspect_since is null, x.priority, x.name, x.id limit 60)) l),
    'incidents', jsonb_build_object(
      'open', punctual.list_incidents(true, null, null, 20, v_now)->'items',
      'recent', (select coalesce(jsonb_agg(punctual.incident_in_short(i, v_now) || jsonb_build_object('monitor', m.name, 'url', m.url) order by i.closed_at desc), '[]')
                   from punctual.incidents i join punctual.monitors m on m.id = i.monitor_id
                  where i.id in (select x.id from punctual.incidents x where x.closed_at is not null order by x.closed_at desc limit 10))));
end
$$;

-- Daily figures of every queue, and settings of retention. The figures are rolled up from rows, checks and the ledger while these exist, and
-- outlive them.

-- Settings that an operator may change at any time, in one row. A null number of days keeps that kind forever. For settled rows see
-- queues.retention_days.
create table punctual.settings (
  only_row boolean primary key default true check (only_row),
  -- The zone of the figures' days. A change leaves figures that are already rolled up as they are.
  time_zone text not null default 'UTC' constraint settings_time_zone_exists check (punctual.is_time_zone(time_zone)),
  ticks_days integer default 7 check (ticks_days between 1 and 36500),
  idle_ticks_days integer default 2 check (idle_ticks_days between 1 and 36500),
  -- For queues that keep their rows forever. In other queues an event is deleted after queues.retention_days.
  history_days integer default 365 check (history_days between 1 and 36500),
  receipts_days integer default 30 check (receipts_days between 1 and 36500),
  -- Variables, last reply and timeline of an enrolment that has ended.
  enrolment_texts_days integer default 90 check (enrolment_texts_days between 1 and 36500),
  -- Idempotency keys of pruned rows, from the pruning on.
  idempotency_keys_days integer default 90 check (idempotency_keys_days between 1 and 36500),
  monitor_checks_days integer default 14 check (monitor_checks_days between 1 and 36500),
  -- The uptime over a month is computed from these hours.
  monitor_hours_days integer default 31 check (monitor_hours_days between 1 and 36500),
  incidents_days integer default 365 check (incidents_days between 1 and 36500),
  -- The daily figures.
  daily_days integer default 730 check (daily_days between 1 and 36500),
  -- The UTC day for which roll-up and retention are done, for a scheduler that calls one endpoint for all work.
  maintenance_done_on date,
  -- Inserts notify workers: see notify_worker. A worker on a direct connection sets it.
  notifies_workers boolean not null default false
);
insert into punctual.settings default values;

-- Rows of a queue by day and outcome. done, dead, unknown and cancelled rows count on the day on which they were settled. For the queue
-- `monitors` the outcomes are up, degraded and down, and a check counts on the day on which it began. One line covers all accounts (is_total).
-- A queue with accounts also has one line per account; a null account_id stands for rows without one. Both are stored, because percentiles
-- cannot be added up. There are no foreign keys to queues and accounts: the figures outlive them.
create table punctual.daily_outcomes (
  day date not null,
  queue text not null,
  outcome text not null check (outcome in ('done', 'dead', 'unknown', 'cancelled', 'up', 'degraded', 'down')),
  is_total boolean not null,
  account_id uuid check (account_id is null or not is_total),
  rows bigint not null,
  -- Time from due to settled, never below 0; for checks, their duration. Each percentile is the value of an actual row (percentile_disc).
  p50_seconds double precision,
  p95_seconds double precision,
  p99_seconds double precision,
  unique nulls not distinct (day, queue, is_total, outcome, account_id)
);

-- One monitor's checks on one day. Only checks that are `counted`.
create table punctual.daily_checks (
  day date not null,
  monitor_id bigint not null,
  checks integer not null,
  up integer not null,
  degraded integer not null,
  down integer not null,
  -- The share of checks that were not down, from 0 to 1.
  uptime double precision not null,
  p50_ms integer,
  p95_ms integer,
  p99_ms integer,
  primary key (day, monitor_id)
);

-- Progress of the roll-up, one row per queue. Roll-up and retention both lock the queue's row, so they never work on a queue at once.
create table punctual.rollups (
  queue text primary key references punctual.queues on delete cascade,
  -- All days before this one are completely rolled up. Null: none is.
  rolled_until date,
  -- In the current run: since when this queue waits for its turn, and its next day.
  wanted_at timestamptz,
  next_day date,
  -- When its last run ended, and the error of its last step.
  rolled_at timestamptz,
  problem text,
  -- Retention has deleted rows from before this instant.
  pruned_until timestamptz
);

-- Returns the first instant of a day. If the clocks go back to midnight, midnight occurs twice: this is the first one.
create function punctual.day_start(p_day date, p_zone text) returns timestamptz
language sql stable set search_path = '' as $$
  select case when ((v.at - interval '1 hour') at time zone p_zone)::date = p_day then v.at - interval '1 hour' else v.at end
    from (select p_day::timestamp at time zone p_zone as at) v
$$;

create function punctual.day_of(p_at timestamptz, p_zone text) returns date
language sql stable set search_path = '' as $$
  select (p_at at time zone p_zone)::date
$$;

-- Returns the first day that still has all its rows: retention has deleted none of them. Null: every day has.
create function punctual.first_whole_day(r punctual.rollups, p_zone text) returns date
language sql stable set search_path = '' as $$
  select d.day + case when punctual.day_start(d.day, p_zone) < r.pruned_until then 1 else 0 end
    from (select punctual.day_of(r.pruned_until, p_zone) as day) d
$$;

-- Returns when the first row of the queue was settled, from p_from to before p_to; null if none was. For monitors it returns p_from, or if
-- that is -infinity, the start of the first check.
create function punctual.next_settled_at(q punctual.queues, p_from timestamptz, p_to timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_word text;
  v_at timestamptz;
  v_first timestamptz;
begin
  if q.name = 'monitors' then
    -- There are many checks, kept for days only: stepping through each day costs less than searching for the next check.
    if p_from > '-infinity' then return p_from; end if;
    return (select min(c.at) from punctual.monitor_checks c where c.at < p_to);
  elsif q.source = 'pgmq' then
    return least(
      (select min(t.started_at) from punctual.ticks t where t.queue = q.name and t.started_at >= p_from and t.started_at < p_to and t.done > 0),
      (select min(s.set_aside_at) from punctual.set_aside_messages s where s.set_aside_at >= p_from and s.set_aside_at < p_to),
      (select min(s.cancelled_at) from punctual.set_aside_messages s where s.cancelled_at >= p_from and s.cancelled_at < p_to));
  end if;
  foreach v_word in array array[q.done_word, q.dead_word, q.unknown_word, q.cancelled_word] loop
    execute punctual.render_sql(q, 'select min(t.finished_at) from {table} t where t.{status} = %L and t.finished_at > ''-infinity'' '
                   'and t.finished_at >= $1 and t.finished_at < $2', v_word)
    into v_at using p_from, p_to;
    v_first := least(v_first, v_at);
  end loop;
  return v_first;
end
$$;

-- Replaces a queue's figures of one day. Returns the number of rows they count. The caller holds the lock of the queue's row in rollups.
create function punctual.roll_up_day(q punctual.queues, p_day date, p_zone text) returns bigint
language plpgsql set search_path = '' as $$
declare
  v_from timestamptz := punctual.day_start(p_day, p_zone);
  v_to timestamptz := punctual.day_start(p_day + 1, p_zone);
begin
  delete from punctual.daily_outcomes d where d.day = p_day and d.queue = q.name;
  if q.name = 'monitors' then
    delete from punctual.daily_checks d where d.day = p_day;
    insert into punctual.daily_outcomes (day, queue, outcome, is_total, rows, p50_seconds, p95_seconds, p99_seconds)
    select p_day, q.name, c.verdict, true, c.rows, c.p[1] / 1000.0, c.p[2] / 1000.0, c.p[3] / 1000.0
      from (select x.verdict, count(*) as rows, percentile_disc(array[0.5, 0.95, 0.99]) within group (order by x.total_ms) as p
              from punctual.monitor_checks x where x.at >= v_from and x.at < v_to and x.counted group by 1) c;
    insert into punctual.daily_checks (day, monitor_id, checks, up, degraded, down, uptime, p50_ms, p95_ms, p99_ms)
    select p_day, c.monitor_id, c.checks, c.up, c.degraded, c.down, (c.up + c.degraded)::double precision / c.checks, c.p[1], c.p[2], c.p[3]
      from (select x.monitor_id, count(*) as checks, count(*) filter (where x.verdict = 'up') as up,
                   count(*) filter (where x.verdict = 'degraded') as degraded, count(*) filter (where x.verdict = 'down') as down,
                   percentile_disc(array[0.5, 0.95, 0.99]) within group (order by x.total_ms) as p
              from punctual.monitor_checks x where x.at >= v_from and x.at < v_to and x.counted group by 1) c;
  elsif q.source = 'pgmq' then
    -- `done` is the ledger's count. An archive also holds messages that other consumers archived, and nothing if done messages are deleted.
    -- A tick counts on the day on which it began. Messages that were set aside are counted in their table. There are no percentiles, because
    -- no table records when a message fell due.
    insert into punctual.daily_outcomes (day, queue, outcome, is_total, rows)
    select p_day, q.name, c.outcome, true, c.rows
      from (select 'done' as outcome, coalesce(sum(t.done), 0) as rows
              from punctual.ticks t where t.queue = q.name and t.started_at >= v_from and t.started_at < v_to
            union all
            select 'dead', count(*) from punctual.set_aside_messages s
             where s.set_aside_at >= v_from and s.set_aside_at < v_to and s.cancelled_at is null
            union all
            select 'cancelled', count(*) from punctual.set_aside_messages s where s.cancelled_at >= v_from and s.cancelled_at < v_to) c
     where c.rows > 0;
  else
    -- Renders the states' words as literals: the partial index on settled rows has them as literals too.
    execute punctual.render_sql(q, $sql$
      insert into punctual.daily_outcomes (day, queue, outcome, is_total, account_id, rows, p50_seconds, p95_seconds, p99_seconds)
      select $1, {queue}, c.outcome, c.is_total, c.account_id, c.rows, c.p[1], c.p[2], c.p[3]
        from (select r.outcome, %s as is_total, r.account_id, count(*) as rows,
                     percentile_disc(array[0.5, 0.95, 0.99]) within group (order by r.seconds) as p
                from (select case t.{status}::text when {done} then 'done' when {dead} then 'dead' when {unknown} then 'unknown' else 'cancelled' end collate "C" as outcome,
                             case when isfinite(t.{due}) then greatest(0, date_part('epoch', t.finished_at - t.{due})) end as seconds, %s as account_id
                        from {table} t
                       where t.{status} in ({done}, {dead}, {unknown}, {cancelled}) and t.finished_at >= $2 and t.finished_at < $3) r
               group by %s) c
      $sql$,
      case when q.account_column is null then 'true' else 'grouping(r.account_id) = 1' end,
      case when q.account_column is null then 'null::uuid' else format('t.%I', q.account_column) end,
      case when q.account_column is null then 'r.outcome, r.account_id' else 'rollup (r.outcome, r.account_id) having grouping(r.outcome) = 0' end)
    using p_day, v_from, v_to;
  end if;
  return (select coalesce(sum(d.rows), 0) from punctual.daily_outcomes d where d.day = p_day and d.queue = q.name and d.is_total);
end
$$;

-- Rolls up the next day of one queue in the current run. A run takes every queue, the one with the oldest last run first. For each queue it
-- rolls up the last two complete days again, because rows may be resolved late. Then it rolls up missed days, and today so far.
-- r is the queue's row, locked by the caller. An error of one queue does not stop the others: it is kept in `problem`, and the next run tries
-- again. Returns {queue, day, rows, problem}.
create function punctual.roll_up_next(r punctual.rollups, p_zone text, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  q punctual.queues;
  v_today date := punctual.day_of(p_now, p_zone);
  v_day date := r.next_day;
  v_next date;
  v_rows bigint;
  v_problem text;
begin
  if v_day is null and r.rolled_until is not null then v_day := r.rolled_until - 2; end if;
  begin
    q := punctual.read_queue(r.queue);
    if v_day is null then
      -- The figures of a removed queue with this name stay.
      v_day := greatest(punctual.day_of(punctual.next_settled_at(q, '-infinity', p_now), p_zone),
                        (select max(d.day) from punctual.daily_outcomes d where d.queue = q.name));
    end if;
    v_day := least(greatest(v_day, punctual.first_whole_day(r, p_zone)), v_today);
    v_day := coalesce(v_day, v_today);
    v_rows := punctual.roll_up_day(q, v_day, p_zone);
    if v_day < v_today then
      v_next := v_day + 1;
      if v_next >= coalesce(r.rolled_until, v_next) then
        v_next := coalesce(punctual.day_of(punctual.next_settled_at(q, punctual.day_start(v_next, p_zone), punctual.day_start(v_today, p_zone)), p_zone),
                           v_today);
        delete from punctual.daily_outcomes d where d.queue = q.name and d.day > v_day and d.day < v_next;
      end if;
    end if;
  exception when query_canceled or others then
    v_problem := left(sqlerrm, 500);
    v_rows := null;
    v_next := null;
  end;
  update punctual.rollups x set
    rolled_until = case when v_problem is null then greatest(x.rolled_until, coalesce(v_next, v_today)) else x.rolled_until end,
    next_day = case when v_problem is null then v_next else x.next_day end,
    wanted_at = case when v_next is null then null else x.wanted_at end,
    rolled_at = case when v_next is null then p_now else x.rolled_at end,
    problem = v_problem
   where x.queue = r.queue;
  return jsonb_build_object('queue', r.queue, 'day', v_day, 'rows', v_rows, 'problem', v_problem);
end
$$;

-- Rolls up one given day for the queue that follows p_after by name, or for the first queue. Locks the queue's row in rollups. An error of one
-- queue does not stop the queues after it: it is returned as `problem`. If retention has deleted rows of the day, its figures stay: `rows` is
-- null, and `first_day` is the first day that can be rolled up. Raises PT409 if that is so for every queue, and 22023 if the day has not begun.
create function punctual.roll_up_requested(p_day date, p_after text, p_zone text, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  r punctual.rollups;
  v_first date;
  v_rows bigint;
begin
  if p_day > punctual.day_of(p_now, p_zone) then
    raise exception '% has not begun in %', p_day, p_zone using errcode = '22023';
  end if;
  if p_after is null then
    select min(coalesce(punctual.first_whole_day(x, p_zone), '-infinity')) into v_first from punctual.rollups x;
    if p_day < v_first then
      raise exception '% cannot be rolled up any more: retention has deleted rows of that day', p_day
        using errcode = 'PT409', detail = v_first::text,
              hint = format('Its figures stay as they are. The first day that can be rolled up is %s.', v_first);
    end if;
  end if;
  select x.* into r from punctual.rollups x where x.queue > coalesce(p_after, '') order by x.queue limit 1 for no key update;
  if not found then return jsonb_build_object('queue', null, 'day', p_day, 'rows', null); end if;
  v_first := punctual.first_whole_day(r, p_zone);
  if p_day < v_first then return jsonb_build_object('queue', r.queue, 'day', p_day, 'rows', null, 'first_day', v_first); end if;
  begin
    v_rows := punctual.roll_up_day(punctual.read_queue(r.queue), p_day, p_zone);
  exception when query_canceled or others then
    return jsonb_build_object('queue', r.queue, 'day', p_day, 'rows', null, 'problem', left(sqlerrm, 500));
  end;
  return jsonb_build_object('queue', r.queue, 'day', p_day, 'rows', v_rows);
end
$$;

-- Rolls up one day of one queue. Call it again while it returns `more`. Without p_day it starts a run or continues the current one: see
-- roll_up_next. With p_day it rolls up that day, one queue per call: pass the last response's `queue` as p_after; see roll_up_requested. Only one
-- call runs at a time, under an advisory lock. `busy`: another call runs, and this one did nothing.
-- Returns {queue, day, rows, more, busy, problem, first_day}.
create function punctual.roll_up(p_day date default null, p_after text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '20s' set jit = off set work_mem = '64MB' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_zone text := coalesce((select s.time_zone from punctual.settings s), 'UTC');
  v_step jsonb := '{"queue": null, "day": null, "rows": null, "problem": null, "first_day": null, "busy": false}';
  r punctual.rollups;
begin
  if not pg_try_advisory_xact_lock(hashtext('punctual.roll_up')) then return v_step || '{"busy": true, "more": true}'; end if;
  insert into punctual.rollups (queue) select q.name from punctual.queues q on conflict do nothing;
  if p_day is not null then
    v_step := v_step || punctual.roll_up_requested(p_day, p_after, v_zone, v_now);
    return v_step || jsonb_build_object('more', exists (select from punctual.rollups x where x.queue > v_step->>'queue'));
  end if;
  -- A run that began over 10 minutes ago starts again: the queues that it had finished are behind by now.
  if not exists (select from punctual.rollups x where x.wanted_at > v_now - interval '10 minutes') then
    update punctual.rollups x set wanted_at = v_now;
  end if;
  select x.* into r from punctual.rollups x where x.wanted_at is not null order by x.rolled_at nulls first, x.queue limit 1 for no key update;
  if found then v_step := v_step || punctual.roll_up_next(r, v_zone, v_now); end if;
  return v_step || jsonb_build_object('more', exists (select from punctual.rollups x where x.wanted_at is not null));
end
$$;

-- Returns the dashboard's figures of the last p_days days (1 to 90): {time_zone, rolled_until, rolled_at, problems, totals, days, monitors}.
-- lib/store/analytics.ts has the types. Each queue has its 8 accounts with the most rows; the others are summed up in one. `monitors` has the
-- 60 monitors with the highest share of down checks. Raises 22023 if p_days is out of range.
create function punctual.read_analytics(p_days integer default 14, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_zone text := coalesce((select s.time_zone from punctual.settings s), 'UTC');
  v_from date := punctual.day_of(coalesce(p_now, clock_timestamp()), v_zone) - p_days + 1;
  v_outcomes constant text[] := '{done,up,degraded,dead,down,unknown,cancelled}';
begin
  if p_days is null or p_days not between 1 and 90 then
    raise exception 'p_days must be between 1 and 90' using errcode = '22023';
  end if;
  return jsonb_build_object(
    'time_zone', v_zone,
    'rolled_until', (select min(r.rolled_until) from punctual.rollups r),
    'rolled_at', (select max(r.rolled_at) from punctual.rollups r),
    'problems', (select coalesce(jsonb_agg(jsonb_build_object('queue', r.queue, 'problem', r.problem) order by r.queue), '[]')
                   from punctual.rollups r where r.problem is not null),
    'totals', (
      select coalesce(jsonb_agg(to_jsonb(d) - 'is_total' - 'account_id' || jsonb_build_object('partial', coalesce(d.day >= r.rolled_until, false))
                                order by d.day desc, d.queue, array_position(v_outcomes, d.outcome)), '[]')
        from punctual.daily_outcomes d left join punctual.rollups r on r.queue = d.queue
       where d.is_total and d.day >= v_from),
    'days', (
      with d as materialized (
        select x.* from punctual.daily_outcomes x where not x.is_total and x.day >= v_from
      ),
      placed as materialized (
        select x.queue, x.account_id, row_number() over (partition by x.queue order by sum(x.rows) desc, x.account_id) as place from d x group by 1, 2
      ),
      shown as (
        select d.day, d.queue, d.outcome, p.place > 8 as others, least(p.place, 9) as place, case when p.place <= 8 then d.account_id end as account_id,
               sum(d.rows) as rows, max(d.p50_seconds) filter (where p.place <= 8) as p50_seconds,
               max(d.p95_seconds) filter (where p.place <= 8) as p95_seconds, max(d.p99_seconds) filter (where p.place <= 8) as p99_seconds
          from d join placed p on p.queue = d.queue and coalesce(p.account_id::text, '') = coalesce(d.account_id::text, '')
         group by 1, 2, 3, 4, 5, 6
      )
      select coalesce(jsonb_agg(to_jsonb(s) - 'place' || jsonb_build_object('account', a.name, 'partial', coalesce(s.day >= r.rolled_until, false))
                                order by s.day desc, s.queue, s.place, array_position(v_outcomes, s.outcome)), '[]')
        from shown s left join punctual.accounts a on a.id = s.account_id left join punctual.rollups r on r.queue = s.queue),
    'monitors', (
      with worst as materialized (
        select m.id, m.name, row_number() over (order by sum(d.down)::double precision / sum(d.checks) desc,
                                                         sum(d.degraded)::double precision / sum(d.checks) desc, m.name, m.id) as place
          from punctual.daily_checks d join punctual.monitors m on m.id = d.monitor_id
         where d.day >= v_from group by m.id order by place limit 60
      )
      select coalesce(jsonb_agg(to_jsonb(d) || jsonb_build_object('monitor_id', w.id::text, 'monitor', w.name,
                                  'partial', coalesce(d.day >= r.rolled_until, false)) order by w.place, d.day desc), '[]')
        from worst w join punctual.daily_checks d on d.monitor_id = w.id and d.day >= v_from
        left join punctual.rollups r on r.queue = 'monitors'));
end
$$;

-- Returns the instant before which retention may delete rows that are rolled up by day. Rows that are not rolled up yet stay up to seven days longer.
create function punctual.prune_before(p_before timestamptz, r punctual.rollups, p_zone text) returns timestamptz
language sql stable set search_path = '' as $$
  select case when p_before is not null
              then least(p_before, greatest(punctual.day_start(r.rolled_until, p_zone), p_before - interval '7 days')) end
$$;

-- Deletes up to p_limit rows of one of Punctual's own tables whose p_column is before p_before, the oldest first. Skips locked rows. p_where: a
-- further condition, as SQL on x. Returns how many; none if p_before is null.
create function punctual.delete_old(p_table text, p_column text, p_before timestamptz, p_limit integer, p_where text default 'true') returns integer
language plpgsql set search_path = '' as $$
declare
  v_count integer;
begin
  execute format('delete from punctual.%I t where t.ctid = any (array('
                 'select x.ctid from punctual.%I x where x.%I < $1 and %s order by x.%I limit $2 for update skip locked))',
                 p_table, p_table, p_column, p_where, p_column) using p_before, p_limit;
  get diagnostics v_count = row_count;
  return v_count;
end
$$;

-- Returns SQL of a condition on the row s: a person decided that it was sent, so it bears no provider's id, and another row to the same addressee
-- was uncertain and is not settled. Without s, the message of s would prove that other row. Each state is read by its own index.
create function punctual.still_needed(q punctual.queues) returns text
language sql stable set search_path = '' as $$
  select case when q.proof_column is null or q.pair_column is null then 'false' else punctual.render_sql(q, $sql$
    s.{status} = {done} and s.{proof} is null and exists (
      select from (select x.* from {table} x where x.{status} = {unknown}
                   union all select x.* from {table} x where x.{status} = {running}
                   union all select x.* from {table} x where x.{status} = {pending} and x.{account} = s.{account}) o
       where o.{account} = s.{account} and o.{addressee} = s.{addressee} and o.reconcile is not null)$sql$) end
$$;

-- Deletes a queue's settled rows that finished before p_before, up to p_limit of each state. Unknown rows stay, because they wait for a decision,
-- and so do rows that are still_needed. In pgmq, deletes messages that were set aside. Idempotency keys outlive their rows: see keeps_keys. Skips
-- locked rows. Returns the number of rows of each state; p_limit means that there may be more.
create function punctual.prune_rows(q punctual.queues, p_before timestamptz, p_limit integer, p_now timestamptz) returns integer[]
language plpgsql set search_path = '' as $$
declare
  v_word text;
  v_count integer;
  v_counts integer[] := '{}';
begin
  if q.source = 'pgmq' then return array[punctual.prune_messages(q, p_before, p_limit)]; end if;
  foreach v_word in array array[q.done_word, q.dead_word, q.cancelled_word] loop
    execute punctual.render_sql(q, $sql$
      with gone as (
        delete from {table} t where t.id = any (array(select s.id from {table} s where s.{status} = %L and s.finished_at < $1
          and not (%s)
          order by s.finished_at limit $2 for update skip locked))
        returning t.id, t.idempotency_key),
      spent as (
        insert into punctual.spent_keys (queue, key, row_id, status, spent_at)
        select {queue}, g.idempotency_key, g.id::text, $4, $3 from gone g where g.idempotency_key is not null and $5 on conflict do nothing)
      select count(*) from gone
      $sql$, v_word, punctual.still_needed(q))
    into v_count using p_before, p_limit, p_now, v_word, punctual.keeps_keys(q.name);
    v_counts := v_counts || v_count;
  end loop;
  return v_counts;
end
$$;

-- Deletes checks of monitors that began before p_before, up to p_limit. By id, which has an index and nearly the order of the instants. Skips locked
-- rows. Returns how many.
create function punctual.prune_checks(p_before timestamptz, p_limit integer) returns integer
language sql set search_path = '' as $$
  with gone as (
    delete from punctual.monitor_checks c where c.id = any (array(
      select o.id from (select x.id, x.at from punctual.monitor_checks x order by x.id limit p_limit for update skip locked) o where o.at < p_before))
    returning c.id)
  select count(*)::integer from gone
$$;

-- Deletes ticks of the queue that began before p_before, up to p_limit, the oldest first. Skips locked rows. last_done_at: the start of the latest
-- of them that had done rows.
create function punctual.prune_ticks(q punctual.queues, p_before timestamptz, p_limit integer, out count integer, out last_done_at timestamptz)
language sql set search_path = '' as $$
  with gone as (
    delete from punctual.ticks t where t.id = any (array(
      select x.id from punctual.ticks x
       where x.queue = q.name and x.started_at < p_before order by x.started_at limit p_limit for update skip locked))
    returning t.started_at, t.done)
  select count(*)::integer, max(g.started_at) filter (where g.done > 0) from gone g
$$;

-- Runs one bounded step of retention for a queue: deletes up to p_limit of its rows of each state, its checks, ticks and events of the history. r:
-- the queue's row of rollups, locked. Returns {queue, rows, checks, ticks, history, problem, more}. problem: why its rows cannot be deleted.
create function punctual.prune_queue(q punctual.queues, r punctual.rollups, s punctual.settings, p_limit integer, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_zone text := coalesce(s.time_zone, 'UTC');
  v_before timestamptz := punctual.prune_before(p_now - make_interval(days => q.retention_days), r, v_zone);
  v_rows integer[] := '{}';
  v_checks integer := 0;
  v_ticks record;
  v_idle integer;
  v_history integer;
  v_problem text;
begin
  if v_before is not null then
    begin
      v_rows := punctual.prune_rows(q, v_before, p_limit, p_now);
      if (select sum(c) from unnest(v_rows) c) > 0 then r.pruned_until := greatest(r.pruned_until, v_before); end if;
    exception when others then
      v_problem := sqlerrm;
    end;
  end if;
  if q.name = 'monitors' then
    v_before := punctual.prune_before(p_now - make_interval(days => s.monitor_checks_days), r, v_zone);
    v_checks := punctual.prune_checks(v_before, p_limit);
    if v_checks > 0 then r.pruned_until := greatest(r.pruned_until, v_before); end if;
  end if;

  v_before := p_now - make_interval(days => s.ticks_days);
  if q.source = 'pgmq' then v_before := punctual.prune_before(v_before, r, v_zone); end if;
  v_ticks := punctual.prune_ticks(q, v_before, p_limit);
  if q.source = 'pgmq' then r.pruned_until := greatest(r.pruned_until, v_ticks.last_done_at + interval '1 microsecond'); end if;
  update punctual.rollups x set pruned_until = r.pruned_until where x.queue = q.name and x.pruned_until is distinct from r.pruned_until;
  v_idle := punctual.delete_old('ticks', 'started_at', p_now - make_interval(days => s.idle_ticks_days), p_limit,
                                format('x.queue = %L and x.outcome in (''idle'', ''skipped'') and x.done = 0', q.name));
  v_history := punctual.delete_old('history', 'at', p_now - make_interval(days => coalesce(q.retention_days, s.history_days)), p_limit,
                                   format('x.queue = %L', q.name));
  return jsonb_build_object(
    'queue', q.name, 'rows', (select coalesce(sum(c), 0) from unnest(v_rows) c), 'checks', v_checks, 'ticks', v_ticks.count + v_idle, 'history', v_history,
    'problem', v_problem, 'more', p_limit = any (v_rows || array[v_checks, v_ticks.count, v_idle, v_history]));
end
$$;

-- Deletes WhatsApp's user ids not seen since p_before. Keeps those of people in a sequence and tests them again after the same number of days.
-- Returns how many it tested, up to p_limit.
create function punctual.prune_whatsapp_users(p_before timestamptz, p_limit integer, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_count integer;
begin
  with old as materialized (
    select u.user_id, u.number from punctual.whatsapp_users u where u.seen_at < p_before
     order by u.seen_at limit p_limit for update skip locked),
  kept as (
    update punctual.whatsapp_users u set seen_at = p_now from old o
     where u.user_id = o.user_id and exists (
       select from punctual.accounts a join punctual.enrolments e on e.account_id = a.id and (e.number = o.number or e.recipient = o.user_id)
        where a.provider = 'whatsapp_cloud')
    returning u.user_id),
  gone as (
    delete from punctual.whatsapp_users u using old o where u.user_id = o.user_id and u.user_id not in (select k.user_id from kept k))
  select count(*) into v_count from old;
  return v_count;
end
$$;

-- Deletes monitors' hours before p_before, up to p_limit. Reads them monitor by monitor through the key, because no index begins with the hour.
-- Returns how many.
create function punctual.prune_hours(p_before timestamptz, p_limit integer) returns integer
language sql set search_path = '' as $$
  with gone as (
    delete from punctual.monitor_hours t where t.ctid = any (array(
      select h.ctid from punctual.monitors m
       cross join lateral (select x.ctid from punctual.monitor_hours x
                            where x.monitor_id = m.id and x.hour < p_before limit p_limit for update skip locked) h limit p_limit))
    returning t.hour)
  select count(*)::integer from gone
$$;

-- Deletes daily figures of days before p_before, up to p_limit of each kind. Returns the numbers of both kinds: outcomes, checks.
create function punctual.prune_days(p_before date, p_limit integer) returns integer[]
language sql set search_path = '' as $$
  with outcomes as (
    delete from punctual.daily_outcomes t where t.ctid = any (array(
      select x.ctid from punctual.daily_outcomes x where x.day < p_before limit p_limit for update skip locked)) returning t.day),
  checks as (
    delete from punctual.daily_checks t where t.ctid = any (array(
      select x.ctid from punctual.daily_checks x where x.day < p_before limit p_limit for update skip locked)) returning t.day)
  select array[(select count(*) from outcomes), (select count(*) from checks)]::integer[]
$$;

-- Runs one bounded step of retention for data that belongs to no queue. Returns {receipts, enrolments, hours, incidents, days, more}.
create function punctual.prune_others(s punctual.settings, p_limit integer, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_receipts integer := punctual.delete_old('receipts', 'received_at', p_now - make_interval(days => s.receipts_days), p_limit);
  v_users integer := punctual.prune_whatsapp_users(p_now - make_interval(days => s.receipts_days), p_limit, p_now);
  v_keys integer := punctual.delete_old('spent_keys', 'spent_at', p_now - make_interval(days => s.idempotency_keys_days), p_limit);
  -- Each enrolment has a timeline of about 20 events.
  v_texts integer := punctual.prune_enrolment_texts(p_now - make_interval(days => s.enrolment_texts_days), (p_limit + 9) / 10, p_now);
  v_hours integer := punctual.prune_hours(p_now - make_interval(days => s.monitor_hours_days), p_limit);
  v_incidents integer := punctual.delete_old('incidents', 'closed_at', p_now - make_interval(days => s.incidents_days), p_limit);
  v_days integer[] := punctual.prune_days(punctual.day_of(p_now, coalesce(s.time_zone, 'UTC')) - s.daily_days, p_limit);
begin
  return jsonb_build_object(
    'receipts', v_receipts, 'enrolments', v_texts, 'hours', v_hours, 'incidents', v_incidents, 'days', v_days[1] + v_days[2],
    'more', p_limit = any (v_days || array[v_receipts, v_users, v_keys, v_hours, v_incidents]) or v_texts = (p_limit + 9) / 10);
end
$$;

-- Runs one bounded step of retention: deletes up to p_limit rows of each kind and queue, or fewer if the call uses up its time: see is_call_over.
-- Skips rows that ticks have locked, and a queue that is being rolled up. Rows, checks and pgmq's ticks wait for their roll-up: see prune_before. A
-- queue whose rows cannot be deleted does not block the others.
--
-- p_limit  1 to 10,000. Raises 22023.
--
-- Returns {rows, ticks, history, receipts, enrolments, checks, hours, incidents, days, problems: [{queue, problem}], more}. more: call it again.
create function punctual.prune(p_limit integer default 1000, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  s punctual.settings;
  q punctual.queues;
  r punctual.rollups;
  v_queues jsonb := '[]';
  v_over boolean := false;
  v_others jsonb;
begin
  if p_limit is null or p_limit not between 1 and 10000 then
    raise exception 'p_limit has to be between 1 and 10000' using errcode = '22023';
  end if;
  select * into s from punctual.settings;
  insert into punctual.rollups (queue)
  select x.name from punctual.queues x where not exists (select from punctual.rollups y where y.queue = x.name) on conflict do nothing;
  for q in select * from punctual.queues order by name loop
    -- Empties one queue, step by step, before the next one.
    v_over := punctual.is_call_over() and exists (
      select from jsonb_to_recordset(v_queues) l (rows integer, checks integer, ticks integer, history integer) where l.rows + l.checks + l.ticks + l.history > 0);
    exit when v_over;
    select * into r from punctual.rollups x where x.queue = q.name for no key update skip locked;
    v_queues := v_queues || case when found then punctual.prune_queue(q, r, s, p_limit, v_now) else '{"more": true}' end;
  end loop;
  -- If the time is used up, the next step deletes the rest.
  v_others := punctual.prune_others(s, case when v_over then 0 else p_limit end, v_now);
  return v_others || (
    select jsonb_build_object('rows', coalesce(sum(l.rows), 0), 'checks', coalesce(sum(l.checks), 0), 'ticks', coalesce(sum(l.ticks), 0),
             'history', coalesce(sum(l.history), 0), 'more', coalesce(bool_or(l.more), false) or (v_others->>'more')::boolean,
             'problems', coalesce(jsonb_agg(jsonb_build_object('queue', l.queue, 'problem', l.problem)) filter (where l.problem is not null), '[]'))
      from jsonb_to_recordset(v_queues) l (queue text, rows integer, checks integer, ticks integer, history integer, problem text, more boolean));
end
$$;

-- Returns whether the day's roll-up and retention are still to run. One cron entry that does everything runs them once each UTC day.
create function punctual.is_maintenance_due(p_now timestamptz default null) returns boolean
language sql stable set search_path = '' as $$
  select s.maintenance_done_on is distinct from (coalesce(p_now, clock_timestamp()) at time zone 'UTC')::date from punctual.settings s
$$;

-- Notes that the day's roll-up and retention have run.
create function punctual.note_maintenance(p_now timestamptz default null) returns void
language sql set search_path = '' as $$
  update punctual.settings set maintenance_done_on = (coalesce(p_now, clock_timestamp()) at time zone 'UTC')::date
$$;

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

-- Whether current_user may keep secrets in Supabase Vault.
create function punctual.has_vault() returns boolean
language sql stable set search_path = '' as $$
  select punctual.find_outside_function('{vault}', 'create_secret', '{new_secret,new_name,new_description}') is not null
     and exists (select from pg_catalog.pg_class c where c.relname = 'decrypted_secrets'
                  and c.relnamespace = (select n.oid from pg_catalog.pg_namespace n where n.nspname = 'vault')
                  and has_table_privilege(c.oid, 'select'))
$$;

-- Returns where a worker's token is kept: vault, table, or null if there is none.
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

-- Keeps a token in Vault if that is available, and only there: a token in our table moves to Vault.
create function punctual.save_token(p_name text, p_token text) returns void
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
      using p_token, 'punctual-' || p_name, format('The token of the worker %L', p_name);
  else
    execute 'select vault.update_secret($1, $2)' using v_secret, p_token;
  end if;
  delete from punctual.queue_worker_tokens t where t.name = p_name;
end
$$;

-- Returns the fault of a URL, or null. The text does not repeat the URL, because a password in it may be the fault.
--
-- Over plain http others could read the token. So http is only for calls that do not leave the machine or its own network: loopback and private
-- addresses, and names without a dot, for example localhost or a Docker service.
create function punctual.fault_of_url(p_url text) returns text
language plpgsql immutable set search_path = '' as $$
declare
  -- The part between // and the path, and the host in it.
  v_authority text := (regexp_match(p_url, '^https?://([^/?]+)', 'i'))[1];
  v_host text := lower((regexp_match(v_authority, '^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?$', 'i'))[1]);
begin
  if p_url is null or v_authority is null then return 'must begin with https://'; end if;
  if length(p_url) > 2000 then return 'is longer than 2000 characters'; end if;
  if p_url !~ '^[!-~]+$' or p_url ~ '[\\"<>^`{|}#]' then
    return 'has white space, a fragment, or characters that must be percent-encoded';
  end if;
  if v_authority ~ '@' then return 'has a user or a password in it: the call authenticates with the token alone'; end if;
  if v_host is null then return 'has no valid host'; end if;
  if p_url ~* '^http:' and v_host !~ '^(localhost|[a-z][a-z0-9_-]*|([a-z0-9-]+\.)*(localhost|host\.docker\.internal)|\[::1\]|\[f[cd][0-9a-f:]+\])$'
     and v_host !~ '^(127|10)(\.[0-9]{1,3}){3}$|^192\.168(\.[0-9]{1,3}){2}$|^172\.(1[6-9]|2[0-9]|3[01])(\.[0-9]{1,3}){2}$' then
    return 'must begin with https://: over plain http others could read the token';
  end if;
  return null;
end
$$;

-- Whether a field of a cron expression includes the value, as pg_cron (Vixie's cron) reads it: lists, ranges, steps.
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

-- Returns the latest instant of a five-field schedule from an hour before p_now up to p_now; null if there is none.
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
      -- If the day of the month and the day of the week are both given, one of them is enough.
      if (case when v_fields[3] like '*%' or v_fields[5] like '*%' then v_dates and v_weekdays else v_dates or v_weekdays end) then
        return v_at;
      end if;
    end if;
  end loop;
  return null;
end
$$;

-- Returns the headers that name a call's scheduler, slot and schedule.
--
-- The slot is the schedule's latest instant by the database's clock, up to an hour ago. pg_cron starts a job within about a second of its minute,
-- and runs one job once at a time. So the slot is right if the run starts before the schedule's next instant. A later run, because the last one
-- still ran or no place was free (cron.max_running_jobs), names that next instant. Then that slot has two deliveries, and the first slot has none.
-- A call by hand names the slot before it too. A schedule of seconds has no grid, so its calls have neither a slot nor a schedule header.
create function punctual.slot_headers(p_schedule text, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_headers jsonb := '{"x-punctual-scheduler": "pg-cron"}';
  -- pg_cron's time zone: a setting since 1.5, GMT before.
  v_zone text := coalesce(nullif(current_setting('cron.timezone', true), ''), 'GMT');
  v_slot timestamptz;
begin
  if p_schedule like '% seconds' then return v_headers; end if;
  v_slot := punctual.find_cron_slot(p_schedule, p_now, v_zone);
  if v_slot is not null then
    v_headers := v_headers || jsonb_build_object('x-punctual-slot', to_char(v_slot at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
  end if;
  -- The app reads this header as UTC.
  if v_zone in ('GMT', 'UTC', 'Etc/UTC', 'Etc/GMT') then
    v_headers := v_headers || jsonb_build_object('x-punctual-schedule', replace(p_schedule, '$', 'L'));
  end if;
  return v_headers;
end
$$;

-- Calls a worker's URL with its token. Every worker's job runs this; you can also call it by hand, to try it. Owner only.
--
-- Over pg_net the request goes out after the transaction. pg_cron reports such a run as a success in any case; list_queue_workers() shows the
-- response. Over pgsql-http the call waits for the response, and any status other than 2xx fails the run.
--
-- Returns {name, via: 'pg_net', request} or {name, via: 'http', status}. Raises PT404 if the worker or its token is missing, 0A000 without either
-- extension, and 08004 if the response is not 2xx.
create function punctual.call_queue_worker(p_name text, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
  -- Ends before the next minute: older versions of pg_net send new requests only once all earlier ones have a response, and pg_cron starts no
  -- second run. A longer tick continues; only its response is not seen.
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
    raise exception 'the token of the worker "%" is missing', w.name using errcode = 'PT404',
      hint = format('Set it again: select punctual.create_queue_worker(%L, %L, ''…'', %L);', w.name, w.url, w.schedule);
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
    -- list_queue_workers finds the status by these words.
    raise exception 'the endpoint of the worker "%" answered %', w.name, coalesce(v_status::text, 'nothing') using errcode = '08004',
      hint = case v_status when 401 then 'The token is not the one that the endpoint expects.' end;
  end if;
  update punctual.queue_workers x set answered_status = v_status, answered_at = clock_timestamp() where x.name = w.name;
  return jsonb_build_object('name', w.name, 'via', v_by.via, 'status', v_status);
end
$$;

-- Raises PT404, with the names of the workers as its hint.
create function punctual.raise_no_worker(p_name text) returns void
language plpgsql stable set search_path = '' as $$
begin
  raise exception 'there is no worker "%"', p_name using errcode = 'PT404',
    hint = coalesce((select 'There are: ' || string_agg(w.name, ', ' order by w.name) || '.' from punctual.queue_workers w), 'There are no workers.');
end
$$;

-- Deletes pg_cron's records of our jobs' runs after two days; pg_cron itself never does. Finds them by their command, so those of removed jobs too.
-- Keeps the runs of other jobs. Returns how many it deleted.
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
       -- A run that the end of the server cut off has no time. Run ids are in the order of time.
       and coalesce(o.at < $1, o.runid < (select max(x.runid) from ours x where x.at < $1))
  $sql$ using v_before;
  get diagnostics v_deleted = row_count;
  return v_deleted;
end
$$;

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

-- Removes a worker: its job, its token and its row, and with the last worker the clean-up job. Owner only. Raises PT404 if there is no such worker,
-- and PT409 if another role owns it.
create function punctual.drop_queue_worker(p_name text) returns jsonb
language plpgsql set search_path = '' as $$
declare
  w punctual.queue_workers;
begin
  perform pg_advisory_xact_lock(hashtext('punctual.queue_workers'));
  select * into w from punctual.queue_workers x where x.name = p_name;
  if not found then perform punctual.raise_no_worker(p_name); end if;
  if w.owner <> current_user then
    raise exception 'drop_queue_worker: the worker "%" belongs to the role %', p_name, w.owner
      using errcode = 'PT409', hint = format('Run set role %I; first.', w.owner);
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

-- Returns every worker and its state: [{name, url, schedule, owner, active, via, token, last_run: {at, status, message}, last_answer: {at, status,
-- error}}]. Owner only. `token` says where the token is kept. `active` is null if the job is missing, or belongs to another role.
--
-- last_run is pg_cron's record that the call was made. last_answer is the endpoint's response: 401 means that the token is wrong. pg_net keeps
-- responses for six hours. If a response took longer than 55 s, pg_net has an error for it, although the tick continued.
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

-- Returns the last run of a pg_cron job: {at, status, message}; null if there is none.
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

-- Returns the endpoint's last response over pgsql-http, for which the run waits: {at, status, error}.
create function punctual.answer_of_run(w punctual.queue_workers, p_run jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select case
    when p_run->>'message' ~ 'the endpoint of the worker "[a-z0-9_-]+" answered [0-9]{3}' then
      jsonb_build_object('at', p_run->'at', 'status', (substring(p_run->>'message' from 'answered ([0-9]{3})'))::integer, 'error', null)
    when w.answered_status is not null then
      jsonb_build_object('at', w.answered_at, 'status', w.answered_status, 'error', null)
    end
$$;

-- Returns the latest response that pg_net keeps for one of these requests: {at, status, error}; null if there is none.
create function punctual.read_net_answer(p_request_ids bigint[]) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_answer jsonb;
begin
  -- This check needs no privilege.
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

-- Makes pg_cron the scheduler of everything: creates a worker for each queue, every minute, and for the other paths of vercel.json. Owner only.
-- A second call gives all of them the new address and token (a null token keeps theirs), and creates workers for new queues. Schedules that were
-- changed with create_queue_worker stay.
--
-- Leaves out the regions of monitors, except main, which /api/cron/monitors ticks. It cannot know whether another region has an endpoint below
-- p_base_url. A region on Vercel has one, in a route file pinned to it. A region with an agent elsewhere has none, and its monitors must not be
-- checked from the wrong place. Call create_queue_worker for each region on Vercel. A region without a scheduler loses no check: its monitors
-- move to the default region after unseen_seconds.
--
-- Returns {workers, regions_left_out}. Raises 22023 for an invalid p_base_url, and the errors of create_queue_worker.
create function punctual.punctual_install_schedules(p_base_url text, p_token text) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_base text := rtrim(p_base_url, '/');
  v_fault text := punctual.fault_of_url(v_base);
  v_entry record;
  v_workers jsonb := '[]';
begin
  v_fault := case when v_base ~ '\?' then 'has a query' else v_fault end;
  if v_fault is not null then
    raise exception 'punctual_install_schedules: p_base_url %', v_fault
      using errcode = '22023', hint = 'Pass the address of the app, for example ''https://your.app''. The paths of its endpoints are added.';
  end if;
  for v_entry in
    select 'punctual-' || x.path as name, x.schedule, '/api/cron/' || x.path as path
      from (select replace(q.name, '_', '-') as path, '* * * * *' as schedule from punctual.queues q
            union values ('reconcile', '*/5 * * * *'), ('analytics', '23 2 * * *'), ('prune', '17 3 * * *')) x
     order by 1
  loop
    v_workers := v_workers || jsonb_build_array(punctual.save_queue_worker(v_entry.name, v_base || v_entry.path, p_token,
      coalesce((select w.schedule from punctual.queue_workers w where w.name = v_entry.name), v_entry.schedule)));
  end loop;
  perform punctual.warn_of_plain_tokens(v_workers);
  return jsonb_build_object('workers', v_workers, 'regions_left_out',
    (select coalesce(jsonb_agg(r.name order by r.name), '[]') from punctual.regions r where r.name <> 'main'));
end
$$;

-- Removes every worker, also those that were created one by one, so that pg_cron calls no endpoint any more. Owner only. Returns {removed: [name]}.
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

-- The queue `enrolments`. A row is one person in one sequence, through one account. When an enrolment is due, the transaction that settles it
-- also inserts its step's message into dm_queue. Then the enrolment waits. When the message is settled, dm_queue's after_settle moves the
-- enrolment on.
--
-- Locks: a settle of messages holds the message and waits for its enrolment. A transaction that holds an enrolment never waits for a message.
-- It withdraws a pending message that nobody has locked. A running message is decided at its own settle, and a locked one at a later tick
-- (held_rows).

create table punctual.sequences (
  id bigint generated by default as identity primary key,
  name text not null unique check (name <> ''),
  channel text not null check (channel in ('linkedin', 'whatsapp')),
  -- The zone of the steps' hours, for people without a zone of their own. Null: the account's.
  time_zone text constraint sequences_time_zone_exists check (time_zone is null or punctual.is_time_zone(time_zone)),
  version integer not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

-- The versions of each sequence's steps. An enrolment keeps the version that it began with. A step is {kind, delay_seconds, hours, body,
-- template, on_reply, reminder: {after_seconds, body, template}, no_reply: {after_seconds, action}}. lib/queues/sequences/sequence-steps.ts has
-- the values of each field.
create table punctual.sequence_versions (
  sequence_id bigint not null references punctual.sequences on delete cascade,
  version integer not null,
  steps jsonb not null constraint sequence_versions_has_steps check (jsonb_typeof(steps) = 'array' and jsonb_array_length(steps) > 0),
  created_at timestamptz not null,
  primary key (sequence_id, version)
);

create table punctual.enrolments (
  id bigint generated by default as identity primary key,
  sequence_id bigint not null,
  version integer not null,
  -- Null once the account is deleted. The enrolment then fails, and its error says so.
  account_id uuid references punctual.accounts on delete set null,
  channel text not null check (channel in ('linkedin', 'whatsapp')),
  chat_id text,
  recipient text,
  -- Matches replies over WhatsApp.
  number text generated always as (case when channel = 'whatsapp' then punctual.digits_of(recipient) end) stored,
  -- Identifies the person within the sequence.
  person text generated always as (coalesce(case when channel = 'whatsapp' then punctual.digits_of(recipient) end, recipient, chat_id)) stored,
  variables jsonb not null default '{}',
  time_zone text not null constraint enrolments_time_zone_exists check (punctual.is_time_zone(time_zone)),
  phase text not null default 'in_progress' check (phase in ('in_progress', 'waiting_reply', 'replied', 'completed', 'stopped', 'failed')),
  -- The next step, or the step that waits for an answer. The first step is 1.
  step integer not null default 1,
  -- At next_step_at: send the step, send its reminder (remind), move to the next step without an answer (advance), or stop without one.
  action text not null default 'send' check (action in ('send', 'remind', 'advance', 'stop')),
  next_step_at timestamptz,
  -- next_step_at after a resume.
  resume_at timestamptz,
  waits_for text,
  -- The row of dm_queue that is queued or running.
  message_id bigint,
  -- For the step that was sent last: when its message was first claimed, and when it was sent.
  claimed_step_at timestamptz,
  sent_at timestamptz,
  reminded_at timestamptz,
  sent_steps integer not null default 0,
  reminded_steps integer[] not null default '{}',
  replied_steps integer[] not null default '{}',
  replied_at timestamptz,
  last_reply text,
  -- When a reply came that may answer the current message, before it was known whether that was sent.
  early_reply_at timestamptz,
  paused_at timestamptz,
  enrolled_at timestamptz not null,
  -- When its variables and its timeline were deleted: by retention after its end, or because the person is forgotten.
  texts_gone_at timestamptz,
  foreign key (sequence_id, version) references punctual.sequence_versions (sequence_id, version)
);

-- The timeline of each enrolment, in the order in which events became known.
create table punctual.enrolment_events (
  id bigint generated by default as identity primary key,
  enrolment_id bigint not null references punctual.enrolments on delete cascade,
  at timestamptz not null,
  event text not null check (event in ('enrolled', 'queued', 'sent', 'reminder_queued', 'reminded', 'replied', 'paused', 'resumed', 'unknown',
                                       'withdrawn', 'failed', 'stopped', 'completed')),
  step integer,
  message_id bigint,
  text text
);
create index enrolment_events_of on punctual.enrolment_events (enrolment_id, id);

alter table punctual.dm_queue add column enrolment_id bigint references punctual.enrolments on delete set null,
  add column step integer, add column is_reminder boolean not null default false;
create index dm_queue_enrolment on punctual.dm_queue (enrolment_id) where enrolment_id is not null;
-- A step never has two messages that may still be sent. The same holds for its reminder.
create unique index dm_queue_step on punctual.dm_queue (enrolment_id, step, is_reminder)
  where enrolment_id is not null and status in ('pending', 'sending', 'unknown');
create index dm_queue_closes on punctual.dm_queue (open_until) where status = 'pending' and open_until is not null;

-- Returns a text with its {{placeholders}} replaced, or null if a variable is missing. Braces inside a variable's value are not replaced.
create function punctual.fill_in(p_text text, p_variables jsonb) returns text
language plpgsql immutable set search_path = '' as $$
declare
  v_filled text;
begin
  if position('{{' in p_text) = 0 then return p_text; end if;
  select case when count(*) filter (where n.name is not null and p_variables->>n.name[1] is null) = 0
              then string_agg(l.text || coalesce(p_variables->>n.name[1], ''), '' order by l.place) end
    into v_filled
    from regexp_split_to_table(p_text, '\{\{ *[a-z][a-z0-9_]* *\}\}') with ordinality l (text, place)
    left join regexp_matches(p_text, '\{\{ *([a-z][a-z0-9_]*) *\}\}', 'g') with ordinality n (name, place) on n.place = l.place;
  return v_filled;
end
$$;

-- Returns a template with its parameters filled in, or null if there is no template.
create function punctual.fill_in_template(p_template jsonb, p_variables jsonb) returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
  if p_template is null or jsonb_typeof(p_template) = 'null' then return null; end if;
  return p_template || jsonb_build_object('parameters', (
    select coalesce(jsonb_agg(punctual.fill_in(p, p_variables) order by n), '[]')
      from jsonb_array_elements_text(p_template->'parameters') with ordinality e (p, n)));
end
$$;

-- Returns the names of the placeholders in a step or in an array of steps, sorted.
create function punctual.list_placeholders(p_steps jsonb) returns text[]
language plpgsql immutable set search_path = '' as $$
begin
  return (
    select coalesce(array_agg(distinct m[1] order by m[1]), '{}')
      from jsonb_array_elements(case jsonb_typeof(p_steps) when 'array' then p_steps else jsonb_build_array(p_steps) end) s
     cross join lateral (
       select s->>'body' as text union all select s->'reminder'->>'body'
        union all select p from jsonb_array_elements_text(case when jsonb_typeof(s->'template') = 'object' then s->'template'->'parameters' else '[]' end) p
        union all select p from jsonb_array_elements_text(
          case when jsonb_typeof(s->'reminder'->'template') = 'object' then s->'reminder'->'template'->'parameters' else '[]' end) p) t
     cross join lateral regexp_matches(t.text, '\{\{ *([a-z][a-z0-9_]*) *\}\}', 'g') m);
end
$$;

-- Returns the first instant from p_at on that is within a step's hours; null hours are always open. 'infinity' if there is no such instant, or
-- if the zone is unknown.
create function punctual.step_opens_at(p_hours jsonb, p_zone text, p_at timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  if p_hours is null or jsonb_typeof(p_hours) = 'null' then return p_at; end if;
  return punctual.next_open_at(p_hours, p_zone, p_at);
exception when invalid_parameter_value then
  -- A zone that this Postgres does not know, or not any more.
  return 'infinity';
end
$$;

-- Returns the end of the span of hours that contains p_at, p_at itself if none does, or null if the step has no hours.
create function punctual.step_closes_at(p_hours jsonb, p_zone text, p_at timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_at timestamptz := p_at;
  v_local timestamp;
  v_end timestamp;
  v_closes timestamptz;
begin
  if p_hours is null or jsonb_typeof(p_hours) = 'null' then return null; end if;
  -- If the clocks change before the end, the search continues from the change. See next_open_at.
  for v_changes in 0..3 loop
    v_local := v_at at time zone p_zone;
    select min(v_local::date + right(s, 5)::time) into v_end from jsonb_array_elements_text(punctual.spans_on(p_hours, v_local::date)) s
     where v_local::date + left(s, 5)::time <= v_local and v_local::date + right(s, 5)::time > v_local;
    exit when v_end is null;
    v_closes := ((v_at at time zone 'UTC') + (v_end - v_local)) at time zone 'UTC';
    if v_closes at time zone p_zone = v_end then return v_closes; end if;
    v_at := punctual.clock_change(p_zone, v_at, v_closes);
  end loop;
  return v_at;
end
$$;

create function punctual.read_step(p_sequence_id bigint, p_version integer, p_step integer) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (select v.steps->(p_step - 1) from punctual.sequence_versions v where v.sequence_id = p_sequence_id and v.version = p_version);
end
$$;

create function punctual.is_over(e punctual.enrolments) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  return e.phase not in ('in_progress', 'waiting_reply');
end
$$;

-- Raises PT409 if the enrolment's texts were deleted.
create function punctual.refuse_forgotten(e punctual.enrolments) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if e.texts_gone_at is null then return; end if;
  raise exception 'the data of this person was deleted on %: enrol the person again', e.texts_gone_at::date
    using errcode = 'PT409', detail = e.phase;
end
$$;

-- Whether the person was enrolled in the same sequence again. Then an ended enrolment stays ended.
create function punctual.is_superseded(e punctual.enrolments) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  return exists (select from punctual.enrolments x where x.sequence_id = e.sequence_id and x.person = e.person and x.id > e.id);
end
$$;

-- Whether a reply made at p_at may answer a message claimed at p_claimed_at. Allows 5 s, because p_at is by the person's clock.
create function punctual.is_answer(p_at timestamptz, p_claimed_at timestamptz) returns boolean
language sql immutable set search_path = '' as $$
  select coalesce(p_at + interval '5 seconds' >= p_claimed_at, false)
$$;

create function punctual.note_enrolment(
  p_enrolment_id bigint, p_at timestamptz, p_event text, p_step integer, p_message_id bigint, p_text text default null) returns void
language plpgsql set search_path = '' as $$
begin
  insert into punctual.enrolment_events (enrolment_id, at, event, step, message_id, text)
  values (p_enrolment_id, p_at, p_event, p_step, p_message_id, left(p_text, 2000));
end
$$;

-- Writes an enrolment that the caller changed under its lock. Voids a tick's claim on it, because that attempt decides by the old state.
create function punctual.save_enrolment(e punctual.enrolments) returns void
language plpgsql set search_path = '' as $$
declare
  v_settles text := current_setting('punctual.settles', true);
begin
  perform set_config('punctual.settles', 'enrolments', true);
  update punctual.enrolments t set
    phase = e.phase, step = e.step, action = e.action, next_step_at = e.next_step_at, resume_at = e.resume_at, waits_for = e.waits_for,
    message_id = e.message_id, claimed_step_at = e.claimed_step_at, sent_at = e.sent_at, reminded_at = e.reminded_at, sent_steps = e.sent_steps,
    reminded_steps = e.reminded_steps, replied_steps = e.replied_steps, replied_at = e.replied_at, last_reply = e.last_reply,
    early_reply_at = e.early_reply_at, paused_at = e.paused_at, chat_id = e.chat_id, last_error = e.last_error, finished_at = e.finished_at,
    status = case when e.phase in ('replied', 'completed') then 'done' when e.phase = 'failed' then 'dead' when e.phase <> 'stopped' then 'pending'
                  -- The tick that stops an enrolment without an answer settles it as done.
                  when t.status = 'done' then t.status else 'cancelled' end,
    claim_id = null, lease_expires_at = null, next_attempt_at = null, attempts = 0
   where t.id = e.id;
  perform set_config('punctual.settles', coalesce(v_settles, ''), true);
end
$$;

-- Cancels a pending message. Returns whether it did. Never waits: if the message is locked, notes it in held_rows, and the next tick's
-- reopen_messages withdraws it.
create function punctual.withdraw_message(p_message_id bigint, p_reason text, p_now timestamptz) returns boolean
language plpgsql set search_path = '' as $$
declare
  q punctual.queues;
  v_row jsonb;
  v_settles text := current_setting('punctual.settles', true);
begin
  if p_message_id is null then return false; end if;
  select to_jsonb(d.*) into v_row from punctual.dm_queue d where d.id = p_message_id and d.status = 'pending' for no key update skip locked;
  if v_row is null then
    -- The transaction that holds the lock may leave the message pending: a claim may take other rows, or be rolled back.
    insert into punctual.held_rows (queue, row_id)
    select 'dm_queue', d.id::text from punctual.dm_queue d where d.id = p_message_id and d.status = 'pending' on conflict do nothing;
    return false;
  end if;
  perform set_config('punctual.settles', 'dm_queue', true);
  update punctual.dm_queue d set status = 'cancelled', finished_at = p_now, last_error = p_reason, lease_expires_at = null where d.id = p_message_id;
  perform set_config('punctual.settles', coalesce(v_settles, ''), true);
  insert into punctual.history (queue, row_id, at, event, text) values ('dm_queue', p_message_id::text, p_now, 'decided', p_reason);
  -- A message that waited for a retry held its account. If the account is locked, the hold ends by itself.
  if v_row->>'claimed_at' is not null then
    perform from punctual.pace p where p.queue = 'dm_queue' and p.account_id = (v_row->>'account_id')::uuid for no key update skip locked;
    if found then
      q := punctual.read_queue('dm_queue');
      perform punctual.end_hold(q, v_row, p_now);
    end if;
  end if;
  return true;
end
$$;

-- Sets the next action and its time. A null p_at waits for an answer. A paused enrolment keeps the time in resume_at.
create function punctual.plan_next(inout e punctual.enrolments, p_action text, p_at timestamptz)
language plpgsql stable set search_path = '' as $$
begin
  e.action := p_action;
  e.message_id := null;
  if e.paused_at is not null then
    e.resume_at := p_at;
    e.next_step_at := null;
    e.waits_for := 'somebody to resume it';
  else
    e.next_step_at := p_at;
    e.waits_for := case when p_at is null then 'an answer' end;
  end if;
end
$$;

-- Ends the enrolment and withdraws its queued message. A running message is settled by its tick.
create function punctual.end_enrolment(inout e punctual.enrolments, p_phase text, p_text text, p_now timestamptz)
language plpgsql set search_path = '' as $$
begin
  e.phase := p_phase;
  e.next_step_at := null;
  e.resume_at := null;
  e.waits_for := null;
  e.finished_at := p_now;
  e.last_error := case when p_phase in ('failed', 'stopped') then left(p_text, 2000) end;
  if punctual.withdraw_message(e.message_id, format('its enrolment %s is over: %s', e.id, p_phase), p_now) then
    perform punctual.note_enrolment(e.id, p_now, 'withdrawn', e.step, e.message_id);
  end if;
  -- apply_reply has already noted a reply.
  if p_phase <> 'replied' then perform punctual.note_enrolment(e.id, p_now, p_phase, e.step, null, p_text); end if;
  if p_phase = 'failed' then
    insert into punctual.history (queue, row_id, at, event, text) values ('enrolments', e.id::text, p_now, 'dead', left(p_text, 2000));
  end if;
end
$$;

-- Moves the enrolment to its next step, or completes it. The step is due its delay after the last step was sent, and not before p_not_before.
create function punctual.advance_enrolment(inout e punctual.enrolments, p_not_before timestamptz, p_now timestamptz)
language plpgsql set search_path = '' as $$
declare
  v_next jsonb := punctual.read_step(e.sequence_id, e.version, e.step + 1);
begin
  if v_next is null then
    e := punctual.end_enrolment(e, 'completed', null, p_now);
    return;
  end if;
  e.step := e.step + 1;
  e.phase := 'in_progress';
  e := punctual.plan_next(e, 'send', punctual.step_opens_at(v_next->'hours', e.time_zone,
    greatest(e.sent_at + make_interval(secs => (v_next->>'delay_seconds')::double precision), p_not_before)));
end
$$;

-- Plans what follows a question without an answer: its reminder, or, once that was sent, its no_reply action.
create function punctual.wait_for_answer(inout e punctual.enrolments, p_step jsonb)
language plpgsql stable set search_path = '' as $$
declare
  v_until timestamptz := e.sent_at + make_interval(secs => (p_step->'no_reply'->>'after_seconds')::double precision);
  v_remind_at timestamptz := case when e.reminded_at is null and jsonb_typeof(p_step->'reminder') = 'object' then
    punctual.step_opens_at(p_step->'hours', e.time_zone,
      e.sent_at + make_interval(secs => (p_step->'reminder'->>'after_seconds')::double precision)) end;
  v_next jsonb;
begin
  e.phase := 'waiting_reply';
  -- Sends no reminder if the step's hours open only after the wait is over.
  if v_remind_at < coalesce(v_until, 'infinity') or (v_remind_at = 'infinity' and v_until is null) then
    e := punctual.plan_next(e, 'remind', v_remind_at);
  elsif v_until is null then
    e := punctual.plan_next(e, 'advance', null);
  elsif p_step->'no_reply'->>'action' = 'stop' then
    e := punctual.plan_next(e, 'stop', v_until);
  else
    v_next := punctual.read_step(e.sequence_id, e.version, e.step + 1);
    e := punctual.plan_next(e, 'advance', case when v_next is null then v_until else punctual.step_opens_at(v_next->'hours', e.time_zone,
      greatest(v_until, e.sent_at + make_interval(secs => (v_next->>'delay_seconds')::double precision))) end);
  end if;
end
$$;

-- Notes that the step was sent as p_message, and plans what follows.
create function punctual.note_sent(inout e punctual.enrolments, p_message punctual.dm_queue, p_now timestamptz)
language plpgsql set search_path = '' as $$
declare
  v_step jsonb := punctual.read_step(e.sequence_id, e.version, e.step);
  -- An answer is made after the message was claimed, even if we receive it before the message's outcome.
  v_answered boolean := punctual.is_answer(e.early_reply_at, punctual.first_claim(p_message));
begin
  e.claimed_step_at := punctual.first_claim(p_message);
  e.sent_at := p_message.sent_at;
  e.reminded_at := null;
  e.early_reply_at := null;
  e.message_id := null;
  if v_answered and v_step->>'on_reply' = 'stop' then
    e.replied_steps := e.replied_steps || e.step;
    e := punctual.end_enrolment(e, 'replied', null, p_now);
  elsif v_answered or v_step->>'kind' = 'message' then
    if v_answered then e.replied_steps := e.replied_steps || e.step; end if;
    e := punctual.advance_enrolment(e, case when v_answered then p_now end, p_now);
  else
    e := punctual.wait_for_answer(e, v_step);
  end if;
end
$$;

-- dm_queue's after_settle: applies the outcomes of messages to their enrolments. Locks the enrolments by id.
create function punctual.follow_messages(p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_applied record;
  v_message punctual.dm_queue;
  e punctual.enrolments;
begin
  for v_applied in
    select d.id, d.enrolment_id, a.outcome, a.error
      from jsonb_to_recordset(p_applied) a (id bigint, outcome text, error text)
      join punctual.dm_queue d on d.id = a.id and d.enrolment_id is not null
     order by d.enrolment_id, d.id
  loop
    select * into e from punctual.enrolments x where x.id = v_applied.enrolment_id for no key update;
    select * into v_message from punctual.dm_queue d where d.id = v_applied.id;
    e := punctual.follow_message(e, v_message, v_applied.outcome, v_applied.error, p_now);
    perform punctual.save_enrolment(e);
  end loop;
end
$$;

-- Returns when a message was claimed for its first attempt that may have sent it.
create function punctual.first_claim(p_message punctual.dm_queue) returns timestamptz
language sql immutable set search_path = '' as $$
  select coalesce((p_message.reconcile->>'first_at')::timestamptz, p_message.claimed_at)
$$;

-- Sets the enrolment back to before p_message was sent. Withdraws the message that was queued after it.
create function punctual.set_enrolment_back(inout e punctual.enrolments, p_message punctual.dm_queue, p_now timestamptz)
language plpgsql set search_path = '' as $$
begin
  if e.message_id <> p_message.id
     and punctual.withdraw_message(e.message_id, format('step %s before it is not known to have arrived', p_message.step), p_now) then
    perform punctual.note_enrolment(e.id, p_now, 'withdrawn', e.step, e.message_id);
  end if;
  e.step := p_message.step;
  e.action := case when p_message.is_reminder then 'remind' else 'send' end;
  if not p_message.is_reminder then e.sent_steps := p_message.step - 1; end if;
  e.message_id := p_message.id;
end
$$;

-- Whether the enrolment is past p_message, so that its outcome no longer sets the enrolment back.
create function punctual.is_past(e punctual.enrolments, p_message punctual.dm_queue) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  -- A later message, or another one of the same step, was sent or may have been.
  return exists (
    select from punctual.dm_queue d where d.enrolment_id = e.id and d.id <> p_message.id and d.status in ('sending', 'sent', 'unknown')
       and (d.step, d.is_reminder) >= (p_message.step, p_message.is_reminder))
  -- The reminder's question was answered, or its wait is over.
    or (p_message.is_reminder and (e.phase, e.step) is distinct from ('waiting_reply', p_message.step));
end
$$;

-- Applies `done`: notes that the message was sent, and plans what follows its step.
create function punctual.follow_sent(inout e punctual.enrolments, p_message punctual.dm_queue, p_now timestamptz)
language plpgsql set search_path = '' as $$
declare
  v_knew_chat boolean := e.chat_id is not null;
begin
  e.chat_id := coalesce(e.chat_id, p_message.chat_id);
  perform punctual.note_enrolment(e.id, p_message.sent_at, case when p_message.is_reminder then 'reminded' else 'sent' end, p_message.step, p_message.id);
  if p_message.is_reminder then
    e.reminded_steps := array_append(array_remove(e.reminded_steps, p_message.step), p_message.step);
  else
    e.sent_steps := greatest(e.sent_steps, p_message.step);
  end if;
  -- Late proof that the message was sent: the failed enrolment continues.
  if e.phase = 'failed' and e.texts_gone_at is null and p_message.step = e.step and p_message.is_reminder = (e.action = 'remind') and not punctual.is_superseded(e) then
    e.phase := case when p_message.is_reminder then 'waiting_reply' else 'in_progress' end;
    e.last_error := null;
    e.finished_at := null;
  end if;
  if not punctual.is_over(e) and p_message.step = e.step then
    if e.message_id <> p_message.id
       and punctual.withdraw_message(e.message_id, format('message %s of the same step was sent after all', p_message.id), p_now) then
      perform punctual.note_enrolment(e.id, p_now, 'withdrawn', e.step, e.message_id);
    end if;
    if not p_message.is_reminder and e.phase = 'in_progress' then
      e := punctual.note_sent(e, p_message, p_now);
    elsif p_message.is_reminder and e.phase = 'waiting_reply' and e.action = 'remind' then
      e.reminded_at := p_message.sent_at;
      e := punctual.wait_for_answer(e, punctual.read_step(e.sequence_id, e.version, e.step));
    end if;
  end if;
  -- Replies may have come from this chat before it was known to be this person's.
  if not v_knew_chat and e.chat_id is not null then
    e := punctual.apply_waiting_replies(e, p_now);
    perform punctual.apply_chat_replies(e, p_now);
  end if;
end
$$;

-- Applies `dead`: the message will not be sent, or did not arrive. Its enrolment fails, unless it is past the step.
create function punctual.follow_failed(inout e punctual.enrolments, p_message punctual.dm_queue, p_error text, p_now timestamptz)
language plpgsql set search_path = '' as $$
begin
  -- A provider may report hours later that a sent message did not arrive, also that of the last step.
  if not punctual.is_past(e, p_message) and p_message.step <= e.step
     and (not punctual.is_over(e) or (e.phase = 'completed' and e.replied_at is null and not punctual.is_superseded(e))) then
    e := punctual.set_enrolment_back(e, p_message, p_now);
    e := punctual.end_enrolment(e, 'failed', format('the %s of step %s was not sent: %s',
      case when p_message.is_reminder then 'reminder' else 'message' end, p_message.step, p_error), p_now);
  else
    perform punctual.note_enrolment(e.id, p_now, 'failed', p_message.step, p_message.id, p_error);
  end if;
end
$$;

-- Applies `unknown`: the message may have been sent. Its enrolment waits until the message is resolved.
create function punctual.follow_unknown(inout e punctual.enrolments, p_message punctual.dm_queue, p_error text, p_now timestamptz)
language plpgsql set search_path = '' as $$
begin
  perform punctual.note_enrolment(e.id, p_now, 'unknown', p_message.step, p_message.id, p_error);
  if punctual.is_over(e) then return; end if;
  if e.message_id is distinct from p_message.id and p_message.step <= e.step and not punctual.is_past(e, p_message) then
    -- Until now the message counted as sent.
    e := punctual.set_enrolment_back(e, p_message, p_now);
    e.phase := case when p_message.is_reminder then 'waiting_reply' else 'in_progress' end;
    e.next_step_at := null;
    e.resume_at := null;
  end if;
  if e.message_id = p_message.id then
    e.waits_for := format('its message %s, which may have been sent', p_message.id);
  end if;
end
$$;

-- Applies a return to `pending`. Withdraws the message if the enrolment ended, was paused or moved on while the message was running.
create function punctual.follow_unsent(inout e punctual.enrolments, p_message punctual.dm_queue, p_now timestamptz)
language plpgsql set search_path = '' as $$
begin
  if (punctual.is_over(e) or e.paused_at is not null or e.message_id is distinct from p_message.id)
     and punctual.withdraw_message(p_message.id, format('enrolment %s does not want it any more', e.id), p_now) then
    perform punctual.note_enrolment(e.id, p_now, 'withdrawn', p_message.step, p_message.id);
    if not punctual.is_over(e) and e.message_id = p_message.id then
      e := punctual.plan_next(e, e.action, p_message.send_at);
    end if;
  elsif e.message_id = p_message.id then
    e.waits_for := format('its message %s', p_message.id);
  end if;
end
$$;

-- Applies the outcome of a message to its enrolment. p_message is the row after the outcome. The caller holds the enrolment's lock, and saves it.
create function punctual.follow_message(
  inout e punctual.enrolments, p_message punctual.dm_queue, p_outcome text, p_error text, p_now timestamptz)
language plpgsql set search_path = '' as $$
begin
  if p_outcome = 'done' then
    e := punctual.follow_sent(e, p_message, p_now);
  elsif p_outcome = 'dead' then
    e := punctual.follow_failed(e, p_message, p_error, p_now);
  elsif p_outcome = 'cancelled' then
    if not punctual.is_over(e) and e.message_id = p_message.id then
      e.message_id := null;
      e := punctual.end_enrolment(e, 'stopped', 'its message was cancelled', p_now);
    end if;
  elsif p_outcome = 'unknown' then
    e := punctual.follow_unknown(e, p_message, p_error, p_now);
  elsif p_message.status = 'pending' then
    e := punctual.follow_unsent(e, p_message, p_now);
  end if;
end
$$;

-- Treats a message that somebody deletes by hand as cancelled: no settle reports its end. Locks the enrolment.
create function punctual.follow_deleted_message() returns trigger
language plpgsql set search_path = '' as $$
declare
  e punctual.enrolments;
begin
  select * into e from punctual.enrolments x where x.id = old.enrolment_id for no key update;
  if found then
    e := punctual.follow_message(e, old, 'cancelled', null, clock_timestamp());
    perform punctual.save_enrolment(e);
  end if;
  return null;
end
$$;
create trigger dm_queue_deleted after delete on punctual.dm_queue for each row
  when (old.enrolment_id is not null and old.status in ('pending', 'sending', 'unknown') and current_setting('punctual.settles', true) is distinct from 'dm_queue')
  execute function punctual.follow_deleted_message();

-- Withdraws the queued message of an enrolment that somebody deletes by hand.
create function punctual.withdraw_of_deleted_enrolment() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform punctual.withdraw_message(old.message_id, format('its enrolment %s was deleted', old.id), clock_timestamp());
  return null;
end
$$;

-- The queue's `facts`: decides the outcome of each due enrolment, which the handler then returns. Returns {id: {outcome, error}}.
-- again: its message is to be queued. done: nothing is left to do. dead: its message cannot be written, and `error` says why.
create function punctual.judge_enrolments(p_ids text[], p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select jsonb_object_agg(j.id::text, jsonb_build_object('outcome', case when j.error is not null then 'dead' when j.is_end then 'done' else 'again' end,
                                                           'error', j.error))
      from (select e.id, e.action = 'stop' or (e.action = 'advance' and s.step is null) as is_end,
                   case when e.account_id is null then 'its account is gone: enrol the person through another one'
                        when e.action = 'stop' or (e.action = 'advance' and s.step is null) then null
                        when s.step is null then format('its sequence has no step %s', s.number)
                        when m.missing is not null then format('step %s needs {{%s}}, which this person lacks', s.number, m.missing) end as error
              from punctual.enrolments e
              join punctual.sequence_versions v on v.sequence_id = e.sequence_id and v.version = e.version
             cross join lateral (select e.step + (e.action = 'advance')::integer as number,
                                        v.steps->(e.step + (e.action = 'advance')::integer - 1) as step) s
              left join lateral (select string_agg(p, '}}, {{') as missing from unnest(punctual.list_placeholders(s.step)) p
                                  where e.variables->>p is null) m on s.step is not null
             where e.id = any (array(select unnest(p_ids)::bigint))) j);
end
$$;

-- Applies replies to enrolments with the outcome `again` before their next message is queued. Such a reply came just when the chat became known,
-- and matched no enrolment then. Returns the ids of the enrolments that had one: the next tick decides them again.
create function punctual.apply_early_replies(p_applied jsonb, p_now timestamptz) returns bigint[]
language plpgsql set search_path = '' as $$
declare
  e punctual.enrolments;
  v_before punctual.enrolments;
  v_ids bigint[] := '{}';
begin
  for e in
    select x.* from jsonb_to_recordset(p_applied) a (id bigint, outcome text)
      join punctual.enrolments x on x.id = a.id and x.chat_id is not null
      join punctual.accounts c on c.id = x.account_id
     where a.outcome = 'again' and exists (
       select from punctual.receipts r where r.provider_account_id = c.provider_account_id and r.chat_id = x.chat_id and r.provider = c.provider
          and r.kind = 'message' and r.status = 'received' and punctual.reply_made_at(r) >= x.enrolled_at
          and not exists (select from punctual.enrolment_events n
                           where n.enrolment_id = x.id and n.event = 'replied' and n.at = punctual.reply_made_at(r)))
     order by x.id
  loop
    v_before := e;
    e := punctual.apply_waiting_replies(e, p_now);
    if (e.phase, e.step, e.action) is not distinct from (v_before.phase, v_before.step, v_before.action) then e.next_step_at := p_now; end if;
    perform punctual.save_enrolment(e);
    v_ids := v_ids || e.id;
  end loop;
  return v_ids;
end
$$;

-- Queues the message of each enrolment with the outcome `again`, except those in p_replied. If the step's hours are closed, puts the enrolment off
-- until they open.
create function punctual.queue_messages(p_applied jsonb, p_replied bigint[], p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  with due as materialized (
    select e.id, e.account_id, e.channel, e.chat_id, e.recipient, e.priority, e.variables, e.time_zone, a.due, e.action,
           e.action = 'remind' as is_reminder, s.number, v.steps->(s.number - 1) as step
      from jsonb_to_recordset(p_applied) a (id bigint, outcome text, due timestamptz)
      join punctual.enrolments e on e.id = a.id
      join punctual.sequence_versions v on v.sequence_id = e.sequence_id and v.version = e.version
     cross join lateral (select e.step + (e.action = 'advance')::integer as number) s
     -- If the account was deleted since the claim, the next tick decides the enrolment again.
     where a.outcome = 'again' and a.id <> all (p_replied) and e.account_id is not null),
  -- Computes each pair of hours and zone once: most rows share theirs, and one computation may take milliseconds.
  spans as materialized (
    select h.hours, h.time_zone, o.opens_at,
           case when o.opens_at <= p_now then punctual.step_closes_at(h.hours, h.time_zone, p_now) end as closes_at
      from (select distinct coalesce(d.step->'hours', 'null') as hours, d.time_zone from due d) h
     cross join lateral (select punctual.step_opens_at(h.hours, h.time_zone, p_now) as opens_at) o),
  -- If the tick is late, the hours may have closed.
  judged as materialized (
    select d.*, case when d.is_reminder then d.step->'reminder' else d.step end as message, s.opens_at, s.closes_at
      from due d join spans s on s.hours = coalesce(d.step->'hours', 'null') and s.time_zone = d.time_zone),
  queued as (
    insert into punctual.dm_queue (account_id, channel, chat_id, recipient, body, template, send_at, open_until, priority, enrolment_id, step,
                                   is_reminder, created_at)
    select j.account_id, j.channel, j.chat_id, j.recipient, punctual.fill_in(j.message->>'body', j.variables),
           punctual.fill_in_template(j.message->'template', j.variables), j.due, j.closes_at,
           j.priority, j.id, j.number, j.is_reminder, p_now
      from judged j where j.opens_at <= p_now order by j.due, j.id
    returning id, enrolment_id, step, is_reminder, body),
  noted as (
    insert into punctual.enrolment_events (enrolment_id, at, event, step, message_id, text)
    select q.enrolment_id, p_now, case when q.is_reminder then 'reminder_queued' else 'queued' end, q.step, q.id, left(q.body, 2000)
      from queued q order by q.id)
  update punctual.enrolments t set
    step = case when q.id is null then t.step else j.number end,
    action = case when q.id is null or j.is_reminder then t.action else 'send' end,
    phase = case when q.id is null or j.is_reminder then t.phase else 'in_progress' end,
    message_id = q.id,
    next_step_at = case when q.id is null then j.opens_at end,
    waits_for = 'its message ' || q.id
    from judged j left join queued q on q.enrolment_id = j.id
   where t.id = j.id;
end
$$;

-- Ends enrolments with the outcome `done` or `dead`.
create function punctual.note_ends(p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  with ended as (
    update punctual.enrolments t set
      phase = case when a.outcome = 'dead' then 'failed' when t.action = 'stop' then 'stopped' else 'completed' end,
      next_step_at = null, resume_at = null, waits_for = null,
      last_error = case when a.outcome = 'dead' then a.error when t.action = 'stop' then 'no answer' end
      from jsonb_to_recordset(p_applied) a (id bigint, outcome text, error text)
     where t.id = a.id and a.outcome in ('done', 'dead')
    returning t.id, t.phase, t.step, t.last_error)
  insert into punctual.enrolment_events (enrolment_id, at, event, step, text)
  select n.id, p_now, n.phase, n.step, left(n.last_error, 2000) from ended n order by n.id;
  -- Withdraws the message of an enrolment that somebody ended by plain SQL.
  perform punctual.withdraw_message(t.message_id, format('its enrolment %s is over: %s', t.id, t.phase), p_now)
     from jsonb_to_recordset(p_applied) a (id bigint, outcome text) join punctual.enrolments t on t.id = a.id
    where a.outcome in ('done', 'dead') and t.message_id is not null;
end
$$;

-- The queue's after_settle. Queues messages in the transaction that settles their enrolments, so that neither is kept without the other.
-- The settle holds the enrolments' locks.
create function punctual.settle_enrolments(p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_cancelled punctual.enrolments;
begin
  perform punctual.queue_messages(p_applied, punctual.apply_early_replies(p_applied, p_now), p_now);
  perform punctual.note_ends(p_applied, p_now);
  -- An operator cancelled these.
  for v_cancelled in
    select t.* from jsonb_to_recordset(p_applied) a (id bigint, outcome text)
      join punctual.enrolments t on t.id = a.id where a.outcome = 'cancelled' and not punctual.is_over(t) order by t.id
  loop
    v_cancelled := punctual.end_enrolment(v_cancelled, 'stopped', 'an operator cancelled it', p_now);
    perform punctual.save_enrolment(v_cancelled);
  end loop;
end
$$;

select punctual.add_queue('enrolments', 'punctual.enrolments', 'next_step_at', 'at-least-once',
  p_after_settle => 'punctual.settle_enrolments',
  p_facts => 'punctual.judge_enrolments',
  p_waits_column => 'waits_for',
  -- Rows are kept forever: they prevent a second enrolment in the same sequence, and its funnel counts them.
  p_settings => '{"batch_limit": null, "concurrency": 500, "timeout_seconds": 5, "retention_days": null}');

create trigger enrolments_deleted after delete on punctual.enrolments for each row
  when (old.message_id is not null) execute function punctual.withdraw_of_deleted_enrolment();

create unique index enrolments_live on punctual.enrolments (sequence_id, person) where status in ('pending', 'running', 'unknown');
create index enrolments_person on punctual.enrolments (sequence_id, person, id);
create index enrolments_phase on punctual.enrolments (sequence_id, phase, id);
create index enrolments_chat on punctual.enrolments (chat_id, account_id) where chat_id is not null;
create index enrolments_recipient on punctual.enrolments (recipient, account_id) where recipient is not null;
create index enrolments_number on punctual.enrolments (number, account_id) where number is not null;
create index enrolments_texts on punctual.enrolments (finished_at) where finished_at is not null and texts_gone_at is null;
create index enrolments_message on punctual.enrolments (message_id) where message_id is not null;

-- dm_queue's before_claim. Puts off messages that were not claimed while their step's hours were open. Withdraws messages that were locked when
-- they were to be withdrawn (held_rows), if they are pending. Takes up to 200 held and 1,000 late messages, 50 at a time, until the call's time
-- is over. Skips locked messages, and waits for enrolments.
create function punctual.reopen_messages(p_partition text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  q punctual.queues := punctual.read_queue('dm_queue');
  v_items jsonb;
  v_batch jsonb;
begin
  select jsonb_agg(jsonb_build_object('id', h.row_id) order by h.enrolment_id, h.row_id) into v_items
    from (select x.row_id, d.enrolment_id from punctual.held_rows x left join punctual.dm_queue d on d.id = x.row_id::bigint
           where x.queue = 'dm_queue' order by d.enrolment_id, d.id limit 200) h;
  for v_batch in select punctual.by_fifty(v_items) loop
    perform punctual.do_isolated(q, 'select punctual.judge_held_messages($1, $2)', v_batch, 'it could not be withdrawn', p_now);
    exit when punctual.is_call_over();
  end loop;
  select jsonb_agg(jsonb_build_object('id', c.id)) into v_items
    from (select d.id from punctual.dm_queue d
           where d.status = 'pending' and d.open_until <= p_now order by d.open_until limit 1000 for no key update skip locked) c;
  for v_batch in select punctual.by_fifty(v_items) loop
    perform punctual.do_isolated(q, 'select punctual.reopen_closed_messages($1, $2)', v_batch, 'its next hours could not be found', p_now);
    exit when punctual.is_call_over();
  end loop;
end
$$;

-- Withdraws held messages that their enrolments no longer want. Skips locked messages, and waits for enrolments.
create function punctual.judge_held_messages(p_held jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_id text;
  v_message punctual.dm_queue;
  e punctual.enrolments;
begin
  for v_id in select h->>'id' from jsonb_array_elements(p_held) with ordinality o (h, n) order by n loop
    select * into v_message from punctual.dm_queue d where d.id = v_id::bigint for no key update skip locked;
    continue when v_message.id is null and exists (select from punctual.dm_queue d where d.id = v_id::bigint);
    -- A running message is decided at its settle.
    if v_message.status = 'pending' then
      select * into e from punctual.enrolments x where x.id = v_message.enrolment_id for no key update;
      if found then
        e := punctual.follow_message(e, v_message, 'release', null, p_now);
        perform punctual.save_enrolment(e);
      end if;
    end if;
    delete from punctual.held_rows h where h.queue = 'dm_queue' and h.row_id = v_id;
  end loop;
end
$$;

-- Sets the messages to the next opening of their steps' hours. The caller holds the messages' locks.
create function punctual.reopen_closed_messages(p_closed jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  with closed as materialized (
    select d.id, d.enrolment_id, d.step from punctual.dm_queue d
     where d.id = any (array(select (c->>'id')::bigint from jsonb_array_elements(p_closed) c))),
  judged as materialized (
    select c.id, n.time_zone, coalesce(v.steps->(c.step - 1)->'hours', 'null') as hours
      from closed c
      left join punctual.enrolments n on n.id = c.enrolment_id
      left join punctual.sequence_versions v on v.sequence_id = n.sequence_id and v.version = n.version),
  opens as materialized (
    select h.hours, h.time_zone, punctual.step_opens_at(h.hours, h.time_zone, p_now) as opens_at
      from (select distinct j.hours, j.time_zone from judged j where j.time_zone is not null) h),
  spans as materialized (
    select o.*, case when o.opens_at < 'infinity' then punctual.step_closes_at(o.hours, o.time_zone, o.opens_at) end as closes_at from opens o)
  update punctual.dm_queue d set send_at = coalesce(s.opens_at, d.send_at), open_until = s.closes_at
    from judged j left join spans s on s.hours = j.hours and s.time_zone = j.time_zone where d.id = j.id;
end
$$;

update punctual.queues set after_settle = 'punctual.follow_messages', before_claim = 'punctual.reopen_messages' where name = 'dm_queue';
select punctual.make_queue_triggers('punctual.dm_queue', q) from punctual.queues q where q.name = 'dm_queue';

-- Replies of people, and their effect on the sequences that these people are in.

-- Applies a reply to an enrolment. p_at is by the person's clock. Two rules (on_reply) hold: that of the step that was sent last, and that of
-- the step that was the last one when the reply was made. If either says stop, the enrolment ends. Before the first message, the first step's
-- rule holds. The caller holds the enrolment's lock, and saves it.
create function punctual.apply_reply(inout e punctual.enrolments, p_at timestamptz, p_text text, p_now timestamptz)
language plpgsql set search_path = '' as $$
declare
  -- A failed enrolment had sent its question if its reminder failed, or the step after it.
  v_question_sent boolean := e.phase = 'waiting_reply' or (e.phase = 'failed' and e.action <> 'send');
  -- The step that was sent last; 0 if none was.
  v_last integer := case when v_question_sent or e.phase = 'completed' then e.step else e.step - 1 end;
  v_is_of_last boolean := v_last > 0 and punctual.is_answer(p_at, e.claimed_step_at);
  -- The step's message was claimed before the reply, and it is not known yet whether it was sent: the reply may answer it.
  v_is_early boolean := (e.phase = 'in_progress' or (e.phase = 'failed' and e.action = 'send')) and exists (
    select from punctual.dm_queue d where d.id = e.message_id and punctual.is_answer(p_at, punctual.first_claim(d))
       and d.status in ('pending', 'sending', 'unknown', 'failed'));
  -- The step that the reply answers; null before the first message.
  v_step integer := case when v_is_of_last then v_last when v_last > 0 then coalesce((
    select max(d.step) from punctual.dm_queue d where d.enrolment_id = e.id and d.status = 'sent' and not d.is_reminder and d.step < v_last
       and punctual.is_answer(p_at, punctual.first_claim(d))), 1) end;
begin
  -- The reply to the last message comes when the sequence is completed. Later replies are a conversation.
  if e.phase in ('replied', 'stopped') or (e.phase = 'completed' and e.replied_at is not null) then return; end if;
  -- The enrolment's texts were deleted, and no new data of the person may be kept.
  if e.texts_gone_at is not null then return; end if;
  perform punctual.note_enrolment(e.id, p_at, 'replied', case when v_is_early then e.step else v_step end, null, p_text);
  e.replied_at := coalesce(e.replied_at, p_at);
  e.last_reply := left(p_text, 2000);
  if v_step is not null and not v_is_early then
    e.replied_steps := array_append(array_remove(e.replied_steps, v_step), v_step);
  end if;
  if e.phase = 'completed' then return; end if;
  if 'stop' in (punctual.read_step(e.sequence_id, e.version, greatest(1, v_last))->>'on_reply',
                punctual.read_step(e.sequence_id, e.version, coalesce(v_step, 1))->>'on_reply') then
    e := punctual.end_enrolment(e, 'replied', null, p_now);
  elsif v_is_early then
    -- note_sent decides once the message is settled.
    e.early_reply_at := greatest(e.early_reply_at, p_at);
  elsif v_question_sent and v_is_of_last and not (e.phase = 'failed' and punctual.is_superseded(e)) then
    if punctual.withdraw_message(e.message_id, format('enrolment %s was answered', e.id), p_now) then
      perform punctual.note_enrolment(e.id, p_now, 'withdrawn', e.step, e.message_id);
    end if;
    -- A failed reminder no longer matters.
    e.last_error := null;
    e.finished_at := null;
    e := punctual.advance_enrolment(e, p_now, p_now);
  end if;
end
$$;

-- Returns the latest time at which a reply may have been made. Providers round down to whole seconds.
create function punctual.reply_made_at(p_receipt punctual.receipts) returns timestamptz
language sql immutable set search_path = '' as $$
  select least(p_receipt.received_at, p_receipt.said_at + interval '1 second')
$$;

-- Returns the enrolments that a reply matches: through the account that received it, by chat, person, number or user id. Only enrolments that
-- began before the reply was made.
create function punctual.match_reply(p_receipt punctual.receipts) returns bigint[]
language plpgsql stable set search_path = '' as $$
declare
  v_names text[] := punctual.names_of(p_receipt.recipient);
begin
  return (
    select array_agg(distinct m.id order by m.id)
      from punctual.accounts a
     cross join lateral (
       select e.id, e.enrolled_at from punctual.enrolments e where e.account_id = a.id and e.chat_id = p_receipt.chat_id
       union all
       -- A network may give the person another id than the one that we write to. The chat shows that it is the same person.
       select e.id, e.enrolled_at from punctual.enrolments k join punctual.enrolments e on e.account_id = k.account_id and e.recipient = k.recipient
        where k.account_id = a.id and k.chat_id = p_receipt.chat_id
       union all
       select e.id, e.enrolled_at from punctual.enrolments e where e.account_id = a.id and e.recipient = any (v_names)
       union all
       select e.id, e.enrolled_at from punctual.enrolments e where e.account_id = a.id and e.number = any (v_names)) m
     where a.provider = p_receipt.provider and a.provider_account_id = p_receipt.provider_account_id 
       and m.enrolled_at <= punctual.reply_made_at(p_receipt));
end
$$;

-- Applies replies to the enrolments that they match, in the transaction that receives them. A reply without a match stays, and may match later:
-- then it counts as a reply, even if its text was not kept.
-- p_said: an enrolment that also gets the replies, because a caller says so; null for none.
-- Locks enrolments by id. After a deadlock it starts again, three rounds at most.
create function punctual.apply_replies(p_ids bigint[], p_now timestamptz, p_said bigint default null) returns void
language plpgsql set search_path = '' as $$
declare
  v_match record;
  v_receipt punctual.receipts;
  e punctual.enrolments;
begin
  for v_round in 1..3 loop
    begin
      -- Locks in the order of the ids, as settles do.
      for v_match in
        select x as enrolment, w.receipts
          from (select u.id, array_agg(r order by punctual.reply_made_at(r), r.id) as receipts
                  from punctual.receipts r
                 cross join lateral (select distinct m as id from unnest(punctual.match_reply(r) || p_said) m where m is not null) u
                 where r.id = any (p_ids)
                   -- Another of the person's sequences may have applied the reply before it matched this one.
                   and (r.applied_at is null or not exists (
                     select from punctual.enrolment_events n
                      where n.enrolment_id = u.id and n.event = 'replied' and n.at = punctual.reply_made_at(r))) group by 1) w
          join punctual.enrolments x on x.id = w.id order by x.id for no key update of x
      loop
        e := v_match.enrolment;
        foreach v_receipt in array v_match.receipts loop
          if e.id = p_said then e.chat_id := coalesce(e.chat_id, v_receipt.chat_id); end if;
          e := punctual.apply_reply(e, punctual.reply_made_at(v_receipt), v_receipt.body, p_now);
          update punctual.receipts r set applied_at = p_now where r.id = v_receipt.id;
        end loop;
        if e is distinct from v_match.enrolment then perform punctual.save_enrolment(e); end if;
      end loop;
      if p_said is not null then
        select * into e from punctual.enrolments x where x.id = p_said;
        if e.chat_id is not null then perform punctual.apply_chat_replies(e, p_now); end if;
      end if;
      return;
    exception when deadlock_detected then
      -- A tick that applies several receipts locks enrolments in the receipts' order. The round was undone, and is repeated.
      if v_round = 3 then raise; end if;
    end;
  end loop;
end
$$;

-- Applies replies that came from an enrolment's chat before the chat was known, even if another sequence of the person has applied them. Skips
-- locked receipts. The caller holds the enrolment's lock, and saves it.
create function punctual.apply_waiting_replies(inout e punctual.enrolments, p_now timestamptz)
language plpgsql set search_path = '' as $$
declare
  v_receipt punctual.receipts;
begin
  for v_receipt in
    select r.* from punctual.accounts a
      join punctual.receipts r on r.provider_account_id = a.provider_account_id and r.chat_id = e.chat_id and r.provider = a.provider
       and r.kind = 'message' and r.status = 'received'
     where a.id = e.account_id and punctual.reply_made_at(r) >= e.enrolled_at
       and not exists (select from punctual.enrolment_events n
                        where n.enrolment_id = e.id and n.event = 'replied' and n.at = punctual.reply_made_at(r))
     order by r.id for no key update of r skip locked
  loop
    e := punctual.apply_reply(e, punctual.reply_made_at(v_receipt), v_receipt.body, p_now);
    update punctual.receipts r set applied_at = p_now where r.id = v_receipt.id and r.applied_at is null;
  end loop;
end
$$;

-- Applies the replies from an enrolment's newly known chat to the person's other enrolments that have no chat. Such an enrolment keeps the chat
-- only if a reply changed it. Skips locked enrolments: they apply these replies later.
create function punctual.apply_chat_replies(e punctual.enrolments, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_other punctual.enrolments;
  v_before punctual.enrolments;
begin
  for v_other in
    select x.* from punctual.enrolments x
     where x.account_id = e.account_id and x.recipient = e.recipient and x.id <> e.id and x.chat_id is null and not punctual.is_over(x)
     order by x.id for no key update skip locked
  loop
    v_other.chat_id := e.chat_id;
    v_before := v_other;
    v_other := punctual.apply_waiting_replies(v_other, p_now);
    if v_other is distinct from v_before then perform punctual.save_enrolment(v_other); end if;
  end loop;
end
$$;

-- Applies a reply that is reported over the API. p_reply is one of:
-- {body, message_id, said_at}: a reply that no webhook reported. If it has the provider's message_id, it counts once, however often it is reported.
-- {receipt_id}: a reply of list_replies that is this person's.
-- The reply counts for every sequence that the person is in, as one from a webhook does. Returns {enrolment, applied}; `applied` is false if the
-- reply was known already. Raises PT404 for an unknown enrolment or reply, PT409 if the reply cannot be this enrolment's.
create function punctual.take_reply(p_id bigint, p_reply jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  e punctual.enrolments;
  v_account punctual.accounts;
  v_receipt punctual.receipts;
  v_is_news boolean;
begin
  select * into e from punctual.enrolments x where x.id = p_id;
  if not found then raise exception 'there is no enrolment %', p_id using errcode = 'PT404'; end if;
  select * into v_account from punctual.accounts a where a.id = e.account_id;
  if not found then raise exception 'the account of enrolment % was deleted', p_id using errcode = 'PT409'; end if;
  perform punctual.refuse_forgotten(e);
  if p_reply->>'receipt_id' is not null then
    select * into v_receipt from punctual.receipts r where r.id = (p_reply->>'receipt_id')::bigint and r.kind = 'message' and r.status = 'received'
       for no key update;
    if not found then raise exception 'there is no reply %', p_reply->>'receipt_id' using errcode = 'PT404'; end if;
    if v_receipt.provider <> v_account.provider or v_receipt.provider_account_id is distinct from v_account.provider_account_id then
      raise exception 'the reply was sent to another account' using errcode = 'PT409';
    end if;
    v_is_news := v_receipt.applied_at is null;
  else
    insert into punctual.receipts (provider, kind, status, message_id, provider_account_id, chat_id, recipient, body, said_at, received_at)
    values (v_account.provider, 'message', 'received',
            coalesce(p_reply->>'message_id', 'reply/' || nextval(pg_get_serial_sequence('punctual.receipts', 'id'))), v_account.provider_account_id,
            e.chat_id, coalesce(e.number, e.recipient), p_reply->>'body', coalesce((p_reply->>'said_at')::timestamptz, v_now), v_now)
    on conflict (provider, message_id, kind, status) do nothing
    returning * into v_receipt;
    v_is_news := v_receipt.id is not null;
    if not v_is_news then
      -- A webhook may have reported it without a match, so that its text was not kept.
      update punctual.receipts r set body = coalesce(r.body, p_reply->>'body')
       where r.provider = v_account.provider and r.message_id = p_reply->>'message_id' and r.kind = 'message' and r.status = 'received'
         and r.provider_account_id = v_account.provider_account_id and r.applied_at is null
      returning * into v_receipt;
      v_is_news := found;
    end if;
  end if;
  if v_is_news then perform punctual.apply_replies(array[v_receipt.id], v_now, p_id); end if;
  select * into e from punctual.enrolments x where x.id = p_id;
  return jsonb_build_object('enrolment', punctual.show_enrolment(e), 'applied', v_is_news);
end
$$;

-- Returns a page of replies that match no enrolment, the latest first.
create function punctual.list_replies(p_limit integer default 50, p_cursor jsonb default null, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
begin
  return (
    select punctual.page_of(jsonb_agg(jsonb_build_object('key', jsonb_build_array(r.id), 'item', jsonb_build_object(
             'id', r.id::text, 'provider', r.provider, 'account_id', a.id, 'account_name', a.name, 'chat_id', r.chat_id,
             'recipient', r.recipient, 'body', r.body, 'said_at', r.said_at, 'received_at', r.received_at)) order by r.id desc), p_limit)
      from (select * from punctual.receipts x where x.kind = 'message' and x.status = 'received' and x.applied_at is null
               and x.id < coalesce((p_cursor->>0)::bigint, 9223372036854775807)
             order by x.id desc limit p_limit + 1) r
      left join punctual.accounts a on a.provider = r.provider and a.provider_account_id = r.provider_account_id);
end
$$;

-- Sequences: how users save them, enrol people in them and read the results. These functions turn jit off: compiling their statements took 800 ms,
-- running them 5 ms.

-- Returns the length of a text as JavaScript and the providers count it: a character beyond U+FFFF, like most emoji, counts twice.
create function punctual.count_units(p_text text) returns integer
language plpgsql immutable set search_path = '' as $$
begin
  -- The second term counts characters with four bytes in UTF-8.
  return length(p_text) + length(regexp_replace(p_text, '[\u0001-\uffff]', '', 'g'));
end
$$;

-- Returns the longest text that a channel accepts. lib/providers/body-limits.ts has the same limits.
create function punctual.body_limit(p_channel text) returns integer
language sql immutable set search_path = '' as $$
  select case p_channel when 'linkedin' then 8000 when 'whatsapp' then 4096 end
$$;

-- Returns {enrolled, paused, phases: {phase: count}, steps: [{step, kind, body, at, sent, reminded, replied}]}. `at` counts the open enrolments at
-- the step now. The other three count all people who ever got that far. The steps are those of the current version, and the later steps of a longer
-- earlier version.
create function punctual.read_funnel(p_sequence_id bigint) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_steps jsonb;
  v_funnel jsonb;
begin
  select v.steps into v_steps from punctual.sequences s
    join punctual.sequence_versions v on v.sequence_id = s.id and v.version = s.version where s.id = p_sequence_id;
  -- Reads the enrolments once and groups them: there are few different combinations.
  with counted as materialized (
    select e.phase, e.step, e.sent_steps, e.reminded_steps, e.replied_steps, e.paused_at is not null as paused, count(*) as people
      from punctual.enrolments e where e.sequence_id = p_sequence_id group by 1, 2, 3, 4, 5, 6),
  number as (
    select n from generate_series(1, greatest(jsonb_array_length(v_steps), (select max(c.sent_steps) from counted c))) n)
  select jsonb_build_object(
           'enrolled', (select coalesce(sum(c.people), 0) from counted c),
           'paused', (select coalesce(sum(c.people), 0) from counted c where c.paused and c.phase in ('in_progress', 'waiting_reply')),
           'phases', (select jsonb_object_agg(p, (select coalesce(sum(c.people), 0) from counted c where c.phase = p))
                        from unnest(array['in_progress', 'waiting_reply', 'replied', 'completed', 'stopped', 'failed']) p),
           'steps', (select jsonb_agg(jsonb_build_object(
                              'step', n, 'kind', coalesce(v_steps->(n - 1)->>'kind', 'message'), 'body', v_steps->(n - 1)->'body', 'at', c.at,
                              'sent', c.sent, 'reminded', c.reminded, 'replied', c.replied) order by n)
                       from number cross join lateral (
                         select coalesce(sum(x.people) filter (where x.step = n and x.phase in ('in_progress', 'waiting_reply')), 0) as at,
                                coalesce(sum(x.people) filter (where x.sent_steps >= n), 0) as sent,
                                coalesce(sum(x.people) filter (where n = any (x.reminded_steps)), 0) as reminded,
                                coalesce(sum(x.people) filter (where n = any (x.replied_steps)), 0) as replied
                           from counted x) c))
    into v_funnel;
  return v_funnel;
end
$$;

-- Returns a sequence with its funnel; null if there is none.
create function punctual.show_sequence(p_sequence_id bigint) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select jsonb_build_object('id', s.id::text, 'name', s.name, 'channel', s.channel, 'time_zone', s.time_zone, 'version', s.version, 'steps', v.steps,
             'placeholders', to_jsonb(punctual.list_placeholders(v.steps)), 'created_at', s.created_at, 'updated_at', s.updated_at,
             'funnel', punctual.read_funnel(s.id))
      from punctual.sequences s join punctual.sequence_versions v on v.sequence_id = s.id and v.version = s.version where s.id = p_sequence_id);
end
$$;

-- Returns a sequence with its funnel. Raises PT404.
create function punctual.read_sequence(p_id bigint, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_sequence jsonb := punctual.show_sequence(p_id);
begin
  if v_sequence is null then raise exception 'there is no sequence %', p_id using errcode = 'PT404'; end if;
  return v_sequence;
end
$$;

-- Returns a page of sequences, the newest first.
create function punctual.list_sequences(p_limit integer default 50, p_cursor jsonb default null, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
begin
  return (select punctual.page_of(jsonb_agg(jsonb_build_object('item', punctual.show_sequence(s.id), 'key', jsonb_build_array(s.id)) order by s.id desc), p_limit)
            from (select x.id from punctual.sequences x where x.id < coalesce((p_cursor->>0)::bigint, 9223372036854775807)
                   order by x.id desc limit p_limit + 1) s);
end
$$;

-- Creates a sequence. p_sequence: {name, channel, time_zone, steps}, already validated. Returns the sequence, or {errors: [{field, message}]}.
create function punctual.create_sequence(p_sequence jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_id bigint;
  v_errors jsonb := punctual.check_sequence(p_sequence, null);
begin
  if v_errors is not null then return jsonb_build_object('errors', v_errors); end if;
  insert into punctual.sequences (name, channel, time_zone, created_at, updated_at)
  values (p_sequence->>'name', p_sequence->>'channel', p_sequence->>'time_zone', v_now, v_now)
  on conflict (name) do nothing returning id into v_id;
  if v_id is null then return jsonb_build_object('errors', punctual.check_sequence(p_sequence, null)); end if;
  insert into punctual.sequence_versions (sequence_id, version, steps, created_at) values (v_id, 1, p_sequence->'steps', v_now);
  return punctual.show_sequence(v_id);
end
$$;

-- Checks a sequence for faults that only the database can find. Returns [{field, message}], or null if there are none.
create function punctual.check_sequence(p_sequence jsonb, p_id bigint) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select jsonb_agg(jsonb_build_object('field', c.field, 'message', c.message)) from (
      select 'name' as field, format('there is a sequence of that name, %s: choose another, or PATCH that one', s.id) as message
        from punctual.sequences s where s.name = p_sequence->>'name' and s.id is distinct from p_id
      union all
      select 'time_zone', format('there is no time zone "%s": give one such as Europe/Berlin', p_sequence->>'time_zone')
       where p_sequence->>'time_zone' is not null and not punctual.is_time_zone(p_sequence->>'time_zone')
      union all
      select 'steps', 'a sequence has one step at least'
       where p_sequence ? 'steps' and (jsonb_typeof(p_sequence->'steps') <> 'array' or p_sequence->'steps' = '[]')) c);
end
$$;

-- Changes a sequence. p_changes: any of {name, time_zone, steps}. New steps become a new version, for people who are enrolled from now on. Returns
-- the sequence, or {errors: [{field, message}]}. Raises PT404, and PT409 if a concurrent call used the name. Waits for the sequence's lock.
create function punctual.update_sequence(p_id bigint, p_changes jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_sequence punctual.sequences;
  v_errors jsonb;
begin
  select * into v_sequence from punctual.sequences s where s.id = p_id for no key update;
  if not found then raise exception 'there is no sequence %', p_id using errcode = 'PT404'; end if;
  v_errors := punctual.check_sequence(p_changes, p_id);
  if v_errors is not null then return jsonb_build_object('errors', v_errors); end if;
  if p_changes ? 'steps' and p_changes->'steps' is distinct from (
       select v.steps from punctual.sequence_versions v where v.sequence_id = p_id and v.version = v_sequence.version) then
    v_sequence.version := v_sequence.version + 1;
    insert into punctual.sequence_versions (sequence_id, version, steps, created_at) values (p_id, v_sequence.version, p_changes->'steps', v_now);
  end if;
  begin
    update punctual.sequences s set
      name = coalesce(p_changes->>'name', s.name),
      time_zone = case when p_changes ? 'time_zone' then p_changes->>'time_zone' else s.time_zone end,
      version = v_sequence.version, updated_at = v_now
     where s.id = p_id;
  exception when unique_violation then
    raise exception 'another call has just used the same name: choose another one' using errcode = 'PT409';
  end;
  return punctual.show_sequence(p_id);
end
$$;

-- Returns the faults of the people to enrol: account, recipient, time zone and missing variables.
create function punctual.list_person_faults(
  p_sequence punctual.sequences, p_steps jsonb, p_people jsonb, out index integer, out place integer, out field text, out message text)
returns setof record
language sql stable set search_path = '' as $$
  with person as materialized (
    select p.*, a.provider, a.id as account
      from jsonb_to_recordset(p_people) p (index integer, account_id uuid, recipient text, variables jsonb, time_zone text)
      left join punctual.accounts a on a.id = p.account_id)
  select p.index, 1, 'account_id', 'there is no such account' from person p where p.account is null
  union all
  select p.index, 1, 'account_id', format('the account sends over WhatsApp, and the sequence is for %s', p_sequence.channel)
    from person p where p.provider = 'whatsapp_cloud' and p_sequence.channel <> 'whatsapp'
  union all
  select p.index, 2, 'recipient', 'WhatsApp''s Cloud API needs the telephone number, or the business-scoped user id'
    from person p where p.provider = 'whatsapp_cloud' and punctual.digits_of(p.recipient) is null and punctual.is_user_id(p.recipient) is not true
  union all
  select p.index, 3, 'time_zone', format('there is no time zone "%s": give one such as Europe/Berlin', p.time_zone)
    from person p where p.time_zone is not null and not punctual.is_time_zone(p.time_zone)
  union all
  select p.index, 4, 'variables.' || n.name, format('step %s asks for {{%s}}, and it is not given', (
           select min(s.place) from jsonb_array_elements(p_steps) with ordinality s (step, place) where n.name = any (punctual.list_placeholders(s.step))), n.name)
    from person p cross join lateral unnest(punctual.list_placeholders(p_steps)) n (name) where p.variables->>n.name is null
$$;

-- Returns the texts that steps send: bodies, and numbered parameters of templates. names: how many placeholders a text has.
create function punctual.list_texts(
  p_steps jsonb, out place integer, out text text, out is_reminder boolean, out number integer, out names integer) returns setof record
language sql immutable set search_path = '' as $$
  select s.place, t.text, m.is_reminder, t.number, (select count(*) from regexp_matches(t.text, '\{\{', 'g'))
    from jsonb_array_elements(p_steps) with ordinality s (step, place)
   cross join lateral (values (s.step, false), (s.step->'reminder', true)) m (message, is_reminder)
   cross join lateral (
     select m.message->>'body' as text, null::bigint as number
      union all
     select r.text, r.number
       from jsonb_array_elements_text(case when jsonb_typeof(m.message->'template') = 'object' then m.message->'template'->'parameters' else '[]' end)
         with ordinality r (text, number)) t
   where t.text is not null
$$;

-- Returns the faults of the texts that people would get.
create function punctual.list_text_faults(
  p_sequence punctual.sequences, p_steps jsonb, p_people jsonb, out index integer, out place integer, out field text, out message text)
returns setof record
language plpgsql stable set search_path = '' as $$
declare
  v_limit integer := punctual.body_limit(p_sequence.channel);
begin
  return query
    -- There may be a thousand people and fifty steps, so only texts that may have a fault are filled in.
    with person as materialized (
      select p.index, coalesce(p.variables, '{}') as variables, v.longest, v.is_odd
        from jsonb_to_recordset(p_people) p (index integer, variables jsonb)
       cross join lateral (
         select coalesce(max(length(e.value)), 0) as longest, coalesce(bool_or(e.value ~ '^$|[\n\r\t]|^ |  | $'), false) as is_odd
           from jsonb_each_text(coalesce(p.variables, '{}')) e) v),
    sent as materialized (select * from punctual.list_texts(p_steps))
    select p.index, 5, 'variables', format('%s of step %s becomes %s characters for this person; %s takes %s',
             case when t.is_reminder then 'the reminder' else 'the body' end, t.place, punctual.count_units(f.filled), p_sequence.channel, v_limit)
      from sent t
      join person p on t.number is null and 2 * (length(t.text) + t.names * p.longest) > v_limit
     cross join lateral (select punctual.fill_in(t.text, p.variables) as filled offset 0) f
     where punctual.count_units(f.filled) > v_limit
    union all
    select p.index, 5, 'variables', format('parameter %s of the template of step %s %s for this person', t.number, t.place, case
             when f.filled = '' then 'is empty' when punctual.count_units(f.filled) > 1024 then 'is longer than 1,024 characters'
             else 'has a line break, a tab or five spaces in a row, which WhatsApp refuses' end)
      from sent t
      join person p on t.number is not null and t.names > 0 and (p.is_odd or 2 * (length(t.text) + t.names * p.longest) > 1024)
     cross join lateral (select punctual.fill_in(t.text, p.variables) as filled offset 0) f
     where f.filled = '' or f.filled ~ '[\n\r\t]| {5}' or punctual.count_units(f.filled) > 1024
    union all
    select p.index, 5, 'variables', format('the text of step %s is empty for this person', t.place)
      from sent t
      join person p on t.number is null and regexp_replace(t.text, '\{\{ *[a-z][a-z0-9_]* *\}\}', '', 'g') ~ '^\s*$'
                   and punctual.fill_in(t.text, p.variables) ~ '^\s*$';
end
$$;

-- Returns the faults of people who are to be enrolled: [{index, field, message}]; null if there are none. Each of p_people has its index.
create function punctual.check_people(p_sequence punctual.sequences, p_steps jsonb, p_people jsonb) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_agg(jsonb_build_object('index', c.index, 'field', c.field, 'message', c.message) order by c.index, c.place, c.field)
    from (select * from punctual.list_person_faults(p_sequence, p_steps, p_people)
          union all
          select * from punctual.list_text_faults(p_sequence, p_steps, p_people)) c
$$;

-- Returns a person's enrolments in a sequence, however the person was named: by person (over WhatsApp, by number and user id) or by chat.
create function punctual.list_same(p_sequence_id bigint, p_person text, p_account_id uuid, p_chat_id text) returns setof punctual.enrolments
language plpgsql stable set search_path = '' as $$
declare
  v_names text[] := punctual.names_of(p_person);
  v_name text;
begin
  foreach v_name in array v_names loop
    -- The order makes Postgres use the index on persons. Without statistics the index on phases seems as good, and Postgres reads all of it.
    return query select * from punctual.enrolments e where e.sequence_id = p_sequence_id and e.person = v_name order by e.id;
  end loop;
  if p_chat_id is not null then
    return query select * from punctual.enrolments e
                  where e.account_id = p_account_id and e.chat_id = p_chat_id and e.sequence_id = p_sequence_id and e.person <> all (v_names);
  end if;
end
$$;

-- Adds to each of p_people an index, a new id, person and identity. person identifies the person in the sequence. identity is the same, except that
-- a known WhatsApp user id is replaced by its number.
create function punctual.name_people(p_sequence punctual.sequences, p_people jsonb) returns jsonb
language sql set search_path = '' as $$
  select jsonb_agg(jsonb_strip_nulls(p) || jsonb_build_object('index', n - 1, 'id', nextval(pg_get_serial_sequence('punctual.enrolments', 'id')),
           'person', k.person, 'identity', coalesce((select u.number from punctual.whatsapp_users u where u.user_id = k.person), k.person)) order by n)
    from jsonb_array_elements(p_people) with ordinality e (p, n)
   cross join lateral (
     select coalesce(case when p_sequence.channel = 'whatsapp' then punctual.digits_of(p->>'recipient') end, p->>'recipient', p->>'chat_id') as person) k
$$;

-- Inserts enrolments for people who are not in the sequence yet, and with p_again also for those whose earlier enrolments have all ended.
-- p_people: see name_people. Waits for calls with the same people.
create function punctual.insert_enrolments(p_sequence punctual.sequences, p_steps jsonb, p_people jsonb, p_again boolean, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  with zones as (
    select distinct coalesce(p.time_zone, p_sequence.time_zone, a.time_zone) as zone, coalesce(p.start_at, p_now) as start_at
      from jsonb_to_recordset(p_people) p (account_id uuid, time_zone text, start_at timestamptz) join punctual.accounts a on a.id = p.account_id),
  opens as materialized (
    select z.*, punctual.step_opens_at(p_steps->0->'hours', z.zone,
                  z.start_at + make_interval(secs => (p_steps->0->>'delay_seconds')::double precision)) as opens_at from zones z)
  insert into punctual.enrolments (id, sequence_id, version, account_id, channel, chat_id, recipient, variables, time_zone, next_step_at, priority, enrolled_at)
  -- A person who is named by number and by user id is enrolled once.
  select distinct on (p.identity) p.id, p_sequence.id, p_sequence.version, a.id, p_sequence.channel, p.chat_id, p.recipient,
         coalesce(p.variables, '{}'), z.zone, o.opens_at, coalesce(p.priority, 1), p_now
    from jsonb_to_recordset(p_people) p (index integer, id bigint, person text, identity text, account_id uuid, chat_id text, recipient text, variables jsonb,
           time_zone text, start_at timestamptz, priority smallint)
    join punctual.accounts a on a.id = p.account_id
   cross join lateral (select coalesce(p.time_zone, p_sequence.time_zone, a.time_zone) as zone) z
    join opens o on o.zone = z.zone and o.start_at = coalesce(p.start_at, p_now)
   where not exists (select from punctual.list_same(p_sequence.id, p.person, p.account_id, p.chat_id) x
                      where not p_again or x.status in ('pending', 'running', 'unknown'))
     -- A person may also be named by number and by chat.
     and not exists (select from jsonb_to_recordset(p_people) o (index integer, account_id uuid, chat_id text)
                      where o.account_id = p.account_id and o.chat_id = p.chat_id and o.index < p.index)
   -- Inserts in a fixed order, so that two calls with the same people cannot deadlock.
   order by p.identity, p.id
  on conflict (sequence_id, person) where status in ('pending', 'running', 'unknown') do nothing;
end
$$;

-- Enrols people, all or none. p_people: [{account_id, chat_id, recipient, variables, time_zone, start_at, priority}], already validated. For a
-- person who is in the sequence already, returns the existing enrolment. p_again: enrols a person again if that enrolment has ended.
--
-- Returns {rows: [{id, status, created}]} in the order of p_people, or {errors: [{index, field, message}]} if nobody was enrolled. status is the
-- phase. Raises PT404 if there is no such sequence.
create function punctual.enrol_people(p_sequence_id bigint, p_people jsonb, p_again boolean default false, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_sequence punctual.sequences;
  v_steps jsonb;
  v_people jsonb;
  v_errors jsonb;
  v_rows jsonb;
begin
  -- Several calls may enrol at once. The version is the one of this moment.
  select * into v_sequence from punctual.sequences s where s.id = p_sequence_id for key share;
  if not found then raise exception 'there is no sequence %', p_sequence_id using errcode = 'PT404'; end if;
  select v.steps into v_steps from punctual.sequence_versions v where v.sequence_id = p_sequence_id and v.version = v_sequence.version;
  v_people := punctual.name_people(v_sequence, p_people);
  v_errors := punctual.check_people(v_sequence, v_steps, v_people);
  if v_errors is not null then return jsonb_build_object('errors', v_errors); end if;
  perform punctual.insert_enrolments(v_sequence, v_steps, v_people, p_again, v_now);

  -- Each person has an enrolment by now, from this call or another one.
  select jsonb_agg(jsonb_build_object('index', p.index, 'id', x.id::text, 'status', x.phase, 'created', x.id = p.id, 'account_id', x.account_id,
                                      'given_account_id', p.account_id) order by p.index)
    into v_rows
    from jsonb_to_recordset(v_people) p (index integer, id bigint, person text, account_id uuid, chat_id text)
   cross join lateral (select e.id, e.phase, e.account_id from punctual.list_same(p_sequence_id, p.person, p.account_id, p.chat_id) e
                        order by e.id desc limit 1) x;
  select jsonb_agg(jsonb_build_object('index', r->'index', 'field', 'account_id',
                                      'message', format('the person is in the sequence already, through another account (enrolment %s)', r->>'id')))
    into v_errors from jsonb_array_elements(v_rows) r where r->>'account_id' <> r->>'given_account_id' and not (r->>'created')::boolean;
  if v_errors is not null then
    -- Deletes what this call inserted.
    delete from punctual.enrolments e where e.id in (select (r->>'id')::bigint from jsonb_array_elements(v_rows) r where (r->>'created')::boolean);
    return jsonb_build_object('errors', v_errors);
  end if;
  insert into punctual.enrolment_events (enrolment_id, at, event)
  select (r->>'id')::bigint, v_now, 'enrolled' from jsonb_array_elements(v_rows) r where (r->>'created')::boolean order by (r->>'index')::integer;
  return jsonb_build_object('rows', (
    select jsonb_agg(jsonb_build_object('id', r->'id', 'status', r->'status', 'created', r->'created') order by n)
      from jsonb_array_elements(v_rows) with ordinality e (r, n)));
end
$$;

-- Returns an enrolment as the API shows it.
create function punctual.show_enrolment(e punctual.enrolments) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select jsonb_build_object('id', e.id::text, 'sequence_id', e.sequence_id::text, 'sequence_name', s.name, 'version', e.version,
             'account_id', e.account_id, 'account_name', a.name, 'channel', e.channel, 'chat_id', e.chat_id, 'recipient', e.recipient,
             'variables', e.variables, 'time_zone', e.time_zone, 'phase', e.phase, 'status', e.status, 'step', e.step,
             'steps', jsonb_array_length(v.steps),
             'next_step_at', case when not punctual.is_over(e) and e.next_step_at < 'infinity' then e.next_step_at end,
             'next_action', case when not punctual.is_over(e) and e.next_step_at < 'infinity' then e.action end,
             'waits_for', case when e.next_step_at = 'infinity' then 'its step''s hours, which never open' else e.waits_for end,
             'paused_at', e.paused_at, 'message_id', case when not punctual.is_over(e) then e.message_id::text end, 'sent_steps', e.sent_steps,
             'replied_at', e.replied_at, 'last_reply', e.last_reply, 'last_error', e.last_error, 'enrolled_at', e.enrolled_at, 'finished_at', e.finished_at)
      from punctual.sequences s
      join punctual.sequence_versions v on v.sequence_id = s.id and v.version = e.version
      left join punctual.accounts a on a.id = e.account_id
     where s.id = e.sequence_id);
end
$$;

-- Returns a page of enrolments, the newest first. p_limit: 1 to 200. Raises 22023 for an invalid limit or phase.
create function punctual.list_enrolments(
  p_sequence_id bigint default null, p_phase text default null, p_limit integer default 50, p_cursor jsonb default null,
  p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_list jsonb;
begin
  if p_limit not between 1 and 200 then
    raise exception 'the limit is %', p_limit using errcode = '22023', hint = 'Use a limit from 1 to 200.';
  end if;
  if p_phase is not null and p_phase not in ('in_progress', 'waiting_reply', 'replied', 'completed', 'stopped', 'failed') then
    raise exception 'there is no phase "%"', p_phase
      using errcode = '22023', hint = 'Use in_progress, waiting_reply, replied, completed, stopped or failed.';
  end if;
  -- Builds the query for the given filters: with all filters as parameters, Postgres would use no index.
  execute format('select jsonb_agg(jsonb_build_object(''item'', punctual.show_enrolment(e), ''key'', jsonb_build_array(e.id)) order by e.id desc) from ('
                 'select * from punctual.enrolments x where true %s %s %s order by x.id desc limit $1) e',
                 case when p_sequence_id is not null then format('and x.sequence_id = %L', p_sequence_id) end,
                 case when p_phase is not null then format('and x.phase = %L', p_phase) end,
                 case when p_cursor is not null then format('and x.id < %L', (p_cursor->>0)::bigint) end)
  into v_list using p_limit + 1;
  return punctual.page_of(v_list, p_limit);
end
$$;

-- Returns an enrolment with the latest 1,000 events of its timeline, oldest first. Raises PT404.
create function punctual.read_enrolment(p_id bigint, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  e punctual.enrolments;
begin
  select * into e from punctual.enrolments x where x.id = p_id;
  if not found then raise exception 'there is no enrolment %', p_id using errcode = 'PT404'; end if;
  return punctual.show_enrolment(e) || jsonb_build_object('timeline', (
    select coalesce(jsonb_agg(jsonb_build_object('at', t.at, 'event', t.event, 'step', t.step, 'message_id', t.message_id::text, 'text', t.text)
                              order by t.at, t.id), '[]')
      from (select * from punctual.enrolment_events x where x.enrolment_id = p_id order by x.id desc limit 1000) t));
end
$$;

-- Locks an enrolment and returns it. Raises PT404.
create function punctual.lock_enrolment(p_id bigint) returns punctual.enrolments
language plpgsql set search_path = '' as $$
declare
  e punctual.enrolments;
begin
  select * into e from punctual.enrolments x where x.id = p_id for no key update;
  if not found then raise exception 'there is no enrolment %', p_id using errcode = 'PT404'; end if;
  return e;
end
$$;

-- Pauses an enrolment: nothing more is sent until it is resumed. Withdraws its queued message; a running message is still sent. Returns the
-- enrolment. Raises PT404, and PT409 if it has ended.
create function punctual.pause_enrolment(p_id bigint, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  e punctual.enrolments := punctual.lock_enrolment(p_id);
  v_due timestamptz;
begin
  if punctual.is_over(e) then raise exception 'the enrolment is %', e.phase using errcode = 'PT409', detail = e.phase; end if;
  if e.paused_at is null then
    e.paused_at := v_now;
    perform punctual.note_enrolment(p_id, v_now, 'paused', e.step, null);
    select d.send_at into v_due from punctual.dm_queue d where d.id = e.message_id;
    if e.message_id is null then
      e := punctual.plan_next(e, e.action, e.next_step_at);
    elsif punctual.withdraw_message(e.message_id, format('enrolment %s was paused', p_id), v_now) then
      perform punctual.note_enrolment(p_id, v_now, 'withdrawn', e.step, e.message_id);
      e := punctual.plan_next(e, e.action, v_due);
    end if;
    perform punctual.save_enrolment(e);
  end if;
  return punctual.read_enrolment(p_id);
end
$$;

-- Resumes a paused enrolment where it was. A failed enrolment tries its step again. Returns the enrolment. Raises PT404, and PT409 if it has ended
-- without a failure, or if it failed and the person was enrolled again or forgotten.
create function punctual.resume_enrolment(p_id bigint, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  e punctual.enrolments := punctual.lock_enrolment(p_id);
begin
  if punctual.is_over(e) and e.phase <> 'failed' then
    raise exception 'the enrolment is %', e.phase using errcode = 'PT409', detail = e.phase;
  end if;
  if e.phase = 'failed' then
    perform punctual.refuse_forgotten(e);
    if punctual.is_superseded(e) then
      raise exception 'the person was enrolled again since' using errcode = 'PT409', detail = e.phase;
    end if;
    e.phase := case when e.action = 'send' then 'in_progress' else 'waiting_reply' end;
    e.finished_at := null;
    e.last_error := null;
    e.paused_at := null;
    e := punctual.plan_next(e, e.action, v_now);
    perform punctual.note_enrolment(p_id, v_now, 'resumed', e.step, null);
    perform punctual.save_enrolment(e);
  elsif e.paused_at is not null then
    e.paused_at := null;
    if e.message_id is null then e := punctual.plan_next(e, e.action, e.resume_at); end if;
    e.resume_at := null;
    perform punctual.note_enrolment(p_id, v_now, 'resumed', e.step, null);
    perform punctual.save_enrolment(e);
  end if;
  return punctual.read_enrolment(p_id);
end
$$;

-- Stops an enrolment: nothing more is sent. Withdraws its queued message; a running message is still sent. Returns the enrolment. Raises PT404, and
-- PT409 if it was answered or has completed.
create function punctual.stop_enrolment(p_id bigint, p_reason text default null, p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  e punctual.enrolments := punctual.lock_enrolment(p_id);
begin
  if punctual.is_over(e) and e.phase not in ('stopped', 'failed') then
    raise exception 'the enrolment is %', e.phase using errcode = 'PT409', detail = e.phase;
  end if;
  if e.phase <> 'stopped' then
    e := punctual.end_enrolment(e, 'stopped', format('%s stopped it%s', coalesce(p_by, 'an operator'), coalesce(': ' || p_reason, '')), v_now);
    perform punctual.save_enrolment(e);
  end if;
  return punctual.read_enrolment(p_id);
end
$$;

-- Returns one message of a preview. p_message: a step or its reminder. p_at: the approximate time; null: unknown; 'infinity': never.
create function punctual.preview_message(
  p_step integer, p_kind text, p_message jsonb, p_variables jsonb, p_at timestamptz, p_note text) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('step', p_step, 'kind', p_kind, 'body', punctual.fill_in(p_message->>'body', p_variables),
    'template', punctual.fill_in_template(p_message->'template', p_variables), 'about_at', case when p_at < 'infinity' then p_at end, 'note', p_note)
$$;

-- Returns the messages of all steps, each at the earliest possible time from p_from on: see preview_message.
create function punctual.preview_steps(
  p_steps jsonb, p_variables jsonb, p_zone text, p_account punctual.accounts, p_pace punctual.pace, p_from timestamptz, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  s record;
  v_at timestamptz := p_from;
  v_sent timestamptz := p_from;
  v_reminded timestamptz;
  -- Whether the times of later messages can be known.
  v_known boolean := true;
  v_list jsonb := '[]';
begin
  for s in select e.step, e.number::integer from jsonb_array_elements(p_steps) with ordinality e (step, number) order by e.number loop
    v_at := punctual.expect_step_at(s.step->'hours', p_zone, p_account, p_pace,
      greatest(v_at, v_sent + make_interval(secs => (s.step->>'delay_seconds')::double precision), p_now));
    v_list := v_list || punctual.preview_message(s.number, s.step->>'kind', s.step, p_variables, case when v_known then v_at end,
      case when not v_known then 'after the answer to the question before it'
           when v_at = 'infinity' then 'never: its hours and the account''s do not overlap, or the account may not send' end);
    v_known := v_known and v_at < 'infinity';
    v_sent := v_at;
    if jsonb_typeof(s.step->'reminder') = 'object' then
      v_reminded := punctual.expect_step_at(s.step->'hours', p_zone, p_account, p_pace,
        v_sent + make_interval(secs => (s.step->'reminder'->>'after_seconds')::double precision));
      v_list := v_list || punctual.preview_message(s.number, 'reminder', s.step->'reminder', p_variables,
                                                   case when v_known then v_reminded end, 'unless there was an answer');
    end if;
    if s.step->>'kind' = 'question' then
      if jsonb_typeof(s.step->'no_reply') = 'object' then
        v_at := v_sent + make_interval(secs => (s.step->'no_reply'->>'after_seconds')::double precision);
        v_known := v_known and s.step->'no_reply'->>'action' is distinct from 'stop';
      else
        v_known := false;
      end if;
    end if;
  end loop;
  return v_list;
end
$$;

-- Returns the messages that a person would get, and their approximate times: each step as soon as its delay, its hours and the account's pace allow,
-- with a tick each minute. The times after a question without no_reply are unknown. p_person: {account_id, variables, time_zone, start_at}.
-- Returns {steps: [{step, kind, body, template, about_at, note}]}, or {errors: [{field, message}]}. Raises PT404.
create function punctual.preview_sequence(p_sequence_id bigint, p_person jsonb, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_sequence punctual.sequences;
  v_steps jsonb;
  v_account punctual.accounts;
  v_pace punctual.pace;
  v_errors jsonb;
begin
  select * into v_sequence from punctual.sequences s where s.id = p_sequence_id;
  if not found then raise exception 'there is no sequence %', p_sequence_id using errcode = 'PT404'; end if;
  select v.steps into v_steps from punctual.sequence_versions v where v.sequence_id = p_sequence_id and v.version = v_sequence.version;
  -- The recipient does not matter here, so a preview has a made-up one.
  select jsonb_agg(c - 'index') into v_errors
    from jsonb_array_elements(punctual.check_people(v_sequence, v_steps, jsonb_build_array('{"recipient": "1"}' || p_person || '{"index": 0}'))) c;
  if v_errors is not null then return jsonb_build_object('errors', v_errors); end if;
  select * into v_account from punctual.accounts a where a.id = (p_person->>'account_id')::uuid;
  select * into v_pace from punctual.pace p where p.queue = 'dm_queue' and p.account_id = v_account.id;
  return jsonb_build_object('steps', punctual.preview_steps(v_steps, coalesce(p_person->'variables', '{}'),
    coalesce(p_person->>'time_zone', v_sequence.time_zone, v_account.time_zone), v_account, v_pace,
    coalesce((p_person->>'start_at')::timestamptz, v_now), v_now));
end
$$;

-- Returns the first instant from p_from on at which both the step's hours and the account are open; 'infinity' if 50 rounds find none.
create function punctual.expect_step_at(
  p_hours jsonb, p_zone text, p_account punctual.accounts, p_pace punctual.pace, p_from timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_at timestamptz := p_from;
  v_step_at timestamptz;
begin
  if p_from = 'infinity' then return p_from; end if;
  for v_round in 1..50 loop
    v_step_at := punctual.step_opens_at(p_hours, p_zone, v_at);
    if v_step_at = 'infinity' then return v_step_at; end if;
    select o.open_at into v_at from punctual.account_opening(p_account, p_pace, v_step_at) o;
    if v_at <= v_step_at then return v_step_at; end if;
    if v_at = 'infinity' then return v_at; end if;
  end loop;
  return 'infinity';
end
$$;

-- The data of people, and its deletion: by retention after an enrolment has ended, and at once if a person asks for it.

-- Deletes the variables, the last reply and the timeline of up to p_limit enrolments that ended before p_before. The person and their progress
-- stay, so that the person is not enrolled in the same sequence again. Skips locked enrolments. Returns how many it emptied.
create function punctual.prune_enrolment_texts(p_before timestamptz, p_limit integer, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_ids bigint[] := array(
    select e.id from punctual.enrolments e where e.finished_at < p_before and e.texts_gone_at is null
     order by e.finished_at limit p_limit for no key update skip locked);
begin
  perform punctual.delete_enrolment_texts(v_ids, p_now);
  return cardinality(v_ids);
end
$$;

-- Deletes the texts of these enrolments. The caller holds their locks. Returns how many events were deleted.
create function punctual.delete_enrolment_texts(p_ids bigint[], p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_events integer;
begin
  delete from punctual.enrolment_events v where v.enrolment_id = any (p_ids);
  get diagnostics v_events = row_count;
  update punctual.enrolments e set variables = '{}', last_reply = null, texts_gone_at = p_now where e.id = any (p_ids);
  return v_events;
end
$$;

-- Returns a person's enrolments through p_account_id. Null: through any account, also a deleted one.
create function punctual.enrolments_of(p_account_id uuid, p_names text[], p_chats text[]) returns setof punctual.enrolments
language plpgsql stable set search_path = '' as $$
begin
  return query select e.* from punctual.enrolments e
    where (e.chat_id = any (p_chats) or e.recipient = any (p_names) or e.number = any (p_names))
      and (p_account_id is null or e.account_id = p_account_id);
end
$$;

-- Returns the messages to a person through p_account_id. Null: through any account.
create function punctual.messages_to(p_account_id uuid, p_names text[], p_chats text[]) returns setof punctual.dm_queue
language plpgsql stable set search_path = '' as $$
begin
  return query select d.* from punctual.dm_queue d
    where (d.chat_id = any (p_chats) or (d.recipient is not null and punctual.dm_person(d.channel, d.recipient) = any (p_names)))
      and (p_account_id is null or d.account_id = p_account_id);
end
$$;

-- Extends the given names and chats to all those under which the person is known here. A recipient and a chat in the same enrolment or message
-- are one person's, and so are a WhatsApp number and its user ids. p_account_id: uses that account's rows only; null: those of all accounts.
create function punctual.find_person(p_account_id uuid, inout p_names text[], inout p_chats text[])
language plpgsql stable set search_path = '' as $$
declare
  v_known integer;
begin
  loop
    v_known := cardinality(p_names) + cardinality(p_chats);
    with found as (
      select e.recipient, e.chat_id from punctual.enrolments_of(p_account_id, p_names, p_chats) e
       union
      select d.recipient, d.chat_id from punctual.messages_to(p_account_id, p_names, p_chats) d)
    select array(select unnest(p_names) union
                 select n from (select unnest(p_names) as name union select f.recipient from found f) k cross join unnest(punctual.names_of(k.name)) n),
           array(select unnest(p_chats) union select f.chat_id from found f where f.chat_id is not null)
      into p_names, p_chats;
    exit when cardinality(p_names) + cardinality(p_chats) = v_known;
  end loop;
end
$$;

-- Stops the person's enrolments and withdraws pending messages, except locked ones. Returns the messages that are still open, by state:
-- {status: [id]}; null if there are none. Locks enrolments by id.
create function punctual.leave_person(p_account_id uuid, p_names text[], p_chats text[], p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  e punctual.enrolments;
  v_id bigint;
begin
  for e in
    select x.* from punctual.enrolments x
     where x.id = any (array(select o.id from punctual.enrolments_of(p_account_id, p_names, p_chats) o)) order by x.id for no key update
  loop
    continue when punctual.is_over(e);
    e := punctual.end_enrolment(e, 'stopped', 'the person is to be forgotten', p_now);
    perform punctual.save_enrolment(e);
  end loop;
  for v_id in
    select d.id from punctual.messages_to(p_account_id, p_names, p_chats) d where d.status = 'pending' order by d.id
  loop
    perform punctual.withdraw_message(v_id, 'the person is to be forgotten', p_now);
  end loop;
  return (
    select jsonb_object_agg(o.status, o.ids)
      from (select d.status, jsonb_agg(d.id::text order by d.id) as ids from punctual.messages_to(p_account_id, p_names, p_chats) d
             where d.status in ('pending', 'sending', 'unknown') group by 1) o);
end
$$;

-- Locks the receipts about a person, by id. Returns their ids.
create function punctual.lock_receipts_of(p_account_id uuid, p_names text[], p_chats text[]) returns bigint[]
language plpgsql set search_path = '' as $$
declare
  v_messages bigint[] := array(select o.id from punctual.messages_to(p_account_id, p_names, p_chats) o);
begin
  return array(
    select r.id from punctual.receipts r
     -- A message's status may come with another form of the number than the message has.
     where (r.chat_id = any (p_chats) or r.recipient = any (p_names) or (r.queue = 'dm_queue' and r.row_id = any (v_messages::text[]))
            or r.message_id = any (array(select d.provider_message_id from punctual.dm_queue d where d.id = any (v_messages))))
       and (p_account_id is null or exists (select from punctual.accounts a where a.id = p_account_id and a.provider = r.provider
                                               and a.provider_account_id = r.provider_account_id))
     order by r.id for no key update);
end
$$;

-- Deletes the person's data from rows that the caller has locked, and notes in the history who asked for it. Returns how many events were deleted.
create function punctual.empty_rows_of(
  p_enrolments bigint[], p_messages bigint[], p_receipts bigint[], p_by text, p_now timestamptz) returns integer
language sql set search_path = '' as $$
  update punctual.enrolments e set chat_id = null, recipient = null, last_error = null, waits_for = null where e.id = any (p_enrolments);
  -- A message must have a chat or a recipient, so chat_id becomes ''. `reconcile` keeps the data that matches late receipts.
  update punctual.dm_queue d set body = '', template = null, chat_id = '', recipient = null, last_error = null,
         reconcile = d.reconcile - '{digest, found, late_proof}'::text[]
   where d.id = any (p_messages);
  update punctual.history h set text = null
   where (h.queue = 'enrolments' and h.row_id = any (p_enrolments::text[])) or (h.queue = 'dm_queue' and h.row_id = any (p_messages::text[]));
  insert into punctual.history (queue, row_id, at, event, text)
  select f.queue, f.id::text, p_now, 'decided', format('%s had the person forgotten', coalesce(p_by, 'an operator'))
    from (select 'enrolments' as queue, unnest(p_enrolments) as id union all select 'dm_queue', unnest(p_messages)) f order by 1, f.id;
  -- The messages' ids stay, so that a repeated receipt is recognised.
  update punctual.receipts r set chat_id = null, recipient = null, body = null, error = null,
         applied_at = case when r.kind = 'message' then coalesce(r.applied_at, p_now) else r.applied_at end
   where r.id = any (p_receipts);
  select punctual.delete_enrolment_texts(p_enrolments, p_now)
$$;

-- Deletes the person's names from the accounts' limited addressees, and from the users of WhatsApp. Returns how many users were deleted.
-- Locks `pace` by queue and account.
create function punctual.delete_names_of(p_account_id uuid, p_names text[], p_chats text[]) returns integer
language sql set search_path = '' as $$
  update punctual.pace p set limited_addressees = nullif(p.limited_addressees - (p_names || p_chats), '{}')
    from (select x.queue, x.account_id from punctual.pace x
           where x.queue = 'dm_queue' and (p_account_id is null or x.account_id = p_account_id) and x.limited_addressees ?| (p_names || p_chats)
           order by x.queue, x.account_id for no key update) l
   where p.queue = l.queue and p.account_id = l.account_id;
  -- Keeps a user who is still known, for example to another account.
  with gone as (
    delete from punctual.whatsapp_users u
     where (u.user_id = any (p_names) or u.number = any (p_names))
       and not exists (select from punctual.enrolments_of(null, p_names, '{}'))
       and not exists (select from punctual.messages_to(null, p_names, '{}'))
    returning u.user_id)
  select count(*)::integer from gone
$$;

-- Deletes a person's data: texts, variables, names, numbers, chats and timelines. Keeps what the guarantees need: that a message existed, its
-- account, times, outcome, ids and idempotency key. First ends the person's open enrolments and messages. Deletes nothing while a message is
-- being sent or is unknown, because a check needs the data to find out whether it was sent.
--
-- The person is p_recipient (the provider's id, a number or a user id) or p_chat_id. p_account_id: as that account knows them; null: as any
-- account does. Safe to repeat. Returns {in_flight: {status: [message id]}} if nothing was deleted yet, or {deleted: {table: rows}}. Indexes find
-- every row, so a call takes no longer with more people. Raises PT404 if there is no such account, and 22023 if no person is given.
--
-- Locks receipts, then enrolments, then messages, each by id. Skips locked messages, and returns them as in flight.
create function punctual.forget_person(
  p_account_id uuid default null, p_recipient text default null, p_chat_id text default null, p_by text default null,
  p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_names text[] := coalesce(punctual.names_of(p_recipient), '{}');
  v_chats text[] := array_remove(array[p_chat_id], null);
  v_in_flight jsonb;
  v_enrolments bigint[];
  v_messages bigint[];
  v_receipts bigint[];
begin
  if p_account_id is not null and not exists (select from punctual.accounts a where a.id = p_account_id) then
    raise exception 'there is no account %', p_account_id using errcode = 'PT404';
  end if;
  if v_names = '{}' and v_chats = '{}' then
    raise exception 'no person is given' using errcode = '22023', hint = 'Give a recipient or a chat.';
  end if;
  select f.p_names, f.p_chats into v_names, v_chats from punctual.find_person(p_account_id, v_names, v_chats) f;
  -- Locks receipts before enrolments, as everywhere.
  v_receipts := punctual.lock_receipts_of(p_account_id, v_names, v_chats);
  v_in_flight := punctual.leave_person(p_account_id, v_names, v_chats, v_now);
  if v_in_flight is not null then return jsonb_build_object('in_flight', v_in_flight); end if;

  v_enrolments := array(select e.id from punctual.enrolments e
                         where e.id = any (array(select o.id from punctual.enrolments_of(p_account_id, v_names, v_chats) o)) order by e.id for no key update);
  -- A transaction that holds an enrolment never waits for a message. So a message that is being settled is in flight too.
  v_messages := array(select d.id from punctual.dm_queue d
                       where d.id = any (array(select o.id from punctual.messages_to(p_account_id, v_names, v_chats) o)) order by d.id for no key update skip locked);
  select jsonb_build_object('settling', jsonb_agg(o.id::text)) into v_in_flight
    from punctual.messages_to(p_account_id, v_names, v_chats) o where o.id <> all (v_messages) having count(*) > 0;
  if v_in_flight is not null then return jsonb_build_object('in_flight', v_in_flight); end if;
  return jsonb_build_object('deleted', jsonb_build_object(
    'enrolments', cardinality(v_enrolments), 'messages', cardinality(v_messages), 'receipts', cardinality(v_receipts),
    'events', punctual.empty_rows_of(v_enrolments, v_messages, v_receipts, p_by, v_now),
    'whatsapp_users', punctual.delete_names_of(p_account_id, v_names, v_chats)));
end
$$;

-- After a restore, a point-in-time recovery or a failover that lost the latest writes, rows that were sent in the lost time look unsent. An operator
-- follows docs/restore.md.

-- Runs one step of mark_rows_unknown: the next 5,000 rows after the id p_after; null begins at the first row. Returns the number of rows, the id of
-- the last one, and the ids of those that keep proof of an earlier attempt.
create function punctual.mark_next_rows_unknown(
  q punctual.queues, p_after text, p_since timestamptz, p_over_at timestamptz, p_now timestamptz, out rows integer, out last_id text, out proved text[])
language plpgsql set search_path = '' as $$
declare
  v_ended jsonb;
begin
  execute punctual.render_sql(q, $sql$
    with picked as materialized (
      select t.id, t.{status} = {pending} as was_pending, t.{status} = {unknown} as was_unknown, gen_random_uuid() as claim_id
        from {table} t
       where ($1 is null or t.id > $1::{id_type}) and (t.reconcile->>'restored_to')::timestamptz is distinct from $2
         and (t.{status} = {unknown} or (t.{status} = {running} and t.claimed_at <= $2)
              or (t.{status} = {pending} and {due_at} <= $4 and (t.expires_at is null or t.expires_at > $2)))
       order by t.id limit 5000 for no key update),
    marked as (
      update {table} t set
        {status} = {unknown}, claim_id = p.claim_id, claimed_at = case when p.was_pending then $2 else least(t.claimed_at, $2) end,
        lease_expires_at = null, finished_at = case when p.was_pending then $4 else coalesce(t.finished_at, $4) end, reconcile_at = punctual.next_check_at(0, $4),
        last_error = format('the database went back to %%s: it may have been %%s since', $2, {done}),
        reconcile = punctual.begin_reconcile({queue}, to_jsonb(t.*) || jsonb_build_object('claim_id', coalesce(t.claim_id, p.claim_id)), $3)
          || jsonb_build_object('restored_to', $2,
               'first_at', least((t.reconcile->>'first_at')::timestamptz, case when not p.was_pending then t.claimed_at end, $2))
          -- The digest and the account stay those of the row as it was sent, even if the row has changed since.
          || case when p.was_unknown then jsonb_strip_nulls(jsonb_build_object('digest', t.reconcile->'digest', 'account_id', t.reconcile->'account_id')) else '{}' end
        from picked p where t.id = p.id
      returning t.id, t.last_error, p.was_unknown, t.reconcile ? 'late_proof' as is_proved),
    noted as (
      insert into punctual.history (queue, row_id, at, event, text)
      select {queue}, d.id::text, $4, 'restored', d.last_error from marked d order by d.id)
    select count(*), (array_agg(d.id::text order by d.id desc))[1],
           jsonb_agg(jsonb_build_object('id', d.id, 'outcome', 'unknown', 'error', d.last_error, 'rate_limited', false) order by d.id)
             filter (where not d.was_unknown),
           array_agg(d.id::text order by d.id) filter (where d.is_proved)
      from marked d
    $sql$)
  into rows, last_id, v_ended, proved using p_after, p_since, p_over_at, p_now;
  if rows > 0 then perform punctual.run_after_settle_isolated(q, v_ended, p_now); end if;
end
$$;

-- Adds the rows that mark_rows_unknown made unknown to their accounts' `used`, as claims at p_since. A row that is proved absent gives its place back.
create function punctual.count_restored(q punctual.queues, p_since timestamptz, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  execute punctual.render_sql(q, $sql$
    update punctual.pace p set
      used = d.used + d.rows, used_until = d.until, used_since = case when d.used = 0 then $1 else p.used_since end
      from (select c.account_id, c.rows, u.used, u.until
              from (select t.{account} as account_id, count(*)::integer as rows from {table} t
                     where t.{status} = {unknown} and t.finished_at = $2 and t.claimed_at = $1 group by 1) c
              join punctual.accounts a on a.id = c.account_id
              join punctual.pace x on x.queue = {queue} and x.account_id = c.account_id
             cross join lateral punctual.used_of_day(x.used, x.used_until, case when punctual.is_time_zone(a.time_zone) then a.time_zone else 'UTC' end, $1) u) d
     where p.queue = {queue} and p.account_id = d.account_id
    $sql$)
  using p_since, p_now;
end
$$;

-- Makes rows of an at-most-once queue unknown that may have been attempted in the lost time: those that are due, those that were running, and those
-- that were unknown and may have been settled since. Each gets a new claim, so that no outcome of a lost claim changes it. p_over_at: when its
-- attempt is certainly over; no tick that began before p_now runs longer than 800 s. Skips rows that an earlier call for the same instant has
-- marked. Returns how many.
create function punctual.mark_rows_unknown(q punctual.queues, p_since timestamptz, p_over_at timestamptz, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_count integer := 0;
  v_marked record;
  v_last text;
begin
  loop
    v_marked := punctual.mark_next_rows_unknown(q, v_last, p_since, p_over_at, p_now);
    exit when v_marked.rows = 0;
    v_count := v_count + v_marked.rows;
    v_last := v_marked.last_id;
    -- Proof of an earlier attempt that the row kept while the lost attempt ran.
    perform punctual.apply_late_proof(q, l, p_now) from unnest(v_marked.proved) l;
  end loop;
  if q.account_column is not null then perform punctual.count_restored(q, p_since, p_now); end if;
  return v_count;
end
$$;

-- Queues the messages that due enrolments may have queued and sent in the lost time, as rows of dm_queue in place of the lost ones. Each is due at
-- the instant at which its step was due, within the step's hours. Returns how many.
create function punctual.queue_lost_messages(p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_id bigint;
  v_due timestamptz;
  v_message bigint;
  v_count integer := 0;
begin
  for v_id in
    select e.id from punctual.enrolments e where e.status in ('pending', 'running') and e.next_step_at <= p_now order by e.id for no key update
  loop
    continue when punctual.judge_enrolments(array[v_id::text], p_now)->v_id::text->>'outcome' <> 'again';
    update punctual.enrolments e set status = 'pending', claim_id = null, lease_expires_at = null where e.id = v_id;
    loop
      select e.next_step_at, e.message_id into v_due, v_message from punctual.enrolments e where e.id = v_id;
      v_count := v_count + (v_message is not null)::integer;
      -- If the step's hours had not begun, it has moved to their beginning.
      exit when v_due is null or v_due > p_now;
      perform punctual.settle_enrolments(jsonb_build_array(jsonb_build_object('id', v_id, 'outcome', 'again', 'due', v_due)), v_due);
    end loop;
  end loop;
  return v_count;
end
$$;

-- Raises 22023 for an instant to which the database cannot have been restored.
create function punctual.check_since(p_since timestamptz, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_hint text := 'Give the instant to which the database was restored, with its zone: ''2026-03-02 14:00:00+00''.';
begin
  if p_since is null then raise exception 'after_restore: p_since is null' using errcode = '22023', hint = v_hint; end if;
  if p_since > p_now then
    raise exception 'after_restore: % is in the future: now is %', p_since, p_now using errcode = '22023', hint = v_hint;
  end if;
  if p_since < p_now - interval '1 year' then
    raise exception 'after_restore: % is more than a year ago', p_since
      using errcode = '22023', hint = v_hint || ' No provider can be asked about so long a time. Cancel the rows that were due in it.';
  end if;
end
$$;

-- Pauses a queue, and makes rows unknown that may have been sent since p_since. Returns the queue's entry in the result of after_restore.
create function punctual.restore_queue(q punctual.queues, p_since timestamptz, p_over_at timestamptz, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_paused boolean := q.paused_at is null or q.paused_at > p_now;
  v_unknown integer := 0;
  v_run_again integer := 0;
begin
  if q.source = 'table' and to_regclass(format('%I.%I', q.table_schema, q.table_name)) is null then
    raise exception 'after_restore: the table %.% of the queue % does not exist', q.table_schema, q.table_name, q.name
      using errcode = '42P01', hint = format('Restore it as well, or remove the queue: select punctual.remove_queue(%L); Then call after_restore again.', q.name);
  end if;
  if v_paused then
    update punctual.queues x set paused_at = p_now, paused_reason = format('restored to %s: see docs/restore.md', p_since) where x.name = q.name;
  end if;
  if q.delivery = 'at-most-once' then
    v_unknown := punctual.mark_rows_unknown(q, p_since, p_over_at, p_now);
  elsif q.source = 'table' then
    execute punctual.render_sql(q, 'select count(*) from {table} t where t.{status} = {running} or (t.{status} = {pending} and {due_at} <= $1)')
      into v_run_again using p_now;
  else
    -- The number of pgmq's messages that run again is not known.
    v_run_again := null;
  end if;
  return jsonb_build_object(
    'queue', q.name, 'delivery', q.delivery, 'paused', v_paused, 'unknown', v_unknown, 'run_again', v_run_again,
    'claimed_since', (select coalesce(sum(t.claimed), 0) from punctual.ticks t where t.queue = q.name and t.started_at > p_since));
end
$$;

-- Pauses enrolments whose message mark_rows_unknown made unknown, and returns their number. A paused enrolment starts no next step when its message
-- is proved, and withdraws the message if it was not sent.
create function punctual.pause_restored_enrolments(p_over_at timestamptz, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_ids bigint[] := array(
    select e.id from punctual.dm_queue d join punctual.enrolments e on e.message_id = d.id
     where d.status = 'unknown' and (d.reconcile->>'over_at')::timestamptz = p_over_at and e.paused_at is null and not punctual.is_over(e)
     order by e.id);
begin
  perform punctual.pause_enrolment(i, p_now) from unnest(v_ids) i;
  return cardinality(v_ids);
end
$$;

-- Pauses accounts until their next day, and for at least an hour. Returns how many. Clears the refusal, so that a webhook that reports the account as
-- connected does not end the pause. An operator's longer pause keeps its reason.
create function punctual.pause_restored_accounts(p_since timestamptz, p_now timestamptz) returns integer
language sql set search_path = '' as $$
  with next as (
    select a.id, greatest(p_now + interval '1 hour', ((p_now at time zone z.name)::date + 1)::timestamp at time zone z.name) as day
      from punctual.accounts a
     cross join lateral (select case when punctual.is_time_zone(a.time_zone) then a.time_zone else 'UTC' end as name) z),
  paused as (
    update punctual.accounts a set
      refused = null,
      paused_until = greatest(a.paused_until, n.day),
      paused_reason = case when a.paused_until > n.day and a.paused_reason <> coalesce(a.refused->>'said', '') then a.paused_reason
                           else format('restored to %s: see docs/restore.md', p_since) end
      from next n where a.id = n.id and (a.refused is not null or coalesce(a.paused_until, '-infinity') < n.day)
    returning a.id)
  select count(*)::integer from paused
$$;

-- Repairs the state after a restore of the database. Call it before anything ticks. After this call nothing is claimed until an operator resumes the
-- queues. Owner only. Has no time limit: 1,000,000 due rows took four minutes on two busy cores.
--
-- p_since     the instant to which the database was restored; if in doubt, an earlier one. Raises 22023 for an instant that is not possible.
--
-- At-most-once rows that may have been sent since become unknown: checks prove them or put them back, or an operator decides. At-least-once rows
-- stay as they are and run again. Accounts are paused until their next day, and for at least an hour, because the number that they have sent today
-- is not known. Enrolments whose message became unknown are paused: their later steps may have been sent too.
--
-- Returns {since, now, last_tick_at: the latest tick in the database from before, accounts_paused, messages_queued, enrolments_paused, queues:
-- [{queue, delivery, paused: false if it was paused before, unknown, run_again, claimed_since}]}. claimed_since: rows that ticks claimed after the
-- restore and before this call. A second call changes only rows that were inserted meanwhile.
--
-- Locks the ledger first, so that no exchange runs meanwhile and the next one finds its queue paused; then accounts, rows and pace as exchanges do.
-- If a write of another session makes it fail (40P01), nothing has changed: call it again.
create function punctual.after_restore(p_since timestamptz, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
  q punctual.queues;
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_over_at timestamptz := v_now + interval '15 minutes';
  v_messages integer;
  v_queues jsonb := '[]';
begin
  perform punctual.check_since(p_since, v_now);
  lock table punctual.ticks in exclusive mode;
  perform from punctual.accounts a order by a.id for no key update;
  v_messages := punctual.queue_lost_messages(v_now);
  for q in select * from punctual.queues x order by x.name loop
    v_queues := v_queues || punctual.restore_queue(q, p_since, v_over_at, v_now);
  end loop;
  return jsonb_build_object(
    'since', p_since, 'now', v_now, 'last_tick_at', (select max(t.started_at) from punctual.ticks t where t.started_at <= p_since),
    'messages_queued', v_messages, 'queues', v_queues, 'enrolments_paused', punctual.pause_restored_enrolments(v_over_at, v_now),
    'accounts_paused', punctual.pause_restored_accounts(p_since, v_now));
end
$$;

select punctual.close_to_public();
select punctual.note_migration('20261129000000', 'punctual_0_2_0');
