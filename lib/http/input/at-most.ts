import { z } from 'zod';

/** Limits an array or an object to `maxEntries` entries. A larger one fails by its count, before any entry is parsed. */
export function atMost<Schema extends z.ZodType>(maxEntries: number, schema: Schema) {
  return z
    .unknown()
    .superRefine((value, context) => {
      const count = entryCount(value);
      if (count <= maxEntries) return;
      // `continue: false` also stops the checks of a schema around this one.
      const message = `has ${count} entries; at most ${maxEntries} are allowed`;
      context.addIssue({ code: 'custom', message, continue: false });
    })
    .pipe(schema);
}

function entryCount(value: unknown): number {
  if (Array.isArray(value)) return value.length;
  return typeof value === 'object' && value !== null ? Object.keys(value).length : 0;
}
