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
    'failed', punctual.count_failed(q, p_now),
    'undecided', punctual.count_undecided(q, p_now),
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
        'partitions', '[]'::jsonb, 'due_now', v_none, 'oldest_due_seconds', null, 'next_due_seconds', null, 'unreachable', '[]'::jsonb,
        'failed', jsonb '{"rows": 0}', 'undecided', jsonb '{"rows": 0}', 'setup', null);
    end;
    v_queues := v_queues || (v_rows || punctual.describe_pause(q.paused_at, q.paused_until, q.paused_reason, v_now) || jsonb_build_object(
      'name', q.name,
      'delivery', q.delivery,
      'words', jsonb_build_object('pending', q.pending_word, 'running', q.running_word, 'done', q.done_word, 'dead', q.dead_word,
                                  'unknown', q.unknown_word, 'cancelled', q.cancelled_word),
      'settings', jsonb_build_object('batch_limit', q.batch_limit, 'concurrency', q.concurrency, 'adaptive', q.adaptive,
                                     'budget_seconds', q.budget_seconds),
      'waiting', punctual.list_waiting(q, v_now),
      'refused', punctual.list_refused(q, v_now),
      'noted', punctual.list_noted(q, v_now),
      'throughput', punctual.list_throughput(q, 'minute', interval '1 hour', v_now),
      'day', punctual.list_throughput(q, 'hour', interval '24 hours', v_now),
      'last_tick', punctual.last_tick(q, v_now)));
  end loop;
  return jsonb_build_object('now', v_now, 'schema', punctual.schema_version(), 'queues', v_queues,
    'paused_accounts', punctual.list_paused_accounts(v_now), 'providers', (
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
