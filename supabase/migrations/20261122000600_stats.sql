-- What people look at. The cost of these does not grow with the tables: counts are exact to 10,000 and the planner's estimate beyond.

-- {count, approximate} of the rows that fulfil p_where (SQL on t).
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

-- All levels, said so that the index on due times serves.
create function punctual.any_level_condition(q punctual.queues) returns text
language sql stable set search_path = '' as $$
  select case when q.account_column is null then 't.priority in (0, 1, 2, 3)' else 't.priority + 0 >= 0' end
$$;

create function punctual.count_states(q punctual.queues) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  if q.source = 'pgmq' then return punctual.count_message_states(q); end if;
  return (select jsonb_object_agg(punctual.state_of_word(q, w), punctual.count_rows(q, punctual.render_sql(q, 't.{status} = %L', w), w)) from unnest(punctual.list_words(q)) w);
end
$$;

-- {count, approximate} of the rows that are due.
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

-- The named parts of a queue that has some: [{name, due, oldest_due_seconds, max_running, paused_at, paused_reason, last_tick_at, waiting}]; due is
-- counted to 1,000, waiting says why one that lets only so many rows run lets none start.
create function punctual.list_partitions(q punctual.queues, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  if q.source = 'table' and q.partition_column is null then return '[]'; end if;
  return (select coalesce(jsonb_agg(jsonb_build_object(
            'name', p.partition, 'due', punctual.count_due(q, p.partition, p_now),
            'oldest_due_seconds', case when f.at > '-infinity' then round(extract(epoch from p_now - f.at)) end,
            'max_running', p.max_running, 'paused_at', p.paused_at, 'paused_reason', p.paused_reason, 'last_tick_at', p.last_tick_at,
            'waiting', (select o.reason from punctual.partition_opening(q, p, p_now) o)) order by p.partition), '[]')
     from punctual.partitions p
    cross join lateral punctual.first_due_at(q, p.partition, true, p_now) f (at)
    where p.queue = q.name);
end
$$;

-- A reason why no tick can reach rows, and how many of them there are: {reason, rows}. p_where: SQL on t, a template of render_sql.
create function punctual.count_unreachable(q punctual.queues, p_reason text, p_where text, variadic p_args text[] default '{}') returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('reason', p_reason, 'rows', punctual.count_rows(q, punctual.render_sql(q, p_where, variadic p_args))->'count')
$$;

-- Rows that no tick can reach as things stand, counted to 10,000: [{reason, rows}]. p_configured: the providers that are configured;
-- null where that is not known.
create function punctual.list_unreachable(q punctual.queues, p_configured text[]) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_reasons jsonb := '[]';
  v_level text := punctual.any_level_condition(q);
  v_account record;
  v_rows bigint;
  v_partition text;
begin
  if q.source = 'pgmq' then return punctual.list_unreachable_messages(q); end if;
  v_reasons := v_reasons
    || punctual.count_unreachable(q, format('%s is null', q.due_column), 't.{status} = {pending} and %s and {due_at} is null '
         || case when q.waits_column is not null then 'and t.{waits} is null' else '' end, v_level)
    || punctual.count_unreachable(q, format('%s is infinity', q.due_column), 't.{status} = {pending} and %s and {due_at} = ''infinity''', v_level)
    || punctual.count_unreachable(q, format('%s without a lease: set by hand, or by another program', q.running_word),
         't.{status} = {running} and t.lease_expires_at is null');
  if q.account_column is not null then
    v_reasons := v_reasons || punctual.count_unreachable(q, 'no account', 't.{status} = {pending} and t.{account} is null');
    for v_account in
      select * from (
        select a.provider, 'a.provider = ' || quote_literal(a.provider) as condition, format('the provider %s is not configured', a.provider) as reason
          from punctual.accounts a where a.provider <> all (p_configured) group by 1
        union all select null, 'coalesce(p.daily_limit, a.daily_limit) = 0', 'the account''s daily limit is 0') c
    loop
      execute punctual.render_sql(q, 'select count(*) from (select from punctual.accounts a left join punctual.pace p on p.queue = $1 and p.account_id = a.id '
                     'cross join lateral (select from {table} t where t.{status} = {pending} and t.{account} = a.id limit 10000) r where %s limit 10000) c',
                     v_account.condition) into v_rows using q.name;
      v_reasons := v_reasons || jsonb_build_object('reason', v_account.reason, 'rows', v_rows);
    end loop;
  end if;
  if q.partition_column is not null then
    -- From one partition to the next by the index, not over all rows.
    v_partition := '';
    loop
      execute punctual.render_sql(q, 'select min(t.{partition}) from {table} t where t.{status} = {pending} and t.{partition} > $1')
        into v_partition using v_partition;
      exit when v_partition is null;
      if not exists (select from punctual.partitions p where p.queue = q.name and p.partition = v_partition) then
        v_reasons := v_reasons || punctual.count_unreachable(q, format('the partition "%s" is unknown', v_partition),
                                                             't.{status} = {pending} and t.{partition} = %L', v_partition);
      end if;
    end loop;
    v_reasons := v_reasons || punctual.count_unreachable(q, 'no partition', 't.{status} = {pending} and (t.{partition} is null or t.{partition} = '''')');
  end if;
  return (select coalesce(jsonb_agg(r), '[]') from jsonb_array_elements(v_reasons) r where (r->>'rows')::bigint > 0);
end
$$;

-- Accounts with due rows that may not go now: [{reason, accounts, until}].
create function punctual.list_waiting(q punctual.queues, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('reason', w.reason, 'accounts', w.accounts,
           'until', case when w.until < 'infinity' then w.until end) order by w.reason), '[]')
    from (select p.waiting_for as reason, count(*) as accounts, min(p.next_ok_at) as until
            from punctual.pace p where p.queue = q.name and p.waiting_for is not null and p.next_ok_at > p_now group by 1
          union all
          select format('the provider %s %s', v.name, case when v.refusals > 0 then 'refuses what we ask' else 'failed and rests' end), count(*), max(v.paused_until)
            from punctual.pace p join punctual.providers v on v.name = p.provider
           -- The account whose row it refused waits for as long.
           where p.queue = q.name and v.paused_until > p_now and (p.ready_at <= p_now or (p.retry_at > p_now and p.refused->>'what' = 'provider'))
           group by v.name) w
$$;

-- What befell rows in the last 24 hours that somebody should know of: [{event, rows, row_id, text}]; event: twice (it was delivered twice) or
-- error (something of it could not be done); rows counted among the latest 1,000; row_id and text of the latest, row_id null where it is no row's.
create function punctual.list_noted(q punctual.queues, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('event', n.event, 'rows', n.rows, 'row_id', nullif(n.row_id, ''), 'text', n.text) order by n.event desc), '[]')
    from (select e.event, count(distinct h.row_id) as rows, (array_agg(h.row_id order by h.at desc, h.id desc))[1] as row_id,
                 (array_agg(h.text order by h.at desc, h.id desc))[1] as text
            from (values ('twice'), ('error')) e (event)
           cross join lateral (
             select x.id, x.at, x.row_id, x.text from punctual.history x
              where x.queue = q.name and x.event = e.event and x.event in ('twice', 'error') and x.at > p_now - interval '24 hours'
              order by x.at desc limit 1000) h
           group by e.event) n
$$;

-- What a provider refuses of the queue's accounts, and only a person can mend: [{provider, account, name, said, until}], 50 at most; account
-- and name are null where it refuses all of them, which comes first. It stands until the provider answers anything else, or a person ends
-- the pause.
create function punctual.list_refused(q punctual.queues, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('provider', r.provider, 'account', r.account, 'name', r.name, 'said', r.said,
           'until', case when r.until > p_now then r.until end) order by r.account is not null, r.name, r.account), '[]')
    from (select v.name as provider, null::uuid as account, null as name, v.last_error as said, v.paused_until as until
            from punctual.providers v
           where v.refusals > 0 and exists (select from punctual.pace p where p.queue = q.name and p.provider = v.name)
          union all
          (select a.provider, a.id, a.name, f.refused->>'said', a.paused_until
             from (select p.account_id, p.refused from punctual.pace p
                    where p.queue = q.name and p.refused is not null and p.refused->>'what' = 'row' and punctual.refusal_pause(p.refused) is not null
                   union all
                   select x.id, x.refused from punctual.accounts x where x.refused is not null and x.refused->>'queue' = q.name) f
             join punctual.accounts a on a.id = f.account_id
            order by a.name, a.id limit 50)) r
$$;

-- The latest ticks that did something, and the very latest whatever it did.
create function punctual.list_ticks(q punctual.queues, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object(
           'id', t.id, 'partition', t.partition, 'scheduler', t.scheduler, 'path', t.path, 'schedule', t.schedule,
           'slot', t.slot, 'continuation', t.continuation, 'run_id', t.run_id, 'started_at', t.started_at, 'closed_at', t.closed_at,
           'outcome', case when t.closed_at is not null then t.outcome when t.deadline_at > p_now then 'running' else 'died' end,
           'duplicate', t.duplicate, 'claimed', t.claimed, 'done', t.done, 'retried', t.retried, 'again', t.again, 'dead', t.dead,
           'unknown', t.unknown, 'released', t.released, 'lost', t.lost, 'swept', t.swept,
           'asked_for', t.asked_for,
           'report', t.report)
           order by t.started_at desc), '[]')
    from (select * from (select x.*, row_number() over (order by x.started_at desc) as n
                           from punctual.ticks x where x.queue = q.name and x.started_at > p_now - interval '2 days'
                          order by x.started_at desc limit 500) recent
           where recent.n = 1 or recent.outcome is null or recent.outcome not in ('idle', 'skipped') order by recent.started_at desc limit 12) t
$$;

create function punctual.list_throughput(q punctual.queues, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(to_jsonb(m) order by m.minute), '[]')
    from (select date_trunc('minute', coalesce(t.closed_at, p_now)) as minute, sum(t.done + t.again) as done, sum(t.retried) as retried,
                 sum(t.dead) as dead, sum(t.unknown) as unknown
            from punctual.ticks t
           where t.queue = q.name and t.started_at > p_now - interval '1 hour'
           group by 1 having sum(t.done + t.again + t.retried + t.dead + t.unknown) > 0) m
$$;

-- What schedulers that name their slots delivered in the last p_hours, by scheduler, path and schedule:
-- [{scheduler, path, schedule, queues, first_slot, last_slot, slots: [[slot, late_seconds, deliveries, ran]]}]. slot: seconds since 1970; late_seconds: of its first
-- delivery; deliveries: calls that named it; ran: false where each of them found another tick running. first_slot: the first in 49 hours, since
-- a daily slot of yesterday says that there was one to come today; last_slot: the last, be it before p_hours. Which slots are missing is told by whoever can read the schedule.
create function punctual.read_slots(p_hours integer default 24, p_now timestamptz default null) returns jsonb
language sql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
  with calls as (
    select t.scheduler, t.path, t.schedule, t.slot, t.run_id, min(t.started_at) as at, bool_or(t.admitted) as ran, array_agg(distinct t.queue) as queues
      from punctual.queues q
     cross join lateral (
           select * from punctual.ticks x
            where x.queue = q.name and x.started_at > coalesce(p_now, clock_timestamp()) - interval '49 hours'
              and x.slot is not null and x.path is not null and x.schedule is not null
              and x.continuation = 0 and x.asked_for is null) t
     group by t.scheduler, t.path, t.schedule, t.slot, t.run_id),
  slots as (
    select c.scheduler, c.path, c.schedule, c.slot, min(c.at) as at, count(*) as deliveries, bool_or(c.ran) as ran
      from calls c group by c.scheduler, c.path, c.schedule, c.slot),
  entries as (
    select s.scheduler, s.path, s.schedule, min(s.slot) as first_slot, max(s.slot) as last_slot,
           coalesce(jsonb_agg(jsonb_build_array(extract(epoch from s.slot), round(extract(epoch from s.at - s.slot)::numeric, 3), s.deliveries, s.ran)
                              order by s.slot)
             filter (where s.slot > coalesce(p_now, clock_timestamp()) - make_interval(hours => p_hours)), '[]') as slots
      from slots s group by s.scheduler, s.path, s.schedule)
  select coalesce(jsonb_agg(jsonb_build_object('scheduler', e.scheduler, 'path', e.path, 'schedule', e.schedule, 'first_slot', e.first_slot,
           'last_slot', e.last_slot, 'slots', e.slots,
           'queues', (select jsonb_agg(distinct u.queue order by u.queue) from calls c cross join lateral unnest(c.queues) u (queue)
                       where (c.scheduler, c.path, c.schedule) = (e.scheduler, e.path, e.schedule)))
           order by e.path, e.scheduler, e.schedule), '[]')
    from entries e
$$;

-- The figures that a queue's table has to be read for, and problem: null. p_configured as in list_unreachable.
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
    'setup', case when q.table_schema <> 'punctual'
               then q.setup || punctual.read_table_rights(to_regclass(format('%I.%I', q.table_schema, q.table_name))) end);
end
$$;

-- The dashboard's figures. p_configured as in list_unreachable. A queue whose table is gone or cannot be read has a problem, and no figures of
-- its rows; the others have theirs.
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
        'partitions', '[]'::jsonb, 'due_now', v_none, 'oldest_due_seconds', null, 'next_due_seconds', null, 'unreachable', '[]'::jsonb, 'setup', null);
    end;
    v_queues := v_queues || (v_rows || jsonb_build_object(
      'name', q.name,
      'delivery', q.delivery,
      'paused_at', q.paused_at,
      'paused_reason', q.paused_reason,
      'words', jsonb_build_object('pending', q.pending_word, 'running', q.running_word, 'done', q.done_word, 'dead', q.dead_word,
                                  'unknown', q.unknown_word, 'cancelled', q.cancelled_word),
      'settings', jsonb_build_object('batch_limit', q.batch_limit, 'concurrency', q.concurrency, 'adaptive', q.adaptive,
                                     'budget_seconds', q.budget_seconds),
      'waiting', punctual.list_waiting(q, v_now),
      'refused', punctual.list_refused(q, v_now),
      'noted', punctual.list_noted(q, v_now),
      'throughput', punctual.list_throughput(q, v_now),
      'ticks', punctual.list_ticks(q, v_now)));
  end loop;
  return jsonb_build_object('now', v_now, 'schema', punctual.schema_version(), 'queues', v_queues, 'providers', (
    select coalesce(jsonb_agg(jsonb_build_object('name', v.name, 'paused_until', v.paused_until, 'last_error', v.last_error) order by v.name), '[]')
      from punctual.providers v where v.paused_until > v_now and v.refusals = 0));
end
$$;

-- {schema, queues: [{name, last_tick_seconds}]}; null where no tick ever was.
create function punctual.read_health(p_now timestamptz default null) returns jsonb
language sql stable set search_path = '' set statement_timeout = '4s' as $$
  select jsonb_build_object('schema', punctual.schema_version(), 'queues', coalesce(jsonb_agg(jsonb_build_object('name', h.queue,
           'last_tick_seconds', round(extract(epoch from coalesce(p_now, clock_timestamp()) - h.at))) order by h.queue), '[]'))
    from (select p.queue, max(p.last_tick_at) as at from punctual.partitions p group by 1) h
$$;

select punctual.close_to_public();
select punctual.note_migration('20261122000600', 'stats');
