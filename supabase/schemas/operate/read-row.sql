-- Finds the tick of a claim by the instant of the claim, among up to 1,000 ticks that began in the 15 minutes before. No tick runs longer.
create function punctual.find_tick(p_queue text, p_claim_id uuid, p_claimed_at timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', t.id, 'scheduler', t.scheduler, 'started_at', t.started_at)
    from (select * from punctual.ticks x where x.queue = p_queue and x.started_at > p_claimed_at - interval '15 minutes' and x.started_at <= p_claimed_at
           order by x.started_at desc limit 1000) t
   where right(t.id::text, 27) = right(p_claim_id::text, 27) limit 1
$$;

-- Returns a row's attempts, of its latest 200 events, the oldest first: [{claim_id, tick, claimed_at, ended_at, duration_ms, outcome, kind, code, text,
-- answer, proof, error_group}]. tick: {id, scheduler, started_at}; null once it is deleted. The last attempt may be on the row alone: one that runs
-- (outcome `running`), or that was done in an at-least-once queue.
create function punctual.list_attempts(q punctual.queues, p_id text, p_row jsonb, p_state text) returns jsonb
language sql stable set search_path = '' as $$
  with events as materialized (
    select * from punctual.history x where x.queue = q.name and x.row_id = p_id order by x.id desc limit 200),
  attempts as (
    select e.id, e.claim_id, e.claimed_at, e.at as ended_at, e.duration_ms, e.event as outcome, e.kind, e.code, e.text, e.answer, e.proof, e.error_group
      from events e where e.event in ('done', 'retry', 'dead', 'unknown', 'swept')
    union all
    select null, (p_row->>'claim_id')::uuid, (p_row->>'claimed_at')::timestamptz, (p_row->>'finished_at')::timestamptz, null, p_state, null, null, null, null,
           p_row->>q.proof_column, null
     where p_row->>'claim_id' is not null and p_state in ('running', 'done')
       and not exists (select from events e where e.claim_id = (p_row->>'claim_id')::uuid)
       -- Otherwise a receipt, a check or a person settled it since.
       and (p_state = 'running' or not exists (select from events e where e.event in ('proved', 'receipt', 'decided')
                                                  and e.at > coalesce((p_row->>'claimed_at')::timestamptz, '-infinity'))))
  select coalesce(jsonb_agg(to_jsonb(a) - 'id' || jsonb_build_object('tick', punctual.find_tick(q.name, a.claim_id, a.claimed_at)) order by a.id nulls last), '[]')
    from attempts a
$$;

-- Returns each change of a row, the oldest first: [{at, event, by, text, claim_id}]. event: created, claimed, and those of punctual.history. by: tick,
-- attempt, sweep, expiry, receipt, check, or a person's name; null if it is not known.
create function punctual.list_changes(q punctual.queues, p_id text, p_row jsonb, p_attempts jsonb) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('at', c.at, 'event', c.event, 'by', c.by, 'text', c.text, 'claim_id', c.claim_id) order by c.at, c.n), '[]')
    from (select (p_row->>'created_at')::timestamptz as at, 'created' as event, null as by, null as text, null::uuid as claim_id, -2::bigint as n
           where p_row->>'created_at' ~ '^\d{4}-\d\d-\d\d'
          union all
          select a.claimed_at, 'claimed', 'tick', null, a.claim_id, -1
            from jsonb_to_recordset(p_attempts) a (claimed_at timestamptz, claim_id uuid) where a.claimed_at is not null
          union all
          -- Done in an at-least-once queue: only the row has it.
          select a.ended_at, a.outcome, 'attempt', null, a.claim_id, 0
            from jsonb_to_recordset(p_attempts) a (ended_at timestamptz, outcome text, claim_id uuid)
           where a.outcome = 'done' and not exists (select from punctual.history h where h.queue = q.name and h.row_id = p_id and h.event = 'done' and h.claim_id = a.claim_id)
          union all
          select h.at, h.event, coalesce(h.by, case when h.event in ('done', 'retry', 'dead', 'unknown', 'late', 'twice') then 'attempt'
                   when h.event = 'swept' then 'sweep' when h.event = 'expired' then 'expiry' when h.event in ('checked', 'absent') then 'check' end),
                 h.text, h.claim_id, h.id
            from (select * from punctual.history x where x.queue = q.name and x.row_id = p_id order by x.id desc limit 200) h) c
$$;

-- Returns the story of a row: {queue, id, status, state, row, why, attempts, events, receipts, checks, sent_once}; null if the row does not exist. row:
-- all columns but the secret ones. why: see explain_row; null for a row whose status is no word of the queue. attempts, events: see list_attempts,
-- list_changes. receipts: [{status, message_id, claim_id, said_at, received_at, applied_at, error}], the latest 50. checks: see describe_reconcile; null
-- if no attempt was uncertain. sent_once: see judge_sent_once; null in an at-least-once queue. p_configured: as for explain_row. Raises PT404 for an
-- unknown queue. Takes no locks.
create function punctual.read_row(p_queue text, p_id text, p_configured text[] default null, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  q punctual.queues := punctual.read_queue(p_queue);
  v_row jsonb;
  v_state text;
  v_why jsonb;
  v_attempts jsonb;
begin
  if q.source = 'pgmq' then
    v_row := punctual.find_message(q, p_id);
    v_state := v_row->>'state';
  elsif punctual.is_id(q, p_id) then
    execute punctual.render_sql(q, 'select to_jsonb(t.*) from {table} t where t.id = $1::{id_type}') into v_row using p_id;
    v_state := punctual.state_of_word(q, v_row->>q.status_column);
  end if;
  if v_row is null then return null; end if;
  if v_state is not null then v_why := punctual.explain_row(p_queue, p_id, p_configured, v_now); end if;
  v_attempts := punctual.list_attempts(q, p_id, v_row, v_state);
  return jsonb_build_object(
    'queue', q.name, 'id', p_id, 'state', v_state, 'status', case when q.source = 'pgmq' then punctual.word_of_state(q, v_state) else v_row->>q.status_column end,
    'row', v_row - q.secret_columns, 'why', v_why, 'attempts', v_attempts, 'events', punctual.list_changes(q, p_id, v_row, v_attempts),
    'receipts', (select coalesce(jsonb_agg(jsonb_build_object('status', r.status, 'message_id', r.message_id, 'claim_id', nullif(split_part(r.reference, '/', 3), ''),
                          'said_at', r.said_at, 'received_at', r.received_at, 'applied_at', r.applied_at, 'error', r.error) order by r.id), '[]')
                   from (select * from punctual.receipts x where x.queue = q.name and x.row_id = p_id order by x.id desc limit 50) r),
    'checks', case when jsonb_typeof(v_row->'reconcile') = 'object' then punctual.describe_reconcile(v_row, v_now) end,
    'sent_once', case when q.delivery = 'at-most-once' then punctual.judge_sent_once(q, p_id, v_row, v_state) end);
end
$$;
