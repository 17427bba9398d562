-- Writes outcomes to pgmq. Takes and returns the same as settle_outcomes. `retry`: visible again after its delay. `again`: the same, and its attempts
-- start from zero. `dead` and `unknown`: set aside. Locks messages by partition and number.
create function punctual.settle_messages(q punctual.queues, p_outcomes jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_records jsonb;
  v_partition text;
  v_judged jsonb := '[]';
begin
  select coalesce(jsonb_agg(r || jsonb_build_object('partition', s.partition, 'msg_id', s.msg_id)), '[]') into v_records
    from (select jsonb_build_object('id', i, 'claim_id', g->'claim_id', 'outcome', 'done') as r
            from jsonb_array_elements(coalesce(p_outcomes->'done', '[]')) g cross join lateral jsonb_array_elements_text(g->'ids') i
          union all select r from jsonb_array_elements(coalesce(p_outcomes->'records', '[]')) r) a
   cross join lateral punctual.split_message_id(r->>'id') s;
  for v_partition in select distinct r->>'partition' from jsonb_array_elements(v_records) r order by 1 loop
    v_judged := v_judged || case when v_partition is null
      then (select jsonb_agg(r || '{"verdict": "lost", "applied": null}') from jsonb_array_elements(v_records) r where r->>'partition' is null)
      else punctual.settle_partition(q, v_partition,
             (select jsonb_agg(r) from jsonb_array_elements(v_records) r where r->>'partition' = v_partition), p_now) end;
  end loop;
  return (
    select jsonb_build_object(
      'done', count(*) filter (where j->>'applied' = 'done'),
      'retried', count(*) filter (where j->>'applied' = 'retry'),
      'again', count(*) filter (where j->>'applied' = 'again'),
      'dead', count(*) filter (where j->>'applied' = 'dead'),
      'unknown', 0,
      'released', count(*) filter (where j->>'applied' = 'release'),
      'lost', count(*) filter (where j->>'verdict' = 'lost'),
      'limited', count(*) filter (where j->>'applied' is not null and (j->>'rate_limited')::boolean),
      'exceptions', coalesce(jsonb_agg(jsonb_build_object('id', j->'id', 'claim_id', j->'claim_id', 'verdict', j->'verdict',
          'outcome', coalesce(j->>'applied', j->>'was', j->>'outcome')))
        filter (where j->>'verdict' <> 'applied' or j->>'applied' <> j->>'outcome'), '[]'))
      from jsonb_array_elements(v_judged) j);
end
$$;

-- Locks the messages of one pgmq queue by number, and decides which of their outcomes may be written. p_records: records with msg_id. Returns them with
--   verdict      applied, already or lost
--   applied      the outcome to write; null if there is none
--   was          the outcome that was written before
--   enqueued_at
--   set_aside    the message was set aside and must be put back
create function punctual.judge_messages(q punctual.queues, p_partition text, p_records jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_table text := punctual.need_message_table(p_partition);
  v_ids bigint[] := array(select (r->>'msg_id')::bigint from jsonb_array_elements(p_records) r);
  v_judged jsonb;
begin
  execute format('select 1 from pgmq.%I t where t.msg_id = any ($1) order by t.msg_id for update', v_table) using v_ids;
  perform from punctual.messages m where m.partition = p_partition and m.msg_id = any (v_ids) order by m.msg_id for no key update;
  -- A new statement under the locks: it sees what others wrote during the wait.
  execute format($sql$
    select jsonb_agg(a.record || jsonb_build_object('verdict', v.verdict, 'enqueued_at', m.enqueued_at, 'claimed_at', m.claimed_at,
             'was', case m.state when 'done' then 'done' when 'dead' then 'dead' else a.outcome end,
             'set_aside', m.state = 'dead' and v.verdict = 'applied',
             'applied', case when v.verdict <> 'applied' then null
                             when a.outcome = 'unknown' then 'dead'
                             when a.outcome = 'retry' and m.attempts >= $3 and not coalesce((a.record->>'rate_limited')::boolean, false) then 'dead'
                             else a.outcome end) order by a.msg_id)
      from (select distinct on (r->>'msg_id', r->>'claim_id') r as record, (r->>'msg_id')::bigint as msg_id, (r->>'claim_id')::uuid as claim_id, r->>'outcome' as outcome
              from jsonb_array_elements($1) r) a
      left join punctual.messages m on m.partition = $2 and m.msg_id = a.msg_id
      left join pgmq.%I t on t.msg_id = m.msg_id and t.enqueued_at = m.enqueued_at
     cross join lateral (select case
         when m.claim_id is distinct from a.claim_id then 'lost'
         -- Late proof for a message that is dead by now.
         when m.state = 'dead' and a.outcome = 'done' and exists (
           select from punctual.set_aside_messages s where s.partition = $2 and s.msg_id = m.msg_id and s.enqueued_at = m.enqueued_at
              and s.cancelled_at is null)
           -- Not if the queue was recreated and another message has the number.
           and not exists (select from pgmq.%I x where x.msg_id = a.msg_id) then 'applied'
         when m.lease_expires_at is null and (m.state <> 'pending' or a.outcome <> 'done') then 'already'
         -- The message is gone, or another consumer has read it since our lease ended and owns it now.
         when t.msg_id is null or t.read_ct <> m.read_ct then 'lost'
         when m.state = 'running' then 'applied'
         -- The message was swept, or an outcome was written before. Nobody has read it since.
         when m.state = 'pending' and a.outcome in ('done', 'dead', 'again') then 'applied'
         else 'lost' end as verdict) v
    $sql$, v_table, v_table) into v_judged using p_records, p_partition, punctual.max_message_attempts(q, p_partition);
  return v_judged;
end
$$;

-- Settles the messages of one pgmq queue. Takes and returns the records of judge_messages.
create function punctual.settle_partition(q punctual.queues, p_partition text, p_records jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_judged jsonb := punctual.judge_messages(q, p_partition, p_records);
  v_done bigint[];
  v_dead bigint[];
begin
  perform punctual.return_message(p_partition, j.msg_id, j.enqueued_at)
     from jsonb_to_recordset(v_judged) j (msg_id bigint, enqueued_at timestamptz, set_aside boolean) where j.set_aside;
  update punctual.messages m set
    state = case j.applied when 'done' then 'done' when 'dead' then 'dead' else 'pending' end,
    lease_expires_at = null,
    attempts = case when j.applied = 'again' then 0
                    when j.applied = 'release' or (j.applied = 'retry' and j.rate_limited) then greatest(m.attempts - 1, 0)
                    else m.attempts end,
    finished_at = case when j.applied in ('done', 'dead') then p_now end,
    last_error = case j.applied when 'release' then m.last_error when 'done' then null when 'again' then null else left(j.error, 2000) end
    from jsonb_to_recordset(v_judged) j (msg_id bigint, applied text, rate_limited boolean, error text)
   where m.partition = p_partition and m.msg_id = j.msg_id and j.applied is not null;

  select coalesce(array_agg(j.msg_id) filter (where j.applied = 'done'), '{}'), coalesce(array_agg(j.msg_id) filter (where j.applied = 'dead'), '{}')
    into v_done, v_dead from jsonb_to_recordset(v_judged) j (msg_id bigint, applied text);
  if v_done = '{}' then
    null;
  elsif (select m.on_done from punctual.message_queues m where m.partition = p_partition) = 'delete' then
    perform from pgmq.delete(p_partition, v_done);
  else
    perform from pgmq.archive(p_partition, v_done);
  end if;
  if v_dead <> '{}' then perform punctual.set_messages_aside(p_partition, v_dead, p_now); end if;
  perform from jsonb_to_recordset(v_judged) j (msg_id bigint, applied text, delay_seconds double precision)
    cross join lateral pgmq.set_vt(p_partition, j.msg_id, case when j.applied = 'release' then 0 else ceil(coalesce(j.delay_seconds, 0))::integer end)
    where j.applied in ('retry', 'again', 'release');
  perform punctual.note_failures(q.name, jsonb_agg(j || jsonb_build_object('event', j->>'applied') order by (j->>'msg_id')::bigint), p_now)
     from jsonb_array_elements(v_judged) j where j->>'applied' in ('retry', 'dead') having count(*) > 0;
  return v_judged;
end
$$;
