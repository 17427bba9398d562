-- Adds the column if it is missing. Returns whether it was added. Raises 22023 if it exists with another type.
create function punctual.add_column(p_table regclass, p_column text, p_type text, p_definition text) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_there text;
begin
  select format_type(a.atttypid, null) into v_there from pg_catalog.pg_attribute a
   where a.attrelid = p_table and a.attname = p_column and not a.attisdropped;
  if v_there is null then
    execute format('alter table %s add column %I %s', p_table, p_column, p_definition);
    return true;
  end if;
  if v_there <> p_type then
    raise exception 'add_queue: the column % of % is %, and has to be %', p_column, p_table, v_there, p_type
      using errcode = '22023', hint = 'Rename your column, or change its type.';
  end if;
  return false;
end
$$;

-- Returns the name of the check on priorities.
create function punctual.priority_check(q punctual.queues) returns text
language sql immutable set search_path = '' as $$
  select 'punctual_' || q.name || '_priority'
$$;

-- Returns the standard columns that an outcome may set to null. A constant, because each new tick asks for it.
create function punctual.emptied_columns() returns text[]
language plpgsql immutable set search_path = '' as $$
begin
  return '{next_attempt_at,claim_id,lease_expires_at,last_error,finished_at,claimed_at,reconcile_at,reconcile}'::text[];
end
$$;

-- Lists the columns that every queue has besides id and the status column. emptied: an outcome may set the column to null.
create function punctual.standard_columns(
  q punctual.queues, out name text, out type text, out emptied boolean, out definition text) returns setof record
language sql stable set search_path = '' as $$
  select c.name, c.type, c.name = any (punctual.emptied_columns()), c.definition from (values
    ('priority', 'smallint', format('smallint not null default 1 constraint %I check (priority between 0 and 3)', punctual.priority_check(q))),
    ('attempts', 'integer', 'integer not null default 0'),
    ('max_attempts', 'integer', 'integer check (max_attempts > 0)'),
    ('next_attempt_at', 'timestamp with time zone', 'timestamptz'),
    ('claim_id', 'uuid', 'uuid'),
    ('lease_expires_at', 'timestamp with time zone', 'timestamptz'),
    ('timeout_seconds', 'integer', 'integer check (timeout_seconds > 0)'),
    ('last_error', 'text', 'text'),
    ('finished_at', 'timestamp with time zone', 'timestamptz'),
    ('expires_at', 'timestamp with time zone', 'timestamptz'),
    ('idempotency_key', 'text', 'text'),
    ('claimed_at', 'timestamp with time zone', 'timestamptz'),
    -- When an unknown row is checked next, and the evidence so far.
    ('reconcile_at', 'timestamp with time zone', 'timestamptz'),
    ('reconcile', 'jsonb', 'jsonb')) c (name, type, definition)
$$;
