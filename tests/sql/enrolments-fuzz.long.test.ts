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
const who = fc.integer({ min: 0, max: 2 });
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
const act = fc.oneof(
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
    arbitrary: fc.record({ do: fc.constant('reply' as const), who, late: fc.constantFrom(0, 0, 0, hour) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pause' as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('resume' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stop' as const), who }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('decide' as const),
      decision: fc.constantFrom('done', 'pending', 'cancelled'),
    }),
  },
);

describe('enrolments, whatever comes in whatever order', () => {
  it('have one message under way at most, each step sent once and in order, nothing claimed after their end, and never stand for no reason', async () => {
    await assertProperty(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 4 }),
        fc.array(act, { minLength: 20, maxLength: 60 }),
        play,
      ),
      { numRuns: runs({ quick: 15, all: 15, real: 4 }) },
    );
  }, 300_000);
});

async function play(steps: object[], acts: { do: string; [field: string]: unknown }[]): Promise<void> {
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
  const over = new Set<string>();

  const settle = async (word: string) => {
    const [first, ...rest] = running;
    if (!first) return;
    running = rest;
    const { id, claim_id, row } = first.message;
    const record = { id, claim_id, outcome: word, error: 'e', delay_seconds: 1, account_id: row.account_id };
    await first.tick.settle([
      word === 'done' ? { ...record, result: { provider_message_id: `m${id}` } } : record,
    ]);
    if (word === 'done') sent.get(String(row.enrolment_id))?.push(`${row.step}${row.is_reminder ? 'r' : ''}`);
  };
  const claim = async () => {
    const { messages, tick } = await talk.claim();
    for (const message of messages) {
      expect(over, `message ${message.id} is claimed after the end`).not.toContain(
        String(message.row.enrolment_id),
      );
      running.push({ message, tick });
    }
  };
  const unlessOver = (asked: Promise<unknown>) =>
    asked.catch((error: { code?: string }) => {
      if (error.code !== 'PT409') throw error;
    });

  const doing: Record<string, (given: Record<string, unknown>) => Promise<unknown>> = {
    advance: () => talk.advance(),
    claim,
    settle: (given) => settle(String(given.outcome)),
    pass: async (given) => sql.pass(Number(given.seconds)),
    reply: (given) => {
      const name = ['ann', 'bob', 'eve'][Number(given.who)];
      return talk.reply({
        provider_account_id: name,
        recipient: name,
        body: 'hm',
        said_at: sql.at(-Number(given.late)),
      });
    },
    pause: (given) => unlessOver(talk.call('pause_enrolment', { p_id: ids[Number(given.who)] })),
    resume: (given) => unlessOver(talk.call('resume_enrolment', { p_id: ids[Number(given.who)] })),
    stop: (given) => unlessOver(talk.call('stop_enrolment', { p_id: ids[Number(given.who)] })),
    decide: async (given) => {
      // Nobody decides about what may still be under way.
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
  const look = async () => {
    const live = await database.sql(`select enrolment_id, array_agg(id) as ids from punctual.dm_queue
      where status in ('pending', 'sending', 'unknown') group by 1`);
    const liveOf = new Map(live.map((row) => [String(row.enrolment_id), row.ids.map(String)]));
    for (const e of await database.sql('select * from punctual.enrolments order by id')) {
      const id = String(e.id);
      const told = `${JSON.stringify(e)} with live messages ${liveOf.get(id)}`;
      if (['in_progress', 'waiting_reply'].includes(e.phase)) {
        expect(['pending', 'running'], told).toContain(e.status);
        if (e.message_id !== null) expect(liveOf.get(id), told).toContain(String(e.message_id));
        // One that runs may be left behind by an answer, and none besides.
        expect((liveOf.get(id) ?? []).length, told).toBeLessThanOrEqual(2);
        if (e.message_id === null) {
          const due = e.next_step_at !== null || e.paused_at !== null || e.waits_for === 'an answer';
          expect(due, told).toBe(true);
        }
        over.delete(id);
      } else {
        over.add(id);
        expect([e.next_step_at, e.waits_for], told).toEqual([null, null]);
        const { count } = (
          await database.sql(
            `select count(*) from punctual.dm_queue where enrolment_id = $1 and status = 'pending'`,
            [id],
          )
        )[0];
        expect(count, told).toBe(0);
      }
      const own = (sent.get(id) ?? []).filter((one) => !one.endsWith('r'));
      expect(own, told).toEqual(own.map((_, n) => String(n + 1)));
      const reminders = (sent.get(id) ?? []).filter((one) => one.endsWith('r'));
      expect(new Set(reminders).size, told).toBe(reminders.length);
    }
  };

  for (const one of acts) {
    await doing[one.do]?.(one);
    await look();
  }
  // And nobody is forgotten: with everything well from now on, all come to their end.
  for (const id of ids) await unlessOver(talk.call('resume_enrolment', { p_id: id }));
  await look();
  for (let n = 0; n < 16; n++) {
    while (running.length > 0) await settle('done');
    await doing.decide?.({ decision: 'done' });
    await talk.advance();
    await claim();
    sql.pass(4 * hour);
  }
  await look();
  for (const e of await database.sql('select * from punctual.enrolments order by id')) {
    const isOver = !['in_progress', 'waiting_reply'].includes(e.phase);
    expect(isOver || e.waits_for === 'an answer', JSON.stringify(e)).toBe(true);
    if (e.phase === 'completed') expect(e.sent_steps).toBe(steps.length);
  }
}
