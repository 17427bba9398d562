import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Durations } from '../../lib/engine/durations.ts';
import { assertProperty } from '../support/property.ts';

const of = (ms: number[]) => {
  const durations = new Durations();
  for (const one of ms) durations.add(one);
  return durations;
};

it('returns no quantile of an empty set', () => {
  expect(of([]).quantile(0.5)).toBeNull();
});

it('returns the exact quantile if all durations are equal', () => {
  const durations = of([2_500, 2_500, 2_500]);
  expect([durations.quantile(0.5), durations.quantile(0.95)]).toEqual([2_500, 2_500]);
});

it('returns every quantile within 3 % plus 1 ms of the true one', async () => {
  const ms = fc.array(fc.double({ min: 0, max: 800_000, noNaN: true }), { minLength: 1, maxLength: 200 });
  const cases = fc.property(ms, fc.constantFrom(0.01, 0.5, 0.95, 1), (all, share) => {
    const sorted = [...all].sort((a, b) => a - b);
    const truth = sorted[Math.max(1, Math.ceil(share * all.length)) - 1] ?? 0;
    const found = of(all).quantile(share) ?? Number.NaN;
    expect(Math.abs(found - truth)).toBeLessThanOrEqual(0.03 * truth + 1);
  });
  await assertProperty(cases);
});
