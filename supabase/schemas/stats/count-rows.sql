-- Figures for the dashboard. Their cost does not grow with the tables: counts are exact up to 10,000, and the planner's estimate above.

-- Returns {count, approximate} of the rows that match p_where (SQL on t). p_word: their state's word, for the estimate.
create function punctual.count_rows(q punctual.queues, p_where text, p_word text default null) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_count bigint;
  v_estimate double precision;
begin
  execute format('select count(*) from (select from %I.%I t where %s limit 10001) r', q.table_schema, q.table_name, p_where) into v_count;
  if v_count <= 10000 then
    return jsonb_build_object('count', v_count, 'approximate', false);
  end if;
  select c.reltuples * f.frequency into v_estimate
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = q.status_column
   cross join lateral unnest(s.most_common_vals::text::text[], s.most_common_freqs) f (word, frequency)
   where n.nspname = q.table_schema and c.relname = q.table_name and f.word = p_word;
  return jsonb_build_object('count', greatest(10000, round(coalesce(v_estimate, 0))), 'approximate', true);
end
$$;

-- Returns a condition for all priority levels, written so that Postgres can use the index on due times.
create function punctual.any_level_condition(q punctual.queues) returns text
language sql stable set search_path = '' as $$
  select case when q.account_column is null then 't.priority in (0, 1, 2, 3)' else 't.priority + 0 >= 0' end
$$;

-- Returns {state: {count, approximate}} of a queue's rows.
create function punctual.count_states(q punctual.queues) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  if q.source = 'pgmq' then return punctual.count_message_states(q); end if;
  return (select jsonb_object_agg(punctual.state_of_word(q, w), punctual.count_rows(q, punctual.render_sql(q, 't.{status} = %L', w), w)) from unnest(punctual.list_words(q)) w);
end
$$;

-- Returns {count, approximate} of the due rows.
create function punctual.count_due_rows(q punctual.queues, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  if q.source = 'pgmq' then
    return (select jsonb_build_object('count', coalesce(sum(d.due), 0), 'approximate', coalesce(bool_or(d.due >= 1000), false))
              from punctual.partitions p cross join lateral punctual.count_due(q, p.partition, p_now) d (due) where p.queue = q.name);
  end if;
  return punctual.count_rows(q, punctual.render_sql(q, 't.{status} = {pending} and %s and {due_at} <= %L', punctual.any_level_condition(q), p_now::text),
                             q.pending_word);
end
$$;

-- Returns the partitions of a queue with a partition column: [{name, due, oldest_due_seconds, max_running, paused_at, paused_until, paused_reason,
-- last_tick_at, waiting}]. due is counted up to 1,000. waiting says why a partition with max_running lets no row start.
create function punctual.list_partitions(q punctual.queues, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  if q.source = 'table' and q.partition_column is null then return '[]'; end if;
  return (select coalesce(jsonb_agg(jsonb_build_object(
            'name', p.partition, 'due', punctual.count_due(q, p.partition, p_now),
            'oldest_due_seconds', case when f.at > '-infinity' then round(extract(epoch from p_now - f.at)) end,
            'max_running', p.max_running, 'last_tick_at', p.last_tick_at,
            'waiting', (select o.reason from punctual.partition_opening(q, p, p_now) o))
            || punctual.describe_pause(p.paused_at, p.paused_until, p.paused_reason, p_now) order by p.partition), '[]')
     from punctual.partitions p
    cross join lateral punctual.first_due_at(q, p.partition, true, p_now) f (at)
    where p.queue = q.name);
end
$$;
