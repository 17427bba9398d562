-- Idempotency keys of pruned rows. Each stands for its row for settings.idempotency_keys_days.
create table punctual.spent_keys (
  queue text not null references punctual.queues on delete cascade,
  key text not null,
  row_id text not null,
  status text not null,
  spent_at timestamptz not null,
  primary key (queue, key)
);
create index spent_keys_old on punctual.spent_keys (spent_at);

-- Returns whether the queue's idempotency keys outlive their rows. Code that inserts rows of other queues does not check spent keys.
create function punctual.keeps_keys(p_queue text) returns boolean
language sql immutable set search_path = '' as $$
  select p_queue in ('dm_queue', 'posts')
$$;

-- Keeps retention from deleting rows with these keys, and these spent keys, until this transaction ends. Locks the rows by id, then the spent keys by
-- key, both `for key share`. Waits for a deletion that is under way; the next statement then sees the spent key that it left. p_queue: dm_queue or
-- posts.
create function punctual.hold_keys(p_queue text, p_keys text[]) returns void
language plpgsql set search_path = '' as $$
begin
  if p_keys = '{}' then return; end if;
  execute format('select from punctual.%I t where t.idempotency_key = any ($1) order by t.id for key share', p_queue) using p_keys;
  perform from punctual.spent_keys k where k.queue = p_queue and k.key = any (p_keys) order by k.key for key share;
end
$$;

-- Refuses an insert with a spent key (PT409). Runs after the insert, so that an insert that waited while the row was pruned sees the spent key too.
-- Runs as the owner: row-level security hides spent keys from a role that may only insert, and the message would go out again. It calls no other
-- code. tg_argv[0]: the queue.
create function punctual.refuse_spent_key() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_spent punctual.spent_keys;
begin
  select * into v_spent from punctual.spent_keys s where s.queue = tg_argv[0] and s.key = new.idempotency_key;
  if found then
    raise exception 'the idempotency_key "%" was used for row %, which is % and was pruned', v_spent.key, v_spent.row_id, v_spent.status
      using errcode = 'PT409', hint = 'To run it again, use another key or none.';
  end if;
  return null;
end
$$;
