import { z } from 'zod';
import { systemClock } from '../../engine/ports/clock.ts';
import { defineQueue } from '../../engine/queue.ts';
import { jobFault } from '../../jobs/define-job.ts';
import { findJob, type Jobs } from '../../jobs/find-job.ts';
import { runJob } from '../../jobs/run-job.ts';
import { runWithin } from '../../jobs/run-within.ts';
import { testJob } from '../../jobs/test-job.ts';

const row = z.object({ id: z.coerce.string(), name: z.string(), payload: z.unknown() });

/** The longest attempt of a job. The registry sets 15 s by default. */
export const timeoutMs = 30_000;

/** Makes the queue `jobs` with the given handlers: background jobs, in partitions by name. */
export function jobsQueue(own: Jobs, clock = systemClock) {
  const known = { test: testJob, ...own };
  return defineQueue<z.infer<typeof row>, null, unknown>({
    name: 'jobs',
    row,
    delivery: 'at-least-once',
    partitions: 'due',
    timeoutMs,
    connect: () => null,
    fault: faultOf(known),
    perform(job, { attempt, signal: attemptSignal, log, progress }) {
      const found = findJob(known, job.name);
      const limits = 'job' in found ? found.job : {};
      return runWithin(limits, { clock, attempt, signal: attemptSignal }, (signal) =>
        runJob(known, job, { attempt, signal, log, progress }),
      );
    },
  });
}

/** Says which definition can never run, and why; null if all can. */
function faultOf(known: Jobs): string | null {
  for (const [name, job] of Object.entries(known)) {
    if (!job) return `job ${name} has no handler: pass defineJob({ … })`;
    const fault = jobFault(job);
    if (fault !== null) return `job ${name}: ${fault}`;
    if ((job.timeoutSeconds ?? 0) * 1_000 > timeoutMs) {
      return `job ${name}: a timeout of ${job.timeoutSeconds} s is more than the ${timeoutMs / 1_000} s that jobs may have`;
    }
  }
  return null;
}
