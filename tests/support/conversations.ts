import type { exchanges } from './exchanges.ts';
import type { TestDatabase } from './test-database.ts';

export interface Step {
  kind?: 'message' | 'question';
  delay_seconds?: number;
  body?: string;
  [field: string]: unknown;
}

/** What a claimed row of dm_queue is to a test. */
export interface ClaimedMessage {
  id: string;
  claim_id: string;
  // biome-ignore lint/suspicious/noExplicitAny: a row, for assertions
  row: any;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the facts are
  facts: any;
}

/** A step as the API stores it, with nothing special about it. */
export function stepOf({ kind = 'message', ...given }: Step): object {
  return {
    kind,
    delay_seconds: 0,
    hours: null,
    body: 'hello',
    template: null,
    on_reply: kind === 'message' ? 'stop' : 'continue',
    reminder: null,
    no_reply: null,
    ...given,
  };
}

/** Sequences by SQL, without engine and API: ticks of both queues spoken by hand, at the times of `sql`. */
export function conversations(database: TestDatabase, sql: ReturnType<typeof exchanges>) {
  let made = 0;
  // biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
  const call = (fn: string, args: object) => database.rpc(fn, { ...args, p_now: sql.now }) as Promise<any>;
  return {
    call,
    async addSequence(steps: Step[], more: object = {}): Promise<string> {
      const sequence = { name: `sequence ${++made}`, channel: 'linkedin', time_zone: null, ...more };
      const answer = await call('create_sequence', { p_sequence: { ...sequence, steps: steps.map(stepOf) } });
      if (answer.errors) throw new Error(JSON.stringify(answer.errors));
      return answer.id;
    },
    /** The ids, in the order of the people. */
    async enrol(sequence: string, people: object[], more: object = {}): Promise<string[]> {
      const answer = await call('enrol_people', { p_sequence_id: sequence, p_people: people, ...more });
      if (answer.errors) throw new Error(JSON.stringify(answer.errors));
      return answer.rows.map(({ id }: { id: string }) => id);
    },
    // biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
    read: (id: string): Promise<any> => call('read_enrolment', { p_id: id }),
    /** The events of its timeline, each with its step: `sent 1`. */
    async told(id: string): Promise<string[]> {
      const { timeline } = await call('read_enrolment', { p_id: id });
      return timeline.map(({ event, step }: { event: string; step: number | null }) =>
        step === null || event === 'enrolled' ? event : `${event} ${step}`,
      );
    },
    /** A tick of enrolments, which does with each due one as it was judged. Answers how many came to what. */
    async advance(): Promise<Record<string, number>> {
      const tick = sql.tick({ queue: 'enrolments' });
      const { rows, claimId } = await tick.claim(1_000);
      const records = rows.map((row) => {
        const { outcome, error } = (row as unknown as { facts: { outcome: string; error: string | null } })
          .facts;
        return { id: row.id, claim_id: claimId, outcome, error, delay_seconds: 60 };
      });
      const { settled } = await tick.settle(records, { close: true });
      return Object.fromEntries(
        Object.entries(settled).filter(([, count]) => typeof count === 'number' && count > 0),
      ) as Record<string, number>;
    },
    /** Messages that a tick of dm_queue takes, and leaves running. */
    async claim(want = 100): Promise<{ messages: ClaimedMessage[]; tick: ReturnType<typeof sql.tick> }> {
      const tick = sql.tick();
      const { rows, claimId } = await tick.claim(want);
      const messages = rows.map((row) => ({ ...row, claim_id: claimId }) as unknown as ClaimedMessage);
      return { messages, tick };
    },
    /** A tick of dm_queue, all of whose messages come to `outcome`. Answers their bodies. */
    async send(outcome = 'done', more: object = {}): Promise<string[]> {
      const { messages, tick } = await this.claim();
      const records = messages.map(({ id, claim_id, row }) => ({
        id,
        claim_id,
        outcome,
        error: outcome === 'done' ? null : 'refused',
        delay_seconds: 1,
        result: outcome === 'done' ? { provider_message_id: `m-${id}` } : null,
        account_id: row.account_id,
        ...more,
      }));
      await tick.settle(records, { close: true });
      return messages.map(({ row }) => row.body);
    },
    /** What a person writes, told by the provider. */
    reply(receipt: Record<string, unknown>, provider = 'unipile') {
      return sql.receive(
        [
          {
            kind: 'message',
            status: 'received',
            message_id: crypto.randomUUID(),
            said_at: sql.now,
            ...receipt,
          },
        ],
        provider,
      );
    },
    async messages(id: string): Promise<{ step: number; status: string; body: string; send_at: string }[]> {
      return database.sql(
        'select id, step, is_reminder, status, body, send_at, open_until, template from punctual.dm_queue where enrolment_id = $1 order by id',
        [id],
      );
    },
  };
}
