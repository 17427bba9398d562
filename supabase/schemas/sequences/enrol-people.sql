-- What is wrong with people who are to be enrolled: [{index, field, message}]; null where nothing is. p_people bear their index.
create function punctual.check_people(p_sequence punctual.sequences, p_steps jsonb, p_people jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_limit integer := punctual.body_limit(p_sequence.channel);
  v_names text[] := punctual.list_placeholders(p_steps);
begin
  return (
    select jsonb_agg(jsonb_build_object('index', c.index, 'field', c.field, 'message', c.message) order by c.index, c.place, c.field) from (
      with person as materialized (
        select p.index, p.chat_id, p.recipient, coalesce(p.variables, '{}') as variables, p.time_zone, p.account_id, a.provider, a.id as account,
               -- A thousand people and fifty steps: texts are filled in only where something may be wrong with them.
               v.longest, v.is_odd
          from jsonb_to_recordset(p_people) p (index integer, account_id uuid, chat_id text, recipient text, variables jsonb, time_zone text)
          left join punctual.accounts a on a.id = p.account_id
         cross join lateral (
           select coalesce(max(length(e.value)), 0) as longest, coalesce(bool_or(e.value ~ '^$|[\n\r\t]|^ |  | $'), false) as is_odd
             from jsonb_each_text(coalesce(p.variables, '{}')) e) v)
      select p.index, 1 as place, 'account_id' as field, 'there is no such account' as message from person p where p.account is null
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
        from person p cross join lateral unnest(v_names) n (name) where p.variables->>n.name is null
      union all
      select p.index, 5, 'variables', format('%s of step %s becomes %s characters for this person; %s takes %s',
               case when t.is_reminder then 'the reminder' else 'the body' end, t.place, punctual.count_units(f.filled), p_sequence.channel, v_limit)
        from (select s.place, t.text, t.is_reminder, (select count(*) from regexp_matches(t.text, '\{\{', 'g')) as names
                from jsonb_array_elements(p_steps) with ordinality s (step, place)
               cross join lateral (values (s.step->>'body', false), (s.step->'reminder'->>'body', true)) t (text, is_reminder)
               where t.text is not null) t
       cross join lateral (
         select q.index, q.variables from person q where 2 * (length(t.text) + t.names * q.longest) > v_limit) p
       cross join lateral (select punctual.fill_in(t.text, p.variables) as filled) f
       where punctual.count_units(f.filled) > v_limit
      union all
      select p.index, 5, 'variables', format('parameter %s of the template of step %s %s for this person', t.number, t.place, case
               when f.filled = '' then 'is empty' when punctual.count_units(f.filled) > 1024 then 'is longer than 1,024 characters'
               else 'has a line break, a tab or five spaces in a row, which WhatsApp refuses' end)
        from (select s.place, r.text, r.number, (select count(*) from regexp_matches(r.text, '\{\{', 'g')) as names
                from jsonb_array_elements(p_steps) with ordinality s (step, place)
               cross join lateral (values (s.step->'template'), (s.step->'reminder'->'template')) m (template)
               cross join lateral jsonb_array_elements_text(case when jsonb_typeof(m.template) = 'object' then m.template->'parameters' else '[]' end)
                 with ordinality r (text, number)) t
        join person p on t.names > 0 and (p.is_odd or 2 * (length(t.text) + t.names * p.longest) > 1024)
       cross join lateral (select punctual.fill_in(t.text, p.variables) as filled) f
       where f.filled = '' or f.filled ~ '[\n\r\t]| {5}' or punctual.count_units(f.filled) > 1024
      union all
      select p.index, 5, 'variables', format('the text of step %s is empty for this person', t.place)
        from (select s.place, t.text from jsonb_array_elements(p_steps) with ordinality s (step, place)
               cross join lateral (values (s.step->>'body'), (s.step->'reminder'->>'body')) t (text)
               where t.text is not null and regexp_replace(t.text, '\{\{ *[a-z][a-z0-9_]* *\}\}', '', 'g') ~ '^\s*$') t
       cross join person p where punctual.fill_in(t.text, p.variables) ~ '^\s*$') c);
end
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
  select jsonb_agg(jsonb_strip_nulls(p) || jsonb_build_object('index', n - 1, 'id', nextval(pg_get_serial_sequence('punctual.enrolments', 'id')),
           'person', k.person, 'identity', coalesce((select u.number from punctual.whatsapp_users u where u.user_id = k.person), k.person)) order by n)
    into v_people
    from jsonb_array_elements(p_people) with ordinality e (p, n)
   cross join lateral (
     select coalesce(case when v_sequence.channel = 'whatsapp' then punctual.digits_of(p->>'recipient') end, p->>'recipient', p->>'chat_id') as person) k;
  v_errors := punctual.check_people(v_sequence, v_steps, v_people);
  if v_errors is not null then return jsonb_build_object('errors', v_errors); end if;

  with zones as (
    select distinct coalesce(p.time_zone, v_sequence.time_zone, a.time_zone) as zone, coalesce(p.start_at, v_now) as start_at
      from jsonb_to_recordset(v_people) p (account_id uuid, time_zone text, start_at timestamptz) join punctual.accounts a on a.id = p.account_id),
  opens as materialized (
    select z.*, punctual.step_opens_at(v_steps->0->'hours', z.zone,
                  z.start_at + make_interval(secs => (v_steps->0->>'delay_seconds')::double precision)) as opens_at from zones z)
  insert into punctual.enrolments (id, sequence_id, version, account_id, channel, chat_id, recipient, variables, time_zone, next_step_at, priority, enrolled_at)
  -- A person who is named by number and by user id is enrolled once.
  select distinct on (p.identity) p.id, p_sequence_id, v_sequence.version, a.id, v_sequence.channel, p.chat_id, p.recipient,
         coalesce(p.variables, '{}'), z.zone, o.opens_at, coalesce(p.priority, 1), v_now
    from jsonb_to_recordset(v_people) p (index integer, id bigint, person text, identity text, account_id uuid, chat_id text, recipient text, variables jsonb,
           time_zone text, start_at timestamptz, priority smallint)
    join punctual.accounts a on a.id = p.account_id
   cross join lateral (select coalesce(p.time_zone, v_sequence.time_zone, a.time_zone) as zone) z
    join opens o on o.zone = z.zone and o.start_at = coalesce(p.start_at, v_now)
   where not exists (select from punctual.list_same(p_sequence_id, p.person, p.account_id, p.chat_id) x
                      where not p_again or x.status in ('pending', 'running', 'unknown'))
     -- A person may also be named by number and by chat.
     and not exists (select from jsonb_to_recordset(v_people) o (index integer, account_id uuid, chat_id text)
                      where o.account_id = p.account_id and o.chat_id = p.chat_id and o.index < p.index)
   -- Two calls with the same people wait for each other, and not each for the other.
   order by p.identity, p.id
  on conflict (sequence_id, person) where status in ('pending', 'running', 'unknown') do nothing;

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
