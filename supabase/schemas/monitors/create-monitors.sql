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
create function punctual.create_monitors(p_rows jsonb, p_by text default null, p_now timestamptz default null) returns jsonb
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
  if v_response @> '[{"created": true}]' then
    perform punctual.note_act(p_by, 'create_monitors', 'monitors', null, jsonb_build_object(
      'ids', (select jsonb_agg(e->>'id') from jsonb_array_elements(v_response) e where (e->>'created')::boolean)), null, v_now);
  end if;
  return jsonb_build_object('rows', coalesce(v_response, '[]'));
end
$$;
