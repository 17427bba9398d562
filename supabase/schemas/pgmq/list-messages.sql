-- Returns a page of the messages in one state, in the form of list_rows. Pending and running messages are in the order in which they become visible,
-- others are newest first. Their times are never null, so the first condition of after_cursor() is enough.
create function punctual.list_messages(q punctual.queues, p_state text, p_limit integer, p_cursor jsonb, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_desc boolean := p_state not in ('pending', 'running');
  v_at text := case p_state when 'dead' then 't.set_aside_at' when 'cancelled' then 't.cancelled_at' when 'done' then 't.archived_at' else 't.vt' end;
  v_order text := case when v_desc then 'desc' else 'asc' end;
  v_partition text;
  v_found record;
  v_listed jsonb;
  v_rows jsonb := '[]';
begin
  if p_state in ('dead', 'cancelled') then
    execute format($sql$
      select jsonb_agg(jsonb_build_object('key', jsonb_build_array(t.listed_at, t.partition, t.msg_id), 'attempts', t.attempts, 'last_error', t.last_error,
               'finished_at', coalesce(t.cancelled_at, t.set_aside_at), 'due_at', null,
               'row', punctual.describe_message(t.partition, (select m.job from punctual.message_queues m where m.partition = t.partition), to_jsonb(t))))
        from (select t.*, %s as listed_at from punctual.set_aside_messages t where (t.cancelled_at is not null) = ($2 = 'cancelled') and %s
               order by listed_at desc, t.partition desc, t.msg_id desc limit $1) t
      $sql$, v_at, (punctual.after_cursor(array[v_at, 't.partition', 't.msg_id'], '{timestamptz, text, bigint}', true, p_cursor))[1])
    into v_rows using p_limit + 1, p_state;
  elsif p_state in ('pending', 'running', 'done') then
    for v_partition in select p.partition from punctual.partitions p where p.queue = q.name loop
      select * into v_found from punctual.find_message_table(v_partition);
      continue when v_found.fault is not null;
      execute format($sql$
        select jsonb_agg(jsonb_build_object('key', jsonb_build_array(t.listed_at, $1, t.msg_id), 'attempts', coalesce(m.attempts, 0),
                 'last_error', m.last_error, 'finished_at', case when $4 then t.listed_at end,
                 'due_at', case when isfinite(t.vt) then $3 + (t.vt - clock_timestamp()) end,
                 'row', punctual.describe_message($1, (select x.job from punctual.message_queues x where x.partition = $1), to_jsonb(t))))
          from (select t.*, %s as listed_at from pgmq.%I t where %s and %s order by listed_at %s, t.msg_id %s limit $2) t
          left join punctual.messages m on m.partition = $1 and m.msg_id = t.msg_id and m.enqueued_at = t.enqueued_at
        $sql$,
        v_at, case when v_desc then v_found.archive_table else v_found.message_table end,
        case p_state when 'done' then 'true' else case p_state when 'pending' then 'not ' else '' end
          || 'exists (select from punctual.messages m where m.partition = $1 and m.msg_id = t.msg_id and m.state = ''running'')' end,
        (punctual.after_cursor(array[v_at, '$1', 't.msg_id'], '{timestamptz, text, bigint}', v_desc, p_cursor))[1], v_order, v_order)
      into v_listed using v_partition, p_limit + 1, p_now, v_desc;
      v_rows := v_rows || coalesce(v_listed, '[]');
    end loop;
  end if;
  return (
    select punctual.page_of(jsonb_agg(jsonb_build_object('key', r.row->'key', 'item', jsonb_build_object(
             'id', r.row->'key'->>1 || ':' || (r.row->'key'->>2), 'due_at', case when not v_desc then r.row->'due_at' end,
             'status', punctual.word_of_state(q, p_state),
             'attempts', r.row->'attempts', 'last_error', r.row->'last_error', 'finished_at', r.row->'finished_at',
             'account', null, 'reconcile', null, 'row', r.row->'row')) order by r.n), p_limit)
      from (select x.row, row_number() over (order by case when not v_desc then k.at end, case when v_desc then k.at end desc,
                     case when not v_desc then k.part end, case when v_desc then k.part end desc,
                     case when v_desc then -k.msg_id else k.msg_id end) as n
              from jsonb_array_elements(v_rows) x (row)
             cross join lateral (select (x.row->'key'->>0)::timestamptz as at, x.row->'key'->>1 as part, (x.row->'key'->>2)::bigint as msg_id) k) r
     where r.n <= p_limit + 1);
end
$$;
