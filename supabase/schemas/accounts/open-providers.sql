-- Returns the configured providers and for how many rows each may be used now. probed: failed providers whose pause is over, which one row tries.
-- Locks failed providers. One that another session has locked is not used: a claim waits for no lock.
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
