-- exchange() is the protocol between a tick and the database: one call of five steps, which open the tick, settle, sweep, claim and note.

-- count_due counts the due rows of a partition, up to 1,000; expired rows count until they are swept. first_due_at returns the first due time up to
-- now, next_due_at the first one after now. Both are null if there is none.
insert into punctual.templates (verb, text) values ('count_due', $template$
create function {function}(p_partition text, p_now timestamptz) returns integer
language plpgsql stable {keeps_plan} as $$
begin
  return (
    select count(*) from (
      select from {levels} cross join lateral (
        select from {table} t where t.{status} = {pending} {in_partition} and {at_level} and {due_at} <= p_now
         -- In an order, so that Postgres reads the index up to the limit. By a bitmap it would read the whole backlog first.
         order by {due_at}, t.id limit 1000) r
       limit 1000) c);
end
$$
$template$), ('first_due_at', $template$
create function {function}(p_partition text, p_now timestamptz) returns timestamptz
language plpgsql stable {keeps_plan} as $$
begin
  return (
    select min(r.due) from {levels} cross join lateral (
      select {due_at} as due from {table} t where t.{status} = {pending} {in_partition} and {at_level} and {due_at} <= p_now
       order by {due_at}, t.id limit 1) r);
end
$$
$template$), ('next_due_at', $template$
create function {function}(p_partition text, p_now timestamptz) returns timestamptz
language plpgsql stable {keeps_plan} as $$
begin
  return (
    select min(r.due) from {levels} cross join lateral (
      select {due_at} as due from {table} t where t.{status} = {pending} {in_partition} and {at_level} and {due_at} > p_now
       order by {due_at}, t.id limit 1) r
     where r.due < 'infinity');
end
$$
$template$);

-- Counts the due rows of a partition, up to 1,000.
create function punctual.count_due(q punctual.queues, p_partition text, p_now timestamptz) returns integer
language plpgsql stable set search_path = '' as $$
declare
  v_count integer;
begin
  execute format('select punctual.%I($1, $2)', q.name || '.count_due') into v_count using p_partition, p_now;
  return v_count;
end
$$;

-- Returns the first due time of a partition: up to now if p_past, else after now. Null if there is none.
create function punctual.first_due_at(q punctual.queues, p_partition text, p_past boolean, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_at timestamptz;
begin
  execute format('select punctual.%I($1, $2)', q.name || case when p_past then '.first_due_at' else '.next_due_at' end)
  into v_at using p_partition, p_now;
  return v_at;
end
$$;

-- Returns when the next row falls due or the next account of one of these providers (null: of any provider) is ready, whichever is first. Null if
-- nothing waits.
create function punctual.next_due_at(q punctual.queues, p_partition text, p_providers text[], p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return least(punctual.first_due_at(q, p_partition, false, p_now),
               (select min(r.ready_at)
                  from unnest(coalesce(p_providers, (select array_agg(distinct a.provider) from punctual.accounts a))) v (provider)
                 cross join lateral (
                   select p.ready_at from punctual.pace p
                    where p.queue = q.name and p.provider = v.provider and p.ready_at > p_now and p.ready_at < 'infinity'
                    order by p.ready_at limit 1) r));
end
$$;
