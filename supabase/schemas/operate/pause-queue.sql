-- Pauses a queue, or one of its partitions if p_partition names one. Nothing more is claimed from the next exchange on. A second pause changes the
-- reason and the end of the first. p_until: the pause ends by itself then; null: when somebody resumes.
--
-- Returns {queue, partition, settings, paused_at, paused_until, paused_reason}. Raises PT404 for an unknown queue or partition, and 22023 for an end
-- that is not in the future. Locks the queue, or the partition.
create function punctual.pause_queue(
  p_queue text, p_partition text default null, p_reason text default null, p_until timestamptz default null, p_by text default null,
  p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_before jsonb := punctual.lock_settings(p_queue, p_partition, v_now);
  v_paused_at timestamptz := coalesce((v_before->>'paused_at')::timestamptz, v_now);
begin
  if p_until <= v_now then
    raise exception 'the end of the pause is not in the future: %', p_until using errcode = '22023', hint = 'Leave it out to pause until you resume.';
  end if;
  if p_partition is null then
    update punctual.queues q set paused_at = v_paused_at, paused_until = nullif(p_until, 'infinity'), paused_reason = p_reason where q.name = p_queue;
  else
    update punctual.partitions p set paused_at = v_paused_at, paused_until = nullif(p_until, 'infinity'), paused_reason = p_reason
     where p.queue = p_queue and p.partition = p_partition;
  end if;
  perform punctual.note_act(p_by, 'pause_queue', p_queue, p_partition, jsonb_build_object('paused_until', nullif(p_until, 'infinity')), p_reason, v_now);
  return punctual.lock_settings(p_queue, p_partition, v_now);
end
$$;

-- Ends the pause of a queue, or of one of its partitions if p_partition names one. Does nothing if it is not paused. Returns as pause_queue does.
-- Raises PT404 for an unknown queue or partition. Locks the queue, or the partition.
create function punctual.resume_queue(
  p_queue text, p_partition text default null, p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_before jsonb := punctual.lock_settings(p_queue, p_partition, v_now);
begin
  if p_partition is null then
    update punctual.queues q set paused_at = null, paused_until = null, paused_reason = null where q.name = p_queue;
  else
    update punctual.partitions p set paused_at = null, paused_until = null, paused_reason = null where p.queue = p_queue and p.partition = p_partition;
  end if;
  if v_before->>'paused_at' is not null then
    perform punctual.note_act(p_by, 'resume_queue', p_queue, p_partition, jsonb_build_object('was', v_before->>'paused_reason'), null, v_now);
  end if;
  return punctual.lock_settings(p_queue, p_partition, v_now);
end
$$;
