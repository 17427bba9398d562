-- Counts the messages that are visible now, up to 1,000.
create function punctual.count_due_messages(p_partition text) returns integer
language plpgsql stable set search_path = '' as $$
declare
  v_found record;
  v_count integer;
begin
  select * into v_found from punctual.find_message_table(p_partition);
  if v_found.fault is not null then return 0; end if;
  execute format('select count(*) from (select from pgmq.%I t where t.vt <= $1 limit 1000) r', v_found.message_table)
  into v_count using clock_timestamp();
  return v_count;
end
$$;

-- Returns when the first message became visible (p_past), or when the next one will; null if there is none. A message under a lease of ours is not
-- the next one.
create function punctual.first_due_message_at(p_partition text, p_past boolean, p_now timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_found record;
  v_at timestamptz;
  -- Read once: Postgres uses no index for a condition with a volatile function.
  v_clock timestamptz := clock_timestamp();
begin
  select * into v_found from punctual.find_message_table(p_partition);
  if v_found.fault is not null then return null; end if;
  execute format(
    'select $1 + (t.vt - $3) from pgmq.%I t where t.vt %s $3 and t.vt < ''infinity'' and t.vt > ''-infinity'' %s '
    'order by t.vt limit 1', v_found.message_table, case when p_past then '<=' else '>' end,
    case when p_past then '' else 'and not exists (select from punctual.messages m where m.partition = $2 and m.msg_id = t.msg_id '
                                  'and m.state = ''running'')' end)
  into v_at using p_now, p_partition, v_clock;
  return v_at;
end
$$;
