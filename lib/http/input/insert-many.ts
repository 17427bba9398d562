import { z } from 'zod';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { ValidationError } from '../http-error.ts';

/** A row that was inserted or existed already. */
export const insertedRow = z.object({
  id: z.string(),
  status: z.string().describe('In the queue’s own word.'),
  created: z.boolean().describe('False if a row with the same key existed: then this is that row.'),
});

export type InsertedRow = z.infer<typeof insertedRow>;

/** The most rows of one call. */
export const maxRows = 1_000;

const responseSchema = z.union([
  z.object({ rows: z.array(insertedRow) }),
  z.object({ errors: z.array(z.object({ index: z.number(), field: z.string(), message: z.string() })) }),
]);

/**
 * Checks one row, or an array of up to 1,000, and passes all of them to `store`, or none. `noun` names one of them in errors. `store` is a SQL
 * function. It returns `{ rows }`, or `{ errors }` if it inserted nothing, and raises PT409 if a concurrent call has just used a key. Throws a
 * `ValidationError` or a `StoreError`.
 */
export async function insertMany(
  noun: string,
  body: unknown,
  check: (row: unknown) => CheckedRow | Promise<CheckedRow>,
  store: (rows: object[]) => Promise<unknown>,
): Promise<{ rows: InsertedRow[] }> {
  const inputs: unknown[] = Array.isArray(body) ? body : [body];
  if (inputs.length === 0 || inputs.length > maxRows) {
    const message = `send one ${noun}, or an array of 1 to ${maxRows}; this has ${inputs.length}`;
    throw new ValidationError([{ index: null, field: '', message }]);
  }
  const rows: object[] = [];
  const errors: FieldError[] = [];
  // In parallel, because a check may resolve a host name.
  const results = await Promise.all(inputs.map(async (row) => check(row)));
  for (const [index, checked] of results.entries()) {
    if ('row' in checked) rows.push(checked.row);
    else errors.push(...checked.faults.map((fault) => ({ index, ...fault })));
  }
  if (errors.length > 0) throw new ValidationError(errors);
  const inserted = responseSchema.parse(
    await store(rows).catch((error) => {
      if ((error as { code?: string }).code !== 'PT409') throw error;
      // The concurrent call was first, and its row is a different one.
      const message = `a concurrent call has used one of the keys for a different ${noun}: send all again to see which`;
      throw new ValidationError([{ index: null, field: 'idempotency_key', message }]);
    }),
  );
  if ('errors' in inserted) throw new ValidationError(inserted.errors);
  return inserted;
}

export type CheckedRow = { row: object } | { faults: Omit<FieldError, 'index'>[] };

/** Returns a check of a row by its schema alone. */
export function checkBy(schema: z.ZodType<object>) {
  return (row: unknown): CheckedRow => {
    const parsed = schema.safeParse(row);
    return parsed.success ? { row: parsed.data } : { faults: fieldErrors(parsed.error) };
  };
}
