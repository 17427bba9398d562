-- Returns the fault of a URL, or null. The text does not repeat the URL, because a password in it may be the fault.
--
-- Over plain http others could read the token. So http is only for calls that do not leave the machine or its own network: loopback and private
-- addresses, and names without a dot, for example localhost or a Docker service.
create function punctual.fault_of_url(p_url text) returns text
language plpgsql immutable set search_path = '' as $$
declare
  -- The part between // and the path, and the host in it.
  v_authority text := (regexp_match(p_url, '^https?://([^/?]+)', 'i'))[1];
  v_host text := lower((regexp_match(v_authority, '^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?$', 'i'))[1]);
begin
  if p_url is null or v_authority is null then return 'must begin with https://'; end if;
  if length(p_url) > 2000 then return 'is longer than 2000 characters'; end if;
  if p_url !~ '^[!-~]+$' or p_url ~ '[\\"<>^`{|}#]' then
    return 'has white space, a fragment, or characters that must be percent-encoded';
  end if;
  if v_authority ~ '@' then return 'has a user or a password in it: the call authenticates with the token alone'; end if;
  if v_host is null then return 'has no valid host'; end if;
  if p_url ~* '^http:' and v_host !~ '^(localhost|[a-z][a-z0-9_-]*|([a-z0-9-]+\.)*(localhost|host\.docker\.internal)|\[::1\]|\[f[cd][0-9a-f:]+\])$'
     and v_host !~ '^(127|10)(\.[0-9]{1,3}){3}$|^192\.168(\.[0-9]{1,3}){2}$|^172\.(1[6-9]|2[0-9]|3[01])(\.[0-9]{1,3}){2}$' then
    return 'must begin with https://: over plain http others could read the token';
  end if;
  return null;
end
$$;
