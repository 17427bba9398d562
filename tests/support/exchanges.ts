import type { TestDatabase } from './test-database.ts';

export interface Reply {
  admitted: boolean;
  duplicate: boolean;
  paused: string | null;
  // biome-ignore lint/suspicious/noExplicitAny: a row of any queue
  rows: { id: string; attempt: number; row: any; account: { id: string; name: string } | null }[];
  claim_id: string;
  counts: Record<string, number>;
  settled: Record<string, number> & { exceptions: { id: string; verdict: string; outcome: string }[] };
  swept: number;
  closed: boolean;
  outcome: string | null;
  probing: string[];
  due: number | null;
  next_due_in_ms: number | null;
  checks_due: boolean;
}

/** How many rows were checked, and how they were settled. */
export interface Checked {
  checked: number;
  done: number;
  absent: number;
  dead: number;
}

/** An unknown row, taken for a check. */
export interface Unknown {
  id: string;
  claim_id: string;
  attempted_at: string;
  over_seconds: number;
  // biome-ignore lint/suspicious/noExplicitAny: a row of any queue
  row: any;
  account: { id: string; name: string } | null;
  evidence: unknown;
}

/** Makes a finding for `settle_findings`. By default the check found nothing, and that proves nothing. */
export function finding(row: Pick<Unknown, 'id' | 'claim_id' | 'over_seconds'>, found: object = {}) {
  const { id, claim_id, over_seconds } = row;
  const nothing = { proof: [], candidates: [], absent_after_seconds: null, text: 'nothing', failed: false };
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

/** Makes the SQL calls of ticks without the engine, at times that the test sets. */
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
        scheduler: 'test',
        limit_seconds: 60,
        providers: ['unipile', 'whatsapp_cloud'],
        // A call must not stop early because the machine is slow.
        call_ms: 60_000,
        ...changes,
      };
      const exchange = async (
        call: {
          seq?: number;
          outcomes?: object;
          want?: number | null;
          close?: boolean;
          report?: object;
        } = {},
      ): Promise<Reply & { claimId: string }> => {
        const reply = (await database.rpc('exchange', {
          p_tick: tick,
          p_seq: call.seq ?? null,
          p_outcomes: call.outcomes ?? {},
          p_want: call.want === undefined ? 0 : call.want,
          p_close: call.close ?? false,
          p_report: call.report ?? null,
          p_now: new Date(now).toISOString(),
        })) as Reply;
        return { ...reply, claimId: reply.claim_id };
      };
      return {
        id: tick.id,
        exchange,
        claim: (want = 100, seq?: number) => exchange({ want, seq }),
        settle: (records: Outcome[], more: { want?: number; close?: boolean } = {}) =>
          exchange({ outcomes: { records }, ...more }),
        close: () => exchange({ close: true }),
      };
    },
    /** Claims and settles one row at a time until none is left. Returns the ids in order. */
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
    /** Adds a message whose attempt ended as unknown. Its account must have no other due row. */
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
      await tick.settle(records, { close: true });
      return { id, claim_id: claimId };
    },
    /** Takes unknown rows whose check is due. */
    async takeUnknown({
      queue = 'dm_queue',
      providers = ['unipile', 'whatsapp_cloud'],
      leaseSeconds = 90,
      want = 100 as number | null,
    } = {}): Promise<Unknown[]> {
      return database.rpc('take_unknown', {
        p_queue: queue,
        p_providers: providers,
        p_lease_seconds: leaseSeconds,
        p_want: want,
        p_now: new Date(now).toISOString(),
      }) as Promise<Unknown[]>;
    },
    /** Settles findings and returns the counts. */
    async settleFindings(findings: object[], queue = 'dm_queue', callMs = 60_000): Promise<Checked> {
      return database.rpc('settle_findings', {
        p_queue: queue,
        p_findings: findings,
        p_call_ms: callMs,
        p_now: new Date(now).toISOString(),
      }) as Promise<Checked>;
    },
    /** Checks each unknown row that is due, with the finding that `found` returns for it. */
    async check(found: (row: Unknown) => object | undefined): Promise<Checked> {
      return this.settleFindings((await this.takeUnknown()).map((one) => finding(one, found(one))));
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
    /** Rolls up to the end, or for `maxSteps` steps, and returns the steps. With `day` it rolls up that day of every queue. */
    async rollUp(
      at = new Date(now).toISOString(),
      { maxSteps = 500, day }: { maxSteps?: number; day?: string } = {},
    ): Promise<RollUpStep[]> {
      const steps: RollUpStep[] = [];
      while (steps.length < maxSteps) {
        const daysOnly = day === undefined ? {} : { p_day: day, p_after: steps.at(-1)?.queue ?? null };
        const step = (await database.rpc('roll_up', { ...daysOnly, p_now: at })) as RollUpStep;
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
    /** Returns a row's history as [event, text], oldest first. */
    async history(id: string): Promise<[event: string, text: string | null][]> {
      const rows = await database.sql(
        'select event, text from punctual.history where row_id = $1 order by id',
        [id],
      );
      return rows.map((row) => [row.event, row.text]);
    },
    /** Adds an account and returns its id. */
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
    /** Adds a message, due now unless `changes` has a `send_at`, and returns its id. */
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
