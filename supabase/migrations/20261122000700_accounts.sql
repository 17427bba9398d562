-- Accounts over the API. A plain insert or update of punctual.accounts does as well.

create function punctual.describe_account(p_account punctual.accounts) returns jsonb
language sql stable set search_path = '' as $$
  select to_jsonb(p_account) - 'created_at'
$$;

-- Adds an account, or changes the one that the provider knows by the same id; what is not named stays as it is.
create function punctual.save_account(p_account jsonb) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_account punctual.accounts;
begin
  insert into punctual.accounts as a (provider, provider_account_id, name, time_zone, daily_limit)
  values (p_account->>'provider', p_account->>'provider_account_id', p_account->>'name',
          coalesce(p_account->>'time_zone', 'UTC'), coalesce((p_account->>'daily_limit')::integer, 30))
  on conflict (provider, provider_account_id) do update set
    name = excluded.name,
    time_zone = coalesce(p_account->>'time_zone', a.time_zone),
    daily_limit = coalesce((p_account->>'daily_limit')::integer, a.daily_limit)
  returning a.* into v_account;
  return punctual.describe_account(v_account);
end
$$;

create function punctual.list_accounts() returns jsonb
language sql stable set search_path = '' set statement_timeout = '4s' as $$
  select coalesce(jsonb_agg(punctual.describe_account(a) order by a.name, a.id), '[]')
    from (select * from punctual.accounts order by name, id limit 1000) a
$$;

select punctual.close_to_public();
