import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ClaimedMessage, conversations } from '../support/conversations.ts';
import { exchanges } from '../support/exchanges.ts';
import { testDatabase } from '../support/fixtures.ts';
import { assertProperty, runs } from '../support/property.ts';

const database = testDatabase();

const hour = 3_600;
const names = ['ann', 'bob', 'eve'];
const person = { person: fc.integer({ min: 0, max: 2 }) };
const reminder = { after_seconds: 2 * hour, body: 'reminder', template: null };
const common = { on_reply: fc.constantFrom('stop', 'continue'), delay_seconds: fc.constantFrom(0, hour) };
const step = fc.oneof(
  fc.record({ kind: fc.constant('message' as const), ...common }),
  fc.record({
    kind: fc.constant('question' as const),
    ...common,
    reminder: fc.constantFrom(null, reminder),
    no_reply: fc.constantFrom(
      null,
      { after_seconds: 3 * hour, action: 'continue' },
      { after_seconds: 3 * hour, action: 'stop' },
    ),
  }),
);
type Action = { do: string; [field: string]: unknown };
const weighted = (weight: number, name: string, fields: Record<string, fc.Arbitrary<unknown>> = {}) => ({
  weight,
  arbitrary: fc.record({ do: fc.constant(name), ...fields }) as fc.Arbitrary<Action>,
});
const action = fc.oneof(
  weighted(6, 'advance'),
  weighted(6, 'claim'),
  weighted(6, 'settle', {
    outcome: fc.constantFrom('done', 'done', 'done', 'dead', 'retry', 'unknown', 'release'),
  }),
  weighted(4, 'pass', { seconds: fc.constantFrom(1, 60, hour, 4 * hour) }),
  weighted(3, 'reply', { ...person, late: fc.constantFrom(0, 0, 0, hour) }),
  weighted(1, 'pause', person),
  weighted(2, 'resume', person),
  weighted(1, 'stop', person),
  weighted(1, 'decide', { decision: fc.constantFrom('done', 'pending', 'cancelled') }),
);

describe('enrolments under random events', () => {
  it('have at most one open message besides one that a reply left behind, send each step once and in order, have no message claimed after their end, and never stall', async () => {
    await assertProperty(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 4 }),
        fc.array(action, { minLength: 20, maxLength: 60 }),
        play,
      ),
      { numRuns: runs({ quick: 15, all: 15, real: 4 }) },
    );
  }, 300_000);
});

