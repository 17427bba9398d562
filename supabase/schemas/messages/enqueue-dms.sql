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

-- Reads p_rows, and gives each message a new id. Afterwards the id shows whether the message was inserted.
create function punctual.read_new_dms(p_rows jsonb) returns punctual.new_dm[]
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

-- Returns the messages with an idempotency key that a different message has, in the table or in p_dms: [{index, field, message}]; null if there are
-- none.
create function punctual.find_key_conflicts(p_dms punctual.new_dm[]) returns jsonb
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

-- Inserts DMs, all or none. p_rows: [{account_id, channel, chat_id, recipient, body, template, send_at, priority, expires_at, idempotency_key}],
-- already validated. If the key is known, returns the row that has it. That row may be pruned; then its text is gone and is not compared.
--
-- Returns {rows: [{id, status, created}]} in the order of p_rows, or {errors: [{index, field, message}]} if nothing was inserted. Raises PT409
-- with these errors as its detail if a concurrent call used a key for a different message. Waits for calls with the same keys.
create function punctual.enqueue_dms(p_rows jsonb, p_now timestamptz default null) returns jsonb
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
