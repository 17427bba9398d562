-- Returns a reason why no tick can reach rows, and the number of these rows: {reason, rows}. p_where: SQL on t, a template of render_sql.
create function punctual.count_unreachable(q punctual.queues, p_reason text, p_where text, variadic p_args text[] default '{}') returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('reason', p_reason, 'rows', punctual.count_rows(q, punctual.render_sql(q, p_where, variadic p_args))->'count')
$$;

-- Returns the rows that no tick can reach now, counted up to 10,000: [{reason, rows}]. p_configured: the configured providers; null if unknown.
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
    -- Steps from one partition to the next by the index, instead of reading all rows.
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

-- Returns the rows that failed for good in the last 24 hours: {rows, first_at, last_at, text}. rows: counted to 10,000. text: the latest error.
create function punctual.count_failed(q punctual.queues, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_from text := case when q.source = 'pgmq'
    then 'select t.set_aside_at as at, t.last_error from punctual.set_aside_messages t where t.cancelled_at is null and t.set_aside_at > $1'
    else punctual.render_sql(q, 'select t.finished_at as at, t.last_error from {table} t where t.{status} = {dead} and t.finished_at > $1') end;
  v_found jsonb;
begin
  -- The index of settled rows has this order.
  execute format($sql$
    select jsonb_build_object('rows', (select count(*) from (%1$s limit 10000) c), 'first_at', (select f.at from (%1$s order by 1 limit 1) f),
             'last_at', l.at, 'text', l.last_error)
      from (select) one left join (%1$s order by 1 desc limit 1) l on true
    $sql$, v_from) into v_found using p_now - interval '24 hours';
  return v_found;
end
$$;

-- Returns the unknown rows that wait for an operator: {rows, since}. rows: counted to 10,000. since: when the first of them became unknown.
create function punctual.count_undecided(q punctual.queues, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_found jsonb;
begin
  if q.source = 'pgmq' then return '{"rows": 0}'; end if;
  -- The condition names the time $2.
  execute punctual.render_sql(q, 'select jsonb_build_object(''rows'', count(*), ''since'', min(u.at)) from (select t.finished_at as at from {table} t '
      'where t.{status} = {unknown} and (%s) and $2 is not null limit $1) u', punctual.operator_condition(q))
    into v_found using 10000, p_now;
  return v_found;
end
$$;

-- Returns the accounts that a person paused: [{id, name, provider, until, reason}], 50 at most, by name. until is null if the pause has no end.
create function punctual.list_paused_accounts(p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', a.id, 'name', a.name, 'provider', a.provider,
           'until', case when a.paused_until < 'infinity' then a.paused_until end, 'reason', a.paused_reason) order by a.name, a.id), '[]')
    from (select * from punctual.accounts x where x.paused_until > p_now and x.refused is null order by x.name, x.id limit 50) a
$$;

-- Returns why accounts with due rows may not send now: [{reason, accounts, until}].
create function punctual.list_waiting(q punctual.queues, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('reason', w.reason, 'accounts', w.accounts,
           'until', case when w.until < 'infinity' then w.until end) order by w.reason), '[]')
    from (select p.waiting_for as reason, count(*) as accounts, min(p.next_ok_at) as until
            from punctual.pace p where p.queue = q.name and p.waiting_for is not null and p.next_ok_at > p_now group by 1
          union all
          select format('the provider %s %s', v.name, case when v.refusals > 0 then 'refuses our configuration' else 'failed and is paused' end), count(*), max(v.paused_until)
            from punctual.pace p join punctual.providers v on v.name = p.provider
           -- The account with the refused row waits as long as the provider rests.
           where p.queue = q.name and v.paused_until > p_now and (p.ready_at <= p_now or (p.retry_at > p_now and p.refused->>'what' = 'provider'))
           group by v.name) w
$$;

-- Returns events of the last 24 hours that a person should know of: [{event, rows, row_id, text}]. event: twice (a row was delivered twice) or error
-- (a part of the work failed). rows: counted among the latest 1,000 events. row_id and text: of the latest event; row_id is null if it has no row.
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

-- Returns the refusals by providers that only a person can resolve: [{provider, account, name, said, until}], 50 accounts at most. account and name
-- are null if the provider refuses all accounts; these come first. A refusal stays until the provider gives another answer, or a person ends the
-- pause.
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
