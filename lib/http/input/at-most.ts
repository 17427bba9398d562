import { z } from 'zod';

/** `schema` for an array or an object of up to `most` entries. One with more is refused by the count, before any entry is parsed. */
export function atMost<Schema extends z.ZodType>(most: number, schema: Schema) {
  return z
    .unknown()
    .superRefine((value, context) => {
      const count = entryCount(value);
      if (count <= most) return;
      // Nor may the checks of a schema around this one go through them.
      context.addIssue({ code: 'custom', message: `has ${count} entries; at most ${most}`, continue: false });
    })
    .pipe(schema);
}

function entryCount(value: unknown): number {
  if (Array.isArray(value)) return value.length;
  return typeof value === 'object' && value !== null ? Object.keys(value).length : 0;
}
