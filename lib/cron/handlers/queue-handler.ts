import { jobs } from '../../queues/jobs/queue.ts';
import type { ScheduledQueue } from '../../queues/scheduled-queue.ts';
import type { CronHandler } from '../cron-handler.ts';
import { partitionsHandler } from './partitions-handler.ts';
import { runJobs } from './run-jobs.ts';
import { tickHandler } from './tick-partition.ts';

/** Returns the handler of a queue's own path, or of its `partition`'s path if each partition has one. */
export function queueHandler(
  { queue, partitions, unregisteredNote }: ScheduledQueue,
  partition?: string,
): CronHandler {
  if (partitions !== 'due') return tickHandler(queue, partition);
  const handler = partitionsHandler(queue, { unregisteredNote });
  return queue.name === jobs.name ? withFailedJobs(handler) : handler;
}

/** With `?partition=failed`, retries each job once that failed before the call, in every queue of jobs. */
function withFailedJobs(handler: CronHandler): CronHandler {
  return async (services, call) => {
    if (call.params.get('partition') !== 'failed') return handler(services, call);
    // No reports, because a continuation would retry the jobs that have just failed again.
    return { reports: [], body: await runJobs(services, { queue: null, state: 'dead', limit: null }, call) };
  };
}
