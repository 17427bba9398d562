import { z } from 'zod';
import { fieldErrors } from './field-error.ts';
import { ValidationError } from './http-error.ts';

/** The schema of a route's query. A parameter that it does not name is an error. */
export type QuerySchema = z.ZodObject<z.ZodRawShape, z.core.$strict>;

export const noQuery = z.strictObject({});

/** Vercel's own parameters, for example the one that bypasses its deployment protection. */
const platformName = /^x-vercel-/;
/** The most unknown or repeated parameters that an error lists. */
const maxNames = 10;

/** Parses the query by `schema`. Throws a `ValidationError` that names each unknown, repeated, missing or invalid parameter. */
export function readQuery<Schema extends QuerySchema>(url: URL, schema: Schema): z.output<Schema> {
  const given = [...url.searchParams].filter(([name]) => !platformName.test(name));
  const names = given.map(([name]) => name);
  const known = Object.keys(schema.shape);
  const accepted = known.length > 0 ? known.join(', ') : 'none';
  const errors = [...new Set(names)].flatMap((name) => {
    const field = name.slice(0, 100);
    if (!known.includes(name)) return [{ field, message: `is not a parameter: this path takes ${accepted}` }];
    return names.indexOf(name) === names.lastIndexOf(name) ? [] : [{ field, message: 'is given twice' }];
  });
  const parsed = schema.safeParse(Object.fromEntries(given.filter(([name]) => known.includes(name))));
  if (parsed.success && errors.length === 0) return parsed.data;
  throw invalidQuery([...errors.slice(0, maxNames), ...(parsed.error ? fieldErrors(parsed.error) : [])]);
}

export function invalidQuery(errors: ValidationError['errors']): ValidationError {
  return new ValidationError(errors, 'the query string is invalid: correct these parameters', 400);
}

/** A whole number from `min` to `max`. `message` is the error for anything else. */
export function wholeNumber(min: number, max: number, message: string) {
  return z
    .string()
    .regex(new RegExp(`^\\d{1,${String(max).length}}$`), message)
    .transform(Number)
    .refine((number) => number >= min && number <= max, message)
    .meta({ type: 'integer', minimum: min, maximum: max });
}

/** `true` or `false`. */
export const yesOrNo = z.enum(['true', 'false']).transform((word) => word === 'true');
