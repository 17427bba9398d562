import { expect, it } from 'vitest';
import { growingPause } from '../../lib/worker/growing-pause.ts';

it('the pause doubles after each failure, up to a minute, and is a second again after a success', () => {
  const pause = growingPause();
  const pauses = Array.from({ length: 8 }, () => pause.next() / 1_000);
  expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
  pause.reset();
  expect(pause.next()).toBe(1_000);
});
