-- Counts an account's pending rows that are due, up to 1,000. next_due_at: when its next one falls due; null if there is none.
create function punctual.count_due_of_account(
  q punctual.queues, p_account_id uuid, p_now timestamptz, out due integer, out next_due_at timestamptz)
language plpgsql stable set search_path = '' as $$
begin
  execute punctual.render_sql(q, $sql$
    select (select count(*) from (
              select from generate_series(0, 3) punctual_level cross join lateral (
                select from {table} t where t.{status} = {pending} and t.{account} = $1 and t.priority = punctual_level and {due_at} <= $2 limit 1000) r
               limit 1000) c),
           (select min(r.at) from generate_series(0, 3) punctual_level cross join lateral (
              select {due_at} as at from {table} t
               where t.{status} = {pending} and t.{account} = $1 and t.priority = punctual_level and {due_at} > $2 and {due_at} < 'infinity'
               order by {due_at}, t.id limit 1) r)
    $sql$) into due, next_due_at using p_account_id, p_now;
end
$$;

-- Returns what an account may send in a queue: {queue, used, limit, left, opens_at, waits, due, next_due_at, next_send_at}. used, limit, left: of its
-- current day. opens_at: when it may send; null if not before somebody changes something. next_send_at: when its first row can go; null if it has
-- none, or if the account may not send.
create function punctual.describe_account_pace(
  q punctual.queues, p_account punctual.accounts, p_pace punctual.pace, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_zone text := case when punctual.is_time_zone(p_account.time_zone) then p_account.time_zone else 'UTC' end;
  v_used integer := (select d.used from punctual.used_of_day(p_pace.used, p_pace.used_until, v_zone, p_now) d);
  v_limit integer := punctual.daily_limit_on(p_account, p_pace, (p_now at time zone v_zone)::date);
  v_opening record := punctual.account_opening(p_account, p_pace, p_now);
  v_rows record := punctual.count_due_of_account(q, p_account.id, p_now);
begin
  return jsonb_build_object(
    'queue', q.name, 'used', v_used, 'limit', v_limit, 'left', greatest(0, v_limit - v_used),
    'opens_at', case when v_opening.open_at < 'infinity' then v_opening.open_at end,
    'waits', (select coalesce(jsonb_agg(case when w->>'until' = 'infinity' then w || '{"until": null}' else w end), '[]')
                from jsonb_array_elements(v_opening.waits) w),
    'due', v_rows.due, 'next_due_at', v_rows.next_due_at,
    'next_send_at', case when v_opening.open_at < 'infinity' and (v_rows.due > 0 or v_rows.next_due_at is not null)
                         then greatest(v_opening.open_at, case when v_rows.due = 0 then v_rows.next_due_at end) end);
end
$$;

-- Returns an account as describe_account does, with refused, the provider's text if it refuses the account, and pace: what it may send in each queue,
-- as describe_account_pace returns it. Raises PT404 if no account has the id. Takes no locks.
create function punctual.read_account(p_id uuid, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  a punctual.accounts;
begin
  select * into a from punctual.accounts x where x.id = p_id;
  if not found then raise exception 'there is no account %', p_id using errcode = 'PT404'; end if;
  return punctual.describe_account(a) || jsonb_build_object('refused', a.refused->>'said', 'pace', (
    select coalesce(jsonb_agg(punctual.describe_account_pace(q, a, p, v_now) order by q.name), '[]')
      from punctual.pace p join punctual.queues q on q.name = p.queue where p.account_id = p_id));
end
$$;

-- Writes an account's pause, and records it as p_act if it differs. Returns as read_account does.
create function punctual.set_account_pause(
  p_id uuid, p_act text, p_until timestamptz, p_reason text, p_by text, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_before punctual.accounts;
  v_after punctual.accounts;
begin
  select * into v_before from punctual.accounts a where a.id = p_id for no key update;
  if not found then raise exception 'there is no account %', p_id using errcode = 'PT404'; end if;
  update punctual.accounts a set paused_until = p_until, paused_reason = p_reason where a.id = p_id returning a.* into v_after;
  perform punctual.note_change(p_by, p_act, null, p_id::text, punctual.describe_account(v_before), punctual.describe_account(v_after), null, p_now);
  return punctual.read_account(p_id, p_now);
end
$$;

-- Pauses an account. p_until: the pause ends by itself then; null: when somebody resumes it. Returns as read_account does. Raises PT404 if no account
-- has the id, and 22023 for an end that is not in the future. Locks the account.
create function punctual.pause_account(
  p_id uuid, p_until timestamptz default null, p_reason text default null, p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
begin
  if p_until <= coalesce(p_now, clock_timestamp()) then
    raise exception 'the end of the pause is not in the future: %', p_until using errcode = '22023', hint = 'Leave it out to pause until you resume.';
  end if;
  return punctual.set_account_pause(p_id, 'pause_account', coalesce(p_until, 'infinity'), p_reason, p_by, p_now);
end
$$;

-- Ends an account's pause, and its refusal if that was the cause. Returns as read_account does. Raises PT404 if no account has the id. Locks the account.
create function punctual.resume_account(p_id uuid, p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
begin
  return punctual.set_account_pause(p_id, 'resume_account', null, null, p_by, p_now);
end
$$;
