-- Whether p_recipient is a business-scoped user id of WhatsApp: a country code, a dot and an id.
create function punctual.is_user_id(p_recipient text) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  return p_recipient ~ '^[A-Z]{2}[.]';
end
$$;

-- Returns a telephone number in the form of WhatsApp's webhooks: only its digits, without the part after an @ and without a leading 00, which
-- stands for +. Null for a user id.
create function punctual.digits_of(p_number text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  if punctual.is_user_id(p_number) then return null; end if;
  return nullif(regexp_replace(regexp_replace(split_part(p_number, '@', 1), '[^0-9]', '', 'g'), '^00', ''), '');
end
$$;

-- Which number and which business-scoped user id are one person's. Webhooks leave out the number of people with a user name. One number may
-- have several ids: each Meta portfolio has its own id for a person, and a later owner of the number has another.
create table punctual.whatsapp_users (
  user_id text primary key,
  number text not null,
  -- Accurate to a day.
  seen_at timestamptz not null
);
create index whatsapp_users_number on punctual.whatsapp_users (number);
create index whatsapp_users_old on punctual.whatsapp_users (seen_at);

-- Returns the names that a person may have in rows and receipts: p_recipient, its digits if it is a number, and the numbers and user ids that
-- are known to be the same person's.
create function punctual.names_of(p_recipient text) returns text[]
language sql stable set search_path = '' as $$
  with numbers (name) as (
    select punctual.digits_of(p_recipient) union select u.number from punctual.whatsapp_users u where u.user_id = p_recipient)
  select array_agg(n.name) from (
    select p_recipient as name union select x.name from numbers x
     union select u.user_id from numbers x join punctual.whatsapp_users u on u.number = x.name) n
   where n.name is not null
$$;

-- Returns a message's recipient as replies name the person: for WhatsApp, the digits of the number.
create function punctual.dm_person(p_channel text, p_recipient text) returns text
language sql immutable set search_path = '' as $$
  select coalesce(case when p_channel = 'whatsapp' then punctual.digits_of(p_recipient) end, p_recipient)
$$;
create index dm_queue_chat on punctual.dm_queue (chat_id, account_id) where chat_id is not null;
create index dm_queue_person on punctual.dm_queue (punctual.dm_person(channel, recipient), account_id) where recipient is not null;
