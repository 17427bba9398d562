import type { TestDatabase } from './test-database';

export interface Reply {
  admitted: boolean;
  duplicate: boolean;
  paused: string | null;
  // biome-ignore lint/suspicious/noExplicitAny: a row of any queue
  rows: { id: string; attempt: number; row: any; account: { id: string; name: string } | null }[];
  settled: Record<string, number> & { exceptions: { id: string; verdict: string; outcome: string }[] };
  swept: number;
  closed: boolean;
  outcome: string | null;
  probing: string[];
  due: number | null;
  next_due_in_ms: number | null;
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
        } = {},
      ): Promise<Reply & { claimId: string }> => {
        const claimId = call.claimId ?? crypto.randomUUID();
        const reply = (await database.rpc('exchange', {
          p_tick: { ...tick, seq: call.seq },
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
        close: () => exchange({ close: 'yes' }),
      };
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
