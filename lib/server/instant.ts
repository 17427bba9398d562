import { z } from 'zod';

/** An instant with its offset, ISO 8601, that JavaScript and Postgres both know: there is no year 0, and no offset beyond 15:59. */
export const instant = z.iso
  .datetime({ offset: true })
  .refine(
    (value) => !value.startsWith('0000') && !/[+-](1[6-9]|2\d):\d\d$/.test(value),
    'is beyond what the database keeps',
  );
