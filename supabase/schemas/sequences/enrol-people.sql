-- Returns the faults of the people to enrol: account, recipient, time zone and missing variables.
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

-- Returns the texts that steps send: bodies, and numbered parameters of templates. names: how many placeholders a text has.
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

-- Returns the faults of the texts that people would get.
create function punctual.list_text_faults(
  p_sequence punctual.sequences, p_steps jsonb, p_people jsonb, out index integer, out place integer, out field text, out message text)
returns setof record
language plpgsql stable set search_path = '' as $$
declare
  v_limit integer := punctual.body_limit(p_sequence.channel);
begin
  return query
    -- There may be a thousand people and fifty steps, so only texts that may have a fault are filled in.
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

-- Returns the faults of people who are to be enrolled: [{index, field, message}]; null if there are none. Each of p_people has its index.
create function punctual.check_people(p_sequence punctual.sequences, p_steps jsonb, p_people jsonb) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_agg(jsonb_build_object('index', c.index, 'field', c.field, 'message', c.message) order by c.index, c.place, c.field)
    from (select * from punctual.list_person_faults(p_sequence, p_steps, p_people)
          union all
          select * from punctual.list_text_faults(p_sequence, p_steps, p_people)) c
$$;

-- Returns a person's enrolments in a sequence, however the person was named: by person (over WhatsApp, by number and user id) or by chat.
create function punctual.list_same(p_sequence_id bigint, p_person text, p_account_id uuid, p_chat_id text) returns setof punctual.enrolments
language plpgsql stable set search_path = '' as $$
declare
  v_names text[] := punctual.names_of(p_person);
  v_name text;
begin
  foreach v_name in array v_names loop
    -- The order makes Postgres use the index on persons. Without statistics the index on phases seems as good, and Postgres reads all of it.
    return query select * from punctual.enrolments e where e.sequence_id = p_sequence_id and e.person = v_name order by e.id;
  end loop;
  if p_chat_id is not null then
    return query select * from punctual.enrolments e
                  where e.account_id = p_account_id and e.chat_id = p_chat_id and e.sequence_id = p_sequence_id and e.person <> all (v_names);
  end if;
end
$$;

-- Adds to each of p_people an index, a new id, person and identity. person identifies the person in the sequence. identity is the same, except that
-- a known WhatsApp user id is replaced by its number.
create function punctual.name_people(p_sequence punctual.sequences, p_people jsonb) returns jsonb
language sql set search_path = '' as $$
  select jsonb_agg(jsonb_strip_nulls(p) || jsonb_build_object('index', n - 1, 'id', nextval(pg_get_serial_sequence('punctual.enrolments', 'id')),
           'person', k.person, 'identity', coalesce((select u.number from punctual.whatsapp_users u where u.user_id = k.person), k.person)) order by n)
    from jsonb_array_elements(p_people) with ordinality e (p, n)
   cross join lateral (
     select coalesce(case when p_sequence.channel = 'whatsapp' then punctual.digits_of(p->>'recipient') end, p->>'recipient', p->>'chat_id') as person) k
$$;

-- Inserts enrolments for people who are not in the sequence yet, and with p_again also for those whose earlier enrolments have all ended.
-- p_people: see name_people. Waits for calls with the same people.
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
   -- Inserts in a fixed order, so that two calls with the same people cannot deadlock.
   order by p.identity, p.id
  on conflict (sequence_id, person) where status in ('pending', 'running', 'unknown') do nothing;
end
$$;

-- Enrols people, all or none. p_people: [{account_id, chat_id, recipient, variables, time_zone, start_at, priority}], already validated. For a
-- person who is in the sequence already, returns the existing enrolment. p_again: enrols a person again if that enrolment has ended.
--
-- Returns {rows: [{id, status, created}]} in the order of p_people, or {errors: [{index, field, message}]} if nobody was enrolled. status is the
-- phase. Raises PT404 if there is no such sequence.
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
  -- Several calls may enrol at once. The version is the one of this moment.
  select * into v_sequence from punctual.sequences s where s.id = p_sequence_id for key share;
  if not found then raise exception 'there is no sequence %', p_sequence_id using errcode = 'PT404'; end if;
  select v.steps into v_steps from punctual.sequence_versions v where v.sequence_id = p_sequence_id and v.version = v_sequence.version;
  v_people := punctual.name_people(v_sequence, p_people);
  v_errors := punctual.check_people(v_sequence, v_steps, v_people);
  if v_errors is not null then return jsonb_build_object('errors', v_errors); end if;
  perform punctual.insert_enrolments(v_sequence, v_steps, v_people, p_again, v_now);

  -- Each person has an enrolment by now, from this call or another one.
  select jsonb_agg(jsonb_build_object('index', p.index, 'id', x.id::text, 'status', x.phase, 'created', x.id = p.id, 'account_id', x.account_id,
                                      'given_account_id', p.account_id) order by p.index)
    into v_rows
    from jsonb_to_recordset(v_people) p (index integer, id bigint, person text, account_id uuid, chat_id text)
   cross join lateral (select e.id, e.phase, e.account_id from punctual.list_same(p_sequence_id, p.person, p.account_id, p.chat_id) e
                        order by e.id desc limit 1) x;
  select jsonb_agg(jsonb_build_object('index', r->'index', 'field', 'account_id',
                                      'message', format('the person is in the sequence already, through another account (enrolment %s)', r->>'id')))
    into v_errors from jsonb_array_elements(v_rows) r where r->>'account_id' <> r->>'given_account_id' and not (r->>'created')::boolean;
  if v_errors is not null then
    -- Deletes what this call inserted.
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
