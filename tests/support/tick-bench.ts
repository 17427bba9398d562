import { z } from 'zod';
import type { Outcome } from '../../lib/engine/outcome.ts';
import { silentLog } from '../../lib/engine/ports/log.ts';
import type { OverlapLock } from '../../lib/engine/ports/overlap-lock.ts';
import type { PerformContext, Queue } from '../../lib/engine/queue.ts';
import { type ReconcileReport, reconcile } from '../../lib/engine/reconcile.ts';
import { type TickOptions, tick } from '../../lib/engine/tick.ts';
import { queueStore } from '../../lib/store/queue-store.ts';
import type { Rpc } from '../../lib/store/rpc.ts';
import { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import type { TestDatabase } from './test-database.ts';

const row = z.object({ id: z.coerce.string(), body: z.string(), attempts: z.number() });
export type TestRow = z.infer<typeof row>;
export type Perform = (row: TestRow, context: PerformContext<null>) => Promise<Outcome> | Outcome;

type BenchOptions = Partial<TickOptions<null>> & { lock?: OverlapLock; random?: () => number };

/** Runs ticks of `dm_queue` over a test database under a virtual clock, with the test's own `perform`. */
export function tickBench(database: TestDatabase, start?: string) {
  const clock = new VirtualClock(start);
  const calls: { fn: string; args: Record<string, unknown> }[] = [];
  let fault: (
    call: { fn: string; args: Record<string, unknown> },
    go: () => Promise<unknown>,
  ) => Promise<unknown> = (_call, go) => go();
  const rpc: Rpc = (fn, args) => {
    const call = { fn, args };
    calls.push(call);
    // Only the database's own work stops the clock, so a fault may take virtual time.
    return fault(call, () => clock.busy(database.rpc(fn, args)));
  };
  const logged: { level: string; fields: object; message: string }[] = [];
  const log = (level: string) => (fields: object, message: string) =>
    void logged.push({ level, fields, message });

  return {
    clock,
    calls,
    logged,
    /** Sets the function through which every call to the database goes. */
    setFault(next: typeof fault) {
      fault = next;
    },
    queue(
      perform: Perform,
      changes: Partial<Queue<TestRow, null, unknown>> = {},
    ): Queue<TestRow, null, unknown> {
      return {
        name: 'dm_queue',
        row,
        delivery: 'at-most-once',
        timeoutMs: 15_000,
        connect: () => null,
        providers: () => ['unipile', 'whatsapp_cloud'],
        perform,
        ...changes,
      };
    },
    tick(queue: Queue<TestRow, null, unknown>, options: BenchOptions = {}) {
      return clock.run(this.start(queue, options));
    },
    /** Starts a tick without running the clock, for example beside a tick that runs it. */
    start(queue: Queue<TestRow, null, unknown>, options: BenchOptions = {}) {
      const { lock = null, random = () => 0.5, ...rest } = options;
      return tick(
        queue,
        {
          store: queueStore(rpc, clock.date),
          clock,
          log: { ...silentLog, warn: log('warn'), error: log('error') },
          random,
          newId: () => crypto.randomUUID(),
          lock,
        },
        { deps: null, limitMs: 60_000, scheduler: 'test', ...rest },
      );
    },
    /** Makes one call of the reconcile loop. */
    reconcile(
      queue: Queue<TestRow, null, unknown>,
      options: Partial<Parameters<typeof reconcile>[2]> = {},
    ): Promise<ReconcileReport> {
      const ports = { store: queueStore(rpc, clock.date), clock, log: silentLog };
      return clock.run(reconcile(queue, ports, { deps: null, limitMs: 60_000, ...options }));
    },
    /** Adds `count` due messages, oldest first, spread over `accounts` accounts. */
    async addDms(count: number, { accounts = count, dailyLimit = 1_000 } = {}) {
      await database.sql(
        `insert into punctual.accounts (provider, provider_account_id, name, daily_limit)
         select 'unipile', 'account-' || n, 'Account ' || n, $2 from generate_series(1, $1::integer) n order by n`,
        [accounts, dailyLimit],
      );
      await database.sql(
        `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at)
         select a.id, 'linkedin', 'chat-' || n, 'message ' || n, $2::timestamptz - make_interval(secs => $1::integer - n)
           from generate_series(1, $1::integer) n
           join punctual.accounts a on a.provider_account_id = 'account-' || (1 + (n - 1) % $3::integer)
          order by n`,
        [count, clock.date().toISOString(), accounts],
      );
    },
    async states(): Promise<Record<string, number>> {
      const rows = await database.sql(
        'select status, count(*)::integer as n from punctual.dm_queue group by 1',
      );
      return Object.fromEntries(rows.map((r) => [r.status, r.n]));
    },
    sleep: (ms: number) => new Promise<void>((resolve) => void clock.timer(ms, resolve)),
  };
}
