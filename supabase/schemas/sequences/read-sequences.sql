-- Returns {enrolled, paused, phases: {phase: count}, steps: [{step, kind, body, at, sent, reminded, replied}]}. `at` counts the open enrolments at
-- the step now. The other three count all people who ever got that far. The steps are those of the current version, and the later steps of a longer
-- earlier version.
create function punctual.read_funnel(p_sequence_id bigint) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_steps jsonb;
  v_funnel jsonb;
begin
  select v.steps into v_steps from punctual.sequences s
    join punctual.sequence_versions v on v.sequence_id = s.id and v.version = s.version where s.id = p_sequence_id;
  -- Reads the enrolments once and groups them: there are few different combinations.
  with counted as materialized (
    select e.phase, e.step, e.sent_steps, e.reminded_steps, e.replied_steps, e.paused_at is not null as paused, count(*) as people
      from punctual.enrolments e where e.sequence_id = p_sequence_id group by 1, 2, 3, 4, 5, 6),
  number as (
    select n from generate_series(1, greatest(jsonb_array_length(v_steps), (select max(c.sent_steps) from counted c))) n)
  select jsonb_build_object(
           'enrolled', (select coalesce(sum(c.people), 0) from counted c),
           'paused', (select coalesce(sum(c.people), 0) from counted c where c.paused and c.phase in ('in_progress', 'waiting_reply')),
           'phases', (select jsonb_object_agg(p, (select coalesce(sum(c.people), 0) from counted c where c.phase = p))
                        from unnest(array['in_progress', 'waiting_reply', 'replied', 'completed', 'stopped', 'failed']) p),
           'steps', (select jsonb_agg(jsonb_build_object(
                              'step', n, 'kind', coalesce(v_steps->(n - 1)->>'kind', 'message'), 'body', v_steps->(n - 1)->'body', 'at', c.at,
                              'sent', c.sent, 'reminded', c.reminded, 'replied', c.replied) order by n)
                       from number cross join lateral (
                         select coalesce(sum(x.people) filter (where x.step = n and x.phase in ('in_progress', 'waiting_reply')), 0) as at,
                                coalesce(sum(x.people) filter (where x.sent_steps >= n), 0) as sent,
                                coalesce(sum(x.people) filter (where n = any (x.reminded_steps)), 0) as reminded,
                                coalesce(sum(x.people) filter (where n = any (x.replied_steps)), 0) as replied
                           from counted x) c))
    into v_funnel;
  return v_funnel;
end
$$;

-- Returns a sequence with its funnel; null if there is none.
create function punctual.show_sequence(p_sequence_id bigint) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select jsonb_build_object('id', s.id::text, 'name', s.name, 'channel', s.channel, 'time_zone', s.time_zone, 'version', s.version, 'steps', v.steps,
             'placeholders', to_jsonb(punctual.list_placeholders(v.steps)), 'created_at', s.created_at, 'updated_at', s.updated_at,
             'funnel', punctual.read_funnel(s.id))
      from punctual.sequences s join punctual.sequence_versions v on v.sequence_id = s.id and v.version = s.version where s.id = p_sequence_id);
end
$$;

-- Returns a sequence with its funnel. Raises PT404.
create function punctual.read_sequence(p_id bigint, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_sequence jsonb := punctual.show_sequence(p_id);
begin
  if v_sequence is null then raise exception 'there is no sequence %', p_id using errcode = 'PT404'; end if;
  return v_sequence;
end
$$;

-- Returns a page of sequences, the newest first.
create function punctual.list_sequences(p_limit integer default 50, p_cursor jsonb default null, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
begin
  return (select punctual.page_of(jsonb_agg(jsonb_build_object('item', punctual.show_sequence(s.id), 'key', jsonb_build_array(s.id)) order by s.id desc), p_limit)
            from (select x.id from punctual.sequences x where x.id < coalesce((p_cursor->>0)::bigint, 9223372036854775807)
                   order by x.id desc limit p_limit + 1) s);
end
$$;
