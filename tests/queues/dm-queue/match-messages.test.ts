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
/** Returns how one message counts. */
function judge(text: string, message: SeenInChat): 'proof' | 'candidate' | 'nothing' {
  const { proof, candidates } = matchMessages(text, attemptedAt, [message]);
  expect(proof.length + candidates.length).toBeLessThanOrEqual(1);
  return proof.length > 0 ? 'proof' : candidates.length > 0 ? 'candidate' : 'nothing';
}

const long = 'Dear Ann, I saw your talk about moss last week.';

describe('a message in the chat', () => {
  it.each<[name: string, text: string, message: SeenInChat, verdict: string]>([
    ['with the same text, after the attempt began, is proof', 'Hello Ann', seen('Hello Ann', 3), 'proof'],
    ['with the same text, an hour after, is proof', 'Hello Ann', seen('Hello Ann', 3_600), 'proof'],
    [
      'with the same text, by a clock that is 5 s behind, is proof',
      'Hello Ann',
      seen('Hello Ann', -5),
      'proof',
    ],
    [
      'with the same text, a little older than 5 s, is a candidate',
      'Hello Ann',
      seen('Hello Ann', -5.001),
      'candidate',
    ],
    [
      'with the same text, ten minutes older, is a candidate',
      'Hello Ann',
      seen('Hello Ann', -600),
      'candidate',
    ],
    ['with the same text, a day older, is a candidate', 'Hello Ann', seen('Hello Ann', -86_400), 'candidate'],
    [
      'with the same text, more than a day older, does not count',
      'Hello Ann',
      seen('Hello Ann', -86_400.001),
      'nothing',
    ],
    ['with other white space is proof', ' Hello\r\nAnn ', seen('Hello Ann', 1), 'proof'],
    ['with accents encoded in another way is proof', 'Caf\u00e9', seen('Cafe\u0301', 1), 'proof'],
    ['without its emoji is a candidate', `${long} 🌱`, seen(long, 1), 'candidate'],
    [
      'with markup on its link is a candidate',
      `${long} see x.test`,
      seen(`${long} <see> x.test!`, 1),
      'candidate',
    ],
    ['in another case is a candidate', 'Hello Ann', seen('HELLO ANN', 1), 'candidate'],
    [
      'cut after more than 20 letters is a candidate',
      long,
      seen('Dear Ann, I saw your talk about', 1),
      'candidate',
    ],
    ['cut after fewer than 20 letters is a candidate', long, seen('Dear Ann', 1), 'candidate'],
    ['emptied is a candidate', 'Hello Ann', seen('', 1), 'candidate'],
    ['emptied, more than a day older, does not count', 'Hello Ann', seen('', -86_401), 'nothing'],
    [
      'longer than the text sent is a candidate',
      'Hello Ann',
      seen('Hello Ann, how are you?', 1),
      'candidate',
    ],
    ['of ours with another text is a candidate', 'Hello Ann', seen('Hello Bob', 1), 'candidate'],
    [
      'of the other person with another text does not count',
      'Hello Ann',
      seen('Hello! Who are you?', 1, 'm1', false),
      'nothing',
    ],
    [
      'of the other person with the same text is a candidate',
      'Hello Ann',
      seen('Hello Ann', 1, 'm1', false),
      'candidate',
    ],
    [
      'of the other person with a similar text is a candidate',
      long,
      seen(`${long} 🌱`, 1, 'm1', false),
      'candidate',
    ],
    ['of the same emoji alone is proof', '👍', seen('👍', 1), 'proof'],
    ['of another emoji alone is a candidate', '👍', seen('👎', 1), 'candidate'],
  ])('%s', (_name, text, message, verdict) => {
    expect(judge(text, message)).toBe(verdict);
  });

  it('is a candidate if the text was white space and emoji, and a network has emptied it', () => {
    expect(judge('🎉 🎉', seen(' ', 1))).toBe('candidate');
  });
});

const sent = 'Hi Ann & Bob — see https://example.com/offer?id=7 “today” 🎉 Straße, eﬃcient!';
/** How networks show a text, or might. */
const changes: [name: string, shown: string][] = [
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
  ['link removed', sent.replace('https://example.com/offer?id=7', '')],
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
  ['emoji removed', sent.replace('🎉', '')],
  ['emoji as a question mark', sent.replace('🎉', '?')],
  ['emoji as a replacement character', sent.replace('🎉', '\ufffd')],
  ['emoji with a variation selector', sent.replace('🎉', '🎉\ufe0f')],
  ['NFKC', sent.normalize('NFKC')],
  ['a ligature cut to its first letters', sent.replace('ﬃ', 'ff')],
  ['ß as ss', sent.replace('ß', 'ss')],
  ['accents removed', sent.replace('ß', 'B')],
  ['dash as a hyphen', sent.replace('—', '-')],
  ['dash as two hyphens', sent.replace('—', '--')],
  ['straight quotes', sent.replaceAll(/[“”]/g, '"')],
  ['ASCII only', sent.replaceAll(/[^\x20-\x7e]/g, '')],
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
  ['a direction mark added', `\u200e${sent}`],
  ['a placeholder', 'This message is not supported. Open the app to see it.'],
  ['deleted', 'This message was deleted'],
  ['translated', 'Hallo Ann und Bob, seht euch heute das Angebot an'],
  ['edited by a person', 'Hi Ann and Bob, sorry, wrong link!'],
];
/** The time that a provider shows, less the time at which the message was sent. */
const clocks: [name: string, seconds: number][] = [
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

describe('a message that was sent', () => {
  it('is shown in 60 ways and by 12 clocks in these tests', () => {
    expect([new Set(changes.map(([, shown]) => shown)).size, clocks.length]).toEqual([60, 12]);
    expect(changes.map(([, shown]) => shown)).not.toContain(sent);
  });

  it.each(changes)(
    'is never taken for absent by any clock if it is shown with this change: %s',
    (_name, shown) => {
      for (const [, seconds] of clocks)
        expect(judge(sent, seen(shown, seconds)), `${seconds} s`).not.toBe('nothing');
    },
  );

  it.each(clocks)('is never taken for absent by this clock: %s', (_name, seconds) => {
    expect(judge(sent, seen(sent, seconds))).toBe(seconds < -5 ? 'candidate' : 'proof');
    expect(judge(sent, seen(sent, seconds, 'm1', false))).toBe('candidate');
  });
});

describe('the messages of a chat', () => {
  it('are proof in the order of sending, whatever order they are shown in', () => {
    const shown = [seen('Hello', 60, 'third'), seen('Hello', -2, 'first'), seen('Hello', 10, 'second')];
    const { proof } = matchMessages('Hello', attemptedAt, shown);
    expect(proof.map(({ messageId }) => messageId)).toEqual(['first', 'second', 'third']);
  });

  it('yield proof, with its chat, and candidates side by side', () => {
    const shown = [seen('Hello', -60, 'old'), { ...seen('Hello', 5, 'new'), chatId: 'other' }];
    expect(matchMessages('Hello', attemptedAt, shown)).toEqual({
      proof: [{ messageId: 'new', result: { chat_id: 'other' } }],
      candidates: ['old'],
    });
  });

  it('prove nothing if there are none', () => {
    expect(matchMessages('Hello', attemptedAt, [])).toEqual({ proof: [], candidates: [] });
  });

  it('are not changed', () => {
    const shown = [seen('b', 60), seen('a', 1)];
    matchMessages('a', attemptedAt, shown);
    expect(shown.map(({ text }) => text)).toEqual(['b', 'a']);
  });
});
