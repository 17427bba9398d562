-- Returns notes about checks and triggers of the table that only a tick's write would test, and about a missing default of the status column.
create function punctual.list_table_notes(p_table regclass, q punctual.queues) returns text[]
language plpgsql stable set search_path = '' as $$
declare
  v_notes text[];
  v_default text;
begin
  select array_agg(n.note order by n.place, n.name) into v_notes from (
    select 1 as place, c.conname as name,
           case when bool_or(a.attname = q.status_column) then format('the check "%s" covers several columns: it must allow every word that a tick writes', c.conname)
                else format('the check "%s" is on %s: it must allow every value that a tick writes there', c.conname, string_agg(a.attname, ', ' order by a.attnum)) end as note
      from pg_catalog.pg_constraint c
      join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
       and (a.attname in (q.status_column, 'attempts') or a.attname in (select s.name from punctual.standard_columns(q) s where s.emptied))
     where c.conrelid = p_table and c.contype = 'c'
     -- check_status_words has tested the checks on the status column alone.
     group by c.oid, c.conname, c.conkey having cardinality(c.conkey) > 1 or not bool_or(a.attname = q.status_column)
    union all
    select 2, g.tgname, format('the trigger "%s" runs in ticks with an empty search_path: give %s() its own (set search_path = …), or qualify its names',
                               g.tgname, p.oid::regproc)
      from pg_catalog.pg_trigger g join pg_catalog.pg_proc p on p.oid = g.tgfoid
     where g.tgrelid = p_table and not g.tgisinternal and g.tgenabled <> 'D' and (g.tgtype & 16) <> 0
       and not exists (select from unnest(p.proconfig) o where o like 'search_path=%')) n;
  v_notes := coalesce(v_notes, '{}');
  select pg_get_expr(d.adbin, d.adrelid) into v_default
    from pg_catalog.pg_attribute a left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where a.attrelid = p_table and a.attname = q.status_column;
  if v_default is null or (v_default <> q.pending_word and not starts_with(v_default, quote_literal(q.pending_word) || '::')) then
    v_notes := v_notes || format('%s has no default ''%s'': set it on every row that should run', q.status_column, q.pending_word);
  end if;
  return v_notes;
end
$$;
