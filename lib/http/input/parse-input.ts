import { z } from 'zod';
import { fieldErrors } from '../field-error';
import { ValidationError } from '../http-error';

/** What was sent, as the schema has it. Throws a `ValidationError`. */
export function parseInput<Schema extends z.ZodType>(schema: Schema, sent: unknown): z.output<Schema> {
  const parsed = schema.safeParse(sent);
  if (!parsed.success) throw new ValidationError(fieldErrors(parsed.error));
  return parsed.data;
}

/** The changes that were sent to something that exists: one at the least. Throws a `ValidationError`. */
export function parseChanges<Schema extends z.ZodObject>(schema: Schema, sent: unknown): z.output<Schema> {
  const changes = parseInput(schema, sent);
  if (Object.keys(changes).length > 0) return changes;
  const message = `name what is to change: ${Object.keys(schema.shape).join(', ')}`;
  throw new ValidationError([{ field: '', message }]);
}

const faults = z.object({ errors: z.array(z.object({ field: z.string(), message: z.string() })) });

/** What a SQL function stored, as the schema has it. Throws a `ValidationError` where it answers `{ errors }`, and has stored nothing. */
export function parseStored<Schema extends z.ZodType>(schema: Schema, answer: unknown): z.output<Schema> {
  const refused = faults.safeParse(answer);
  if (refused.success) throw new ValidationError(refused.data.errors);
  return schema.parse(answer);
}
