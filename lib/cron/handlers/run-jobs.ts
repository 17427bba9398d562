import { z } from 'zod';
import { startBudget } from '../../engine/budget';
import type { StoreError } from '../../engine/ports/store-error';
import { tick } from '../../engine/tick';
import type { TickReport } from '../../engine/tick-report';
import { NotFoundError } from '../../http/http-error';
import { jobs } from '../../queues/jobs/queue';
import { isError } from '../../services/is-error';
import type { Services } from '../../services/services';
import type { CronCall } from '../cron-call';
import { readDuePartitions } from './due-partitions';

const jobQueues = z.array(
  z.object({ queue: z.string(), timeout_seconds: z.number(), has_failed: z.boolean() }),
);

/** Of one queue in one call: more than a tick has time for. */
const everyOne = 1_000_000;

export interface AskedJobs {
  /** Null is any. */
  queue: string | null;
  /** `dead`: each that had failed before is run once more, in the queue it belongs to. */
  state: 'pending' | 'dead';
  /** The most that are run, of all queues together; null is no limit. */
  limit: number | null;
}

/**
 * Runs jobs because somebody asks for it, queue after queue within one budget. `left` names the queues that there was no time for. A queue
 * whose settings do not fit does not keep the others: its error is thrown at the end. Throws a
 * `StoreError`, a `NotFoundError` for a queue that there is not, or a `NotConfiguredError` where a job is defined wrongly.
 */
export async function runJobs(
  { rpc, ports }: Pick<Services, 'rpc' | 'ports'>,
  asked: AskedJobs,
  {
    maxDuration,
    queue = jobs,
    ...call
  }: Pick<CronCall, 'maxDuration' | 'startedAt' | 'scheduler'> & Partial<CronCall> & { queue?: typeof jobs },
): Promise<{ reports: TickReport[]; left: string[] }> {
  const deps = queue.connect(null);
  const queues = await readQueues(rpc, asked);
  if (queues === null) throw new NotFoundError(`there is no queue "${asked.queue}" of jobs`);
  const budget = startBudget(ports.clock, call.startedAt, maxDuration * 1_000);
  const reports: TickReport[] = [];
  const left: string[] = [];
  let room = asked.limit ?? everyOne;
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
        asked: { state: asked.state, limit: room },
      });
      reports.push(report);
      if (asked.limit !== null) room -= report.counts.claimed - report.counts.released;
    } catch (error) {
      if (!isError(error, 'StoreError') || error.kind !== 'registry') throw error;
      fault ??= error;
    }
  }
  if (fault) throw fault;
  return { reports, left };
}

/** The queues to go through, in order, and how long one attempt takes there; null where the one that is named is not there. */
async function readQueues(
  rpc: Services['rpc'],
  { queue, state }: AskedJobs,
): Promise<{ partition: string; timeoutMs: number }[] | null> {
  if (queue === null && state === 'pending') return readDuePartitions({ rpc }, jobs.name);
  const known = jobQueues.parse(await rpc('list_job_queues', {}));
  const wanted = known.filter((one) => (queue === null ? one.has_failed : one.queue === queue));
  if (queue !== null && wanted.length === 0) return null;
  return wanted.map((one) => ({ partition: one.queue, timeoutMs: one.timeout_seconds * 1_000 }));
}
