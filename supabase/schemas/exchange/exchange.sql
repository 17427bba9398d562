-- Runs one exchange of a tick in one transaction: opens the tick, settles, sweeps, claims, and notes the counts in the ledger.
--
-- p_tick      {id, queue, partition, scheduler, path, schedule, slot, continuation, run_id, limit_seconds, lock, providers, reconciles, asked_for,
--             asked_limit, call_ms, schema}
--             providers: the configured providers, for queues with accounts.
--             reconciles: the queue can check unknown rows. If false, such a row waits for an operator at once.
--             asked_for: 'pending' or 'dead' if a person asks for due rows or redrives dead ones, up to asked_limit. Null for a scheduler.
--             call_ms: the time of this call in milliseconds: see is_call_over.
--             schema: the version that the code needs: see require_schema. A process sends it until an exchange is answered.
-- p_seq       1 for a tick's first exchange; each later exchange has a higher number. Several may run at once. An unanswered exchange is repeated
--             under its number, with the same providers and any outcomes. An exchange that is repeated, or that arrives after one with a higher
--             number, claims nothing and returns the rows that still run under its claim.
-- p_outcomes  {done, records} as settle_outcomes takes them, providers as note_providers takes them, progress as note_progress takes it.
-- p_want      the maximum number of rows to claim; null for the concurrency. The batch limit always applies.
-- p_close     closes the tick if this call returns no row.
-- p_report    stored in the ledger when the tick closes.
-- p_now       for tests. Production never sends it.
--
-- Returns {admitted, duplicate, paused, settings, claim_id, rows, settled, counts, swept, closed, outcome, probing, due, next_due_in_ms, checks_due,
-- schema}. counts: the tick's totals so far. due, next_due_in_ms and checks_due (unknown rows can be checked now) are set if the tick is closed.
-- schema, the database's version, is set if the tick sent one.
--
-- Raises PT404 for an unknown queue or partition, PT412 if the schema is behind, and 22023 for a tick without limit_seconds or for a state that
-- cannot be asked for.
--
-- Locks, in this order: the tick, which exchanges of one tick may share: see open_tick; the partition, if the tick is new, if the partition limits how
-- many rows run, or if accounts remain to be woken; accounts by id; rows by id; pace by account; providers by name; the tick's row, to add the counts.
-- Claims and receipts wait for no lock: they skip locked rows.
create function punctual.exchange(
  p_tick jsonb,
  p_seq integer default null,
  p_outcomes jsonb default '{}',
  p_want integer default 0,
  p_close boolean default false,
  p_report jsonb default null,
  p_now timestamptz default null
) returns json
language plpgsql
set search_path = ''
set statement_timeout = '4s'
set lock_timeout = '3s'
-- Every query here uses an index and reads few rows. Compiling one took 30 ms, and a sequential scan reads a million rows to count ten. Plans are
-- kept.
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  c punctual.call := punctual.open_call(p_tick, p_seq, p_want is distinct from 0, p_close, p_now);
  v_settled jsonb := punctual.settle_call(c, coalesce(p_outcomes, '{}'));
  v_settings punctual.tick_settings := punctual.settings_of(c, v_settled, (p_tick->>'asked_limit')::integer);
  v_want integer := least(coalesce(p_want, v_settings.concurrency), v_settings.batch_limit - (c.tick).claimed);
  v_swept integer := punctual.sweep_call(c, v_want);
  v_claimed punctual.claimed;
begin
  -- Locks providers after every step that may wait for a row, so that no session waits for a row while it holds a provider.
  if not c.is_repeated then perform punctual.note_providers(p_outcomes->'providers', c.now); end if;
  v_claimed := punctual.claim_call(c, v_want);
  c.tick := punctual.note_call(c, v_settled, v_swept, v_claimed, p_close, p_report);
  perform set_config('punctual.settles', '', true);
  return punctual.answer(c, v_settings, v_settled, v_swept, v_claimed, p_tick ? 'schema');
end
$$;

-- Builds the response of an exchange. The rows stay json: as jsonb each would be built twice.
create function punctual.answer(
  c punctual.call, p_settings punctual.tick_settings, p_settled jsonb, p_swept integer, p_claimed punctual.claimed, p_says_schema boolean) returns json
language plpgsql stable set search_path = '' as $$
declare
  t punctual.ticks := c.tick;
  v_has_closed boolean := t.closed_at is not null;
begin
  return json_build_object(
    'admitted', t.admitted, 'duplicate', t.duplicate, 'paused', c.paused, 'settings', to_json(p_settings),
    'claim_id', c.claim_id, 'rows', p_claimed.rows,
    'settled', p_settled, 'counts', punctual.counts_of(t), 'swept', p_swept,
    'closed', v_has_closed, 'outcome', t.outcome,
    'probing', array(select v.name from punctual.providers v where v.failures > 0 order by v.name),
    'due', t.report->'backlogDue', 'next_due_in_ms', t.report->'nextDueInMs',
    'checks_due', v_has_closed and t.admitted and punctual.are_checks_due(c.queue, c.providers, c.now),
    'schema', case when p_says_schema then punctual.schema_version() end);
end
$$;

-- Returns the counts of a tick from its row in the ledger.
create function punctual.counts_of(t punctual.ticks) returns json
language plpgsql immutable set search_path = '' as $$
begin
  return json_build_object('claimed', t.claimed, 'done', t.done, 'retried', t.retried, 'again', t.again, 'dead', t.dead, 'unknown', t.unknown,
                           'released', t.released, 'lost', t.lost, 'swept', t.swept);
end
$$;
