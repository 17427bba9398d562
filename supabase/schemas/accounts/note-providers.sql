-- Applies a tick's notes about providers. p_providers: [{name, ok, error, refused}]. A failure of the whole provider pauses it for 30 s, then twice
-- as long each time, 30 minutes at most. `refused` is the number of calls in which the provider refused our configuration: each of them, also side
-- by side, lengthens the pause as refusal_wait() defines. `ok`, any other response, ends both. Locks providers by name.
create function punctual.note_providers(p_providers jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_note record;
begin
  for v_note in
    select n->>'name' as name, (n->>'ok')::boolean as ok, n->>'error' as error, (n->>'refused')::integer as refused
      from jsonb_array_elements(coalesce(p_providers, '[]')) n order by 1
  loop
    if v_note.ok then
      update punctual.providers v set failures = 0, refusals = 0, paused_until = null, probing_until = null
       where v.name = v_note.name and v.failures > 0;
    elsif v_note.refused > 0 then
      insert into punctual.providers as v (name, failures, refusals, paused_until, last_error)
      values (v_note.name, 1, v_note.refused, p_now + punctual.refusal_wait(v_note.refused), left(v_note.error, 2000))
      on conflict (name) do update set
        failures = v.failures + 1,
        refusals = v.refusals + v_note.refused,
        paused_until = greatest(v.paused_until, p_now + punctual.refusal_wait(v.refusals + v_note.refused)),
        probing_until = null,
        last_error = excluded.last_error;
    else
      insert into punctual.providers as v (name, failures, paused_until, last_error)
      values (v_note.name, 1, p_now + interval '30 seconds', left(v_note.error, 2000))
      on conflict (name) do update set
        failures = v.failures + 1,
        paused_until = p_now + least(interval '30 seconds' * power(2, least(v.failures, 10)), interval '30 minutes'),
        probing_until = null,
        last_error = excluded.last_error
       -- Ticks that failed side by side met one failure, which counts once.
       where v.paused_until is null or v.paused_until <= p_now;
    end if;
  end loop;
end
$$;
