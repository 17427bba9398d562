-- Locks the receipts about a person, by id. Returns their ids.
create function punctual.lock_receipts_of(p_account_id uuid, p_names text[], p_chats text[]) returns bigint[]
language plpgsql set search_path = '' as $$
declare
  v_messages bigint[] := array(select o.id from punctual.messages_to(p_account_id, p_names, p_chats) o);
begin
  return array(
    select r.id from punctual.receipts r
     -- A message's status may come with another form of the number than the message has.
     where (r.chat_id = any (p_chats) or r.recipient = any (p_names) or (r.queue = 'dm_queue' and r.row_id = any (v_messages::text[]))
            or r.message_id = any (array(select d.provider_message_id from punctual.dm_queue d where d.id = any (v_messages))))
       and (p_account_id is null or exists (select from punctual.accounts a where a.id = p_account_id and a.provider = r.provider
                                               and a.provider_account_id = r.provider_account_id))
     order by r.id for no key update);
end
$$;

-- Deletes the person's data from rows that the caller has locked, with the notes of decisions about them, and notes in the history who asked for it. Returns how many events were deleted.
create function punctual.empty_rows_of(
  p_enrolments bigint[], p_messages bigint[], p_receipts bigint[], p_by text, p_now timestamptz) returns integer
language sql set search_path = '' as $$
  update punctual.enrolments e set chat_id = null, recipient = null, last_error = null, waits_for = null where e.id = any (p_enrolments);
  -- A message must have a chat or a recipient, so chat_id becomes ''. `reconcile` keeps the data that matches late receipts.
  update punctual.dm_queue d set body = '', template = null, chat_id = '', recipient = null, last_error = null,
         reconcile = d.reconcile - '{digest, found, late_proof}'::text[]
   where d.id = any (p_messages);
  -- The text of an error that no other row had may name the person.
  delete from punctual.error_groups g using (
    select distinct h.queue, h.error_group from punctual.history h
     where (h.queue = 'enrolments' and h.row_id = any (p_enrolments::text[])) or (h.queue = 'dm_queue' and h.row_id = any (p_messages::text[]))) e
   where g.queue = e.queue and g.id = e.error_group
     and not exists (select from punctual.history o where o.queue = g.queue and o.error_group = g.id
                        and o.row_id <> all (case g.queue when 'enrolments' then p_enrolments else p_messages end::text[]));
  update punctual.history h set text = null, answer = null, error_group = null
   where (h.queue = 'enrolments' and h.row_id = any (p_enrolments::text[])) or (h.queue = 'dm_queue' and h.row_id = any (p_messages::text[]));
  update punctual.audit a set note = null
   where (a.queue = 'enrolments' and a.target = any (p_enrolments::text[])) or (a.queue = 'dm_queue' and a.target = any (p_messages::text[]));
  update punctual.actions a set note = null, filter = a.filter - '{to, text}'::text[]
   where a.queue = 'dm_queue' and exists (select from punctual.action_rows r where r.action_id = a.id and r.row_id = any (p_messages::text[]));
  insert into punctual.history (queue, row_id, at, event, by, text)
  select f.queue, f.id::text, p_now, 'decided', coalesce(p_by, 'operator'), format('%s had the person forgotten', coalesce(p_by, 'an operator'))
    from (select 'enrolments' as queue, unnest(p_enrolments) as id union all select 'dm_queue', unnest(p_messages)) f order by 1, f.id;
  -- The messages' ids stay, so that a repeated receipt is recognised.
  update punctual.receipts r set chat_id = null, recipient = null, body = null, error = null,
         applied_at = case when r.kind = 'message' then coalesce(r.applied_at, p_now) else r.applied_at end
   where r.id = any (p_receipts);
  select punctual.delete_enrolment_texts(p_enrolments, p_now)
$$;

