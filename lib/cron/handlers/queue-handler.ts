import type { AnyQueue } from '../../queues/find-queue.ts';
import type { CronHandler } from '../cron-handler.ts';
import { partitionsHandler } from './partitions-handler.ts';
import { runJobs } from './run-jobs.ts';
import { tickHandler } from './tick-partition.ts';

/** Returns the handler of a queue's own path, or of its `partition`'s path if each partition has one. */
export function queueHandler(queue: AnyQueue, partition?: string): CronHandler {
  if (queue.partitions !== 'due') return tickHandler(queue, partition);
  const handler = partitionsHandler(queue);
  return queue.name === 'jobs' ? withFailedJobs(queue, handler) : handler;
}

/** With `?partition=failed`, retries each job once that failed before the call, in every queue of jobs. */
function withFailedJobs(queue: AnyQueue, handler: CronHandler): CronHandler {
  return async (services, call) => {
    if (call.params.get('partition') !== 'failed') return handler(services, call);
    // No reports, because a continuation would retry the jobs that have just failed again.
    const selection = { queue: null, state: 'dead', limit: null } as const;
    return { reports: [], body: await runJobs(services, selection, queue, call) };
  };
}
