import { z } from 'zod';
import { fieldErrors } from '../field-error.ts';
import { ValidationError } from '../http-error.ts';

/** Parses the input of a request by `schema`. Throws a `ValidationError`. */
export function parseInput<Schema extends z.ZodType>(schema: Schema, input: unknown): z.output<Schema> {
  const parsed = schema.safeParse(input);
  if (!parsed.success) throw new ValidationError(fieldErrors(parsed.error));
  return parsed.data;
}

/** Parses the changes to an existing object. Throws a `ValidationError`, also if there are none. */
export function parseChanges<Schema extends z.ZodObject>(schema: Schema, input: unknown): z.output<Schema> {
  const changes = parseInput(schema, input);
  if (Object.keys(changes).length > 0) return changes;
  const message = `name at least one field to change: ${Object.keys(schema.shape).join(', ')}`;
  throw new ValidationError([{ field: '', message }]);
}

const errorsSchema = z.object({ errors: z.array(z.object({ field: z.string(), message: z.string() })) });

/** Parses the object that a SQL function stored. Throws a `ValidationError` if the function returned `{ errors }` and stored nothing. */
export function parseStored<Schema extends z.ZodType>(schema: Schema, response: unknown): z.output<Schema> {
  const invalid = errorsSchema.safeParse(response);
  if (invalid.success) throw new ValidationError(invalid.data.errors);
  return schema.parse(response);
}
