import { z } from 'zod';
import { systemClock } from '../../engine/ports/clock.ts';
import { defineQueue } from '../../engine/queue.ts';
import { callUrl, type UrlCaller } from '../../jobs/call-url.ts';
import { jobFault } from '../../jobs/define-job.ts';
import { findJob, type Jobs } from '../../jobs/find-job.ts';
import { runJob } from '../../jobs/run-job.ts';
import { runWithin } from '../../jobs/run-within.ts';
import { testJob } from '../../jobs/test-job.ts';
import { dnsResolver } from '../../net/dns-resolver.ts';
import { type AddressGuard, addressGuard } from '../../net/public-address.ts';
import { timeoutMs } from './job-input.ts';

const row = z.object({
  id: z.coerce.string(),
  name: z.string(),
  payload: z.unknown(),
  /** A job with a request calls its URL. Any other runs the handler of its name. */
  request: z.unknown().optional(),
  created_at: z.string(),
});

/** What jobs that call a URL need of the environment. */
export interface JobEnv {
  /** The current secret, and then the previous one while it is changed. Without them no URL is called. */
  jobSigningSecrets?: string[];
  /** Private addresses that jobs may call, as monitors may check them: see `addressGuard`. */
  monitorAllowPrivate?: string[];
  /** DNS servers as `ip` or `ip:port`; the system's by default. */
  monitorDnsServers?: string[];
}

/** Makes the guard of the addresses that jobs may call. It is used when a job is created, and again for each call. */
export const jobGuard = ({ monitorAllowPrivate, monitorDnsServers }: JobEnv): AddressGuard =>
  addressGuard(monitorAllowPrivate, {
    resolve: dnsResolver(monitorDnsServers),
    variable: 'MONITOR_ALLOW_PRIVATE',
  });

/** Makes the queue `jobs` with the given handlers: background jobs, in partitions by name. */
export function jobsQueue(own: Jobs, clock = systemClock) {
  const known = { test: testJob, ...own };
  return defineQueue<z.infer<typeof row>, UrlCaller, JobEnv>({
    name: 'jobs',
    row,
    delivery: 'at-least-once',
    partitions: 'due',
    timeoutMs,
    connect: (env) => ({ guard: jobGuard(env), signingSecrets: env.jobSigningSecrets ?? [] }),
    fault: faultOf(known),
    perform(job, { deps, attempt, signal: attemptSignal, log, progress }) {
      if (job.request != null) return callUrl(job, deps, { clock, attempt, signal: attemptSignal });
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
