import { systemClock } from '../../engine/clock';
import { tick } from '../../engine/tick';
import type { TickReport } from '../../engine/tick-report';
import { isError } from '../../http/failure';
import type { AnyQueue } from '../../queues/scheduled-queue';
import type { ServerEnv } from '../../services/env';
import type { CronWork } from '../cron-work';

/**
 * Asks the providers what became of rows that stand as unknown, queue after queue, and claims nothing. Ticks do it too, where their
 * budget leaves time; a queue whose backlog leaves none needs this one. A queue whose provider is not configured is left out, and if all
 * are, there is nothing to ask. Answers `{ reports: [TickReport], notConfigured: [why a queue was left out] }`.
 */
export function lookWork(queues: AnyQueue[]): CronWork {
  return async ({ env, ports }, { maxDuration, startedAt = systemClock.now(), ...call }) => {
    const reports: TickReport[] = [];
    const { connected, notConfigured } = connect(queues, env);
    for (const { queue, deps } of connected) {
      if (call.stop?.signal.aborted) break;
      reports.push(
        await tick(queue, ports, { ...call, deps, limitMs: maxDuration * 1_000, startedAt, looksOnly: true }),
      );
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
