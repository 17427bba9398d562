import { type ReconcileReport, reconcile } from '../../engine/reconcile.ts';
import type { AnyQueue } from '../../queues/find-queue.ts';
import { isError } from '../../services/is-error.ts';
import type { CronHandler } from '../cron-handler.ts';

/**
 * Checks the unknown rows of each queue that has a `reconcile`, and claims nothing. A tick that ends early checks too, but a queue with a
 * backlog has no such tick. The body is `{ reports: [ReconcileReport], notConfigured: [string] }`, the latter with the settings that the
 * queues left out would need. The `fault` is the first queue's that failed for another reason.
 */
export function reconcileHandler(queues: readonly AnyQueue[]): CronHandler {
  return async ({ env, ports }, { maxDuration, startedAt, stop }) => {
    const reports: ReconcileReport[] = [];
    const notConfigured: string[] = [];
    let fault: unknown;
    for (const queue of queues) {
      if (!queue.reconcile) continue;
      if (stop?.signal.aborted) break;
      try {
        const options = { deps: queue.connect(env), limitMs: maxDuration * 1_000, startedAt, stop };
        reports.push(await reconcile(queue, ports, options));
      } catch (error) {
        // A NotConfiguredError without variables is a fault of the queue's code.
        if (isError(error, 'NotConfiguredError') && error.variables.length > 0)
          notConfigured.push(error.message);
        else fault ??= error;
      }
    }
    return { reports: [], body: { reports, notConfigured }, ...(fault !== undefined && { fault }) };
  };
}
