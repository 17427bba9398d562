-- SQL: nothing of the row (its id as text, SQL) has failed for an hour, since this instant (SQL). Rows that cannot be written keep nobody waiting
-- behind them.
create function punctual.unfailed_condition(q punctual.queues, p_row_id text, p_since text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return format('not exists (select from punctual.history h where h.queue = %L and h.row_id = %s and h.event = ''error'' and h.at > p_now - interval ''1 hour'' '
                'and h.at >= %s)', q.name, p_row_id, p_since);
end
$$;

-- What a queue's own function settles by SQL, in another queue, is settled by hand and no settle of ours: see tell_by_hand.
create function punctual.call_after_settle(p_function text, p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_settles text := current_setting('punctual.settles', true);
begin
  perform set_config('punctual.settles', '', true);
  execute format('select %s($1, $2)', p_function) using p_applied, p_now;
  perform set_config('punctual.settles', coalesce(v_settles, ''), true);
end
$$;

-- Tells the queue's after_settle of rows that no settle brought.
create function punctual.tell_after_settle(q punctual.queues, p_applied jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if q.after_settle is null or p_applied is null then return; end if;
  perform punctual.do_isolated(q, format('select punctual.call_after_settle(%L, $1, $2)', q.after_settle), p_applied,
                               q.after_settle || ' could not be told of it', p_now);
end
$$;

-- What is known of a row that becomes unknown, by its state before (p_row): {over_at, checks, first_at, claims, account_id, digest}, beside
-- what was known before. From over_at on its attempt is over for certain, whoever made it; first_at and claims are of all its
-- uncertain attempts; account_id and digest are of the row as it was sent.
create function punctual.begin_reconcile(p_queue text, p_row jsonb, p_over_at timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  q punctual.queues;
  v_before jsonb := case when jsonb_typeof(p_row->'reconcile') = 'object' then p_row->'reconcile' else '{}' end;
begin
  select * into q from punctual.queues where name = p_queue;
  return v_before - 'found' || jsonb_build_object(
    'over_at', p_over_at, 'checks', 0,
    -- A tick of a queue without reconcile made it unknown: nobody is going to ask, unless the queue gets one.
    'waits_for_operator', coalesce(current_setting('punctual.reconciles', true) = 'false', false),
    'first_at', coalesce(v_before->'first_at', p_row->'claimed_at'),
    'claims', coalesce(v_before->'claims', '[]') || jsonb_build_array(p_row->'claim_id'),
    'account_id', p_row->q.account_column,
    'digest', punctual.row_digest(q, p_row));
end
$$;

-- Of what somebody asked for: the row without what the engine writes.
create function punctual.row_digest(q punctual.queues, p_row jsonb) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return md5((p_row - array[q.status_column, 'priority', 'attempts', 'max_attempts', 'next_attempt_at', 'claim_id', 'lease_expires_at', 'timeout_seconds',
    'last_error', 'finished_at', 'expires_at', 'claimed_at', 'reconcile_at', 'reconcile', q.due_column] - q.result_columns)::text);
end
$$;

-- When an unknown row is checked next, after so many checks: in 30 s, then twice as long each time, an hour at most.
create function punctual.next_check_at(p_checks integer, p_now timestamptz) returns timestamptz
language plpgsql immutable set search_path = '' as $$
begin
  return p_now + make_interval(secs => least(3600, 30 * power(2, least(p_checks, 10))));
end
$$;

-- Rows whose lease has passed: their tick died. What it did is unknown under at-most-once; otherwise the row is due again, within
-- base * 4^attempts seconds, another time for each: the row that killed the tick is not to meet the same neighbours again, which count an
-- attempt as well. Rows that could not be written wait an hour, so that they keep nobody waiting behind them.
insert into punctual.templates (verb, text) values ('pick_overdue', $template$
create function {function}(p_backoff_base integer, p_backoff_cap integer, p_now timestamptz) returns jsonb
language plpgsql {keeps_plan} as $$
begin
  return (
    select jsonb_agg(jsonb_build_object('id', r.id::text, 'claim_id', r.claim_id, 'outcome', 'swept', 'by', 'sweep', 'event', 'swept',
             'error', 'the tick died while this row was running', 'delay_seconds', least(p_backoff_cap, p_backoff_base * power(4, least(r.attempts, 10))) * r.spread))
      from (select t.id, t.claim_id, t.attempts, {spread} as spread from {table} t
             where t.{status} = {running} and t.lease_expires_at <= p_now and {unswept}
             order by t.lease_expires_at limit 200 for no key update skip locked) r);
end
$$
$template$),
-- Rows that could not start before they expired.
('pick_expired', $template$
create function {function}(p_now timestamptz) returns jsonb
language plpgsql {keeps_plan} as $$
begin
  return (
    select jsonb_agg(jsonb_build_object('id', r.id::text, 'claim_id', r.claim_id, 'outcome', 'dead', 'by', 'expiry', 'event', 'expired',
             'error', 'expired before it could start'))
      from (select t.id, t.claim_id from {table} t
             where t.{status} = {pending} and t.expires_at <= p_now and {unexpired}
             order by t.expires_at limit 1000 for no key update skip locked) r);
end
$$
$template$),
('sweep', $template$
create function {function}(q punctual.queues, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
begin
  return punctual.sweep_rows(q, p_now);
end
$$
$template$);

-- Ends what no tick is going to finish any more. Answers how many rows it took from ticks that died.
create function punctual.sweep_rows(q punctual.queues, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_overdue jsonb;
  v_expired jsonb;
  v_swept integer;
begin
  execute format('select punctual.%I($1, $2, $3)', q.name || '.pick_overdue') into v_overdue using q.backoff_base_seconds, q.backoff_cap_seconds, p_now;
  v_swept := punctual.settle_by_fifty(q, v_overdue, p_now);
  execute format('select punctual.%I($1)', q.name || '.pick_expired') into v_expired using p_now;
  perform punctual.settle_by_fifty(q, v_expired, p_now);
  return v_swept;
end
$$;

-- Settles records until the call has taken long enough. Answers how many were written.
create function punctual.settle_by_fifty(q punctual.queues, p_records jsonb, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_some jsonb;
  v_settled jsonb;
  v_written integer := 0;
begin
  for v_some in select punctual.by_fifty(p_records) loop
    begin
      v_settled := punctual.settle_outcomes(q, jsonb_build_object('records', v_some), p_now);
    exception when lock_not_available or deadlock_detected then
      -- The next exchange does it: nobody's outcomes wait for that.
      exit;
    end;
    v_written := v_written + jsonb_array_length(v_some) - jsonb_array_length(v_settled->'exceptions');
    exit when punctual.is_call_over();
  end loop;
  return v_written;
end
$$;

insert into punctual.templates (verb, text) values ('count_running', $template$
create function {function}(p_partition text, p_most integer, out count integer, out first_ends_at timestamptz)
language plpgsql stable {keeps_plan} as $$
begin
  select count(*), min(r.lease_expires_at) into count, first_ends_at
    from (select t.lease_expires_at from {table} t where t.{status} = {running} {in_partition} limit p_most) r;
end
$$
$template$);

-- What a partition with max_running lets start now: `most` rows, and of these head_id alone where it is set: it was begun, and is finished
-- before any other. Where nothing may start: why, and until when ('infinity': until something is done about it). The caller
-- that means to claim holds the partition's lock, and asks in a statement of its own: in one that locks and counts the count is stale.
create function punctual.partition_opening(
  q punctual.queues, p_partition punctual.partitions, p_now timestamptz,
  out most integer, out head_id text, out opens_at timestamptz, out reason text)
language plpgsql stable set search_path = '' as $$
declare
  v_head jsonb;
  v_again_at timestamptz;
begin
  opens_at := p_now;
  if p_partition.max_running is null then return; end if;
  if p_partition.max_running = 1 and p_partition.head_id is not null then
    execute format('select to_jsonb(t.*) from %I.%I t where t.id = $1::%s %s', q.table_schema, q.table_name, q.id_type,
                   case when q.partition_column is not null then format('and t.%I = $2', q.partition_column) end)
    into v_head using p_partition.head_id, p_partition.partition;
    v_again_at := coalesce(v_head->>'next_attempt_at', v_head->>q.due_column)::timestamptz;
    if v_head->>q.status_column = q.unknown_word then
      most := 0;
      opens_at := 'infinity';
      reason := format('row %s is %s, and has to be resolved first', p_partition.head_id, q.unknown_word);
      return;
    elsif v_head->>q.status_column = q.pending_word and ((v_head->>'attempts')::integer > 0 or v_head->>'next_attempt_at' is not null) then
      head_id := p_partition.head_id;
      most := case when v_again_at <= p_now then 1 else 0 end;
      if v_again_at < 'infinity' and most = 0 then
        opens_at := v_again_at;
        reason := format('row %s failed, is tried again, and goes first', head_id);
      elsif most = 0 then
        opens_at := 'infinity';
        reason := format('row %s was begun and goes first, and its %s is %s', head_id, q.due_column, coalesce(v_again_at::text, 'null'));
      end if;
      return;
    end if;
  end if;
  execute format('select * from punctual.%I($1, $2)', q.name || '.count_running') into most, opens_at using p_partition.partition, p_partition.max_running;
  most := p_partition.max_running - most;
  if most > 0 then
    opens_at := p_now;
  else
    reason := format('%s %s, and no more run side by side', p_partition.max_running,
                     case p_partition.max_running when 1 then 'row is running' else 'rows are running' end);
  end if;
end
$$;

-- Due rows that are claimable, the best priority first, then the oldest. Level by level: rows of a better priority that are not yet due never
-- stand in the way of the scan. As an array: the planner takes a limit it does not know for a tenth of the table, and would join all of it.
insert into punctual.templates (verb, kinds, text) values ('claim', '{plain}', $template$
create function {function}(p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_now timestamptz) returns json[]
language plpgsql {keeps_plan} as $$
declare
  v_rows json[];
begin
  with taken as (
      update {table} u set {take}
       where u.id = any (array(
               select d.id from {levels} cross join lateral (
                 select t.id from {table} t where {at_level} {in_partition} and {claimable}
                  order by {due_at}, t.id limit p_want for no key update skip locked) d
                limit p_want))
      returning u.*)
  select coalesce(array_agg({claimed} order by t.priority, {due_at}, t.id), '{}') into v_rows from taken t;
  return v_rows;
end
$$
$template$), ('claim_one', '{plain}', $template$
create function {function}(p_id text, p_partition text, p_claim_id uuid, p_lease_until timestamptz, p_now timestamptz) returns json[]
language plpgsql {keeps_plan} as $$
declare
  v_rows json[];
begin
  with taken as (
      update {table} u set {take}
       where u.id = (select t.id from (select x.* from {table} x where x.id = p_id::{id_type} limit 1 for no key update skip locked) t
                      where {claimable} {in_partition})
      returning u.*)
  select coalesce(array_agg({claimed}), '{}') into v_rows from taken t;
  return v_rows;
end
$$
$template$),
-- Rows that were dead before p_before, for somebody who asked for it: each has one attempt more, the longest dead first. One that comes back
-- unstarted is pending then, in its own partition.
('claim_dead', '{plain}', $template$
create function {function}(p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_before timestamptz, p_now timestamptz)
returns json[]
language plpgsql {keeps_plan} as $$
declare
  v_rows json[];
begin
  with taken as (
      update {table} u set {take}, next_attempt_at = null, finished_at = null, max_attempts = u.attempts + 1
       where u.id = any (array(
               select t.id from {table} t
                where t.{status} = {dead} and (t.finished_at < p_before or t.finished_at is null) and {wanted} {in_partition}
                order by t.finished_at, t.id limit p_want for no key update skip locked))
      returning u.*)
  select coalesce(array_agg({claimed} order by {due_at}, t.id), '{}') into v_rows from taken t;
  return v_rows;
end
$$
$template$);

-- p_only: this row or none.
create function punctual.claim_rows(
  q punctual.queues, p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_now timestamptz, p_only text default null)
returns json[]
language plpgsql set search_path = '' as $$
declare
  v_rows json[];
begin
  if p_only is null then
    execute format('select punctual.%I($1, $2, $3, $4, $5)', q.name || '.claim') into v_rows using p_partition, p_claim_id, p_want, p_lease_until, p_now;
  else
    execute format('select punctual.%I($1, $2, $3, $4, $5)', q.name || '.claim_one') into v_rows using p_only, p_partition, p_claim_id, p_lease_until, p_now;
  end if;
  return v_rows;
end
$$;

create function punctual.claim_dead_rows(
  q punctual.queues, p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_before timestamptz, p_now timestamptz)
returns json[]
language plpgsql set search_path = '' as $$
declare
  v_rows json[];
begin
  execute format('select punctual.%I($1, $2, $3, $4, $5, $6)', q.name || '.claim_dead')
  into v_rows using p_partition, p_claim_id, p_want, p_lease_until, p_before, p_now;
  return v_rows;
end
$$;

-- Claims in a partition that lets only so many rows run. The caller has locked it: see partition_opening.
create function punctual.claim_limited_rows(
  q punctual.queues, p_partition punctual.partitions, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_dead_before timestamptz,
  p_now timestamptz) returns json[]
language plpgsql set search_path = '' as $$
declare
  v_opening record;
  v_rows json[] := '{}';
  v_want integer;
begin
  select * into v_opening from punctual.partition_opening(q, p_partition, p_now);
  v_want := least(p_want, v_opening.most);
  if v_want <= 0 then return v_rows; end if;
  if p_dead_before is null then
    v_rows := punctual.claim_rows(q, p_partition.partition, p_claim_id, v_want, p_lease_until, p_now, v_opening.head_id);
  elsif v_opening.head_id is null then
    v_rows := punctual.claim_dead_rows(q, p_partition.partition, p_claim_id, v_want, p_lease_until, p_dead_before, p_now);
  end if;
  if p_partition.max_running = 1 and cardinality(v_rows) > 0 then
    update punctual.partitions p set head_id = v_rows[1]->>'id' where p.queue = q.name and p.partition = p_partition.partition;
  end if;
  return v_rows;
end
$$;

-- Which providers may be used now, and for how many rows each; probed: those that one row tries, since they failed as a whole and their pause
-- is over. One that somebody else has locked is being noted or tried at this moment, and is left to him: a claim waits for nobody.
create function punctual.open_providers(
  q punctual.queues, p_configured text[], p_want integer, p_now timestamptz, out names text[], out limits integer[], out probed text[])
language plpgsql set search_path = '' as $$
declare
  v_name text;
  v_provider punctual.providers;
begin
  names := p_configured;
  probed := '{}';
  limits := array_fill(p_want, array[coalesce(array_length(p_configured, 1), 0)]);
  for v_name in select v.name from punctual.providers v where v.failures > 0 and v.name = any (p_configured) loop
    select * into v_provider from punctual.providers v where v.name = v_name for no key update skip locked;
    if v_provider.name is null or v_provider.paused_until > p_now or v_provider.probing_until > p_now then
      limits[array_position(names, v_name)] := 0;
    elsif v_provider.failures > 0 then
      probed := probed || v_name;
      limits[array_position(names, v_name)] := 1;
    end if;
  end loop;
end
$$;

-- Judges these accounts, which the caller has locked, and takes a row of each that may go, p_want at most; an account that has a row beyond
-- that stays as it is. Each account is looked up by its key: the planner knows nothing of the arrays, and would hash all of them.
insert into punctual.templates (verb, kinds, text) values ('claim', '{accounts}', $template$
create function {function}(p_accounts uuid[], p_ready timestamptz[], p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_now timestamptz)
returns json[]
language plpgsql {keeps_plan} as $$
declare
  v_rows json[];
begin
  with candidate as materialized (
      select c.account_id, c.ready_at, a.time_zone, p.used as counted, p.used_until as counted_until, o.open_at, o.reason, p.held,
             greatest(30, coalesce(p.hourly_limit, a.hourly_limit) + 1) as remembered, {account_summary} as account
        from unnest(p_accounts, p_ready) c (account_id, ready_at)
       cross join lateral (select x.* from punctual.pace x where x.queue = {queue} and x.account_id = c.account_id limit 1) p
       cross join lateral (select x.* from punctual.accounts x where x.id = c.account_id limit 1) a
       cross join lateral punctual.account_opening(a, p, p_now) o),
    found as materialized (
      select c.*, h.id, row_number() over (partition by h.id is null order by c.ready_at, h.id) as place
        from candidate c
        left join lateral (
          -- The row is locked, or there is none where somebody else has it: the second never goes before it.
          select t.id from (select x.* from {table} x where x.id = (select f.id from {head} f) limit 1 for no key update skip locked) t
           where {claimable}) h on c.open_at <= p_now),
    head as materialized (
      select f.*, d.used, d.until
        from found f
       cross join lateral punctual.used_of_day(f.counted, f.counted_until, case when f.id is null then 'UTC' else f.time_zone end, p_now) d
       where f.id is null or f.place <= p_want),
    taken as (
      update {table} u set {take} from head h where u.id = h.id
      returning u.id, h.ready_at, json_build_object('id', u.id::text, 'attempt', u.attempts, 'timeout_seconds', u.timeout_seconds,
                                                    'account', h.account, 'row', row_to_json(u.*)) as answer),
    paced as (
      update punctual.pace p set
        used = case when h.id is null then p.used else h.used + 1 end,
        used_until = case when h.id is null then p.used_until else h.until end,
        used_since = case when h.id is not null and h.used = 0 then p_now else p.used_since end,
        recent = case when h.id is null then p.recent
                      else (p.recent || p_now)[greatest(1, cardinality(p.recent) + 2 - h.remembered):] end,
        claim_id = case when h.id is null then p.claim_id else p_claim_id end,
        busy_until = case when h.id is null then p.busy_until else p_lease_until end,
        next_ok_at = case when h.open_at > p_now then h.open_at else '-infinity' end,
        waiting_for = h.reason,
        ready_at = case when h.open_at > p_now then h.open_at when h.id is not null then p_lease_until else least(n.due, n.held_until) end
        from head h
        -- Nothing to do: look again when its next row falls due, or the first addressee is free.
        left join lateral (
          select min(f.due) as due,
                 (select min((v->>'until')::timestamptz) from jsonb_each(h.held) e (k, v) where (v->>'until')::timestamptz > p_now) as held_until
            from unnest(array[0, 1, 2, 3]) l (level) cross join lateral (
              select {due_at} as due from {table} t
               where t.{status} = {pending} and t.{account} = h.account_id and t.priority = l.level and {due_at} > p_now
               order by {due_at}, t.id limit 1) f
           where h.open_at <= p_now and h.id is null) n on true
       where p.queue = {queue} and p.account_id = h.account_id)
  select coalesce(array_agg(t.answer order by t.ready_at, t.id), '{}') into v_rows from taken t;
  return v_rows;
end
$$
$template$);

-- Due rows of accounts that may go: the longest-ready account first, one row of each, so that an account's rows go out in
-- order and one account's backlog starves no other. The account's state is judged and written under its lock:
-- no number of ticks passes a cap. `more`: there are accounts that it has not come to.
create function punctual.claim_paced_rows(
  q punctual.queues, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_configured text[], p_now timestamptz,
  out claimed json[], out more boolean)
language plpgsql set search_path = '' as $$
declare
  v_taken json[];
  v_accounts uuid[];
  v_ready timestamptz[];
  v_look integer := p_want;
  v_open record;
begin
  claimed := '{}';
  more := false;
  -- Accounts that turn out to have nothing to do, or not to be open, are put where they belong, many in a round: there may be
  -- thousands of them before the first that has. There is an end to it, and the next exchange goes on from where this one stopped.
  for v_round in 1..8 loop
    select * into v_open from punctual.open_providers(q, p_configured, v_look, p_now);
    -- First the locks, then, in a statement of its own, the look: what a settle that held an account wrote meanwhile is seen. In one
    -- statement an account's second row could go before its first.
    select array_agg(c.account_id order by c.ready_at), array_agg(c.ready_at order by c.ready_at) into v_accounts, v_ready
      from (select c.account_id, c.ready_at
              from unnest(v_open.names, v_open.limits) v (provider, most)
             cross join lateral (
               select p.account_id, p.ready_at from punctual.pace p
                where p.queue = q.name and p.provider = v.provider and p.ready_at <= p_now
                order by p.ready_at limit v.most for no key update skip locked) c
             order by c.ready_at limit v_look) c;
    more := v_accounts is not null;
    exit when not more;
    if exists (select from punctual.accounts a where a.refused is not null and a.id = any (v_accounts)) then
      -- One row of one queue tries an account that was refused. Who waits for nobody leaves it to him who has it locked.
      select array_agg(c.account_id order by c.n), array_agg(c.ready_at order by c.n) into v_accounts, v_ready
        from unnest(v_accounts, v_ready) with ordinality c (account_id, ready_at, n)
       where not exists (select from punctual.accounts a where a.id = c.account_id and a.refused is not null)
          or c.account_id in (select a.id from punctual.accounts a where a.id = any (v_accounts) and a.refused is not null for no key update skip locked);
    end if;
    execute format('select punctual.%I($1, $2, $3, $4, $5, $6)', q.name || '.claim') into v_taken
      using v_accounts, v_ready, p_claim_id, p_want - cardinality(claimed), p_lease_until, p_now;
    claimed := claimed || v_taken;
    if v_open.probed <> '{}' then
      update punctual.providers v set probing_until = p_now + make_interval(secs => q.timeout_seconds + 5)
       where v.name = any (v_open.probed) and v.name in (select r->'account'->>'provider' from unnest(v_taken) r);
    end if;
    more := cardinality(claimed) < p_want;
    exit when not more or (v_round > 1 and punctual.is_call_over());
    -- However little is wanted, a call gets on.
    v_look := case when punctual.is_call_over() then 100 else 500 end;
  end loop;
end
$$;

insert into punctual.templates (verb, kinds, text) values ('due_accounts', '{accounts}', $template$
create function {function}(p_now timestamptz, out accounts uuid[], out rows integer)
language plpgsql stable {keeps_plan} as $$
begin
  select array_agg(distinct r.account_id) filter (where r.account_id is not null), count(*) into accounts, rows
    from (select t.{account} as account_id from {table} t where t.{status} = {pending} and {at_level} and {due_at} <= p_now limit 1000) r;
end
$$
$template$),
-- Of these accounts, those that have a row that they could send and are not known to. The look locks nothing.
('awake', '{accounts}', $template$
create function {function}(p_accounts uuid[], p_now timestamptz, out accounts uuid[], out dues timestamptz[])
language plpgsql stable {keeps_plan} as $$
begin
  select array_agg(c.account_id), array_agg(h.due) into accounts, dues
    from unnest(p_accounts) n (account_id)
   cross join lateral (
     select x.account_id, x.held from punctual.pace x
      where x.queue = {queue} and x.account_id = n.account_id and x.next_ok_at <= p_now and (x.ready_at is null or x.ready_at > p_now)
        and (x.busy_until is null or x.busy_until <= p_now) limit 1) c
   cross join lateral {head} h;
end
$$
$template$);

-- Finds the accounts that got work while none was known: new rows tell nobody. Once a tick, a thousand accounts at a time from p_from on.
-- Answers the account to go on with, where the call had taken long enough before it came to all; null where it did.
create function punctual.wake_accounts(q punctual.queues, p_from uuid, p_now timestamptz) returns uuid
language plpgsql set search_path = '' as $$
declare
  v_accounts uuid[];
  v_rows integer;
  v_from uuid := coalesce(p_from, '00000000-0000-0000-0000-000000000000');
begin
  -- Where few rows are due, they say whose they are; else each account without known work is asked for its first.
  execute format('select * from punctual.%I($1)', q.name || '.due_accounts') into v_accounts, v_rows using p_now;
  if v_accounts is null then return null; end if;
  if v_rows < 1000 then
    perform punctual.wake_some(q, v_accounts, p_now);
    return null;
  end if;
  loop
    v_accounts := array(select a.id from punctual.accounts a where a.id >= v_from order by a.id limit 1001);
    v_from := v_accounts[1001];
    perform punctual.wake_some(q, v_accounts[:1000], p_now);
    if v_from is null or punctual.is_call_over() then return v_from; end if;
  end loop;
end
$$;

-- Makes those of them ready that have something to do. An account that is locked at this moment is being judged by somebody else.
create function punctual.wake_some(q punctual.queues, p_accounts uuid[], p_now timestamptz) returns void
-- Planned at each call: a plan that was made while pace was empty, and kept, reads all of it for each account, 0.6 s for a thousand of 100,000.
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
  v_found uuid[];
  v_due timestamptz[];
begin
  -- An account that came into being unseen (triggers off, a restore) is taken in here.
  insert into punctual.pace (queue, account_id, provider)
  select q.name, a.id, a.provider from punctual.accounts a
   where a.id = any (p_accounts) and not exists (select from punctual.pace p where p.queue = q.name and p.account_id = a.id)
  on conflict do nothing;

  execute format('select * from punctual.%I($1, $2)', q.name || '.awake') into v_found, v_due using p_accounts, p_now;

  with locked as materialized (
    select p.account_id from punctual.pace p
     where p.queue = q.name and p.account_id = any (v_found) and (p.ready_at is null or p.ready_at > p_now)
     order by p.account_id for no key update skip locked)
  update punctual.pace p set ready_at = greatest(f.due, p.next_ok_at)
    from locked l join unnest(v_found, v_due) f (account_id, due) on f.account_id = l.account_id
   where p.queue = q.name and p.account_id = l.account_id;
end
$$;

select punctual.close_to_public();
select punctual.note_migration('20261122000300', 'claim');
