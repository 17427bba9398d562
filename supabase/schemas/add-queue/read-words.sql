-- Returns q with the words of p_words, and with the state's name for each state that p_words lacks. Raises 22023.
create function punctual.read_words(q punctual.queues, p_words jsonb) returns punctual.queues
language plpgsql set search_path = '' as $$
declare
  v_words jsonb := jsonb_build_object('pending', 'pending', 'running', 'running', 'done', 'done',
                                      'dead', 'dead', 'unknown', 'unknown', 'cancelled', 'cancelled') || coalesce(p_words, '{}');
  v_pairs text;
  v_count integer;
begin
  if jsonb_typeof(v_words) <> 'object' or exists (select from jsonb_each(v_words) w where jsonb_typeof(w.value) <> 'string') then
    raise exception 'add_queue: p_words is not an object of words'
      using errcode = '22023', hint = 'For example ''{"running": "sending", "done": "sent"}''.';
  end if;
  if (select count(*) from jsonb_object_keys(v_words)) <> 6 then
    raise exception 'add_queue: p_words has unknown states: %',
      (select string_agg(k, ', ') from jsonb_object_keys(v_words) k
        where k not in ('pending', 'running', 'done', 'dead', 'unknown', 'cancelled'))
      using errcode = '22023', hint = 'Its keys are pending, running, done, dead, unknown and cancelled. Its values are your table''s words for them.';
  end if;
  select string_agg(format('%s "%s"', s.state, w.word), ', ' order by s.place), count(distinct w.word) filter (where w.word <> '')
    into v_pairs, v_count
    from unnest(array['pending', 'running', 'done', 'dead', 'unknown', 'cancelled']) with ordinality s (state, place)
   cross join lateral (select v_words->>s.state as word) w;
  if v_count <> 6 then
    raise exception 'add_queue: the six state words have to be distinct, and are %', v_pairs
      using errcode = '22023', hint = 'Name six words, none of them empty. Add missing ones to the column''s check.';
  end if;
  return jsonb_populate_record(q, (select jsonb_object_agg(w.key || '_word', w.value) from jsonb_each(v_words) w));
end
$$;

-- Raises 22023 for a table without the status column if another column probably has the row's state, which ticks would ignore: its check or enum
-- has the pending word, or it is called state and has a check or an enum with text.
create function punctual.check_no_state_column(p_table regclass, q punctual.queues) returns void
language plpgsql set search_path = '' as $$
declare
  v_column text;
  v_accepts boolean;
begin
  if punctual.type_of_column(p_table, q.status_column) is not null then return; end if;
  select a.attname, strpos(w.words, quote_literal(q.pending_word)) > 0 into v_column, v_accepts
    from pg_catalog.pg_attribute a
   cross join lateral (
     select string_agg(quote_literal(e.enumlabel), ' ') from pg_catalog.pg_enum e where e.enumtypid = a.atttypid
     union all
     select pg_get_expr(c.conbin, c.conrelid) from pg_catalog.pg_constraint c
      where c.conrelid = p_table and c.contype = 'c' and c.conkey = array[a.attnum]) w (words)
   where a.attrelid = p_table and not a.attisdropped
     and (strpos(w.words, quote_literal(q.pending_word)) > 0 or (a.attname = 'state' and strpos(w.words, '''') > 0))
   order by 2 desc, a.attnum limit 1;
  if v_column is not null then
    raise exception 'add_queue: % has no column status, but a column % that %', p_table, v_column,
        case when v_accepts then format('accepts the word "%s"', q.pending_word) else 'has a check or an enum of its own' end
      using errcode = '22023',
            hint = format('If it has the row''s state: p_status_column => %L. If not: p_status_column => ''status'', which add_queue adds.', v_column);
  end if;
end
$$;
