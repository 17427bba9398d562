import { z } from 'zod';
import { toHttpError, ValidationError } from '../http/http-error.ts';
import { storableText } from '../http/input/storable-text.ts';
import { type Page, pageQuery, readPage } from '../http/page.ts';
import { invalidQuery } from '../http/query.ts';
import { type ListedRow, listedRowSchema } from '../store/listed-row.ts';
import type { Rpc } from '../store/rpc.ts';

export const rowsQuery = z.strictObject({
  /** The queue's own word or a state. Without it, the response is the error for an unknown word, which lists the known ones. */
  status: storableText(100).default(''),
  ...pageQuery,
});

/**
 * Reads a page of the rows of one status: the oldest first, or the latest first if they are settled. Unknown rows that wait for a person come before
 * the others. Throws an `HttpError` or a `StoreError`.
 */
export async function listRows(
  rpc: Rpc,
  queue: string,
  { status, ...page }: z.output<typeof rowsQuery>,
): Promise<Page<ListedRow>> {
  try {
    return await readPage(rpc, 'list_rows', listedRowSchema, page, { p_queue: queue, p_state: status });
  } catch (error) {
    const mapped = toHttpError(error, 'status');
    throw mapped instanceof ValidationError ? invalidQuery(mapped.errors) : mapped;
  }
}