-- Deletes the person's names from the accounts' limited addressees, and from the users of WhatsApp. Returns how many users were deleted.
-- Locks `pace` by queue and account.
create function punctual.delete_names_of(p_account_id uuid, p_names text[], p_chats text[]) returns integer
language sql set search_path = '' as $$
  update punctual.pace p set limited_addressees = nullif(p.limited_addressees - (p_names || p_chats), '{}')
    from (select x.queue, x.account_id from punctual.pace x
           where x.queue = 'dm_queue' and (p_account_id is null or x.account_id = p_account_id) and x.limited_addressees ?| (p_names || p_chats)
           order by x.queue, x.account_id for no key update) l
   where p.queue = l.queue and p.account_id = l.account_id;
  -- Keeps a user who is still known, for example to another account.
  with gone as (
    delete from punctual.whatsapp_users u
     where (u.user_id = any (p_names) or u.number = any (p_names))
       and not exists (select from punctual.enrolments_of(null, p_names, '{}'))
       and not exists (select from punctual.messages_to(null, p_names, '{}'))
    returning u.user_id)
  select count(*)::integer from gone
$$;

-- Deletes a person's data: texts, variables, names, numbers, chats and timelines. Keeps what the guarantees need: that a message existed, its
-- account, times, outcome, ids and idempotency key. First ends the person's open enrolments and messages. Deletes nothing while a message is
-- being sent or is unknown, because a check needs the data to find out whether it was sent.
--
-- The person is p_recipient (the provider's id, a number or a user id) or p_chat_id. p_account_id: as that account knows them; null: as any
-- account does. Safe to repeat. Returns {in_flight: {status: [message id]}} if nothing was deleted yet, or {deleted: {table: rows}}. Indexes find
-- every row, so a call takes no longer with more people. Raises PT404 if there is no such account, and 22023 if no person is given.
--
-- Locks receipts, then enrolments, then messages, each by id. Skips locked messages, and returns them as in flight.
create function punctual.forget_person(
  p_account_id uuid default null, p_recipient text default null, p_chat_id text default null, p_by text default null,
  p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_names text[] := coalesce(punctual.names_of(p_recipient), '{}');
  v_chats text[] := array_remove(array[p_chat_id], null);
  v_in_flight jsonb;
  v_enrolments bigint[];
  v_messages bigint[];
  v_receipts bigint[];
  v_deleted jsonb;
begin
  if p_account_id is not null and not exists (select from punctual.accounts a where a.id = p_account_id) then
    raise exception 'there is no account %', p_account_id using errcode = 'PT404';
  end if;
  if v_names = '{}' and v_chats = '{}' then
    raise exception 'no person is given' using errcode = '22023', hint = 'Give a recipient or a chat.';
  end if;
  select f.p_names, f.p_chats into v_names, v_chats from punctual.find_person(p_account_id, v_names, v_chats) f;
  -- Locks receipts before enrolments, as everywhere.
  v_receipts := punctual.lock_receipts_of(p_account_id, v_names, v_chats);
  v_in_flight := punctual.leave_person(p_account_id, v_names, v_chats, v_now);
  if v_in_flight is not null then return jsonb_build_object('in_flight', v_in_flight); end if;

  v_enrolments := array(select e.id from punctual.enrolments e
                         where e.id = any (array(select o.id from punctual.enrolments_of(p_account_id, v_names, v_chats) o)) order by e.id for no key update);
  -- A transaction that holds an enrolment never waits for a message. So a message that is being settled is in flight too.
  v_messages := array(select d.id from punctual.dm_queue d
                       where d.id = any (array(select o.id from punctual.messages_to(p_account_id, v_names, v_chats) o)) order by d.id for no key update skip locked);
  select jsonb_build_object('settling', jsonb_agg(o.id::text)) into v_in_flight
    from punctual.messages_to(p_account_id, v_names, v_chats) o where o.id <> all (v_messages) having count(*) > 0;
  if v_in_flight is not null then return jsonb_build_object('in_flight', v_in_flight); end if;
  v_deleted := jsonb_build_object(
    'enrolments', cardinality(v_enrolments), 'messages', cardinality(v_messages), 'receipts', cardinality(v_receipts),
    'events', punctual.empty_rows_of(v_enrolments, v_messages, v_receipts, p_by, v_now),
    'whatsapp_users', punctual.delete_names_of(p_account_id, v_names, v_chats));
  -- Without the person's name: only how much was deleted.
  perform punctual.note_act(p_by, 'forget_person', null, p_account_id::text, v_deleted - array['events', 'whatsapp_users'], null, v_now);
  return jsonb_build_object('deleted', v_deleted);
end
$$;
