-- Error groups: errors with the same text, apart from what differs from row to row. A row's group is a function of its last_error alone.

-- Returns an error's text without what differs from row to row: words with a digit (ids, numbers, instants), quoted values, email addresses and the
-- paths of addresses become #. Keeps the status and the code with which a provider's error begins ("unipile answered 422 (errors/invalid_recipient)"),
-- and any other HTTP status after its word. One pass without lookaround, because a search for a group's rows calls it for thousands of them.
create function punctual.error_text(p_text text) returns text
language plpgsql immutable strict set search_path = '' as $$
declare
  v_head text := case when p_text like '% answered %' then substring(p_text from '^[^ ]+ answered [0-9]{3}(?: \([^() ]+\))?') end;
  v_rest text := left(substr(p_text, length(coalesce(v_head, '')) + 1), 300);
begin
  v_rest := regexp_replace(v_rest,
    '(\m(?:answered|status|code|HTTP) [0-9]{3}\M)|(https?://[^/\s,;)]+)[^\s,;)]*|"[^"]*"|“[^”]*”|`[^`]*`|(^|[\s(\[:=])''[^'']*''|'
    '[^\s@<>(]+@[^\s@<>)]+|[\w-]*[0-9](?:[\w.:+-]*[\w-])?', '\1\2\3#', 'g');
  return btrim(regexp_replace(concat(v_head, regexp_replace(v_rest, '(\m(?:answered|status|code|HTTP) [0-9]{3})#', '\1', 'g')), '\s+', ' ', 'g'));
end
$$;

-- Returns the id of the group of an error: eight hexadecimal digits. Null for no error.
create function punctual.error_group(p_last_error text) returns text
language plpgsql immutable strict set search_path = '' as $$
begin
  return left(md5(punctual.error_text(p_last_error)), 8);
end
$$;

-- The groups that a queue's errors have made. A row is inserted at the first error and not changed by later ones, so that ticks never wait for each
-- other. The history counts.
create table punctual.error_groups (
  queue text not null references punctual.queues on delete cascade,
  id text not null,
  -- Of the first error.
  kind text,
  code text,
  text text not null,
  first_at timestamptz not null,
  -- A person marked it as known.
  known_at timestamptz,
  known_by text,
  known_note text,
  primary key (queue, id)
);
create index error_groups_first on punctual.error_groups (queue, first_at desc, id);

-- Returns whether the caller inserts the group. Takes a lock without waiting: if another tick is inserting the group, this one leaves it to that.
create function punctual.is_new_group(p_queue text, p_id text) returns boolean
language plpgsql set search_path = '' as $$
begin
  return not exists (select from punctual.error_groups g where g.queue = p_queue and g.id = p_id)
     and pg_try_advisory_xact_lock(hashtextextended('punctual error group ' || p_queue || '/' || p_id, 0));
end
$$;

-- Writes failed attempts to the history, and the groups of their errors, for rows that no settle of a table writes. p_failures: [{id, event, error,
-- claim_id, claimed_at, ms, kind, code, answer}].
create function punctual.note_failures(p_queue text, p_failures jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  with failures as materialized (
    select f.*, punctual.error_group(left(f.error, 2000)) as error_group
      from jsonb_to_recordset(p_failures) f (id text, event text, error text, claim_id uuid, claimed_at timestamptz, ms integer, kind text, code text, answer text)),
  noted as (
    insert into punctual.history (queue, row_id, at, event, text, claim_id, claimed_at, duration_ms, kind, code, answer, error_group)
    select p_queue, f.id, p_now, f.event, left(f.error, 2000), f.claim_id, f.claimed_at, f.ms, f.kind, f.code, left(f.answer, 2048), f.error_group from failures f)
  insert into punctual.error_groups (queue, id, kind, code, text, first_at)
  select p_queue, g.error_group, g.kind, g.code, punctual.error_text(left(g.error, 2000)), p_now
    from (select distinct on (f.error_group) f.* from failures f where f.error_group is not null order by f.error_group) g
   where punctual.is_new_group(p_queue, g.error_group) on conflict do nothing;
end
$$;
