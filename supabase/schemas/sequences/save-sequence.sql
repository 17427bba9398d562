-- Creates a sequence. p_sequence: {name, channel, time_zone, steps}, already validated. Returns the sequence, or {errors: [{field, message}]}.
create function punctual.create_sequence(p_sequence jsonb, p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_id bigint;
  v_errors jsonb := punctual.check_sequence(p_sequence, null);
begin
  if v_errors is not null then return jsonb_build_object('errors', v_errors); end if;
  insert into punctual.sequences (name, channel, time_zone, created_at, updated_at)
  values (p_sequence->>'name', p_sequence->>'channel', p_sequence->>'time_zone', v_now, v_now)
  on conflict (name) do nothing returning id into v_id;
  if v_id is null then return jsonb_build_object('errors', punctual.check_sequence(p_sequence, null)); end if;
  insert into punctual.sequence_versions (sequence_id, version, steps, created_at) values (v_id, 1, p_sequence->'steps', v_now);
  perform punctual.note_act(p_by, 'create_sequence', null, v_id::text, jsonb_build_object('name', p_sequence->>'name'), null, v_now);
  return punctual.show_sequence(v_id);
end
$$;

-- Checks a sequence for faults that only the database can find. Returns [{field, message}], or null if there are none.
create function punctual.check_sequence(p_sequence jsonb, p_id bigint) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select jsonb_agg(jsonb_build_object('field', c.field, 'message', c.message)) from (
      select 'name' as field, format('there is a sequence of that name, %s: choose another, or PATCH that one', s.id) as message
        from punctual.sequences s where s.name = p_sequence->>'name' and s.id is distinct from p_id
      union all
      select 'time_zone', format('there is no time zone "%s": give one such as Europe/Berlin', p_sequence->>'time_zone')
       where p_sequence->>'time_zone' is not null and not punctual.is_time_zone(p_sequence->>'time_zone')
      union all
      select 'steps', 'a sequence has one step at least'
       where p_sequence ? 'steps' and (jsonb_typeof(p_sequence->'steps') <> 'array' or p_sequence->'steps' = '[]')) c);
end
$$;

-- Changes a sequence. p_changes: any of {name, time_zone, steps}. New steps become a new version, for people who are enrolled from now on. Returns
-- the sequence, or {errors: [{field, message}]}. Raises PT404, and PT409 if a concurrent call used the name. Waits for the sequence's lock.
create function punctual.update_sequence(
  p_id bigint, p_changes jsonb, p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_sequence punctual.sequences;
  v_before jsonb;
  v_errors jsonb;
begin
  select * into v_sequence from punctual.sequences s where s.id = p_id for no key update;
  if not found then raise exception 'there is no sequence %', p_id using errcode = 'PT404'; end if;
  v_before := to_jsonb(v_sequence);
  v_errors := punctual.check_sequence(p_changes, p_id);
  if v_errors is not null then return jsonb_build_object('errors', v_errors); end if;
  if p_changes ? 'steps' and p_changes->'steps' is distinct from (
       select v.steps from punctual.sequence_versions v where v.sequence_id = p_id and v.version = v_sequence.version) then
    v_sequence.version := v_sequence.version + 1;
    insert into punctual.sequence_versions (sequence_id, version, steps, created_at) values (p_id, v_sequence.version, p_changes->'steps', v_now);
  end if;
  begin
    update punctual.sequences s set
      name = coalesce(p_changes->>'name', s.name),
      time_zone = case when p_changes ? 'time_zone' then p_changes->>'time_zone' else s.time_zone end,
      version = v_sequence.version, updated_at = v_now
     where s.id = p_id
    returning s.* into v_sequence;
  exception when unique_violation then
    raise exception 'another call has just used the same name: choose another one' using errcode = 'PT409';
  end;
  -- The texts of its steps are in sequence_versions.
  perform punctual.note_change(p_by, 'change_sequence', null, p_id::text, v_before - 'updated_at', to_jsonb(v_sequence) - 'updated_at', null, v_now);
  return punctual.show_sequence(p_id);
end
$$;
