import { z } from 'zod';

/** A text that Postgres can keep as it is: it takes neither NUL nor half of a character. */
export function storableText(most: number) {
  return z
    .string()
    .max(most)
    .refine(
      (value) => !value.includes('\0') && value.isWellFormed(),
      'contains a character that cannot be kept',
    );
}
