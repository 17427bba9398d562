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
function judge(text: string, message: SeenInChat): 'proof' | 'a candidate' | 'no evidence' {
  const { proof, candidates } = matchMessages(text, attemptedAt, [message]);
  expect(proof.length + candidates.length).toBeLessThanOrEqual(1);
  return proof.length > 0 ? 'proof' : candidates.length > 0 ? 'a candidate' : 'no evidence';
}

const long = 'Dear Ann, I saw your talk about moss last week.';
const cut = 'Dear Ann, I saw your talk about';

it.each<[name: string, verdict: string, text: string, shown: string, secondsAfter: number]>([
  ['the same text, after the attempt began', 'proof', 'Hello Ann', 'Hello Ann', 3],
  ['the same text, an hour after', 'proof', 'Hello Ann', 'Hello Ann', 3_600],
  ['the same text, by a clock that is 5 s behind', 'proof', 'Hello Ann', 'Hello Ann', -5],
  ['the same text, a little older than 5 s', 'a candidate', 'Hello Ann', 'Hello Ann', -5.001],
  ['the same text, a day older', 'a candidate', 'Hello Ann', 'Hello Ann', -86_400],
  ['the same text, more than a day older', 'no evidence', 'Hello Ann', 'Hello Ann', -86_400.001],
  ['other white space', 'proof', ' Hello\r\nAnn ', 'Hello Ann', 1],
  ['accents encoded in another way', 'proof', 'Caf\u00e9', 'Cafe\u0301', 1],
  ['no emoji', 'a candidate', `${long} 🌱`, long, 1],
  ['markup on its link', 'a candidate', `${long} see x.test`, `${long} <see> x.test!`, 1],
  ['another case', 'a candidate', 'Hello Ann', 'HELLO ANN', 1],
  ['a beginning of more than 20 letters', 'a candidate', long, cut, 1],
  ['a beginning of fewer than 20 letters', 'a candidate', long, 'Dear Ann', 1],
  ['no text', 'a candidate', 'Hello Ann', '', 1],
  ['no text, where emoji were sent', 'a candidate', '🎉 🎉', ' ', 1],
  ['no text, more than a day older', 'no evidence', 'Hello Ann', '', -86_401],
  ['a longer text', 'a candidate', 'Hello Ann', 'Hello Ann, how are you?', 1],
  ['another text', 'a candidate', 'Hello Ann', 'Hello Bob', 1],
  ['the same emoji alone', 'proof', '👍', '👍', 1],
  ['another emoji alone', 'a candidate', '👍', '👎', 1],
])('a message of ours with %s is %s', (_name, verdict, text, shown, secondsAfter) => {
  expect(judge(text, seen(shown, secondsAfter))).toBe(verdict);
});

it.each([
  ['another text', 'no evidence', 'Hello Ann', 'Hello! Who are you?'],
  ['a beginning of fewer than 20 letters', 'no evidence', long, 'Dear Ann'],
  ['a beginning of more than 20 letters', 'a candidate', long, cut],
  ['the same text', 'a candidate', 'Hello Ann', 'Hello Ann'],
  ['a similar text', 'a candidate', long, `${long} 🌱`],
])('a message of the other person with %s is %s', (_name, verdict, text, shown) => {
  expect(judge(text, seen(shown, 1, 'm1', false))).toBe(verdict);
});

const url = 'https://example.com/offer?id=7';
const sent = `Hi Ann & Bob — see ${url} “today” 🎉 Straße, eﬃcient!`;
const withLink = (shown: string) => sent.replace(url, shown);
/** How networks show a text, or might. */
const changes: [name: string, shown: string][] = [
  ['& escaped', sent.replaceAll('&', '&amp;')],
  ['quotes escaped', sent.replaceAll(/[“”]/g, '&quot;')],
  ['escaped twice', sent.replaceAll('&', '&amp;amp;')],
  ['numeric entities', sent.replaceAll('&', '&#38;')],
  ['link shortened', withLink('https://lnkd.in/eX4')],
  ['link tracked', sent.replace('?id=7', '?id=7&trk=msg')],
  ['link without its query', sent.replace('?id=7', '')],
  ['link without its scheme', sent.replace('https://', '')],
  ['link with www', sent.replace('https://', 'https://www.')],
  ['link encoded', sent.replace('?id=7', '%3Fid%3D7')],
  ['link removed', withLink('')],
  ['link as a host', withLink('example.com')],
  ['link in Markdown', withLink(`[offer](${url})`)],
  ['link in angle brackets', withLink(`<${url}>`)],
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

  it.each(changes)('is never taken for absent if it is shown with this change: %s', (_name, shown) => {
    for (const [name, seconds] of clocks)
      expect(judge(sent, seen(shown, seconds)), name).not.toBe('no evidence');
  });

  it.each(clocks)('is never taken for absent by this clock: %s', (_name, seconds) => {
    expect(judge(sent, seen(sent, seconds))).toBe(seconds < -5 ? 'a candidate' : 'proof');
    expect(judge(sent, seen(sent, seconds, 'm1', false))).toBe('a candidate');
  });
});

describe('the messages of a chat', () => {
  it('are proof in the order of sending, whatever order they are shown in', () => {
    const shown = [seen('Hello', 60, 'third'), seen('Hello', -2, 'first'), seen('Hello', 10, 'second')];
    const before = structuredClone(shown);
    const { proof } = matchMessages('Hello', attemptedAt, shown);
    expect(proof.map(({ messageId }) => messageId)).toEqual(['first', 'second', 'third']);
    expect(shown).toEqual(before);
  });

  it('yield proof, with its chat, and candidates side by side', () => {
    const shown = [seen('Hello', -60, 'old'), { ...seen('Hello', 5, 'new'), chatId: 'other' }];
    expect(matchMessages('Hello', attemptedAt, shown)).toEqual({
      proof: [{ messageId: 'new', result: { chat_id: 'other' } }],
      candidates: ['old'],
    });
  });

  it('are only candidates if another uncertain message to the person has the same text', () => {
    expect(matchMessages('Hello', attemptedAt, [seen('Hello', 5)], [' Hello\n'])).toEqual({
      proof: [],
      candidates: ['m1'],
    });
  });
});
