import type { StoreError } from '../../engine/ports/store-error';
import { NotFoundError } from '../../http/http-error';
import type { AnyQueue } from '../../queues/scheduled-queue';
import { isError } from '../../services/is-error';
import type { CronWork } from '../cron-work';
import { readDuePartitions } from './due-partitions';
import { type Part, tickSideBySide } from './tick-side-by-side';

/** Partitions that are ticked side by side. */
const sideBySide = 4;

/**
 * Of a queue with named parts one tick of each that has something due, side by side, all within the budget of one call. `?queue=` names
 * one of them. Answers `{ reports: [TickReport], left }`; `left` names those that there was no time for: they come first in the next call.
 *
 * Throws a `NotFoundError` for a name that there is not. A partition that fails does not keep the others: its error is the `fault`.
 * `whereNone` is said as long as the database does not know the queue.
 */
export function partitionsWork(queue: AnyQueue, { whereNone }: { whereNone?: string } = {}): CronWork {
  return async (shared, call) => {
    // What is not configured is told before anything is asked.
    queue.connect(shared.env);
    const named = call.params.get('queue');
    if (named?.includes('\0')) throw new NotFoundError(`there is no such part of ${queue.name}`);
    const due = await readDuePartitions(shared, queue.name, named).catch((error) => {
      if (!isMissing(error)) throw error;
      if (whereNone !== undefined && named === null) return null;
      throw new NotFoundError(error.message);
    });
    if (due === null) return { reports: [], body: { reports: [], left: [], note: whereNone } };
    const parts = due.map((part): Part => ({ queue, ...part }));
    const { reports, left, faults } = await tickSideBySide(parts, shared, call, sideBySide);
    return { reports, body: { reports, left: left.map(({ partition }) => partition) }, fault: faults[0] };
  };
}

/** There is no such queue, or no such part of it. */
export function isMissing(error: unknown): error is StoreError {
  return isError(error, 'StoreError') && error.code === 'PT404';
}
