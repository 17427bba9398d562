import { type ReconcileReport, reconcile } from '../../engine/reconcile';
import type { ScheduledQueue } from '../../queues/scheduled-queue';
import { isError } from '../../services/is-error';
import type { CronWork } from '../cron-work';

/**
 * Checks the unknown rows of each queue that has a `reconcile`, and claims nothing. Ticks check too, where their budget leaves time; a queue
 * whose backlog leaves none needs this. Answers `{ reports: [ReconcileReport], notConfigured: [why a queue was left out] }`. The `fault` is the
 * first queue's that failed otherwise.
 */
export function reconcileWork(queues: readonly ScheduledQueue[]): CronWork {
  return async ({ env, ports }, { maxDuration, startedAt, stop }) => {
    const reports: ReconcileReport[] = [];
    const notConfigured: string[] = [];
    let fault: unknown;
    for (const { queue } of queues) {
      if (!queue.reconcile) continue;
      if (stop?.signal.aborted) break;
      try {
        const options = { deps: queue.connect(env), limitMs: maxDuration * 1_000, startedAt, stop };
        reports.push(await reconcile(queue, ports, options));
      } catch (error) {
        // One queue does not keep the others. Where no variable is missing, its code is at fault.
        if (isError(error, 'NotConfiguredError') && error.variables.length > 0)
          notConfigured.push(error.message);
        else fault ??= error;
      }
    }
    return { reports: [], body: { reports, notConfigured }, ...(fault !== undefined && { fault }) };
  };
}
