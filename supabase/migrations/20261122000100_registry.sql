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

-- A function by its name and schema, quoted as Postgres quotes them, and nothing else: the name goes into statements as it stands, and
-- whoever calls ticks' functions as the owner runs it as the owner.
create domain punctual.function_name as text check (value ~ '^("([^"]|"")+"|[a-z_][a-z0-9_]*)\.("([^"]|"")+"|[a-z_][a-z0-9_]*)$');

create table punctual.queues (
  name text primary key check (name ~ '^[a-z][a-z0-9_]{0,39}$'),
  -- Where its rows are: in the table below, or in queues of pgmq, of which each is a partition.
  source text not null default 'table' check (source in ('table', 'pgmq')),
  table_schema text not null,
  table_name text not null,
  id_type text not null check (id_type in ('bigint', 'uuid')),
  due_column text not null,
  -- The column that says a row's state, and its type: text, or an enum of the table's own.
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
  -- Columns that take what an outcome's result says under their names; those of them that are jsonb, the others are text.
  result_columns text[] not null default '{}',
  jsonb_columns text[] not null default '{}',
  -- Columns that are shown to nobody.
  secret_columns text[] not null default '{}',
  -- The column (jsonb) that takes how far a running row is.
  progress_column text,
  -- The one of them that bears the provider's id of what was sent: a message proves one row at most.
  proof_column text,
  -- The column that says to whom: a provider may limit one pair of account and addressee.
  pair_column text,
  -- A function (p_ids text[], p_now timestamptz) -> {id: evidence}: what is known here of rows that are reconciled.
  evidence punctual.function_name,
  -- A function (p_ids text[], p_now timestamptz) -> {id: facts}: what perform has to know of rows that are claimed, beside the row.
  facts punctual.function_name,
  -- The text column that says what a row without a due time waits for. One that says nothing is one that no tick can reach.
  waits_column text,
  -- The column (timestamptz) that says until when a due row may be claimed; whoever made the row due later moves it on.
  closes_column text,
  -- A function (p_applied jsonb, p_now timestamptz) that runs in the transaction of the settle.
  after_settle punctual.function_name,
  -- A function (p_partition text, p_now timestamptz) that runs in a tick's first exchange, before anything is claimed.
  before_claim punctual.function_name,
  -- What add_queue did and found: {table, added: [columns], changes: [what it changed], notes: [what it found]}.
  setup jsonb,

  -- What an operator may change at any time; the next exchange obeys.
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
  -- Up to a hundred years, here and in punctual.settings: what is subtracted from now has to stay an instant.
  retention_days integer default 30 check (retention_days between 1 and 36500),
  paused_at timestamptz,
  paused_reason text,

  unique (table_schema, table_name),
  check (backoff_cap_seconds >= backoff_base_seconds)
);
comment on column punctual.queues.batch_limit is 'The most rows that one tick claims; null is unlimited.';
comment on column punctual.queues.adaptive is 'Batch limit and concurrency follow the backlog, and what providers bear.';
comment on column punctual.queues.budget_seconds is 'The longest that a tick works; null is what its limit leaves.';
comment on column punctual.queues.max_continuations is 'How many ticks may follow one call at once while there is a backlog; 0 is none.';
comment on column punctual.queues.retention_days is 'Settled rows older than this are pruned; null keeps them for ever.';

-- A named part of a queue with its own tick. Null settings are the queue's.
create table punctual.partitions (
  queue text not null references punctual.queues on delete cascade,
  partition text not null check (partition <> ''),
  batch_limit integer check (batch_limit > 0),
  concurrency integer check (concurrency between 1 and 1000),
  adaptive boolean,
  budget_seconds integer check (budget_seconds > 0),
  max_ticks integer check (max_ticks between 1 and 100),
  timeout_seconds integer check (timeout_seconds between 1 and 785),
  -- The most rows that run at once, whatever number of ticks; 1 makes it blocking.
  max_running integer check (max_running > 0),
  -- Of a blocking one: the row that was claimed last. Until it is finished no other is.
  head_id text,
  paused_at timestamptz,
  paused_reason text,
  last_tick_at timestamptz,
  -- The account that wake_accounts goes on with, where a call ended before it had come to all.
  wakes_from uuid,
  primary key (queue, partition),
  -- Which message runs next is pgmq's to say: none can be made to wait for another.
  constraint partitions_pgmq_has_no_order check (queue <> 'pgmq' or max_running is null)
);

