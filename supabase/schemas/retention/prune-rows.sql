-- Returns the instant before which retention may delete rows that are rolled up by day. Rows that are not rolled up yet stay up to seven days longer.
create function punctual.prune_before(p_before timestamptz, r punctual.rollups, p_zone text) returns timestamptz
language sql stable set search_path = '' as $$
  select case when p_before is not null
              then least(p_before, greatest(punctual.day_start(r.rolled_until, p_zone), p_before - interval '7 days')) end
$$;

-- Deletes up to p_limit rows of one of Punctual's own tables whose p_column is before p_before, the oldest first. Skips locked rows. p_where: a
-- further condition, as SQL on x. Returns how many; none if p_before is null.
create function punctual.delete_old(p_table text, p_column text, p_before timestamptz, p_limit integer, p_where text default 'true') returns integer
language plpgsql set search_path = '' as $$
declare
  v_count integer;
begin
  execute format('delete from punctual.%I t where t.ctid = any (array('
                 'select x.ctid from punctual.%I x where x.%I < $1 and %s order by x.%I limit $2 for update skip locked))',
                 p_table, p_table, p_column, p_where, p_column) using p_before, p_limit;
  get diagnostics v_count = row_count;
  return v_count;
end
$$;

-- Returns SQL of a condition on the row s: a person decided that it was sent, so it bears no provider's id, and another row to the same addressee
-- was uncertain and is not settled. Without s, the message of s would prove that other row. Each state is read by its own index.
create function punctual.still_needed(q punctual.queues) returns text
language sql stable set search_path = '' as $$
  select case when q.proof_column is null or q.pair_column is null then 'false' else punctual.render_sql(q, $sql$
    s.{status} = {done} and s.{proof} is null and exists (
      select from (select x.* from {table} x where x.{status} = {unknown}
                   union all select x.* from {table} x where x.{status} = {running}
                   union all select x.* from {table} x where x.{status} = {pending} and x.{account} = s.{account}) o
       where o.{account} = s.{account} and o.{addressee} = s.{addressee} and o.reconcile is not null)$sql$) end
$$;

-- Deletes settled rows by id. The caller holds their locks. Idempotency keys outlive their rows: see keeps_keys. Returns how many.
create function punctual.delete_rows(q punctual.queues, p_ids text[], p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_count integer;
begin
  execute punctual.render_sql(q, $sql$
    with gone as (delete from {table} t where t.id = any ($1::{id_type}[]) returning t.id, t.idempotency_key, t.{status}::text as word),
    spent as (
      insert into punctual.spent_keys (queue, key, row_id, status, spent_at)
      select {queue}, g.idempotency_key, g.id::text, g.word, $2 from gone g where g.idempotency_key is not null and $3 on conflict do nothing)
    select count(*) from gone
    $sql$) into v_count using p_ids, p_now, punctual.keeps_keys(q.name);
  return v_count;
end
$$;

-- Deletes a queue's settled rows that finished before p_before, up to p_limit of each state. Unknown rows stay, because they wait for a decision,
-- and so do rows that are still_needed. In pgmq, deletes messages that were set aside. Skips locked rows. Returns the number of rows of each state;
-- p_limit means that there may be more.
create function punctual.prune_rows(q punctual.queues, p_before timestamptz, p_limit integer, p_now timestamptz) returns integer[]
language plpgsql set search_path = '' as $$
declare
  v_word text;
  v_ids text[];
  v_counts integer[] := '{}';
begin
  if q.source = 'pgmq' then return array[punctual.prune_messages(q, p_before, p_limit)]; end if;
  foreach v_word in array array[q.done_word, q.dead_word, q.cancelled_word] loop
    execute punctual.render_sql(q, $sql$
      select array(select s.id::text from {table} s where s.{status} = %L and s.finished_at < $1 and not (%s)
                    order by s.finished_at limit $2 for update skip locked)
      $sql$, v_word, punctual.still_needed(q))
    into v_ids using p_before, p_limit;
    v_counts := v_counts || punctual.delete_rows(q, v_ids, p_now);
  end loop;
  return v_counts;
end
$$;
