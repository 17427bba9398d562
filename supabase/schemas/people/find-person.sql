-- The enrolments of a person: through p_account_id or, where that is null, any account, one that is gone included.
create function punctual.enrolments_of(p_account_id uuid, p_names text[], p_chats text[]) returns setof punctual.enrolments
language plpgsql stable set search_path = '' as $$
begin
  return query select e.* from punctual.enrolments e
    where (e.chat_id = any (p_chats) or e.recipient = any (p_names) or e.number = any (p_names))
      and (p_account_id is null or e.account_id = p_account_id);
end
$$;

create function punctual.messages_to(p_account_id uuid, p_names text[], p_chats text[]) returns setof punctual.dm_queue
language plpgsql stable set search_path = '' as $$
begin
  return query select d.* from punctual.dm_queue d
    where (d.chat_id = any (p_chats) or (d.recipient is not null and punctual.dm_person(d.channel, d.recipient) = any (p_names)))
      and (p_account_id is null or d.account_id = p_account_id);
end
$$;

-- All names and chats under which a person is known here, from those that are given: what an enrolment or a message has side by side is the
-- same person's, and so are a WhatsApp number and its user ids. p_account_id: as that account knows them; null: as any does.
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
