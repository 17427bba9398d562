import { type Mutant, migration } from './mutant';

const people = 'supabase/migrations/20261122001850_people.sql';

/** Each takes away one mechanism of what is kept of people, and for how long. */
export const privacyMutants: Mutant[] = [
  {
    name: 'texts of conversations of ours only',
    guarantee: 'a message of a third person in a connected inbox leaves no text in the database',
    file: migration('450_reconcile'),
    find: 'punctual.names_of(r.recipient) || punctual.names_of(r.user_id), v_now) then r.body end,',
    replace:
      'punctual.names_of(r.recipient) || punctual.names_of(r.user_id), v_now) or true then r.body end,',
  },
  {
    name: 'a conversation that is long over',
    guarantee: 'texts are kept of people whom we wrote to within the days of receipts, and of no others',
    file: 'supabase/migrations/20261122001000_dm_queue.sql',
    find: 'v_since timestamptz := p_now - make_interval(days => (select s.receipts_days from punctual.settings s));',
    replace: "v_since timestamptz := '-infinity';",
  },
  {
    name: 'a message of ours without its text',
    guarantee: 'a webhook says who sent a message, also where its text was not kept',
    file: 'lib/queues/dm-queue/queue.ts',
    find: 'fromUs: message.fromUs || told.has(message.id)',
    replace: 'fromUs: message.fromUs',
  },
  {
    name: 'retention of what enrolments know',
    guarantee: 'variables, replies and timelines go so long after the enrolment ended',
    file: people,
    find: 'e.finished_at < p_before and e.texts_gone_at is null',
    replace: 'false',
  },
  {
    name: 'an enrolment whose texts are gone stays over',
    guarantee: 'nobody is written to with texts that were deleted',
    file: 'supabase/migrations/20261122001800_sequences.sql',
    find: 'perform punctual.refuse_forgotten(e);',
    replace: '',
  },
  {
    name: 'late proof after a person was forgotten',
    guarantee: 'a person who was forgotten is in no sequence again by itself',
    file: 'supabase/migrations/20261122001700_enrolments.sql',
    find: "if e.phase = 'failed' and e.texts_gone_at is null and",
    replace: "if e.phase = 'failed' and",
  },
  {
    name: 'what is in flight keeps a person from being forgotten',
    guarantee: 'a message that may have been sent can be found out about',
    file: people,
    find: 'v_in_flight := punctual.leave_person(p_account_id, v_names, v_chats, v_now);',
    replace: 'perform punctual.leave_person(p_account_id, v_names, v_chats, v_now);',
  },
  {
    name: 'receipts of a person who is forgotten',
    guarantee: 'of a person who was forgotten no text, name, number or id is left',
    file: people,
    find: 'where r.id = any (p_receipts);',
    replace: 'where false;',
  },
  {
    name: 'the other names of a person who is forgotten',
    guarantee: 'a person is forgotten by every name and chat that is known to be theirs',
    file: people,
    find: 'exit when cardinality(p_names) + cardinality(p_chats) = v_known;',
    replace: 'exit;',
  },
  {
    name: 'keys that outlive their rows',
    guarantee: 'a key of a pruned row does nothing a second time',
    file: 'supabase/migrations/20261122001500_analytics.sql',
    find: 'from gone g where g.idempotency_key is not null and',
    replace: 'from gone g where false and',
  },
  {
    name: 'keys of pruned rows in a plain insert',
    guarantee: 'a key of a pruned row does nothing a second time, however it comes',
    file: migration('200_add_queue'),
    find: "format('refuse_spent_key(%L)', q.name), punctual.keeps_keys(q.name))",
    replace: "format('refuse_spent_key(%L)', q.name), false)",
  },
  {
    name: 'the key of a page',
    guarantee: 'a list shows each row once, also those of the same instant',
    file: migration('100_registry'),
    find: "array[format('(%s) %s (%s)', array_to_string(p_exprs, ', '), v_operator, array_to_string(v_values, ', '))]",
    replace: "array[format('(%s) %s (%s)', p_exprs[1], v_operator, v_values[1])]",
  },
  {
    name: 'rows without an instant in a page',
    guarantee: 'a list shows each row once, also those that have no instant',
    file: migration('100_registry'),
    find: "|| case when p_desc then '{}' else array[format('(%s) is null', p_exprs[1])] end;",
    replace: "|| '{}'::text[];",
  },
  {
    name: 'refusal of unknown parameters',
    guarantee: 'a parameter that a path does not take is refused, not ignored',
    file: 'lib/http/query.ts',
    find: 'if (parsed.success && errors.length === 0)',
    replace: 'if (parsed.success)',
  },
  {
    name: 'no reply to what was forgotten',
    guarantee: 'an enrolment whose texts are gone neither goes on nor keeps a text again',
    file: 'supabase/migrations/20261122001750_replies.sql',
    find: '  if e.texts_gone_at is not null then return; end if;',
    replace: '',
    seenBy: 'sql/people.test.ts',
  },
];
