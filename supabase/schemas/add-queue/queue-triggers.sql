-- A row that somebody settles by plain SQL comes to its end like any other: it has the time of it, no attempt holds it any more, and the
-- queue's after_settle is told. One that is made due again has no end, and the attempt that it had is remembered: see hear_late. A queue's own
-- writes are told apart by the setting punctual.settles, which is its name.
create function punctual.finish_by_hand() returns trigger
language plpgsql set search_path = '' as $$
begin
  if new.finished_at is null or new.finished_at is not distinct from old.finished_at then new.finished_at := clock_timestamp(); end if;
  new.lease_expires_at := null;
  return new;
end
$$;

create function punctual.requeue_by_hand() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.finished_at := null;
  new.lease_expires_at := null;
  if tg_argv[0] = 'at-most-once' and old.claim_id is not null then
    new.reconcile := jsonb_set(coalesce(new.reconcile, '{}'), '{claims}', coalesce(new.reconcile->'claims', '[]') || to_jsonb(old.claim_id));
  end if;
  return new;
end
$$;

-- As whoever wrote the row, never as the owner: a function of the owner's that anybody's update runs is a way to the owner's rights.
create function punctual.tell_by_hand() returns trigger
language plpgsql set search_path = '' as $$
declare
  v_row jsonb := to_jsonb(new);
begin
  if not has_schema_privilege('punctual', 'usage') then
    -- An account that waits for the row goes on by itself.
    if tg_argv[1] = '' then return null; end if;
    raise exception '% may not settle rows of the queue %, whose after_settle has to be told', current_user, tg_argv[0]
      using errcode = '42501', hint = 'Do it as the owner or as service_role, or let the app do it: POST /api/queues/:queue/rows/:id/resolve.';
  end if;
  perform punctual.end_hold(q, to_jsonb(old), clock_timestamp()) from punctual.queues q where q.name = tg_argv[0];
  if tg_op = 'UPDATE' then
    perform punctual.tell_after_settle(q, jsonb_build_array(jsonb_build_object(
        'id', v_row->'id', 'claim_id', v_row->'claim_id', 'outcome', punctual.state_of_word(q, v_row->>q.status_column), 'error', v_row->'last_error',
        'rate_limited', false, 'claimed_at', v_row->'claimed_at', 'due', v_row->q.due_column, 'account_id', v_row->q.account_column)),
      -- A later trigger of the table's own may have been the one that settled it.
      coalesce(new.finished_at, clock_timestamp())) from punctual.queues q where q.name = tg_argv[0];
  end if;
  return null;
end
$$;

create function punctual.make_queue_triggers(p_table regclass, q punctual.queues) returns void
language plpgsql set search_path = '' as $$
declare
  v_trigger record;
  v_by_hand text := format('current_setting(''punctual.settles'', true) is distinct from %L', q.name);
  v_settled text := punctual.render_sql(q, 'old.{status} is distinct from new.{status} and new.{status} in ({done}, {dead}, {cancelled}) and %s', v_by_hand);
begin
  for v_trigger in
    select * from (values
      ('finish_by_hand', 'before update', v_settled, 'finish_by_hand()', true),
      ('requeue_by_hand', 'before update', punctual.render_sql(q, 'old.{status} is distinct from new.{status} and new.{status} = {pending} and %s', v_by_hand),
       format('requeue_by_hand(%L)', q.delivery), true),
      ('tell_by_hand', 'after update', v_settled, format('tell_by_hand(%L, %L)', q.name, coalesce(q.after_settle, '')),
       q.after_settle is not null or q.account_column is not null),
      ('tell_of_deleted', 'after delete', punctual.render_sql(q, 'old.{status} = {pending} and old.claimed_at is not null and %s', v_by_hand),
       format('tell_by_hand(%L, '''')', q.name), q.account_column is not null),
      ('spent_key', 'after insert', 'new.idempotency_key is not null', format('refuse_spent_key(%L)', q.name), punctual.keeps_keys(q.name)))
      v (name, event, condition, call, is_wanted)
  loop
    if v_trigger.is_wanted then
      execute format('create or replace trigger punctual_%s %s on %s for each row when (%s) execute function punctual.%s',
                     v_trigger.name, v_trigger.event, p_table, v_trigger.condition, v_trigger.call);
    else
      execute format('drop trigger if exists punctual_%s on %s', v_trigger.name, p_table);
    end if;
  end loop;
end
$$;
