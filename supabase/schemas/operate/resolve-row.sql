-- Settles an unknown row by an operator's decision: done, pending (it is sent again), dead or cancelled, or the queue's word for one of these. Also
-- cancels a pending row. Proof that comes later still prevails. Returns {status}.
--
-- p_attempt  the number of the attempt that the decision is about; null for any.
-- p_by, p_note  who decided, and a remark, for the history and the audit.
--
-- Raises 22023 for another decision, PT404 for an unknown queue or row, and PT409 if the row cannot be decided or has had another attempt. Locks
-- the row.
create function punctual.resolve_row(
  p_queue text, p_id text, p_decision text, p_by text default null, p_note text default null, p_attempt integer default null,
  p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  q punctual.queues := punctual.read_queue(p_queue);
  v_decision text := punctual.state_of(q, p_decision);
  v_row record;
begin
  if v_decision is null or v_decision not in ('done', 'pending', 'dead', 'cancelled') then
    raise exception 'the decision cannot be "%"', p_decision
      using errcode = '22023', hint = format('Send %s, %s, %s or %s.', q.done_word, q.pending_word, q.dead_word, q.cancelled_word);
  end if;
  if q.source = 'pgmq' then return punctual.resolve_message(q, p_id, v_decision, p_by, p_note, v_now); end if;
  if not punctual.is_id(q, p_id) then raise exception 'there is no row % in %', p_id, p_queue using errcode = 'PT404'; end if;
  perform set_config('punctual.settles', q.name, true);
  select * into v_row from punctual.lock_row(q, p_id, true);
  if v_row.id is null then raise exception 'there is no row % in %', p_id, p_queue using errcode = 'PT404'; end if;
  -- A receipt may settle the row. Then this call is refused and rolled back, and the next tick applies the receipt.
  if q.delivery = 'at-most-once' and punctual.apply_receipts(q, array[p_id], v_now) > 0 then
    select * into v_row from punctual.lock_row(q, p_id, true);
  end if;
  if v_row.state is distinct from 'unknown' and not (v_row.state = 'pending' and v_decision = 'cancelled') then
    raise exception 'the row is %', v_row.content->>q.status_column using errcode = 'PT409', detail = v_row.content->>q.status_column,
      hint = case when v_row.state = 'dead' and v_decision <> 'cancelled' then format('To retry it: POST /api/queues/%s/actions with {"action": "retry", "ids": ["%s"]}.', q.name, p_id) else '' end;
  end if;
  if p_attempt <> (v_row.content->>'attempts')::integer then
    raise exception 'the row has had another attempt since, and is %', v_row.content->>q.status_column
      using errcode = 'PT409', detail = v_row.content->>q.status_column;
  end if;
  perform punctual.settle_judged(q, 'operator', p_id, v_row.state, jsonb_build_object('outcome', v_decision, 'event', 'decided', 'who', p_by,
    'error', case when v_decision in ('dead', 'cancelled') then coalesce(p_note, 'decided by an operator') end,
    'text', format('%s decided: %s%s', coalesce(p_by, 'an operator'), case v_decision when 'done' then 'it was ' || q.done_word when 'pending' then 'try it again'
                   when 'dead' then 'mark it dead' else 'cancel it' end, coalesce(' (' || p_note || ')', ''))), v_now);
  perform punctual.note_act(p_by, 'resolve_row', q.name, p_id, jsonb_build_object('was', v_row.state, 'decision', v_decision), p_note, v_now);
  perform set_config('punctual.settles', '', true);
  return jsonb_build_object('status', punctual.word_of_state(q, v_decision));
end
$$;
