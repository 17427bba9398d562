-- pgmq: Supabase Queues as a source of work. The registry's queue `pgmq` has no table of rows; each pgmq queue that was added is a
-- partition of it. The engine's functions come here for what they else do with a queue's table.
--
-- pgmq's visibility timeout is the lease, by its own functions: read, set_vt, archive, delete. It reckons by the database's clock, always.
-- So p_now meets pgmq only as a duration: what is left until p_lease_until, or since a message's vt.
--
-- Locks: messages by their number, then their lines here. A line is written only under the lock of its message, or where the message is
-- gone: so a claim, which skips messages that are locked, never waits for a line.

-- What was said of each pgmq queue when it was added.
create table punctual.message_queues (
  queue text not null default 'pgmq' check (queue = 'pgmq'),
  partition text primary key,
  -- Every message is this job's payload; null: each message names its own.
  job text check (job <> ''),
  on_done text not null check (on_done in ('archive', 'delete')),
  -- Null: the queue's.
  max_attempts integer check (max_attempts between 1 and 1000),
  foreign key (queue, partition) references punctual.partitions on delete cascade
);

-- A line for each message that was claimed and is not finished, and for an hour after: whoever tells an outcome twice is told so.
create table punctual.messages (
  partition text not null,
  msg_id bigint not null,
  -- Tells the message from one of a pgmq queue that was dropped and made anew, which counts from 1 again.
  enqueued_at timestamptz not null,
  state text not null check (state in ('pending', 'running', 'done', 'dead')),
  -- The fence. It stays, and so does the lease of a claim that was swept: a late `done` is still known by them.
  claim_id uuid not null,
  lease_expires_at timestamptz,
  claimed_at timestamptz not null,
  -- Without those that were released: pgmq's read_ct counts every read.
  attempts integer not null,
  -- pgmq's count at our claim. A higher one says that another consumer has read the message since.
  read_ct integer not null,
  last_error text,
  finished_at timestamptz,
  primary key (partition, msg_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
create index messages_lease on punctual.messages (lease_expires_at) where state = 'running';
create index messages_finished on punctual.messages (finished_at) where finished_at is not null;

-- Messages that came to nothing, out of pgmq's reach. An operator sends them back or throws them away.
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
  -- Thrown away; it stays until retention takes it.
  cancelled_at timestamptz,
  primary key (partition, msg_id, enqueued_at)
);
create index set_aside_messages_old on punctual.set_aside_messages (set_aside_at);

-- The tables of a pgmq queue, by the catalog: a look that needs no right and raises nothing. fault: why the caller cannot work on it.
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
    remedy := format('Make it in the dashboard, or: select pgmq.create(%L);', p_partition);
  elsif v_messages.relkind <> 'r' then
    fault := format('the pgmq queue "%s" is partitioned, which Punctual does not work on', p_partition);
    remedy := 'Make a basic or an unlogged queue: select pgmq.create(''…'');';
  elsif not (has_schema_privilege(v_schema, 'usage') and has_table_privilege(v_messages.oid, 'select')
             and has_table_privilege(v_messages.oid, 'insert') and has_table_privilege(v_messages.oid, 'update')
             and has_table_privilege(v_messages.oid, 'delete') and has_table_privilege(v_archive, 'select')
             and has_table_privilege(v_archive, 'insert')) then
    fault := format('%s may not use the pgmq queue "%s"', current_user, p_partition);
    remedy := format('It was made anew, perhaps. Run again: select punctual.add_message_queue(%L);', p_partition);
  end if;
end
$$;

-- Its name; raises what stands in the way, and what to do.
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

-- A row's id is <pgmq queue>:<msg_id>. Nulls where it has another form.
create function punctual.split_message_id(p_id text, out partition text, out msg_id bigint)
language sql immutable set search_path = '' as $$
  select m[1], m[2]::bigint from (select regexp_match(p_id, '^(.+):([0-9]{1,18})$') as m) r
$$;

-- What a handler is given, and a person is shown, of a message of pgmq's or one set aside (p_message: its table's row).
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

