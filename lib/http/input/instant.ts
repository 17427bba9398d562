import { z } from 'zod';

/** Postgres writes instants before it with BC, which JavaScript does not read. */
const firstMs = Date.parse('0001-01-01T00:00:00Z');

/**
 * An ISO 8601 instant with its offset, in the range that JavaScript and Postgres share: no year 0, no offset beyond 15:59, and no year of five digits
 * in UTC.
 */
export const instant = z.iso
  .datetime({ offset: true, error: 'must be an instant with an offset, for example 2026-03-02T14:00:00Z' })
  .refine(
    (value) =>
      !(Date.parse(value) < firstMs) &&
      !value.startsWith('0000') &&
      !/[+-](1[6-9]|2\d):\d\d$/.test(value) &&
      !(Date.parse(value) >= Date.UTC(10_000, 0)),
    'is outside the range that the database can store',
  );
