-- Runs one bounded step of retention. Deletes up to p_limit messages that were set aside or thrown away before p_before, and lines of messages that
-- another consumer removed. Leaves pgmq's archives to their owner. Skips locked rows. Returns how many set-aside messages it deleted.
create function punctual.prune_messages(q punctual.queues, p_before timestamptz, p_limit integer) returns integer
language plpgsql set search_path = '' as $$
declare
  v_partition text;
  v_found record;
  v_count integer;
begin
  delete from punctual.set_aside_messages s using (
    select x.partition, x.msg_id, x.enqueued_at from punctual.set_aside_messages x
     where x.set_aside_at < p_before and coalesce(x.cancelled_at < p_before, true)
     order by x.set_aside_at limit p_limit for update skip locked) old
   where s.partition = old.partition and s.msg_id = old.msg_id and s.enqueued_at = old.enqueued_at;
  get diagnostics v_count = row_count;
  for v_partition in select p.partition from punctual.partitions p where p.queue = q.name loop
    select * into v_found from punctual.find_message_table(v_partition);
    continue when v_found.fault is not null;
    execute format(
      'delete from punctual.messages m using (select x.msg_id from punctual.messages x where x.partition = $1 and x.state = ''pending'' '
      'and x.claimed_at < $2 and not exists (select from pgmq.%I t where t.msg_id = x.msg_id) limit $3 for update skip locked) gone '
      'where m.partition = $1 and m.msg_id = gone.msg_id', v_found.message_table)
    using v_partition, p_before, p_limit;
  end loop;
  return v_count;
end
$$;
