import { z } from 'zod';
import type { Container } from '../../services/container';

const duePartitions = z.array(z.object({ partition: z.string(), timeout_seconds: z.number() }));

/** The longest not ticked first; or `only` this one. Throws a `StoreError`, with the code PT404 where there is none of that name. */
export async function readDuePartitions(
  { rpc }: Pick<Container, 'rpc'>,
  queue: string,
  only: string | null = null,
): Promise<{ partition: string; timeoutMs: number }[]> {
  const due = duePartitions.parse(await rpc('list_due_partitions', { p_queue: queue, p_only: only }));
  return due.map(({ partition, timeout_seconds }) => ({ partition, timeoutMs: timeout_seconds * 1_000 }));
}
