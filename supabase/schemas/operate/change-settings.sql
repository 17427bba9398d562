-- Returns what a setting may be, for people. docs/settings.md says what each means.
create function punctual.setting_range(p_setting text) returns text
language sql immutable set search_path = '' as $$
  select case p_setting
    when 'batch_limit' then 'must be a whole number of 1 or more, or null for no limit'
    when 'concurrency' then 'must be a whole number from 1 to 1,000'
    when 'adaptive' then 'must be true or false'
    when 'budget_seconds' then 'must be a whole number of 1 or more, or null for all that the tick''s limit leaves'
    when 'max_ticks' then 'must be a whole number from 1 to 100'
    when 'max_continuations' then 'must be a whole number from 0 to 1,000'
    when 'timeout_seconds' then 'must be a whole number from 1 to 785'
    when 'lease_seconds' then 'must be a whole number of 31 or more'
    when 'max_attempts' then 'must be a whole number from 1 to 1,000,000'
    when 'backoff_base_seconds' then 'must be a whole number of 1 or more'
    when 'backoff_cap_seconds' then 'must be a whole number of at least backoff_base_seconds'
    when 'retention_days' then 'must be a whole number from 1 to 36,500, or null to keep rows forever'
    when 'max_running' then 'must be a whole number of 1 or more, or null for no limit; pgmq''s partitions have none' end
$$;

-- Returns the faults of p_settings that their names and types show, as [{field, message}]; null if there are none. p_now: the settings now.
create function punctual.find_setting_faults(p_settings jsonb, p_now jsonb) returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
  return (
    select jsonb_agg(jsonb_build_object('field', s.k, 'message', case when p_now ? s.k then punctual.setting_range(s.k)
             else 'is not a setting: the settings are ' || (select string_agg(n, ', ' order by n) from jsonb_object_keys(p_now) n) end) order by s.k)
      from jsonb_each(p_settings) s (k, v)
     where not p_now ? s.k or not case
       when s.v = 'null' then true
       when s.k = 'adaptive' then jsonb_typeof(s.v) = 'boolean'
       -- As Postgres can store it.
       when s.v::text ~ '^-?[0-9]{1,10}$' then abs(s.v::text::bigint) <= 2147483647
       else false end);
end
$$;

-- Changes settings of a queue, or of one of its partitions if p_partition names one. The next exchange obeys. p_settings: {setting: value}; a
-- partition's setting that is null is the queue's. The audit records the settings that differ, with p_note.
--
-- Returns {queue, partition, settings, paused_at, paused_until, paused_reason}, or {errors: [{field, message}]} if nothing was changed: the checks of
-- the tables decide. Raises PT404 for an unknown queue or partition. Locks the queue, or the partition.
create function punctual.change_settings(
  p_queue text, p_partition text default null, p_settings jsonb default '{}', p_by text default null, p_note text default null,
  p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_before jsonb := punctual.lock_settings(p_queue, p_partition, v_now);
  v_after jsonb;
  v_field text;
  v_errors jsonb := punctual.find_setting_faults(p_settings, v_before->'settings');
begin
  if v_errors is not null then return jsonb_build_object('errors', v_errors); end if;
  begin
    if p_partition is null then
      update punctual.queues q set
        (batch_limit, concurrency, adaptive, budget_seconds, max_ticks, max_continuations, timeout_seconds, lease_seconds, max_attempts,
         backoff_base_seconds, backoff_cap_seconds, retention_days)
        = (select n.batch_limit, n.concurrency, n.adaptive, n.budget_seconds, n.max_ticks, n.max_continuations, n.timeout_seconds, n.lease_seconds,
                  n.max_attempts, n.backoff_base_seconds, n.backoff_cap_seconds, n.retention_days from jsonb_populate_record(q, p_settings) n)
       where q.name = p_queue;
    else
      update punctual.partitions p set
        (batch_limit, concurrency, adaptive, budget_seconds, max_ticks, timeout_seconds, max_running)
        = (select n.batch_limit, n.concurrency, n.adaptive, n.budget_seconds, n.max_ticks, n.timeout_seconds, n.max_running
             from jsonb_populate_record(p, p_settings) n)
       where p.queue = p_queue and p.partition = p_partition;
    end if;
  exception when check_violation or not_null_violation then
    get stacked diagnostics v_field = constraint_name;
    -- A null has no constraint's name in versions before 18.
    if sqlstate = '23502' then get stacked diagnostics v_field = column_name; end if;
    v_field := case v_field when 'queues_check' then 'backoff_cap_seconds' when 'partitions_pgmq_has_no_order' then 'max_running'
                            else regexp_replace(v_field, '^(queues|partitions)_(.*)_check$', '\2') end;
    return jsonb_build_object('errors', jsonb_build_array(jsonb_build_object('field', v_field, 'message', punctual.setting_range(v_field))));
  end;
  v_after := punctual.lock_settings(p_queue, p_partition, v_now);
  perform punctual.note_change(p_by, 'change_settings', p_queue, p_partition, v_before->'settings', v_after->'settings', p_note, v_now);
  return v_after;
end
$$;
