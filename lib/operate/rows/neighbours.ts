import { z } from 'zod';
import type { Rpc } from '../../store/rpc.ts';
import { readList } from './list-rows.ts';
import type { RowFilter } from './row-filter.ts';

/** Where a list has a row: `running`, `pending` or `settled`, and the instant that orders these. */
const placeSchema = z.tuple([z.enum(['running', 'pending', 'settled']), z.string().nullable()]);

const neighbour = z.object({ id: z.string(), place: placeSchema }).nullable();
const neighboursSchema = z.object({ previous: neighbour, next: neighbour });

export type Place = z.infer<typeof placeSchema>;
/** Null at an end of the list, or if no match is near: one call reads 20,000 rows in each direction at most. */
export type Neighbours = z.infer<typeof neighboursSchema>;

/**
 * Reads the rows before and after a row in the list that `listRows` reads. `place`: where the list had the row; null for where it is now. Throws an
 * `HttpError` or a `StoreError`.
 */
export function readNeighbours(
  rpc: Rpc,
  queue: string,
  id: string,
  { sort = null, ...filter }: RowFilter & { sort?: string | null },
  place: Place | null,
): Promise<Neighbours> {
  const call = { p_queue: queue, p_id: id, p_filter: filter, p_sort: sort, p_place: place };
  return readList(async () => neighboursSchema.parse(await rpc('read_neighbours', call)));
}

/** Reads the place of an address, `settled,2026-12-01T08:00:00Z`; null for another text. */
export function parsePlace(text = ''): Place | null {
  const [segment, at = ''] = text.split(',');
  // As JSON and SQL write instants.
  const isInstant = /^(|infinity|\d{4,}-\d\d-\d\d[T ][\d:.]+(Z|[+-][\d:]+))$/.test(at);
  const place = placeSchema.safeParse([segment, at || null]);
  return isInstant && place.success ? place.data : null;
}
