import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Media } from '../../../lib/net/media.ts';
import { unipilePosts } from '../../../lib/providers/unipile/unipile-posts.ts';
import { type Sandbox, startSandbox } from '../../../sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../../sandbox/shapes/unipile-shape.ts';
import { httpAnswer, loopback } from '../../net/loopback.ts';

const net = loopback();
let sandbox: Sandbox;
afterEach(() => net.closeAll());

describe.each(['v1', 'v2'] as const)('Unipile %s', (version) => {
  beforeAll(async () => {
    sandbox = await startSandbox();
  });
  afterAll(() => sandbox.close());

  const client = () => unipilePosts({ version, dsn: sandbox.url, apiKey: SANDBOX_API_KEY });
  /** Returns the value for this version. */
  const as = <T>(v1: T, v2: T): T => (version === 'v1' ? v1 : v2);
  const deliveriesOf = (text: string) => sandbox.deliveries().filter((delivery) => delivery.text === text);
  const picture = (number: number, bytes = Buffer.from([0, 13, 10, 45, 45, 255])): Media => ({
    contentType: 'image/png',
    fileName: `media-${number}.png`,
    bytes,
  });

  /** A client of a provider that gives one response to every request, and those requests. */
  async function respondingWith(status: number, body: unknown) {
    const requests: string[] = [];
    const dsn = await net.answering((socket, raw) => {
      requests.push(raw);
      socket.end(httpAnswer(status, JSON.stringify(body)));
    });
    return { requests, client: unipilePosts({ version, dsn, apiKey: 'k' }) };
  }

  describe('a post', () => {
    it('is published once, with its media', async () => {
      const { postId } = await client().createPost({
        accountId: 'ann',
        text: 'two\r\nlines\n👋',
        media: [picture(1), picture(2, Buffer.alloc(2 * 1024 * 1024, 7))],
      });
      expect(postId).toMatch(as(/^\d{19}$/, /^urn:li:activity:\d{19}$/));
      expect(deliveriesOf('two\r\nlines\n👋')).toMatchObject([
        { kind: 'post', account: 'ann', recipient: 'profile', media: 2 },
      ]);
    });

    it('is read back by its id, with its id in the feed and its address', async () => {
      const { postId } = await client().createPost({ accountId: 'ann', text: 'read me', media: [] });
      const [delivery] = deliveriesOf('read me');
      const read = await client().readPost({ accountId: 'ann', postId: postId ?? '' });
      expect(read).toEqual({ id: delivery?.id, permalink: expect.stringContaining(delivery?.id ?? 'x') });
      expect(await (await fetch(read.permalink ?? '')).text()).toContain('read me');
      if (version === 'v1') expect(postId).not.toBe(delivery?.id);
    });

    if (version === 'v1')
      it('goes to v1’s address as a form with the files unchanged', async () => {
        const { requests, client } = await respondingWith(201, {
          object: 'PostCreated',
          post_id: '7332661864792854528',
        });
        const post = { accountId: 'a1', text: 'hello', media: [picture(1)] };
        expect(await client.createPost(post)).toEqual({ postId: '7332661864792854528' });
        expect(requests[0]).toMatch(/^POST \/api\/v1\/posts HTTP/);
        expect(requests[0]).toMatch(/^x-api-key: k\r$/im);
        expect(requests[0]).toContain('name="account_id"\r\n\r\na1\r\n');
        expect(requests[0]).toContain('name="text"\r\n\r\nhello\r\n');
        expect(requests[0]).toContain(
          'content-disposition: form-data; name="attachments"; filename="media-1.png"\r\ncontent-type: image/png\r\n\r\n',
        );
      });

    if (version === 'v2')
      it('goes to v2’s address as JSON with the files in base64', async () => {
        const { requests, client } = await respondingWith(201, { object: 'Post', id: 'urn:li:activity:1' });
        const post = { accountId: 'a1', text: 'hello', media: [picture(1)] };
        expect(await client.createPost(post)).toEqual({ postId: 'urn:li:activity:1' });
        expect(requests[0]).toMatch(/^POST \/v2\/a1\/posts HTTP/);
        expect(JSON.parse(requests[0]?.split('\r\n\r\n')[1] ?? '')).toEqual({
          text: 'hello',
          attachments: [{ filename: 'media-1.png', content_type: 'image/png', content: 'AA0KLS3/' }],
        });
      });

    if (version === 'v1')
      it('counts as published if the network returns no id', async () => {
        const { client } = await respondingWith(201, { object: 'PostCreated', post_id: null });
        expect(await client.createPost({ accountId: 'a', text: 'x', media: [] })).toEqual({ postId: null });
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
      const publishing = client().createPost({ accountId: 'ann', text, media: [picture(1)] });
      await expect(publishing).rejects.toMatchObject({ kind, provider: 'unipile' });
      expect(deliveriesOf(text)).toHaveLength(times);
    });

    it('of an account that is gone is rejected, and a response in another shape is uncertain', async () => {
      const gone = client().createPost({ accountId: 'acc_gone-x', text: 'x', media: [] });
      await expect(gone).rejects.toMatchObject({ kind: 'rejected' });
      const { client: odd } = await respondingWith(201, { object: 'MessageSent' });
      const publishing = odd.createPost({ accountId: 'a', text: 'x', media: [] });
      await expect(publishing).rejects.toMatchObject({ kind: 'uncertain', code: 'unexpected_answer' });
    });
  });

  const since = '2026-11-22T10:00:00.000Z';
  const second = (number: number) => new Date(Date.parse(since) + number * 1_000).toISOString();
  const item = (number: number, more: object = {}) =>
    as<(number: number, more: object) => object>(itemV1, itemV2)(number, more);
  const itemV2 = (number: number, more: object) => {
    const { social_id, parsed_datetime, ...rest } = itemV1(number, more);
    return { ...rest, id: social_id ?? rest.id, created_at: parsed_datetime };
  };
  const itemV1 = (number: number, more: object) => ({
    object: 'Post',
    provider: 'LINKEDIN',
    id: String(7_000_000_000_000_000n + BigInt(number)),
    social_id: `urn:li:activity:${7_000_000_000_000_000n + BigInt(number)}`,
    text: `text ${number}`,
    date: '5m',
    parsed_datetime: second(number),
    share_url: `https://www.linkedin.com/posts/ann_x-activity-${7_000_000_000_000_000n + BigInt(number)}-x`,
    is_repost: false,
    ...more,
  });

  /** A client of an account with these pages by cursor (the first by ''), and the URLs that it requested. */
  async function paged(pages: Record<string, { items: unknown[]; cursor?: string | null }>) {
    const requests: URL[] = [];
    const dsn = await net.answering((socket, raw) => {
      const url = new URL(/^GET (\S+) /.exec(raw)?.[1] ?? '/not-a-get', 'http://unipile');
      requests.push(url);
      const page = pages[url.searchParams.get('cursor') ?? ''];
      const me = { object: 'AccountOwnerProfile', provider_id: 'ACo/1' };
      const fields = page && as<object>(page, { data: page.items, next_cursor: page.cursor });
      const body = url.pathname.endsWith('/users/me') ? me : { object: 'PostList', ...fields };
      socket.end(httpAnswer(page ? 200 : 500, JSON.stringify(body)));
    });
    const list = (from = since) =>
      unipilePosts({ version, dsn, apiKey: 'k' }).listOwnPosts({ accountId: 'a1', since: from });
    return { requests, list };
  }
  const texts = ({ posts }: { posts: { text: string }[] }) => posts.map(({ text }) => text);

  describe('the account’s own posts', () => {
    it('are listed as they were published, newest first, each account’s own', async () => {
      const from = new Date().toISOString();
      for (const text of ['one', 'two 👋', 'one'])
        await client().createPost({ accountId: 'lister', text, media: [] });
      await client().createPost({ accountId: 'other', text: 'theirs', media: [] });
      const listed = await client().listOwnPosts({ accountId: 'lister', since: from });
      const sent = sandbox.deliveries().filter(({ account }) => account === 'lister');
      expect(listed.complete).toBe(true);
      expect(listed.posts).toMatchObject(
        sent.reverse().map(({ id, text, at }) => ({ id, text, at, isRepost: false })),
      );
    });

    it('are read page by page until they are older than requested', async () => {
      for (let number = 0; number < 25; number += 1)
        await client().createPost({ accountId: 'writer', text: `post ${number}`, media: [] });
      const listed = await client().listOwnPosts({ accountId: 'writer', since });
      expect({ count: listed.posts.length, complete: listed.complete }).toEqual({
        count: 25,
        complete: true,
      });
    });

    it('are requested at the version’s addresses', async () => {
      const { requests, list } = await paged({ '': { items: [item(1)] } });
      const { posts } = await list();
      expect(requests.map(({ pathname, search }) => pathname + search)).toEqual(
        as(
          ['/api/v1/users/me?account_id=a1', '/api/v1/users/ACo%2F1/posts?account_id=a1&limit=20'],
          ['/v2/a1/users/me/posts?limit=20'],
        ),
      );
      expect(posts).toEqual([
        {
          id: 'urn:li:activity:7000000000000001',
          names: ['urn:li:activity:7000000000000001', '7000000000000001'],
          text: 'text 1',
          at: second(1),
          permalink: 'https://www.linkedin.com/posts/ann_x-activity-7000000000000001-x',
          isRepost: false,
        },
      ]);
    });

    it('have every name that their ids and their address contain', async () => {
      const share_url = 'https://www.linkedin.com/posts/ann-share-7000000000000099-x';
      const { list } = await paged({ '': { items: [item(1, { id: 7_000_000_000_000_001, share_url })] } });
      expect((await list()).posts[0]?.names).toEqual([
        'urn:li:activity:7000000000000001',
        '7000000000000001',
        '7000000000000099',
      ]);
    });

    it('are complete as soon as pages that come newest first pass the instant', async () => {
      const { requests, list } = await paged({
        '': { items: [item(3), item(2)], cursor: 'x' },
        x: { items: [item(1), item(-1)], cursor: 'y' },
        y: { items: [item(-2)], cursor: 'z' },
      });
      const listed = await list();
      expect(texts(listed)).toEqual(['text 3', 'text 2', 'text 1']);
      expect({ complete: listed.complete, requests: requests.length }).toEqual({
        complete: true,
        requests: as(3, 2),
      });
    });

    it('are incomplete if there are more pages than are read, or one is not in order', async () => {
      const pages = Object.fromEntries(
        Array.from({ length: 9 }, (_, page) => [
          page === 0 ? '' : `${page}`,
          { items: [item(-1), item(5)], cursor: `${page + 1}` },
        ]),
      );
      const { requests, list } = await paged(pages);
      expect((await list()).complete).toBe(false);
      expect(requests).toHaveLength(as(6, 5));
    });

    it.each([
      ['a time in another form', { parsed_datetime: '15h', date: '15h' }],
      ['no time', { parsed_datetime: null, date: null }],
    ])('with %s are kept, without a time', async (_name, odd) => {
      const { list } = await paged({ '': { items: [item(2, odd), item(-5)] } });
      const listed = await list();
      expect(listed).toMatchObject({ complete: true, posts: [{ text: 'text 2', at: null }] });
    });

    it('take their time from `date` if that is an instant', async () => {
      const { list } = await paged({ '': { items: [item(2, { parsed_datetime: null, date: second(2) })] } });
      expect((await list()).posts[0]?.at).toBe(second(2));
    });

    it.each([
      ['no id', { id: null, social_id: null }],
      ['no content', null],
    ])('are incomplete with one that has %s', async (_name, odd) => {
      const { list } = await paged({ '': { items: [item(1), odd && item(2, odd)] } });
      expect(await list()).toMatchObject({ complete: false, posts: [{ text: 'text 1' }] });
    });

    it.each(['javascript:alert(1)', 'nonsense', '', null])(
      'have no permalink if it is %j',
      async (share_url) => {
        const { list } = await paged({ '': { items: [item(1, { share_url })] } });
        expect((await list()).posts[0]?.permalink).toBeNull();
      },
    );

    it('are unknown if the response does not name the account, or a page fails', async () => {
      const { client: odd } = await respondingWith(200, { object: 'AccountOwnerProfile' });
      await expect(odd.listOwnPosts({ accountId: 'a', since })).rejects.toMatchObject({
        code: 'unexpected_answer',
      });
      const { list } = await paged({ '': { items: [item(1)], cursor: 'gone' } });
      await expect(list()).rejects.toMatchObject({ status: 500 });
    });
  });
});
