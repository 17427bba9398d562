import type { TestDatabase } from './test-database';

export interface Reply {
  admitted: boolean;
  duplicate: boolean;
  paused: string | null;
  // biome-ignore lint/suspicious/noExplicitAny: a row of any queue
  rows: { id: string; attempt: number; row: any; account: { id: string; name: string } | null }[];
  looks: Look[];
  resolved: { looked: number; done: number; absent: number; dead: number };
  settled: Record<string, number> & { exceptions: { id: string; verdict: string; outcome: string }[] };
  swept: number;
  closed: boolean;
  outcome: string | null;
  probing: string[];
  due: number | null;
  next_due_in_ms: number | null;
}

/** An unknown row, handed out for a look. */
export interface Look {
  id: string;
  claim_id: string;
  attempted_at: string;
  over_seconds: number;
  // biome-ignore lint/suspicious/noExplicitAny: a row of any queue
  row: any;
  account: { id: string; name: string } | null;
  evidence: unknown;
}

/** What a look found, as `settle_looks` takes it; nothing, and nothing proved by it, unless said. */
export function finding(look: Pick<Look, 'id' | 'claim_id' | 'over_seconds'>, found: object = {}) {
  const { id, claim_id, over_seconds } = look;
  const nothing = { proofs: [], doubts: [], absent_after_seconds: null, text: 'nothing', failed: false };
  return { id, claim_id, over_seconds, ...nothing, ...found };
}

export interface RollUpStep {
  queue: string | null;
  day: string | null;
  rows: number | null;
  problem: string | null;
  first_day: string | null;
  busy: boolean;
  more: boolean;
}

export interface Outcome {
  id: string;
  claim_id: string;
  outcome: string;
  [field: string]: unknown;
}

