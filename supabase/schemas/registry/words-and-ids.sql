-- Returns the queue's words in the order pending, running, done, dead, unknown, cancelled.
create function punctual.list_words(q punctual.queues) returns text[]
language plpgsql immutable set search_path = '' as $$
begin
  return array[q.pending_word, q.running_word, q.done_word, q.dead_word, q.unknown_word, q.cancelled_word];
end
$$;

-- Returns the state of a word; null if the queue has no such word.
create function punctual.state_of_word(q punctual.queues, p_word text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return (array['pending', 'running', 'done', 'dead', 'unknown', 'cancelled'])[array_position(punctual.list_words(q), p_word)];
end
$$;

-- Returns the queue's word for a state; null if it is not a state.
create function punctual.word_of_state(q punctual.queues, p_state text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return (punctual.list_words(q))[array_position(array['pending', 'running', 'done', 'dead', 'unknown', 'cancelled'], p_state)];
end
$$;

-- Returns the state that a caller names by the queue's word or by the state's own name; null if it is neither.
create function punctual.state_of(q punctual.queues, p_said text) returns text
language sql immutable set search_path = '' as $$
  select coalesce(punctual.state_of_word(q, p_said),
                  case when p_said in ('pending', 'running', 'done', 'dead', 'unknown', 'cancelled') then p_said end)
$$;

-- Returns whether a row's id can have this form.
create function punctual.is_id(q punctual.queues, p_id text) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  -- Later versions of Postgres also read 0x1 and 1_0.
  if q.id_type = 'bigint' then return coalesce(p_id ~ '^-?[0-9]+$' and p_id::bigint is not null, false); end if;
  return p_id::uuid is not null;
exception when others then
  return false;
end
$$;
