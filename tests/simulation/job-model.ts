import { z } from 'zod';
import { defineJob } from '../../lib/jobs/define-job.ts';
import { JobError } from '../../lib/jobs/job-error.ts';
import { jobsQueue } from '../../lib/queues/jobs/queue.ts';
import type { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import type { Fate, Faults, JobFault } from './faults.ts';
import type { RandomStream } from './random.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import { second } from './world.ts';

/** One run of a job's handler, as recorded by the system that it works on. */
export interface JobRun {
  key: string;
  rowId: string;
  startedAt: number;
  /** When it took effect; null if it had none. */
  doneAt: number | null;
  fault: JobFault;
}

type JobsQueue = ReturnType<typeof jobsQueue>;

const payload = z.object({ key: z.string(), times: z.number(), everySeconds: z.number() });

/** The handlers of jobs, which are slow, fail, hang and run again. */
export class JobModel {
  runs: JobRun[] = [];

  constructor(
    private readonly clock: VirtualClock,
    private readonly faults: Faults,
    private readonly random: RandomStream,
  ) {}

  /** Forgets the later runs: the jobs' system is restored together with their database. */
  goBack(to: number): void {
    this.runs = this.runs.filter(({ startedAt, doneAt }) => (doneAt ?? startedAt) < to);
  }

  /** Returns the queue of one process. Its handlers end with the process. */
  queueOf(process: SimulatedProcess, fate: Fate): JobsQueue {
    const chore = defineJob({
      payload,
      timeoutSeconds: 20,
      run: ({ key }, { jobId, signal }) => this.run(process, fate, key, jobId, signal),
    });
    const queue = jobsQueue({ chore }, process.clock);
    return {
      ...queue,
      // Jobs never reschedule themselves. Rows of other queues do, and the engine treats all queues alike.
      perform: async (job, context) => {
        const outcome = await queue.perform({ ...job, name: 'chore' }, context);
        const { key, times, everySeconds } = payload.parse(job.payload);
        const done = this.runs.filter((run) => run.key === key && run.doneAt !== null).length;
        return outcome.kind === 'done' && job.name === 'recurring' && done < times
          ? { kind: 'again', afterSeconds: everySeconds }
          : outcome;
      },
    };
  }

  private run(
    process: SimulatedProcess,
    fate: Fate,
    key: string,
    rowId: string,
    signal: AbortSignal,
  ): Promise<unknown> {
    const { clock, random } = this;
    const fault = this.faults.ofJob();
    const run: JobRun = { key, rowId, startedAt: clock.now(), doneAt: null, fault };
    this.runs.push(run);
    return new Promise((resolve, reject) => {
      fate.step();
      if (process.isOver) return;
      const respond = (ms: number, fn: () => void) => clock.timer(ms, () => process.receive('response', fn));
      const ms = random.magnitude(20, 4_000);
      const finish = (fn: () => void) => () => {
        run.doneAt = clock.now();
        fate.step();
        fn();
      };
      if (fault !== 'heedless of the signal')
        signal.addEventListener('abort', () => reject(new Error('it saw its signal')), { once: true });
      switch (fault) {
        case 'hangs':
          return;
        case 'heedless of the signal':
          return respond(
            random.between(16, 70) * second,
            finish(() => resolve({ late: true })),
          );
        case 'slow':
          return respond(
            random.between(8, 14) * second,
            finish(() => resolve({ slow: true })),
          );
        case 'throws':
          return respond(ms, () => reject(new Error('it went wrong')));
        case 'later, it says':
          return respond(ms, () =>
            reject(new JobError('not now', { afterSeconds: Math.round(random.magnitude(5, 2_000)) })),
          );
        case 'for good':
          return respond(ms, () => reject(new JobError('it makes no sense', { retry: false })));
        case 'limited':
          return respond(ms, () => reject(Object.assign(new Error('too much'), { kind: 'rate_limited' })));
        case 'done, and then throws':
          return respond(
            ms,
            finish(() => reject(new Error('it went wrong in the end'))),
          );
        default:
          return respond(
            ms,
            finish(() => resolve({ key })),
          );
      }
    });
  }
}