/** Ticks spoken by hand: the SQL protocol without the engine, at times of the test's own. */
export function exchanges(database: TestDatabase) {
  let now = Date.parse('2026-03-02T12:00:00Z');
  return {
    get now() {
      return new Date(now).toISOString();
    },
    /** An instant `seconds` from now. */
    at: (seconds: number) => new Date(now + seconds * 1_000).toISOString(),
    pass(seconds: number) {
      now += seconds * 1_000;
    },
    setNow(instant: string) {
      now = Date.parse(instant);
    },
    tick(changes: Record<string, unknown> = {}) {
      const tick = {
        id: crypto.randomUUID(),
        queue: 'dm_queue',
        partition: 'main',
        clock: 'test',
        limit_seconds: 60,
        providers: ['unipile', 'whatsapp_cloud'],
        // Whatever the machine's speed, a call does all that it can.
        call_ms: 60_000,
        ...changes,
      };
      const exchange = async (
        call: {
          claimId?: string;
          seq?: number;
          outcomes?: object;
          want?: number | null;
          close?: string;
          report?: object;
          looks?: number;
        } = {},
      ): Promise<Reply & { claimId: string }> => {
        const claimId = call.claimId ?? crypto.randomUUID();
        const reply = (await database.rpc('exchange', {
          p_tick: { ...tick, seq: call.seq, looks: call.looks },
          p_claim_id: claimId,
          p_outcomes: call.outcomes ?? {},
          p_want: call.want === undefined ? 0 : call.want,
          p_close: call.close ?? 'no',
          p_report: call.report ?? null,
          p_now: new Date(now).toISOString(),
        })) as Reply;
        return { ...reply, claimId };
      };
      return {
        id: tick.id,
        exchange,
        claim: (want = 100, claimId?: string) => exchange({ want, claimId }),
        settle: (records: Outcome[], more: { want?: number; close?: string } = {}) =>
          exchange({ outcomes: { records }, ...more }),
        /** Asks for unknown rows to look at. */
        look: (most = 100) => exchange({ looks: most, close: 'if_drained' }),
        /** Brings what looks found. */
        tell: (looks: object[], more: { want?: number; close?: string } = {}) =>
          exchange({ outcomes: { looks }, ...more }),
        close: () => exchange({ close: 'yes' }),
      };
    },
    /** Claims and settles one row at a time until none is given, answering the ids in order. */
    async drain(outcome = 'done', more: Record<string, unknown> = {}): Promise<string[]> {
      const order: string[] = [];
      const tick = this.tick();
      for (let n = 0; n < 100; n++) {
        const { rows, claimId } = await tick.claim(1);
        const row = rows[0];
        if (!row) break;
        order.push(row.id);
        const record = { error: 'e', delay_seconds: 1, account_id: row.account?.id, ...more };
        await tick.settle([{ ...record, id: row.id, claim_id: claimId, outcome }]);
      }
      await tick.close();
      return order;
    },
    /** A message of an account that has no other due, whose attempt ended without anybody knowing how. */
    async addUnknown(
      accountId: string,
      changes: Record<string, unknown> = {},
    ): Promise<{ id: string; claim_id: string }> {
      const id = await this.addDm(accountId, changes);
      const tick = this.tick();
      const { rows, claimId } = await tick.claim();
      const records = rows.map((row) => {
        const outcome = row.id === id ? 'unknown' : 'release';
        return { id: row.id, claim_id: claimId, outcome, error: 'no answer in time' };
      });
      await tick.settle(records, { close: 'yes' });
      return { id, claim_id: claimId };
    },
    /** What a tick that only looks is given to look at. */
    async handOut(changes: Record<string, unknown> = {}, most = 100): Promise<Look[]> {
      const tick = this.tick({ looks_only: true, ...changes });
      const { looks } = await tick.look(most);
      await tick.close();
      return looks;
    },
    /** Brings findings, and answers what they came to. */
    async tell(looks: object[]): Promise<Reply['resolved']> {
      return (await this.tick({ looks_only: true }).tell(looks, { close: 'yes' })).resolved;
    },
    /** Hands out what there is to look at, and tells of each what `found` says. */
    async look(found: (look: Look) => object | undefined): Promise<Reply['resolved']> {
      return this.tell((await this.handOut()).map((one) => finding(one, found(one))));
    },
    async receive(receipts: object[], provider = 'whatsapp_cloud') {
      const p_now = new Date(now).toISOString();
      return database.rpc('receive_receipts', {
        p_provider: provider,
        p_receipts: receipts,
        p_now,
      }) as Promise<{
        received: number;
        new: number;
      }>;
    },
    /** Rolls up to its end, or so many steps, answering them. `day`: that day of every queue. */
    async rollUp(
      at = new Date(now).toISOString(),
      { most = 500, day }: { most?: number; day?: string } = {},
    ): Promise<RollUpStep[]> {
      const steps: RollUpStep[] = [];
      while (steps.length < most) {
        const asked = day === undefined ? {} : { p_day: day, p_after: steps.at(-1)?.queue ?? null };
        const step = (await database.rpc('roll_up', { ...asked, p_now: at })) as RollUpStep;
        steps.push(step);
        if (!step.more) return steps;
      }
      return steps;
    },
    async resolve(id: string, decision: string, note?: string) {
      const p_now = new Date(now).toISOString();
      const call = { p_queue: 'dm_queue', p_id: id, p_decision: decision, p_by: 'Ann', p_note: note ?? null };
      return database.rpc('resolve_row', { ...call, p_now }) as Promise<{ status: string }>;
    },
    async explain(id: string, configured: string[] | null = ['unipile', 'whatsapp_cloud']) {
      const p_now = new Date(now).toISOString();
      const call = { p_queue: 'dm_queue', p_id: id, p_configured: configured, p_now };
      // biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
      return (await database.rpc('explain_row', call)) as any;
    },
    async pace(accountId: string) {
      const [row] = await database.sql(
        `select * from punctual.pace where account_id = $1 and queue = 'dm_queue'`,
        [accountId],
      );
      return row;
    },
    /** [event, text] of a row, oldest first. */
    async history(id: string): Promise<[event: string, text: string | null][]> {
      const rows = await database.sql(
        'select event, text from punctual.history where row_id = $1 order by id',
        [id],
      );
      return rows.map((row) => [row.event, row.text]);
    },
    /** An account, answering its id. */
    async addAccount(changes: Record<string, unknown> = {}): Promise<string> {
      const account = {
        provider: 'unipile',
        provider_account_id: crypto.randomUUID(),
        name: 'A',
        daily_limit: 1_000,
        ...changes,
      };
      const columns = Object.keys(account);
      const [row] = await database.sql(
        `insert into punctual.accounts (${columns}) values (${columns.map((_, i) => `$${i + 1}`)}) returning id`,
        Object.values(account),
      );
      return row.id;
    },
    /** A message, answering its id. Due now unless `send_at` says otherwise. */
    async addDm(accountId: string, changes: Record<string, unknown> = {}): Promise<string> {
      const dm = {
        account_id: accountId,
        channel: 'linkedin',
        chat_id: 'c',
        body: 'hello',
        send_at: new Date(now).toISOString(),
        ...changes,
      };
      const columns = Object.keys(dm);
      const [row] = await database.sql(
        `insert into punctual.dm_queue (${columns}) values (${columns.map((_, i) => `$${i + 1}`)}) returning id::text as id`,
        Object.values(dm),
      );
      return String(row.id);
    },
    async dm(id: string) {
      const [row] = await database.sql('select * from punctual.dm_queue where id = $1', [id]);
      return row;
    },
  };
}
