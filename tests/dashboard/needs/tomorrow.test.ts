import { expect, it } from 'vitest';
import { tomorrowAt9 } from '../../../app/(dashboard)/needs/tomorrow.ts';

it('is 9:00 of the next day, also across the end of a month', () => {
  expect(tomorrowAt9(Date.UTC(2026, 10, 30, 23, 59), true)).toBe('2026-12-01T09:00:00.000Z');
  expect(tomorrowAt9(Date.UTC(2026, 11, 31, 0, 0), true)).toBe('2027-01-01T09:00:00.000Z');
  const local = new Date(tomorrowAt9(new Date(2026, 2, 28, 12).getTime(), false));
  expect([local.getDate(), local.getHours()]).toEqual([29, 9]);
});
