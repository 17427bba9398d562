import { z } from 'zod';
import { toHttpError, ValidationError } from '../http/http-error';
import { storableText } from '../http/input/storable-text';
import { type Page, pageQuery, readPage } from '../http/page';
import { wrongQuery } from '../http/query';
import { type ListedRow, listedRowSchema } from '../store/listed-row';
import type { Rpc } from '../store/rpc';

export const rowsQuery = z.strictObject({
  /** The queue's own word, or a state. Left out, it is answered as a word that there is not: with those that there are. */
  status: storableText(100).default(''),
  ...pageQuery,
});

/**
 * A page of the rows of one status, oldest first (settled ones: the latest first); of the unknown ones those first that wait for a person.
 * Throws an `HttpError` or a `StoreError`.
 */
export async function listRows(
  rpc: Rpc,
  queue: string,
  { status, ...page }: z.output<typeof rowsQuery>,
): Promise<Page<ListedRow>> {
  try {
    return await readPage(rpc, 'list_rows', listedRowSchema, page, { p_queue: queue, p_state: status });
  } catch (error) {
    const refusal = toHttpError(error, 'status');
    throw refusal instanceof ValidationError ? wrongQuery(refusal.errors) : refusal;
  }
}
