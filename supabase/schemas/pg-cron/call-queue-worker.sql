-- The headers by which a call name its scheduler and its slot.
--
-- Which slot it names: pg_cron starts a job within a second or so of its minute, and one run of a job at a time. So it is the latest instant
-- of the schedule, by the clock of the database, and exact as long as the run starts before the schedule's next instant. A run that comes
-- later, because the last one still ran or no place was free (cron.max_running_jobs), is taken for that one, which then has two
-- deliveries; the first stays unnamed. Called by hand it names the slot before, too, within an hour. A schedule of seconds has no grid, and
-- so neither slots nor a header that says it.
create function punctual.slot_headers(p_schedule text, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_headers jsonb := '{"x-punctual-scheduler": "pg-cron"}';
  -- pg_cron's, from 1.5 on; before, it was GMT.
  v_zone text := coalesce(nullif(current_setting('cron.timezone', true), ''), 'GMT');
  v_slot timestamptz;
begin
  if p_schedule like '% seconds' then return v_headers; end if;
  v_slot := punctual.find_cron_slot(p_schedule, p_now, v_zone);
  if v_slot is not null then
    v_headers := v_headers || jsonb_build_object('x-punctual-slot', to_char(v_slot at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
  end if;
  -- It is read as UTC.
  if v_zone in ('GMT', 'UTC', 'Etc/UTC', 'Etc/GMT') then
    v_headers := v_headers || jsonb_build_object('x-punctual-schedule', replace(p_schedule, '$', 'L'));
  end if;
  return v_headers;
end
$$;

-- What every worker's job does: calls its address with its token. Owner only; by hand as well, to try it.
--
-- Over pg_net the request goes out when the transaction has ended, and what became of it stands in list_queue_workers(): pg_cron calls the
-- run a success in any case. Over pgsql-http it is waited for, and an answer other than 2xx makes the run a failed one.
create function punctual.call_queue_worker(p_name text, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
  -- In time for the next minute. pg_net takes up new requests, in its older versions, only when all those before are answered; and pg_cron
  -- starts no second run. A tick that takes longer goes on all the same, it is only that its answer is not seen.
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
    raise exception 'the token of the worker "%" is gone', w.name using errcode = 'PT404',
      hint = format('Give it again: select punctual.create_queue_worker(%L, %L, ''…'', %L);', w.name, w.url, w.schedule);
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
    -- Its status is found again by these words, by list_queue_workers.
    raise exception 'the endpoint of the worker "%" answered %', w.name, coalesce(v_status::text, 'nothing') using errcode = '08004',
      hint = case v_status when 401 then 'The token is not the one that the endpoint expects.' end;
  end if;
  update punctual.queue_workers x set answered_status = v_status, answered_at = clock_timestamp() where x.name = w.name;
  return jsonb_build_object('name', w.name, 'via', v_by.via, 'status', v_status);
end
$$;

create function punctual.raise_no_worker(p_name text) returns void
language plpgsql stable set search_path = '' as $$
begin
  raise exception 'there is no worker "%"', p_name using errcode = 'PT404',
    hint = coalesce((select 'There are: ' || string_agg(w.name, ', ' order by w.name) || '.' from punctual.queue_workers w), 'There is none.');
end
$$;
