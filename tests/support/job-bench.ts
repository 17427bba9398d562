import { type JobSelection, runJobs } from '../../lib/cron/handlers/run-jobs.ts';
import { silentLog } from '../../lib/engine/ports/log.ts';
import { type TickOptions, tick } from '../../lib/engine/tick.ts';
import type { TickReport } from '../../lib/engine/tick-report.ts';
import type { Jobs } from '../../lib/jobs/find-job.ts';
import { enqueueJobs } from '../../lib/queues/jobs/new-jobs.ts';
import { type JobEnv, jobsQueue } from '../../lib/queues/jobs/queue.ts';
import type { ServerEnv } from '../../lib/services/env.ts';
import { queueStore } from '../../lib/store/queue-store.ts';
import type { Rpc } from '../../lib/store/rpc.ts';
import { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import type { TestDatabase } from './test-database.ts';

/** The functions that get the virtual time in `p_now`. In production none gets a time. */
const timed = new Set(['create_jobs', 'list_due_partitions', 'resolve_row']);

/** Creates and runs jobs over a test database under a virtual clock, with the test's own handlers. `env` is for jobs that call URLs. */
export function jobBench(database: TestDatabase, handlers: Jobs, env: JobEnv = {}) {
  const clock = new VirtualClock();
  const logged: { fields: object; message: string }[] = [];
  const write = (fields: object, message: string) => void logged.push({ fields, message });
  /** The function invocation that runs now. After it is killed, its calls no longer reach the database. */
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
  /** A call of a URL is real work: no time passes while it runs. */
  const queueOf = (known: Jobs) => {
    const queue = jobsQueue(known, clock);
    const perform: typeof queue.perform = (job, context) =>
      job.request == null
        ? queue.perform(job, context)
        : clock.busy(Promise.resolve(queue.perform(job, context)));
    return { ...queue, perform };
  };
  const deps = jobsQueue({}, clock).connect(env);
  const runSelected = (
    server: { rpc: Rpc; ports: typeof ports },
    selection: Partial<JobSelection>,
    more: object = {},
  ) => {
    const call = { maxDuration: 60, startedAt: clock.now(), scheduler: 'test', ...more };
    const fullSelection = { queue: null, state: 'pending', limit: 1, ...selection } as const;
    return runJobs({ ...server, env: env as ServerEnv }, fullSelection, queueOf(handlers), call);
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
    /** Creates jobs and returns their ids in the same order. */
    async create(...jobs: object[]): Promise<string[]> {
      const { rows } = await enqueueJobs({ rpc, env, jobs: handlers }, jobs);
      return rows.map(({ id }) => id);
    },
    /** Runs one tick of one partition, with the handlers of `known`. */
    tick(options: Partial<TickOptions<typeof deps>> = {}, known: Jobs = handlers): Promise<TickReport> {
      const defaults = { deps, partition: 'default', limitMs: 60_000, scheduler: 'test' };
      return clock.run(tick(queueOf(known), ports, { ...defaults, ...options }));
    },
    /** Ends the whole function, as the platform would. For handlers inside an `…UntilKilled` call only. */
    killFunction(): void {
      life.end();
    },
    /** Runs one tick of `default` in a function of its own, which a handler may kill. */
    tickUntilKilled: () =>
      untilKilled((mortal) =>
        tick(queueOf(handlers), mortal.ports, {
          deps,
          partition: 'default',
          limitMs: 60_000,
          scheduler: 'test',
        }),
      ),
    /** Runs jobs at the request of a person or a program. */
    run(selection: Partial<JobSelection> = {}, call: { slot?: string } = {}) {
      return clock.run(runSelected({ rpc, ports }, selection, call));
    },
    /** Runs jobs at a request in a function of its own, which a handler may kill. */
    runUntilKilled: (selection: Partial<JobSelection> = {}) =>
      untilKilled((mortal) => runSelected(mortal, selection)),
    /** Ticks every hour until no job of the partition is pending. */
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
      throw new Error('jobs are still pending after 50 ticks');
    },
    async job(id: string | undefined) {
      const [row] = await database.sql('select * from punctual.jobs where id = $1', [id]);
      return row;
    },
    /** Returns the seconds from `from`, in the clock's milliseconds, until the job was finished. */
    async finishedAfter(id: string, from: number): Promise<number> {
      return (Date.parse((await this.job(id)).finished_at) - from) / 1_000;
    },
  };
}
