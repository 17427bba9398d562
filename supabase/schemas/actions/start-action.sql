-- Returns what an action would do: {count, more, sample: [listed rows], left: {reason: {count, sample: [ids]}}}. Counts as count_matching does. left:
-- rows that match and that the action would leave as they are: see action_obstacle.
create function punctual.preview_action(q punctual.queues, p_action text, p_arguments jsonb, p_filter jsonb, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_walked record := punctual.walk_action_rows(q, p_action, p_arguments, p_filter, null, null, 10001, 50000, p_now);
  v_items jsonb := jsonb_path_query_array(v_walked.items, '$[*].item');
begin
  return jsonb_build_object(
    'count', (select least(10000, count(*)) from jsonb_array_elements(v_items) i where i->>'left' is null),
    'more', v_walked.next is not null,
    'sample', case when q.source = 'pgmq' then '[]' else punctual.list_rows(q.name, jsonb_build_object('ids', (
      select coalesce(jsonb_agg(x.id), '[]') from (select i->'id' as id from jsonb_array_elements(v_items) i where i->>'left' is null limit 5) x)),
      null, 5, null, p_now)->'items' end,
    'left', (select coalesce(jsonb_object_agg(l.reason, jsonb_build_object('count', l.count, 'sample', l.sample)), '{}')
               from (select i->>'left' as reason, count(*) as count, (array_agg(i->>'id'))[1:5] as sample
                       from jsonb_array_elements(v_items) i where i->>'left' is not null group by 1) l));
end
$$;

-- Takes the ids of the next rows that an action is to change, up to 20,000, from p_reads rows that it reads. The caller holds the action's lock.
create function punctual.collect_rows(q punctual.queues, inout a punctual.actions, p_reads integer, p_now timestamptz)
language plpgsql set search_path = '' as $$
declare
  v_walked record := punctual.walk_action_rows(q, a.action, a.arguments, a.filter, a.created_at, a.cursor, 20000, p_reads, a.created_at);
  v_taken integer;
begin
  insert into punctual.action_rows (action_id, row_id, place)
  select a.id, r->'item'->>'id', a.total + n from jsonb_array_elements(v_walked.items) with ordinality e (r, n) where r->'item'->>'left' is null
  on conflict do nothing;
  get diagnostics v_taken = row_count;
  a.total := a.total + v_taken;
  a.cursor := v_walked.next;
  if a.cursor is null then a.state := case when a.total = 0 then 'done' else 'running' end; end if;
  if a.state = 'done' then a.finished_at := p_now; end if;
end
$$;

-- Starts an action on the rows that match p_filter: see filter_condition. Returns the action as describe_action does, also one that has p_key already.
-- If there is no row to change, records nothing and returns why, as preview_action does. p_dry_run: only returns that.
--
-- p_arguments  see actions.arguments
-- p_expect     the number of rows that the caller saw; null for any. Raises PT409 if another number matches.
--
-- Raises 22023 for an invalid filter, argument or action, and PT404 for an unknown queue. Unknown rows are never part of it: see resolve_row.
create function punctual.start_action(
  p_queue text, p_action text, p_filter jsonb, p_arguments jsonb default '{}', p_by text default 'an operator', p_note text default null,
  p_key text default null, p_dry_run boolean default false, p_expect integer default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  q punctual.queues := punctual.read_queue(p_queue);
  v_filter jsonb := punctual.action_filter(q, p_action, p_filter);
  a punctual.actions;
begin
  if p_dry_run then return punctual.preview_action(q, p_action, p_arguments, v_filter, v_now); end if;
  insert into punctual.actions (queue, action, arguments, filter, actor, note, key, state, created_at)
  values (q.name, p_action, p_arguments, v_filter, p_by, p_note, p_key, 'collecting', v_now)
  on conflict (queue, key) where key is not null do nothing
  returning * into a;
  if a.id is null then
    select * into a from punctual.actions x where x.queue = q.name and x.key = p_key;
    -- continue_action takes `first` out.
    if (a.action, a.filter, a.arguments - 'continued_at') is distinct from
       (p_action, v_filter, case when a.arguments ? 'continued_at' then p_arguments - 'first' else p_arguments end) then
      raise exception 'the key "%" belongs to another action, %', p_key, a.id using errcode = 'PT409', detail = 'key', hint = 'Send another key.';
    end if;
    return punctual.describe_action(a);
  end if;
  a := punctual.collect_rows(q, a, 50000, v_now);
  if p_expect < a.total or (p_expect > a.total and a.state <> 'collecting') then
    raise exception '% rows match now, and not %', a.total || case when a.state = 'collecting' then ' or more' else '' end, p_expect
      using errcode = 'PT409', detail = 'expect', hint = 'Nothing was changed. Look at the rows again.';
  end if;
  if a.state = 'done' then
    delete from punctual.actions x where x.id = a.id;
    return punctual.preview_action(q, p_action, p_arguments, v_filter, v_now);
  end if;
  perform punctual.save_action(a);
  perform punctual.note_act(p_by, p_action, q.name, format('action %s', a.id), jsonb_build_object('rows', a.total) || p_arguments, p_note, v_now);
  return punctual.describe_action(a);
end
$$;

-- Writes what changes of an action while it runs.
create function punctual.save_action(a punctual.actions) returns void
language sql set search_path = '' as $$
  update punctual.actions x set state = a.state, reason = a.reason, cursor = a.cursor, total = a.total, written = a.written, skipped = a.skipped,
         finished_at = a.finished_at, arguments = a.arguments
   where x.id = a.id
$$;
