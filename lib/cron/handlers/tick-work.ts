import type { AnyQueue } from '../../queues/scheduled-queue';
import type { CronWork } from '../cron-work';
import { tickPartition } from './tick-partition';

/** One tick of a partition: `main` where the queue has no parts. */
export function tickWork(queue: AnyQueue, partition = 'main'): CronWork {
  return async (shared, call) => {
    const report = await tickPartition(queue, shared, { ...call, partition });
    return { reports: [report], body: report };
  };
}
