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
const other = (body: string, postId: string | null = null, permalink: string | null = null): OtherRow => ({
  body,
  postId,
  permalink,
});

/** The numbers of the posts that are proof and of those that are candidates. */
function judge(posts: OwnPost[], others: OtherRow[] = [], text = 'hello') {
  const { proof, candidates } = matchPosts(text, attemptedAt, posts, others);
  const short = (id: string) => Number(id.slice(-3));
  return { proof: proof.map(({ messageId }) => short(messageId)), candidates: candidates.map(short) };
}
const proof = { proof: [1], candidates: [] };
const candidate = { proof: [], candidates: [1] };
const nothing = { proof: [], candidates: [] };

describe('a row is proved', () => {
  it('by its text in the account’s feed since the attempt, with the post’s permalink', () => {
    const own = post(1);
    expect(matchPosts('hello', attemptedAt, [own], [])).toEqual({
      proof: [{ messageId: own.id, result: { permalink: own.permalink } }],
      candidates: [],
    });
    const without = matchPosts('hello', attemptedAt, [{ ...own, permalink: null }], []);
    expect(without.proof).toEqual([{ messageId: own.id }]);
  });

  it.each([
    ['Read https://example.com/a/long/path?x=1, it is good', 'Read https://lnkd.in/g9BYBxDz it is good'],
    ['See https://example.com/one and http://two.example/', 'See lnkd.in/abc and https://lnkd.in/xyz'],
    ['See https://a.example/ and https://b.example/', 'See https://a.example/ and https://lnkd.in/xyz'],
    ['line one\r\n\r\nline two', 'line one\nline two'],
  ])('by its text, even if LinkedIn shortened its links or changed its line breaks: %j', (wanted, seen) => {
    expect(judge([post(1, seen)], [], wanted)).toEqual(proof);
  });

  it('by each of several posts, the oldest first', () => {
    expect(judge([post(2, 'hello', 9), post(1)])).toEqual({ proof: [1, 2], candidates: [] });
  });
});

it.each([
  ['a few minutes too old for this attempt', post(1, 'hello', -300)],
  ['a few hours too old, by a time that may come from “5h”', post(1, 'hello', -5 * hour)],
  ['without a time', post(1, 'hello', 0, { at: null })],
  ['cut off', post(1, 'hello, this is a long te', 5)],
  ['with another text, since the attempt', post(1, 'goodbye', 60)],
  ['with another text, by a clock that is hours slow', post(1, 'goodbye', -8 * hour)],
  ['with another text and without a time', post(1, 'goodbye', 0, { at: null })],
])('a post %s is a candidate', (_name, one) => {
  expect(judge([one])).toEqual(candidate);
});

it.each([
  ['from before the last day', post(1, 'hello', -25 * hour)],
  ['with another text, from before the last day', post(1, 'goodbye', -25 * hour)],
  ['that is a repost', post(1, 'hello', 60, { isRepost: true })],
])('a post %s is no evidence', (_name, one) => {
  expect(judge([one])).toEqual(nothing);
});

describe('another row’s post', () => {
  const permalink = `https://www.linkedin.com/feed/update/urn:li:activity:${number(1)}`;
  it.each([
    ['the id of the feed', other('hello', `urn:li:activity:${number(1)}`)],
    ['the number of the id', other('hello', number(1))],
    ['another form of the id', other('hello', `urn:li:ugcPost:${number(1)}`)],
    ['the post’s permalink', other('hello', 'x', permalink)],
  ])('is no evidence if that row has %s', (_name, row) => {
    expect(judge([post(1)], [row])).toEqual(nothing);
    expect(judge([post(1), post(2)], [row])).toEqual({ proof: [2], candidates: [] });
  });

  it.each([
    ['another text, since the network may have changed either', 'goodbye'],
    ['the same text, since it is unknown whose post it is', 'hello'],
  ])('is a candidate if only the text points to that row: %s', (_name, text) => {
    for (const postId of [number(77), null])
      expect(judge([post(1, text)], [other(text, postId)])).toEqual(candidate);
  });

  it.each([
    ['New: https://example.com/one', 'New: https://example.com/two', 'New: https://lnkd.in/x'],
    ['We are hiring in 3 cities: Berlin and Porto', 'We are hiring in 3 cities', 'We are hiring in 3 cities'],
  ])('from the same template, %j beside %j, is a candidate and not proof for both', (one, two, seen) => {
    expect(judge([post(1, seen)], [other(two)], one)).toEqual(candidate);
    expect(judge([post(1, seen)], [other(one)], two)).toEqual(candidate);
  });

  it('is not recognised by a number that a person wrote into the permalink, as in a name or an order', () => {
    const permalink = (n: number) =>
      `https://www.linkedin.com/posts/ana-123456789012345_order-998877665544332211-activity-${number(n)}-x`;
    const row = other('goodbye', number(2), permalink(2));
    expect(judge([post(1, 'hello', 5, { permalink: permalink(1) })], [row])).toEqual(proof);
  });
});
