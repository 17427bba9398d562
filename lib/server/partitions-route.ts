import pLimit from 'p-limit';
import { startBudget } from '../engine/budget';
import { systemClock } from '../engine/clock';
import type { Queue } from '../engine/queue';
import { tick } from '../engine/tick';
import type { TickReport } from '../engine/tick-report';
import { container } from './container';
import { refuseCron } from './cron-route';
import { readDuePartitions } from './due-partitions';
import type { ServerEnv } from './env';
import { failed, isError } from './failure';
import { json, problem } from './respond';
import { readClock, readSlot } from './slot';

/** Partitions that are ticked side by side; each has the concurrency of its own. */
const sideBySide = 4;

/**
 * The handler of a cron endpoint of a queue with named parts: one tick of each that has something due, side by side, all within the budget of
 * one call. `?queue=` names one of them.
 *
 * 200 with `{ reports: [TickReport], left }`; `left` names those that there was no time for: they come first in the next call. 404 for
 * a name that there is not; otherwise as `cronRoute`. A partition that fails does not keep the others: its error is answered once
 * they are done.
 */
export function partitionsRoute<Row, Deps>(
  queue: Queue<Row, Deps, ServerEnv>,
  { maxDuration }: { maxDuration: number },
) {
  return async (request: Request): Promise<Response> => {
    const startedAt = systemClock.now();
    const refused = refuseCron(request);
    if (refused) return refused;
    try {
      const shared = await container();
      const deps = queue.connect(shared.env);
      const budget = startBudget(systemClock, startedAt, maxDuration * 1_000);
      const named = new URL(request.url).searchParams.get('queue');
      if (named?.includes('\0')) return problem(404, 'not_found', `there is no such part of ${queue.name}`);
      const due = await readDuePartitions(shared, queue.name, named);
      const left: string[] = [];
      const limit = pLimit(sideBySide);
      const ticks = await Promise.allSettled(
        due.map(({ partition, timeoutMs }) =>
          limit(async (): Promise<TickReport | null> => {
            if (!budget.admits(Math.min(timeoutMs, queue.timeoutMs))) {
              left.push(partition);
              return null;
            }
            return tick(queue, shared.ports, {
              deps,
              partition,
              limitMs: maxDuration * 1_000,
              startedAt,
              clockName: readClock(request.headers),
              slot: readSlot(request.headers, Date.now()),
            });
          }),
        ),
      );
      const failure = ticks.find((ended) => ended.status === 'rejected');
      if (failure) throw failure.reason;
      const reports = ticks.flatMap((ended) => (ended.status === 'fulfilled' && ended.value) || []);
      return json(200, { reports, left });
    } catch (error) {
      // There is no such queue, or no such part of it; what a tick lacks is the operator's to mend, and none of the caller's.
      if (isError(error, 'StoreError') && error.code === 'PT404')
        return problem(404, 'not_found', error.message);
      return failed(error);
    }
  };
}
