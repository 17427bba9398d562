import { jobs } from '../../queues/jobs/queue';
import type { ScheduledQueue } from '../../queues/scheduled-queue';
import type { CronHandler } from '../cron-handler';
import { partitionsHandler } from './partitions-handler';
import { runJobs } from './run-jobs';
import { tickHandler } from './tick-partition';

/** The handler of a queue's own path, and of its `partition`'s where each has a path. */
export function queueHandler(
  { queue, partitions, whereNone }: ScheduledQueue,
  partition?: string,
): CronHandler {
  if (partitions !== 'due') return tickHandler(queue, partition);
  const handler = partitionsHandler(queue, { whereNone });
  return queue.name === jobs.name ? withFailedJobs(handler) : handler;
}

/** `?partition=failed` of jobs runs each job that had failed before the call once more, whatever its queue. */
function withFailedJobs(handler: CronHandler): CronHandler {
  return async (services, call) => {
    if (call.params.get('partition') !== 'failed') return handler(services, call);
    // No reports: a continuation would run the jobs that have just failed again once more.
    return { reports: [], body: await runJobs(services, { queue: null, state: 'dead', limit: null }, call) };
  };
}
