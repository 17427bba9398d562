import { z } from 'zod';
import { NotFoundError, toHttpError } from '../http-error.ts';

/** A queue's name in a path. No queue has a name of another form. */
export const queueName = z.string().regex(/^[a-z][a-z0-9_]{0,39}$/);

/** A row's id in a path. SQL knows the type of each queue's ids. Whole numbers are normalized: `007` becomes 7. */
export const rowId = z
  .string()
  .regex(/^[\w.:-]{1,100}$/)
  .transform((id) => (/^\d+$/.test(id) ? String(BigInt(id)) : id));

/** An id that is a whole number. Up to 18 digits always fit into a bigint. */
export const wholeId = z.string().regex(/^\d{1,18}$/, 'must be an id, a whole number');

/** Finds an object by the id of a path, with `find`. `noun` names the object in errors. Throws an `HttpError` or a `StoreError`. */
export async function findById<T>(noun: string, id: string, find: (id: string) => Promise<T>): Promise<T> {
  const parsed = rowId.pipe(wholeId).safeParse(id);
  if (!parsed.success) throw new NotFoundError(`there is no such ${noun}: ids are whole numbers`);
  try {
    return await find(parsed.data);
  } catch (error) {
    throw toHttpError(error);
  }
}
