import type { z } from 'zod';

/** What is wrong with one field of what was sent. */
export interface FieldError {
  /** Which of the rows, from 0; null where the whole is not as it should be. */
  index: number | null;
  field: string;
  message: string;
}

/** Whoever sends 100,000 wrong fields can do nothing with 100,000 errors. */
const mostErrors = 100;
const mostNames = 10;

/** The first 100 errors of one object, which has no place among others. */
export function fieldErrors({ issues }: z.core.$ZodError): Omit<FieldError, 'index'>[] {
  return issues.slice(0, mostErrors).map(fieldError);
}

function fieldError(issue: z.core.$ZodIssue): Omit<FieldError, 'index'> {
  if (issue.code !== 'unrecognized_keys') return { field: issue.path.join('.'), message: issue.message };
  const names = issue.keys.slice(0, mostNames).map((name) => name.slice(0, 100));
  const field = [...issue.path, names.join(', ')].join('.');
  const more = issue.keys.length - names.length;
  const message = `Unrecognized key${names.length > 1 ? 's' : ''}: ${names.map((name) => `"${name}"`).join(', ')}`;
  return { field, message: more > 0 ? `${message} and ${more} more` : message };
}
