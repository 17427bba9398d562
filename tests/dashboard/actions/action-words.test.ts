import { expect, it } from 'vitest';
import { proofLines } from '../../../app/(dashboard)/actions/[id]/proof-lines.ts';
import { actionTitle, actsOn, leftWords } from '../../../app/(dashboard)/actions/action-words.ts';

it.each([
  [['pending'], ['retry_now', 'reschedule', 'prioritise', 'cancel']],
  [['dead'], ['retry', 'delete']],
  [['done'], ['delete']],
  [['running'], []],
  [['unknown'], []],
  [
    ['dead', 'pending'],
    ['retry', 'retry_now', 'reschedule', 'prioritise', 'cancel', 'delete'],
  ],
] as const)('rows that are %s offer the acts %s', (states, acts) => {
  expect(actsOn(states, 'at-most-once')).toEqual(acts);
});

it('rows that are done can be retried only in an at-least-once queue', () => {
  expect(actsOn(['done'], 'at-least-once')).toEqual(['retry', 'delete']);
});

it('says in words which rows an action leaves, and why', () => {
  expect(leftWords('may_have_been_sent', 2)).toBe('2 rows may have been sent: left as they are');
  expect(leftWords('may_have_been_sent', 1)).toBe('1 row may have been sent: left as it is');
  expect(leftWords('a reason of tomorrow', 3)).toBe('3 rows: a reason of tomorrow');
});

it('says an action with the number of its rows, and "more than" while it takes them', () => {
  expect(actionTitle({ action: 'retry', total: 502, state: 'done' })).toBe('Retry 502 rows');
  expect(actionTitle({ action: 'delete', total: 20_000, state: 'collecting' })).toBe(
    'Delete more than 20,000 rows',
  );
});

it('claims "0 ✓" only of rows that were counted', () => {
  expect(proofLines({ rows: 0, verdicts: {} })).toEqual([]);
  expect(proofLines({ rows: 3, verdicts: { by_answer_alone: 3 } })).toEqual([
    { verdict: 'twice', count: 0, isProved: true },
    { verdict: 'may_be_twice', count: 0, isProved: true },
    { verdict: 'by_answer_alone', count: 3, isProved: false },
  ]);
  expect(proofLines({ rows: 1, verdicts: { twice: 1 } })[0]).toEqual({
    verdict: 'twice',
    count: 1,
    isProved: false,
  });
});
