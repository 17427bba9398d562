-- Returns the evidence of what a row's attempts had sent: rows (source, proof, claim_id, is_failed). source: answer, an attempt that was done; row, the
-- proof on the row itself; receipt; check; late, proof of an earlier attempt. proof: the provider's id, if known. claim_id: the attempt, if known.
-- is_failed: the provider reports that it could not deliver the message, and nothing says that it was delivered. p_claims: the row's claims.
create function punctual.list_evidence(q punctual.queues, p_id text, p_row jsonb, p_claims text[])
returns table (source text, proof text, claim_id text, is_failed boolean)
language plpgsql stable set search_path = '' as $$
begin
  return query
    with known as materialized (
      select case h.event when 'done' then 'answer' when 'proved' then case when h.by = 'check' then 'check' else 'late' end
                          when 'receipt' then 'receipt' else 'late' end as source, h.proof, h.claim_id::text as claim_id
        from (select * from punctual.history x where x.queue = q.name and x.row_id = p_id order by x.id desc limit 1000) h
       where h.event = 'done' or (h.event in ('proved', 'late', 'twice', 'receipt') and h.proof is not null)
          or (h.event = 'proved' and q.proof_column is null)
      union all
      select 'row', p_row->>q.proof_column, null where p_row->>q.proof_column is not null),
    reported as materialized (
      select r.message_id, r.status, split_part(r.reference, '/', 3) as claim_id from punctual.receipts r
       where r.queue = q.name and r.row_id = p_id and split_part(r.reference, '/', 3) = any (p_claims)
      union
      select r.message_id, r.status, null from punctual.receipts r
       where r.message_id = any (array(select k.proof from known k)) and r.status in ('sent', 'delivered', 'read', 'failed')
         and (r.queue is null or (r.queue = q.name and r.row_id = p_id)))
    select e.source, e.proof, e.claim_id,
           coalesce(e.proof in (select f.message_id from reported f where f.status = 'failed')
                    and e.proof not in (select d.message_id from reported d where d.status in ('delivered', 'read')), false)
      from (select * from known union select 'receipt', r.message_id, r.claim_id from reported r where r.status <> 'received') e;
end
$$;

-- Returns the claims of a row. kept: those that the row itself remembers, also if their events are deleted. known: those of its events. uncertain: those
-- that may have had an effect. absences: events of an earlier version which name no claim. was_twice: the history says that it was delivered twice.
-- settled_at: when a check, a receipt or a person settled it last.
create function punctual.list_claims(
  q punctual.queues, p_id text, p_row jsonb, out kept text[], out known text[], out uncertain text[], out absences integer, out was_twice boolean,
  out settled_at timestamptz)
language plpgsql stable set search_path = '' as $$
begin
  kept := array(select jsonb_array_elements_text(case when jsonb_typeof(p_row->'reconcile'->'claims') = 'array' then p_row->'reconcile'->'claims' else '[]' end));
  select array_agg(distinct h.claim_id::text) filter (where h.event in ('unknown', 'swept')), array_agg(distinct h.claim_id::text),
         count(*) filter (where h.event = 'absent' and h.claim_id is null), coalesce(bool_or(h.event = 'twice'), false),
         max(h.at) filter (where h.event in ('decided', 'proved', 'receipt'))
    into uncertain, known, absences, was_twice, settled_at
    from punctual.history h where h.queue = q.name and h.row_id = p_id;
  -- The row also keeps claims of attempts that failed for certain, if a person had it tried again: see requeue_by_hand.
  uncertain := array_remove(array(select unnest(kept || uncertain) except select h.claim_id::text from punctual.history h
                                   where h.queue = q.name and h.row_id = p_id and h.event in ('absent', 'dead', 'retry')), null);
end
$$;

