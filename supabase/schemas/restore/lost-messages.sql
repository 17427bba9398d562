-- Queues the messages that due enrolments may have queued and sent in the lost time, as rows of dm_queue in place of the lost ones. Each is due at
-- the instant at which its step was due, within the step's hours. Returns how many.
create function punctual.queue_lost_messages(p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_id bigint;
  v_due timestamptz;
  v_message bigint;
  v_count integer := 0;
begin
  for v_id in
    select e.id from punctual.enrolments e where e.status in ('pending', 'running') and e.next_step_at <= p_now order by e.id for no key update
  loop
    continue when punctual.judge_enrolments(array[v_id::text], p_now)->v_id::text->>'outcome' <> 'again';
    update punctual.enrolments e set status = 'pending', claim_id = null, lease_expires_at = null where e.id = v_id;
    loop
      select e.next_step_at, e.message_id into v_due, v_message from punctual.enrolments e where e.id = v_id;
      v_count := v_count + (v_message is not null)::integer;
      -- If the step's hours had not begun, it has moved to their beginning.
      exit when v_due is null or v_due > p_now;
      perform punctual.settle_enrolments(jsonb_build_array(jsonb_build_object('id', v_id, 'outcome', 'again', 'due', v_due)), v_due);
    end loop;
  end loop;
  return v_count;
end
$$;
