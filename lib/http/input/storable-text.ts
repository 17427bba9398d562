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

/** The same with one character at least, be it a blank. */
export const nonEmptyText = (most: number) => storableText(most).min(1, 'is empty');

/** The same with one character at least that is no blank. */
export const nonBlankText = (most: number) =>
  storableText(most).refine((value) => value.trim() !== '', 'is empty');