-- Says what the evidence shows of how often an at-most-once row was sent: {verdict, attempts, open, ids: [{id, by}], failed_ids}.
--
-- attempts    attempts that may have had an effect: done or uncertain, and not proved absent
-- open        those of them without evidence either way
-- ids         the provider's ids, each with its sources: answer, row, receipt, check, late
-- failed_ids  ids of messages that the provider accepted and could not deliver
--
-- verdict          meaning
-- not_sent         no attempt may have had an effect
-- under_way        an attempt runs, and nothing was sent before
-- unknown          an attempt may have had its effect, and nothing proves or disproves it
-- by_answer_alone  sent once by the provider's answer; no receipt or check confirms it
-- once             sent once; the answer, a receipt or a check agree on one message, of which at least one is not the answer
-- by_decision      a person decided that it was sent; there is no evidence
-- may_be_twice     one message is proved, and another attempt has no evidence either way
-- twice            two messages are proved
-- not_delivered    the provider accepted it and reports that it could not deliver it
create function punctual.judge_sent_once(q punctual.queues, p_id text, p_row jsonb, p_state text) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_claims record := punctual.list_claims(q, p_id, p_row);
  v_accepted text[];
  v_failed_claims text[];
  v_failed text[];
  v_ids jsonb;
  v_extra integer;
  v_open integer;
  v_sent integer;
  v_is_confirmed boolean;
begin
  with found as materialized (
    select * from punctual.list_evidence(q, p_id, p_row, array_remove(v_claims.kept || v_claims.known || (p_row->>'claim_id'), null))),
  evidence as materialized (
    select * from found
    union all
    -- Done by its last attempt, whose event is deleted or was never written.
    select 'answer', p_row->>q.proof_column, p_row->>'claim_id', coalesce(p_row->>q.proof_column in (select f.proof from found f where f.is_failed), false)
     where p_state = 'done' and p_row->>'claim_id' is not null and coalesce((p_row->>'claimed_at')::timestamptz > v_claims.settled_at, true)
       and not exists (select from punctual.history h where h.queue = q.name and h.row_id = p_id and h.event = 'done'))
  select coalesce(array_agg(distinct e.claim_id) filter (where e.claim_id is not null and not e.is_failed), '{}'),
         coalesce(array_agg(distinct e.claim_id) filter (where e.claim_id is not null and e.is_failed), '{}'),
         coalesce(array_agg(distinct e.proof) filter (where e.is_failed), '{}'),
         coalesce(bool_or(e.source in ('receipt', 'check', 'late')) filter (where not e.is_failed), false),
         -- Messages that are evidence of an attempt, it is not known of which.
         count(distinct coalesce(e.proof, '')) filter (where not e.is_failed and e.claim_id is null
           and coalesce(e.proof, '') not in (select coalesce(m.proof, '') from evidence m where m.claim_id is not null)),
         count(distinct e.proof) filter (where not e.is_failed),
         (select coalesce(jsonb_agg(jsonb_build_object('id', i.proof, 'by', i.sources) order by i.proof), '[]')
            from (select x.proof, jsonb_agg(distinct x.source) as sources from evidence x where x.proof is not null group by 1) i)
    into v_accepted, v_failed_claims, v_failed, v_is_confirmed, v_extra, v_sent, v_ids
    from evidence e;
  v_sent := greatest(v_sent, cardinality(v_accepted) + v_extra);
  v_open := greatest(0, (select count(*) from unnest(v_claims.uncertain) c where c <> all (v_accepted || v_failed_claims)) - v_extra - v_claims.absences);
  return jsonb_build_object('verdict', case
      when v_claims.was_twice or v_sent > 1 then 'twice'
      when v_sent = 1 and v_open > 0 then 'may_be_twice'
      when v_sent = 1 and v_is_confirmed then 'once'
      when v_sent = 1 then 'by_answer_alone'
      when p_state = 'done' and (v_open > 0 or v_failed = '{}') then 'by_decision'
      when v_open > 0 then 'unknown'
      when p_state = 'running' then 'under_way'
      when cardinality(v_failed) > 0 then 'not_delivered'
      else 'not_sent' end,
    'attempts', v_sent + v_open + cardinality(v_failed), 'open', v_open, 'ids', v_ids, 'failed_ids', to_jsonb(v_failed));
end
$$;
