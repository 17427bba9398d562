import type { exchanges } from './exchanges.ts';
import type { TestDatabase } from './test-database.ts';

export interface Step {
  kind?: 'message' | 'question';
  delay_seconds?: number;
  body?: string;
  [field: string]: unknown;
}

/** A claimed row of dm_queue. */
export interface ClaimedMessage {
  id: string;
  claim_id: string;
  // biome-ignore lint/suspicious/noExplicitAny: a row, for assertions
  row: any;
  // biome-ignore lint/suspicious/noExplicitAny: facts of any shape
  facts: any;
}

/** Makes a step as the API stores it, with a default for each field that is not given. */
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

/** Runs sequences by SQL, without the engine and the API, at the times of `sql`. */
export function conversations(database: TestDatabase, sql: ReturnType<typeof exchanges>) {
  let made = 0;
  // biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
  const call = (fn: string, args: object) => database.rpc(fn, { ...args, p_now: sql.now }) as Promise<any>;
  return {
    call,
    /** An instant `seconds` from now, as the functions return it. */
    at: (seconds = 0) => sql.at(seconds).replace('.000Z', '+00:00'),
    async addSequence(steps: Step[], more: object = {}): Promise<string> {
      const sequence = { name: `sequence ${++made}`, channel: 'linkedin', time_zone: null, ...more };
      const response = await call('create_sequence', {
        p_sequence: { ...sequence, steps: steps.map(stepOf) },
      });
      if (response.errors) throw new Error(JSON.stringify(response.errors));
      return response.id;
    },
    /** Enrols people and returns the enrolments' ids in the same order. */
    async enrol(sequence: string, people: object[], more: object = {}): Promise<string[]> {
      const response = await call('enrol_people', { p_sequence_id: sequence, p_people: people, ...more });
      if (response.errors) throw new Error(JSON.stringify(response.errors));
      return response.rows.map(({ id }: { id: string }) => id);
    },
    // biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
    read: (id: string): Promise<any> => call('read_enrolment', { p_id: id }),
    /** Returns the events of an enrolment's timeline, each with its step: `sent 1`. */
    async events(id: string): Promise<string[]> {
      const { timeline } = await call('read_enrolment', { p_id: id });
      return timeline.map(({ event, step }: { event: string; step: number | null }) =>
        step === null || event === 'enrolled' ? event : `${event} ${step}`,
      );
    },
    /** Runs a tick of enrolments, which settles each due one by the outcome in its facts. Returns the counts by outcome. */
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
    /** Claims messages in a tick of dm_queue and leaves them running. `settle` settles all of them and closes the tick. */
    async claim(want = 100) {
      const tick = sql.tick();
      const { rows, claimId } = await tick.claim(want);
      const messages = rows.map((row) => ({ ...row, claim_id: claimId }) as unknown as ClaimedMessage);
      const settle = (outcome = 'done', more: object = {}) => {
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
        return tick.settle(records, { close: true });
      };
      return { messages, tick, settle };
    },
    /** Runs a tick of dm_queue, which settles every message with `outcome`. Returns their bodies. */
    async send(outcome?: string, more?: object): Promise<string[]> {
      const { messages, settle } = await this.claim();
      await settle(outcome, more);
      return messages.map(({ row }) => row.body);
    },
    /** Advances due enrolments, and sends their messages as `send` does. */
    async sendStep(outcome?: string, more?: object): Promise<string[]> {
      await this.advance();
      return this.send(outcome, more);
    },
    /** Receives a person's message from the provider. */
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
