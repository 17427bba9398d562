-- faster ticks

-- Set by make_functions, at the end.
alter table punctual.queues add column row_columns text[];

-- A message that is to be inserted, at the place `index` of the call, from 0.
create type punctual.new_dm as (
  index integer,
  id bigint,
  account_id uuid,
  channel text,
  chat_id text,
  recipient text,
  body text,
  template jsonb,
  send_at timestamptz,
  priority smallint,
  expires_at timestamptz,
  idempotency_key text
);

-- A job that is to be created, at the place n of the call. kept_id is the job that has its key, in the table or earlier in the call; otherwise its id.
create type punctual.new_job as (
  n integer,
  id bigint,
  kept_id bigint,
  name text,
  queue text,
  payload jsonb,
  run_at timestamptz,
  priority smallint,
  unique_key text,
  unique_seconds integer,
  max_attempts integer,
  timeout_seconds integer,
  most_seconds integer,
  expires_at timestamptz
);

drop function punctual.find_key_conflicts(jsonb);

drop function punctual.hold_keys(text,jsonb);

drop function punctual.is_next(punctual.call);

drop function punctual.judge_job_keys(jsonb,timestamp with time zone);

drop function punctual.list_claimed_messages(uuid,timestamp with time zone);

drop function punctual.make_functions(punctual.queues);

-- Returns the messages with an idempotency key that a different message has, in the table or in p_dms: [{index, field, message}]; null if there are
-- none.
create or replace function punctual.find_key_conflicts(p_dms punctual.new_dm[]) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_keys text[] := array(select r.idempotency_key from unnest(p_dms) r where r.idempotency_key is not null);
begin
  if v_keys = '{}' then return null; end if;
  return (
    select jsonb_agg(distinct jsonb_build_object('index', r.index, 'field', 'idempotency_key', 'message',
             'the key was used before, for a message that differs in account, channel, addressee, body or template'))
      from unnest(p_dms) r
      join (
        select d.idempotency_key, d.account_id, d.channel, d.chat_id, d.recipient, d.body, d.template
          from punctual.dm_queue d where d.idempotency_key = any (v_keys)
           -- A message of a forgotten person has no text left to compare.
           and not (d.body = '' and d.template is null)
        union all
        select i.idempotency_key, i.account_id, i.channel, i.chat_id, i.recipient, i.body, i.template from unnest(p_dms) i
      ) o on o.idempotency_key = r.idempotency_key
     -- The send may have set the id of the chat since.
     where (o.account_id, o.channel, o.recipient, o.body, o.template) is distinct from (r.account_id, r.channel, r.recipient, r.body, r.template)
        or (r.chat_id is not null and o.chat_id is distinct from r.chat_id));
end
$$;

-- Keeps retention from deleting rows with these keys, and these spent keys, until this transaction ends. Locks the rows by id, then the spent keys by
-- key, both `for key share`. Waits for a deletion that is under way; the next statement then sees the spent key that it left. p_queue: dm_queue or
-- posts.
create or replace function punctual.hold_keys(p_queue text, p_keys text[]) returns void
language plpgsql set search_path = '' as $$
begin
  if p_keys = '{}' then return; end if;
  execute format('select from punctual.%I t where t.idempotency_key = any ($1) order by t.id for key share', p_queue) using p_keys;
  perform from punctual.spent_keys k where k.queue = p_queue and k.key = any (p_keys) order by k.key for key share;
end
$$;

-- Sets kept_id for the jobs whose key is taken. The caller holds the keys' locks.
create or replace function punctual.judge_job_keys(p_jobs punctual.new_job[], p_now timestamptz) returns punctual.new_job[]
language plpgsql set search_path = '' as $$
begin
  if not exists (select from unnest(p_jobs) a where a.unique_key is not null) then return p_jobs; end if;
  return array(
    select (a.n, a.id, case when a.unique_key is null then a.id else coalesce(t.id, first_value(a.id) over (partition by a.name, a.unique_key order by a.n)) end,
            a.name, a.queue, a.payload, a.run_at, a.priority, a.unique_key, a.unique_seconds, a.max_attempts, a.timeout_seconds, a.most_seconds,
            a.expires_at)::punctual.new_job
      from unnest(p_jobs) a
      left join lateral (
        select j.id from punctual.jobs j
         where j.name = a.name and j.unique_key = a.unique_key and j.unique_until > p_now and j.status <> 'cancelled'
         order by j.unique_until limit 1) t on true
     order by a.n);
