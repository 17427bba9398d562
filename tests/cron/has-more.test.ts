import { describe, expect, it } from 'vitest';
import { hasMore } from '../../lib/cron/continuation.ts';
import type { TickReport } from '../../lib/engine/tick-report.ts';

const ended = (changes: object): boolean =>
  hasMore({
    ended: 'budget',
    nextDueInMs: 0,
    ...changes,
    counts: { claimed: 30, released: 0, ...(changes as { counts?: object }).counts },
  } as TickReport);

describe('another tick at once', () => {
  it.each<[when: string, changes: object, wanted: boolean]>([
    ['the budget ended and a row could start', {}, true],
    ['the batch limit was met and a row could start', { ended: 'batch limit' }, true],
    ['the next row falls due in a second', { nextDueInMs: 1_000 }, false],
    ['no row waits', { nextDueInMs: null }, false],
    ['everything was done', { ended: 'drained' }, false],
    ['a provider failed as a whole', { ended: 'breaker' }, false],
    ['the queue is paused', { ended: 'paused' }, false],
    ['the process is told to end', { ended: 'stopped' }, false],
    ['another tick was at work', { ended: null }, false],
    ['nothing was claimed', { counts: { claimed: 0 } }, false],
    ['all that was claimed was given back', { counts: { claimed: 30, released: 30 } }, false],
  ])('where %s', (_when, changes, wanted) => {
    expect(ended(changes)).toBe(wanted);
  });
});
