import { z } from 'zod';
import type { Services } from '../../services/services.ts';

const duePartitions = z.array(z.object({ partition: z.string(), timeout_seconds: z.number() }));

/**
 * Returns the partitions with due rows, the longest not ticked first; if there are none, the longest not ticked, to be swept; or `only` the one
 * named. Throws a `StoreError` PT404 for an unknown queue or partition.
 */
export async function readDuePartitions(
  { rpc }: Pick<Services, 'rpc'>,
  queue: string,
  only: string | null = null,
): Promise<{ partition: string; timeoutMs: number }[]> {
  const due = duePartitions.parse(await rpc('list_due_partitions', { p_queue: queue, p_only: only }));
  return due.map(({ partition, timeout_seconds }) => ({ partition, timeoutMs: timeout_seconds * 1_000 }));
}
