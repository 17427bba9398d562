import { z } from 'zod';
import { NotFoundError, toHttpError } from '../http-error';

/** A queue's name as it stands in a path; what has another form is the name of none. */
export const queueName = z.string().regex(/^[a-z][a-z0-9_]{0,39}$/);

/** A row's id as it stands in a path. SQL knows which form its queue's have; whole numbers are made plain (`007` is 7). */
export const rowId = z
  .string()
  .regex(/^[\w.:-]{1,100}$/)
  .transform((id) => (/^\d+$/.test(id) ? String(BigInt(id)) : id));

/** An id that is a whole number, as wide as the database's. */
export const wholeId = z.string().regex(/^\d{1,18}$/, 'is no id');

/**
 * Asks the database about what an id of a path stands for. `what` is its name where there is none of that id. Throws an `HttpError` or a `StoreError`.
 */
export async function findById<T>(what: string, id: string, ask: (id: string) => Promise<T>): Promise<T> {
  const parsed = rowId.pipe(wholeId).safeParse(id);
  if (!parsed.success) throw new NotFoundError(`there is no such ${what}: ids are whole numbers`);
  try {
    return await ask(parsed.data);
  } catch (error) {
    throw toHttpError(error);
  }
}
