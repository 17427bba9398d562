import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Media } from '../../../lib/net/media.ts';
import { unipilePosts } from '../../../lib/providers/unipile/unipile-posts.ts';
import { type Sandbox, startSandbox } from '../../../lib/sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../../lib/sandbox/shapes/unipile-shape.ts';
import { type Page, providerServer } from '../provider-server.ts';

const { responding, paging } = providerServer();
let sandbox: Sandbox;

describe.each(['v1', 'v2'] as const)('Unipile %s', (version) => {
  beforeAll(async () => {
    sandbox = await startSandbox();
  });
  afterAll(() => sandbox.close());

  const client = (dsn = sandbox.url) => unipilePosts({ version, dsn, apiKey: SANDBOX_API_KEY });
  /** Returns the value for this version. */
  const as = <T>(v1: T, v2: T): T => (version === 'v1' ? v1 : v2);
  const deliveriesOf = (text: string) => sandbox.deliveries().filter((delivery) => delivery.text === text);
  const picture = (number: number, bytes = Buffer.from([0, 13, 10, 45, 45, 255])): Media => ({
    contentType: 'image/png',
    fileName: `media-${number}.png`,
    bytes,
  });
  const post = (text: string, media: Media[] = [], accountId = 'ann') => ({ accountId, text, media });

  describe('a post', () => {
    it('is published once, with its media, and read back by its id, with its id in the feed and its address', async () => {
      const media = [picture(1), picture(2, Buffer.alloc(2 * 1024 * 1024, 7))];
      const { postId } = await client().createPost(post('two\r\nlines\n👋', media));
      expect(postId).toMatch(as(/^\d{19}$/, /^urn:li:activity:\d{19}$/));
      const deliveries = deliveriesOf('two\r\nlines\n👋');
      expect(deliveries).toMatchObject([{ kind: 'post', account: 'ann', recipient: 'profile', media: 2 }]);
      const id = deliveries[0]?.id ?? '';
      const read = await client().readPost({ accountId: 'ann', postId: postId ?? '' });
      expect(read).toEqual({ id, permalink: expect.stringContaining(id) });
      expect(await (await fetch(read.permalink ?? '')).text()).toContain('lines');
      if (version === 'v1') expect(postId).not.toBe(id);
    });

    if (version === 'v1')
      it('goes to v1’s address as a form with the files unchanged, and counts as published if no id is returned', async () => {
        const { requests, url } = await responding(201, { object: 'PostCreated', post_id: null });
        expect(await client(url).createPost(post('hello', [picture(1)]))).toEqual({ postId: null });
        expect(requests[0]).toMatch(/^POST \/api\/v1\/posts HTTP/);
        expect(requests[0]).toMatch(/^x-api-key: sandbox-key\r$/im);
        for (const part of [
          'name="account_id"\r\n\r\nann\r\n',
          'name="text"\r\n\r\nhello\r\n',
          'name="attachments"; filename="media-1.png"\r\ncontent-type: image/png\r\n\r\n',
        ])
          expect(requests[0]).toContain(`content-disposition: form-data; ${part}`);
      });

    if (version === 'v2')
      it('goes to v2’s address as JSON with the files in base64', async () => {
        const { requests, url } = await responding(201, { object: 'Post', id: 'urn:li:activity:1' });
        const created = await client(url).createPost(post('hello', [picture(1)]));
        expect(created).toEqual({ postId: 'urn:li:activity:1' });
        expect(requests[0]).toMatch(/^POST \/v2\/ann\/posts HTTP/);
        expect(JSON.parse(requests[0]?.split('\r\n\r\n')[1] ?? '')).toEqual({
          text: 'hello',
          attachments: [{ filename: 'media-1.png', content_type: 'image/png', content: 'AA0KLS3/' }],
        });
      });

    it.each([
      ['[[500]]', 'uncertain', 0],
      ['[[500-after]]', 'uncertain', 1],
      ['[[drop-before]]', 'uncertain', 0],
      ['[[drop-after]]', 'uncertain', 1],
      ['[[html]]', 'uncertain', 0],
      ['[[429:2]]', 'rate_limited', 0],
      ['[[limit]]', 'rate_limited', 0],
    ])('%s is %s, published %d times', async (text, kind, times) => {
      const publishing = client().createPost(post(text, [picture(1)]));
      await expect(publishing).rejects.toMatchObject({ kind, provider: 'unipile' });
      expect(deliveriesOf(text)).toHaveLength(times);
    });

    it('of an account that is gone is rejected, and a response in another shape is uncertain', async () => {
      const gone = client().createPost(post('x', [], 'acc_gone-x'));
      await expect(gone).rejects.toMatchObject({ kind: 'rejected' });
      const odd = await responding(201, { object: 'MessageSent' });
      const publishing = client(odd.url).createPost(post('x'));
      await expect(publishing).rejects.toMatchObject({ kind: 'uncertain', code: 'unexpected_answer' });
    });
  });

  const since = '2026-11-22T10:00:00.000Z';
  const second = (number: number) => new Date(Date.parse(since) + number * 1_000).toISOString();
  const numberOf = (number: number) => String(7_000_000_000_000_000n + BigInt(number));
  const addressOf = (number: number) => `https://www.linkedin.com/posts/ann_x-activity-${numberOf(number)}-x`;
  const itemV1 = (number: number, more: object) => ({
    object: 'Post',
    provider: 'LINKEDIN',
    id: numberOf(number),
    social_id: `urn:li:activity:${numberOf(number)}`,
    text: `text ${number}`,
    date: '5m',
    parsed_datetime: second(number),
    share_url: addressOf(number),
    is_repost: false,
    ...more,
  });
  const itemV2 = (number: number, more: object) => {
    const { social_id, parsed_datetime, ...rest } = itemV1(number, more);
    return { ...rest, id: social_id ?? rest.id, created_at: parsed_datetime };
  };
  const item = (number: number, more: object = {}) => as<object>(itemV1(number, more), itemV2(number, more));

  describe('the account’s own posts', () => {
    /** Lists an account that has these pages. */
    async function listed(...pages: Page[]) {
      const { url, requests } = await paging(version, pages, { object: 'Owner', provider_id: 'ACo/1' });
      const { posts, complete } = await client(url).listOwnPosts({ accountId: 'a1', since });
      return { posts, complete, requests };
    }

    it('are listed as they were published, newest first, each account’s own', async () => {
      const from = new Date().toISOString();
      for (const text of ['one', 'two 👋', 'one']) await client().createPost(post(text, [], 'lister'));
      await client().createPost(post('theirs', [], 'other'));
      const sent = sandbox.deliveries().filter(({ account }) => account === 'lister');
      const posts = sent.reverse().map(({ id, text, at }) => ({ id, text, at, isRepost: false }));
      const list = await client().listOwnPosts({ accountId: 'lister', since: from });
      expect(list).toMatchObject({ complete: true, posts });
    });

    it('are read page by page until they are older than requested', async () => {
      for (let number = 0; number < 25; number += 1)
        await client().createPost(post(`post ${number}`, [], 'writer'));
      const list = await client().listOwnPosts({ accountId: 'writer', since });
      expect(list).toMatchObject({ complete: true, posts: { length: 25 } });
    });

    it('are requested at the version’s addresses', async () => {
      const { requests, posts } = await listed([item(1)]);
      expect(requests.map(({ pathname, search }) => pathname + search)).toEqual(
        as(
          ['/api/v1/users/me?account_id=a1', '/api/v1/users/ACo%2F1/posts?account_id=a1&limit=20'],
          ['/v2/a1/users/me/posts?limit=20'],
        ),
      );
      const [id, number] = ['urn:li:activity:7000000000000001', '7000000000000001'];
      const found = { id, names: [id, number], permalink: addressOf(1), isRepost: false };
      expect(posts).toEqual([{ ...found, text: 'text 1', at: second(1) }]);
    });

    it('have every name that their ids and their address contain', async () => {
      const share_url = 'https://www.linkedin.com/posts/ann-share-7000000000000099-x';
      const { posts } = await listed([item(1, { id: 7_000_000_000_000_001, share_url })]);
      const names = ['urn:li:activity:7000000000000001', '7000000000000001', '7000000000000099'];
      expect(posts).toMatchObject([{ names }]);
    });

    const disordered = Array.from({ length: 9 }, () => [item(-1), item(5)]);
    const passed = { complete: true, posts: [{ text: 'text 3' }, { text: 'text 2' }, { text: 'text 1' }] };
    const undated = { complete: true, posts: [{ text: 'text 2', at: null }] };
    const broken = { complete: false, posts: [{ text: 'text 1' }] };
    it.each<[label: string, pages: Page[], found: object]>([
      [
        'are complete as soon as pages that come newest first pass the instant',
        [[item(3), item(2)], [item(1), item(-1)], [item(-2)], []],
        { ...passed, requests: { length: as(3, 2) } },
      ],
      [
        'are incomplete if more pages follow than are read, or one is not in order',
        disordered,
        { complete: false, requests: { length: as(6, 5) } },
      ],
      [
        'are kept with a time in another form',
        [[item(2, { parsed_datetime: '15h', date: '15h' }), item(-5)]],
        undated,
      ],
      ['are kept without a time', [[item(2, { parsed_datetime: null, date: null }), item(-5)]], undated],
      [
        'take their time from `date` if that is an instant',
        [[item(2, { parsed_datetime: null, date: second(2) })]],
        { posts: [{ at: second(2) }] },
      ],
      ['are incomplete with one without an id', [[item(1), item(2, { id: null, social_id: null })]], broken],
      ['are incomplete with one without content', [[item(1), null]], broken],
    ])('%s', async (_label, pages, found) => {
      expect(await listed(...pages)).toMatchObject(found);
    });

    it.each(['javascript:alert(1)', 'nonsense', '', null])(
      'have no permalink if it is %j',
      async (share_url) => {
        expect((await listed([item(1, { share_url })])).posts).toMatchObject([{ permalink: null }]);
      },
    );

    it('are unknown if the response does not name the account, or a page fails', async () => {
      const odd = await responding(200, { object: 'AccountOwnerProfile' });
      const listing = client(odd.url).listOwnPosts({ accountId: 'a', since });
      await expect(listing).rejects.toMatchObject({ code: 'unexpected_answer' });
      await expect(listed([item(1)], null)).rejects.toMatchObject({ status: 500 });
    });
  });
});
