-- The messages that still run under a claim ({claim_id, lease_expires_at}). p_as rows: [{id, attempt, timeout_seconds, row}]; releases:
-- [{id, claim_id, outcome}].
create function punctual.list_claimed_messages(q punctual.queues, p_claim jsonb, p_as text) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_partition text;
  v_rows jsonb;
begin
  -- A claim is of one partition.
  select m.partition into v_partition from punctual.messages m
   where m.state = 'running' and m.lease_expires_at = (p_claim->>'lease_expires_at')::timestamptz and m.claim_id = (p_claim->>'claim_id')::uuid limit 1;
  if v_partition is null then return '[]'; end if;
  execute format($sql$
    select jsonb_agg(case when $4 = 'releases'
             then jsonb_build_object('id', m.partition || ':' || m.msg_id, 'claim_id', m.claim_id, 'outcome', 'release')
             else jsonb_build_object('id', m.partition || ':' || m.msg_id, 'attempt', m.attempts, 'timeout_seconds', null,
               'row', punctual.describe_message(m.partition, (select x.job from punctual.message_queues x where x.partition = $3), to_jsonb(t))) end
             order by m.msg_id)
      from punctual.messages m join pgmq.%I t on t.msg_id = m.msg_id and t.enqueued_at = m.enqueued_at and t.read_ct = m.read_ct
     where m.state = 'running' and m.lease_expires_at = $1 and m.claim_id = $2 and m.partition = $3
    $sql$, punctual.need_message_table(v_partition))
  into v_rows using (p_claim->>'lease_expires_at')::timestamptz, (p_claim->>'claim_id')::uuid, v_partition, p_as;
  return coalesce(v_rows, '[]');
end
$$;
