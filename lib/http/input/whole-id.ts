import { z } from 'zod';
import { type RowRefusal, rowRefusal } from '../row-refusal';
import { rowId } from './row-path';

/** An id that is a whole number, as wide as the database's. */
export const wholeId = z.string().regex(/^\d{1,18}$/, 'is no id');

/** Asks about what an id of a path stands for; `what` is its name where there is none of that id. Throws a `StoreError`. */
export async function askOf<T>(
  what: string,
  id: string,
  ask: (id: string) => Promise<T>,
): Promise<T | RowRefusal> {
  const parsed = rowId.pipe(wholeId).safeParse(id);
  if (!parsed.success) return { missing: `there is no such ${what}: ids are whole numbers` };
  try {
    return await ask(parsed.data);
  } catch (error) {
    return rowRefusal(error, '');
  }
}