async function play(steps: object[], actions: Action[]): Promise<void> {
  await database.reset();
  await database.sql('update punctual.queues set batch_limit = null');
  const sql = exchanges(database);
  const talk = conversations(database, sql);
  const sequence = await talk.addSequence(steps.map((given, n) => ({ ...given, body: `step ${n + 1}` })));
  const people: object[] = [];
  for (const name of names)
    people.push({ account_id: await sql.addAccount({ provider_account_id: name }), recipient: name });
  const ids = await talk.enrol(sequence, people);
  const sent = new Map<string, string[]>(ids.map((id) => [id, []]));
  let running: { message: ClaimedMessage; tick: ReturnType<typeof sql.tick> }[] = [];
  const ended = new Set<string>();

  const noteSent = ({ enrolment_id, step, is_reminder }: Record<string, unknown>) =>
    sent.get(String(enrolment_id))?.push(`${step}${is_reminder ? 'r' : ''}`);
  const settle = async (outcome: string) => {
    const [first, ...rest] = running;
    if (!first) return;
    running = rest;
    const { id, claim_id, row } = first.message;
    const record = { id, claim_id, outcome, error: 'e', delay_seconds: 1, account_id: row.account_id };
    const result = outcome === 'done' ? { result: { provider_message_id: `m${id}` } } : {};
    await first.tick.settle([{ ...record, ...result }]);
    if (outcome === 'done') noteSent(row);
  };
  const claim = async () => {
    const { messages, tick } = await talk.claim();
    for (const message of messages) {
      const late = `message ${message.id} is claimed after the end`;
      expect(ended, late).not.toContain(String(message.row.enrolment_id));
      running.push({ message, tick });
    }
  };
  /** Calls a function for an enrolment, which may be over. */
  const callFor = (fn: string, id: string | undefined) =>
    talk.call(fn, { p_id: id }).catch((error: { code?: string }) => {
      if (error.code !== 'PT409') throw error;
    });
  /** Decides about a message whose attempt is over, as a person does. */
  const decide = async (decision: string) => {
    const [row] = await database.sql(
      `select id, enrolment_id, step, is_reminder from punctual.dm_queue where status = 'unknown' and id <> all ($1::bigint[])
        order by id limit 1`,
      [running.map(({ message }) => message.id)],
    );
    if (!row) return;
    await sql.resolve(String(row.id), decision);
    if (decision === 'done') noteSent(row);
  };

  const run: Record<string, (given: Action) => Promise<unknown>> = {
    advance: () => talk.advance(),
    claim,
    settle: (given) => settle(String(given.outcome)),
    pass: async (given) => sql.pass(Number(given.seconds)),
    reply: (given) => {
      const name = names[Number(given.person)];
      const said_at = sql.at(-Number(given.late));
      return talk.reply({ provider_account_id: name, recipient: name, body: 'hm', said_at });
    },
    pause: (given) => callFor('pause_enrolment', ids[Number(given.person)]),
    resume: (given) => callFor('resume_enrolment', ids[Number(given.person)]),
    stop: (given) => callFor('stop_enrolment', ids[Number(given.person)]),
    decide: (given) => decide(String(given.decision)),
  };
  const checkInvariants = async () => {
    const live =
      await database.sql(`select enrolment_id, array_agg(id) as ids, count(*) filter (where status = 'pending') as pending
      from punctual.dm_queue where status in ('pending', 'sending', 'unknown') group by 1`);
    for (const e of await database.sql('select * from punctual.enrolments order by id')) {
      const id = String(e.id);
      const own = live.find(({ enrolment_id }) => String(enrolment_id) === id);
      const open: string[] = (own?.ids ?? []).map(String);
      const details = `${JSON.stringify(e)} with live messages ${open}`;
      if (['in_progress', 'waiting_reply'].includes(e.phase)) {
        expect(['pending', 'running'], details).toContain(e.status);
        // Besides its message, an enrolment may have one running message that a reply left behind.
        expect(open.length, details).toBeLessThanOrEqual(2);
        if (e.message_id !== null) expect(open, details).toContain(String(e.message_id));
        else {
          const due = e.next_step_at !== null || e.paused_at !== null || e.waits_for === 'an answer';
          expect(due, details).toBe(true);
        }
        ended.delete(id);
      } else {
        ended.add(id);
        expect([e.next_step_at, e.waits_for, own?.pending ?? 0], details).toEqual([null, null, 0]);
      }
      const [reminders, messages] = [true, false].map((isReminder) =>
        (sent.get(id) ?? []).filter((one) => one.endsWith('r') === isReminder),
      );
      expect(messages, details).toEqual(messages?.map((_, n) => String(n + 1)));
      expect(new Set(reminders).size, details).toBe(reminders?.length);
    }
  };

  for (const action of actions) {
    await run[action.do]?.(action);
    await checkInvariants();
  }
  // Without further faults, every enrolment reaches its end.
  for (const id of ids) await callFor('resume_enrolment', id);
  await checkInvariants();
  for (let n = 0; n < 16; n++) {
    while (running.length > 0) await settle('done');
    await decide('done');
    await talk.advance();
    await claim();
    sql.pass(4 * hour);
  }
  await checkInvariants();
  for (const e of await database.sql('select * from punctual.enrolments order by id')) {
    const isOver = !['in_progress', 'waiting_reply'].includes(e.phase);
    expect(isOver || e.waits_for === 'an answer', JSON.stringify(e)).toBe(true);
    if (e.phase === 'completed') expect(e.sent_steps).toBe(steps.length);
  }
}
