import fc from 'fast-check';
import { expect, it } from 'vitest';
import { backoffSeconds } from '../../lib/engine/backoff.ts';
import { assertProperty } from '../support/property.ts';

const settings = { baseSeconds: 30, capSeconds: 3_600 };

it('picks a random wait between zero and a ceiling that doubles up to the cap', () => {
  expect([1, 2, 3, 8, 50].map((attempt) => backoffSeconds(attempt, settings, () => 0.999_999_9))).toEqual(
    [30, 60, 120, 3_600, 3_600].map((ceiling) => expect.closeTo(ceiling, 2)),
  );
  expect(backoffSeconds(5, settings, () => 0)).toBe(0);
});

it('waits at least as long as the provider asks, and no longer than the greater of that wait and the cap', async () => {
  await assertProperty(
    fc.property(
      fc.integer({ min: 1, max: 1_000 }),
      fc.integer({ min: 0, max: 9_999 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (attempt, retryAfterSeconds, chance) => {
        const seconds = backoffSeconds(attempt, { ...settings, retryAfterSeconds }, () => chance);
        expect(seconds).toBeGreaterThanOrEqual(retryAfterSeconds);
        expect(seconds).toBeLessThanOrEqual(Math.max(retryAfterSeconds, 3_600));
      },
    ),
  );
});