end
$$;

-- Returns the messages that still run under a claim: [{id, attempt, timeout_seconds, row}].
create or replace function punctual.list_claimed_messages(p_claim_id uuid, p_after timestamptz, p_until timestamptz) returns json[]
language plpgsql stable set search_path = '' as $$
declare
  v_partition text;
  v_rows json[];
begin
  -- All messages of a claim are in one partition.
  select m.partition into v_partition from punctual.messages m
   where m.state = 'running' and m.lease_expires_at > p_after and m.lease_expires_at <= p_until and m.claim_id = p_claim_id limit 1;
  if v_partition is null then return '{}'; end if;
  execute format($sql$
    select array_agg(json_build_object('id', m.partition || ':' || m.msg_id, 'attempt', m.attempts, 'timeout_seconds', null,
             'row', punctual.describe_message(m.partition, (select x.job from punctual.message_queues x where x.partition = $4), to_jsonb(t))) order by m.msg_id)
      from punctual.messages m join pgmq.%I t on t.msg_id = m.msg_id and t.enqueued_at = m.enqueued_at and t.read_ct = m.read_ct
     where m.state = 'running' and m.lease_expires_at > $1 and m.lease_expires_at <= $2 and m.claim_id = $3 and m.partition = $4
    $sql$, punctual.need_message_table(v_partition))
  into v_rows using p_after, p_until, p_claim_id, v_partition;
  return coalesce(v_rows, '{}');
end
$$;

-- Creates a queue's functions anew. Runs in add_queue and on any change of the queue's definition: see remake_functions. A migration that changes a
-- template ends with: select punctual.make_functions(q) from punctual.queues q. The functions belong to the schema's owner, whoever calls this.
-- p_replaces: each function has the parameters that it had. It is replaced and never missing, for ticks that run beside this.
create or replace function punctual.make_functions(q punctual.queues, p_replaces boolean default false) returns void
language plpgsql set search_path = '' as $body$
declare
  v_template punctual.templates;
  v_words jsonb := case when q.source = 'table' then punctual.words_of_queue(q) else jsonb_build_object('queue', quote_literal(q.name)) end;
  v_name text;
begin
  if not p_replaces then perform punctual.drop_functions(q.name); end if;
  for v_template in
    select * from punctual.templates t where punctual.kind_of_queue(q) = any (t.kinds) order by t.verb
  loop
    v_name := format('punctual.%I', q.name || '.' || v_template.verb);
    -- Quotes the body as a literal, because a word may be $$. If a column has the name of a parameter, the name means the parameter.
    execute replace(punctual.render(split_part(v_template.text, '$$', 1), v_words || jsonb_build_object('function', v_name)), 'create function', 'create or replace function')
            || quote_literal(E'\n#variable_conflict use_variable' || punctual.render(split_part(v_template.text, '$$', 2), v_words));
    execute format('alter function %s owner to %I', v_name, (select n.nspowner::regrole from pg_catalog.pg_namespace n where n.nspname = 'punctual'));
    execute format('revoke execute on function %s from public, anon, authenticated', v_name);
    execute format('grant execute on function %s to service_role', v_name);
  end loop;
  update punctual.queues x set row_columns = punctual.row_columns(q) where x.name = q.name and q.source = 'table';
end
$body$;

-- Reads p_rows, and gives each job a new id. Reads the payload by its key: as a column of the record, a JSON null would become an SQL null.
create or replace function punctual.read_new_jobs(p_rows jsonb) returns punctual.new_job[]
language plpgsql set search_path = '' as $$
declare
  v_sequence regclass := pg_get_serial_sequence('punctual.jobs', 'id');
