-- Raises 22023 unless p_settings is an object of known settings. The checks of punctual.queues test their values.
create function punctual.check_settings(p_settings jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_known text[] := array['batch_limit', 'concurrency', 'adaptive', 'budget_seconds', 'max_ticks', 'timeout_seconds', 'lease_seconds', 'max_attempts',
                          'backoff_base_seconds', 'backoff_cap_seconds', 'retention_days'];
  v_unknown text;
begin
  if jsonb_typeof(p_settings) <> 'object' then
    raise exception 'add_queue: p_settings is not an object of settings' using errcode = '22023', hint = 'For example ''{"concurrency": 10}''.';
  end if;
  select string_agg(k, ', ') into v_unknown from jsonb_object_keys(p_settings) k where k <> all (v_known);
  if v_unknown is not null then
    raise exception 'add_queue: there is no setting %', v_unknown
      using errcode = '22023', hint = format('The settings are %s and %s.', array_to_string(trim_array(v_known, 1), ', '), v_known[cardinality(v_known)]);
  end if;
end
$$;
