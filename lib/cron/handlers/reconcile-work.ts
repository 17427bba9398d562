import { systemClock } from '../../engine/ports/clock';
import { type ReconcileReport, reconcile } from '../../engine/reconcile';
import { type AnyQueue, missingSettings, type ScheduledQueue } from '../../queues/scheduled-queue';
import type { CronWork } from '../cron-work';

/**
 * Checks unknown rows, queue after queue, and claims nothing: of the queues that have a `reconcile`. Ticks do it too, where their budget leaves time; a queue whose backlog leaves
 * none needs this one. A queue whose provider is not configured is left out, and if all are, there is nothing to check. Answers
 * `{ reports: [ReconcileReport], notConfigured: [why a queue was left out] }`.
 */
export function reconcileWork(queues: readonly ScheduledQueue[]): CronWork {
  return async ({ env, ports }, { maxDuration, startedAt = systemClock.now(), stop }) => {
    const reports: ReconcileReport[] = [];
    const notConfigured: string[] = [];
    const configured: AnyQueue[] = [];
    for (const { queue } of queues) {
      if (!queue.reconcile) continue;
      const missing = missingSettings(queue, env);
      if (missing) notConfigured.push(missing.message);
      else configured.push(queue);
    }
    let fault: unknown;
    for (const queue of configured) {
      if (stop?.signal.aborted) break;
      const options = { deps: queue.connect(env), limitMs: maxDuration * 1_000, startedAt, stop };
      try {
        reports.push(await reconcile(queue, ports, options));
      } catch (error) {
        // One queue does not keep the others.
        fault ??= error;
      }
    }
    return { reports: [], body: { reports, notConfigured }, ...(fault !== undefined && { fault }) };
  };
}