-- The ledger: one row a tick.
create table punctual.ticks (
  id uuid primary key,
  queue text not null references punctual.queues on delete cascade,
  partition text not null,
  scheduler text not null,
  -- The endpoint that it called, and by which schedule (a cron expression, UTC), where that is known.
  path text,
  schedule text,
  slot timestamptz,
  -- 0 for the tick that the scheduler asked for; those that went on where it ended have the next numbers, and its run id.
  continuation integer not null default 0,
  run_id uuid not null default gen_random_uuid(),
  -- The slot had been delivered before: this delivery is one too many, and harmless.
  duplicate boolean not null default false,
  -- Somebody asked for rows of this state; null where a scheduler called.
  asked_for text check (asked_for in ('pending', 'dead')),
  -- False where another tick was running and this one was told to leave.
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
  -- Outcomes by which a provider said that it is too much.
  limited integer not null default 0,
  -- How adaptive settings stand: the step that the backlog calls for, less what limits take off.
  step smallint,
  -- The number of the latest exchange: one that comes after a later one, or twice, claims nothing.
  last_seq integer not null default 0,
  -- The lease of the rows that it claimed last: a repeated exchange finds its rows by it.
  lease_until timestamptz,
  -- What it says of itself beyond these columns.
  report jsonb
);
create unique index ticks_slot on punctual.ticks (queue, partition, coalesce(asked_for, ''), slot, continuation, scheduler, coalesce(path, ''))
  where slot is not null and not duplicate;
create index ticks_recent on punctual.ticks (queue, started_at desc);
create index ticks_idle on punctual.ticks (queue, started_at) where outcome in ('idle', 'skipped') and done = 0;
create index ticks_open on punctual.ticks (queue, partition) where closed_at is null;

-- A provider that failed as a whole, or refuses our set-up, waits, the longer the more often in a row.
create table punctual.providers (
  name text primary key,
  failures integer not null default 0,
  paused_until timestamptz,
  -- After a pause one row at a time tries the provider, until it answers.
  probing_until timestamptz,
  last_error text,
  -- Calls in a row that it refused because our set-up is wrong: a person has to act.
  refusals integer not null default 0
);

-- Whether Postgres knows it by that name. It also takes made-up ones with an offset (Mars3): those are told from the few real names
-- with digits (EST5EDT) by the list of them, which is slow to read.
create function punctual.is_time_zone(p_name text) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  return (p_name ~ '^[A-Za-z]+([/_+-][A-Za-z0-9_+-]+)*$' and timezone(p_name, timestamptz '2000-01-01 00:00:00+00') is not null)
      or (p_name ~ '^[A-Z]{3}[0-9][A-Z]{0,3}$' and exists (select from pg_catalog.pg_timezone_names n where n.name = p_name));
exception when invalid_parameter_value then
  return false;
end
$$;

-- Hours by weekday, {"mon": ["09:00-12:00", "13:00-24:00"]}: each span from before its end. A day that is left out is closed.
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

-- Who rows are sent as, and how much is sent: null is no limit. Every queue with accounts keeps to it by itself.
create table punctual.accounts (
  id uuid primary key default gen_random_uuid(),
  provider text not null check (provider <> ''),
  provider_account_id text not null check (provider_account_id <> ''),
  name text not null,
  time_zone text not null default 'UTC',
  -- A day is the account's own.
  daily_limit integer not null default 30 check (daily_limit >= 0),
  -- In any sixty minutes.
  hourly_limit integer check (hourly_limit between 1 and 1000),
  -- From one claim to the next at least this, and a share of the jitter, another each time.
  gap_seconds integer check (gap_seconds between 0 and 86400),
  gap_jitter_seconds integer not null default 0 check (gap_jitter_seconds between 0 and 86400),
  hours jsonb check (hours is null or punctual.is_hours(hours)),
  -- A new account's daily limit grows from ramp_from_percent on this day to all of it, ramp_days days in all.
  ramp_started_on date,
  ramp_days integer not null default 14 check (ramp_days between 1 and 365),
  ramp_from_percent integer not null default 20 check (ramp_from_percent between 1 and 100),
  paused_until timestamptz,
  paused_reason text,
  -- That the provider refuses the account, as count_refusal() and place_refusal() have it; null after anything else that it answered.
  refused jsonb,
  -- When the latest event happened that told by webhook of its connection: see note_connection().
  connection_told_at timestamptz,
  created_at timestamptz not null default now(),
  unique (provider, provider_account_id),
  constraint accounts_time_zone_exists check (punctual.is_time_zone(time_zone))
);

