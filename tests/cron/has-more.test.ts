import { describe, expect, it } from 'vitest';
import { hasMore } from '../../lib/cron/continuation.ts';
import type { TickReport } from '../../lib/engine/tick-report.ts';

const hasMoreAfter = (changes: object): boolean =>
  hasMore({
    ended: 'budget',
    nextDueInMs: 0,
    ...changes,
    counts: { claimed: 30, released: 0, ...(changes as { counts?: object }).counts },
  } as TickReport);

describe('a continuation', () => {
  it.each<[label: string, changes: object, expected: boolean]>([
    ['starts if the budget ended the tick and a row could start', {}, true],
    ['starts if the batch limit ended the tick and a row could start', { ended: 'batch limit' }, true],
    ['does not start if the next row is due in 1 second', { nextDueInMs: 1_000 }, false],
    ['does not start if no row waits', { nextDueInMs: null }, false],
    ['does not start if the tick ran every due row', { ended: 'drained' }, false],
    ['does not start if the provider failed as a whole', { ended: 'breaker' }, false],
    ['does not start if the queue is paused', { ended: 'paused' }, false],
    ['does not start if the process is stopping', { ended: 'stopped' }, false],
    ['does not start if another tick was running', { ended: null }, false],
    ['does not start if the tick claimed nothing', { counts: { claimed: 0 } }, false],
    [
      'does not start if the tick released every row that it claimed',
      { counts: { claimed: 30, released: 30 } },
      false,
    ],
  ])('%s', (_label, changes, expected) => {
    expect(hasMoreAfter(changes)).toBe(expected);
  });
});
