import { z } from 'zod';

/**
 * An instant with its offset, ISO 8601, that JavaScript and Postgres both know: there is no year 0, no offset beyond 15:59, and no year of
 * five digits in UTC.
 */
export const instant = z.iso
  .datetime({ offset: true, error: 'give an instant as 2026-03-02T14:00:00Z' })
  .refine(
    (value) =>
      !value.startsWith('0000') &&
      !/[+-](1[6-9]|2\d):\d\d$/.test(value) &&
      !(Date.parse(value) >= Date.UTC(10_000, 0)),
    'is beyond what the database keeps',
  );
