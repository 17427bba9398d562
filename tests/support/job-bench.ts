import { type JobSelection, runJobs } from '../../lib/cron/handlers/run-jobs.ts';
import { silentLog } from '../../lib/engine/ports/log.ts';
import { type TickOptions, tick } from '../../lib/engine/tick.ts';
import type { TickReport } from '../../lib/engine/tick-report.ts';
import type { Jobs } from '../../lib/jobs/find-job.ts';
import { enqueueJobs } from '../../lib/queues/jobs/new-jobs.ts';
import { jobsQueue } from '../../lib/queues/jobs/queue.ts';
import { queueStore } from '../../lib/store/queue-store.ts';
import type { Rpc } from '../../lib/store/rpc.ts';
import type { TestDatabase } from './test-database.ts';
import { VirtualClock } from './virtual-clock.ts';

/** The functions that are told the time here; in production none is. */
const timed = new Set(['create_jobs', 'list_due_partitions', 'resolve_row']);

/** Jobs with handlers of the test's own, created and run over a test database under a virtual clock. */
export function jobBench(database: TestDatabase, handlers: Jobs) {
  const clock = new VirtualClock();
  const logged: { fields: object; message: string }[] = [];
  const write = (fields: object, message: string) => void logged.push({ fields, message });
  /** Of the function that runs now: what is left of one that was killed reaches nobody any more. */
  let life = { ended: false, end: () => {} };
  const rpc: Rpc = (fn, args) =>
    clock.busy(database.rpc(fn, timed.has(fn) ? { ...args, p_now: clock.date().toISOString() } : args));
  const ports = {
    store: queueStore(rpc, clock.date),
    clock,
    log: { ...silentLog, warn: write, error: write },
    random: () => 0.5,
    newId: () => crypto.randomUUID(),
    lock: null,
  };
  const ask = (
    server: { rpc: Rpc; ports: typeof ports },
    asked: Partial<JobSelection>,
    more: object = {},
  ) => {
    const call = { maxDuration: 60, startedAt: clock.now(), scheduler: 'test', ...more };
    const all = { queue: null, state: 'pending', limit: 1, ...asked } as const;
    return runJobs(server, all, { ...call, queue: jobsQueue(handlers, clock) });
  };
  async function untilKilled(
    work: (mortal: { rpc: Rpc; ports: typeof ports }) => Promise<unknown>,
  ): Promise<'ended' | 'killed'> {
    const own = { ended: false, end: () => {} };
    const killed = new Promise<'killed'>((resolve) => {
      own.end = () => {
        own.ended = true;
        resolve('killed');
      };
    });
    life = own;
    const mortalRpc: Rpc = (fn, args) => (own.ended ? new Promise(() => {}) : rpc(fn, args));
    const mortal = { rpc: mortalRpc, ports: { ...ports, store: queueStore(mortalRpc, clock.date) } };
    return clock.run(Promise.race([work(mortal).then(() => 'ended' as const), killed]));
  }
  return {
    clock,
    logged,
    rpc,
    sleep: (ms: number) => new Promise<void>((resolve) => void clock.timer(ms, resolve)),
    /** Answers the ids, in the order of what is created. */
    async create(...jobs: object[]): Promise<string[]> {
      const { rows } = await enqueueJobs({ rpc, jobs: handlers }, jobs);
      return rows.map(({ id }) => id);
    },
    /** One tick of one queue, by the code of `known`. */
    tick(options: Partial<TickOptions<null>> = {}, known: Jobs = handlers): Promise<TickReport> {
      const defaults = { deps: null, partition: 'default', limitMs: 60_000, scheduler: 'test' };
      return clock.run(tick(jobsQueue(known, clock), ports, { ...defaults, ...options }));
    },
    /** For a handler: the platform ends the whole function here. Only of an `…UntilKilled`. */
    killFunction(): void {
      life.end();
    },
    /** One tick of `default`, in a function of its own, which a handler may kill. */
    tickUntilKilled: () =>
      untilKilled((mortal) =>
        tick(jobsQueue(handlers, clock), mortal.ports, {
          deps: null,
          partition: 'default',
          limitMs: 60_000,
          scheduler: 'test',
        }),
      ),
    /** Somebody asks for jobs to be run. */
    run(asked: Partial<JobSelection> = {}, call: { slot?: string } = {}) {
      return clock.run(ask({ rpc, ports }, asked, call));
    },
    /** The same in a function of its own, which a handler may kill. */
    runUntilKilled: (asked: Partial<JobSelection> = {}) => untilKilled((mortal) => ask(mortal, asked)),
    /** Ticks every hour until nothing of the queue is pending. */
    async runOut(partition = 'default', known: Jobs = handlers): Promise<void> {
      for (let n = 0; n < 50; n++) {
        await this.tick({ partition }, known);
        const [{ waiting }] = await database.sql(
          `select count(*)::integer as waiting from punctual.jobs where status = 'pending' and queue = $1`,
          [partition],
        );
        if (waiting === 0) return;
        clock.skip(3_600_000);
      }
      throw new Error('there is no end to it');
    },
    async job(id: string | undefined) {
      const [row] = await database.sql('select * from punctual.jobs where id = $1', [id]);
      return row;
    },
    /** How long after `from` (in the clock's milliseconds) a job was finished, in seconds. */
    async finishedAfter(id: string, from: number): Promise<number> {
      return (Date.parse((await this.job(id)).finished_at) - from) / 1_000;
    },
  };
}
