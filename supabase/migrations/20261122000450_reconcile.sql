-- What became of rows whose attempt is uncertain, by webhooks, by checks and by operators. The attempt's claim_id stays on the row all along, and
-- those of earlier uncertain attempts in `reconcile`. So proof of any of them counts. A finding that is no proof counts only for its own attempt.

-- Settles a row as a receipt, a check or an operator says: p_said is {outcome, error, result, event, text}, as settle takes them. The caller holds
-- the row's lock and has judged it in this state. Raises where the row cannot be written.
create function punctual.settle_judged(q punctual.queues, p_by text, p_id text, p_state text, p_said jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  perform punctual.settle_records(q, '[]', jsonb_build_array(p_said || jsonb_build_object('id', p_id, 'by', p_by, 'was', p_state)), p_now);
end
$$;

-- A row as the functions here judge it, locked; nothing where there is none, or somebody else has it and p_wait is false. content is all of
-- its columns.
create type punctual.locked_row as (id text, state text, claim_id uuid, reconcile jsonb, content jsonb);
create function punctual.lock_row(q punctual.queues, p_id text, p_wait boolean) returns punctual.locked_row
language plpgsql set search_path = '' as $$
declare
  r punctual.locked_row;
begin
  execute punctual.render_sql(q, 'select t.id::text, to_jsonb(t.*) from {table} t where t.id = $1::{id_type} for no key update '
                                 || case when p_wait then '' else 'skip locked' end)
  into r.id, r.content using p_id;
  r.state := punctual.state_of_word(q, r.content->>q.status_column);
  r.claim_id := (r.content->>'claim_id')::uuid;
  r.reconcile := case when jsonb_typeof(r.content->'reconcile') = 'object' then r.content->'reconcile' else '{}' end;
  return r;
end
$$;

-- Takes in what a provider told by webhook. p_receipts: [{kind, status, message_id, reference, provider_account_id, chat_id, recipient,
-- body, error, said_at, user_id}]. What was told before, or twice in one call, is left as it is. An inbox tells of everybody's messages: the text is
-- kept of conversations of ours only (see is_our_conversation), and of all others no more than who, where and when. What people wrote stops or
-- moves on their enrolments at once: none of their messages is claimed after this call. Answers {received, new}.
create function punctual.receive_receipts(p_provider text, p_receipts jsonb, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_new integer;
  v_heard bigint[];
begin
  -- A call with a reply that lacks the number and one that tells whose the user id is wait for each other: the second sees both.
  perform pg_advisory_xact_lock(hashtextextended('punctual user ' || n.user_id, 0))
     from (select distinct r.user_id from jsonb_to_recordset(p_receipts) r (user_id text)
            where r.user_id is not null and not exists (select from punctual.whatsapp_users u where u.user_id = r.user_id) order by 1) n;
  with written as (
  insert into punctual.receipts (provider, kind, status, message_id, reference, queue, row_id, provider_account_id, chat_id, recipient, body,
                                 error, said_at, received_at)
  select p_provider, r.kind, r.status, r.message_id, r.reference, q.name, case when q.name is not null then split_part(r.reference, '/', 2) end,
         r.provider_account_id, r.chat_id, r.recipient,
         case when r.body is not null and punctual.is_our_conversation(p_provider, r.provider_account_id, r.chat_id,
                punctual.names_of(r.recipient) || punctual.names_of(r.user_id), v_now) then r.body end,
         left(r.error, 2000), r.said_at, v_now
    from jsonb_to_recordset(p_receipts) r (kind text, status text, message_id text, reference text, provider_account_id text, chat_id text,
           recipient text, body text, error text, said_at timestamptz, user_id text)
    -- A reference of somebody else's names no row of ours; an id in the form of the queue's is one that can be looked up.
    left join punctual.queues q on q.name = split_part(r.reference, '/', 1)
      and split_part(r.reference, '/', 2) ~ case q.id_type when 'bigint' then '^[0-9]{1,18}$' else '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' end
   -- In one order, so that two calls with the same receipts wait for each other, and not each for the other.
   order by r.message_id, r.kind, r.status
  on conflict (provider, message_id, kind, status) do nothing returning id, kind, status)
  select count(*), array_agg(w.id order by w.id) filter (where w.kind = 'message' and w.status = 'received') into v_new, v_heard from written w;
  v_heard := v_heard || punctual.learn_whatsapp_users(p_receipts, v_now);
  if v_heard is not null then perform punctual.hear_replies(v_heard, v_now); end if;
  return jsonb_build_object('received', jsonb_array_length(p_receipts), 'new', v_new);
end
$$;

-- Which receipts are to be applied to rows, 200 at most. Those that tell what is known already, three to a message, are dealt with here, all at once.
-- Each row is looked up by its key, whatever its state: planned as a join, all rows of that state may be read for each receipt.
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

-- Makes use of receipts that name rows: of these rows (p_ids), or, when null, of all that nobody has made use of yet, a bounded number. Rows
-- that are running are left to their own settle, which comes here; those that could not be written are tried again in an hour.
create function punctual.apply_receipts(q punctual.queues, p_ids text[], p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_receipt punctual.receipts;
  v_ids bigint[];
  v_count integer := 0;
begin
  if p_ids = '{}' then return 0; end if;
  if p_ids is null then
    -- The common case: a look at the index, and no plan to be made.
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
      -- A row that its table's own triggers or checks let nobody write must not keep the others.
      perform punctual.note_error(q, v_receipt.row_id, format('what the provider told of it could not be made use of: %s', sqlerrm), p_now);
    end;
    exit when punctual.is_call_over();
  end loop;
  return v_count;
end
$$;

-- Answers whether it settled the row.
create function punctual.apply_receipt(q punctual.queues, p_receipt punctual.receipts, p_now timestamptz) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_row record;
  v_settles boolean := false;
begin
  select * into v_row from punctual.lock_row(q, p_receipt.row_id, false);
  -- Running, or locked by a settle: there will be a next time.
  if v_row.state = 'running' or (v_row.id is null and punctual.row_exists(q, p_receipt.row_id)) then return false; end if;
  -- Another database behind the same provider has rows of the same ids: only an attempt of this row's counts, made as this account.
  if v_row.id is not null and punctual.is_own(q, v_row.content, v_row.reconcile, p_receipt) then
    if p_receipt.status = 'failed' then
      -- The provider took the latest attempt and could not deliver it. Where it was delivered all the same, that is the later word.
      v_settles := v_row.state in ('unknown', 'done') and v_row.claim_id::text = split_part(p_receipt.reference, '/', 3)
               and coalesce(v_row.content->>q.proof_column = p_receipt.message_id, true) and not punctual.is_told(p_receipt, '{delivered, read}');
      if v_settles then
        perform punctual.settle_judged(q, 'receipt', v_row.id, v_row.state, jsonb_build_object(
          'outcome', 'dead', 'error', coalesce(p_receipt.error, 'the provider could not deliver it'), 'event', 'receipt',
          'text', format('the provider says that it could not deliver it: %s', coalesce(p_receipt.error, 'no reason given'))), p_now);
      end if;
    elsif p_receipt.status in ('sent', 'delivered', 'read') then
      v_settles := v_row.state in ('unknown', 'pending', 'dead', 'cancelled')
               and (p_receipt.status <> 'sent' or not punctual.is_told(p_receipt, '{failed}'));
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

-- Whether a receipt is of an attempt of this row: the latest, one that was uncertain, or, told by the row and the person that it names, one
-- that a restore of the database has lost.
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

-- An attempt says that it was done, and another has the row by now: its machine was suspended, or nobody heard of it in time. It went out all
-- the same. p_result as its outcome bears it.
create function punctual.hear_late(q punctual.queues, p_id text, p_claim_id text, p_result jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_row record;
  v_message text := p_result->>q.proof_column;
begin
  -- It waits for whoever has the row: what is not heard now is heard by nobody.
  select * into v_row from punctual.lock_row(q, p_id, true);
  if v_row.id is null or punctual.is_taken(q, v_message, p_id) then return; end if;
  -- No attempt of this row's: after a restore ids are given out a second time.
  if (v_row.reconcile->'claims' ? p_claim_id) is not true then return; end if;
  if v_row.state = 'running' then
    perform punctual.keep_late_proof(q, p_id, v_message, p_result, p_now);
  elsif v_row.state <> 'done' then
    perform punctual.settle_judged(q, 'receipt', p_id, v_row.state,
      jsonb_build_object('outcome', 'done', 'result', p_result, 'event', 'proved', 'text', 'an earlier attempt was delivered'), p_now);
  elsif (v_row.content->>q.proof_column = v_message) is not true then
    perform punctual.note_twice(q, p_id, v_message, p_now);
  end if;
end
$$;

-- Proof that an earlier attempt was delivered, of a row that another attempt has in hand: apply_late_proof hears it when that has ended.
create function punctual.keep_late_proof(q punctual.queues, p_id text, p_message_id text, p_result jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  execute format('update %I.%I t set reconcile = coalesce(t.reconcile, ''{}'') || $1 where t.id = $2::%s', q.table_schema, q.table_name, q.id_type)
  using jsonb_build_object('late_proof', jsonb_build_object('message_id', p_message_id, 'result', p_result)), p_id;
  insert into punctual.history (queue, row_id, at, event, text)
  values (q.name, p_id, p_now, 'late', format('an earlier attempt was delivered after all%s', ', as ' || p_message_id));
end
$$;

create function punctual.apply_late_proof(q punctual.queues, p_id text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_row record;
  v_proof jsonb;
begin
  select * into v_row from punctual.lock_row(q, p_id, false);
  v_proof := v_row.reconcile->'late_proof';
  if punctual.is_taken(q, v_proof->>'message_id', p_id) then return; end if;
  if v_row.state = 'done' and v_row.content->>q.proof_column is distinct from v_proof->>'message_id' then
    perform punctual.note_twice(q, p_id, v_proof->>'message_id', p_now);
  elsif v_row.state in ('pending', 'unknown', 'dead') then
    perform punctual.settle_judged(q, 'receipt', p_id, v_row.state,
      jsonb_build_object('outcome', 'done', 'result', v_proof->'result', 'event', 'proved', 'text', 'an earlier attempt was delivered'), p_now);
  end if;
end
$$;

create function punctual.note_twice(q punctual.queues, p_id text, p_message_id text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  insert into punctual.history (queue, row_id, at, event, text)
  select q.name, p_id, p_now, 'twice', v.text
    from (select format('an earlier attempt was delivered as well%s', ', as ' || p_message_id) as text) v
   -- An exchange whose answer was lost tells it again.
   where not exists (select from punctual.history h where h.queue = q.name and h.row_id = p_id and h.event = 'twice' and h.text = v.text);
end
$$;

-- Whether the provider has told one of p_statuses of the same message.
create function punctual.is_told(p_receipt punctual.receipts, p_statuses text[]) returns boolean
language sql stable set search_path = '' as $$
  select exists (select from punctual.receipts r where r.provider = p_receipt.provider and r.message_id = p_receipt.message_id
                    and r.kind = p_receipt.kind and r.status = any (p_statuses))
$$;

create function punctual.row_exists(q punctual.queues, p_id text) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_exists boolean;
begin
  execute format('select exists (select from %I.%I t where t.id = $1::%s)', q.table_schema, q.table_name, q.id_type) into v_exists using p_id;
  return v_exists;
end
$$;

insert into punctual.templates (verb, text) values ('are_checks_due', $template$
create function {function}(p_providers text[], p_now timestamptz) returns boolean
language plpgsql stable {keeps_plan} as $$
begin
  return exists (select from {table} t where {check_is_due});
end
$$
$template$), ('take_unknown', $template$
create function {function}(p_want integer, p_providers text[], p_until timestamptz, p_now timestamptz) returns jsonb
language plpgsql {keeps_plan} as $$
declare
  v_rows jsonb;
begin
  with taken as (
    update {table} u set reconcile_at = p_until
     where u.id = any (array(select t.id from {table} t where {check_is_due} order by t.reconcile_at, t.id limit p_want for no key update skip locked))
    returning u.*)
  select coalesce(jsonb_agg(jsonb_build_object(
           'id', t.id::text, 'claim_id', t.claim_id, 'attempted_at', coalesce((t.reconcile->>'first_at')::timestamptz, t.claimed_at),
           'over_seconds', extract(epoch from p_now - (t.reconcile->>'over_at')::timestamptz), 'row', to_jsonb(t.*),
           'account', (select {account_summary} from punctual.accounts a where a.id = (t.reconcile->>'account_id')::uuid))
           order by t.claimed_at, t.id), '[]')
    into v_rows from taken t;
  return v_rows;
end
$$
$template$);

-- Providers that may be asked now.
create function punctual.awake_providers(p_configured text[], p_now timestamptz) returns text[]
language plpgsql stable set search_path = '' as $$
begin
  return array(select c from unnest(p_configured) c
                where not exists (select from punctual.providers v where v.name = c and v.paused_until > p_now));
end
$$;

-- Whether the check of an unknown row is due.
create function punctual.are_checks_due(q punctual.queues, p_configured text[], p_now timestamptz) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_are_due boolean;
begin
  if q.delivery <> 'at-most-once' then return false; end if;
  execute format('select punctual.%I($1, $2)', q.name || '.are_checks_due') into v_are_due using punctual.awake_providers(p_configured, p_now), p_now;
  return v_are_due;
end
$$;

-- Takes unknown rows whose check is due, as many as run side by side: [{id, claim_id, attempted_at, over_seconds, row, account, evidence}].
-- attempted_at is of the first of its uncertain attempts, account is who it was sent as, over_seconds how long ago the attempt was over for certain,
-- negative while it is not. Each is taken again after p_lease_seconds, unless its finding has come by then. Waits for no row.
create function punctual.take_unknown(
  p_queue text, p_providers text[], p_lease_seconds double precision, p_want integer default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set lock_timeout = '3s'
  set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  q punctual.queues := punctual.read_queue(p_queue);
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_rows jsonb;
  v_evidence jsonb := '{}';
begin
  if q.delivery <> 'at-most-once' then return '[]'; end if;
  perform set_config('punctual.settles', q.name, true);
  -- What a webhook has told, nobody has to ask.
  perform punctual.apply_receipts(q, null, v_now);
  execute format('select punctual.%I($1, $2, $3, $4)', q.name || '.take_unknown') into v_rows
    using coalesce(p_want, q.concurrency), punctual.awake_providers(p_providers, v_now), v_now + make_interval(secs => p_lease_seconds), v_now;
  if v_rows <> '[]' and q.evidence is not null then
    execute format('select coalesce(%s($1, $2), ''{}'')', q.evidence)
    into v_evidence using array(select r->>'id' from jsonb_array_elements(v_rows) r), v_now;
  end if;
  perform set_config('punctual.settles', '', true);
  return (select coalesce(jsonb_agg(r || jsonb_build_object('evidence', v_evidence->(r->>'id')) order by n), '[]')
            from jsonb_array_elements(v_rows) with ordinality e (r, n));
end
$$;

-- Judges what checks found of unknown rows. p_findings: [{id, claim_id, over_seconds, proof: [{message_id, result}], candidates: [message_id],
-- absent_after_seconds, text, failed}]; over_seconds as take_unknown answered it, absent_after_seconds null where finding nothing proves nothing;
-- failed: the provider could not be asked. p_call_ms: see is_call_over.
--
-- Waits for no row and no account: what is locked at the moment is asked about again. Answers {checked, done, absent, dead}.
create function punctual.settle_findings(p_queue text, p_findings jsonb, p_call_ms integer default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' set lock_timeout = '3s'
  set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  q punctual.queues := punctual.read_queue(p_queue);
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_finding jsonb;
  v_message text;
  v_verdict text;
  v_counts jsonb := '{"checked": 0, "done": 0, "absent": 0, "dead": 0}';
begin
  perform set_config('punctual.settles', q.name, true);
  if p_call_ms is not null then perform set_config('punctual.call_ms', p_call_ms::text, true); end if;
  -- A message proves one row: whoever would prove another with it waits here.
  for v_message in
    select distinct m from jsonb_array_elements(p_findings) l cross join lateral (
      select p->>'message_id' as m from jsonb_array_elements(l->'proof') p union all select jsonb_array_elements_text(l->'candidates')) x order by 1
  loop
    perform pg_advisory_xact_lock(hashtextextended('punctual message ' || v_message, 0));
  end loop;
  -- In the order of the ids, as settles lock them.
  for v_finding in select l from jsonb_array_elements(p_findings) l order by length(l->>'id'), l->>'id' loop
    begin
      v_verdict := punctual.settle_finding(q, v_finding, v_now);
    exception when others then
      perform punctual.note_error(q, v_finding->>'id', format('what was found of it could not be written: %s', sqlerrm), v_now);
      v_verdict := null;
    end;
    -- One that comes a second time, since the answer to the first was lost, finds the row as it left it.
    continue when v_verdict = 'stale';
    v_counts := v_counts || jsonb_build_object('checked', (v_counts->>'checked')::integer + 1);
    if v_verdict is not null then
      v_counts := v_counts || jsonb_build_object(v_verdict, (v_counts->>v_verdict)::integer + 1);
    end if;
    -- The provider is asked about the others again.
    exit when punctual.is_call_over();
  end loop;
  perform set_config('punctual.settles', '', true);
  return v_counts;
end
$$;

-- One of them. Answers done, absent or dead; stale where there is nothing to find out any more; null where the row stays unknown.
create function punctual.settle_finding(q punctual.queues, p_finding jsonb, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  r punctual.locked_row := punctual.lock_row(q, p_finding->>'id', false);
  v_proof jsonb;
  v_has_candidate boolean;
  v_text text := p_finding->>'text';
begin
  if r.state = 'done' then return 'stale'; end if;
  if r.id is null then return null; end if;
  v_proof := (select p from jsonb_array_elements(p_finding->'proof') with ordinality e (p, n)
               where not punctual.is_taken(q, p->>'message_id', r.id) order by n limit 1);
  v_has_candidate := exists (select from jsonb_array_elements_text(p_finding->'candidates') d where not punctual.is_taken(q, d, r.id));
  if v_proof is not null and r.state <> 'running' and punctual.is_ambiguous(q, r.content) then
    v_proof := null;
    v_has_candidate := true;
    v_text := 'the message may be another row''s, which is being sent, or of which the provider did not say as what it was sent: look there';
  end if;
  if v_proof is not null then return punctual.settle_proof(q, r, v_proof, v_text, p_now); end if;
  -- Somebody was here meanwhile, and there is no proof against what they decided.
  if r.state <> 'unknown' or r.claim_id is distinct from (p_finding->>'claim_id')::uuid then return 'stale'; end if;
  if r.reconcile->>'digest' <> punctual.row_digest(q, r.content) then
    v_has_candidate := true;
    v_text := 'the row was changed since it was sent, so that nobody can look for what was sent';
  end if;
  if not v_has_candidate and (p_finding->>'over_seconds')::double precision >= (p_finding->>'absent_after_seconds')::double precision then
    return punctual.settle_absence(q, r, v_text, p_now);
  end if;
  perform punctual.check_again(q, r, p_finding, v_has_candidate, v_text, p_now);
  return null;
end
$$;

-- The attempt was delivered, as this message. That of a row which another attempt has in hand is kept until that has ended.
create function punctual.settle_proof(q punctual.queues, r punctual.locked_row, p_proof jsonb, p_text text, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  v_result jsonb := coalesce(p_proof->'result', '{}')
    || case when q.proof_column is null then '{}' else jsonb_build_object(q.proof_column, p_proof->>'message_id') end;
begin
  if r.state = 'running' then
    perform punctual.keep_late_proof(q, r.id, p_proof->>'message_id', v_result, p_now);
    return null;
  end if;
  perform punctual.settle_judged(q, 'check', r.id, r.state,
    jsonb_build_object('outcome', 'done', 'result', v_result, 'event', 'proved', 'text', p_text), p_now);
  return 'done';
end
$$;

-- The attempt had no effect. Null where the account's place cannot be given back just now.
create function punctual.settle_absence(q punctual.queues, r punctual.locked_row, p_text text, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  v_is_used_up boolean := (r.content->>'attempts')::integer >= coalesce((r.content->>'max_attempts')::integer, q.max_attempts);
begin
  if not punctual.give_place_back(q, r.content, p_now) then return null; end if;
  perform punctual.settle_judged(q, 'check', r.id, r.state, jsonb_build_object('event', 'absent', 'text', p_text,
    'outcome', case when v_is_used_up then 'dead' else 'pending' end,
    'error', format(case when v_is_used_up then 'it was not %s, and its attempts are used up' else 'it was not %s: the provider knows nothing of it' end,
                    q.done_word)), p_now);
  return case when v_is_used_up then 'dead' else 'absent' end;
end
$$;

-- Notes what was found of an unknown row, and when it is checked next.
create function punctual.check_again(
  q punctual.queues, r punctual.locked_row, p_finding jsonb, p_has_candidate boolean, p_text text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_failed boolean := coalesce((p_finding->>'failed')::boolean, false);
  v_over_seconds double precision := (p_finding->>'over_seconds')::double precision;
  v_checks integer := (r.reconcile->>'checks')::integer + 1;
  -- A check that never proves an absence is not worth more than a day of asking; receipts are still heard. One that fails is repeated.
  v_waits_for_operator boolean := p_has_candidate or (v_failed and v_over_seconds > 86400)
    or (not v_failed and p_finding->>'absent_after_seconds' is null and v_over_seconds > 3600);
begin
  execute punctual.render_sql(q, 'update {table} t set reconcile_at = $1, reconcile = t.reconcile || $2 where t.id = $3::{id_type}')
  using case when not (v_waits_for_operator and not v_failed and v_over_seconds > 86400) then punctual.next_check_at(v_checks, p_now) end,
        jsonb_build_object('checks', v_checks, 'checked_at', p_now, 'found', left(p_text, 2000), 'waits_for_operator', v_waits_for_operator), r.id;
  -- A person reads this: the same finding is not told twice.
  if left(p_text, 2000) is distinct from r.reconcile->>'found' then
    insert into punctual.history (queue, row_id, at, event, text) values (q.name, r.id, p_now, 'checked', left(p_text, 2000));
  end if;
end
$$;

-- Whether another row bears this message.
create function punctual.is_taken(q punctual.queues, p_message_id text, p_id text) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_taken boolean := false;
begin
  if q.proof_column is not null then
    execute format('select exists (select from %I.%I t where t.%I = $1 and t.id <> $2::%s)', q.table_schema, q.table_name, q.proof_column, q.id_type)
    into v_taken using p_message_id, p_id;
  end if;
  return v_taken;
end
$$;

-- Whether another row of the same account and addressee is being sent, or was sent since this one's attempt without the provider's saying
-- as what: the message that a check found may be that one's.
create function punctual.is_ambiguous(q punctual.queues, p_content jsonb) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_found boolean := false;
begin
  if q.pair_column is not null then
    execute punctual.render_sql(q, 'select exists (select from {table} t where t.{account} = $1 and t.{addressee} = $2 and t.id <> $3::{id_type} and '
      || case when q.proof_column is null then 't.{status} = {running})'
              else '(t.{status} = {running} or (t.{status} = {done} and t.{proof} is null and t.finished_at >= $4)))' end)
    into v_found using (p_content->>q.account_column)::uuid, p_content->>q.pair_column, p_content->>'id',
                       coalesce(p_content->'reconcile'->>'first_at', p_content->>'claimed_at')::timestamptz;
  end if;
  return v_found;
end
$$;

-- A claim proved to have had no effect: its place under the account's limits is free again. False when the account is locked just now.
create function punctual.give_place_back(q punctual.queues, p_content jsonb, p_now timestamptz) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_account uuid := (p_content->'reconcile'->>'account_id')::uuid;
  v_claimed_at timestamptz := (p_content->>'claimed_at')::timestamptz;
begin
  if q.account_column is null then return true; end if;
  perform from punctual.pace p where p.queue = q.name and p.account_id = v_account for no key update skip locked;
  if not found then return not exists (select from punctual.pace p where p.queue = q.name and p.account_id = v_account); end if;
  update punctual.pace p set
    -- A claim of an earlier day is not among those that are counted.
    used = case when v_claimed_at >= p.used_since then greatest(p.used - 1, 0) else p.used end,
    recent = coalesce(p.recent[:array_position(p.recent, v_claimed_at) - 1] || p.recent[array_position(p.recent, v_claimed_at) + 1:], p.recent),
    next_ok_at = '-infinity', waiting_for = null, ready_at = case when p.busy_until > p_now then p.ready_at else p_now end
   where p.queue = q.name and p.account_id = v_account;
  return true;
end
$$;

-- Says how a dead row is brought back. An enrolment goes back to the step that failed, so that its message is not sent beside it. Any other
-- row is made pending by hand: see requeue_by_hand. p_row: as it stands.
create function punctual.redo_hint(q punctual.queues, p_row jsonb) returns text
language plpgsql immutable set search_path = '' as $$
declare
  v_enrolment text := case q.name when 'enrolments' then p_row->>'id' when 'dm_queue' then p_row->>'enrolment_id' end;
begin
  if v_enrolment is not null then return format('To try its step again: POST /api/enrolments/%s/resume.', v_enrolment); end if;
  return punctual.render_sql(q, 'To do it again, run: update {table} set {status} = {pending}, attempts = 0 where id = %L', p_row->>'id');
end
$$;

-- An operator's decision on an unknown row: done, pending (it is sent again), dead or cancelled, or the queue's word for it. A pending row may be cancelled as well.
-- p_attempt: the attempt that it is about; of another one nothing is decided. Proof that comes later still prevails. Answers {status}.
create function punctual.resolve_row(
  p_queue text, p_id text, p_decision text, p_by text default null, p_note text default null, p_attempt integer default null,
  p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  q punctual.queues := punctual.read_queue(p_queue);
  v_decision text := punctual.state_of(q, p_decision);
  v_row record;
begin
  if v_decision is null or v_decision not in ('done', 'pending', 'dead', 'cancelled') then
    raise exception 'the decision is "%"', p_decision
      using errcode = '22023', hint = format('It is %s, %s, %s or %s.', q.done_word, q.pending_word, q.dead_word, q.cancelled_word);
  end if;
  if q.source = 'pgmq' then return punctual.resolve_message(q, p_id, v_decision, p_by, p_note, v_now); end if;
  if not punctual.is_id(q, p_id) then raise exception 'there is no row % in %', p_id, p_queue using errcode = 'PT404'; end if;
  perform set_config('punctual.settles', q.name, true);
  select * into v_row from punctual.lock_row(q, p_id, true);
  if v_row.id is null then raise exception 'there is no row % in %', p_id, p_queue using errcode = 'PT404'; end if;
  -- The truth may have come by webhook already. If so this call is refused, nothing of it stays, and the next tick writes it.
  if q.delivery = 'at-most-once' and punctual.apply_receipts(q, array[p_id], v_now) > 0 then
    select * into v_row from punctual.lock_row(q, p_id, true);
  end if;
  if v_row.state is distinct from 'unknown' and not (v_row.state = 'pending' and v_decision = 'cancelled') then
    raise exception 'the row is %', v_row.content->>q.status_column using errcode = 'PT409', detail = v_row.content->>q.status_column,
      hint = case when v_row.state = 'dead' and v_decision <> 'cancelled' then punctual.redo_hint(q, v_row.content) else '' end;
  end if;
  if p_attempt <> (v_row.content->>'attempts')::integer then
    raise exception 'the row was attempted again since, and is %', v_row.content->>q.status_column
      using errcode = 'PT409', detail = v_row.content->>q.status_column;
  end if;
  perform punctual.settle_judged(q, 'operator', p_id, v_row.state, jsonb_build_object('outcome', v_decision, 'event', 'decided',
    'error', case when v_decision in ('dead', 'cancelled') then coalesce(p_note, 'decided by an operator') end,
    'text', format('%s decided: %s%s', coalesce(p_by, 'an operator'), case v_decision when 'done' then 'it was ' || q.done_word when 'pending' then 'try it again'
                   when 'dead' then 'give it up' else 'cancel it' end, coalesce(' (' || p_note || ')', ''))), v_now);
  perform set_config('punctual.settles', '', true);
  return jsonb_build_object('status', punctual.word_of_state(q, v_decision));
end
$$;

select punctual.close_to_public();
select punctual.note_migration('20261122000450', 'reconcile');
