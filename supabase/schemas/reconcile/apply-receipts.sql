-- Returns up to 200 receipts to apply to rows. First marks receipts of rows that are already done as applied, except `failed` ones, up to 2,000 at
-- once: a message has up to three. Looks each row up by its key, in any state: a plan with a join may read all rows of a state for each receipt.
-- Skips locked receipts.
insert into punctual.templates (verb, text) values ('pick_receipts', $template$
create function {function}(p_now timestamptz) returns bigint[]
language plpgsql {keeps_plan} as $$
begin
  update punctual.receipts r set applied_at = p_now
   where r.id = any (array(
           select x.id from punctual.receipts x
            cross join lateral (select o.{status} as status from {table} o where o.id = x.row_id::{id_type} limit 1) t
            where x.queue = {queue} and x.applied_at is null and x.status <> 'failed' and t.status = {done}
            limit 2000 for no key update of x skip locked));
  return array(
    select r.id from punctual.receipts r
      left join lateral (select o.{status} as status from {table} o where o.id = r.row_id::{id_type} limit 1) t on true
     where r.queue = {queue} and r.applied_at is null and (t.status = {running}) is not true and {unapplied}
     order by r.row_id limit 200);
end
$$
$template$);

-- Applies receipts to rows: those of the rows p_ids or, if null, a bounded number of all receipts that are not applied yet. Leaves running rows to
-- their own settle, which calls this function. A row that could not be written is tried again after an hour. Returns how many rows it settled.
-- Skips locked receipts and rows.
create function punctual.apply_receipts(q punctual.queues, p_ids text[], p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_receipt punctual.receipts;
  v_ids bigint[];
  v_count integer := 0;
begin
  if p_ids = '{}' then return 0; end if;
  if p_ids is null then
    -- The common case: reads an index and plans nothing.
    if not exists (select from punctual.receipts r where r.queue = q.name and r.applied_at is null) then return 0; end if;
    execute format('select punctual.%I($1)', q.name || '.pick_receipts') into v_ids using p_now;
  else
    v_ids := array(select r.id from punctual.receipts r where r.queue = q.name and r.applied_at is null and r.row_id = any (p_ids));
  end if;
  for v_receipt in
    select * from punctual.receipts r
     where r.id = any (v_ids) order by r.id for no key update skip locked
  loop
    begin
      v_count := v_count + punctual.apply_receipt(q, v_receipt, p_now)::integer;
    exception when others then
      -- A row that the table's triggers or checks refuse must not block the others.
      perform punctual.note_error(q, v_receipt.row_id, format('its receipt could not be applied: %s', sqlerrm), p_now);
    end;
    -- A settle brings few rows if calls are slow. A proved row must not become unknown.
    exit when p_ids is null and punctual.is_call_over();
  end loop;
  return v_count;
end
$$;

-- Applies one receipt. Returns whether it settled the row.
create function punctual.apply_receipt(q punctual.queues, p_receipt punctual.receipts, p_now timestamptz) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_row record;
  v_settles boolean := false;
begin
  select * into v_row from punctual.lock_row(q, p_receipt.row_id, false);
  -- Running, or locked by a settle: a later call applies it.
  if v_row.state = 'running' or (v_row.id is null and punctual.row_exists(q, p_receipt.row_id)) then return false; end if;
  -- Another database with the same provider may have a row with the same id. So the receipt must be of an attempt of this row, as this account.
  if v_row.id is not null and punctual.is_own(q, v_row.content, v_row.reconcile, p_receipt) then
    if p_receipt.status = 'failed' then
      -- The provider accepted the latest attempt and could not deliver it. A receipt of its delivery prevails.
      v_settles := v_row.state in ('unknown', 'done') and v_row.claim_id::text = split_part(p_receipt.reference, '/', 3)
               and coalesce(v_row.content->>q.proof_column = p_receipt.message_id, true) and not punctual.has_receipt(p_receipt, '{delivered, read}');
      if v_settles then
        perform punctual.settle_judged(q, 'receipt', v_row.id, v_row.state, jsonb_build_object(
          'outcome', 'dead', 'error', coalesce(p_receipt.error, 'the provider could not deliver it'), 'event', 'receipt',
          'text', format('the provider says that it could not deliver it: %s', coalesce(p_receipt.error, 'no reason given'))), p_now);
      end if;
    elsif p_receipt.status in ('sent', 'delivered', 'read') then
      v_settles := v_row.state in ('unknown', 'pending', 'dead', 'cancelled')
               and (p_receipt.status <> 'sent' or not punctual.has_receipt(p_receipt, '{failed}'));
      if v_settles then
        perform punctual.settle_judged(q, 'receipt', v_row.id, v_row.state, jsonb_build_object(
          'outcome', 'done', 'result', case when q.proof_column is not null then jsonb_build_object(q.proof_column, p_receipt.message_id) end,
          'event', 'receipt', 'text', format('the provider says that it is %s', p_receipt.status)), p_now);
      end if;
    end if;
  end if;
  update punctual.receipts r set applied_at = p_now where r.id = p_receipt.id;
  return coalesce(v_settles, false);
end
$$;

-- Returns whether a receipt is of an attempt of this row, as its account: of the latest attempt, of an uncertain one, or of one that a restore of the
-- database has lost. The last is recognised by the row and the recipient of the receipt.
create function punctual.is_own(q punctual.queues, p_content jsonb, p_reconcile jsonb, p_receipt punctual.receipts) returns boolean
language sql stable set search_path = '' as $$
  select (coalesce(p_content->>'claim_id' = c.claim, false) or coalesce(p_reconcile->'claims' ? c.claim, false)
          or coalesce(p_reconcile ? 'restored_to'
                      and p_receipt.recipient in (p_content->>q.pair_column, regexp_replace(p_content->>q.pair_column, '[^0-9]|^00', '', 'g')), false))
     and (q.account_column is null or exists (
       select from punctual.accounts a
        where a.id = coalesce(p_reconcile->>'account_id', p_content->>q.account_column)::uuid and a.provider = p_receipt.provider
          and coalesce(a.provider_account_id = p_receipt.provider_account_id, true)))
    from (select split_part(p_receipt.reference, '/', 3) as claim) c
$$;
