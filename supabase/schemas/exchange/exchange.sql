-- p_tick      {id, queue, partition, clock, path, schedule, slot, lap, chain, limit_seconds, lock, providers, seq, looks, looks_only, asked_for, asked_limit, call_ms, schema}.
--             providers: the ones that are configured, for queues with accounts.
--             looks: the most unknown rows to hand out for a look, when there is nothing to claim; looks_only: claim nothing.
--             asked_for: 'pending' or 'dead': somebody asked for due rows, or for dead ones to be run once more, asked_limit of them at most.
--             call_ms: for this call: see is_call_over.
--             schema: see require_schema. A process says it until an exchange has answered.
--             seq: 1 for a tick's first exchange, one more for each; a repeated exchange bears its old one.
-- p_claim_id  new for every exchange; a repeated one answers the rows that still run under it, and claims nothing.
-- p_outcomes  as settle_outcomes takes them, and besides
--             providers: as note_providers takes them;
--             release_claims: [claim_id] of this tick whose rows never arrived, to be given back;
--             looks: as settle_looks takes them;
--             progress: as note_progress takes it.
-- p_want      the most rows to claim; null for as many as may run side by side. The batch limit holds in any case.
-- p_close     'no'; 'if_drained': close the tick if there was nothing to claim and nothing to look at; 'yes'.
-- p_report    kept in the ledger when the tick is closed.
-- p_now       for tests; production never sends it.
--
-- Answers {admitted, duplicate, paused, settings, rows, looks, settled, resolved, totals, swept, closed, outcome, probing, due,
-- next_due_in_ms}; totals: {looked, resolved} of the tick so far. due and
-- next_due_in_ms are there when this call closed the tick, and schema, the database's version, when the tick said one.
--
-- Locks, in this order: tick, partition (when the tick is new, the partition lets only so many rows run, or not all accounts are woken),
-- accounts by id, rows by id, pace by account, providers by name. Claims, and whoever reads receipts, wait for nobody: they skip what is
-- locked.
create function punctual.exchange(
  p_tick jsonb,
  p_claim_id uuid,
  p_outcomes jsonb default '{}',
  p_want integer default 0,
  p_close text default 'no',
  p_report jsonb default null,
  p_now timestamptz default null
) returns json
language plpgsql
set search_path = ''
set statement_timeout = '4s'
set lock_timeout = '3s'
-- Every look-up here is by an index and takes a few rows; compiling one took 30 ms, and a scan reads a million rows to count ten. Plans are kept.
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  c punctual.call;
  v_settings record;
  v_settled jsonb;
  v_looked jsonb;
  v_swept integer := 0;
  v_rows json[] := '{}';
  v_more boolean := false;
  v_looks jsonb := '[]';
  v_noted record;
begin
  perform punctual.begin_call(p_tick, p_close);
  c := punctual.open_call(p_tick, p_claim_id, p_want, p_now);

  v_settled := punctual.settle_call(c, coalesce(p_outcomes, '{}'));
  v_looked := punctual.settle_looks(c.queue, case when c.seq > (c.tick).last_seq then p_outcomes->'looks' end, c.now);
  -- A limit that this tick has met takes effect at once.
  c.tick.limited := (c.tick).limited + (v_settled->>'limited')::integer;
  select * into v_settings from punctual.settings_of(c.queue, c.partition, c.tick);
  v_settings.batch_limit := coalesce((p_tick->>'asked_limit')::integer, v_settings.batch_limit);
  p_want := case when (c.tick).looks_only then 0 else least(coalesce(p_want, v_settings.concurrency), v_settings.batch_limit - (c.tick).claimed) end;

  if punctual.may_claim(c) then
    if c.is_new then perform punctual.arrive(c); end if;
    -- In a paused queue, too: what died there is not to look as if it still ran.
    if p_want > 0 then v_swept := punctual.sweep(c.queue, c.now); end if;
  end if;
  -- After all that may wait for a row: whoever holds a provider waits for none.
  if c.seq > (c.tick).last_seq then perform punctual.note_providers(p_outcomes->'providers', c.now); end if;
  if c.repeated is not null then
    v_rows := array(select r::json from jsonb_array_elements(punctual.list_claimed(c.queue, c.repeated, 'rows')) r);
  elsif p_want > 0 and c.paused is null and punctual.may_claim(c) then
    select r.rows, r.more into v_rows, v_more from punctual.claim_call(c, p_claim_id, p_want) r;
  end if;
  v_rows := punctual.add_facts(c.queue, v_rows, c.now);
  if (p_tick->>'looks')::integer > 0 and (c.queue).delivery = 'at-most-once' and cardinality(v_rows) = 0 and not v_more and p_close = 'if_drained' and punctual.may_claim(c) then
    v_looks := punctual.claim_looks(c.queue, (p_tick->>'looks')::integer, c.providers, (p_tick->>'limit_seconds')::double precision + 30, c.now);
  end if;

  select * into v_noted from punctual.note_call(c, v_settled, v_looked, v_swept,
    case when c.repeated is null and cardinality(v_rows) > 0 then jsonb_build_array(jsonb_build_object('claim_id', p_claim_id, 'lease_expires_at', c.lease_until)) end,
    case when c.repeated is null then cardinality(v_rows) else 0 end,
    (c.tick).closed_at is null and (p_close = 'yes' or not (c.tick).admitted or (v_looks = '[]'
      and ((c.is_new and c.paused is not null) or (p_close = 'if_drained' and cardinality(v_rows) = 0 and not v_more)))),
    p_report);
  perform set_config('punctual.settles', '', true);
  return punctual.answer(c, to_jsonb(v_settings), v_noted.tick, v_rows, jsonb_build_object(
    'looks', v_looks, 'settled', v_settled, 'resolved', v_looked, 'swept', v_swept, 'due', v_noted.due, 'next_due_in_ms', v_noted.next_due_in_ms,
    'schema', case when p_tick ? 'schema' then punctual.schema_version() end));
