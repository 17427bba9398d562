import type { z } from 'zod';

/** What is wrong with one field of what was sent. */
export interface FieldError {
  /** Which of the rows, from 0; null where the whole is not as it should be. */
  index: number | null;
  field: string;
  message: string;
}

/** Of one object, which has no place among others. */
export function fieldError(issue: z.core.$ZodIssue): Omit<FieldError, 'index'> {
  const names = issue.code === 'unrecognized_keys' ? [issue.keys.join(', ')] : [];
  const field = [...issue.path, ...names].join('.');
  return { field, message: issue.message };
}
