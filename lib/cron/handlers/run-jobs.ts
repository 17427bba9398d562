import { z } from 'zod';
import { startBudget } from '../../engine/budget.ts';
import type { StoreError } from '../../engine/ports/store-error.ts';
import { tick } from '../../engine/tick.ts';
import type { TickReport } from '../../engine/tick-report.ts';
import { NotFoundError } from '../../http/http-error.ts';
import { type JobEnv, jobs } from '../../queues/jobs/queue.ts';
import { isError } from '../../services/is-error.ts';
import type { Services } from '../../services/services.ts';
import type { CronCall } from '../cron-call.ts';
import { readDuePartitions } from './due-partitions.ts';

const jobQueues = z.array(
  z.object({ queue: z.string(), timeout_seconds: z.number(), has_failed: z.boolean() }),
);

/** More jobs than a tick has time for. */
const unlimited = 1_000_000;

export interface JobSelection {
  /** Null is all queues. */
  queue: string | null;
  /** `dead`: retries each job once that failed before the call, in its own queue. */
  state: 'pending' | 'dead';
  /** The most jobs to run, over all queues; null is no limit. */
  limit: number | null;
}

/**
 * Runs jobs on request, one queue after the other within one budget. `left` names the queues for which no time remained. If the settings of a
 * queue do not fit, the other queues run and its error is thrown last. Throws a `StoreError`, a `NotFoundError` for an unknown queue, or a
 * `NotConfiguredError` for a faulty job definition.
 */
export async function runJobs(
  { rpc, ports, env }: Pick<Services, 'rpc' | 'ports'> & { env: JobEnv },
  selection: JobSelection,
  {
    maxDuration,
    queue = jobs,
    ...call
  }: Pick<CronCall, 'maxDuration' | 'startedAt' | 'scheduler'> & Partial<CronCall> & { queue?: typeof jobs },
): Promise<{ reports: TickReport[]; left: string[] }> {
  const deps = queue.connect(env);
  const queues = await readQueues(rpc, selection);
  if (queues === null) throw new NotFoundError(`there is no queue of jobs named "${selection.queue}"`);
  const budget = startBudget(ports.clock, call.startedAt, maxDuration * 1_000);
  const reports: TickReport[] = [];
  const left: string[] = [];
  let room = selection.limit ?? unlimited;
  let fault: StoreError | null = null;
  for (const { partition, timeoutMs } of queues) {
    if (room <= 0) break;
    if (call.stop?.signal.aborted || !budget.admits(Math.min(timeoutMs, queue.timeoutMs))) {
      left.push(partition);
      continue;
    }
    try {
      const report = await tick(queue, ports, {
        ...call,
        deps,
        partition,
        limitMs: maxDuration * 1_000,
        asked: { state: selection.state, limit: room },
      });
      reports.push(report);
      if (selection.limit !== null) room -= report.counts.claimed - report.counts.released;
    } catch (error) {
      if (!isError(error, 'StoreError') || error.kind !== 'registry') throw error;
      fault ??= error;
    }
  }
  if (fault) throw fault;
  return { reports, left };
}

/** Returns the queues to run, in order, with the timeout of one attempt; null if the named queue does not exist. */
async function readQueues(
  rpc: Services['rpc'],
  { queue, state }: JobSelection,
): Promise<{ partition: string; timeoutMs: number }[] | null> {
  if (queue === null && state === 'pending') return readDuePartitions({ rpc }, jobs.name);
  const known = jobQueues.parse(await rpc('list_job_queues', {}));
  const wanted = known.filter((one) => (queue === null ? one.has_failed : one.queue === queue));
  if (queue !== null && wanted.length === 0) return null;
  return wanted.map((one) => ({ partition: one.queue, timeoutMs: one.timeout_seconds * 1_000 }));
}
