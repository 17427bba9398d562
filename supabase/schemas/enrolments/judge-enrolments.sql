-- The queue's `facts`: decides the outcome of each due enrolment, which the handler then returns. Returns {id: {outcome, error}}.
-- again: its message is to be queued. done: nothing is left to do. dead: its message cannot be written, and `error` says why.
create function punctual.judge_enrolments(p_ids text[], p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select jsonb_object_agg(j.id::text, jsonb_build_object('outcome', case when j.error is not null then 'dead' when j.is_end then 'done' else 'again' end,
                                                           'error', j.error))
      from (select e.id, e.action = 'stop' or (e.action = 'advance' and s.step is null) as is_end,
                   case when e.account_id is null then 'its account is gone: enrol the person through another one'
                        when e.action = 'stop' or (e.action = 'advance' and s.step is null) then null
                        when s.step is null then format('its sequence has no step %s', s.number)
                        when m.missing is not null then format('step %s needs {{%s}}, which this person lacks', s.number, m.missing) end as error
              from punctual.enrolments e
              join punctual.sequence_versions v on v.sequence_id = e.sequence_id and v.version = e.version
             cross join lateral (select e.step + (e.action = 'advance')::integer as number,
                                        v.steps->(e.step + (e.action = 'advance')::integer - 1) as step) s
              left join lateral (select string_agg(p, '}}, {{') as missing from unnest(punctual.list_placeholders(s.step)) p
                                  where e.variables->>p is null) m on s.step is not null
             where e.id = any (array(select unnest(p_ids)::bigint))) j);
end
$$;

-- Applies replies to enrolments with the outcome `again` before their next message is queued. Such a reply came just when the chat became known,
-- and matched no enrolment then. Returns the ids of the enrolments that had one: the next tick decides them again.
create function punctual.apply_early_replies(p_applied jsonb, p_now timestamptz) returns bigint[]
language plpgsql set search_path = '' as $$
declare
  e punctual.enrolments;
  v_before punctual.enrolments;
  v_ids bigint[] := '{}';
begin
  for e in
    select x.* from jsonb_to_recordset(p_applied) a (id bigint, outcome text)
      join punctual.enrolments x on x.id = a.id and x.chat_id is not null
      join punctual.accounts c on c.id = x.account_id
     where a.outcome = 'again' and exists (
       select from punctual.receipts r where r.provider_account_id = c.provider_account_id and r.chat_id = x.chat_id and r.provider = c.provider
          and r.kind = 'message' and r.status = 'received' and punctual.reply_made_at(r) >= x.enrolled_at
          and not exists (select from punctual.enrolment_events n
                           where n.enrolment_id = x.id and n.event = 'replied' and n.at = punctual.reply_made_at(r)))
     order by x.id
  loop
    v_before := e;
    e := punctual.apply_waiting_replies(e, p_now);
    if (e.phase, e.step, e.action) is not distinct from (v_before.phase, v_before.step, v_before.action) then e.next_step_at := p_now; end if;
    perform punctual.save_enrolment(e);
    v_ids := v_ids || e.id;
  end loop;
  return v_ids;
end
$$;