create index accounts_refused on punctual.accounts (id) where refused is not null;

-- What each account has done and may do next, per queue. The settings here, where they are set, are the queue's own for this account.
--
-- ready_at is only where a claim looks first: whether the account may go is judged by account_opening()
-- under the lock of this row, at the claim.
create table punctual.pace (
  queue text not null references punctual.queues on delete cascade,
  account_id uuid not null references punctual.accounts on delete cascade,
  provider text not null,
  daily_limit integer check (daily_limit >= 0),
  hourly_limit integer check (hourly_limit between 1 and 1000),
  gap_seconds integer check (gap_seconds between 0 and 86400),
  gap_jitter_seconds integer check (gap_jitter_seconds between 0 and 86400),
  hours jsonb check (hours is null or punctual.is_hours(hours)),
  -- Claims of the day that ends then, and when the first of them was made.
  used integer not null default 0,
  used_until timestamptz,
  used_since timestamptz,
  -- When its latest claims were made, oldest first: as many as its hourly limit, and 30 at least. One that had no effect is taken out.
  recent timestamptz[] not null default '{}',
  -- How often in a row the provider said that it is too much.
  limited integer not null default 0,
  -- What the provider refused last of this queue's rows, or of everything: as count_refusal() has it; null after anything else that it answered.
  refused jsonb,
  -- Addressees that the provider holds back: {addressee: {until, count, said}}.
  held jsonb,
  -- Not worth a look before this; '-infinity' where nobody knows better.
  next_ok_at timestamptz not null default '-infinity',
  waiting_for text,
  -- Since when it has had work to do; in the future when the next is known; null when none is known.
  ready_at timestamptz,
  -- The claim of the row that is running now, and the end of its lease.
  claim_id uuid,
  busy_until timestamptz,
  -- Its head failed and is tried again then; the rows behind it wait, since they go in order.
  retry_at timestamptz,
  primary key (queue, account_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500);
-- The provider first, so that no plan takes it for the way to one account's row.
create index pace_ready on punctual.pace (provider, queue, ready_at);
create index pace_held on punctual.pace (queue) where held is not null;
create index pace_refused on punctual.pace (queue) where refused is not null;

-- The names and words of a queue's table as SQL, which stand for the placeholders of render_sql and of templates:
--
-- {table} {id_type} {queue}       the table, the type of its id, the queue's name
-- {status} {status_type} {due} {account} {partition} {addressee} {progress} {proof} {waits} {closes}  its columns, of which it may lack some
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

-- A statement on a queue's table: the template with the queue's names in place of its placeholders, and then format() of it with p_args.
-- In plpgsql, as whatever a call needs many times: the body of a function in SQL is planned anew in each transaction.
create function punctual.render_sql(q punctual.queues, p_template text, variadic p_args text[] default '{}') returns text
language plpgsql immutable set search_path = '' as $$
declare
  v_text text := p_template;
  v_name record;
begin
  -- What a person calls {status} is no placeholder, and a % in a name is no argument.
  for v_name in select n.key, n.value from jsonb_each_text(punctual.names_of_queue(q)) n where n.value is not null loop
    v_text := replace(v_text, '{' || v_name.key || '}', replace(replace(v_name.value, '%', '%%'), '{', U&'\E000'));
  end loop;
  return format(replace(v_text, U&'\E000', '{'), variadic p_args);
end
$$;

-- Whether its account waits for the pending row p_row: it was claimed, and no other pending row of the account was claimed later.
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

-- Ends the wait of an account for a row that is no more to be tried again, and for no other's: the hold is of the row that was claimed last.
-- p_row: as it stood while it held.
create function punctual.end_hold(q punctual.queues, p_row jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if q.account_column is null or p_row->>q.status_column <> q.pending_word or not punctual.holds_account(q, p_row) then return; end if;
  update punctual.pace p set retry_at = null, next_ok_at = '-infinity', waiting_for = null, ready_at = p_now
   where p.queue = q.name and p.account_id = (p_row->>q.account_column)::uuid and p.retry_at > p_now;
end
$$;

-- An account has a pace in every queue that has accounts.
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

-- What was reckoned from the old settings no longer holds: the next tick judges anew. One statement locks its paces in the order that
-- settles do.
create function punctual.forget_account_waits() returns trigger
language plpgsql set search_path = '' as $$
begin
  update punctual.pace p
     set provider = l.provider, next_ok_at = '-infinity', waiting_for = null, ready_at = null,
         -- Who ends a pause has seen to what led to it: see end_account_refusal.
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

-- The same for a queue's own settings. The columns are named, so that it costs claims and settles nothing.
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

-- What became of rows other than being done at once: failures, uncertainty, and every step of finding out.
create table punctual.history (
  id bigint generated by default as identity primary key,
  queue text not null references punctual.queues on delete cascade,
  row_id text not null,
  at timestamptz not null,
  -- retry, dead, unknown, swept, expired, restored; looked, proved, absent, receipt, decided, late; twice: it was delivered twice; left_out: a result
  -- that could not be written; error: something of it could not be done, and the rest went on.
  event text not null,
  text text
);
create index history_row on punctual.history (queue, row_id, id);
create index history_old on punctual.history (queue, at);
create index history_trouble on punctual.history (queue, event, at) where event in ('twice', 'error');

-- What could not be done of one row, where everything else goes on. Once an hour: it may fail at each tick.
create function punctual.note_error(q punctual.queues, p_row_id text, p_text text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if not exists (select from punctual.history h where h.queue = q.name and h.row_id = p_row_id and h.event = 'error'
                    and h.at > p_now - interval '1 hour' and h.text = left(p_text, 2000)) then
    insert into punctual.history (queue, row_id, at, event, text) values (q.name, p_row_id, p_now, 'error', left(p_text, 2000));
  end if;
end
$$;

-- Does something (SQL; $1: the items, $2: p_now) to many rows at once; where that raises, to each alone, so that one that cannot be done does
-- not keep the others. p_items: [{id, …}]. p_failure: what then stands in the history of a row. Answers the ids of those that were done.
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

-- The items of an array, fifty at a time.
create function punctual.by_fifty(p_items jsonb) returns setof jsonb
language plpgsql immutable set search_path = '' as $$
begin
  return query select jsonb_agg(i order by n) from jsonb_array_elements(p_items) with ordinality e (i, n) group by (n - 1) / 50 order by (n - 1) / 50;
end
$$;

-- What providers tell by webhook. Ticks read it; a webhook touches no row. A message says each thing once, however often it is sent.
create table punctual.receipts (
  id bigint generated by default as identity primary key,
  provider text not null,
  kind text not null check (kind in ('status', 'message')),
  status text not null check (status in ('sent', 'delivered', 'read', 'failed', 'received')),
  message_id text not null,
  -- What we gave along, and what it names: queue/row id/claim id.
  reference text,
  queue text,
  row_id text,
  provider_account_id text,
  chat_id text,
  recipient text,
  -- Null where it is no conversation of ours.
  body text,
  error text,
  -- By the provider's clock.
  said_at timestamptz,
  received_at timestamptz not null,
  -- When a tick made use of it.
  applied_at timestamptz,
  unique (message_id, provider, kind, status)
);
-- The message, the row, the person and the chat come first: forget_person() looks for each of them alone.
create index receipts_new on punctual.receipts (queue, row_id) where applied_at is null and queue is not null;
create index receipts_row on punctual.receipts (row_id, queue) where row_id is not null;
create index receipts_recipient on punctual.receipts (recipient, provider_account_id, kind, status) where recipient is not null;
create index receipts_chat on punctual.receipts (chat_id, provider_account_id, kind, status) where chat_id is not null;
create index receipts_latest_unmatched on punctual.receipts (id) where kind = 'message' and status = 'received' and applied_at is null;
create index receipts_old on punctual.receipts (received_at);

-- Whether the call under way has taken long enough. Its loops stop then, and the next call goes on where they stopped: one that the statement
-- timeout ends has done nothing. punctual.call_ms: how long, 750 unless set; with 0 each loop goes round once. This is cost and not time:
-- the machine's own clock counts, whatever p_now is.
create function punctual.is_call_over() returns boolean
language plpgsql set search_path = '' as $$
begin
  return clock_timestamp() - statement_timestamp()
      >= coalesce(nullif(current_setting('punctual.call_ms', true), ''), '750')::integer * interval '1 millisecond';
end
$$;

-- Returns SQL conditions on the rows after the one whose key is p_cursor (null: on all rows), in the order of p_exprs, which have p_types: ascending,
-- or descending if p_desc. A row meets at most one of them. Each is an index condition if an index has that order. Null is the greatest, as Postgres
-- sorts it. Only the first of p_exprs may be null.
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

-- A page of a list, {items, next}. p_rows: [{item, key}] in order, one more than p_limit where there are more: next is then the key of the last
-- item, for the p_cursor of the next page; null at the end.
create function punctual.page_of(p_rows jsonb, p_limit integer) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object(
    'items', (select coalesce(jsonb_agg(r->'item' order by n), '[]') from jsonb_array_elements(p_rows) with ordinality e (r, n) where n <= p_limit),
    'next', case when jsonb_array_length(p_rows) > p_limit then p_rows->(p_limit - 1)->'key' end)
$$;

-- What to do about a queue whose table is gone, or cannot be read.
create function punctual.missing_table_hint(p_name text) returns text
language sql immutable set search_path = '' as $$
  select format('Restore it, or remove the queue: select punctual.remove_queue(%L);', p_name)
$$;

-- A queue by its name. Raises PT404, also if its table is gone.
create function punctual.read_queue(p_name text) returns punctual.queues
language plpgsql stable set search_path = '' as $$
declare
  q punctual.queues;
begin
  select * into q from punctual.queues where name = p_name;
  if not found then
    raise exception 'there is no queue "%"', p_name using errcode = 'PT404',
      hint = case p_name when 'pgmq' then 'Message queues are added by add_message_queue().' else 'Tables become queues by add_queue().' end;
  end if;
  if q.source = 'table' and to_regclass(format('%I.%I', q.table_schema, q.table_name)) is null then
    raise exception 'the table %.% of the queue % does not exist', q.table_schema, q.table_name, q.name
      using errcode = 'PT404', hint = punctual.missing_table_hint(q.name);
  end if;
  return q;
end
$$;

-- The queue's words, in the order pending, running, done, dead, unknown, cancelled.
create function punctual.list_words(q punctual.queues) returns text[]
language plpgsql immutable set search_path = '' as $$
begin
  return array[q.pending_word, q.running_word, q.done_word, q.dead_word, q.unknown_word, q.cancelled_word];
end
$$;

-- The state that a row's word stands for; null for no word of the queue's.
create function punctual.state_of_word(q punctual.queues, p_word text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return (array['pending', 'running', 'done', 'dead', 'unknown', 'cancelled'])[array_position(punctual.list_words(q), p_word)];
end
$$;

-- The queue's word for a state; null for what is none.
create function punctual.word_of_state(q punctual.queues, p_state text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return (punctual.list_words(q))[array_position(array['pending', 'running', 'done', 'dead', 'unknown', 'cancelled'], p_state)];
end
$$;

-- What somebody who asks may say for a state: the queue's word, or the state's own name; null for neither.
create function punctual.state_of(q punctual.queues, p_said text) returns text
language sql immutable set search_path = '' as $$
  select coalesce(punctual.state_of_word(q, p_said),
                  case when p_said in ('pending', 'running', 'done', 'dead', 'unknown', 'cancelled') then p_said end)
$$;

-- Whether a row's id can have this form.
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

-- Rows that somebody wanted to take back while another had them in hand: no claim takes them before their queue's before_claim has judged them.
create table punctual.held_rows (
  queue text not null references punctual.queues on delete cascade,
  row_id text not null,
  primary key (queue, row_id)
);

-- Idempotency keys of rows that were pruned: each still stands for its row, for settings.idempotency_keys_days.
create table punctual.spent_keys (
  queue text not null references punctual.queues on delete cascade,
  key text not null,
  row_id text not null,
  status text not null,
  spent_at timestamptz not null,
  primary key (queue, key)
);
create index spent_keys_old on punctual.spent_keys (spent_at);

-- Whether keys of the queue outlive their rows. What takes in the others' rows does not know of spent ones.
create function punctual.keeps_keys(p_queue text) returns boolean
language sql immutable set search_path = '' as $$
  select p_queue in ('dm_queue', 'posts')
$$;

-- Keeps retention from deleting rows with these keys, and spent keys, before this transaction ends. It waits for a deletion that is under way: the
-- next statement sees the spent key that it left. p_rows: [{idempotency_key}]; of dm_queue or posts.
create function punctual.hold_keys(p_queue text, p_rows jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_keys text[] := array(select r->>'idempotency_key' from jsonb_array_elements(p_rows) r where r->>'idempotency_key' is not null);
begin
  execute format('select from punctual.%I t where t.idempotency_key = any ($1) order by t.id for key share', p_queue) using v_keys;
  perform from punctual.spent_keys k where k.queue = p_queue and k.key = any (v_keys) order by k.key for key share;
end
$$;

-- After an insert with a key, of the queue tg_argv[0]: also one that waited for the row's pruning sees it here. Runs as the owner: row-level
-- security hides spent keys from a role that may only insert, and the message would go out again. It calls no code but its own.
create function punctual.refuse_spent_key() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_spent punctual.spent_keys;
begin
  select * into v_spent from punctual.spent_keys s where s.queue = tg_argv[0] and s.key = new.idempotency_key;
  if found then
    raise exception 'the idempotency_key "%" was used for row %, which is % and was pruned', v_spent.key, v_spent.row_id, v_spent.status
      using errcode = 'PT409', hint = 'Use another key, or none, where this is to be done once more.';
  end if;
  return null;
end
$$;

-- Closed to everybody but the service role, and what the owner keeps for himself to that as well. Called at the end of every migration that adds functions:
-- default privileges would have to be changed for the whole database, and that is not ours to do.
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
                               'list_queue_workers', 'call_queue_worker', 'punctual_install_schedules', 'punctual_remove_schedules', 'keep_token',
                               'read_token', 'find_token_place', 'drop_cron_job', 'prune_worker_runs', 'after_restore', 'note_migration', 'make_functions', 'drop_functions') then
      execute format('grant execute on function %s to service_role', v_function.signature);
    end if;
  end loop;
  for v_function in
    select c.oid::regclass as signature, c.relname as name
      from pg_catalog.pg_class c where c.relnamespace = 'punctual'::regnamespace and c.relkind = 'r'
  loop
    execute format('alter table %s enable row level security', v_function.signature);
    -- Tokens, and where they are sent.
    if v_function.name in ('queue_workers', 'queue_worker_tokens') then
      execute format('revoke all on table %s from service_role', v_function.signature);
    end if;
  end loop;
  -- What a queue is, its functions above all, is the owner's to say: only its settings are anybody else's.
  revoke insert, update, delete on punctual.queues from service_role;
  grant update (batch_limit, concurrency, adaptive, budget_seconds, max_ticks, max_continuations, timeout_seconds, lease_seconds, max_attempts,
                backoff_base_seconds, backoff_cap_seconds, retention_days, paused_at, paused_reason) on punctual.queues to service_role;
  -- So is what migrations it has had, and what its functions are made from.
  revoke insert, update, delete on punctual.schema_migrations from service_role;
  if to_regclass('punctual.templates') is not null then revoke insert, update, delete on punctual.templates from service_role; end if;
end
$$;

select punctual.close_to_public();
select punctual.note_migration('20261122000100', 'registry');
