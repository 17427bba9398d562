import { z } from 'zod';

export const unstorable = 'contains a character that cannot be stored: NUL or half of a surrogate pair';

/** Text that Postgres can store unchanged: without NUL and without half of a surrogate pair. */
export function storableText(maxLength: number) {
  return z
    .string()
    .max(maxLength)
    .refine((value) => !value.includes('\0') && value.isWellFormed(), unstorable);
}

/** Storable text of at least one character, which may be a blank. */
export const nonEmptyText = (maxLength: number) => storableText(maxLength).min(1, 'is empty');

/** Storable text with at least one character that is not a blank. */
export const nonBlankText = (maxLength: number) =>
  storableText(maxLength).refine((value) => value.trim() !== '', 'is empty');
