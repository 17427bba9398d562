import pLimit from 'p-limit';
import { type Budget, overheadMs, startBudget } from '../../engine/budget.ts';
import type { TickReport } from '../../engine/tick-report.ts';
import type { AnyQueue } from '../../queues/find-queue.ts';
import type { Services } from '../../services/services.ts';
import type { CronCall } from '../cron-call.ts';
import { tickPartition } from './tick-partition.ts';

export interface QueuePartition {
  queue: AnyQueue;
  partition: string;
  /** The partition's own, in milliseconds; the queue's bounds it. */
  timeoutMs: number;
}

/**
 * Ticks partitions within the budget of one call, `concurrency` at a time. If more are waiting, they share the time: a partition with a long
 * backlog ends when its share is over. `left` holds the partitions for which no time remained, in order; `faults` holds what ticks threw.
 */
export async function tickSideBySide(
  partitions: QueuePartition[],
  services: Pick<Services, 'env' | 'ports'>,
  call: CronCall,
  concurrency: number,
): Promise<{ reports: TickReport[]; left: QueuePartition[]; faults: unknown[] }> {
  const { clock } = services.ports;
  const budget = startBudget(clock, call.startedAt, call.maxDuration * 1_000);
  const limit = pLimit(concurrency);
  const reports: TickReport[] = [];
  const left: QueuePartition[] = [];
  const faults: unknown[] = [];
  let waiting = partitions.length;
  await Promise.all(
    partitions.map((one) =>
      limit(async () => {
        const { queue, partition } = one;
        const timeoutMs = Math.min(one.timeoutMs, queue.timeoutMs);
        const endBy = clock.now() + Math.max(share(budget, clock.now(), waiting), timeoutMs + overheadMs);
        waiting--;
        if (call.stop?.signal.aborted || !budget.admits(timeoutMs)) {
          left.push(one);
          return;
        }
        try {
          reports.push(await tickPartition(queue, services, { ...call, partition, endBy }));
        } catch (error) {
          faults.push(error);
        }
      }),
    ),
  );
  return { reports, left, faults };

  /** The time left, divided by the rounds still to come. */
  function share({ abortAt }: Budget, now: number, stillWaiting: number): number {
    return (abortAt - now) / Math.max(1, Math.ceil(stillWaiting / concurrency));
  }
}
