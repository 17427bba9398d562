import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { leaseAdmits, startBudget } from '../../lib/engine/budget';
import { done } from '../../lib/engine/outcome';
import { defineQueue } from '../../lib/engine/queue';
import { assertProperty } from '../support/property';
import { VirtualClock } from '../support/virtual-clock';

describe('the budget', () => {
  it('never admits what could still be under way 15 s before the limit, whenever it is asked', async () => {
    await assertProperty(
      fc.property(
        fc.integer({ min: 16_000, max: 800_000 }),
        fc.integer({ min: 1, max: 100_000 }),
        fc.integer({ min: 0, max: 900_000 }),
        (limitMs, timeoutMs, elapsedMs) => {
          const clock = new VirtualClock(0);
          const budget = startBudget(clock, 0, limitMs);
          clock.skip(elapsedMs);
          expect(budget.admits(timeoutMs)).toBe(elapsedMs + timeoutMs <= limitMs - 15_000);
        },
      ),
    );
  });

  it('admits no row whose lease could end before it does, counted from when the claim was requested', () => {
    const clock = new VirtualClock(0);
    clock.skip(70_000);
    expect(leaseAdmits(clock, 0, 90_000, 15_000)).toBe(true);
    clock.skip(5_000);
    expect(leaseAdmits(clock, 0, 90_000, 15_000)).toBe(false);
  });
});

describe('a queue', () => {
  const queue = {
    name: 'reminders',
    row: z.object({}),
    delivery: 'at-least-once' as const,
    connect: () => null,
    perform: () => done(),
  };

  it('is refused when its timeout cannot fit into a tick', () => {
    expect(() => defineQueue({ ...queue, timeoutMs: 45_001 })).toThrow(/45000 ms is the most/);
    expect(() => defineQueue({ ...queue, timeoutMs: 0 })).toThrow(RangeError);
    expect(defineQueue({ ...queue, timeoutMs: 45_000 }).name).toBe('reminders');
  });

  it('is refused under a name that the registry does not take', () => {
    expect(() => defineQueue({ ...queue, name: 'Reminders!', timeoutMs: 1_000 })).toThrow(
      /is no name for a queue/,
    );
  });
});
