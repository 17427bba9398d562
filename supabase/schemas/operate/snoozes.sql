-- Lines of "Needs you" that a person has put off. The lines themselves are not stored: whoever lists them knows their keys.
create table punctual.snoozes (
  key text primary key,
  until timestamptz not null,
  -- How many it counted, and which things it was about. A line that is worse ends its snooze.
  count integer not null,
  parts text[] not null default '{}',
  -- Who did it, and when.
  name text not null,
  at timestamptz not null
);

-- Returns the snoozes that have not ended: [{key, until, count, parts, name, at}], by key.
create function punctual.list_snoozes(p_now timestamptz default null) returns jsonb
language sql stable set search_path = '' set statement_timeout = '4s' as $$
  select coalesce(jsonb_agg(to_jsonb(s) order by s.key), '[]') from punctual.snoozes s where s.until > coalesce(p_now, clock_timestamp())
$$;

-- Puts a line off until p_until. A second snooze replaces the first. p_queue: the queue that the line is about, for the audit. Returns the snooze as
-- list_snoozes does. Raises 22023 for an end that is not in the future, or more than 31 days away. Locks the snooze, and deletes those that have ended.
create function punctual.snooze_need(
  p_key text, p_until timestamptz, p_count integer, p_parts text[] default '{}', p_queue text default null, p_by text default null,
  p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_snooze punctual.snoozes;
begin
  if p_until <= v_now then raise exception 'the end of the snooze is not in the future: %', p_until using errcode = '22023', detail = 'until'; end if;
  if p_until > v_now + interval '31 days' then
    raise exception 'the end of the snooze is more than 31 days away: %', p_until using errcode = '22023', detail = 'until';
  end if;
  delete from punctual.snoozes s where s.until <= v_now;
  insert into punctual.snoozes as s (key, until, count, parts, name, at) values (p_key, p_until, p_count, p_parts, coalesce(p_by, 'an operator'), v_now)
  on conflict (key) do update set until = excluded.until, count = excluded.count, parts = excluded.parts, name = excluded.name, at = excluded.at
  returning * into v_snooze;
  perform punctual.note_act(p_by, 'snooze_need', p_queue, p_key, jsonb_build_object('until', p_until), null, v_now);
  return to_jsonb(v_snooze);
end
$$;

-- Ends the snooze of a line. Does nothing if it has none. Returns {key}. Locks the snooze.
create function punctual.wake_need(p_key text, p_queue text default null, p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
begin
  delete from punctual.snoozes s where s.key = p_key and s.until > v_now;
  if found then perform punctual.note_act(p_by, 'wake_need', p_queue, p_key, null, null, v_now); end if;
  return jsonb_build_object('key', p_key);
end
$$;

-- Ends snoozes whose lines are worse. p_snoozes: those that were read, [{key, at}]; a later snooze of the same line stays. Returns how many it ended.
create function punctual.end_snoozes(p_snoozes jsonb) returns jsonb
language sql set search_path = '' set statement_timeout = '4s' as $$
  with ended as (
    delete from punctual.snoozes s using jsonb_to_recordset(p_snoozes) e (key text, at timestamptz) where s.key = e.key and s.at = e.at returning s.key)
  select to_jsonb(count(*)) from ended
$$;
