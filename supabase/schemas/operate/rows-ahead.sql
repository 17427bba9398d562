-- Explains why a row waits, by the same rules as claims: account_opening() and the rows of pace, queues and providers.

-- Returns a list with one wait. p_until: 'infinity' becomes null.
create function punctual.wait_of(p_kind text, p_until timestamptz, p_text text) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_array(jsonb_build_object('kind', p_kind, 'until', case when p_until < 'infinity' then p_until end, 'text', p_text))
$$;

-- Returns the waits for a paused queue or partition.
create function punctual.list_pauses(q punctual.queues, p_partition punctual.partitions, p_now timestamptz) returns jsonb
language sql immutable set search_path = '' as $$
  select coalesce(jsonb_agg(punctual.wait_of(p.kind || '_paused', p.until, format('the %s is paused', p.kind) || coalesce(': ' || p.reason, ''))->0
                            order by p.kind desc), '[]')
    from (values ('queue', punctual.pause_end(q.paused_at, q.paused_until, p_now), q.paused_reason),
                 ('partition', punctual.pause_end(p_partition.paused_at, p_partition.paused_until, p_now), p_partition.paused_reason)) p (kind, until, reason)
   where p.until is not null
$$;

-- Returns the wait of a row that the next tick can claim.
create function punctual.wait_for_tick(p_partition punctual.partitions) returns jsonb
language sql immutable set search_path = '' as $$
  select punctual.wait_of('tick', null, case when p_partition.last_tick_at is null then 'no tick has come yet' else 'the next tick takes it' end)
$$;

-- Returns the tick that runs a row, and until when: {waits, tick}. p_row: with claim_id and lease_expires_at.
create function punctual.explain_running(q punctual.queues, p_row jsonb) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'waits', punctual.wait_of('lease', (p_row->>'lease_expires_at')::timestamptz, 'a tick runs it until then, or died'),
    'tick', (select jsonb_build_object('id', t.id, 'scheduler', t.scheduler, 'started_at', t.started_at, 'deadline_at', t.deadline_at)
               from punctual.tick_of_claim(q.name, (p_row->>'claim_id')::uuid) t where t.id is not null))
$$;

-- Returns the latest 200 events of a row's history, the oldest first: [{at, event, text}].
create function punctual.list_history(q punctual.queues, p_id text) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('at', h.at, 'event', h.event, 'text', h.text) order by h.id), '[]')
    from (select * from punctual.history x where x.queue = q.name and x.row_id = p_id order by x.id desc limit 200) h
$$;

-- Returns a SQL condition on t: the provider does not limit its addressee. p_limited: the account's pace.limited_addressees, p_now: the instant,
-- both as SQL.
create function punctual.pair_condition(q punctual.queues, p_limited text, p_now text) returns text
language sql stable set search_path = '' as $$
  select case when q.pair_column is null then 'true'
              else format('coalesce((%s -> t.%I ->> ''until'')::timestamptz <= %s, true)', p_limited, q.pair_column, p_now) end
$$;

-- Returns the rows of its account that go before a pending row: {count, ids}. Counts up to 1,000 and names the first ten.
create function punctual.list_ahead(q punctual.queues, p_row jsonb, p_limited jsonb, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_ahead jsonb;
begin
  -- By the time when this row is due: rows of a better priority, and earlier rows of the same priority.
  execute punctual.render_sql(q, $sql$
    select jsonb_build_object('count', count(*), 'ids', coalesce(jsonb_agg(a.id::text order by a.priority, a.due, a.id) filter (where a.n <= 10), '[]'))
      from (select o.*, row_number() over (order by o.priority, o.due, o.id) as n
              from generate_series(0, $1) punctual_level cross join lateral (
                select t.id, t.priority, {due_at} as due from {table} t
                 where t.{status} = {pending} and t.{account} = $2 and t.priority = punctual_level and t.id <> $3::{id_type}
                   and (t.expires_at is null or t.expires_at > $5)
                   and case when punctual_level = $1 then ({due_at}, t.id) < ($4, $3::{id_type}) else {due_at} <= greatest($4, $5) end
                   -- Follows from the condition above. For the index.
                   and {due_at} <= greatest($4, $5)
                   and %s
                 order by {due_at}, t.id limit 1000) o limit 1000) a
    $sql$, punctual.pair_condition(q, '$6', '$5'))
  into v_ahead
  using (p_row->>'priority')::integer, (p_row->>q.account_column)::uuid, p_row->>'id',
        coalesce((p_row->>'next_attempt_at')::timestamptz, (p_row->>q.due_column)::timestamptz), p_now, p_limited;
  return v_ahead;
end
$$;

-- Returns the earliest instant at which an account can claim a row with p_ahead rows before it. Simulates each claim by the rules of claims. Null
-- if that never happens under the current settings, or if more than 500 claims come before. p_from: no claim of the row itself is before this.
create function punctual.expect_claim_at(
  p_account punctual.accounts, p_pace punctual.pace, p_ahead integer, p_from timestamptz, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_at timestamptz := p_now;
  v_open timestamptz;
  v_day record;
begin
  if p_ahead > 500 then return null; end if;
  for n in 0..p_ahead loop
    if n = p_ahead then v_at := greatest(v_at, p_from); end if;
    loop
      select o.open_at into v_open from punctual.account_opening(p_account, p_pace, v_at) o;
      if v_open = 'infinity' then return null; end if;
      exit when v_open <= v_at;
      v_at := v_open;
    end loop;
    select * into v_day from punctual.used_of_day(p_pace.used, p_pace.used_until, p_account.time_zone, v_at);
    p_pace.used := v_day.used + 1;
    p_pace.used_until := v_day.until;
    p_pace.recent := p_pace.recent || v_at;
    p_pace.retry_at := null;
    p_pace.busy_until := null;
  end loop;
  return v_at;
end
$$;
