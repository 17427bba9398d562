import { z } from 'zod';
import type { Rpc } from '../../store/rpc.ts';
import { readList } from './list-rows.ts';
import type { RowFilter } from './row-filter.ts';

const count = z.number().default(0);
const chartSchema = z.object({
  bars: z
    .array(
      z.object({
        from: z.string(),
        to: z.string(),
        done: count,
        dead: count,
        unknown: count,
        cancelled: count,
      }),
    )
    .describe('The rows that ended from `from` on and before `to`, by state.'),
  more: z.boolean().describe('There may be more rows than were read.'),
});

export type RowChart = z.infer<typeof chartSchema>;

/**
 * Counts the rows that match and ended in each of twelve equal parts of a time. Null if the filter names no settled state, and for messages of pgmq.
 * Throws an `HttpError` or a `StoreError`.
 */
export function chartRows(
  rpc: Rpc,
  queue: string,
  filter: RowFilter,
  { from, to }: { from: string; to: string },
): Promise<RowChart | null> {
  const call = { p_queue: queue, p_filter: filter, p_from: from, p_to: to };
  return readList(async () => chartSchema.nullable().parse(await rpc('chart_rows', call)));
}
