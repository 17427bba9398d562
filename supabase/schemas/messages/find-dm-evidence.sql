-- The queue's `evidence`: returns {id: {receipts, others}} about messages that the account sent to the same chat or person.
-- receipts: messages that webhooks reported as sent, received from an hour before the attempt's claim on. said_at is by the provider's clock, which
-- may be off.
-- others: the bodies of the other messages that are unknown too.
create function punctual.find_dm_evidence(p_ids text[], p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (select jsonb_object_agg(d.id::text, jsonb_build_object('receipts', coalesce(r.receipts, '[]'), 'others', coalesce(o.others, '[]')))
    from punctual.dm_queue d
    join punctual.accounts a on a.id = d.account_id
   cross join lateral (
     select jsonb_agg(jsonb_build_object('message_id', x.message_id, 'chat_id', x.chat_id, 'body', x.body, 'said_at', x.said_at) order by x.id) as receipts
       from punctual.receipts x
      where x.provider = a.provider and x.provider_account_id = a.provider_account_id and x.kind = 'message' and x.status = 'sent'
        and (x.chat_id = d.chat_id or x.recipient = d.recipient)
        and x.received_at > d.claimed_at - interval '1 hour') r
   cross join lateral (
     select jsonb_agg(x.body order by x.id) as others from punctual.dm_queue x
      where x.status = 'unknown' and x.account_id = d.account_id and x.id <> d.id
        and (x.chat_id = d.chat_id or x.recipient = d.recipient)) o
   where d.id = any (array(select unnest(p_ids)::bigint)));
end
$$;
