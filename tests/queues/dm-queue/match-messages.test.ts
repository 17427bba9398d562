import { describe, expect, it } from 'vitest';
import { matchMessages, type SeenInChat } from '../../../lib/queues/dm-queue/match-messages.ts';

const attemptedAt = '2026-03-02T12:00:00Z';
const seen = (text: string, secondsAfter: number, id = 'm1', fromUs = true): SeenInChat => ({
  id,
  fromUs,
  chatId: 'chat',
  text,
  at: new Date(Date.parse(attemptedAt) + secondsAfter * 1_000).toISOString(),
});
/** What one message counts as. */
function judge(text: string, message: SeenInChat): 'proof' | 'candidate' | 'nothing' {
  const { proof, candidates } = matchMessages(text, attemptedAt, [message]);
  expect(proof.length + candidates.length).toBeLessThanOrEqual(1);
  return proof.length > 0 ? 'proof' : candidates.length > 0 ? 'candidate' : 'nothing';
}

const long = 'Dear Ann, I saw your talk about moss last week.';

describe('a message in the chat', () => {
  it.each<[what: string, text: string, message: SeenInChat, is: string]>([
    ['the same text, after the attempt began', 'Hello Ann', seen('Hello Ann', 3), 'proof'],
    ['the same text, an hour after', 'Hello Ann', seen('Hello Ann', 3_600), 'proof'],
    ['the same text, by a clock that is 5 s behind', 'Hello Ann', seen('Hello Ann', -5), 'proof'],
    [
      'the same text, a little older than a clock explains',
      'Hello Ann',
      seen('Hello Ann', -5.001),
      'candidate',
    ],
    ['the same text, ten minutes older', 'Hello Ann', seen('Hello Ann', -600), 'candidate'],
    ['the same text, a day older', 'Hello Ann', seen('Hello Ann', -86_400), 'candidate'],
    ['the same text, older than any clock is wrong', 'Hello Ann', seen('Hello Ann', -86_400.001), 'nothing'],
    ['with other white space', ' Hello\r\nAnn ', seen('Hello Ann', 1), 'proof'],
    ['with accents written in another way', 'Caf\u00e9', seen('Cafe\u0301', 1), 'proof'],
    ['with emoji taken out', `${long} 🌱`, seen(long, 1), 'candidate'],
    ['with its link marked up', `${long} see x.test`, seen(`${long} <see> x.test!`, 1), 'candidate'],
    ['in other case', 'Hello Ann', seen('HELLO ANN', 1), 'candidate'],
    ['cut after twenty letters and more', long, seen('Dear Ann, I saw your talk about', 1), 'candidate'],
    ['cut to less than that', long, seen('Dear Ann', 1), 'candidate'],
    ['emptied', 'Hello Ann', seen('', 1), 'candidate'],
    ['emptied long before', 'Hello Ann', seen('', -86_401), 'nothing'],
    ['longer than what was sent', 'Hello Ann', seen('Hello Ann, how are you?', 1), 'candidate'],
    ['another of ours', 'Hello Ann', seen('Hello Bob', 1), 'candidate'],
    ['an answer', 'Hello Ann', seen('Hello! Who are you?', 1, 'm1', false), 'nothing'],
    [
      'the same text as if the other person sent it',
      'Hello Ann',
      seen('Hello Ann', 1, 'm1', false),
      'candidate',
    ],
    ['a similar text as if the other person sent it', long, seen(`${long} 🌱`, 1, 'm1', false), 'candidate'],
    ['of emoji alone, the same', '👍', seen('👍', 1), 'proof'],
    ['of emoji alone, another', '👍', seen('👎', 1), 'candidate'],
  ])('%s', (_what, text, message, is) => {
    expect(judge(text, message)).toBe(is);
  });

  it('is never thought lost where its text is white space and emoji that a network has emptied', () => {
    expect(judge('🎉 🎉', seen(' ', 1))).toBe('candidate');
  });
});

