import { jobs } from '../../queues/jobs/queue';
import type { ScheduledQueue } from '../../queues/scheduled-queue';
import type { CronWork } from '../cron-work';
import { partitionsWork } from './partitions-work';
import { runJobs } from './run-jobs';
import { tickWork } from './tick-partition';

/** What the queue's own endpoint does; of `partition`, where it has one each. */
export function queueWork({ queue, parts, whereNone }: ScheduledQueue, partition?: string): CronWork {
  if (parts !== 'due') return tickWork(queue, partition);
  const work = partitionsWork(queue, { whereNone });
  return queue.name === jobs.name ? withFailedJobs(work) : work;
}

/**
 * Of jobs `?queue=failed` stands for the failed jobs of all queues: each that has failed before the call is run once more. `work` does
 * everything else.
 */
function withFailedJobs(work: CronWork): CronWork {
  return async (shared, call) => {
    if (call.params.get('queue') !== 'failed') return work(shared, call);
    // Another call at once would be another wish to run them, those that have just failed again among them.
    return { reports: [], body: await runJobs(shared, { queue: null, state: 'dead', limit: null }, call) };
  };
}
