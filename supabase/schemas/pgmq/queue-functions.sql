-- The templates of pgmq queues: the functions that an exchange calls, with the same verbs as those of tables.
insert into punctual.templates (verb, kinds, text) values ('claim', '{pgmq}', $template$
create function {function}(p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_now timestamptz) returns json[]
language plpgsql set search_path = '' as $$
begin
  return array(select m::json from jsonb_array_elements(
    punctual.claim_messages(punctual.read_queue({queue}), p_partition, p_claim_id, p_want, p_lease_until, p_now)) m);
end
$$
$template$), ('list_claimed', '{pgmq}', $template$
create function {function}(p_claim_id uuid, p_after timestamptz, p_until timestamptz) returns json[]
language plpgsql stable set search_path = '' as $$
begin
  return punctual.list_claimed_messages(p_claim_id, p_after, p_until);
end
$$
$template$), ('settle', '{pgmq}', $template$
create function {function}(p_done jsonb, p_records jsonb, p_max_attempts integer, p_now timestamptz,
  out given integer, out settled integer, out written text[], out counts jsonb, out applied jsonb, out changed jsonb)
language plpgsql set search_path = '' as $$
begin
  counts := punctual.settle_messages(punctual.read_queue({queue}), jsonb_build_object('done', p_done, 'records', p_records), p_now);
  changed := counts->'exceptions';
  applied := '[]';
end
$$
$template$), ('sweep', '{pgmq}', $template$
create function {function}(q punctual.queues, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
begin
  return punctual.sweep_messages(q, p_now);
end
$$
$template$), ('count_due', '{pgmq}', $template$
create function {function}(p_partition text, p_now timestamptz) returns integer
language plpgsql stable set search_path = '' as $$
begin
  return punctual.count_due_messages(p_partition);
end
$$
$template$), ('first_due_at', '{pgmq}', $template$
create function {function}(p_partition text, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return punctual.first_due_message_at(p_partition, true, p_now);
end
$$
$template$), ('next_due_at', '{pgmq}', $template$
create function {function}(p_partition text, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return punctual.first_due_message_at(p_partition, false, p_now);
end
$$
$template$);
create trigger make_functions after insert on punctual.queues for each row when (new.source = 'pgmq') execute function punctual.remake_functions();

-- Returns the messages that still run under a claim: [{id, attempt, timeout_seconds, row}].
create function punctual.list_claimed_messages(p_claim_id uuid, p_after timestamptz, p_until timestamptz) returns json[]
language plpgsql stable set search_path = '' as $$
declare
  v_partition text;
  v_rows json[];
begin
  -- All messages of a claim are in one partition.
  select m.partition into v_partition from punctual.messages m
   where m.state = 'running' and m.lease_expires_at > p_after and m.lease_expires_at <= p_until and m.claim_id = p_claim_id limit 1;
  if v_partition is null then return '{}'; end if;
  execute format($sql$
    select array_agg(json_build_object('id', m.partition || ':' || m.msg_id, 'attempt', m.attempts, 'timeout_seconds', null,
             'row', punctual.describe_message(m.partition, (select x.job from punctual.message_queues x where x.partition = $4), to_jsonb(t))) order by m.msg_id)
      from punctual.messages m join pgmq.%I t on t.msg_id = m.msg_id and t.enqueued_at = m.enqueued_at and t.read_ct = m.read_ct
     where m.state = 'running' and m.lease_expires_at > $1 and m.lease_expires_at <= $2 and m.claim_id = $3 and m.partition = $4
    $sql$, punctual.need_message_table(v_partition))
  into v_rows using p_after, p_until, p_claim_id, v_partition;
  return coalesce(v_rows, '{}');
end
$$;
