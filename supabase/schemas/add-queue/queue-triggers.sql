-- Triggers for rows that are settled by plain SQL. Such a row gets a finished_at and loses its lease, and the queue's after_settle runs. A row that
-- is made pending again loses its finished_at, and its attempt's claim is remembered: see accept_late_proof. If that attempt still ran, nobody knows
-- what it did: see doubt_by_hand. The engine's own writes set punctual.settles
-- to the queue's name, and these triggers ignore them.

-- Trigger before a row becomes done, dead or cancelled.
create function punctual.finish_by_hand() returns trigger
language plpgsql set search_path = '' as $$
begin
  if new.finished_at is null or new.finished_at is not distinct from old.finished_at then new.finished_at := clock_timestamp(); end if;
  new.lease_expires_at := null;
  return new;
end
$$;

-- Trigger before a running row of an at-most-once queue becomes dead or cancelled: nobody knows what its attempt did, so nothing sends the row again
-- unless a person confirms that it may be sent twice.
create function punctual.doubt_by_hand() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.reconcile := coalesce(new.reconcile, '{}') || jsonb_build_object(
    'first_at', coalesce(new.reconcile->'first_at', to_jsonb(old.claimed_at)),
    'claims', coalesce(new.reconcile->'claims', '[]') || to_jsonb(old.claim_id));
  return new;
end
$$;

-- Trigger before a row becomes pending. tg_argv[0]: the queue's delivery.
create function punctual.requeue_by_hand() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.finished_at := null;
  new.lease_expires_at := null;
  if tg_argv[0] = 'at-most-once' and old.claim_id is not null then
    new.reconcile := case when old.lease_expires_at is null then '{}' else jsonb_build_object('first_at', old.claimed_at) end || coalesce(new.reconcile, '{}')
      || jsonb_build_object('claims', coalesce(new.reconcile->'claims', '[]') || to_jsonb(old.claim_id));
  end if;
  return new;
end
$$;

-- Trigger after a row becomes done, dead or cancelled, or a pending row is deleted: ends its account's wait and calls after_settle. tg_argv: the
-- queue's name and its after_settle, or ''. Runs as the role that writes the row: run as the owner, it would give that role the owner's rights.
create function punctual.note_settled_by_hand() returns trigger
language plpgsql set search_path = '' as $$
declare
  v_row jsonb := to_jsonb(new);
begin
  if not has_schema_privilege('punctual', 'usage') then
    -- An account that waits for the row continues by itself when its wait ends.
    if tg_argv[1] = '' then return null; end if;
    raise exception '% may not settle rows of the queue %: that role cannot call its after_settle', current_user, tg_argv[0]
      using errcode = '42501', hint = 'Settle the row as the owner, as service_role, or by POST /api/queues/:queue/rows/:id/resolve.';
  end if;
  perform punctual.end_hold(q, to_jsonb(old), clock_timestamp()) from punctual.queues q where q.name = tg_argv[0];
  if tg_op = 'UPDATE' then
    perform punctual.run_after_settle_isolated(q, jsonb_build_array(jsonb_build_object(
        'id', v_row->'id', 'claim_id', v_row->'claim_id', 'outcome', punctual.state_of_word(q, v_row->>q.status_column), 'error', v_row->'last_error',
        'rate_limited', false, 'claimed_at', v_row->'claimed_at', 'due', v_row->q.due_column, 'account_id', v_row->q.account_column)),
      -- Null if a later trigger of the table has settled the row.
      coalesce(new.finished_at, clock_timestamp())) from punctual.queues q where q.name = tg_argv[0];
  end if;
  return null;
end
$$;

-- Trigger after an insert: tells listening workers that the queue has rows, if any worker ever listened. Commits that notify wait for each other, so
-- databases without such a worker do without it. Runs as the owner, because the role that inserts may not read the settings. tg_argv[0]: the queue's
-- name.
create function punctual.notify_worker() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if (select s.notifies_workers from punctual.settings s) then perform pg_notify('punctual', tg_argv[0]); end if;
  return null;
end
$$;

-- Has the inserts of all queues notify workers. A worker calls it when it begins to listen.
create function punctual.listen_for_inserts() returns void
language plpgsql set search_path = '' as $$
begin
  update punctual.settings set notifies_workers = true where not notifies_workers;
end
$$;

-- Creates the queue's triggers on its table, and drops those that it does not need.
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
      ('doubt_by_hand', 'before update',
       punctual.render_sql(q, 'old.{status} = {running} and old.claim_id is not null and new.{status} in ({dead}, {cancelled}) and %s', v_by_hand),
       'doubt_by_hand()', q.delivery = 'at-most-once'),
      ('requeue_by_hand', 'before update', punctual.render_sql(q, 'old.{status} is distinct from new.{status} and new.{status} = {pending} and %s', v_by_hand),
       format('requeue_by_hand(%L)', q.delivery), true),
      ('note_settled_by_hand', 'after update', v_settled, format('note_settled_by_hand(%L, %L)', q.name, coalesce(q.after_settle, '')),
       q.after_settle is not null or q.account_column is not null),
      ('note_deleted_by_hand', 'after delete', punctual.render_sql(q, 'old.{status} = {pending} and old.claimed_at is not null and %s', v_by_hand),
       format('note_settled_by_hand(%L, '''')', q.name), q.account_column is not null),
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
  execute format('create or replace trigger punctual_notify_worker after insert on %s for each statement execute function punctual.notify_worker(%L)', p_table, q.name);
end
$$;
