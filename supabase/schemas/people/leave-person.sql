-- Stops the person's enrolments and withdraws pending messages, except locked ones. Returns the messages that are still open, by state:
-- {status: [id]}; null if there are none. Locks enrolments by id.
create function punctual.leave_person(p_account_id uuid, p_names text[], p_chats text[], p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  e punctual.enrolments;
  v_id bigint;
begin
  for e in
    select x.* from punctual.enrolments x
     where x.id = any (array(select o.id from punctual.enrolments_of(p_account_id, p_names, p_chats) o)) order by x.id for no key update
  loop
    continue when punctual.is_over(e);
    e := punctual.end_enrolment(e, 'stopped', 'the person is to be forgotten', p_now);
    perform punctual.save_enrolment(e);
  end loop;
  for v_id in
    select d.id from punctual.messages_to(p_account_id, p_names, p_chats) d where d.status = 'pending' order by d.id
  loop
    perform punctual.withdraw_message(v_id, 'the person is to be forgotten', p_now);
  end loop;
  return (
    select jsonb_object_agg(o.status, o.ids)
      from (select d.status, jsonb_agg(d.id::text order by d.id) as ids from punctual.messages_to(p_account_id, p_names, p_chats) d
             where d.status in ('pending', 'sending', 'unknown') group by 1) o);
end
$$;
