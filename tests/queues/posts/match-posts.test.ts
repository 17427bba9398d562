import { describe, expect, it } from 'vitest';
import type { OwnPost } from '../../../lib/providers/unipile/unipile-posts.ts';
import { matchPosts, type OtherRow } from '../../../lib/queues/posts/match-posts.ts';

const attemptedAt = '2026-03-02T12:00:00.000Z';
const at = (seconds: number) => new Date(Date.parse(attemptedAt) + seconds * 1_000).toISOString();
const hour = 3_600;
const number = (n: number) => String(7_000_000_000_000_000_000n + BigInt(n));

const post = (n: number, text = 'hello', seconds = 5, more: Partial<OwnPost> = {}): OwnPost => ({
  id: `urn:li:activity:${number(n)}`,
  names: [`urn:li:activity:${number(n)}`, number(n)],
  text,
  at: at(seconds),
  permalink: `https://www.linkedin.com/posts/ann-activity-${number(n)}-x`,
  isRepost: false,
  ...more,
});
const other = (body: string, postId: string | null, more: Partial<OtherRow> = {}): OtherRow => ({
  body,
  postId,
  permalink: null,
  ...more,
});

/** Which of the posts prove it and which may be it, by their numbers. */
function judge(posts: OwnPost[], others: OtherRow[] = [], text = 'hello') {
  const { proof, candidates } = matchPosts(text, attemptedAt, posts, others);
  const short = (id: string) => Number(id.slice(-3));
  return { proof: proof.map(({ messageId }) => short(messageId)), candidates: candidates.map(short) };
}

describe('a post is proved', () => {
  it('by its text in the account’s list since the attempt, with its permalink', () => {
    const [own] = [post(1)];
    expect(matchPosts('hello', attemptedAt, [own], [])).toEqual({
      proof: [{ messageId: own.id, result: { permalink: own.permalink } }],
      candidates: [],
    });
    const without = matchPosts('hello', attemptedAt, [post(1, 'hello', 5, { permalink: null })], []);
    expect(without.proof).toEqual([{ messageId: own.id }]);
  });

  it.each([
    ['Read https://example.com/a/long/path?x=1, it is good', 'Read https://lnkd.in/g9BYBxDz it is good'],
    ['See https://example.com/one and http://two.example/', 'See lnkd.in/abc and https://lnkd.in/xyz'],
    ['See https://a.example/ and https://b.example/', 'See https://a.example/ and https://lnkd.in/xyz'],
    ['line one\r\n\r\nline two', 'line one\nline two'],
  ])('where LinkedIn has shortened its links, or set its lines anew: %j', (wanted, seen) => {
    expect(judge([post(1, seen)], [], wanted)).toEqual({ proof: [1], candidates: [] });
  });

  it('by the oldest of several first, and by each once', () => {
    expect(judge([post(2, 'hello', 9), post(1)])).toEqual({ proof: [1, 2], candidates: [] });
  });
});

describe('a post that may be it stands in the way', () => {
  it.each([
    ['a few minutes too old for this attempt', post(1, 'hello', -300)],
    ['a few hours too old, by a time that may be made of “5h”', post(1, 'hello', -5 * hour)],
    ['without a time', post(1, 'hello', 0, { at: null })],
    ['cut off', post(1, 'hello, this is a long te', 5)],
    ['of another text, since the attempt', post(1, 'goodbye', 60)],
    ['of another text, by a clock that is hours slow', post(1, 'goodbye', -8 * hour)],
    ['whose link is gone', post(1, 'Read, it is good', 60)],
    ['of another text and without a time', post(1, 'goodbye', 0, { at: null })],
  ])('%s', (_what, one) => {
    expect(judge([one])).toEqual({ proof: [], candidates: [1] });
  });

  it.each([
    ['from before the last day', post(1, 'hello', -25 * hour)],
    ['of another text, from before the last day', post(1, 'goodbye', -25 * hour)],
    ['of somebody else’s, handed on', post(1, 'hello', 60, { isRepost: true })],
  ])('but none %s', (_what, one) => {
    expect(judge([one])).toEqual({ proof: [], candidates: [] });
  });
});

describe('another row’s post', () => {
  it.each([
    ['the id of the list', other('hello', `urn:li:activity:${number(1)}`)],
    ['the number of it', other('hello', number(1))],
    ['another form of it', other('hello', `urn:li:ugcPost:${number(1)}`)],
    [
      'its permalink',
      other('hello', 'x', { permalink: `https://www.linkedin.com/feed/update/urn:li:activity:${number(1)}` }),
    ],
  ])('proves nothing where the row bears %s', (_what, row) => {
    expect(judge([post(1)], [row])).toEqual({ proof: [], candidates: [] });
    expect(judge([post(1), post(2)], [row])).toEqual({ proof: [2], candidates: [] });
  });

  it('leaves doubt where only its text tells of it: the network may have made either text of it', () => {
    expect(judge([post(1, 'goodbye')], [other('goodbye', number(77))])).toEqual({
      proof: [],
      candidates: [1],
    });
    expect(judge([post(1, 'goodbye')], [other('goodbye', null)])).toEqual({ proof: [], candidates: [1] });
  });

  it.each([
    ['New: https://example.com/one', 'New: https://example.com/two', 'New: https://lnkd.in/x'],
    [
      'We are hiring in 3 cities: Berlin, Lisbon and Porto',
      'We are hiring in 3 cities',
      'We are hiring in 3 cities',
    ],
  ])('of one template with ours, %j beside %j, leaves doubt and no proof for either', (one, two, seen) => {
    const beside = (body: string) => [other(body, null)];
    expect(judge([post(1, seen)], beside(two), one)).toEqual({ proof: [], candidates: [1] });
    expect(judge([post(1, seen)], beside(one), two)).toEqual({ proof: [], candidates: [1] });
  });

  it('is not told by a number that people wrote: a name or an order in the permalink', () => {
    const permalink = (n: number) =>
      `https://www.linkedin.com/posts/ana-123456789012345_order-998877665544332211-activity-${number(n)}-x`;
    const row = other('goodbye', number(2), { permalink: permalink(2) });
    expect(judge([post(1, 'hello', 5, { permalink: permalink(1) })], [row])).toEqual({
      proof: [1],
      candidates: [],
    });
  });

  it('leaves doubt where its text is the same, and it is not known which is its', () => {
    expect(judge([post(1)], [other('hello', number(77))])).toEqual({ proof: [], candidates: [1] });
    expect(judge([post(1)], [other('hello', null)])).toEqual({ proof: [], candidates: [1] });
  });
});
