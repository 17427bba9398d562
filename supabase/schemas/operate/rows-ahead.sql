-- Why a row has not gone out, from the same predicates that claims obey: account_opening() and what stands in pace, queues, providers.

create function punctual.wait_of(p_kind text, p_until timestamptz, p_text text) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_array(jsonb_build_object('kind', p_kind, 'until', case when p_until < 'infinity' then p_until end, 'text', p_text))
$$;

-- SQL on t: its addressee is not held back by the provider. p_held: the account's pace.held; p_now: the instant; both as SQL.
create function punctual.pair_condition(q punctual.queues, p_held text, p_now text) returns text
language sql stable set search_path = '' as $$
  select case when q.pair_column is null then 'true'
              else format('coalesce((%s -> t.%I ->> ''until'')::timestamptz <= %s, true)', p_held, q.pair_column, p_now) end
$$;

-- The rows of its account that go before a pending row: {count, ids}, counted to 1,000, the first ten named.
create function punctual.list_ahead(q punctual.queues, p_row jsonb, p_held jsonb, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_ahead jsonb;
begin
  -- By the time this one is due: what is more urgent, or as urgent and due before.
  execute punctual.render_sql(q, $sql$
    select jsonb_build_object('count', count(*), 'ids', coalesce(jsonb_agg(a.id::text order by a.priority, a.due, a.id) filter (where a.n <= 10), '[]'))
      from (select o.*, row_number() over (order by o.priority, o.due, o.id) as n
              from generate_series(0, $1) punctual_level cross join lateral (
                select t.id, t.priority, coalesce(t.next_attempt_at, t.%1$I) as due from %2$I.%3$I t
                 where t.{status} = %4$L and t.%5$I = $2 and t.priority = punctual_level and t.id <> $3::%6$s
                   and (t.expires_at is null or t.expires_at > $5)
                   and case when punctual_level = $1 then (coalesce(t.next_attempt_at, t.%1$I), t.id) < ($4, $3::%6$s)
                            else coalesce(t.next_attempt_at, t.%1$I) <= greatest($4, $5) end
                   -- For the index: no later than that in either case.
                   and coalesce(t.next_attempt_at, t.%1$I) <= greatest($4, $5)
                   and %7$s
                 order by coalesce(t.next_attempt_at, t.%1$I), t.id limit 1000) o limit 1000) a
    $sql$,
    q.due_column, q.table_schema, q.table_name, q.pending_word, q.account_column, q.id_type, punctual.pair_condition(q, '$6', '$5'))
  into v_ahead
  using (p_row->>'priority')::integer, (p_row->>q.account_column)::uuid, p_row->>'id',
        coalesce((p_row->>'next_attempt_at')::timestamptz, (p_row->>q.due_column)::timestamptz), p_now, p_held;
  return v_ahead;
end
$$;

-- When an account that goes on claiming would come to the row with p_ahead rows before it, at the earliest: each step is a claim as the claim
-- itself would be judged. Null when never, as things stand, or when it is more than 500 claims away.
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
