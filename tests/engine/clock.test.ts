import { describe, expect, it } from 'vitest';
import { unsuspendedTime } from '../../lib/engine/ports/clock.ts';

const origin = Date.parse('2026-03-02T12:00:00Z');
/** Two clocks that a test sets, and the time that comes of them. */
function clocks() {
  const at = { monotonic: origin, wall: origin };
  const now = unsuspendedTime(
    () => at.monotonic,
    () => at.wall,
  );
  const pass = (monotonicMs: number, wallMs = monotonicMs) => {
    at.monotonic += monotonicMs;
    at.wall += wallMs;
    return now() - origin;
  };
  return { pass };
}

describe('the time of a machine', () => {
  it('is the monotonic clock’s, whatever the wall clock does within a second', () => {
    const { pass } = clocks();
    expect(pass(1_000)).toBe(1_000);
    expect(pass(10, 600)).toBe(1_010);
    expect(pass(10, -600)).toBe(1_020);
    // Slewed by as much again and again, as a clock that is kept exact may be.
    for (let n = 0; n < 100; n++) pass(1_000, 1_500);
    expect(pass(0)).toBe(101_020);
  });

  it('goes on while the machine is suspended', () => {
    const { pass } = clocks();
    pass(1_000);
    expect(pass(5, 20 * 60_000)).toBe(1_000 + 20 * 60_000);
    expect(pass(1_000)).toBe(2_000 + 20 * 60_000);
    expect(pass(0, 3_600_000)).toBe(2_000 + 80 * 60_000);
  });

  it('stands for nothing where the wall clock is set back, and never goes back', () => {
    const { pass } = clocks();
    pass(1_000);
    expect(pass(10, -3_600_000)).toBe(1_010);
    expect(pass(10, 3_600_000)).toBe(1_010 + 3_600_000);
  });
});
