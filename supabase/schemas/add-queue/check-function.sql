-- Returns the function's name as the registry stores it; null for null. p_types: the types of its arguments. p_said: its arguments for messages.
-- Raises 42883 if it does not exist, and 42501 if ticks may not call it or if its owner lacks the rights of Punctual's owner: calls by Punctual's
-- owner run it with these rights, and its owner could replace it.
create function punctual.check_function(p_function text, p_types text, p_said text) returns punctual.function_name
language plpgsql set search_path = '' as $$
declare
  v_function regprocedure;
begin
  if p_function is null then return null; end if;
  begin
    v_function := to_regprocedure(p_function || p_types);
  exception when others then
    -- Text that is not a name raises here.
    v_function := null;
  end;
  if v_function is null then
    raise exception 'add_queue: there is no function %(%)', p_function, p_said
      using errcode = '42883', hint = 'Create it first, and name it with its schema.';
  end if;
  if not has_function_privilege('service_role', v_function, 'execute') then
    raise exception 'add_queue: ticks run as service_role, which may not call %', p_function
      using errcode = '42501', hint = 'Run: grant execute on function … to service_role; grant usage on schema … to service_role.';
  end if;
  if exists (select from pg_catalog.pg_proc p where p.oid = v_function and not punctual.has_owner_rights(p.proowner)) then
    raise exception 'add_queue: the owner of % lacks the rights of Punctual’s owner', p_function
      using errcode = '42501', hint = 'Run: alter function … owner to the owner of the schema punctual.';
  end if;
  return (select format('%I.%I', n.nspname, p.proname)
            from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace where p.oid = v_function);
end
$$;
