-- Claims up to p_want visible messages, in pgmq's order. Returns [{id, attempt, timeout_seconds, row}]. Raises PT404 if the message queue was not
-- added or cannot be used. pgmq.read skips locked messages.
create function punctual.claim_messages(
  q punctual.queues, p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_settings punctual.message_queues;
  v_read jsonb;
  v_exhausted bigint[];
  v_claimed jsonb;
begin
  perform punctual.need_message_table(p_partition);
  select * into v_settings from punctual.message_queues m where m.partition = p_partition;
  if not found then
    raise exception 'the message queue "%" was not added', p_partition
      using errcode = 'PT404', hint = format('Run: select punctual.add_message_queue(%L);', p_partition);
  end if;
  -- Whole seconds, rounded up: the visibility timeout must not be shorter than the lease.
  select jsonb_agg(to_jsonb(m)) into v_read
    from pgmq.read(p_partition, ceil(extract(epoch from p_lease_until - p_now))::integer, p_want) m;
  if v_read is null then return '[]'; end if;

  -- The ticks of these messages died at every attempt, and no sweep has reached them yet.
  select array_agg(m.msg_id) into v_exhausted
    from jsonb_to_recordset(v_read) r (msg_id bigint, enqueued_at timestamptz)
    join punctual.messages m on m.partition = p_partition and m.msg_id = r.msg_id and m.enqueued_at = r.enqueued_at
   where m.state = 'running' and m.attempts >= coalesce(v_settings.max_attempts, q.max_attempts);
  if v_exhausted is not null then
    update punctual.messages m set state = 'dead', finished_at = p_now, last_error = punctual.died_message()
     where m.partition = p_partition and m.msg_id = any (v_exhausted);
    perform punctual.set_messages_aside(p_partition, v_exhausted, p_now);
    perform punctual.note_failures(q.name, (select jsonb_agg(jsonb_build_object('id', p_partition || ':' || x, 'event', 'swept', 'error', punctual.died_message()) order by x)
                                              from unnest(v_exhausted) x), p_now);
  end if;

  with read as materialized (
    select r.msg_id, r.read_ct, r.enqueued_at, e as message
      from jsonb_array_elements(v_read) e cross join lateral jsonb_to_record(e) r (msg_id bigint, read_ct integer, enqueued_at timestamptz)
     where r.msg_id <> all (coalesce(v_exhausted, '{}'))
  ),
  claimed as (
    insert into punctual.messages as m (partition, msg_id, enqueued_at, state, claim_id, lease_expires_at, claimed_at, attempts, read_ct)
    select p_partition, r.msg_id, r.enqueued_at, 'running', p_claim_id, p_lease_until, p_now, 1, r.read_ct from read r order by r.msg_id
    on conflict (partition, msg_id) do update set
      enqueued_at = excluded.enqueued_at, state = 'running', claim_id = excluded.claim_id, lease_expires_at = excluded.lease_expires_at,
      claimed_at = excluded.claimed_at, read_ct = excluded.read_ct, finished_at = null,
      attempts = case when m.enqueued_at = excluded.enqueued_at then m.attempts + 1 else 1 end,
      last_error = case when m.enqueued_at = excluded.enqueued_at then m.last_error end
    returning m.msg_id, m.attempts
  )
  select jsonb_agg(jsonb_build_object('id', p_partition || ':' || c.msg_id, 'attempt', c.attempts, 'timeout_seconds', null,
           'row', punctual.describe_message(p_partition, v_settings.job, r.message)) order by c.msg_id)
    into v_claimed from claimed c join read r on r.msg_id = c.msg_id;
  return coalesce(v_claimed, '[]');
end
$$;
