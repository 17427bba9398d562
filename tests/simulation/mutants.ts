/** One edit to what is shipped, and the guarantee that goes with it. */
export interface Mutant {
  name: string;
  guarantee: string;
  file: string;
  /** Occurs exactly once. */
  find: string;
  replace: string;
}

const migration = (name: string) => `supabase/migrations/20261122000${name}.sql`;

/** Each takes away one mechanism; the simulation has to see that it is missing. */
export const mutants: Mutant[] = [
  {
    name: 'the fence',
    guarantee: 'an outcome moves a row only under its own claim',
    file: migration('400_settle'),
    find: `when b.claim_id is distinct from a.claim_id then 'lost'`,
    replace: `when b.id is null then 'lost'`,
  },
  {
    name: 'the cap',
    guarantee: 'no account passes its daily limit',
    file: migration('250_pace'),
    find: 'p_pace.used_on >= v_today and p_pace.used >= v_limit',
    replace: 'p_pace.used_on >= v_today and p_pace.used > v_limit',
  },
  {
    name: 'the hourly cap',
    guarantee: 'no account passes its hourly limit',
    file: migration('250_pace'),
    find: `p_pace.recent[v_claims - v_limit + 1] + interval '1 hour'`,
    replace: `p_pace.recent[v_claims - v_limit + 1] + interval '50 minutes'`,
  },
  {
    name: 'the gap',
    guarantee: 'an account keeps its gap',
    file: migration('250_pace'),
    find: 'v_last + make_interval(secs => coalesce(p_pace.gap_seconds, p_account.gap_seconds)',
    replace: 'v_last + make_interval(secs => 0.5 * coalesce(p_pace.gap_seconds, p_account.gap_seconds)',
  },
  {
    name: 'the hours',
    guarantee: 'an account keeps its hours in its own time zone',
    file: migration('250_pace'),
    find: 'v_until := punctual.next_open_at(v_hours, p_account.time_zone, open_at);',
    replace: `v_until := punctual.next_open_at(v_hours, 'UTC', open_at);`,
  },
  {
    name: 'the busy mark',
    guarantee: 'an account has one running row at a time',
    file: migration('300_claim'),
    find: 'busy_until = case when h.id is null then p.busy_until else $6 end',
    replace: 'busy_until = p.busy_until',
  },
  {
    name: 'the order',
    guarantee: 'within an account the oldest due row goes first',
    file: migration('300_claim'),
    find: 'order by coalesce(t.next_attempt_at, t.%1$I), t.id limit 1 %9$s) level_%7$s',
    replace: 'order by coalesce(t.next_attempt_at, t.%1$I) desc, t.id limit 1 %9$s) level_%7$s',
  },
  {
    name: 'the lease',
    guarantee: 'a row is not taken for dead while it is being performed',
    file: migration('500_exchange'),
    find: `v_lease_until := v_now + make_interval(secs => greatest(q.lease_seconds, (p_tick->>'limit_seconds')::double precision + 30));`,
    replace: 'v_lease_until := v_now + make_interval(secs => 5);',
  },
  {
    name: 'the sweep to unknown',
    guarantee: 'a row whose tick died is not sent again by itself',
    file: migration('300_claim'),
    find: `to_jsonb(t.*), t.lease_expires_at)', q.unknown_word, q.name)`,
    replace: `to_jsonb(t), t.lease_expires_at)', q.pending_word, q.name)`,
  },
  {
    name: 'the wait of the reconcile',
    guarantee: 'not finding a message proves nothing before it had its time to show',
    file: migration('450_reconcile'),
    find: 'if not v_doubted and v_over_seconds >= v_absent_after then',
    replace: 'if not v_doubted and v_absent_after is not null then',
  },
  {
    name: 'one message proves one row',
    guarantee: 'of identical messages each proves one row',
    file: migration('450_reconcile'),
    find: `where not punctual.is_taken(q, p->>'message_id', v_row.id) order by n limit 1`,
    replace: 'order by n limit 1',
  },
  {
    name: 'receipts at the settle',
    guarantee: 'a webhook that came first is heard by the settle',
    file: migration('400_settle'),
    find: `perform punctual.apply_receipts(q, array(select r->>'id' from jsonb_array_elements(v_applied) r`,
    replace: `perform punctual.apply_receipts(q, array(select r->>'none' from jsonb_array_elements('[]') r`,
  },
  {
    name: 'a webhook speaks of one attempt',
    guarantee: 'what failed of an earlier attempt says nothing of a later one',
    file: migration('450_reconcile'),
    find: `and v_row.claim_id::text = split_part(p_receipt.reference, '/', 3)
               and coalesce(v_row.content->>q.proof_column = p_receipt.message_id, true) and not`,
    replace: 'and not',
  },
  {
    name: 'a retry holds its account',
    guarantee: 'the rows behind a failed one do not overtake it, and the provider is left its pause',
    file: migration('400_settle'),
    find: 'retry_at = v.retry_at, ready_at = greatest(p_now, v.retry_at)',
    replace: 'retry_at = null, ready_at = p_now',
  },
  {
    name: 'the admission by the budget',
    guarantee: 'a tick is never killed at its limit',
    file: 'lib/engine/budget.ts',
    find: 'clock.now() + laterMs + timeoutMs <= abortAt',
    replace: 'clock.now() + laterMs < abortAt + timeoutMs',
  },
  {
    name: 'uncertain is not failed',
    guarantee: 'an attempt that may have had its effect is not repeated by itself',
    file: 'lib/engine/attempt.ts',
    find: `return delivery === 'at-most-once' ? { kind: 'unknown', error } : { kind: 'retry', error };`,
    replace: `return { kind: 'retry', error };`,
  },
  {
    name: 'the rest of a provider',
    guarantee: 'a provider that failed as a whole is left alone for a while',
    file: migration('300_claim'),
    find: 'if v_provider.paused_until > p_now or v_provider.probing_until > p_now then',
    replace: 'if v_provider.probing_until > p_now then',
  },
  {
    name: 'the look goes back to the attempt',
    guarantee: 'what the attempt left in the chat is found',
    file: 'lib/queues/dm-queue.ts',
    find: 'Date.parse(attemptedAt) - doubtMs',
    replace: 'Date.parse(attemptedAt) + doubtMs',
  },
];
