import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { leaseAdmits, startBudget } from '../../lib/engine/budget.ts';
import { done } from '../../lib/engine/outcome.ts';
import { defineQueue, NotConfiguredError } from '../../lib/engine/queue.ts';
import { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import { assertProperty } from '../support/property.ts';

describe('the budget', () => {
  it('never admits a row that could still run 15 s before the limit', async () => {
    const limit = fc.integer({ min: 16_000, max: 800_000 });
    const timeout = fc.integer({ min: 1, max: 100_000 });
    const elapsed = fc.integer({ min: 0, max: 900_000 });
    await assertProperty(
      fc.property(limit, timeout, elapsed, (limitMs, timeoutMs, elapsedMs) => {
        const clock = new VirtualClock(0);
        const budget = startBudget(clock, 0, limitMs);
        clock.skip(elapsedMs);
        expect(budget.admits(timeoutMs)).toBe(elapsedMs + timeoutMs <= limitMs - 15_000);
      }),
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
  const define = (changes: object = {}) =>
    defineQueue({
      name: 'reminders',
      row: z.object({}),
      delivery: 'at-least-once',
      timeoutMs: 1_000,
      connect: () => null,
      perform: () => done(),
      ...changes,
    });
  const connecting = (changes: object) => () => define(changes).connect(null);
  const tooLong = /Set timeoutMs in the queue's definition to 43000 ms at most/;

  it.each([
    ['its timeout does not fit into a tick', { timeoutMs: 43_001 }, tooLong],
    ['it has no timeout', { timeoutMs: 0 }, tooLong],
    ['the registry does not accept its name', { name: 'Reminders!' }, /is not a valid queue name/],
  ])('refuses to connect if %s, and says what to change', (_case, changes, message) => {
    const { fault } = define(changes);
    expect(fault).toMatch(message);
    const thrown = { name: 'NotConfiguredError', message: fault, variables: [] };
    expect(connecting(changes)).toThrow(expect.objectContaining(thrown));
  });

  it('has no fault if its timeout just fits', () => {
    expect(define({ timeoutMs: 43_000 }).fault).toBeNull();
  });

  it('reports an error of connect without its text, and keeps it as the cause', () => {
    const secret = new Error('no such host: secret.example');
    const connect = () => {
      throw secret;
    };
    const message = expect.stringMatching(/^reminders: connect threw an error, which is in the log/);
    const thrown = { name: 'NotConfiguredError', cause: secret, message };
    expect(connecting({ connect })).toThrow(expect.objectContaining(thrown));
  });

  it('passes on a NotConfiguredError that connect throws', () => {
    const error = new NotConfiguredError('set KEY', ['KEY']);
    const connect = () => {
      throw error;
    };
    expect(connecting({ connect })).toThrow(error);
  });
});
