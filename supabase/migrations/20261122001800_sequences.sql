-- Sequences as people make them, enrol others in them, and look at what became of that. Compiling these statements (jit) took 800 ms, doing what
-- they do 5.

-- The length of a text as JavaScript counts it, and the providers: what is beyond U+FFFF, as most emoji are, counts twice.
create function punctual.count_units(p_text text) returns integer
language plpgsql immutable set search_path = '' as $$
begin
  -- Four bytes in UTF-8.
  return length(p_text) + length(regexp_replace(p_text, '[\u0001-\uffff]', '', 'g'));
end
$$;

-- The longest text that a channel takes, as lib/providers/body-limits.ts has it.
create function punctual.body_limit(p_channel text) returns integer
language sql immutable set search_path = '' as $$
  select case p_channel when 'linkedin' then 8000 when 'whatsapp' then 4096 end
$$;

-- {enrolled, paused, phases: {phase: count}, steps: [{step, kind, body, at, sent, reminded, replied}]}: `at` counts the live enrolments at
-- the step now, the other three how many people ever got that far. The steps are those of today; of one that was longer before, also its others.
create function punctual.read_funnel(p_sequence_id bigint) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_steps jsonb;
  v_funnel jsonb;
begin
  select v.steps into v_steps from punctual.sequences s
    join punctual.sequence_versions v on v.sequence_id = s.id and v.version = s.version where s.id = p_sequence_id;
  -- One pass over the people: there are few ways to stand anywhere.
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