begin
  return array(
    select (a.n, a.id, a.id, r.name, r.queue, a.e->'payload', r.run_at, r.priority, r.unique_key, r.unique_seconds, r.max_attempts, r.timeout_seconds,
            r.most_seconds, r.expires_at)::punctual.new_job
      from (select e, n, nextval(v_sequence) as id from jsonb_array_elements(p_rows) with ordinality e (e, n)) a
     cross join lateral jsonb_to_record(a.e) r (name text, queue text, run_at timestamptz, priority smallint, unique_key text, unique_seconds integer,
             max_attempts integer, timeout_seconds integer, most_seconds integer, expires_at timestamptz)
     order by a.n);
end
$$;

-- Reads p_rows, and gives each message a new id. Afterwards the id shows whether the message was inserted.
create or replace function punctual.read_new_dms(p_rows jsonb) returns punctual.new_dm[]
language plpgsql set search_path = '' as $$
declare
  v_sequence regclass := pg_get_serial_sequence('punctual.dm_queue', 'id');
begin
  return array(
    select (a.n - 1, a.id, r.account_id, r.channel, r.chat_id, r.recipient, r.body, r.template, r.send_at, r.priority, r.expires_at,
            r.idempotency_key)::punctual.new_dm
      from (select e, n, nextval(v_sequence) as id from jsonb_array_elements(p_rows) with ordinality e (e, n)) a
     cross join lateral jsonb_to_record(a.e) r (account_id uuid, channel text, chat_id text, recipient text, body text, template jsonb,
             send_at timestamptz, priority smallint, expires_at timestamptz, idempotency_key text)
     order by a.n);
end
$$;

