-- Treats a message that somebody deletes by hand as cancelled: no settle reports its end. Locks the enrolment.
create function punctual.follow_deleted_message() returns trigger
language plpgsql set search_path = '' as $$
declare
  e punctual.enrolments;
begin
  select * into e from punctual.enrolments x where x.id = old.enrolment_id for no key update;
  if found then
    e := punctual.follow_message(e, old, 'cancelled', null, clock_timestamp());
    perform punctual.save_enrolment(e);
  end if;
  return null;
end
$$;
create trigger dm_queue_deleted after delete on punctual.dm_queue for each row
  when (old.enrolment_id is not null and old.status in ('pending', 'sending', 'unknown') and current_setting('punctual.settles', true) is distinct from 'dm_queue')
  execute function punctual.follow_deleted_message();

-- Withdraws the queued message of an enrolment that somebody deletes by hand.
create function punctual.withdraw_of_deleted_enrolment() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform punctual.withdraw_message(old.message_id, format('its enrolment %s was deleted', old.id), clock_timestamp());
  return null;
end
$$;
