import { ConflictError, NotFoundError } from '../../http/http-error';
import { rowId } from '../../http/input/row-id';
import { type ResolvedRow, resolveRow } from '../../operate/resolve-row';
import type { Services } from '../../services/services';

/** Cancels a job before it runs, or before it runs again. `by` says who, for its history. Throws an `HttpError` or a `StoreError`. */
export async function cancelJob(
  { rpc }: Pick<Services, 'rpc'>,
  id: string,
  by: 'api' | 'dashboard',
): Promise<ResolvedRow> {
  const known = rowId.safeParse(id);
  if (!known.success) throw new NotFoundError(`there is no job ${id}`);
  try {
    return await resolveRow(rpc, 'jobs', known.data, by, { decision: 'cancelled' });
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
    const message = error.message.replace(/^the row/, 'the job');
    throw new ConflictError(`${message}: only a pending job can be cancelled`);
  }
}
