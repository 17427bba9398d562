-- Lists every index that a queue may have. definition: null if this queue lacks it. Each is partial, so settled rows do not slow a claim.
create function punctual.queue_indexes(q punctual.queues, out name text, out is_unique boolean, out definition text) returns setof record
language sql stable set search_path = '' as $$
  select 'punctual_' || q.name || i.suffix, i.suffix = '_key', punctual.render_sql(q, i.template)
    from (select case when q.partition_column is null then '(' else '({partition}, ' end, '(coalesce(next_attempt_at, {due}))') v (first, due)
   cross join lateral (values
     ('_due', case when q.account_column is null
       then v.first || 'priority, ' || v.due || ', id) where {status} = {pending}'
       -- For queries on the whole queue, never on one account's rows: with stale statistics the planner would scan it once for each account. The
       -- condition on priority is always true. Queries on an account's rows do not state it, so they cannot use this index.
       else v.first || v.due || ', id) where {status} = {pending} and priority + 0 >= 0' end),
     ('_lease', '(lease_expires_at) where {status} = {running}'),
     ('_expiry', '(expires_at) where {status} = {pending} and expires_at is not null'),
     ('_settled', '({status}, finished_at) where {status} in ({done}, {dead}, {unknown}, {cancelled})'),
     -- Dead rows are redriven by partition, the longest dead first.
     ('_dead', case when q.partition_column is not null then '({partition}, finished_at, id) where {status} = {dead}' end),
     ('_account', case when q.account_column is not null then '({account}, priority, ' || v.due || ', id) where {status} = {pending}' end),
     ('_reconcile', case when q.delivery = 'at-most-once' then '(reconcile_at) where {status} = {unknown} and reconcile_at is not null' end),
     ('_proof', case when q.proof_column is not null then '({proof}) where {proof} is not null' end),
     -- Rows that were sent without a provider's id. Their message must not prove another row.
     ('_unproved', case when q.proof_column is not null and q.pair_column is not null
       then '({account}, {addressee}) where {status} = {done} and {proof} is null' end),
     -- Rows without a due time that wait for no event, among the many that do.
     ('_stranded', case when q.waits_column is not null then '(id) where {status} = {pending} and ' || v.due || ' is null and {waits} is null' end),
     ('_key', '(idempotency_key) where idempotency_key is not null')) i (suffix, template)
$$;

-- Creates the queue's indexes. Drops an index whose words or columns have changed, and those that a removed queue of this name left on this table.
-- p_before: the queue as it was; null if there was none. Raises 23505 for a duplicate idempotency_key, and 42P07 if an index of that name is on
-- another table.
create function punctual.make_queue_indexes(p_table regclass, q punctual.queues, p_before punctual.queues) returns void
language plpgsql set search_path = '' as $$
declare
  v_index record;
  v_key text;
begin
  execute format('select idempotency_key from %s where idempotency_key is not null group by 1 having count(*) > 1 limit 1', p_table) into v_key;
  if v_key is not null then
    raise exception 'add_queue: two rows of % have the idempotency_key "%"', p_table, v_key
      using errcode = '23505', hint = 'Keys must be unique: set one of them to null, or rename your column.';
  end if;
  for v_index in
    select n.*, p_before.name is not null and n.definition is not distinct from b.definition as is_same,
           i.indexrelid::regclass as there, i.indrelid::regclass as its_table
      from punctual.queue_indexes(q) n
      left join punctual.queue_indexes(case when p_before.name is null then q else p_before end) b on b.name = n.name
      join pg_catalog.pg_class t on t.oid = p_table
      left join pg_catalog.pg_class c on c.relname = n.name and c.relnamespace = t.relnamespace
      left join pg_catalog.pg_index i on i.indexrelid = c.oid
  loop
    if v_index.its_table <> p_table then
      raise exception 'add_queue: the index % belongs to %', v_index.there, v_index.its_table
        using errcode = '42P07', hint = 'A removed queue of this name left it. Drop its indexes.';
    end if;
    if v_index.there is not null and not v_index.is_same then execute format('drop index %s', v_index.there); end if;
    if v_index.definition is not null then
      execute format('create %s index if not exists %I on %s %s',
                     case when v_index.is_unique then 'unique' else '' end, v_index.name, p_table, v_index.definition);
    end if;
  end loop;
end
$$;
