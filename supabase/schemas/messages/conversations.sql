-- Whether the account has written or will write to this chat, or to the person under one of p_names. It has if there is an enrolment that still
-- has its texts, or a message that is open or was settled within receipts_days.
create function punctual.is_our_conversation(
  p_provider text, p_provider_account_id text, p_chat_id text, p_names text[], p_now timestamptz) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_account uuid := (select a.id from punctual.accounts a where a.provider = p_provider and a.provider_account_id = p_provider_account_id);
  v_since timestamptz := p_now - make_interval(days => (select s.receipts_days from punctual.settings s));
begin
  return exists (select from punctual.enrolments e where e.account_id = v_account and e.chat_id = p_chat_id and e.texts_gone_at is null)
      or exists (select from punctual.enrolments e where e.account_id = v_account and e.recipient = any (p_names) and e.texts_gone_at is null)
      or exists (select from punctual.enrolments e where e.account_id = v_account and e.number = any (p_names) and e.texts_gone_at is null)
      or exists (select from punctual.dm_queue d
                  where d.account_id = v_account and d.chat_id = p_chat_id and coalesce(d.finished_at > v_since, true))
      or exists (select from punctual.dm_queue d
                  where d.account_id = v_account and d.recipient is not null and punctual.dm_person(d.channel, d.recipient) = any (p_names)
                    and coalesce(d.finished_at > v_since, true));
end
$$;

-- Saves which number and user id are one person's, from receipts that have both. Returns the ids of these people's replies: they may have come
-- before that was known.
create function punctual.save_whatsapp_users(p_receipts jsonb, p_now timestamptz) returns bigint[]
language plpgsql set search_path = '' as $$
declare
  v_names text[];
begin
  with saved as (
    insert into punctual.whatsapp_users as u (user_id, number, seen_at)
    select distinct on (r.user_id) r.user_id, punctual.digits_of(r.recipient), p_now
      from jsonb_to_recordset(p_receipts) r (recipient text, user_id text)
     where punctual.is_user_id(r.user_id) and punctual.digits_of(r.recipient) is not null order by r.user_id
    on conflict (user_id) do update set number = excluded.number, seen_at = excluded.seen_at
     where u.number <> excluded.number or u.seen_at < excluded.seen_at - interval '1 day'
    returning u.user_id, u.number)
  select array_agg(x) into v_names from saved l cross join lateral unnest(array[l.user_id, l.number]) x;
  return (
    select array_agg(r.id) from punctual.accounts a
      join punctual.receipts r on r.provider_account_id = a.provider_account_id and r.recipient = any (v_names) and r.provider = a.provider
       and r.kind = 'message' and r.status = 'received'
     where a.provider = 'whatsapp_cloud' and v_names is not null);
end
$$;
