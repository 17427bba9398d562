-- Returns a person's enrolments through p_account_id. Null: through any account, also a deleted one.
create function punctual.enrolments_of(p_account_id uuid, p_names text[], p_chats text[]) returns setof punctual.enrolments
language plpgsql stable set search_path = '' as $$
begin
  return query select e.* from punctual.enrolments e
    where (e.chat_id = any (p_chats) or e.recipient = any (p_names) or e.number = any (p_names))
      and (p_account_id is null or e.account_id = p_account_id);
end
$$;

-- Returns the messages to a person through p_account_id. Null: through any account.
create function punctual.messages_to(p_account_id uuid, p_names text[], p_chats text[]) returns setof punctual.dm_queue
language plpgsql stable set search_path = '' as $$
begin
  return query select d.* from punctual.dm_queue d
    where (d.chat_id = any (p_chats) or (d.recipient is not null and punctual.dm_person(d.channel, d.recipient) = any (p_names)))
      and (p_account_id is null or d.account_id = p_account_id);
end
$$;

-- Extends the given names and chats to all those under which the person is known here. A recipient and a chat in the same enrolment or message
-- are one person's, and so are a WhatsApp number and its user ids. p_account_id: uses that account's rows only; null: those of all accounts.
create function punctual.find_person(p_account_id uuid, inout p_names text[], inout p_chats text[])
language plpgsql stable set search_path = '' as $$
declare
  v_known integer;
begin
  loop
    v_known := cardinality(p_names) + cardinality(p_chats);
    with found as (
      select e.recipient, e.chat_id from punctual.enrolments_of(p_account_id, p_names, p_chats) e
       union
      select d.recipient, d.chat_id from punctual.messages_to(p_account_id, p_names, p_chats) d)
    select array(select unnest(p_names) union
                 select n from (select unnest(p_names) as name union select f.recipient from found f) k cross join unnest(punctual.names_of(k.name)) n),
           array(select unnest(p_chats) union select f.chat_id from found f where f.chat_id is not null)
      into p_names, p_chats;
    exit when cardinality(p_names) + cardinality(p_chats) = v_known;
  end loop;
end
$$;
