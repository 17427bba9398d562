-- Counts the running rows of a partition, up to p_most. first_ends_at: the earliest end of their leases.
insert into punctual.templates (verb, text) values ('count_running', $template$
create function {function}(p_partition text, p_most integer, out count integer, out first_ends_at timestamptz)
language plpgsql stable {keeps_plan} as $$
begin
  select count(*), min(r.lease_expires_at) into count, first_ends_at
    from (select t.lease_expires_at from {table} t where t.{status} = {running} {in_partition} limit p_most) r;
end
$$
$template$);

-- Returns how many rows a partition may start now: `most`, null without max_running. If head_id is set, only that row may start: it was attempted
-- before and finishes before any other. If none may start, `reason` says why and opens_at until when ('infinity': until a person acts).
--
-- Takes no locks. A caller that claims has locked the partition in an earlier statement: a statement that locks and counts would count stale rows.
create function punctual.partition_opening(
  q punctual.queues, p_partition punctual.partitions, p_now timestamptz,
  out most integer, out head_id text, out opens_at timestamptz, out reason text)
language plpgsql stable set search_path = '' as $$
declare
  v_head jsonb;
  v_again_at timestamptz;
begin
  opens_at := p_now;
  if p_partition.max_running is null then return; end if;
  if p_partition.max_running = 1 and p_partition.head_id is not null then
    execute format('select to_jsonb(t.*) from %I.%I t where t.id = $1::%s %s', q.table_schema, q.table_name, q.id_type,
                   case when q.partition_column is not null then format('and t.%I = $2', q.partition_column) end)
    into v_head using p_partition.head_id, p_partition.partition;
    v_again_at := coalesce(v_head->>'next_attempt_at', v_head->>q.due_column)::timestamptz;
    if v_head->>q.status_column = q.unknown_word then
      most := 0;
      opens_at := 'infinity';
      reason := format('row %s is %s, and has to be resolved first', p_partition.head_id, q.unknown_word);
      return;
    elsif v_head->>q.status_column = q.pending_word and ((v_head->>'attempts')::integer > 0 or v_head->>'next_attempt_at' is not null) then
      head_id := p_partition.head_id;
      most := case when v_again_at <= p_now then 1 else 0 end;
      if v_again_at < 'infinity' and most = 0 then
        opens_at := v_again_at;
        reason := format('row %s failed, will be retried, and goes first', head_id);
      elsif most = 0 then
        opens_at := 'infinity';
        reason := format('row %s has been attempted and goes first, but its %s is %s', head_id, q.due_column, coalesce(v_again_at::text, 'null'));
      end if;
      return;
    end if;
  end if;
  execute format('select * from punctual.%I($1, $2)', q.name || '.count_running') into most, opens_at using p_partition.partition, p_partition.max_running;
  most := p_partition.max_running - most;
  if most > 0 then
    opens_at := p_now;
  else
    reason := format('%s %s, and no more run side by side', p_partition.max_running,
                     case p_partition.max_running when 1 then 'row is running' else 'rows are running' end);
  end if;
end
$$;
