import { systemClock } from '../../engine/ports/clock';
import { type ReconcileReport, reconcile } from '../../engine/reconcile';
import { isError } from '../../http/error-response';
import type { AnyQueue } from '../../queues/scheduled-queue';
import type { ServerEnv } from '../../services/env';
import type { CronWork } from '../cron-work';

/**
 * Checks unknown rows, queue after queue, and claims nothing. Ticks do it too, where their budget leaves time; a queue whose backlog leaves
 * none needs this one. A queue whose provider is not configured is left out, and if all are, there is nothing to check. Answers
 * `{ reports: [ReconcileReport], notConfigured: [why a queue was left out] }`.
 */
export function reconcileWork(queues: AnyQueue[]): CronWork {
  return async ({ env, ports }, { maxDuration, startedAt = systemClock.now(), stop }) => {
    const reports: ReconcileReport[] = [];
    const { connected, notConfigured } = connect(queues, env);
    for (const { queue, deps } of connected) {
      if (stop?.signal.aborted) break;
      reports.push(await reconcile(queue, ports, { deps, limitMs: maxDuration * 1_000, startedAt, stop }));
    }
    return { reports: [], body: { reports, notConfigured } };
  };
}

function connect(queues: AnyQueue[], env: ServerEnv) {
  const notConfigured: string[] = [];
  const connected = queues.flatMap((queue) => {
    try {
      return [{ queue, deps: queue.connect(env) }];
    } catch (error) {
      if (!isError(error, 'NotConfiguredError')) throw error;
      notConfigured.push(error.message);
      return [];
    }
  });
  return { connected, notConfigured };
}
