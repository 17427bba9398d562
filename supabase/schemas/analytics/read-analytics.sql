-- Returns the dashboard's figures of the last p_days days (1 to 90): {time_zone, rolled_until, rolled_at, problems, totals, days, monitors}.
-- lib/store/analytics.ts has the types. Each queue has its 8 accounts with the most rows; the others are summed up in one. `monitors` has the
-- 60 monitors with the highest share of down checks. Raises 22023 if p_days is out of range.
create function punctual.read_analytics(p_days integer default 14, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_zone text := coalesce((select s.time_zone from punctual.settings s), 'UTC');
  v_from date := punctual.day_of(coalesce(p_now, clock_timestamp()), v_zone) - p_days + 1;
  v_outcomes constant text[] := '{done,up,degraded,dead,down,unknown,cancelled}';
begin
  if p_days is null or p_days not between 1 and 90 then
    raise exception 'p_days must be between 1 and 90' using errcode = '22023';
  end if;
  return jsonb_build_object(
    'time_zone', v_zone,
    'rolled_until', (select min(r.rolled_until) from punctual.rollups r),
    'rolled_at', (select max(r.rolled_at) from punctual.rollups r),
    'problems', (select coalesce(jsonb_agg(jsonb_build_object('queue', r.queue, 'problem', r.problem) order by r.queue), '[]')
                   from punctual.rollups r where r.problem is not null),
    'totals', (
      select coalesce(jsonb_agg(to_jsonb(d) - 'is_total' - 'account_id' || jsonb_build_object('partial', coalesce(d.day >= r.rolled_until, false))
                                order by d.day desc, d.queue, array_position(v_outcomes, d.outcome)), '[]')
        from punctual.daily_outcomes d left join punctual.rollups r on r.queue = d.queue
       where d.is_total and d.day >= v_from),
    'days', (
      with d as materialized (
        select x.* from punctual.daily_outcomes x where not x.is_total and x.day >= v_from
      ),
      placed as materialized (
        select x.queue, x.account_id, row_number() over (partition by x.queue order by sum(x.rows) desc, x.account_id) as place from d x group by 1, 2
      ),
      shown as (
        select d.day, d.queue, d.outcome, p.place > 8 as others, least(p.place, 9) as place, case when p.place <= 8 then d.account_id end as account_id,
               sum(d.rows) as rows, max(d.p50_seconds) filter (where p.place <= 8) as p50_seconds,
               max(d.p95_seconds) filter (where p.place <= 8) as p95_seconds, max(d.p99_seconds) filter (where p.place <= 8) as p99_seconds
          from d join placed p on p.queue = d.queue and coalesce(p.account_id::text, '') = coalesce(d.account_id::text, '')
         group by 1, 2, 3, 4, 5, 6
      )
      select coalesce(jsonb_agg(to_jsonb(s) - 'place' || jsonb_build_object('account', a.name, 'partial', coalesce(s.day >= r.rolled_until, false))
                                order by s.day desc, s.queue, s.place, array_position(v_outcomes, s.outcome)), '[]')
        from shown s left join punctual.accounts a on a.id = s.account_id left join punctual.rollups r on r.queue = s.queue),
    'monitors', (
      with worst as materialized (
        select m.id, m.name, row_number() over (order by sum(d.down)::double precision / sum(d.checks) desc,
                                                         sum(d.degraded)::double precision / sum(d.checks) desc, m.name, m.id) as place
          from punctual.daily_checks d join punctual.monitors m on m.id = d.monitor_id
         where d.day >= v_from group by m.id order by place limit 60
      )
      select coalesce(jsonb_agg(to_jsonb(d) || jsonb_build_object('monitor_id', w.id::text, 'monitor', w.name,
                                  'partial', coalesce(d.day >= r.rolled_until, false)) order by w.place, d.day desc), '[]')
        from worst w join punctual.daily_checks d on d.monitor_id = w.id and d.day >= v_from
        left join punctual.rollups r on r.queue = 'monitors'));
end
$$;
