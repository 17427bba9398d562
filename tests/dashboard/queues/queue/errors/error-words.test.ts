import { expect, it } from 'vitest';
import { deadRows, kindInWords } from '../../../../../app/(dashboard)/queues/[queue]/errors/error-words.ts';
import { errorGroup } from '../../../error-group.ts';
import { queueStats } from '../../../queue-stats.ts';

const messages = queueStats();
const jobs = queueStats({ delivery: 'at-least-once', words: { ...messages.words, done: 'done' } });

it('an error says in the queue’s own words whether anything was sent', () => {
  expect(kindInWords('rejected', messages).meaning).toContain('nothing was sent');
  expect(kindInWords('rejected', jobs).meaning).toContain('nothing was done');
});

it.each(['uncertain', 'timeout', 'cut', 'thrown'])(
  'an attempt that ended as %s is never said to have sent nothing',
  (kind) => {
    expect(kindInWords(kind, messages).meaning).toMatch(
      /Nobody knows whether the row was sent.*never retried/,
    );
    expect(kindInWords(kind, jobs).meaning).toMatch(/Nobody knows whether the attempt worked.*retried until/);
  },
);

it('a kind that is not known is said as it is', () => {
  expect(kindInWords('card_declined', jobs).short).toBe('card declined');
  expect(kindInWords(null, jobs).short).toBe('no kind');
});

it('a count that is only of the latest dead rows is marked', () => {
  expect(deadRows(errorGroup({ rows_dead: 1_200 }))).toBe('1,200');
  expect(deadRows(errorGroup({ rows_dead: 1_200, rows_dead_more: true }))).toBe('1,200+');
  expect(deadRows(errorGroup({ rows_dead: 0, rows_dead_more: true }))).toBe('0');
});
