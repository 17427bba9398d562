import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { leaseAdmits, startBudget } from '../../lib/engine/budget.ts';
import { done } from '../../lib/engine/outcome.ts';
import { defineQueue, NotConfiguredError } from '../../lib/engine/queue.ts';
import { assertProperty } from '../support/property.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

describe('the budget', () => {
  it('never admits a row that could still run 15 s before the limit', async () => {
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

  it('admits no row that could outlast its lease, counted from the request of its claim', () => {
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

  const fault = (changes: object) => {
    const defined = defineQueue({ ...queue, timeoutMs: 1_000, ...changes });
    try {
      defined.connect(null);
    } catch (error) {
      expect(error).toMatchObject({ name: 'NotConfiguredError', message: defined.fault, variables: [] });
    }
    return defined.fault;
  };

  it('refuses to connect if its timeout does not fit into a tick, and says what to change', () => {
    expect(fault({ timeoutMs: 43_001 })).toMatch(
      /Set timeoutMs in the queue's definition to 43000 ms at most/,
    );
    expect(fault({ timeoutMs: 0 })).toMatch(/43000 ms at most/);
    expect(fault({ timeoutMs: 43_000 })).toBeNull();
  });

  it('refuses to connect under a name that the registry does not accept', () => {
    expect(fault({ name: 'Reminders!' })).toMatch(/is not a valid queue name/);
  });

  it('reports an error of connect without its text, and keeps it as the cause', () => {
    const secret = new Error('no such host: secret.example');
    const defined = defineQueue({
      ...queue,
      timeoutMs: 1_000,
      connect: () => {
        throw secret;
      },
    });
    const thrown = (() => {
      try {
        return defined.connect(null);
      } catch (error) {
        return error as Error;
      }
    })();
    expect(thrown).toMatchObject({ name: 'NotConfiguredError', cause: secret });
    expect(thrown?.message).toMatch(/^reminders: connect threw an error, which is in the log/);
  });

  it('passes on a NotConfiguredError that connect throws', () => {
    const error = new NotConfiguredError('set KEY', ['KEY']);
    const connect = () => {
      throw error;
    };
    expect(() => defineQueue({ ...queue, timeoutMs: 1_000, connect }).connect(null)).toThrow(error);
  });
});
