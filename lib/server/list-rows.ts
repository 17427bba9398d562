import { z } from 'zod';
import { type ListedRow, listedRowSchema } from '../store/listed-row';
import type { Rpc } from '../store/rpc';
import { listLimit } from './list-query';
import { fieldRefusal, type RowRefusal, rowRefusal } from './row-refusal';
import { storableText } from './storable-text';

const asked = z.object({
  status: storableText(100),
  limit: listLimit,
});

/**
 * Rows of one status, oldest first (settled ones: the latest first); of the unknown ones those first that wait for a person. `query`
 * bears `status`, which is the queue's own word or a state, and `limit` (1 to 200, 50 if not given). Throws a `StoreError`.
 */
export async function listRows(
  rpc: Rpc,
  queue: string,
  query: URLSearchParams,
): Promise<{ rows: ListedRow[] } | RowRefusal> {
  // Left out, it is answered as a word that there is not: with those that there are.
  const parsed = asked.safeParse({ status: '', ...Object.fromEntries(query) });
  if (!parsed.success) return fieldRefusal(parsed.error);
  const { status, limit } = parsed.data;
  try {
    const rows = await rpc('list_rows', { p_queue: queue, p_state: status, p_limit: limit });
    return { rows: z.array(listedRowSchema).parse(rows) };
  } catch (error) {
    return rowRefusal(error, 'status');
  }
}