-- Refuses what is no object of settings of one message queue.
create function punctual.check_message_settings(p_settings jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_unknown text;
begin
  if jsonb_typeof(p_settings) <> 'object' then
    raise exception 'add_message_queue: p_settings has to be an object' using errcode = '22023';
  end if;
  select k into v_unknown from jsonb_object_keys(p_settings) k
   where k not in ('max_attempts', 'adaptive', 'batch_limit', 'budget_seconds', 'concurrency', 'max_ticks', 'timeout_seconds') limit 1;
  if v_unknown is not null then
    raise exception 'add_message_queue: "%" is no setting of one message queue', v_unknown using errcode = '22023', hint =
      'It knows max_attempts, adaptive, batch_limit, budget_seconds, concurrency, max_ticks, timeout_seconds. '
      'Others are of all of them: update punctual.queues set … where name = ''pgmq'';';
  end if;
end
$$;

-- Grants the service role what ticks do with the pgmq queue's tables: the exchange runs as that role, with no more rights than it has.
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
  -- A grant of what one may not give away is a warning, and no more.
  if not (has_schema_privilege('service_role', 'pgmq', 'usage')
          and has_table_privilege('service_role', format('pgmq.%I', p_message_table), 'delete')
          and has_table_privilege('service_role', format('pgmq.%I', p_archive_table), 'insert')) then
    raise exception 'add_message_queue: % may not grant service_role the use of the pgmq queue "%"', current_user, p_name
      using errcode = '42501', hint = 'Run it as the owner of the queue''s tables.';
  end if;
end
$$;

-- Puts a pgmq queue under Punctual. Owner only. Running it again is harmless: it says anew what p_job and p_on_done are, and grants anew.
--
-- p_job       every message is the payload of this job; null: each message is {"name": …, "payload": …}.
-- p_on_done   archive: pgmq.archive; delete: pgmq.delete.
-- p_settings  this queue's own, as columns of punctual.partitions (batch_limit, concurrency, max_ticks, …) and max_attempts. What is left
--             out stays as it is.
create function punctual.add_message_queue(
  p_name text, p_job text default null, p_on_done text default 'archive', p_settings jsonb default '{}') returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_found record;
  v_name text;
  v_settings jsonb := coalesce(p_settings, '{}');
begin
  if p_on_done is null or p_on_done not in ('archive', 'delete') then
    raise exception 'add_message_queue: p_on_done is "%", and has to be archive or delete', p_on_done using errcode = '22023';
  end if;
  if p_name is null or p_name !~ '^[A-Za-z0-9_.-]{1,80}$' then
    raise exception 'add_message_queue: "%" is no name by which its messages could be asked for', p_name
      using errcode = '22023', hint = 'Up to 80 letters, digits, _, - and dots: make a pgmq queue of such a name.';
  end if;
  select * into v_found from punctual.find_message_table(p_name);
  if v_found.fault is not null then
    raise exception 'add_message_queue: %', v_found.fault using errcode = '22023', hint = v_found.remedy;
  end if;
  perform punctual.check_message_settings(v_settings);
  -- As it was made: pgmq takes any mixture of cases for the same queue, and a partition has one name.
  execute 'select m.queue_name from pgmq.meta m where lower(m.queue_name) = lower($1)' into v_name using p_name;
  v_name := coalesce(v_name, p_name);

  insert into punctual.queues (name, source, table_schema, table_name, id_type, due_column, status_type, partition_column,
    pending_word, running_word, done_word, dead_word, unknown_word, cancelled_word, delivery)
  values ('pgmq', 'pgmq', 'punctual', 'messages', 'bigint', 'vt', 'text', 'partition',
    'pending', 'running', 'done', 'set_aside', 'unknown', 'cancelled', 'at-least-once')
  on conflict (name) do nothing;
  if not exists (select from punctual.queues q where q.name = 'pgmq' and q.source = 'pgmq') then
    raise exception 'add_message_queue: a table of yours is the queue "pgmq" already' using errcode = '23505';
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

-- Visible messages, in pgmq's order. Answers [{id, attempt, timeout_seconds, row}].
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
  -- Whole seconds, and not one less than the lease.
  select jsonb_agg(to_jsonb(m)) into v_read
    from pgmq.read(p_partition, ceil(extract(epoch from p_lease_until - p_now))::integer, p_want) m;
  if v_read is null then return '[]'; end if;

  -- Its process died again and again, and no sweep has come to it yet.
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

-- Messages whose lines have become `dead` leave pgmq's queue and stand where an operator finds them, all in this transaction.
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

-- One that was set aside is in pgmq's queue again under its old number, and visible. False: another message has that number by now.
create function punctual.put_message_back(p_partition text, p_msg_id bigint, p_enqueued_at timestamptz) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_table text := punctual.need_message_table(p_partition);
  -- Before 1.5 pgmq's messages had none.
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

-- Writes outcomes back; takes and answers what settle_outcomes does. `retry`: visible again after its delay; `again`: too, and attempts
-- begin anew; `dead` and `unknown`: set aside.
create function punctual.settle_messages(q punctual.queues, p_outcomes jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_asked jsonb;
  v_partition text;
  v_judged jsonb := '[]';
begin
  select coalesce(jsonb_agg(r || jsonb_build_object('partition', s.partition, 'msg_id', s.msg_id)), '[]') into v_asked
    from (select jsonb_build_object('id', i, 'claim_id', g->'claim_id', 'outcome', 'done') as r
            from jsonb_array_elements(coalesce(p_outcomes->'done', '[]')) g cross join lateral jsonb_array_elements_text(g->'ids') i
          union all select r from jsonb_array_elements(coalesce(p_outcomes->'records', '[]')) r) a
   cross join lateral punctual.split_message_id(r->>'id') s;
  for v_partition in select distinct r->>'partition' from jsonb_array_elements(v_asked) r order by 1 loop
    v_judged := v_judged || case when v_partition is null
      then (select jsonb_agg(r || '{"verdict": "lost", "applied": null}') from jsonb_array_elements(v_asked) r where r->>'partition' is null)
      else punctual.settle_partition(q, v_partition,
             (select jsonb_agg(r) from jsonb_array_elements(v_asked) r where r->>'partition' = v_partition), p_now) end;
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

-- Locks the messages of one pgmq queue, and judges the outcomes that are brought for them. p_asked: records with msg_id. Answers them with verdict,
-- applied (the outcome that is to be written, null where none is), was (what it had come to before), enqueued_at, and set_aside: it was, and is to
-- be put back.
create function punctual.judge_messages(q punctual.queues, p_partition text, p_asked jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_table text := punctual.need_message_table(p_partition);
  v_ids bigint[] := array(select (r->>'msg_id')::bigint from jsonb_array_elements(p_asked) r);
  v_judged jsonb;
begin
  execute format('select 1 from pgmq.%I t where t.msg_id = any ($1) order by t.msg_id for update', v_table) using v_ids;
  perform from punctual.messages m where m.partition = p_partition and m.msg_id = any (v_ids) order by m.msg_id for no key update;
  -- Under those locks, by a statement of its own: it sees what others wrote while we waited.
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
         -- Late proof for one that was given up meanwhile.
         when m.state = 'dead' and a.outcome = 'done' and exists (
           select from punctual.set_aside_messages s where s.partition = $2 and s.msg_id = m.msg_id and s.enqueued_at = m.enqueued_at
              and s.cancelled_at is null)
           -- Not where the queue was made anew, and another message has the number.
           and not exists (select from pgmq.%I x where x.msg_id = a.msg_id) then 'applied'
         when m.lease_expires_at is null and (m.state <> 'pending' or a.outcome <> 'done') then 'already'
         -- Gone, or another consumer has read it since our lease ended: it is that one's now.
         when t.msg_id is null or t.read_ct <> m.read_ct then 'lost'
         when m.state = 'running' then 'applied'
         -- Swept, or told of before: nobody has taken it since.
         when m.state = 'pending' and a.outcome in ('done', 'dead', 'again') then 'applied'
         else 'lost' end as verdict) v
    $sql$, v_table, v_table) into v_judged using p_asked, p_partition, punctual.max_message_attempts(q, p_partition);
  return v_judged;
end
$$;

-- Settles the messages of one pgmq queue: see judge_messages, whose records it takes and answers.
create function punctual.settle_partition(q punctual.queues, p_partition text, p_asked jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_judged jsonb := punctual.judge_messages(q, p_partition, p_asked);
  v_done bigint[];
  v_dead bigint[];
begin
  perform punctual.put_message_back(p_partition, j.msg_id, j.enqueued_at)
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

-- What an exchange asks of a queue, asked of pgmq: the same verbs as of a table.
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
  out asked integer, out settled integer, out written text[], out counts jsonb, out applied jsonb, out changed jsonb)
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

-- The messages that still run under a claim: [{id, attempt, timeout_seconds, row}].
create function punctual.list_claimed_messages(p_claim_id uuid, p_lease_until timestamptz) returns json[]
language plpgsql stable set search_path = '' as $$
declare
  v_partition text;
  v_rows json[];
begin
  -- A claim is of one partition.
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

-- Messages of one pgmq queue whose lease has passed, two hundred at most. Answers how many were visible again or set aside.
create function punctual.sweep_message_queue(q punctual.queues, p_partition text, p_table text, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_ids bigint[] := array(
    select m.msg_id from punctual.messages m where m.partition = p_partition and m.state = 'running' and m.lease_expires_at <= p_now
     order by m.lease_expires_at limit 200);
  v_swept jsonb;
  v_dead bigint[];
begin
  -- Somebody else took the message out: there is nothing left to do.
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

-- Messages whose lease has passed: their tick died. Each is visible again after a backoff of its own length, or at the last attempt set
-- aside: one that kills its process would else take the same neighbours with it every time, to the end. Two hundred at a time. Lines that
-- are finished are forgotten after an hour.
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

-- Seconds: any length up to four times as long with each attempt, the same for the same message and attempt. Even with a tick a minute the
-- messages that died together are soon apart.
create function punctual.message_backoff(q punctual.queues, p_partition text, p_msg_id bigint, p_attempts integer) returns integer
language sql immutable set search_path = '' as $$
  select ceil(least(q.backoff_cap_seconds, q.backoff_base_seconds * power(4, least(p_attempts, 10)))
              * (hashtextextended(p_partition || ':' || p_msg_id || ':' || p_attempts, 0) & 65535) / 65536.0)::integer
$$;

-- Messages that are visible now, counted to 1,000.
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

-- When the first message became visible (p_past), or will; null when there is none. Of those under a lease nobody needs to hear.
create function punctual.first_due_message_at(p_partition text, p_past boolean, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_found record;
  v_at timestamptz;
  -- Once: what may change from row to row is no condition for an index.
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

-- {count, approximate} of a table of pgmq's: exact to 10,000, the planner's estimate beyond.
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

-- {pending: {count, approximate}, running, done, dead, unknown, cancelled}. done: what lies in the archives, by whomever.
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

-- Why messages cannot be reached: [{reason, rows}]. rows: those known of, which may be none.
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

-- A page of the messages in one state, in the shape of list_rows: pending and running ones as they become visible, others the latest first.
-- None of their instants is null: the first condition of after_cursor() covers all.
create function punctual.list_messages(q punctual.queues, p_state text, p_limit integer, p_cursor jsonb, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_desc boolean := p_state not in ('pending', 'running');
  v_at text := case p_state when 'dead' then 't.set_aside_at' when 'cancelled' then 't.cancelled_at' when 'done' then 't.archived_at' else 't.vt' end;
  v_order text := case when v_desc then 'desc' else 'asc' end;
  v_partition text;
  v_found record;
  v_some jsonb;
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
      into v_some using v_partition, p_limit + 1, p_now, v_desc;
      v_rows := v_rows || coalesce(v_some, '[]');
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

-- {state, vt, attempts, last_error, finished_at, lease_expires_at, claim_id} of a message, wherever it is; null where it is nowhere.
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

-- The answer of explain_row, for a message.
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

-- An operator's word on a message that was set aside: `pending` sends it back into its pgmq queue, where its attempts begin anew,
-- `cancelled` throws it away. PT404 where there is no such message, PT409 for one that was not set aside.
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
      hint = 'A message that was set aside is sent back (pending) or thrown away (cancelled).';
  end if;
  if p_decision = 'pending' then
    if not punctual.put_message_back(v_partition, v_msg_id, (v_message->>'enqueued_at')::timestamptz) then
      raise exception 'another message has the number % in the pgmq queue "%" by now', v_msg_id, v_partition using errcode = 'PT409', detail = v_word,
        hint = 'The queue was made anew. Send it by hand: its text is in punctual.set_aside_messages.';
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

-- One bounded step of retention: messages set aside, or thrown away, before p_before, and lines whose message somebody else took out. pgmq's
-- archives are their owner's. Answers how many were set aside.
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

select punctual.close_to_public();
select punctual.note_migration('20261122001300', 'pgmq');
