import { rowId } from '../../http/input/row-path';
import type { RowRefusal } from '../../http/row-refusal';
import { resolveRow } from '../../operate/resolve-row';
import type { Container } from '../../services/container';

/** Takes a job back before it runs, or before it runs again. `by` says who, for its history. Throws a `StoreError`. */
export async function cancelJob(
  { rpc }: Pick<Container, 'rpc'>,
  id: string,
  by: 'api' | 'dashboard',
): Promise<{ row: { id: string; status: string } } | RowRefusal> {
  const known = rowId.safeParse(id);
  if (!known.success) return { missing: `there is no job ${id}` };
  const resolved = await resolveRow(rpc, 'jobs', known.data, by, { decision: 'cancelled' });
  return 'conflict' in resolved
    ? { conflict: `${resolved.conflict.replace(/^the row/, 'the job')}: only a pending job can be cancelled` }
    : resolved;
}
