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
