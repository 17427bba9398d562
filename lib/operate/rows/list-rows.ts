import { z } from 'zod';
import { toHttpError, ValidationError } from '../../http/http-error.ts';
import { listAnswer, type Page, pageQuery, readPage } from '../../http/page.ts';
import { invalidQuery, yesOrNo } from '../../http/query.ts';
import { type ListedRow, listedRowSchema } from '../../store/listed-row.ts';
import type { Rpc } from '../../store/rpc.ts';
import { filterQuery, type RowFilter } from './row-filter.ts';

export const rowsQuery = z.strictObject({
  ...filterQuery,
  sort: z
    .string()
    .max(20)
    .optional()
    .describe('`due`, `-due` (the latest first), `finished` or `-finished`.'),
  count: yesOrNo.default(false).describe('`true` also counts the rows that match.'),
  ...pageQuery,
});

export const rowCount = z.object({ count: z.number(), more: z.boolean() });

/** How many rows match: exact up to 10,000. `more`: there may be more. */
export type RowCount = z.infer<typeof rowCount>;

/** The response of a list of rows. */
export const rowPage = listAnswer('rows', listedRowSchema).extend({
  count: rowCount
    .optional()
    .describe('With `count=true`: exact up to 10,000; with `more` there may be more.'),
});

/**
 * Reads a page of the rows that match: running ones by their lease, then pending ones by their due time, then settled ones, the latest first. A page
 * may have fewer rows than `limit` and a next page, because one call reads 20,000 rows at most. Throws an `HttpError` or a `StoreError`.
 */
export async function listRows(
  rpc: Rpc,
  queue: string,
  { limit, cursor, sort = undefined, count, ...filter }: z.output<typeof rowsQuery>,
): Promise<Page<ListedRow> & { count?: RowCount }> {
  return readList(async () => {
    const params = { p_queue: queue, p_filter: filter, p_sort: sort ?? null };
    const page = await readPage(rpc, 'list_rows', listedRowSchema, { limit, cursor }, params);
    return count ? { ...page, count: await countRows(rpc, queue, filter) } : page;
  });
}

/** Runs a query that takes a filter and a sort. Throws an `HttpError` that names the wrong parameter, or a `StoreError`. */
export async function readList<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const mapped = toHttpError(error, 'status');
    throw mapped instanceof ValidationError ? invalidQuery(mapped.errors) : mapped;
  }
}

/** Counts the rows that match. Throws a `StoreError`. */
export async function countRows(rpc: Rpc, queue: string, filter: RowFilter): Promise<RowCount> {
  return rowCount.parse(await rpc('count_matching', { p_queue: queue, p_filter: filter }));
}
