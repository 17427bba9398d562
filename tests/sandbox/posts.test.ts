import { describe, expect, it } from 'vitest';
import { apiKey, publish, read, sandboxBench, sendText } from './sandbox-bench.ts';

// tests/providers/unipile/unipile-posts.test.ts has what the client sees of posts.
const { start, startWith, listen } = sandboxBench();
const png = new Blob([new Uint8Array(8)], { type: 'image/png' });

describe('a post', () => {
  it('is logged as a post, appears in no chat, and is reported to no webhook', async () => {
    const { calls, url } = await listen(200);
    const sandbox = await startWith({ unipile: { url, secret: 's' } });
    expect(await publish(sandbox, 'hello', [png, png])).toBe(201);
    await sendText(sandbox, 'a message');
    const logged = { kind: 'post', account: 'acc1', recipient: 'profile', text: 'hello', media: 2 };
    expect(await read(sandbox, '/deliveries')).toMatchObject([logged, { kind: 'message' }]);
    const chats = await read(sandbox, '/api/v1/chat_attendees/profile/chats?account_id=acc1');
    expect(chats).toMatchObject({ status: 404 });
    await expect.poll(() => calls.length).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(calls.map(({ body }) => body.message)).toEqual(['a message']);
  });

  it('is found by each of its own ids, and only through its own account', async () => {
    const sandbox = await start();
    await publish(sandbox, 'hello');
    const social_id = sandbox.deliveries()[0]?.id ?? '';
    const number = social_id.replace('urn:li:activity:', '');
    const share = String(BigInt(number) + 1n);
    const find = (id: string, query = '?account_id=acc1') =>
      read(sandbox, `/api/v1/posts/${encodeURIComponent(id)}${query}`);
    for (const id of [social_id, number, share, `urn:li:share:${share}`])
      expect(await find(id)).toMatchObject({ social_id, text: 'hello' });
    expect(await find('1')).toMatchObject({ status: 404 });
    expect(await find(number, '?account_id=acc2')).toMatchObject({ status: 404 });
    expect(await find(number, '')).toMatchObject({ status: 400 });
    const me = await read(sandbox, '/api/v1/users/me?account_id=acc1');
    const list = await read(sandbox, `/api/v1/users/${me.provider_id}/posts?account_id=acc2`);
    expect(list).toMatchObject({ status: 404 });
  });

  it('meets faults by chance, as a message does', async () => {
    expect(await publish(await start({ rateLimited: 1 }), 'hello')).toBe(429);
  });

  it.each([
    ['without a text', '', [], 'acc1', 400],
    ['that is too long', 'x'.repeat(3_001), [], 'acc1', 400],
    ['with a file that is not a picture', 'x', [new Blob(['x'], { type: 'text/plain' })], 'acc1', 400],
    ['with an empty picture', 'x', [new Blob([], { type: 'image/png' })], 'acc1', 400],
    ['of an account that is gone', 'x', [], 'gone-1', 422],
  ])('%s is refused', async (_post, text, files, account, status) => {
    const sandbox = await start();
    expect(await publish(sandbox, text, files, account)).toBe(status);
    expect(sandbox.deliveries()).toHaveLength(0);
  });

  it('may have 30 MB of media, but not 60 MB, beyond the limit of 40 MB', async () => {
    const sandbox = await start();
    const large = new Blob([new Uint8Array(30 * 1024 * 1024)], { type: 'video/mp4' });
    expect(await publish(sandbox, 'large', [large])).toBe(201);
    expect(await publish(sandbox, 'larger', [large, large])).toBe(413);
  });

  it('is shown at its permalink, and the sandbox serves a small picture', async () => {
    const sandbox = await start();
    const request = (path: string) => fetch(sandbox.url + path, { headers: apiKey });
    const picture = await request('/media/demo-1.png');
    expect(picture.headers.get('content-type')).toBe('image/png');
    expect(Buffer.from(await picture.arrayBuffer()).toString('latin1', 1, 4)).toBe('PNG');
    await publish(sandbox, 'see me', [png]);
    const shown = await request(`/feed/update/${sandbox.deliveries()[0]?.id}`);
    expect(await shown.text()).toMatch(/see me[\s\S]*1 picture/);
    expect((await request('/feed/update/urn:li:activity:1')).status).toBe(404);
  });
});
