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
