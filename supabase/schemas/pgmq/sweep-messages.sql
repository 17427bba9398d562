-- Sweeps up to 200 messages of one pgmq queue. Skips locked messages. Returns how many became visible again or were set aside.
create function punctual.sweep_message_queue(q punctual.queues, p_partition text, p_table text, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_ids bigint[] := array(
    select m.msg_id from punctual.messages m where m.partition = p_partition and m.state = 'running' and m.lease_expires_at <= p_now
     order by m.lease_expires_at limit 200);
  v_swept jsonb;
  v_dead bigint[];
begin
  -- Deletes the lines of messages that another consumer removed.
  execute format(
    'delete from punctual.messages m using (select x.msg_id from punctual.messages x where x.partition = $1 and x.msg_id = any ($2) '
    'and x.state = ''running'' and x.lease_expires_at <= $3 and not exists (select from pgmq.%I t where t.msg_id = x.msg_id) '
    'for update skip locked) gone where m.partition = $1 and m.msg_id = gone.msg_id', p_table)
  using p_partition, v_ids, p_now;
  execute format('select array(select t.msg_id from pgmq.%I t where t.msg_id = any ($1) order by t.msg_id for update skip locked)', p_table)
    into v_ids using v_ids;
  execute format($sql$
    with swept as (
      update punctual.messages m set
        state = case when m.attempts >= $4 and t.read_ct = m.read_ct then 'dead' else 'pending' end,
        finished_at = case when m.attempts >= $4 and t.read_ct = m.read_ct then $3 end,
        last_error = punctual.died_message()
        from pgmq.%I t
       where m.partition = $1 and m.msg_id = any ($2) and m.state = 'running' and m.lease_expires_at <= $3 and t.msg_id = m.msg_id
      returning m.msg_id, m.state, m.attempts, m.claim_id, m.claimed_at, t.read_ct = m.read_ct as ours)
    select coalesce(jsonb_agg(to_jsonb(s) order by s.msg_id), '[]') from swept s
    $sql$, p_table)
  into v_swept using p_partition, v_ids, p_now, punctual.max_message_attempts(q, p_partition);
  perform from jsonb_to_recordset(v_swept) s (msg_id bigint, state text, attempts integer, ours boolean)
    cross join lateral pgmq.set_vt(p_partition, s.msg_id, punctual.message_backoff(q, p_partition, s.msg_id, s.attempts))
    where s.state = 'pending' and s.ours;
  perform punctual.note_failures(q.name, jsonb_agg(jsonb_build_object('id', p_partition || ':' || s.msg_id, 'event', 'swept',
      'error', punctual.died_message(), 'claim_id', s.claim_id, 'claimed_at', s.claimed_at) order by s.msg_id), p_now)
     from jsonb_to_recordset(v_swept) s (msg_id bigint, claim_id uuid, claimed_at timestamptz) having count(*) > 0;
  v_dead := array(select (s->>'msg_id')::bigint from jsonb_array_elements(v_swept) s where s->>'state' = 'dead');
  if v_dead <> '{}' then perform punctual.set_messages_aside(p_partition, v_dead, p_now); end if;
  return jsonb_array_length(v_swept);
end
$$;

-- Sweeps messages with an expired lease, up to 200 per pgmq queue: their tick died. Each becomes visible again after a backoff of its own, or is set
-- aside after its last attempt. With the same backoff for all, a message that kills its process would take its neighbours with it at every attempt.
-- Also deletes lines that finished over an hour ago, up to 1,000. Stops between queues when the call's time is over.
create function punctual.sweep_messages(q punctual.queues, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_partition text;
  v_found record;
  v_count integer := 0;
begin
  delete from punctual.messages m using (
    select x.partition, x.msg_id from punctual.messages x where x.finished_at < p_now - interval '1 hour'
     order by x.finished_at limit 1000 for update skip locked) old
   where m.partition = old.partition and m.msg_id = old.msg_id;
  for v_partition in
    select distinct r.partition from (select m.partition from punctual.messages m where m.state = 'running' and m.lease_expires_at <= p_now
                                       order by m.lease_expires_at limit 200) r order by 1
  loop
    select * into v_found from punctual.find_message_table(v_partition);
    continue when v_found.fault is not null;
    v_count := v_count + punctual.sweep_message_queue(q, v_partition, v_found.message_table, p_now);
    exit when punctual.is_call_over();
  end loop;
  return v_count;
end
$$;

-- Returns a backoff in seconds. Its maximum is four times as long with each attempt, up to backoff_cap_seconds, and the value is anything up to
-- that. The same message and attempt have the same backoff. Even with a tick a minute, messages that died together are soon apart.
create function punctual.message_backoff(q punctual.queues, p_partition text, p_msg_id bigint, p_attempts integer) returns integer
language sql immutable set search_path = '' as $$
  select ceil(least(q.backoff_cap_seconds, q.backoff_base_seconds * power(4, least(p_attempts, 10)))
              * (hashtextextended(p_partition || ':' || p_msg_id || ':' || p_attempts, 0) & 65535) / 65536.0)::integer
$$;
