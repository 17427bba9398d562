import { describe, expect, it } from 'vitest';
import { judgeMessages, type SeenMessage } from '../../lib/queues/judge-messages';

const attemptedAt = '2026-03-02T12:00:00Z';
const seen = (text: string, secondsAfter: number, id = 'm1'): SeenMessage => ({
  id,
  chatId: 'chat',
  text,
  at: new Date(Date.parse(attemptedAt) + secondsAfter * 1_000).toISOString(),
});
/** What one message counts as. */
function judge(text: string, message: SeenMessage): 'proof' | 'doubt' | 'nothing' {
  const { proofs, doubts } = judgeMessages(text, attemptedAt, [message]);
  expect(proofs.length + doubts.length).toBeLessThanOrEqual(1);
  return proofs.length > 0 ? 'proof' : doubts.length > 0 ? 'doubt' : 'nothing';
}

const long = 'Dear Ann, I saw your talk about moss last week.';

describe('a message in the chat', () => {
  it.each<[what: string, text: string, message: SeenMessage, is: string]>([
    ['the same text, after the attempt began', 'Hello Ann', seen('Hello Ann', 3), 'proof'],
    ['the same text, an hour after', 'Hello Ann', seen('Hello Ann', 3_600), 'proof'],
    ['the same text, by a clock that is 5 s behind', 'Hello Ann', seen('Hello Ann', -5), 'proof'],
    ['the same text, a little older than a clock explains', 'Hello Ann', seen('Hello Ann', -5.001), 'doubt'],
    ['the same text, ten minutes older', 'Hello Ann', seen('Hello Ann', -600), 'doubt'],
    ['the same text, older than any clock is wrong', 'Hello Ann', seen('Hello Ann', -600.001), 'nothing'],
    ['with other white space', ' Hello\r\nAnn ', seen('Hello Ann', 1), 'proof'],
    ['with accents written in another way', 'Caf\u00e9', seen('Cafe\u0301', 1), 'proof'],
    ['with emoji taken out', `${long} 🌱`, seen(long, 1), 'doubt'],
    ['with its link marked up', `${long} see x.test`, seen(`${long} <see> x.test!`, 1), 'doubt'],
    ['in other case', 'Hello Ann', seen('HELLO ANN', 1), 'doubt'],
    ['cut after twenty letters and more', long, seen('Dear Ann, I saw your talk about', 1), 'doubt'],
    ['cut to less than that', long, seen('Dear Ann', 1), 'nothing'],
    ['emptied', 'Hello Ann', seen('', 1), 'doubt'],
    ['emptied long before', 'Hello Ann', seen('', -601), 'nothing'],
    ['longer than what was sent', 'Hello Ann', seen('Hello Ann, how are you?', 1), 'nothing'],
    ['another', 'Hello Ann', seen('Hello Bob', 1), 'nothing'],
    ['of emoji alone, the same', '👍', seen('👍', 1), 'proof'],
    ['of emoji alone, another', '👍', seen('👎', 1), 'doubt'],
  ])('%s', (_what, text, message, is) => {
    expect(judge(text, message)).toBe(is);
  });

  it('is never thought lost where its text is white space and emoji that a network has emptied', () => {
    expect(judge('🎉 🎉', seen(' ', 1))).toBe('doubt');
  });
});

describe('several messages', () => {
  it('prove in the order they were sent, whatever order they are shown in', () => {
    const shown = [seen('Hello', 60, 'third'), seen('Hello', -2, 'first'), seen('Hello', 10, 'second')];
    const { proofs } = judgeMessages('Hello', attemptedAt, shown);
    expect(proofs.map(({ messageId }) => messageId)).toEqual(['first', 'second', 'third']);
  });

  it('are proofs and doubts side by side, each with its chat', () => {
    const shown = [seen('Hello', -60, 'old'), { ...seen('Hello', 5, 'new'), chatId: 'other' }];
    expect(judgeMessages('Hello', attemptedAt, shown)).toEqual({
      proofs: [{ messageId: 'new', result: { chat_id: 'other' } }],
      doubts: ['old'],
    });
  });

  it('that are none prove nothing', () => {
    expect(judgeMessages('Hello', attemptedAt, [])).toEqual({ proofs: [], doubts: [] });
  });

  it('are left as they were given', () => {
    const shown = [seen('b', 60), seen('a', 1)];
    judgeMessages('a', attemptedAt, shown);
    expect(shown.map(({ text }) => text)).toEqual(['b', 'a']);
  });
});
