import { z } from 'zod';
import { fieldErrors } from './field-error';
import { ValidationError } from './http-error';

/** What the query of a route may say: what it does not name is refused. */
export type QuerySchema = z.ZodObject<z.ZodRawShape, z.core.$strict>;

export const noQuery = z.strictObject({});

/** The platform's own, such as the one that lets a caller through its protection of deployments. */
const ofPlatform = /^x-vercel-/;
const mostNames = 10;

/** The query as `schema` has it. Throws a `ValidationError` that names each parameter that is wrong, given twice, or not there. */
export function readQuery<Schema extends QuerySchema>(url: URL, schema: Schema): z.output<Schema> {
  const given = [...url.searchParams].filter(([name]) => !ofPlatform.test(name));
  const names = given.map(([name]) => name);
  const known = Object.keys(schema.shape);
  const there = known.length > 0 ? `there are ${known.join(', ')}` : 'this path takes none';
  const errors = [...new Set(names)].flatMap((name) => {
    const field = name.slice(0, 100);
    if (!known.includes(name)) return [{ field, message: `is no parameter: ${there}` }];
    return names.indexOf(name) === names.lastIndexOf(name) ? [] : [{ field, message: 'is given twice' }];
  });
  const parsed = schema.safeParse(Object.fromEntries(given.filter(([name]) => known.includes(name))));
  if (parsed.success && errors.length === 0) return parsed.data;
  throw wrongQuery([...errors.slice(0, mostNames), ...(parsed.error ? fieldErrors(parsed.error) : [])]);
}

export function wrongQuery(errors: ValidationError['errors']): ValidationError {
  return new ValidationError(errors, 'the query (what follows the ?) cannot be', 400);
}

/** A whole number from `least` to `most`, or the text `otherwise`. */
export function wholeNumber(least: number, most: number, otherwise: string) {
  return z
    .string()
    .regex(new RegExp(`^\\d{1,${String(most).length}}$`), otherwise)
    .transform(Number)
    .refine((number) => number >= least && number <= most, otherwise);
}

/** `true` or `false`. */
export const yesOrNo = z.enum(['true', 'false']).transform((word) => word === 'true');
