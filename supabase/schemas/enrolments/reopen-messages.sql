-- dm_queue's before_claim. Puts off messages that were not claimed while their step's hours were open. Withdraws messages that were locked when
-- they were to be withdrawn (held_rows), if they are pending. Takes up to 200 held and 1,000 late messages, 50 at a time, until the call's time
-- is over. Skips locked messages, and waits for enrolments.
create function punctual.reopen_messages(p_partition text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  q punctual.queues := punctual.read_queue('dm_queue');
  v_items jsonb;
  v_batch jsonb;
begin
  select jsonb_agg(jsonb_build_object('id', h.row_id) order by h.enrolment_id, h.row_id) into v_items
    from (select x.row_id, d.enrolment_id from punctual.held_rows x left join punctual.dm_queue d on d.id = x.row_id::bigint
           where x.queue = 'dm_queue' order by d.enrolment_id, d.id limit 200) h;
  for v_batch in select punctual.by_fifty(v_items) loop
    perform punctual.do_isolated(q, 'select punctual.judge_held_messages($1, $2)', v_batch, 'it could not be withdrawn', p_now);
    exit when punctual.is_call_over();
  end loop;
  select jsonb_agg(jsonb_build_object('id', c.id)) into v_items
    from (select d.id from punctual.dm_queue d
           where d.status = 'pending' and d.open_until <= p_now order by d.open_until limit 1000 for no key update skip locked) c;
  for v_batch in select punctual.by_fifty(v_items) loop
    perform punctual.do_isolated(q, 'select punctual.reopen_closed_messages($1, $2)', v_batch, 'its next hours could not be found', p_now);
    exit when punctual.is_call_over();
  end loop;
end
$$;

-- Withdraws held messages that their enrolments no longer want. Skips locked messages, and waits for enrolments.
create function punctual.judge_held_messages(p_held jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_id text;
  v_message punctual.dm_queue;
  e punctual.enrolments;
begin
  for v_id in select h->>'id' from jsonb_array_elements(p_held) with ordinality o (h, n) order by n loop
    select * into v_message from punctual.dm_queue d where d.id = v_id::bigint for no key update skip locked;
    continue when v_message.id is null and exists (select from punctual.dm_queue d where d.id = v_id::bigint);
    -- A running message is decided at its settle.
    if v_message.status = 'pending' then
      select * into e from punctual.enrolments x where x.id = v_message.enrolment_id for no key update;
      if found then
        e := punctual.follow_message(e, v_message, 'release', null, p_now);
        perform punctual.save_enrolment(e);
      end if;
    end if;
    delete from punctual.held_rows h where h.queue = 'dm_queue' and h.row_id = v_id;
  end loop;
end
$$;

-- Sets the messages to the next opening of their steps' hours. The caller holds the messages' locks.
create function punctual.reopen_closed_messages(p_closed jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  with closed as materialized (
    select d.id, d.enrolment_id, d.step from punctual.dm_queue d
     where d.id = any (array(select (c->>'id')::bigint from jsonb_array_elements(p_closed) c))),
  judged as materialized (
    select c.id, n.time_zone, coalesce(v.steps->(c.step - 1)->'hours', 'null') as hours
      from closed c
      left join punctual.enrolments n on n.id = c.enrolment_id
      left join punctual.sequence_versions v on v.sequence_id = n.sequence_id and v.version = n.version),
  opens as materialized (
    select h.hours, h.time_zone, punctual.step_opens_at(h.hours, h.time_zone, p_now) as opens_at
      from (select distinct j.hours, j.time_zone from judged j where j.time_zone is not null) h),
  spans as materialized (
    select o.*, case when o.opens_at < 'infinity' then punctual.step_closes_at(o.hours, o.time_zone, o.opens_at) end as closes_at from opens o)
  update punctual.dm_queue d set send_at = coalesce(s.opens_at, d.send_at), open_until = s.closes_at
    from judged j left join spans s on s.hours = j.hours and s.time_zone = j.time_zone where d.id = j.id;
end
$$;

update punctual.queues set after_settle = 'punctual.follow_messages', before_claim = 'punctual.reopen_messages' where name = 'dm_queue';
select punctual.make_queue_triggers('punctual.dm_queue', q) from punctual.queues q where q.name = 'dm_queue';