-- Raises PT404.
create function punctual.read_sequence(p_id bigint, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_sequence jsonb := punctual.show_sequence(p_id);
begin
  if v_sequence is null then raise exception 'there is no sequence %', p_id using errcode = 'PT404'; end if;
  return v_sequence;
end
$$;

-- A page of them, the newest first.
create function punctual.list_sequences(p_limit integer default 50, p_cursor jsonb default null, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
begin
  return (select punctual.page_of(jsonb_agg(jsonb_build_object('item', punctual.show_sequence(s.id), 'key', jsonb_build_array(s.id)) order by s.id desc), p_limit)
            from (select x.id from punctual.sequences x where x.id < coalesce((p_cursor->>0)::bigint, 9223372036854775807)
                   order by x.id desc limit p_limit + 1) s);
end
$$;

-- p_sequence: {name, channel, time_zone, steps}, checked for form. Answers the sequence, or {errors: [{field, message}]}.
create function punctual.create_sequence(p_sequence jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_id bigint;
  v_errors jsonb := punctual.check_sequence(p_sequence, null);
begin
  if v_errors is not null then return jsonb_build_object('errors', v_errors); end if;
  insert into punctual.sequences (name, channel, time_zone, created_at, updated_at)
  values (p_sequence->>'name', p_sequence->>'channel', p_sequence->>'time_zone', v_now, v_now)
  on conflict (name) do nothing returning id into v_id;
  if v_id is null then return jsonb_build_object('errors', punctual.check_sequence(p_sequence, null)); end if;
  insert into punctual.sequence_versions (sequence_id, version, steps, created_at) values (v_id, 1, p_sequence->'steps', v_now);
  return punctual.show_sequence(v_id);
end
$$;

-- What only the database knows of it: [{field, message}]; null where nothing is wrong.
create function punctual.check_sequence(p_sequence jsonb, p_id bigint) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select jsonb_agg(jsonb_build_object('field', c.field, 'message', c.message)) from (
      select 'name' as field, format('there is a sequence of that name, %s: choose another, or PATCH that one', s.id) as message
        from punctual.sequences s where s.name = p_sequence->>'name' and s.id is distinct from p_id
      union all
      select 'time_zone', format('there is no time zone "%s": give one such as Europe/Berlin', p_sequence->>'time_zone')
       where p_sequence->>'time_zone' is not null and not punctual.is_time_zone(p_sequence->>'time_zone')
      union all
      select 'steps', 'a sequence has one step at least'
       where p_sequence ? 'steps' and (jsonb_typeof(p_sequence->'steps') <> 'array' or p_sequence->'steps' = '[]')) c);
end
$$;

-- p_changes: any of {name, time_zone, steps}. New steps are a new version, for those who are enrolled from now on. Raises PT404.
create function punctual.update_sequence(p_id bigint, p_changes jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_sequence punctual.sequences;
  v_errors jsonb;
begin
  select * into v_sequence from punctual.sequences s where s.id = p_id for no key update;
  if not found then raise exception 'there is no sequence %', p_id using errcode = 'PT404'; end if;
  v_errors := punctual.check_sequence(p_changes, p_id);
  if v_errors is not null then return jsonb_build_object('errors', v_errors); end if;
  if p_changes ? 'steps' and p_changes->'steps' is distinct from (
       select v.steps from punctual.sequence_versions v where v.sequence_id = p_id and v.version = v_sequence.version) then
    v_sequence.version := v_sequence.version + 1;
    insert into punctual.sequence_versions (sequence_id, version, steps, created_at) values (p_id, v_sequence.version, p_changes->'steps', v_now);
  end if;
  begin
    update punctual.sequences s set
      name = coalesce(p_changes->>'name', s.name),
      time_zone = case when p_changes ? 'time_zone' then p_changes->>'time_zone' else s.time_zone end,
      version = v_sequence.version, updated_at = v_now
     where s.id = p_id;
  exception when unique_violation then
    raise exception 'another call has just used the name' using errcode = 'PT409';
  end;
  return punctual.show_sequence(p_id);
end
$$;

-- What is wrong with whom people are said to be, and with what they bring.
create function punctual.list_person_faults(
  p_sequence punctual.sequences, p_steps jsonb, p_people jsonb, out index integer, out place integer, out field text, out message text)
returns setof record
language sql stable set search_path = '' as $$
  with person as materialized (
    select p.*, a.provider, a.id as account
      from jsonb_to_recordset(p_people) p (index integer, account_id uuid, recipient text, variables jsonb, time_zone text)
      left join punctual.accounts a on a.id = p.account_id)
  select p.index, 1, 'account_id', 'there is no such account' from person p where p.account is null
  union all
  select p.index, 1, 'account_id', format('the account sends over WhatsApp, and the sequence is for %s', p_sequence.channel)
    from person p where p.provider = 'whatsapp_cloud' and p_sequence.channel <> 'whatsapp'
  union all
  select p.index, 2, 'recipient', 'WhatsApp''s Cloud API needs the telephone number, or the business-scoped user id'
    from person p where p.provider = 'whatsapp_cloud' and punctual.digits_of(p.recipient) is null and punctual.is_user_id(p.recipient) is not true
  union all
  select p.index, 3, 'time_zone', format('there is no time zone "%s": give one such as Europe/Berlin', p.time_zone)
    from person p where p.time_zone is not null and not punctual.is_time_zone(p.time_zone)
  union all
  select p.index, 4, 'variables.' || n.name, format('step %s asks for {{%s}}, and it is not given', (
           select min(s.place) from jsonb_array_elements(p_steps) with ordinality s (step, place) where n.name = any (punctual.list_placeholders(s.step))), n.name)
    from person p cross join lateral unnest(punctual.list_placeholders(p_steps)) n (name) where p.variables->>n.name is null
$$;

-- The texts that steps send: bodies, and parameters (numbered) of templates. names: how many placeholders a text has.
create function punctual.list_texts(
  p_steps jsonb, out place integer, out text text, out is_reminder boolean, out number integer, out names integer) returns setof record
language sql immutable set search_path = '' as $$
  select s.place, t.text, m.is_reminder, t.number, (select count(*) from regexp_matches(t.text, '\{\{', 'g'))
    from jsonb_array_elements(p_steps) with ordinality s (step, place)
   cross join lateral (values (s.step, false), (s.step->'reminder', true)) m (message, is_reminder)
   cross join lateral (
     select m.message->>'body' as text, null::bigint as number
      union all
     select r.text, r.number
       from jsonb_array_elements_text(case when jsonb_typeof(m.message->'template') = 'object' then m.message->'template'->'parameters' else '[]' end)
         with ordinality r (text, number)) t
   where t.text is not null
$$;

-- What is wrong with the texts that people would get.
create function punctual.list_text_faults(
  p_sequence punctual.sequences, p_steps jsonb, p_people jsonb, out index integer, out place integer, out field text, out message text)
returns setof record
language plpgsql stable set search_path = '' as $$
declare
  v_limit integer := punctual.body_limit(p_sequence.channel);
begin
  return query
    -- A thousand people and fifty steps: texts are filled in only where something may be wrong with them.
    with person as materialized (
      select p.index, coalesce(p.variables, '{}') as variables, v.longest, v.is_odd
        from jsonb_to_recordset(p_people) p (index integer, variables jsonb)
       cross join lateral (
         select coalesce(max(length(e.value)), 0) as longest, coalesce(bool_or(e.value ~ '^$|[\n\r\t]|^ |  | $'), false) as is_odd
           from jsonb_each_text(coalesce(p.variables, '{}')) e) v),
    sent as materialized (select * from punctual.list_texts(p_steps))
    select p.index, 5, 'variables', format('%s of step %s becomes %s characters for this person; %s takes %s',
             case when t.is_reminder then 'the reminder' else 'the body' end, t.place, punctual.count_units(f.filled), p_sequence.channel, v_limit)
      from sent t
      join person p on t.number is null and 2 * (length(t.text) + t.names * p.longest) > v_limit
     cross join lateral (select punctual.fill_in(t.text, p.variables) as filled offset 0) f
     where punctual.count_units(f.filled) > v_limit
    union all
    select p.index, 5, 'variables', format('parameter %s of the template of step %s %s for this person', t.number, t.place, case
             when f.filled = '' then 'is empty' when punctual.count_units(f.filled) > 1024 then 'is longer than 1,024 characters'
             else 'has a line break, a tab or five spaces in a row, which WhatsApp refuses' end)
      from sent t
      join person p on t.number is not null and t.names > 0 and (p.is_odd or 2 * (length(t.text) + t.names * p.longest) > 1024)
     cross join lateral (select punctual.fill_in(t.text, p.variables) as filled offset 0) f
     where f.filled = '' or f.filled ~ '[\n\r\t]| {5}' or punctual.count_units(f.filled) > 1024
    union all
    select p.index, 5, 'variables', format('the text of step %s is empty for this person', t.place)
      from sent t
      join person p on t.number is null and regexp_replace(t.text, '\{\{ *[a-z][a-z0-9_]* *\}\}', '', 'g') ~ '^\s*$'
                   and punctual.fill_in(t.text, p.variables) ~ '^\s*$';
end
$$;

-- What is wrong with people who are to be enrolled: [{index, field, message}]; null where nothing is. p_people bear their index.
create function punctual.check_people(p_sequence punctual.sequences, p_steps jsonb, p_people jsonb) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_agg(jsonb_build_object('index', c.index, 'field', c.field, 'message', c.message) order by c.index, c.place, c.field)
    from (select * from punctual.list_person_faults(p_sequence, p_steps, p_people)
          union all
          select * from punctual.list_text_faults(p_sequence, p_steps, p_people)) c
$$;

-- The enrolments of a person in a sequence, whoever he was said to be: by person (of WhatsApp, by number and user id), or by the chat.
create function punctual.list_same(p_sequence_id bigint, p_person text, p_account_id uuid, p_chat_id text) returns setof punctual.enrolments
language plpgsql stable set search_path = '' as $$
declare
  v_names text[] := punctual.names_of(p_person);
  v_name text;
begin
  foreach v_name in array v_names loop
    -- In the order of the index on persons: without statistics the one on phases looks as good, and is read to its end.
    return query select * from punctual.enrolments e where e.sequence_id = p_sequence_id and e.person = v_name order by e.id;
  end loop;
  if p_chat_id is not null then
    return query select * from punctual.enrolments e
                  where e.account_id = p_account_id and e.chat_id = p_chat_id and e.sequence_id = p_sequence_id and e.person <> all (v_names);
  end if;
end
$$;

-- People as they are to be enrolled: what is known of each, with its index, an id of its own, and as whom it counts in the sequence (person, of
-- WhatsApp's user ids the number: identity).
create function punctual.name_people(p_sequence punctual.sequences, p_people jsonb) returns jsonb
language sql set search_path = '' as $$
  select jsonb_agg(jsonb_strip_nulls(p) || jsonb_build_object('index', n - 1, 'id', nextval(pg_get_serial_sequence('punctual.enrolments', 'id')),
           'person', k.person, 'identity', coalesce((select u.number from punctual.whatsapp_users u where u.user_id = k.person), k.person)) order by n)
    from jsonb_array_elements(p_people) with ordinality e (p, n)
   cross join lateral (
     select coalesce(case when p_sequence.channel = 'whatsapp' then punctual.digits_of(p->>'recipient') end, p->>'recipient', p->>'chat_id') as person) k
$$;

-- Inserts the enrolments of those who are not in the sequence yet. p_people: see name_people.
create function punctual.insert_enrolments(p_sequence punctual.sequences, p_steps jsonb, p_people jsonb, p_again boolean, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  with zones as (
    select distinct coalesce(p.time_zone, p_sequence.time_zone, a.time_zone) as zone, coalesce(p.start_at, p_now) as start_at
      from jsonb_to_recordset(p_people) p (account_id uuid, time_zone text, start_at timestamptz) join punctual.accounts a on a.id = p.account_id),
  opens as materialized (
    select z.*, punctual.step_opens_at(p_steps->0->'hours', z.zone,
                  z.start_at + make_interval(secs => (p_steps->0->>'delay_seconds')::double precision)) as opens_at from zones z)
  insert into punctual.enrolments (id, sequence_id, version, account_id, channel, chat_id, recipient, variables, time_zone, next_step_at, priority, enrolled_at)
  -- A person who is named by number and by user id is enrolled once.
  select distinct on (p.identity) p.id, p_sequence.id, p_sequence.version, a.id, p_sequence.channel, p.chat_id, p.recipient,
         coalesce(p.variables, '{}'), z.zone, o.opens_at, coalesce(p.priority, 1), p_now
    from jsonb_to_recordset(p_people) p (index integer, id bigint, person text, identity text, account_id uuid, chat_id text, recipient text, variables jsonb,
           time_zone text, start_at timestamptz, priority smallint)
    join punctual.accounts a on a.id = p.account_id
   cross join lateral (select coalesce(p.time_zone, p_sequence.time_zone, a.time_zone) as zone) z
    join opens o on o.zone = z.zone and o.start_at = coalesce(p.start_at, p_now)
   where not exists (select from punctual.list_same(p_sequence.id, p.person, p.account_id, p.chat_id) x
                      where not p_again or x.status in ('pending', 'running', 'unknown'))
     -- A person may also be named by number and by chat.
     and not exists (select from jsonb_to_recordset(p_people) o (index integer, account_id uuid, chat_id text)
                      where o.account_id = p.account_id and o.chat_id = p.chat_id and o.index < p.index)
   -- Two calls with the same people wait for each other, and not each for the other.
   order by p.identity, p.id
  on conflict (sequence_id, person) where status in ('pending', 'running', 'unknown') do nothing;
end
$$;

-- Enrols people, all or none of them. p_people: [{account_id, chat_id, recipient, variables, time_zone, start_at, priority}], checked for form.
-- Whoever is in the sequence already is answered as he is. p_again: whose enrolment is over is enrolled anew.
--
-- Answers {rows: [{id, status, created}]} in the order asked, status being the phase, or {errors: [{index, field, message}]} and nobody was
-- enrolled. Raises PT404.
create function punctual.enrol_people(p_sequence_id bigint, p_people jsonb, p_again boolean default false, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_sequence punctual.sequences;
  v_steps jsonb;
  v_people jsonb;
  v_errors jsonb;
  v_rows jsonb;
begin
  -- With those who enrol at the same time, and without those who edit: the version is that of this moment.
  select * into v_sequence from punctual.sequences s where s.id = p_sequence_id for key share;
  if not found then raise exception 'there is no sequence %', p_sequence_id using errcode = 'PT404'; end if;
  select v.steps into v_steps from punctual.sequence_versions v where v.sequence_id = p_sequence_id and v.version = v_sequence.version;
  v_people := punctual.name_people(v_sequence, p_people);
  v_errors := punctual.check_people(v_sequence, v_steps, v_people);
  if v_errors is not null then return jsonb_build_object('errors', v_errors); end if;
  perform punctual.insert_enrolments(v_sequence, v_steps, v_people, p_again, v_now);

  -- By now there is one for each, ours or another's.
  select jsonb_agg(jsonb_build_object('index', p.index, 'id', x.id::text, 'status', x.phase, 'created', x.id = p.id, 'account_id', x.account_id,
                                      'asked_account_id', p.account_id) order by p.index)
    into v_rows
    from jsonb_to_recordset(v_people) p (index integer, id bigint, person text, account_id uuid, chat_id text)
   cross join lateral (select e.id, e.phase, e.account_id from punctual.list_same(p_sequence_id, p.person, p.account_id, p.chat_id) e
                        order by e.id desc limit 1) x;
  select jsonb_agg(jsonb_build_object('index', r->'index', 'field', 'account_id',
                                      'message', format('the person is in the sequence already, through another account (enrolment %s)', r->>'id')))
    into v_errors from jsonb_array_elements(v_rows) r where r->>'account_id' <> r->>'asked_account_id' and not (r->>'created')::boolean;
  if v_errors is not null then
    -- What was inserted goes again, numbers and all.
    delete from punctual.enrolments e where e.id in (select (r->>'id')::bigint from jsonb_array_elements(v_rows) r where (r->>'created')::boolean);
    return jsonb_build_object('errors', v_errors);
  end if;
  insert into punctual.enrolment_events (enrolment_id, at, event)
  select (r->>'id')::bigint, v_now, 'enrolled' from jsonb_array_elements(v_rows) r where (r->>'created')::boolean order by (r->>'index')::integer;
  return jsonb_build_object('rows', (
    select jsonb_agg(jsonb_build_object('id', r->'id', 'status', r->'status', 'created', r->'created') order by n)
      from jsonb_array_elements(v_rows) with ordinality e (r, n)));
end
$$;

create function punctual.show_enrolment(e punctual.enrolments) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select jsonb_build_object('id', e.id::text, 'sequence_id', e.sequence_id::text, 'sequence_name', s.name, 'version', e.version,
             'account_id', e.account_id, 'account_name', a.name, 'channel', e.channel, 'chat_id', e.chat_id, 'recipient', e.recipient,
             'variables', e.variables, 'time_zone', e.time_zone, 'phase', e.phase, 'status', e.status, 'step', e.step,
             'steps', jsonb_array_length(v.steps),
             'next_step_at', case when not punctual.is_over(e) and e.next_step_at < 'infinity' then e.next_step_at end,
             'next_action', case when not punctual.is_over(e) and e.next_step_at < 'infinity' then e.action end,
             'waits_for', case when e.next_step_at = 'infinity' then 'hours that never come: the step''s leave none' else e.waits_for end,
             'paused_at', e.paused_at, 'message_id', case when not punctual.is_over(e) then e.message_id::text end, 'sent_steps', e.sent_steps,
             'replied_at', e.replied_at, 'last_reply', e.last_reply, 'last_error', e.last_error, 'enrolled_at', e.enrolled_at, 'finished_at', e.finished_at)
      from punctual.sequences s
      join punctual.sequence_versions v on v.sequence_id = s.id and v.version = e.version
      left join punctual.accounts a on a.id = e.account_id
     where s.id = e.sequence_id);
end
$$;

-- A page of them, the newest first.
create function punctual.list_enrolments(
  p_sequence_id bigint default null, p_phase text default null, p_limit integer default 50, p_cursor jsonb default null,
  p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_list jsonb;
begin
  if p_limit not between 1 and 200 then
    raise exception 'the limit is %', p_limit using errcode = '22023', hint = 'It is 1 to 200.';
  end if;
  if p_phase is not null and p_phase not in ('in_progress', 'waiting_reply', 'replied', 'completed', 'stopped', 'failed') then
    raise exception 'the phase is "%"', p_phase
      using errcode = '22023', hint = 'It is in_progress, waiting_reply, replied, completed, stopped or failed.';
  end if;
  -- Planned for what is asked: with all as parameters no index would serve.
  execute format('select jsonb_agg(jsonb_build_object(''item'', punctual.show_enrolment(e), ''key'', jsonb_build_array(e.id)) order by e.id desc) from ('
                 'select * from punctual.enrolments x where true %s %s %s order by x.id desc limit $1) e',
                 case when p_sequence_id is not null then format('and x.sequence_id = %L', p_sequence_id) end,
                 case when p_phase is not null then format('and x.phase = %L', p_phase) end,
                 case when p_cursor is not null then format('and x.id < %L', (p_cursor->>0)::bigint) end)
  into v_list using p_limit + 1;
  return punctual.page_of(v_list, p_limit);
end
$$;

-- With its timeline, oldest first. Raises PT404.
create function punctual.read_enrolment(p_id bigint, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  e punctual.enrolments;
begin
  select * into e from punctual.enrolments x where x.id = p_id;
  if not found then raise exception 'there is no enrolment %', p_id using errcode = 'PT404'; end if;
  return punctual.show_enrolment(e) || jsonb_build_object('timeline', (
    select coalesce(jsonb_agg(jsonb_build_object('at', t.at, 'event', t.event, 'step', t.step, 'message_id', t.message_id::text, 'text', t.text)
                              order by t.at, t.id), '[]')
      from (select * from punctual.enrolment_events x where x.enrolment_id = p_id order by x.id desc limit 1000) t));
end
$$;

create function punctual.lock_enrolment(p_id bigint) returns punctual.enrolments
language plpgsql set search_path = '' as $$
declare
  e punctual.enrolments;
begin
  select * into e from punctual.enrolments x where x.id = p_id for no key update;
  if not found then raise exception 'there is no enrolment %', p_id using errcode = 'PT404'; end if;
  return e;
end
$$;

-- Nothing more is sent until it is resumed; a message that is queued is withdrawn, one that is on its way goes out. Raises PT404, and PT409 where
-- it is over.
create function punctual.pause_enrolment(p_id bigint, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  e punctual.enrolments := punctual.lock_enrolment(p_id);
  v_due timestamptz;
begin
  if punctual.is_over(e) then raise exception 'the enrolment is %', e.phase using errcode = 'PT409', detail = e.phase; end if;
  if e.paused_at is null then
    e.paused_at := v_now;
    perform punctual.note_enrolment(p_id, v_now, 'paused', e.step, null);
    select d.send_at into v_due from punctual.dm_queue d where d.id = e.message_id;
    if e.message_id is null then
      e := punctual.plan_next(e, e.action, e.next_step_at);
    elsif punctual.withdraw_message(e.message_id, format('enrolment %s was paused', p_id), v_now) then
      perform punctual.note_enrolment(p_id, v_now, 'withdrawn', e.step, e.message_id);
      e := punctual.plan_next(e, e.action, v_due);
    end if;
    perform punctual.save_enrolment(e);
  end if;
  return punctual.read_enrolment(p_id);
end
$$;

-- Goes on where it was paused; one that failed tries its step again. Raises PT404, and PT409 where it is over.
create function punctual.resume_enrolment(p_id bigint, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  e punctual.enrolments := punctual.lock_enrolment(p_id);
begin
  if punctual.is_over(e) and e.phase <> 'failed' then
    raise exception 'the enrolment is %', e.phase using errcode = 'PT409', detail = e.phase;
  end if;
  if e.phase = 'failed' then
    perform punctual.refuse_forgotten(e);
    if punctual.is_superseded(e) then
      raise exception 'the person was enrolled anew' using errcode = 'PT409', detail = e.phase;
    end if;
    e.phase := case when e.action = 'send' then 'in_progress' else 'waiting_reply' end;
    e.finished_at := null;
    e.last_error := null;
    e.paused_at := null;
    e := punctual.plan_next(e, e.action, v_now);
    perform punctual.note_enrolment(p_id, v_now, 'resumed', e.step, null);
    perform punctual.save_enrolment(e);
  elsif e.paused_at is not null then
    e.paused_at := null;
    if e.message_id is null then e := punctual.plan_next(e, e.action, e.resume_at); end if;
    e.resume_at := null;
    perform punctual.note_enrolment(p_id, v_now, 'resumed', e.step, null);
    perform punctual.save_enrolment(e);
  end if;
  return punctual.read_enrolment(p_id);
end
$$;

-- Nothing more is sent; a message that is queued is withdrawn, one that is on its way goes out. Raises PT404, and PT409 where it is over otherwise.
create function punctual.stop_enrolment(p_id bigint, p_reason text default null, p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  e punctual.enrolments := punctual.lock_enrolment(p_id);
begin
  if punctual.is_over(e) and e.phase not in ('stopped', 'failed') then
    raise exception 'the enrolment is %', e.phase using errcode = 'PT409', detail = e.phase;
  end if;
  if e.phase <> 'stopped' then
    e := punctual.end_enrolment(e, 'stopped', format('%s stopped it%s', coalesce(p_by, 'an operator'), coalesce(': ' || p_reason, '')), v_now);
    perform punctual.save_enrolment(e);
  end if;
  return punctual.read_enrolment(p_id);
end
$$;

-- One message of a preview. p_message: a step or its reminder; p_at: about when; null: nobody can say, 'infinity': never.
create function punctual.preview_message(
  p_step integer, p_kind text, p_message jsonb, p_variables jsonb, p_at timestamptz, p_note text) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('step', p_step, 'kind', p_kind, 'body', punctual.fill_in(p_message->>'body', p_variables),
    'template', punctual.fill_in_template(p_message->'template', p_variables), 'about_at', case when p_at < 'infinity' then p_at end, 'note', p_note)
$$;

-- The messages of all steps, each as soon as it may go, from p_from on: see preview_message.
create function punctual.preview_steps(
  p_steps jsonb, p_variables jsonb, p_zone text, p_account punctual.accounts, p_pace punctual.pace, p_from timestamptz, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  s record;
  v_at timestamptz := p_from;
  v_sent timestamptz := p_from;
  v_reminded timestamptz;
  -- Whether the instants of what follows can be told.
  v_known boolean := true;
  v_list jsonb := '[]';
begin
  for s in select e.step, e.number::integer from jsonb_array_elements(p_steps) with ordinality e (step, number) order by e.number loop
    v_at := punctual.expect_step_at(s.step->'hours', p_zone, p_account, p_pace,
      greatest(v_at, v_sent + make_interval(secs => (s.step->>'delay_seconds')::double precision), p_now));
    v_list := v_list || punctual.preview_message(s.number, s.step->>'kind', s.step, p_variables, case when v_known then v_at end,
      case when not v_known then 'after the answer to the question before it'
           when v_at = 'infinity' then 'never: its hours and the account''s have nothing in common, or the account may not send' end);
    v_known := v_known and v_at < 'infinity';
    v_sent := v_at;
    if jsonb_typeof(s.step->'reminder') = 'object' then
      v_reminded := punctual.expect_step_at(s.step->'hours', p_zone, p_account, p_pace,
        v_sent + make_interval(secs => (s.step->'reminder'->>'after_seconds')::double precision));
      v_list := v_list || punctual.preview_message(s.number, 'reminder', s.step->'reminder', p_variables,
                                                   case when v_known then v_reminded end, 'unless there was an answer');
    end if;
    if s.step->>'kind' = 'question' then
      if jsonb_typeof(s.step->'no_reply') = 'object' then
        v_at := v_sent + make_interval(secs => (s.step->'no_reply'->>'after_seconds')::double precision);
        v_known := v_known and s.step->'no_reply'->>'action' is distinct from 'stop';
      else
        v_known := false;
      end if;
    end if;
  end loop;
  return v_list;
end
$$;

-- What a person would get, and about when: each step as soon as its delay, its hours and the account's pace allow, given a tick each minute.
-- p_person: {account_id, variables, time_zone, start_at}. After a question without no_reply nobody can say. Answers {steps: [{step, kind, body,
-- template, about_at, note}]}, or {errors: [{field, message}]}. Raises PT404.
create function punctual.preview_sequence(p_sequence_id bigint, p_person jsonb, p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_sequence punctual.sequences;
  v_steps jsonb;
  v_account punctual.accounts;
  v_pace punctual.pace;
  v_errors jsonb;
begin
  select * into v_sequence from punctual.sequences s where s.id = p_sequence_id;
  if not found then raise exception 'there is no sequence %', p_sequence_id using errcode = 'PT404'; end if;
  select v.steps into v_steps from punctual.sequence_versions v where v.sequence_id = p_sequence_id and v.version = v_sequence.version;
  -- To whom it is does not matter here.
  select jsonb_agg(c - 'index') into v_errors
    from jsonb_array_elements(punctual.check_people(v_sequence, v_steps, jsonb_build_array('{"recipient": "1"}' || p_person || '{"index": 0}'))) c;
  if v_errors is not null then return jsonb_build_object('errors', v_errors); end if;
  select * into v_account from punctual.accounts a where a.id = (p_person->>'account_id')::uuid;
  select * into v_pace from punctual.pace p where p.queue = 'dm_queue' and p.account_id = v_account.id;
  return jsonb_build_object('steps', punctual.preview_steps(v_steps, coalesce(p_person->'variables', '{}'),
    coalesce(p_person->>'time_zone', v_sequence.time_zone, v_account.time_zone), v_account, v_pace,
    coalesce((p_person->>'start_at')::timestamptz, v_now), v_now));
end
$$;

-- The first instant from p_from on at which both the step's hours and the account are open.
create function punctual.expect_step_at(
  p_hours jsonb, p_zone text, p_account punctual.accounts, p_pace punctual.pace, p_from timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_at timestamptz := p_from;
  v_step_at timestamptz;
begin
  if p_from = 'infinity' then return p_from; end if;
  for v_round in 1..50 loop
    v_step_at := punctual.step_opens_at(p_hours, p_zone, v_at);
    if v_step_at = 'infinity' then return v_step_at; end if;
    select o.open_at into v_at from punctual.account_opening(p_account, p_pace, v_step_at) o;
    if v_at <= v_step_at then return v_step_at; end if;
    if v_at = 'infinity' then return v_at; end if;
  end loop;
  return 'infinity';
end
$$;

select punctual.close_to_public();
select punctual.note_migration('20261122001800', 'sequences');
