import { describe, expect, it } from 'vitest';
import { unsuspendedTime } from '../../lib/engine/ports/clock.ts';

const origin = Date.parse('2026-03-02T12:00:00Z');
/** A monotonic and a wall clock that the test moves, and the time derived from them. */
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

describe('unsuspended time', () => {
  it('follows the monotonic clock while the wall clock departs from it by less than a second at a time', () => {
    const { pass } = clocks();
    expect(pass(1_000)).toBe(1_000);
    expect(pass(10, 600)).toBe(1_010);
    expect(pass(10, -600)).toBe(1_020);
    // NTP may slew the wall clock by half a second again and again.
    for (let n = 0; n < 100; n++) pass(1_000, 1_500);
    expect(pass(0)).toBe(101_020);
  });

  it('advances while the machine is suspended', () => {
    const { pass } = clocks();
    pass(1_000);
    expect(pass(5, 20 * 60_000)).toBe(1_000 + 20 * 60_000);
    expect(pass(1_000)).toBe(2_000 + 20 * 60_000);
    expect(pass(0, 3_600_000)).toBe(2_000 + 80 * 60_000);
  });

  it('ignores a wall clock that is set back, and never goes back itself', () => {
    const { pass } = clocks();
    pass(1_000);
    expect(pass(10, -3_600_000)).toBe(1_010);
    expect(pass(10, 3_600_000)).toBe(1_010 + 3_600_000);
  });
});
