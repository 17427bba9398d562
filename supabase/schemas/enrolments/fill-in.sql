-- Returns a text with its {{placeholders}} replaced, or null if a variable is missing. Braces inside a variable's value are not replaced.
create function punctual.fill_in(p_text text, p_variables jsonb) returns text
language plpgsql immutable set search_path = '' as $$
declare
  v_filled text;
begin
  if position('{{' in p_text) = 0 then return p_text; end if;
  select case when count(*) filter (where n.name is not null and p_variables->>n.name[1] is null) = 0
              then string_agg(l.text || coalesce(p_variables->>n.name[1], ''), '' order by l.place) end
    into v_filled
    from regexp_split_to_table(p_text, '\{\{ *[a-z][a-z0-9_]* *\}\}') with ordinality l (text, place)
    left join regexp_matches(p_text, '\{\{ *([a-z][a-z0-9_]*) *\}\}', 'g') with ordinality n (name, place) on n.place = l.place;
  return v_filled;
end
$$;

-- Returns a template with its parameters filled in, or null if there is no template.
create function punctual.fill_in_template(p_template jsonb, p_variables jsonb) returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
  if p_template is null or jsonb_typeof(p_template) = 'null' then return null; end if;
  return p_template || jsonb_build_object('parameters', (
    select coalesce(jsonb_agg(punctual.fill_in(p, p_variables) order by n), '[]')
      from jsonb_array_elements_text(p_template->'parameters') with ordinality e (p, n)));
end
$$;

-- Returns the names of the placeholders in a step or in an array of steps, sorted.
create function punctual.list_placeholders(p_steps jsonb) returns text[]
language plpgsql immutable set search_path = '' as $$
begin
  return (
    select coalesce(array_agg(distinct m[1] order by m[1]), '{}')
      from jsonb_array_elements(case jsonb_typeof(p_steps) when 'array' then p_steps else jsonb_build_array(p_steps) end) s
     cross join lateral (
       select s->>'body' as text union all select s->'reminder'->>'body'
        union all select p from jsonb_array_elements_text(case when jsonb_typeof(s->'template') = 'object' then s->'template'->'parameters' else '[]' end) p
        union all select p from jsonb_array_elements_text(
          case when jsonb_typeof(s->'reminder'->'template') = 'object' then s->'reminder'->'template'->'parameters' else '[]' end) p) t
     cross join lateral regexp_matches(t.text, '\{\{ *([a-z][a-z0-9_]*) *\}\}', 'g') m);
end
$$;
