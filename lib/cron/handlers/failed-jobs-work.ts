import type { CronWork } from '../cron-work';
import { runJobs } from './run-jobs';

/**
 * Of jobs `?queue=failed` stands for the failed jobs of all queues: each that has failed before the call is run once more. `work` does
 * everything else.
 */
export function withFailedJobs(work: CronWork): CronWork {
  return async (shared, call) => {
    if (call.params.get('queue') !== 'failed') return work(shared, call);
    const everyFailedOne = { queue: null, state: 'dead', limit: null } as const;
    const ran = await runJobs(shared, everyFailedOne, call);
    // Another call at once would be another wish to run them, those that have just failed again among them.
    return { reports: [], body: ran };
  };
}
