-- Returns the latest ticks that did something, and the very latest tick in any case: 12 at most, of the last two days.
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

-- Returns the outcomes of the last hour's ticks, by the minute in which a tick closed: [{minute, done, retried, dead, unknown}].
create function punctual.list_throughput(q punctual.queues, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(to_jsonb(m) order by m.minute), '[]')
    from (select date_trunc('minute', coalesce(t.closed_at, p_now)) as minute, sum(t.done + t.again) as done, sum(t.retried) as retried,
                 sum(t.dead) as dead, sum(t.unknown) as unknown
            from punctual.ticks t
           where t.queue = q.name and t.started_at > p_now - interval '1 hour'
           group by 1 having sum(t.done + t.again + t.retried + t.dead + t.unknown) > 0) m
$$;
