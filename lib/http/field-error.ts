import type { z } from 'zod';

/** The error of one field of a request. */
export interface FieldError {
  /** The row's position in the request, from 0; null if the error concerns the whole request. */
  index: number | null;
  field: string;
  message: string;
}

/** Bounds the response to a request with, for example, 100,000 wrong fields. */
const maxErrors = 100;
const maxNames = 10;

/** Returns the first 100 errors of one object, without an index. */
export function fieldErrors({ issues }: z.core.$ZodError): Omit<FieldError, 'index'>[] {
  return issues.slice(0, maxErrors).map(fieldError);
}

function fieldError(issue: z.core.$ZodIssue): Omit<FieldError, 'index'> {
  // A record's key has a schema of its own, and its message is the useful one.
  if (issue.code === 'invalid_key' && issue.issues[0])
    return { field: issue.path.join('.'), message: issue.issues[0].message };
  if (issue.code !== 'unrecognized_keys') return { field: issue.path.join('.'), message: issue.message };
  const names = issue.keys.slice(0, maxNames).map((name) => name.slice(0, 100));
  const field = [...issue.path, names.join(', ')].join('.');
  const more = issue.keys.length - names.length;
  const message = `Unrecognized key${names.length > 1 ? 's' : ''}: ${names.map((name) => `"${name}"`).join(', ')}`;
  return { field, message: more > 0 ? `${message} and ${more} more` : message };
}
