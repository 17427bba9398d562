-- Whether current_user may keep secrets in Supabase Vault.
create function punctual.has_vault() returns boolean
language sql stable set search_path = '' as $$
  select punctual.find_outside_function('{vault}', 'create_secret', '{new_secret,new_name,new_description}') is not null
     and exists (select from pg_catalog.pg_class c where c.relname = 'decrypted_secrets'
                  and c.relnamespace = (select n.oid from pg_catalog.pg_namespace n where n.nspname = 'vault')
                  and has_table_privilege(c.oid, 'select'))
$$;

-- Returns where a worker's token is kept: vault, table, or null if there is none.
create function punctual.find_token_place(p_name text) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_found boolean := false;
begin
  if punctual.has_vault() then
    execute 'select exists (select from vault.decrypted_secrets s where s.name = $1)' into v_found using 'punctual-' || p_name;
  end if;
  if v_found then return 'vault'; end if;
  return (select 'table' from punctual.queue_worker_tokens t where t.name = p_name);
end
$$;

create function punctual.read_token(p_name text) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_token text;
begin
  if punctual.find_token_place(p_name) = 'vault' then
    execute 'select s.decrypted_secret from vault.decrypted_secrets s where s.name = $1' into v_token using 'punctual-' || p_name;
    return v_token;
  end if;
  return (select t.token from punctual.queue_worker_tokens t where t.name = p_name);
end
$$;

-- Keeps a token in Vault if that is available, and only there: a token in our table moves to Vault.
create function punctual.save_token(p_name text, p_token text) returns void
language plpgsql set search_path = '' as $$
declare
  v_secret uuid;
begin
  if not punctual.has_vault() then
    insert into punctual.queue_worker_tokens (name, token) values (p_name, p_token) on conflict (name) do update set token = excluded.token;
    return;
  end if;
  execute 'select s.id from vault.decrypted_secrets s where s.name = $1' into v_secret using 'punctual-' || p_name;
  if v_secret is null then
    execute 'select vault.create_secret($1, $2, $3)'
      using p_token, 'punctual-' || p_name, format('The token of the worker %L', p_name);
  else
    execute 'select vault.update_secret($1, $2)' using v_secret, p_token;
  end if;
  delete from punctual.queue_worker_tokens t where t.name = p_name;
end
$$;
