import { systemClock } from '../engine/clock';
import type { NotConfiguredError, Queue } from '../engine/queue';
import { tick } from '../engine/tick';
import type { TickReport } from '../engine/tick-report';
import { container } from './container';
import { refuseCron } from './cron-route';
import type { ServerEnv } from './env';
import { failed, isError } from './failure';
import { json } from './respond';
import { readClock, readSlot } from './slot';

/** A queue whatever its rows are: routes of several hold them side by side. */
// biome-ignore lint/suspicious/noExplicitAny: each queue has its own types of row and deps
type AnyQueue = Queue<any, any, ServerEnv>;

/**
 * Asks the providers what became of rows that stand as unknown, queue after queue, and claims nothing. Ticks do it too, where their
 * budget leaves time; a queue whose backlog leaves none needs this one. A queue whose provider is not configured is left out, unless
 * all are. Answers `{ reports: [TickReport] }`, otherwise as a queue's own endpoint does.
 */
export function reconcileRoute(queues: AnyQueue[], { maxDuration }: { maxDuration: number }) {
  return async (request: Request): Promise<Response> => {
    const startedAt = systemClock.now();
    const refused = refuseCron(request);
    if (refused) return refused;
    try {
      const { env, ports } = await container();
      const reports: TickReport[] = [];
      for (const { queue, deps } of connect(queues, env)) {
        reports.push(
          await tick(queue, ports, {
            deps,
            limitMs: maxDuration * 1_000,
            startedAt,
            clockName: readClock(request.headers),
            slot: readSlot(request.headers, Date.now()),
            looksOnly: true,
          }),
        );
      }
      return json(200, { reports });
    } catch (error) {
      return failed(error);
    }
  };
}

/** Throws the first's `NotConfiguredError` where none is configured. */
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
