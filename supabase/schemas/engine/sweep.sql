-- Picks up to 200 running rows whose lease has passed, because their tick died, as records of the outcome `swept`. Under at-most-once such a row
-- becomes unknown. Otherwise it is due again within p_backoff_base * 4^attempts seconds, p_backoff_cap at most. {spread} gives each row its own
-- delay, so that a row that kills its tick does not run with the same neighbours again and use up their attempts. Skips locked rows, and for an
-- hour rows that could not be written.
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
-- Picks up to 1,000 pending rows whose expires_at has passed, as records of the outcome `dead`. Skips locked rows, and for an hour rows that could
-- not be written.
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

-- Settles overdue and expired rows. Returns how many overdue rows it recovered.
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

-- Settles records, 50 at a time, until the call has used up its time. Returns how many were written.
create function punctual.settle_by_fifty(q punctual.queues, p_records jsonb, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_some jsonb;
  v_settled jsonb;
  v_written integer := 0;
begin
  if p_records is null then return 0; end if;
  for v_some in select punctual.by_fifty(p_records) loop
    begin
      v_settled := punctual.settle_outcomes(q, jsonb_build_object('records', v_some), p_now);
    exception when lock_not_available or deadlock_detected then
      -- The next exchange sweeps again. Outcomes must not wait for this lock.
      exit;
    end;
    v_written := v_written + jsonb_array_length(v_some) - jsonb_array_length(v_settled->'exceptions');
    exit when punctual.is_call_over();
  end loop;
  return v_written;
end
$$;
