-- Takes in what a provider told by webhook. p_receipts: [{kind, status, message_id, reference, provider_account_id, chat_id, recipient,
-- body, error, said_at, user_id}]. What was told before, or twice in one call, is left as it is. An inbox tells of everybody's messages: the text is
-- kept of conversations of ours only (see is_our_conversation), and of all others no more than who, where and when. What people wrote stops or
-- moves on their enrolments at once: none of their messages is claimed after this call. Answers {received, new}.
create function punctual.receive_receipts(p_provider text, p_receipts jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_new integer;
  v_heard bigint[];
begin
  -- A call with a reply that lacks the number and one that tells whose the user id is wait for each other: the second sees both.
  perform pg_advisory_xact_lock(hashtextextended('punctual user ' || n.user_id, 0))
     from (select distinct r.user_id from jsonb_to_recordset(p_receipts) r (user_id text)
            where r.user_id is not null and not exists (select from punctual.whatsapp_users u where u.user_id = r.user_id) order by 1) n;
  with written as (
  insert into punctual.receipts (provider, kind, status, message_id, reference, queue, row_id, provider_account_id, chat_id, recipient, body,
                                 error, said_at, received_at)
  select p_provider, r.kind, r.status, r.message_id, r.reference, q.name, case when q.name is not null then split_part(r.reference, '/', 2) end,
         r.provider_account_id, r.chat_id, r.recipient,
         case when r.body is not null and punctual.is_our_conversation(p_provider, r.provider_account_id, r.chat_id,
                punctual.names_of(r.recipient) || punctual.names_of(r.user_id), v_now) then r.body end,
         left(r.error, 2000), r.said_at, v_now
    from jsonb_to_recordset(p_receipts) r (kind text, status text, message_id text, reference text, provider_account_id text, chat_id text,
           recipient text, body text, error text, said_at timestamptz, user_id text)
    -- A reference of somebody else's names no row of ours; an id in the form of the queue's is one that can be looked up.
    left join punctual.queues q on q.name = split_part(r.reference, '/', 1)
      and split_part(r.reference, '/', 2) ~ case q.id_type when 'bigint' then '^[0-9]{1,18}$' else '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' end
   -- In one order, so that two calls with the same receipts wait for each other, and not each for the other.
   order by r.message_id, r.kind, r.status
  on conflict (provider, message_id, kind, status) do nothing returning id, kind, status)
  select count(*), array_agg(w.id order by w.id) filter (where w.kind = 'message' and w.status = 'received') into v_new, v_heard from written w;
  v_heard := v_heard || punctual.learn_whatsapp_users(p_receipts, v_now);
  if v_heard is not null then perform punctual.hear_replies(v_heard, v_now); end if;
  return jsonb_build_object('received', jsonb_array_length(p_receipts), 'new', v_new);
end
$$;
