import { type Mutant, migration } from './mutant';

const enrolments = 'supabase/migrations/20261122001700_enrolments.sql';
const sequences = 'supabase/migrations/20261122001800_sequences.sql';
const replies = 'supabase/migrations/20261122001750_replies.sql';

/** Each takes away one mechanism; the simulation has to see that it is missing. */
export const simulationMutants: Mutant[] = [
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
    find: 'Date.parse(attemptedAt) - clockRoomMs',
    replace: 'Date.parse(attemptedAt) + clockRoomMs',
  },
  {
    name: 'a step is queued where its enrolment is advanced (a crash loses the message)',
    guarantee: 'a step and its place in the sequence are written in one transaction',
    file: enrolments,
    find: `from judged j left join queued q on q.enrolment_id = j.id
   where t.id = j.id;`,
    replace: `from judged j left join queued q on q.enrolment_id = j.id
   where t.id = j.id;
  perform set_config('punctual.settles', 'on', true);
  delete from punctual.dm_queue d where d.created_at = p_now and d.enrolment_id % 5 = 0;
  perform set_config('punctual.settles', '', true);`,
  },
  {
    name: 'a step is queued where its enrolment is advanced (it stays as it was)',
    guarantee: 'a step and its place in the sequence are written in one transaction',
    file: enrolments,
    find: `message_id = q.id,
    next_step_at = case when q.id is null then j.opens_at end,`,
    replace: `message_id = null,
    next_step_at = coalesce(j.opens_at, p_now) + interval '10 minutes',`,
  },
  {
    name: 'a step is queued where its enrolment is advanced (it is advanced alone)',
    guarantee: 'a step and its place in the sequence are written in one transaction',
    file: enrolments,
    find: 'next_step_at = case when q.id is null then j.opens_at end,',
    replace: 'next_step_at = null,',
  },
  {
    name: 'a tick has no say in an enrolment that was written meanwhile',
    guarantee: 'what was stopped, paused or answered while its tick ran is not advanced by it',
    file: enrolments,
    find: `claim_id = null, lease_expires_at = null, next_attempt_at = null, attempts = 0
   where t.id = e.id;`,
    replace: `next_attempt_at = null, attempts = 0
   where t.id = e.id;`,
  },
  {
    name: 'what is stopped has its message withdrawn',
    guarantee: 'nothing is claimed after it was stopped',
    file: enrolments,
    find: `if punctual.withdraw_message(e.message_id, format('its enrolment %s is over: %s', e.id, p_phase), p_now) then`,
    replace: `if p_phase <> 'stopped' and punctual.withdraw_message(e.message_id, format('its enrolment %s is over: %s', e.id, p_phase), p_now) then`,
  },
  {
    name: 'what was answered has its message withdrawn',
    guarantee: 'nothing is claimed after a reply that stops',
    file: enrolments,
    find: `if punctual.withdraw_message(e.message_id, format('its enrolment %s is over: %s', e.id, p_phase), p_now) then`,
    replace: `if p_phase <> 'replied' and punctual.withdraw_message(e.message_id, format('its enrolment %s is over: %s', e.id, p_phase), p_now) then`,
  },
  {
    name: 'what is paused has its message withdrawn',
    guarantee: 'nothing is claimed while it is paused',
    file: sequences,
    find: `elsif punctual.withdraw_message(e.message_id, format('enrolment %s was paused', p_id), v_now) then`,
    replace: 'elsif false then',
  },
  {
    name: 'an answered question has its reminder withdrawn',
    guarantee: 'a question that was answered gets no reminder',
    file: replies,
    find: `if punctual.withdraw_message(e.message_id, format('enrolment %s was answered', e.id), p_now) then`,
    replace: 'if false then',
  },
  {
    name: 'what comes back unsent is not wanted any more',
    guarantee: 'a message that was on its way when its enrolment was stopped is not tried again',
    file: enrolments,
    find: `if (punctual.is_over(e) or e.paused_at is not null or e.message_id is distinct from p_message.id)`,
    replace: 'if false',
  },
  {
    name: "a step's hours at the claim",
    guarantee: "no step is claimed outside its hours, in the person's time zone",
    file: enrolments,
    find: 'j.due, j.closes_at,',
    replace: 'j.due, null,',
  },
  {
    name: "a step's hours in the person's time zone",
    guarantee: "no step is claimed outside its hours, in the person's time zone",
    file: sequences,
    find: `coalesce(p.variables, '{}'), z.zone,`,
    replace: `coalesce(p.variables, '{}'), a.time_zone,`,
  },
  {
    name: 'messages whose hours are over wait for the next',
    guarantee: 'no step is lost',
    file: enrolments,
    find: `after_settle = 'punctual.follow_messages', before_claim = 'punctual.reopen_messages'`,
    replace: `after_settle = 'punctual.follow_messages'`,
  },
  {
    name: 'delays count from when it was sent',
    guarantee: 'no step is claimed before its delay since the one before was sent',
    file: enrolments,
    find: 'e.sent_at := p_message.sent_at;',
    replace: 'e.sent_at := p_message.created_at;',
  },
  {
    name: 'an answer that comes before the outcome of its question',
    guarantee: 'a question that was answered gets no reminder',
    file: enrolments,
    find: 'v_answered boolean := punctual.is_answer(e.early_reply_at, punctual.first_claim(p_message));',
    replace: 'v_answered boolean := false;',
  },
  {
    name: 'people go on with the steps that they were enrolled with',
    guarantee: 'an edit changes nothing for those who are enrolled',
    file: enrolments,
    find: `v.sequence_id = p_sequence_id and v.version = p_version);`,
    replace: 'v.sequence_id = p_sequence_id order by v.version desc limit 1);',
  },
  {
    name: 'an unknown message holds its enrolment',
    guarantee: 'the next step waits until the one before is known to have been sent',
    file: enrolments,
    find: `elsif p_outcome = 'unknown' then`,
    replace: `elsif p_outcome = 'unknown' and not punctual.is_over(e) and e.phase = 'in_progress' and not p_message.is_reminder then
    e.sent_at := p_now;
    e := punctual.go_on(e, null, p_now);
  elsif p_outcome = 'unknown' then`,
  },
  {
    name: "WhatsApp's 24 hours",
    guarantee: 'outside of them only a template goes out',
    file: 'lib/queues/dm-queue.ts',
    find: 'if (!inWindow && (dm.enrolment_id !== null || deps.whatsappKnowsReplies)) {',
    replace: 'if (!inWindow && deps.whatsappKnowsReplies) {',
  },
  {
    name: 'any message of ours is a candidate',
    guarantee: 'a delivered text that the network changed is not sent again',
    file: 'lib/queues/judge-messages.ts',
    find: '.filter((message) => message.fromUs || isAlike(',
    replace: '.filter((message) => isAlike(',
  },
  {
    name: 'room for clocks that are hours off',
    guarantee: 'a delivered message that the provider dates hours earlier is not sent again',
    file: 'lib/queues/judge-messages.ts',
    find: 'clockRoomMs = 24 * 3_600_000',
    replace: 'clockRoomMs = 600_000',
  },
];
