-- Cancels a pending message. Returns whether it did. Never waits: if the message is locked, notes it in held_rows, and the next tick's
-- reopen_messages withdraws it.
create function punctual.withdraw_message(p_message_id bigint, p_reason text, p_now timestamptz) returns boolean
language plpgsql set search_path = '' as $$
declare
  q punctual.queues;
  v_row jsonb;
  v_settles text := current_setting('punctual.settles', true);
begin
  if p_message_id is null then return false; end if;
  select to_jsonb(d.*) into v_row from punctual.dm_queue d where d.id = p_message_id and d.status = 'pending' for no key update skip locked;
  if v_row is null then
    -- The transaction that holds the lock may leave the message pending: a claim may take other rows, or be rolled back.
    insert into punctual.held_rows (queue, row_id)
    select 'dm_queue', d.id::text from punctual.dm_queue d where d.id = p_message_id and d.status = 'pending' on conflict do nothing;
    return false;
  end if;
  perform set_config('punctual.settles', 'dm_queue', true);
  update punctual.dm_queue d set status = 'cancelled', finished_at = p_now, last_error = p_reason, lease_expires_at = null where d.id = p_message_id;
  perform set_config('punctual.settles', coalesce(v_settles, ''), true);
  insert into punctual.history (queue, row_id, at, event, text) values ('dm_queue', p_message_id::text, p_now, 'decided', p_reason);
  -- A message that waited for a retry held its account. If the account is locked, the hold ends by itself.
  if v_row->>'claimed_at' is not null then
    perform from punctual.pace p where p.queue = 'dm_queue' and p.account_id = (v_row->>'account_id')::uuid for no key update skip locked;
    if found then
      q := punctual.read_queue('dm_queue');
      perform punctual.end_hold(q, v_row, p_now);
    end if;
  end if;
  return true;
end
$$;
