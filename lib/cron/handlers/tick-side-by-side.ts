import pLimit from 'p-limit';
import { type Budget, overheadMs, startBudget } from '../../engine/budget';
import type { TickReport } from '../../engine/tick-report';
import type { AnyQueue } from '../../queues/scheduled-queue';
import type { Container } from '../../services/container';
import type { CronCall } from '../cron-call';
import { tickPartition } from './tick-partition';

/** A partition whose turn it is. */
export interface Part {
  queue: AnyQueue;
  partition: string;
  /** The longest one attempt takes there, in milliseconds. */
  timeoutMs: number;
}

/**
 * Ticks parts side by side within the budget of one call, each with the concurrency of its own. Where there are more than run side by side,
 * the time is shared: a part with a long backlog ends when its share is over, so that those behind it get theirs. `left` holds those that
 * there was no time for, in their order; `faults` what other ticks threw: none keeps the others.
 */
export async function tickSideBySide(
  parts: Part[],
  shared: Pick<Container, 'env' | 'ports'>,
  call: CronCall,
  sideBySide: number,
): Promise<{ reports: TickReport[]; left: Part[]; faults: unknown[] }> {
  const { clock } = shared.ports;
  const budget = startBudget(clock, call.startedAt, call.maxDuration * 1_000);
  const limit = pLimit(sideBySide);
  const reports: TickReport[] = [];
  const left: Part[] = [];
  const faults: unknown[] = [];
  let waiting = parts.length;
  await Promise.all(
    parts.map((part) =>
      limit(async () => {
        const timeoutMs = Math.min(part.timeoutMs, part.queue.timeoutMs);
        const endBy = clock.now() + Math.max(share(budget, clock.now(), waiting), timeoutMs + overheadMs);
        waiting--;
        if (call.stop?.signal.aborted || !budget.admits(timeoutMs)) {
          left.push(part);
          return;
        }
        try {
          reports.push(
            await tickPartition(part.queue, shared, { ...call, partition: part.partition, endBy }),
          );
        } catch (error) {
          faults.push(error);
        }
      }),
    ),
  );
  return { reports, left, faults };

  /** Of the time that is left, for each round that is still to come. */
  function share({ abortAt }: Budget, now: number, stillWaiting: number): number {
    return (abortAt - now) / Math.max(1, Math.ceil(stillWaiting / sideBySide));
  }
}