const sent = 'Hi Ann & Bob — see https://example.com/offer?id=7 “today” 🎉 Straße, eﬃcient!';
/** What networks have been seen to make of a text, or may. */
const changes: [what: string, shown: string][] = [
  ['& escaped', sent.replaceAll('&', '&amp;')],
  ['quotes escaped', sent.replaceAll(/[“”]/g, '&quot;')],
  ['escaped twice', sent.replaceAll('&', '&amp;amp;')],
  ['numeric entities', sent.replaceAll('&', '&#38;')],
  ['link shortened', sent.replace('https://example.com/offer?id=7', 'https://lnkd.in/eX4')],
  ['link tracked', sent.replace('?id=7', '?id=7&trk=msg')],
  ['link without its query', sent.replace('?id=7', '')],
  ['link without its scheme', sent.replace('https://', '')],
  ['link with www', sent.replace('https://', 'https://www.')],
  ['link encoded', sent.replace('?id=7', '%3Fid%3D7')],
  ['link taken out', sent.replace('https://example.com/offer?id=7', '')],
  ['link as a host', sent.replace('https://example.com/offer?id=7', 'example.com')],
  [
    'link in Markdown',
    sent.replace('https://example.com/offer?id=7', '[offer](https://example.com/offer?id=7)'),
  ],
  [
    'link in angle brackets',
    sent.replace('https://example.com/offer?id=7', '<https://example.com/offer?id=7>'),
  ],
  ['preview added', `${sent}\n\nThe offer | Example Inc.`],
  ['signature added', `${sent}\n\nSent from LinkedIn`],
  ['prefix added', `[External] ${sent}`],
  ['name added', `Mira: ${sent}`],
  ['in a paragraph', `<p>${sent}</p>`],
  ['in a div', `<div dir="ltr">${sent}</div>`],
  ['breaks as HTML', sent.replaceAll(' ', '<br>')],
  ['spaces as HTML', sent.replaceAll(' ', '&nbsp;')],
  ['bold', `**${sent}**`],
  ['quoted', `> ${sent}`],
  ['in quotes', `"${sent}"`],
  ['mention of an id', sent.replace('Ann', '{{1|Ann}}')],
  ['mention with @', sent.replace('Ann', '@Ann')],
  ['mention as markup', sent.replace('Ann', '<@U123>')],
  ['name spelt out', sent.replace('Ann', 'Ann Smith')],
  ['emoji as its name', sent.replace('🎉', ':tada:')],
  ['emoji as an image', sent.replace('🎉', '<img alt="tada">')],
  ['emoji taken out', sent.replace('🎉', '')],
  ['emoji as a question mark', sent.replace('🎉', '?')],
  ['emoji as a replacement character', sent.replace('🎉', '\ufffd')],
  ['emoji with a variation selector', sent.replace('🎉', '🎉\ufe0f')],
  ['NFKC', sent.normalize('NFKC')],
  ['a ligature cut to its first letters', sent.replace('ﬃ', 'ff')],
  ['ß as ss', sent.replace('ß', 'ss')],
  ['accents taken out', sent.replace('ß', 'B')],
  ['dash as a hyphen', sent.replace('—', '-')],
  ['dash as two hyphens', sent.replace('—', '--')],
  ['straight quotes', sent.replaceAll(/[“”]/g, '"')],
  ['ASCII alone', sent.replaceAll(/[^\x20-\x7e]/g, '')],
  ['Latin-1 read as UTF-8', sent.replace('ß', 'ÃŸ')],
  ['upper case', sent.toUpperCase()],
  ['lower case', sent.toLowerCase()],
  ['cut after 10 characters', sent.slice(0, 10)],
  ['cut after 19 characters', sent.slice(0, 19)],
  ['cut with dots', `${sent.slice(0, 30)}…`],
  ['cut with “see more”', `${sent.slice(0, 30)}… see more`],
  ['its first half', sent.slice(0, sent.length / 2)],
  ['its second half', sent.slice(sent.length / 2)],
  ['emptied', ''],
  ['white space', ' \n '],
  ['zero-width spaces added', [...sent].join('\u200b')],
  ['a mark of direction added', `\u200e${sent}`],
  ['a placeholder', 'This message is not supported. Open the app to see it.'],
  ['deleted', 'This message was deleted'],
  ['translated', 'Hallo Ann und Bob, seht euch heute das Angebot an'],
  ['edited by a person', 'Hi Ann and Bob, sorry, wrong link!'],
];
/** How far the time that a provider shows is from the time at which the message was sent. */
const clocks: [what: string, seconds: number][] = [
  ['exact', 0],
  ['6 s slow', -6],
  ['a minute slow', -60],
  ['11 minutes slow', -11 * 60],
  ['an hour slow: daylight saving', -3_600],
  ['2 hours slow', -2 * 3_600],
  ['local time of Los Angeles as UTC', -8 * 3_600],
  ['local time of Baker Island as UTC', -12 * 3_600],
  ['a date without a time', -23 * 3_600],
  ['a minute fast', 60],
  ['2 hours fast', 2 * 3_600],
  ['local time of Kiritimati as UTC', 14 * 3_600],
];

describe('a message that went out', () => {
  it('is shown in sixty ways and at twelve times in these tests', () => {
    expect([new Set(changes.map(([, shown]) => shown)).size, clocks.length]).toEqual([60, 12]);
    expect(changes.map(([, shown]) => shown)).not.toContain(sent);
  });

  it.each(changes)('is never thought absent when it is shown with %s, by any clock', (_what, shown) => {
    for (const [, seconds] of clocks)
      expect(judge(sent, seen(shown, seconds)), `${seconds} s`).not.toBe('nothing');
  });

  it.each(clocks)('is never thought absent when the clock is %s', (_what, seconds) => {
    expect(judge(sent, seen(sent, seconds))).toBe(seconds < -5 ? 'candidate' : 'proof');
    expect(judge(sent, seen(sent, seconds, 'm1', false))).toBe('candidate');
  });
});

describe('several messages', () => {
  it('prove in the order they were sent, whatever order they are shown in', () => {
    const shown = [seen('Hello', 60, 'third'), seen('Hello', -2, 'first'), seen('Hello', 10, 'second')];
    const { proof } = matchMessages('Hello', attemptedAt, shown);
    expect(proof.map(({ messageId }) => messageId)).toEqual(['first', 'second', 'third']);
  });

  it('are proof and candidates side by side, each with its chat', () => {
    const shown = [seen('Hello', -60, 'old'), { ...seen('Hello', 5, 'new'), chatId: 'other' }];
    expect(matchMessages('Hello', attemptedAt, shown)).toEqual({
      proof: [{ messageId: 'new', result: { chat_id: 'other' } }],
      candidates: ['old'],
    });
  });

  it('that are none prove nothing', () => {
    expect(matchMessages('Hello', attemptedAt, [])).toEqual({ proof: [], candidates: [] });
  });

  it('are left as they were given', () => {
    const shown = [seen('b', 60), seen('a', 1)];
    matchMessages('a', attemptedAt, shown);
    expect(shown.map(({ text }) => text)).toEqual(['b', 'a']);
  });
});
