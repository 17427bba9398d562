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
