-- Returns a page of replies that match no enrolment, the latest first.
create function punctual.list_replies(p_limit integer default 50, p_cursor jsonb default null, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
begin
  return (
    select punctual.page_of(jsonb_agg(jsonb_build_object('key', jsonb_build_array(r.id), 'item', jsonb_build_object(
             'id', r.id::text, 'provider', r.provider, 'account_id', a.id, 'account_name', a.name, 'chat_id', r.chat_id,
             'recipient', r.recipient, 'body', r.body, 'said_at', r.said_at, 'received_at', r.received_at)) order by r.id desc), p_limit)
      from (select * from punctual.receipts x where x.kind = 'message' and x.status = 'received' and x.applied_at is null
               and x.id < coalesce((p_cursor->>0)::bigint, 9223372036854775807)
             order by x.id desc limit p_limit + 1) r
      left join punctual.accounts a on a.provider = r.provider and a.provider_account_id = r.provider_account_id);
end
$$;
