-- The queue's `facts`: returns {id: {last_reply_at, in_window}} for claimed messages over WhatsApp's Cloud API.
-- last_reply_at: when the person last wrote to the account.
-- in_window: whether that was less than 24 hours ago, with a minute left for the call. Null if that cannot be known, because the account's
-- webhooks did not reach us within these 24 hours: WhatsApp accepted a message over a minute ago, and no webhook has reported it. Only the
-- account's latest 1,000 messages of the day are checked, or 20 if the call's time is over.
create function punctual.read_dm_facts(p_ids text[], p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    with messages as materialized (
      select d.id, d.account_id, h.at, coalesce(h.at > p_now - interval '24 hours' + interval '1 minute', false) as is_open
        from punctual.dm_queue d
        join punctual.accounts a on a.id = d.account_id and a.provider = 'whatsapp_cloud'
       cross join lateral (select punctual.names_of(d.recipient) as names) n
       cross join lateral (
         select max(least(x.said_at, x.received_at)) as at from punctual.receipts x
          where x.provider_account_id = a.provider_account_id and x.kind = 'message' and x.status = 'received'
            and x.recipient = any (n.names) and x.provider = a.provider) h
       where d.id = any (array(select unnest(p_ids)::bigint))),
    unreported as materialized (
      select c.account_id from (select distinct k.account_id from messages k where not k.is_open) c
       where exists (
         select from (select d.provider_message_id from punctual.dm_queue d
                       where d.account_id = c.account_id and d.sent_at between p_now - interval '24 hours' and p_now - interval '1 minute'
                         and d.provider_message_id is not null
                       order by d.sent_at desc limit case when punctual.is_call_over() then 20 else 1000 end) s
          -- Looks up each message by its key: planned as a join, this reads the receipts of all messages.
          cross join lateral (select count(*) from (select from punctual.receipts x
                               where x.provider = 'whatsapp_cloud' and x.message_id = s.provider_message_id and x.kind = 'status' limit 1) t) reports
          where reports.count = 0))
    select jsonb_object_agg(k.id::text, jsonb_build_object(
             'last_reply_at', k.at, 'in_window', case when k.is_open or k.account_id not in (select u.account_id from unreported u) then k.is_open end))
      from messages k);
end
$$;