end
$$;

-- What an exchange answers. p_settings: as settings_of has them; p_more: what has been reckoned before. The rows stay json: as jsonb each is built
-- twice.
create function punctual.answer(c punctual.call, p_settings jsonb, p_tick punctual.ticks, p_rows json[], p_more jsonb) returns json
language plpgsql stable set search_path = '' as $$
declare
  q punctual.queues := c.queue;
begin
  return json_build_object(
    'admitted', p_tick.admitted,
    'duplicate', p_tick.duplicate,
    'paused', c.paused,
    'settings', p_settings || jsonb_build_object(
      'delivery', q.delivery,
      'max_ticks', coalesce((c.partition).max_ticks, q.max_ticks),
      'max_laps', q.max_laps,
      'lease_seconds', extract(epoch from c.lease_until - c.now),
      'backoff_base_seconds', q.backoff_base_seconds,
      'backoff_cap_seconds', q.backoff_cap_seconds),
    'rows', p_rows,
    'looks', p_more->'looks',
    'settled', p_more->'settled',
    'resolved', p_more->'resolved',
    'totals', json_build_object('looked', p_tick.looked, 'resolved', p_tick.resolved),
    'swept', p_more->'swept',
    'closed', p_tick.closed_at is not null,
    'outcome', p_tick.outcome,
    'probing', array(select v.name from punctual.providers v where v.failures > 0 order by v.name),
    'due', p_more->'due',
    'next_due_in_ms', p_more->'next_due_in_ms',
    'schema', p_more->'schema');
end
$$;

-- Claimed rows with the facts that their queue's function knows of them.
create function punctual.add_facts(q punctual.queues, p_rows json[], p_now timestamptz) returns json[]
language plpgsql set search_path = '' as $$
declare
  v_facts jsonb;
begin
  if q.facts is null or cardinality(p_rows) = 0 then return p_rows; end if;
  execute format('select %s($1, $2)', q.facts) into v_facts using array(select r->>'id' from unnest(p_rows) r), p_now;
  if v_facts is null then return p_rows; end if;
  return array(select case when v_facts ? (r->>'id') then (r::jsonb || jsonb_build_object('facts', v_facts->(r->>'id')))::json else r end
                 from unnest(p_rows) with ordinality e (r, n) order by n);
end
$$;

-- The rows that still run under a claim, p_as 'rows' as a claim answers them, or 'releases' as outcomes that give them back. Found by the
-- index on leases: all rows of a claim bear the same one.
create function punctual.list_claimed(q punctual.queues, p_claim jsonb, p_as text) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_rows jsonb;
  v_select text := case
    when p_as = 'releases' then 'jsonb_build_object(''id'', t.id::text, ''claim_id'', t.claim_id, ''outcome'', ''release'')'
    else format('jsonb_build_object(''id'', t.id::text, ''attempt'', t.attempts, ''timeout_seconds'', t.timeout_seconds, ''row'', to_jsonb(t.*)) || %s',
      case when q.account_column is null then '''{}''' else format(
        'jsonb_build_object(''account'', (select jsonb_build_object(''id'', a.id, ''provider'', a.provider, ''provider_account_id'', '
        'a.provider_account_id, ''name'', a.name) from punctual.accounts a where a.id = t.%I))', q.account_column) end) end;
begin
  if q.source = 'pgmq' then return punctual.list_claimed_messages(q, p_claim, p_as); end if;
  execute punctual.render_sql(q, 'select jsonb_agg(%s order by t.priority, coalesce(t.next_attempt_at, t.%I), t.id) from %I.%I t '
                 'where t.{status} = %L and t.lease_expires_at = $1 and t.claim_id = $2',
                 v_select, q.due_column, q.table_schema, q.table_name, q.running_word)
  into v_rows using (p_claim->>'lease_expires_at')::timestamptz, (p_claim->>'claim_id')::uuid;
  return coalesce(v_rows, '[]');
end
$$;
