-- Messages whose lease has passed: their tick died. Each is visible again after a backoff of its own length, or at the last attempt set
-- aside: one that kills its process would else take the same neighbours with it every time, to the end. Two hundred at a time. Lines that
-- are finished are forgotten after an hour.
create function punctual.sweep_messages(q punctual.queues, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_partition text;
  v_found record;
  v_ids bigint[];
  v_swept jsonb;
  v_dead bigint[];
  v_one record;
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
    v_ids := array(select m.msg_id from punctual.messages m where m.partition = v_partition and m.state = 'running' and m.lease_expires_at <= p_now
                    order by m.lease_expires_at limit 200);
    -- Somebody else took the message out: there is nothing left to do.
    execute format(
      'delete from punctual.messages m using (select x.msg_id from punctual.messages x where x.partition = $1 and x.msg_id = any ($2) '
      'and x.state = ''running'' and x.lease_expires_at <= $3 and not exists (select from pgmq.%I t where t.msg_id = x.msg_id) '
      'for update skip locked) gone where m.partition = $1 and m.msg_id = gone.msg_id', v_found.message_table)
    using v_partition, v_ids, p_now;
    execute format('select array(select t.msg_id from pgmq.%I t where t.msg_id = any ($1) order by t.msg_id for update skip locked)',
                   v_found.message_table) into v_ids using v_ids;
    execute format($sql$
      with swept as (
        update punctual.messages m set
          state = case when m.attempts >= $4 and t.read_ct = m.read_ct then 'dead' else 'pending' end,
          finished_at = case when m.attempts >= $4 and t.read_ct = m.read_ct then $3 end,
          last_error = punctual.died_message()
          from pgmq.%I t
         where m.partition = $1 and m.msg_id = any ($2) and m.state = 'running' and m.lease_expires_at <= $3 and t.msg_id = m.msg_id
        returning m.msg_id, m.state, m.attempts, t.read_ct = m.read_ct as ours)
      select coalesce(jsonb_agg(to_jsonb(s) order by s.msg_id), '[]') from swept s
      $sql$, v_found.message_table)
    into v_swept using v_partition, v_ids, p_now, punctual.max_message_attempts(q, v_partition);
    v_count := v_count + jsonb_array_length(v_swept);
    for v_one in
      select * from jsonb_to_recordset(v_swept) s (msg_id bigint, state text, attempts integer, ours boolean) where s.state = 'pending'
    loop
      if v_one.ours then
        perform from pgmq.set_vt(v_partition, v_one.msg_id, punctual.message_backoff(q, v_partition, v_one.msg_id, v_one.attempts));
      end if;
      insert into punctual.history (queue, row_id, at, event, text)
      values (q.name, v_partition || ':' || v_one.msg_id, p_now, 'swept', punctual.died_message());
    end loop;
    v_dead := array(select (s->>'msg_id')::bigint from jsonb_array_elements(v_swept) s where s->>'state' = 'dead');
    if v_dead <> '{}' then perform punctual.set_messages_aside(q, v_partition, v_dead, 'swept', p_now); end if;
    exit when punctual.is_call_over();
  end loop;
  return v_count;
end
$$;

-- Seconds: any length up to four times as long with each attempt, the same for the same message and attempt. Even with a tick a minute the
-- messages that died together are soon apart.
create function punctual.message_backoff(q punctual.queues, p_partition text, p_msg_id bigint, p_attempts integer) returns integer
language sql immutable set search_path = '' as $$
  select ceil(least(q.backoff_cap_seconds, q.backoff_base_seconds * power(4, least(p_attempts, 10)))
              * (hashtextextended(p_partition || ':' || p_msg_id || ':' || p_attempts, 0) & 65535) / 65536.0)::integer
$$;
