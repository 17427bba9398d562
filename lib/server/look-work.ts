import { systemClock } from '../engine/clock';
import type { NotConfiguredError } from '../engine/queue';
import { tick } from '../engine/tick';
import type { TickReport } from '../engine/tick-report';
import type { AnyQueue, CronWork } from './cron-work';
import type { ServerEnv } from './env';
import { isError } from './failure';

/**
 * Asks the providers what became of rows that stand as unknown, queue after queue, and claims nothing. Ticks do it too, where their
 * budget leaves time; a queue whose backlog leaves none needs this one. A queue whose provider is not configured is left out, unless
 * all are: then it throws the first's `NotConfiguredError`. Answers `{ reports: [TickReport] }`.
 */
export function lookWork(queues: AnyQueue[]): CronWork {
  return async ({ env, ports }, { maxDuration, startedAt = systemClock.now(), ...call }) => {
    const reports: TickReport[] = [];
    for (const { queue, deps } of connect(queues, env)) {
      if (call.stop?.signal.aborted) break;
      reports.push(
        await tick(queue, ports, { ...call, deps, limitMs: maxDuration * 1_000, startedAt, looksOnly: true }),
      );
    }
    return { reports: [], body: { reports } };
  };
}

function connect(queues: AnyQueue[], env: ServerEnv): { queue: AnyQueue; deps: unknown }[] {
  const missing: NotConfiguredError[] = [];
  const connected = queues.flatMap((queue) => {
    try {
      return [{ queue, deps: queue.connect(env) }];
    } catch (error) {
      if (!isError(error, 'NotConfiguredError')) throw error;
      missing.push(error);
      return [];
    }
  });
  if (connected.length === 0 && missing[0]) throw missing[0];
  return connected;
}
