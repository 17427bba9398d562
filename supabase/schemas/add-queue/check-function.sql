-- The function's name as the registry keeps it; null for none. Refuses one that is not there, that ticks may not call, or that another than
-- the owner could replace: what the owner calls runs it as the owner. p_types: of its arguments; p_said: its arguments as people are told.
create function punctual.check_function(p_function text, p_types text, p_said text) returns punctual.function_name
language plpgsql set search_path = '' as $$
declare
  v_function regprocedure;
begin
  if p_function is null then return null; end if;
  begin
    v_function := to_regprocedure(p_function || p_types);
  exception when others then
    -- What is no name at all is raised as an error of its own.
    v_function := null;
  end;
  if v_function is null then
    raise exception 'add_queue: there is no function %(%)', p_function, p_said
      using errcode = '42883', hint = 'Create it first, and name it with its schema.';
  end if;
  if not has_function_privilege('service_role', v_function, 'execute') then
    raise exception 'add_queue: service_role, as which ticks run, may not call %', p_function
      using errcode = '42501', hint = 'grant execute on function … to service_role, and on its schema usage.';
  end if;
  if exists (select from pg_catalog.pg_proc p where p.oid = v_function and not punctual.is_as_mighty(p.proowner)) then
    raise exception 'add_queue: the owner of %, who could replace it, is not Punctual’s', p_function
      using errcode = '42501', hint = 'alter function … owner to the owner of the schema punctual.';
  end if;
  return (select format('%I.%I', n.nspname, p.proname)
            from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace where p.oid = v_function);
end
$$;
