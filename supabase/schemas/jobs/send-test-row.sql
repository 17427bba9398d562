-- Creates a job that does nothing, due at once, and records who did it. Returns its id.
create function punctual.send_test_row(p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_id jsonb := punctual.create_jobs('[{"name": "test", "queue": "default", "payload": {}}]', v_now)#>'{rows,0,id}';
begin
  perform punctual.note_act(p_by, 'send_test_row', 'jobs', v_id#>>'{}', null, null, v_now);
  return v_id;
end
$$;
