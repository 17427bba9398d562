-- Returns the slots that schedulers delivered in the last p_hours, by scheduler, path and schedule:
-- [{scheduler, path, schedule, queues, first_slot, last_slot, slots: [[slot, late_seconds, deliveries, ran]]}].
--   slot          seconds since 1970
--   late_seconds  how late its first delivery was
--   deliveries    how many calls named it
--   ran           false if each of these calls found another tick running
--   first_slot    the first slot of the last 49 hours: yesterday's slot of a daily schedule shows that one is due today
--   last_slot     the last slot, even if it is before p_hours
-- lib/cron/slots/slot-account.ts finds the missed slots from the schedule.
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
