-- Returns one queue's rows that a text names: see find_row. Each search is served by an index, and a queue without that index is not searched by it.
create function punctual.find_row_in(q punctual.queues, p_text text, p_by text[]) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_search text := 'select %L as by, t.id, t.{status} as status from %s t where %s limit 20';
  v_searches text[] := '{}';
  v_message jsonb;
  v_found jsonb;
begin
  if q.source = 'pgmq' then
    v_message := case when 'id' = any (p_by) then punctual.find_message(q, p_text) end;
    return case when v_message is null then '[]' else jsonb_build_array(jsonb_build_object('queue', q.name, 'id', p_text,
             'status', punctual.word_of_state(q, v_message->>'state'), 'state', v_message->>'state', 'by', 'id')) end;
  end if;
  if 'id' = any (p_by) and punctual.is_id(q, p_text) then
    v_searches := v_searches || format(v_search, 'id', '{table}', 't.id = $1::{id_type}');
  end if;
  if 'provider_id' = any (p_by) and q.proof_column is not null then
    v_searches := v_searches || format(v_search, 'provider_id', '{table}', 't.{proof} = $1');
  end if;
  if 'key' = any (p_by) then
    v_searches := v_searches || format(v_search, 'key', '{table}', 't.idempotency_key = $1');
  end if;
  if 'address' = any (p_by) and q.name in ('dm_queue', 'enrolments') then
    v_searches := v_searches || format(v_search, 'address', case q.name when 'dm_queue' then 'punctual.messages_to' else 'punctual.enrolments_of' end
                                       || '(null, coalesce(punctual.names_of($1), ''{}''), array[$1])', 'true order by t.id desc');
  end if;
  if v_searches = '{}' then return '[]'; end if;
  -- A row that is found in two ways is listed once, by the first.
  execute punctual.render_sql(q, format($sql$
    select coalesce(jsonb_agg(jsonb_build_object('queue', {queue}, 'id', f.id::text, 'status', f.status, 'by', f.by) order by f.place, f.id desc), '[]')
      from (select distinct on (s.id) s.*, array_position($2, s.by) as place from (%s) s order by s.id, place) f
    $sql$, (select string_agg('(' || s || ')', ' union all ') from unnest(v_searches) s)))
  into v_found using p_text, p_by;
  return (select coalesce(jsonb_agg(f || jsonb_build_object('state', punctual.state_of_word(q, f->>'status')) order by n), '[]')
            from jsonb_array_elements(v_found) with ordinality e (f, n));
end
$$;

-- Finds rows in any queue by a text: [{queue, id, status, state, by}], 20 at most. by: `id`; `provider_id`, the provider's id of the message; `key`, an
-- idempotency key; `address`, exactly the recipient or the chat of a message or an enrolment. A message of pgmq is found by its id, "queue:number".
-- p_by: how to search. Reads indexes only, and takes no locks.
create function punctual.find_row(p_text text, p_by text[] default '{id, provider_id, key, address}', p_now timestamptz default null) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' set jit = off set enable_seqscan = off as $$
declare
  q punctual.queues;
  v_text text := btrim(p_text);
  v_found jsonb := '[]';
begin
  if coalesce(v_text, '') = '' then return v_found; end if;
  for q in select * from punctual.queues x order by x.name loop
    -- A queue whose table is gone, or may not be read, does not hide the others.
    begin
      v_found := v_found || punctual.find_row_in(q, v_text, p_by);
    exception when undefined_table or undefined_column or insufficient_privilege then
      null;
    end;
  end loop;
  return (select coalesce(jsonb_agg(f.found order by f.place, f.n), '[]')
            from (select e.found, array_position(p_by, e.found->>'by') as place, e.n
                    from jsonb_array_elements(v_found) with ordinality e (found, n)
                   order by place, e.n limit 20) f);
end
$$;
