-- Stores the receipts of a webhook. p_receipts: [{kind, status, message_id, reference, provider_account_id, chat_id, recipient, body, error, said_at,
-- user_id}]. Ignores receipts that came before or come twice in one call. An inbox reports everybody's messages: the text is stored only in our
-- conversations (see is_our_conversation), otherwise only who, where and when. Replies stop or advance their enrolments at once: after this call
-- none of their messages is claimed. Returns {received, new}.
create function punctual.receive_receipts(p_provider text, p_receipts jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_new integer;
  v_replies bigint[];
begin
  -- One call may bring a reply without a number, and another the number of its user id. They wait for each other, and the second sees both.
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
    -- A foreign reference names no row of ours. Only an id in the queue's format can be looked up.
    left join punctual.queues q on q.name = split_part(r.reference, '/', 1)
      and split_part(r.reference, '/', 2) ~ case q.id_type when 'bigint' then '^[0-9]{1,18}$' else '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' end
   -- One order, so that two calls with the same receipts do not deadlock.
   order by r.message_id, r.kind, r.status
  on conflict (provider, message_id, kind, status) do nothing returning id, kind, status)
  select count(*), array_agg(w.id order by w.id) filter (where w.kind = 'message' and w.status = 'received') into v_new, v_replies from written w;
  v_replies := v_replies || punctual.save_whatsapp_users(p_receipts, v_now);
  if v_replies is not null then perform punctual.apply_replies(v_replies, v_now); end if;
  return jsonb_build_object('received', jsonb_array_length(p_receipts), 'new', v_new);
end
$$;