-- Creates the queue's functions anew if columns of its table were added, renamed or dropped since. Runs as the owner, because a tick that finds such a
-- change may not create functions. It creates only what the definition of the queue says, which the owner alone may change.
create or replace function punctual.refresh_functions(p_queue text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  q punctual.queues;
begin
  perform pg_advisory_xact_lock(hashtext('punctual.refresh_functions'));
  q := punctual.read_queue(p_queue);
  if q.row_columns is distinct from punctual.row_columns(q) then perform punctual.make_functions(q, true); end if;
end
$$;

-- Returns the columns of a queue's table that a claim returns, in their order: all but those that say what became of earlier attempts. With these
-- columns, responses would be almost twice as long.
create or replace function punctual.row_columns(q punctual.queues) returns text[]
language plpgsql stable set search_path = '' as $$
begin
  return array(
    select a.attname::text from pg_catalog.pg_attribute a
     where a.attrelid = to_regclass(format('%I.%I', q.table_schema, q.table_name)) and a.attnum > 0 and not a.attisdropped
       and a.attname not in (select c.name from punctual.standard_columns(q) c where c.emptied)
     order by a.attnum);
end
$$;

-- Returns a subquery of these columns of the row p_alias. Escapes { in their names: see render.
create or replace function punctual.select_columns(p_columns text[], p_alias text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return format('(select %s)',
                replace((select string_agg(format('%I.%I', p_alias, c), ', ' order by n) from unnest(p_columns) with ordinality r (c, n)), '{', U&'\E000'));
end
$$;

-- Returns when an account may send, and every wait until then. open_at: p_now if it may send now, 'infinity' if it may not until a person changes
-- something. waits: [{kind, until, text}]. reason: the text of the wait that ends last.
create or replace function punctual.account_opening(
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
  open_at := p_now;
  waits := '[]';
  if p_now < any (v_untils) then
    v_texts := array[
      case when v_untils[1] = 'infinity' then 'daily limit is 0' else 'daily limit reached' end,
      'hourly limit reached',
      'keeps the gap between two messages',
      coalesce('paused: ' || p_account.paused_reason, 'paused'),
      'its next row failed and is tried again',
      'was refused, and is tried with a row of another queue',
      'a row is running'];
    for n in 1..cardinality(v_kinds) loop
      continue when v_untils[n] is null or v_untils[n] <= p_now;
      waits := waits || jsonb_build_object('kind', v_kinds[n], 'until', v_untils[n], 'text', v_texts[n]);
      if v_untils[n] > open_at then
        open_at := v_untils[n];
        reason := v_texts[n];
      end if;
    end loop;
  end if;
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

-- Applies receipts to rows: those of the rows p_ids or, if null, a bounded number of all receipts that are not applied yet. Leaves running rows to
-- their own settle, which calls this function. A row that could not be written is tried again after an hour. Returns how many rows it settled.
-- Skips locked receipts and rows.
create or replace function punctual.apply_receipts(q punctual.queues, p_ids text[], p_now timestamptz) returns integer
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
    -- A settle brings few rows if calls are slow. A proved row must not become unknown.
    exit when p_ids is null and punctual.is_call_over();
  end loop;
  return v_count;
end
$$;

-- Creates jobs, all or none. p_rows: [{name, queue, payload, run_at, priority, unique_key, unique_seconds, max_attempts, timeout_seconds,
-- most_seconds, expires_at}], already validated; most_seconds is the handler's own timeout. If a job's name and key are taken, in the table or
-- earlier in p_rows, returns the job that has them. A cancelled job frees its key.
--
-- Returns {rows: [{id, status, created}]} in the order of p_rows, or {errors: [{index, field, message}]} if nothing was created.
-- Waits for calls with the same keys, and for calls that create queues.
create or replace function punctual.create_jobs(p_rows jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz;
  v_jobs punctual.new_job[];
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
  v_jobs := punctual.judge_job_keys(punctual.read_new_jobs(p_rows), v_now);
  insert into punctual.jobs (id, name, queue, payload, run_at, priority, unique_key, unique_until, max_attempts, timeout_seconds, expires_at, created_at)
  select a.id, a.name, a.queue, a.payload, coalesce(a.run_at, v_now), coalesce(a.priority, 1), a.unique_key,
         case when a.unique_key is not null then coalesce(v_now + make_interval(secs => a.unique_seconds), 'infinity') end,
         a.max_attempts, coalesce(a.timeout_seconds, a.most_seconds), a.expires_at, v_now
    from unnest(v_jobs) a where a.id = a.kept_id order by a.n;

  select jsonb_agg(x) into v_response
    from (select j.id::text as id, j.status, a.id = a.kept_id as created
            from unnest(v_jobs) a join punctual.jobs j on j.id = a.kept_id order by a.n) x;
  return jsonb_build_object('rows', coalesce(v_response, '[]'));
end
$$;

-- Returns until when an account has used up its daily limit in a queue: null if it has not, 'infinity' if the limit is 0.
create or replace function punctual.day_opens_at(p_account punctual.accounts, p_pace punctual.pace, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_today date := (p_now at time zone p_account.time_zone)::date;
  v_limit integer := punctual.daily_limit_on(p_account, p_pace, v_today);
  v_day record;
  v_until timestamptz;
begin
  if v_limit = 0 then return 'infinity'; end if;
  -- The current day counts at most what the last counted day did.
  if p_pace.used < v_limit then return null; end if;
  v_day := punctual.used_of_day(p_pace.used, p_pace.used_until, p_account.time_zone, p_now);
  if v_day.used >= v_limit then
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

-- Inserts DMs, all or none. p_rows: [{account_id, channel, chat_id, recipient, body, template, send_at, priority, expires_at, idempotency_key}],
-- already validated. If the key is known, returns the row that has it. That row may be pruned; then its text is gone and is not compared.
--
-- Returns {rows: [{id, status, created}]} in the order of p_rows, or {errors: [{index, field, message}]} if nothing was inserted. Raises PT409
-- with these errors as its detail if a concurrent call used a key for a different message. Waits for calls with the same keys.
create or replace function punctual.enqueue_dms(p_rows jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_dms punctual.new_dm[] := punctual.read_new_dms(p_rows);
  v_errors jsonb;
  v_response jsonb;
begin
  select jsonb_agg(jsonb_build_object('index', r.index, 'field', 'account_id', 'message', 'there is no such account') order by r.index)
    into v_errors from unnest(v_dms) r where not exists (select from punctual.accounts a where a.id = r.account_id);
  v_errors := coalesce(v_errors, '[]') || coalesce(punctual.find_key_conflicts(v_dms), '[]');
  if v_errors <> '[]' then
    return jsonb_build_object('errors', v_errors);
  end if;

  perform punctual.hold_keys('dm_queue', array(select r.idempotency_key from unnest(v_dms) r where r.idempotency_key is not null));
  insert into punctual.dm_queue (id, account_id, channel, chat_id, recipient, body, template, send_at, priority, expires_at, idempotency_key, created_at)
  select r.id, r.account_id, r.channel, r.chat_id, r.recipient, r.body, r.template, coalesce(r.send_at, v_now), coalesce(r.priority, 1), r.expires_at,
         r.idempotency_key, v_now
    from unnest(v_dms) r
   where not exists (select from punctual.spent_keys k where k.queue = 'dm_queue' and k.key = r.idempotency_key)
   -- Inserts in the order of the keys, so that two calls with the same keys cannot deadlock.
   order by r.idempotency_key, r.index
  on conflict (idempotency_key) where idempotency_key is not null do nothing;

  -- A concurrent call may have inserted one of the keys since the first check. Then nothing of this call is kept.
  v_errors := punctual.find_key_conflicts(v_dms);
  if v_errors is not null then
    raise exception 'another call has just used the same idempotency_key for a different message' using errcode = 'PT409', detail = v_errors::text;
  end if;

  select jsonb_agg(a) into v_response
    from (select d.id::text as id, d.status, d.id = r.id as created
            from unnest(v_dms) r
           cross join lateral (
             select x.id, x.status from punctual.dm_queue x where x.id = r.id
              union all
             select x.id, x.status from punctual.dm_queue x where x.idempotency_key = r.idempotency_key and x.id <> r.id
              union all
             select k.row_id::bigint, k.status from punctual.spent_keys k where k.queue = 'dm_queue' and k.key = r.idempotency_key) d order by r.index) a;
  return jsonb_build_object('rows', coalesce(v_response, '[]'));
end
$$;

-- Inserts posts, all or none. p_rows: [{account_id, body, media_urls, scheduled_for, priority, expires_at, idempotency_key}], already validated.
-- If the key is known, returns the row that has it. That row may be pruned; then its text is gone and is not compared.
--
-- Returns {rows: [{id, status, created}]} in the order of p_rows, or {errors: [{index, field, message}]} if nothing was inserted. Raises PT409
-- with these errors as its detail if a concurrent call used a key for a different post. Waits for calls with the same keys.
create or replace function punctual.enqueue_posts(p_rows jsonb, p_now timestamptz default null) returns jsonb
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

  perform punctual.hold_keys('posts', array(select r->>'idempotency_key' from jsonb_array_elements(v_rows) r where r->>'idempotency_key' is not null));
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

-- Runs one exchange of a tick in one transaction: opens the tick, settles, sweeps, claims, and notes the counts in the ledger.
--
-- p_tick      {id, queue, partition, scheduler, path, schedule, slot, continuation, run_id, limit_seconds, lock, providers, reconciles, asked_for,
--             asked_limit, call_ms, schema}
--             providers: the configured providers, for queues with accounts.
--             reconciles: the queue can check unknown rows. If false, such a row waits for an operator at once.
--             asked_for: 'pending' or 'dead' if a person asks for due rows or redrives dead ones, up to asked_limit. Null for a scheduler.
--             call_ms: the time of this call in milliseconds: see is_call_over.
--             schema: the version that the code needs: see require_schema. A process sends it until an exchange is answered.
-- p_seq       1 for a tick's first exchange; each later exchange has a higher number. Several may be in flight. An unanswered exchange is repeated
--             under its number, with the same providers and any outcomes. An exchange that is repeated, or that arrives after one with a higher
--             number, claims nothing and returns the rows that still run under its claim.
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
create or replace function punctual.exchange(
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
  if not c.is_repeated then perform punctual.note_providers(p_outcomes->'providers', c.now); end if;
  v_claimed := punctual.claim_call(c, v_want);
  c.tick := punctual.note_call(c, v_settled, v_swept, v_claimed, p_close, p_report);
  perform set_config('punctual.settles', '', true);
  return punctual.answer(c, v_settings, v_settled, v_swept, v_claimed, p_tick ? 'schema');
end
$$;

-- Returns the rows that still run under the call's claim. Reads the index on leases from the tick's start to its lease_until: the leases of all its
-- claims end in between.
create or replace function punctual.list_claimed(c punctual.call) returns json[]
language plpgsql stable set search_path = '' as $$
declare
  v_rows json[];
begin
  execute format('select punctual.%I($1, $2, $3)', (c.queue).name || '.list_claimed') into v_rows
  using c.claim_id, (c.tick).started_at, (c.tick).lease_until;
  return v_rows;
end
$$;

-- Returns whether the call may claim rows.
create or replace function punctual.may_claim(c punctual.call) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  return not c.is_repeated and (c.tick).admitted and (c.tick).closed_at is null and (c.tick).deadline_at > c.now;
end
$$;

-- Step 5: adds the call's counts to the ledger. Only the ledger counts. Closes a tick that was not admitted. Closes any other tick if the call
-- returns no row, reached every ready account, and either p_close is true or it is the first call of a tick whose queue or partition is paused.
-- p_report: the tick's own report, written before it knew the result of this call.
create or replace function punctual.note_call(
  c punctual.call, p_settled jsonb, p_swept integer, p_claimed punctual.claimed, p_close boolean, p_report jsonb) returns punctual.ticks
language plpgsql set search_path = '' as $$
declare
  t punctual.ticks := c.tick;
  v_rows integer := cardinality(p_claimed.rows);
  v_new integer := case when c.is_repeated then 0 else v_rows end;
begin
  t.last_seq := greatest(t.last_seq, c.seq);
  if v_new > 0 then t.lease_until := greatest(t.lease_until, c.lease_until); end if;
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

-- Step 1: opens and locks the tick, and locks the partition if the call needs it. p_claims: the call may claim rows. Raises PT404 for an unknown
-- queue or partition, and 22023 for a state that cannot be asked for.
create or replace function punctual.open_call(p_tick jsonb, p_seq integer, p_claims boolean, p_now timestamptz) returns punctual.call
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
  if c.is_new and q.source = 'table' and q.row_columns is distinct from punctual.row_columns(q) then perform punctual.refresh_functions(q.name); end if;
  -- after_restore may have held the ledger while this call waited, and paused the queue.
  q := punctual.read_queue(q.name);
  c.queue := q;
  c.partition := v_partition;
  c.now := coalesce(p_now, clock_timestamp());
  c.seq := coalesce(p_seq, (c.tick).last_seq + 1);
  c.is_repeated := c.seq <= (c.tick).last_seq;
  c.claim_id := punctual.claim_id_of(c.tick, c.seq);
  c.paused := case when v_partition.paused_at <= c.now then coalesce(v_partition.paused_reason, 'the partition is paused')
                   when q.paused_at <= c.now then coalesce(q.paused_reason, 'the queue is paused') end;
  c.providers := array(select jsonb_array_elements_text(coalesce(p_tick->'providers', '[]')));
  -- Longer than any run of the function, so that no handler is still at work when the lease ends.
  c.lease_until := c.now + make_interval(secs => greatest(q.lease_seconds, (p_tick->>'limit_seconds')::double precision + 30));
  return c;
end
$$;

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
create or replace function punctual.settle_outcomes(q punctual.queues, p_outcomes jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_done jsonb := coalesce(p_outcomes->'done', '[]');
  v_records jsonb := coalesce(p_outcomes->'records', '[]');
  v_rest jsonb := v_done;
  v_finished integer := 0;
  v_settled jsonb;
begin
  -- In a plain queue under at-least-once, without after_settle, `done` has no consequences. Beside records, settle writes it: it locks all rows in
  -- one order.
  if v_records = '[]' and v_done <> '[]' and punctual.kind_of_queue(q) = 'plain' and q.delivery = 'at-least-once' and q.after_settle is null then
    execute format('select * from punctual.%I($1, $2)', q.name || '.finish') into v_finished, v_rest using v_done, p_now;
  end if;
  if v_rest = '[]' and v_records = '[]' then return punctual.zero_counts() || jsonb_build_object('done', v_finished); end if;
  v_settled := punctual.settle_records(q, v_rest, v_records, p_now);
  return v_settled || jsonb_build_object('done', v_finished + (v_settled->>'done')::integer);
exception when others then
  if punctual.is_of_call(sqlstate) then raise; end if;
  return punctual.settle_singly(q, v_done, v_records, p_now);
end
$$;

-- Returns the number of claims in the current day, and the end of that day. A counted day lasts until the first midnight at or after its end, so
-- that a change of time zone gives no second daily limit.
create or replace function punctual.used_of_day(
  p_used integer, p_until timestamptz, p_zone text, p_now timestamptz, out used integer, out until timestamptz)
language plpgsql stable set search_path = '' as $$
begin
  if p_until > p_now then
    used := p_used;
    until := p_until;
  elsif p_until > date_trunc('day', p_now, p_zone) then
    used := p_used;
    until := punctual.next_midnight(p_zone, p_until - interval '1 microsecond');
  else
    used := 0;
    until := punctual.next_midnight(p_zone, p_now);
  end if;
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
-- {row} {taken_row}  a subquery of the row_columns of the row t, or u
-- {outcome}       the outcome that settle writes for the outcome o
-- {is_exhausted}  condition: o would run t again, but t has used up its attempts
-- {spread}        a number from 0 to 1, different for each row and attempt
-- {retry_at} {set_results} {set_reconcile} {old_row} {old_due} {account_id} {pair} {late} {has_consequences}  parts of the settle
-- {account_summary}  the account a as json, for the handler of its rows
-- {check_is_due}  condition: the check of the unknown row t is due, by one of p_providers
-- {keeps_plan}    the settings of each function: keep plans and use indexes
-- {unswept} {unexpired} {unapplied}  conditions: to sweep t, to expire t, or to apply the receipt r has not failed within the last hour
create or replace function punctual.words_of_queue(q punctual.queues) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_columns text[] := punctual.row_columns(q);
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
    -- row_to_json takes two thirds of the time of json_build_object, which looks up the type of each argument.
    'claimed', '(select row_to_json(c.*) from (select t.id::text as id, t.attempts as attempt, t.timeout_seconds{claimed_account}, row_to_json(x.*) as "row" from {row} x) c)',
    'row', punctual.select_columns(v_columns, 't'),
    'taken_row', punctual.select_columns(v_columns, 'u'),
    'claimed_account', case when q.account_column is null then '' else ', (select {account_summary} from punctual.accounts a where a.id = t.{account}) as account' end,
    'account_summary', '(select row_to_json(x.*) from (select a.id, a.provider, a.provider_account_id, a.name) x)',
    'check_is_due', 't.{status} = {unknown} and t.reconcile_at <= p_now and t.claim_id is not null and t.reconcile ? ''over_at''' || case when q.account_column is null then ''
         else ' and exists (select from punctual.accounts a where a.id = (t.reconcile->>''account_id'')::uuid and a.provider = any (p_providers))' end);
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
      returning u.id, h.ready_at, (select row_to_json(c.*) from (select u.id::text as id, u.attempts as attempt, u.timeout_seconds, h.account,
                                                                        row_to_json(x.*) as "row" from {taken_row} x) c) as answer),
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
        -- Finds the account by its key and p by its address, which the caller's lock keeps. With a plan made while pace was empty, a join would read
        -- all of pace for each account.
       cross join lateral (select x.ctid as address from punctual.pace x where x.queue = {queue} and x.account_id = h.account_id limit 1) k
        -- Without a row to send, the account is ready again when its next row falls due or its first limited addressee is free.
        left join lateral (
          select min(f.due) as due,
                 (select min((v->>'until')::timestamptz) from jsonb_each(h.limited_addressees) e (k, v) where (v->>'until')::timestamptz > p_now) as limited_until
            from unnest(array[0, 1, 2, 3]) l (level) cross join lateral (
              select {due_at} as due from {table} t
               where t.{status} = {pending} and t.{account} = h.account_id and t.priority = l.level and {due_at} > p_now
               order by {due_at}, t.id limit 1) f
           where h.open_at <= p_now and h.id is null) n on true
       where p.ctid = k.address)
  select coalesce(array_agg(t.answer order by t.ready_at, t.id), '{}') into v_rows from taken t;
  return v_rows;
end
$$
$template$)
on conflict (verb, kinds) do update set text = excluded.text;

-- Writes outcomes. Only this statement and `finish` end attempts and rows. An attempt's outcome is written only while the row belongs to its claim. `done` is
-- proof and prevails over a sweep or an operator's decision. Other outcomes change a row only while it runs, is unknown or was swept.
--
-- outcome                 the row afterwards
-- done, dead, cancelled   has that state; finished now
-- unknown                 unknown; first checked 30 s later
-- retry                   pending, due after its delay; in a queue with accounts the account waits instead. Dead if its attempts are used up. A
--                         rate limit takes the attempt back and never makes the row dead
-- again                   pending, due at its next time; attempts start at 0
-- release, pending        pending, due as before; a release takes the attempt back
-- swept                   unknown under at-most-once, otherwise as for retry; keeps its claim and lease, so that late proof finds it
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
         coalesce(jsonb_agg((select x from (select w.id, w.claim_id, w.outcome, w.result, w.error, w.rate_limited, w.limit_scope, w.refused, w.refusal,
                                                   w.unreadable, w.delay_seconds, w.claimed_at, w.due, w.account_id, w.pair, w.late, w.by, w.event, w.text,
                                                   w.was) x) order by w.id) filter (where {has_consequences}), '[]'),
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
$template$)
on conflict (verb, kinds) do update set text = excluded.text;

-- Writes that rows are done, without a result, if they still run under their claim. The most common outcome, and a quarter quicker than by settle.
-- Only for queues in which it has no consequences: see settle_outcomes. finished: the number of rows written. rest: the others, in the form of p_done.
insert into punctual.templates (verb, kinds, text) values ('finish', '{plain}', $template$
create function {function}(p_done jsonb, p_now timestamptz, out finished integer, out rest jsonb)
language plpgsql {keeps_plan} as $$
declare
  v_group jsonb;
  v_ids {id_type}[];
  v_finished {id_type}[];
begin
  finished := 0;
  rest := '[]';
  for v_group in select g from jsonb_array_elements(p_done) g loop
    v_ids := array(select i::{id_type} from jsonb_array_elements_text(v_group->'ids') i);
    with written as (
      update {table} t set {status} = {done}, lease_expires_at = null, finished_at = p_now, last_error = null
       where t.id = any (v_ids) and t.claim_id = (v_group->>'claim_id')::uuid and t.{status} = {running}
      returning t.id)
    select array_agg(w.id) into v_finished from written w;
    finished := finished + coalesce(cardinality(v_finished), 0);
    if v_finished is null or cardinality(v_finished) < cardinality(v_ids) then
      rest := rest || jsonb_build_array(jsonb_build_object('claim_id', v_group->'claim_id', 'ids', array(
                select i::text from unnest(v_ids) i where i = any (v_finished) is not true)));
    end if;
  end loop;
end
$$
$template$)
on conflict (verb, kinds) do update set text = excluded.text;

insert into punctual.templates (verb, text) values ('list_claimed', $template$
create function {function}(p_claim_id uuid, p_after timestamptz, p_until timestamptz) returns json[]
language plpgsql stable {keeps_plan} as $$
begin
  return array(
    select {claimed} from {table} t
     where t.{status} = {running} and t.lease_expires_at > p_after and t.lease_expires_at <= p_until and t.claim_id = p_claim_id
     order by t.priority, {due_at}, t.id);
end
$$
$template$)
on conflict (verb, kinds) do update set text = excluded.text;

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
create function {function}(p_claim_id uuid, p_after timestamptz, p_until timestamptz) returns json[]
language plpgsql stable set search_path = '' as $$
begin
  return punctual.list_claimed_messages(p_claim_id, p_after, p_until);
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
$template$)
on conflict (verb, kinds) do update set text = excluded.text;

select punctual.make_functions(q) from punctual.queues q;

select punctual.close_to_public();
select punctual.note_migration('20261130232938', 'faster_ticks');
