-- add_queue turns a table into a queue. Owner only. A second call is harmless: existing columns stay, and so do settings that an operator changed.
-- The steps are: find the table; check its columns, the words, the functions and the settings; add the columns; create the indexes; write the
-- registry's row. `q` is that row as it will be.

-- Returns the words for a message: the word "a", or the words "a", "b".
create function punctual.name_words(p_words text[]) returns text
language sql immutable set search_path = '' as $$
  select case cardinality(p_words) when 1 then 'the word ' else 'the words ' end || string_agg(format('"%s"', w.word), ', ' order by w.place)
    from unnest(p_words) with ordinality w (word, place)
$$;

-- Raises 22023 unless the type of the status column can store all of the words in full.
create function punctual.check_type_takes(p_table regclass, p_column text, p_type text, p_words text[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_word text;
  v_text text;
  v_lacking text[] := '{}';
begin
  foreach v_word in array p_words loop
    begin
      -- Reads the word back as rows are read: a cast silently cuts a long word, and char(n) pads a short one.
      execute format('select to_jsonb(%L::%s) #>> ''{}''', v_word, p_type) into v_text;
    exception
      when unsafe_new_enum_value_usage then
        raise exception 'add_queue: the word "%" was added to % in this transaction, and cannot be used before its end', v_word, p_type
          using errcode = '22023', hint = 'Add it in a migration of its own, before this one.';
      when others then
        v_text := null;
    end;
    if v_text is distinct from v_word then v_lacking := v_lacking || v_word; end if;
  end loop;
  if v_lacking <> '{}' then
    raise exception 'add_queue: the column % of % (%) does not take %', p_column, p_table, p_type, punctual.name_words(v_lacking)
      using errcode = '22023', hint = 'Add them to the type, or name the words your table uses in p_words.';
  end if;
end
$$;

-- Raises 22023 unless the checks of the status column allow all of the words. Tests only checks on this column alone: others need a row.
create function punctual.check_checks_take(p_table regclass, p_column text, p_type text, p_words text[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_check record;
  v_word text;
  v_ok boolean;
  v_lacking text[] := '{}';
begin
  for v_check in
    select c.conname, pg_get_expr(c.conbin, c.conrelid) as expression
      from pg_catalog.pg_constraint c join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attname = p_column and c.conkey = array[a.attnum]
     where c.conrelid = p_table and c.contype = 'c'
  loop
    foreach v_word in array p_words loop
      begin
        execute format('select (%s) from (select %L::%s as %I) s', v_check.expression, v_word, p_type, p_column) into v_ok;
      exception when others then
        v_ok := false;
      end;
      if v_ok is false then v_lacking := v_lacking || v_word; end if;
    end loop;
    if v_lacking <> '{}' then
      raise exception 'add_queue: the check "%" of % does not take %', v_check.conname, p_table, punctual.name_words(v_lacking)
        using errcode = '22023', hint = 'Widen the check, or name the words your table uses in p_words.';
    end if;
  end loop;
end
$$;

-- Raises 22023 unless the table that the status column references has all of the words.
create function punctual.check_references_take(p_table regclass, p_column text, p_words text[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_key record;
  v_lacking text[];
begin
  for v_key in
    select c.conname, c.confrelid::regclass as target, f.attname as target_column
      from pg_catalog.pg_constraint c
      join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attname = p_column and c.conkey = array[a.attnum]
      join pg_catalog.pg_attribute f on f.attrelid = c.confrelid and f.attnum = c.confkey[1]
     where c.conrelid = p_table and c.contype = 'f'
  loop
    execute format('select array_agg(w order by place) from unnest($1) with ordinality w (w, place) '
                   'where not exists (select from %s where %I::text = w)', v_key.target, v_key.target_column) into v_lacking using p_words;
    if v_lacking is not null then
      raise exception 'add_queue: "%" of % does not take %, which % lacks', v_key.conname, p_table, punctual.name_words(v_lacking), v_key.target
        using errcode = '22023', hint = 'Insert them there, or name the words your table uses in p_words.';
    end if;
  end loop;
end
$$;

-- Raises 22023 unless the status column accepts all of the words by its type, its length, its checks and its foreign keys. The message names all
-- words that one of these does not accept.
create function punctual.check_status_words(p_table regclass, p_column text, p_words text[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_type text := punctual.full_type_of_column(p_table, p_column);
begin
  perform punctual.check_type_takes(p_table, p_column, v_type, p_words);
  perform punctual.check_checks_take(p_table, p_column, v_type, p_words);
  perform punctual.check_references_take(p_table, p_column, p_words);
end
$$;
