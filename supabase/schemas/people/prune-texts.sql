-- The data of people, and its deletion: by retention after an enrolment has ended, and at once if a person asks for it.

-- Deletes the variables, the last reply and the timeline of up to p_limit enrolments that ended before p_before. The person and their progress
-- stay, so that the person is not enrolled in the same sequence again. Skips locked enrolments. Returns how many it emptied.
create function punctual.prune_enrolment_texts(p_before timestamptz, p_limit integer, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_ids bigint[] := array(
    select e.id from punctual.enrolments e where e.finished_at < p_before and e.texts_gone_at is null
     order by e.finished_at limit p_limit for no key update skip locked);
begin
  perform punctual.delete_enrolment_texts(v_ids, p_now);
  return cardinality(v_ids);
end
$$;

-- Deletes the texts of these enrolments. The caller holds their locks. Returns how many events were deleted.
create function punctual.delete_enrolment_texts(p_ids bigint[], p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_events integer;
begin
  delete from punctual.enrolment_events v where v.enrolment_id = any (p_ids);
  get diagnostics v_events = row_count;
  update punctual.enrolments e set variables = '{}', last_reply = null, texts_gone_at = p_now where e.id = any (p_ids);
  return v_events;
end
$$;
