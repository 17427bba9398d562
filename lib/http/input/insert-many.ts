import { z } from 'zod';
import { type FieldError, fieldErrors } from '../field-error';
import { ValidationError } from '../http-error';

/** A row that was inserted, or was there. */
export interface InsertedRow {
  id: string;
  status: string;
  /** False: its key was there already, and this is the row that bears it. */
  created: boolean;
}

const most = 1_000;

const answer = z.union([
  z.object({ rows: z.array(z.object({ id: z.string(), status: z.string(), created: z.boolean() })) }),
  z.object({ errors: z.array(z.object({ index: z.number(), field: z.string(), message: z.string() })) }),
]);

/**
 * Checks one row or an array of up to 1,000, and hands all of them to `store`, or none. `noun` is what one is called. `store` is a SQL
 * function that answers `{ rows }`, or `{ errors }` and has taken in nothing; it raises PT409 where another call has just used a key.
 * Throws a `ValidationError` or a `StoreError`.
 */
export async function insertMany(
  noun: string,
  body: unknown,
  check: (row: unknown) => CheckedRow | Promise<CheckedRow>,
  store: (rows: object[]) => Promise<unknown>,
): Promise<{ rows: InsertedRow[] }> {
  const asked: unknown[] = Array.isArray(body) ? body : [body];
  if (asked.length === 0 || asked.length > most) {
    const message = `send one ${noun}, or an array of 1 to ${most}; this has ${asked.length}`;
    throw new ValidationError([{ index: null, field: '', message }]);
  }
  const rows: object[] = [];
  const errors: FieldError[] = [];
  // Side by side: a check may have somebody to ask.
  const all = await Promise.all(asked.map(async (row) => check(row)));
  for (const [index, checked] of all.entries()) {
    if ('row' in checked) rows.push(checked.row);
    else errors.push(...checked.faults.map((fault) => ({ index, ...fault })));
  }
  if (errors.length > 0) throw new ValidationError(errors);
  const inserted = answer.parse(
    await store(rows).catch((error) => {
      if ((error as { code?: string }).code !== 'PT409') throw error;
      // Two calls at once: the other was first, and its row is another one.
      const message = `another call has just used one of the keys for another ${noun}`;
      throw new ValidationError([{ index: null, field: 'idempotency_key', message }]);
    }),
  );
  if ('errors' in inserted) throw new ValidationError(inserted.errors);
  return inserted;
}

export type CheckedRow = { row: object } | { faults: Omit<FieldError, 'index'>[] };

/** A row that has nothing to be checked but its form. */
export function checkBy(schema: z.ZodType<object>) {
  return (row: unknown): CheckedRow => {
    const parsed = schema.safeParse(row);
    return parsed.success ? { row: parsed.data } : { faults: fieldErrors(parsed.error) };
  };
}
