import { z } from 'zod';
import { systemClock } from '../../engine/ports/clock.ts';
import { defineQueue } from '../../engine/queue.ts';
import { jobFault } from '../../jobs/define-job.ts';
import { findJob, type Jobs } from '../../jobs/find-job.ts';
import { registry } from '../../jobs/registry.ts';
import { runJob } from '../../jobs/run-job.ts';
import { runWithin } from '../../jobs/run-within.ts';
import type { ScheduledQueue } from '../scheduled-queue.ts';

const row = z.object({ id: z.coerce.string(), name: z.string(), payload: z.unknown() });

/** The longest attempt of a job. The registry sets 15 s by default. */
const timeoutMs = 30_000;

/** Makes the queue `jobs` with the given handlers. */
export function jobsQueue(known: Jobs, clock = systemClock) {
  return defineQueue<z.infer<typeof row>, null, unknown>({
    name: 'jobs',
    row,
    delivery: 'at-least-once',
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
    const file = `lib/jobs/handlers/${name}.ts`;
    if (!job) return `${file} exports no job: add export default defineJob({ … })`;
    const fault = jobFault(job);
    if (fault !== null) return `${file}: ${fault}`;
    if ((job.timeoutSeconds ?? 0) * 1_000 > timeoutMs) {
      return `${file}: a timeout of ${job.timeoutSeconds} s is more than the ${timeoutMs / 1_000} s that lib/queues/jobs/queue.ts allows`;
    }
  }
  return null;
}

/** Background jobs, in queues by name. */
export const jobs = jobsQueue(registry);

export const scheduledJobs = { queue: jobs, partitions: 'due' } as const satisfies ScheduledQueue;
