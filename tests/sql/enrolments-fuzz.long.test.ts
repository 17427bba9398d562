import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClaimedMessage, conversations } from '../support/conversations.ts';
import { exchanges } from '../support/exchanges.ts';
import { assertProperty, runs } from '../support/property.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

const hour = 3_600;
const person = fc.integer({ min: 0, max: 2 });
const reminder = { after_seconds: 2 * hour, body: 'reminder', template: null };
const onReply = fc.constantFrom('stop', 'continue');
const step = fc.oneof(
  fc.record({
    kind: fc.constant('message' as const),
    on_reply: onReply,
    delay_seconds: fc.constantFrom(0, hour),
  }),
  fc.record({
    kind: fc.constant('question' as const),
    on_reply: onReply,
    delay_seconds: fc.constantFrom(0, hour),
    reminder: fc.constantFrom(null, reminder),
    no_reply: fc.constantFrom(
      null,
      { after_seconds: 3 * hour, action: 'continue' },
      { after_seconds: 3 * hour, action: 'stop' },
    ),
  }),
);
const outcome = fc.constantFrom('done', 'done', 'done', 'dead', 'retry', 'unknown', 'release');
const action = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('advance' as const) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('claim' as const) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('settle' as const), outcome }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      seconds: fc.constantFrom(1, 60, hour, 4 * hour),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('reply' as const), person, late: fc.constantFrom(0, 0, 0, hour) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pause' as const), person }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('resume' as const), person }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stop' as const), person }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('decide' as const),
      decision: fc.constantFrom('done', 'pending', 'cancelled'),
    }),
  },
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

async function play(steps: object[], actions: { do: string; [field: string]: unknown }[]): Promise<void> {
  await database.reset();
  await database.sql('update punctual.queues set batch_limit = null');
  const sql = exchanges(database);
  const talk = conversations(database, sql);
  const sequence = await talk.addSequence(steps.map((given, n) => ({ ...given, body: `step ${n + 1}` })));
  const people: object[] = [];
  for (const name of ['ann', 'bob', 'eve']) {
    people.push({ account_id: await sql.addAccount({ provider_account_id: name }), recipient: name });
  }
  const ids = await talk.enrol(sequence, people);
  const sent = new Map<string, string[]>(ids.map((id) => [id, []]));
  let running: { message: ClaimedMessage; tick: ReturnType<typeof sql.tick> }[] = [];
  const ended = new Set<string>();

  const settle = async (outcome: string) => {
    const [first, ...rest] = running;
    if (!first) return;
    running = rest;
    const { id, claim_id, row } = first.message;
    const record = { id, claim_id, outcome, error: 'e', delay_seconds: 1, account_id: row.account_id };
    await first.tick.settle([
      outcome === 'done' ? { ...record, result: { provider_message_id: `m${id}` } } : record,
    ]);
    if (outcome === 'done')
      sent.get(String(row.enrolment_id))?.push(`${row.step}${row.is_reminder ? 'r' : ''}`);
  };
  const claim = async () => {
    const { messages, tick } = await talk.claim();
    for (const message of messages) {
      expect(ended, `message ${message.id} is claimed after the end`).not.toContain(
        String(message.row.enrolment_id),
      );
      running.push({ message, tick });
    }
  };
  const ignoreEnded = (call: Promise<unknown>) =>
    call.catch((error: { code?: string }) => {
      if (error.code !== 'PT409') throw error;
    });

  const run: Record<string, (given: Record<string, unknown>) => Promise<unknown>> = {
    advance: () => talk.advance(),
    claim,
    settle: (given) => settle(String(given.outcome)),
    pass: async (given) => sql.pass(Number(given.seconds)),
    reply: (given) => {
      const name = ['ann', 'bob', 'eve'][Number(given.person)];
      return talk.reply({
        provider_account_id: name,
        recipient: name,
        body: 'hm',
        said_at: sql.at(-Number(given.late)),
      });
    },
    pause: (given) => ignoreEnded(talk.call('pause_enrolment', { p_id: ids[Number(given.person)] })),
    resume: (given) => ignoreEnded(talk.call('resume_enrolment', { p_id: ids[Number(given.person)] })),
    stop: (given) => ignoreEnded(talk.call('stop_enrolment', { p_id: ids[Number(given.person)] })),
    decide: async (given) => {
      // A person decides only about messages whose attempt is over.
      const [row] = await database.sql(
        `select id, enrolment_id, step, is_reminder from punctual.dm_queue where status = 'unknown' and id <> all ($1::bigint[])
          order by id limit 1`,
        [running.map(({ message }) => message.id)],
      );
      if (!row) return;
      await sql.resolve(String(row.id), String(given.decision));
      if (given.decision === 'done')
        sent.get(String(row.enrolment_id))?.push(`${row.step}${row.is_reminder ? 'r' : ''}`);
    },
  };
  const checkInvariants = async () => {
    const live = await database.sql(`select enrolment_id, array_agg(id) as ids from punctual.dm_queue
      where status in ('pending', 'sending', 'unknown') group by 1`);
    const liveOf = new Map(live.map((row) => [String(row.enrolment_id), row.ids.map(String)]));
    for (const e of await database.sql('select * from punctual.enrolments order by id')) {
      const id = String(e.id);
      const details = `${JSON.stringify(e)} with live messages ${liveOf.get(id)}`;
      if (['in_progress', 'waiting_reply'].includes(e.phase)) {
        expect(['pending', 'running'], details).toContain(e.status);
        if (e.message_id !== null) expect(liveOf.get(id), details).toContain(String(e.message_id));
        // Besides its message, an enrolment may have one running message that a reply left behind.
        expect((liveOf.get(id) ?? []).length, details).toBeLessThanOrEqual(2);
        if (e.message_id === null) {
          const due = e.next_step_at !== null || e.paused_at !== null || e.waits_for === 'an answer';
          expect(due, details).toBe(true);
        }
        ended.delete(id);
      } else {
        ended.add(id);
        expect([e.next_step_at, e.waits_for], details).toEqual([null, null]);
        const { count } = (
          await database.sql(
            `select count(*) from punctual.dm_queue where enrolment_id = $1 and status = 'pending'`,
            [id],
          )
        )[0];
        expect(count, details).toBe(0);
      }
      const own = (sent.get(id) ?? []).filter((one) => !one.endsWith('r'));
      expect(own, details).toEqual(own.map((_, n) => String(n + 1)));
      const reminders = (sent.get(id) ?? []).filter((one) => one.endsWith('r'));
      expect(new Set(reminders).size, details).toBe(reminders.length);
    }
  };

  for (const action of actions) {
    await run[action.do]?.(action);
    await checkInvariants();
  }
  // Without further faults, every enrolment reaches its end.
  for (const id of ids) await ignoreEnded(talk.call('resume_enrolment', { p_id: id }));
  await checkInvariants();
  for (let n = 0; n < 16; n++) {
    while (running.length > 0) await settle('done');
    await run.decide?.({ decision: 'done' });
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
