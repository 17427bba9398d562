-- Applies a reply that is reported over the API. p_reply is one of:
-- {body, message_id, said_at}: a reply that no webhook reported. If it has the provider's message_id, it counts once, however often it is reported.
-- {receipt_id}: a reply of list_replies that is this person's.
-- The reply counts for every sequence that the person is in, as one from a webhook does. Returns {enrolment, applied}; `applied` is false if the
-- reply was known already. Raises PT404 for an unknown enrolment or reply, PT409 if the reply cannot be this enrolment's.
create function punctual.take_reply(p_id bigint, p_reply jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  e punctual.enrolments;
  v_account punctual.accounts;
  v_receipt punctual.receipts;
  v_is_news boolean;
begin
  select * into e from punctual.enrolments x where x.id = p_id;
  if not found then raise exception 'there is no enrolment %', p_id using errcode = 'PT404'; end if;
  select * into v_account from punctual.accounts a where a.id = e.account_id;
  if not found then raise exception 'the account of enrolment % was deleted', p_id using errcode = 'PT409'; end if;
  perform punctual.refuse_forgotten(e);
  if p_reply->>'receipt_id' is not null then
    select * into v_receipt from punctual.receipts r where r.id = (p_reply->>'receipt_id')::bigint and r.kind = 'message' and r.status = 'received'
       for no key update;
    if not found then raise exception 'there is no reply %', p_reply->>'receipt_id' using errcode = 'PT404'; end if;
    if v_receipt.provider <> v_account.provider or v_receipt.provider_account_id is distinct from v_account.provider_account_id then
      raise exception 'the reply was sent to another account' using errcode = 'PT409';
    end if;
    v_is_news := v_receipt.applied_at is null;
  else
    insert into punctual.receipts (provider, kind, status, message_id, provider_account_id, chat_id, recipient, body, said_at, received_at)
    values (v_account.provider, 'message', 'received',
            coalesce(p_reply->>'message_id', 'reply/' || nextval(pg_get_serial_sequence('punctual.receipts', 'id'))), v_account.provider_account_id,
            e.chat_id, coalesce(e.number, e.recipient), p_reply->>'body', coalesce((p_reply->>'said_at')::timestamptz, v_now), v_now)
    on conflict (provider, message_id, kind, status) do nothing
    returning * into v_receipt;
    v_is_news := v_receipt.id is not null;
    if not v_is_news then
      -- A webhook may have reported it without a match, so that its text was not kept.
      update punctual.receipts r set body = coalesce(r.body, p_reply->>'body')
       where r.provider = v_account.provider and r.message_id = p_reply->>'message_id' and r.kind = 'message' and r.status = 'received'
         and r.provider_account_id = v_account.provider_account_id and r.applied_at is null
      returning * into v_receipt;
      v_is_news := found;
    end if;
  end if;
  if v_is_news then perform punctual.apply_replies(array[v_receipt.id], v_now, p_id); end if;
  select * into e from punctual.enrolments x where x.id = p_id;
  return jsonb_build_object('enrolment', punctual.show_enrolment(e), 'applied', v_is_news);
end
$$;
