import { ConflictError, NotFoundError } from '../../http/http-error.ts';
import { rowId } from '../../http/input/row-id.ts';
import { type ResolvedRow, resolveRow } from '../../operate/rows/resolve-row.ts';
import type { Services } from '../../services/services.ts';

/** Cancels a pending job. The history records `by`. Throws an `HttpError` or a `StoreError`. */
export async function cancelJob(
  { rpc }: Pick<Services, 'rpc'>,
  id: string,
  by: string,
): Promise<ResolvedRow> {
  const parsed = rowId.safeParse(id);
  if (!parsed.success) throw new NotFoundError(`there is no job ${id}`);
  try {
    return await resolveRow(rpc, 'jobs', parsed.data, by, { decision: 'cancelled' });
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
    const message = error.message.replace(/^the row/, 'the job');
    throw new ConflictError(`${message}: only a pending job can be cancelled`);
  }
}
