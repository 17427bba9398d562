import type { StoreError } from '../../engine/ports/store-error.ts';
import { NotFoundError } from '../../http/http-error.ts';
import type { AnyQueue } from '../../queues/find-queue.ts';
import { isError } from '../../services/is-error.ts';
import type { CronHandler } from '../cron-handler.ts';
import { readDuePartitions } from './due-partitions.ts';
import { type QueuePartition, tickSideBySide } from './tick-side-by-side.ts';

/** Partitions that are ticked at the same time. */
const concurrency = 4;

/**
 * Ticks each partition that has due rows, within one budget; `?partition=` names one of them. The body is `{ reports: [TickReport], left }`:
 * `left` names the partitions for which no time remained, and the next call begins with them.
 *
 * A partition that fails does not stop the others: its error is the `fault`. Throws a `NotFoundError` for an unknown partition.
 */
export function partitionsHandler(queue: AnyQueue): CronHandler {
  const { unregisteredNote } = queue;
  return async (services, call) => {
    // Missing settings are reported before anything is read.
    queue.connect(services.env);
    const named = call.params.get('partition');
    if (named?.includes('\0')) throw new NotFoundError(`${queue.name} has no such partition`);
    const due = await readDuePartitions(services, queue.name, named).catch((error) => {
      if (!isMissing(error)) throw error;
      if (unregisteredNote !== undefined && named === null) return null;
      throw new NotFoundError(error.message);
    });
    if (due === null) return { reports: [], body: { reports: [], left: [], note: unregisteredNote } };
    const partitions = due.map((partition): QueuePartition => ({ queue, ...partition }));
    const { reports, left, faults } = await tickSideBySide(partitions, services, call, concurrency);
    return { reports, body: { reports, left: left.map(({ partition }) => partition) }, fault: faults[0] };
  };
}

/** The queue is not registered, or has no such partition. */
export function isMissing(error: unknown): error is StoreError {
  return isError(error, 'StoreError') && error.code === 'PT404';
}
